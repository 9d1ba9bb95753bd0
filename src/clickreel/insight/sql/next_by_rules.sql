-- What comes next after some clicks: each speaks for what was opened after its film in other sessions, {lags} clicks after it at most and soon
-- after it the most; {weights} is beside {films}. A film is believed as if {shrink} clicks more, spread as all clicks are, had followed it.
WITH
    -- How often each film was opened.
    (
        SELECT (groupArray(film), groupArray(times))
        FROM (SELECT film, count() AS times FROM {openings} GROUP BY film)
    ) AS often,
    -- What a click on each given film weighs; what nobody opened says nothing.
    (
        SELECT (groupArray(because), groupArray(weight / (times + {shrink:Float64})))
        FROM
        (
            SELECT pair.1 AS because, sum(pair.2) AS weight, transform(because, often.1, often.2, toUInt64(0)) AS times
            FROM (SELECT arrayJoin(arrayZip({films:Array(Int32)}, {weights:Array(Float64)})) AS pair)
            GROUP BY because
            HAVING times > 0
        )
    ) AS speaking,
    sessions AS
    (
        SELECT arrayMap(click -> click.2, arraySort(groupArray((ms, film)))) AS films
        FROM {openings}
        GROUP BY session
        HAVING hasAny(films, {films:Array(Int32)})
    ),
    votes AS
    (
        SELECT
            arrayJoin(arrayFlatten(arrayMap(
                place -> arrayMap(
                    lag -> (films[place], films[place + lag], 1 / lag),
                    range(1, least({lags:UInt8}, length(films) - place) + 1)
                ),
                arrayFilter(place -> has({films:Array(Int32)}, films[place]), arrayEnumerate(films))
            ))) AS vote
        FROM sessions
    ),
    scored AS
    (
        SELECT
            vote.2 AS film_id,
            vote.1 AS because,
            sum(vote.3) * transform(because, speaking.1, speaking.2, toFloat64(0)) AS weight
        FROM votes
        GROUP BY film_id, because
        UNION ALL
        -- What popularity says; 0 is no film.
        SELECT
            film.1 AS film_id,
            toInt32(0) AS because,
            {shrink:Float64} * arraySum(speaking.2) * film.2 / arraySum(often.2) AS weight
        FROM (SELECT arrayJoin(arrayZip(often.1, often.2)) AS film)
    )
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    sum(weight) AS score,
    argMaxIf(because, weight, because != 0) AS strongest,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(strongest), '') AS strongest_title
FROM scored
WHERE NOT has({without:Array(Int32)}, film_id) AND notEmpty(speaking.1)
GROUP BY film_id
ORDER BY score DESC, film_id
LIMIT {limit:UInt32}
