-- The films opened by most sessions: what is recommended to somebody of whom nothing is known.
SELECT film AS film_id, dictGetOrDefault('dvd_films', 'film_title', toUInt64(film), '') AS title, uniqExact(session) AS sessions
FROM {openings}
WHERE film NOT IN
(
    SELECT {act_film} AS seen
    FROM dvd_clicks_landing
    WHERE error = '' AND event_type = 'detail_view' AND {act_user} = {user:UInt64}
    GROUP BY seen
)
GROUP BY film
ORDER BY sessions DESC, film
LIMIT {limit:UInt32}
