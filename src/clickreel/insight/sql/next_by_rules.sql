-- What comes next after some clicks: each speaks for what was opened after its film in other sessions, {lags} clicks after it at most and soon
-- after it the most; {weights} is beside {films}. A film is believed as if {shrink} clicks more, spread as all clicks are, had followed it.
WITH
    clicks AS
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
    ),
    given AS
    (
        SELECT because, sum(weight) AS weight
        FROM (SELECT arrayJoin(arrayZip({films:Array(Int32)}, {weights:Array(Float64)})) AS pair, pair.1 AS because, pair.2 AS weight)
        GROUP BY because
    ),
    often AS (SELECT film_id, count() AS times FROM clicks GROUP BY film_id),
    speaking AS
    (
        SELECT given.because AS because, given.weight / (often.times + {shrink:Float64}) AS weight
        FROM given
        INNER JOIN often ON often.film_id = given.because
    ),
    begun AS (SELECT session, film_id AS because, place FROM clicks WHERE has({films:Array(Int32)}, film_id)),
    votes AS
    (
        SELECT begun.because AS because, after.film_id AS film_id, sum(1 / (after.place - begun.place)) AS votes
        -- The right side is what is held in memory: only sessions that have one of the films.
        FROM begun
        INNER JOIN (SELECT session, film_id, place FROM clicks WHERE session IN (SELECT session FROM begun)) AS after ON after.session = begun.session
        WHERE after.place > begun.place AND after.place <= begun.place + {lags:UInt8}
        GROUP BY because, film_id
    ),
    scored AS
    (
        SELECT votes.film_id AS film_id, votes.because AS because, votes.votes * speaking.weight AS weight
        FROM votes
        INNER JOIN speaking ON speaking.because = votes.because
        UNION ALL
        -- What popularity says; 0 is no film.
        SELECT
            film_id,
            toInt32(0),
            {shrink:Float64} * (SELECT sum(weight) FROM speaking) * times / (SELECT sum(times) FROM often)
        FROM often
    )
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    sum(weight) AS score,
    argMaxIf(because, weight, because != 0) AS strongest,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(strongest), '') AS strongest_title
FROM scored
WHERE NOT has({without:Array(Int32)}, film_id) AND (SELECT count() FROM speaking) > 0
GROUP BY film_id
ORDER BY score DESC, film_id
LIMIT {limit:UInt32}
