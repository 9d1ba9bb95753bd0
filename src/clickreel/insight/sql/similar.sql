-- Films opened in the sessions in which this one was opened: the probability is the share of those sessions that have the other too. All of them
-- have this film, so no film is in more.
SELECT film_id, title, together, probability
FROM
(
    SELECT
        film_id,
        dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
        count() AS together,
        together / max(together) OVER () AS probability
    FROM
    (
        SELECT arrayJoin(groupUniqArray(film)) AS film_id
        FROM {openings}
        GROUP BY session
        HAVING has(groupUniqArray(film), {film:Int32})
    )
    GROUP BY film_id
)
WHERE film_id != {film:Int32}
ORDER BY together DESC, film_id
LIMIT {limit:UInt32}
