-- What comes next in a session: each of its films speaks for what was opened after it in other sessions, {lags} clicks after it at most and soon
-- after it the most; a later film counts more ({weights} is beside {films}, the latest first).
WITH
    opened AS
    (
        SELECT session, film_id, row_number() OVER (PARTITION BY session ORDER BY event_ts) AS place
        FROM
        (
            SELECT DISTINCT session, film_id, event_ts
            FROM dvd_clicks_landing
            WHERE error = '' AND event_type = 'detail_view'
                AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
                AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        )
        WHERE session IN
        (
            SELECT session
            FROM dvd_clicks_landing
            WHERE error = '' AND event_type = 'detail_view' AND has({films:Array(Int32)}, film_id)
                AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
                AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        )
    ),
    given AS (SELECT session, film_id AS because, place FROM opened WHERE has({films:Array(Int32)}, film_id)),
    often AS (SELECT because, count() AS times FROM given GROUP BY because),
    votes AS
    (
        SELECT given.because AS because, opened.film_id AS film_id, sum(1 / (opened.place - given.place)) AS votes
        FROM opened
        INNER JOIN given ON given.session = opened.session
        WHERE opened.place > given.place AND opened.place <= given.place + {lags:UInt8}
        GROUP BY because, film_id
    ),
    scored AS
    (
        SELECT
            film_id,
            because,
            votes / (times + {shrink:Float64})
                * arraySum((film, weight) -> if(film = because, weight, 0), {films:Array(Int32)}, {weights:Array(Float64)}) AS weight
        FROM votes
        INNER JOIN often ON often.because = votes.because
    )
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    sum(weight) AS score,
    argMax(because, weight) AS strongest,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(strongest), '') AS strongest_title
FROM scored
GROUP BY film_id
ORDER BY score DESC, film_id
LIMIT {limit:UInt32}
