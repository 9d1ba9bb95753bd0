-- For a person: each film opened lately speaks for the films that share sessions with it, the latest the strongest.
WITH
    opened AS
    (
        SELECT DISTINCT session, film_id
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    ),
    seen AS
    (
        SELECT film_id, max(event_ts) AS last, row_number() OVER (ORDER BY last DESC, film_id) AS place
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view' AND user = {user:UInt64}
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY film_id
    ),
    history AS (SELECT film_id, pow({fade:Float64}, place - 1) AS weight FROM seen WHERE place <= {memory:UInt32}),
    met AS
    (
        SELECT one.film_id AS because, two.film_id AS film_id, count() AS together
        FROM opened AS one
        -- The right side is what is held in memory: only sessions that have one of the films.
        INNER JOIN
        (
            SELECT session, film_id
            FROM opened
            WHERE session IN (SELECT session FROM opened WHERE film_id IN (SELECT film_id FROM history))
        ) AS two ON one.session = two.session
        WHERE one.film_id IN (SELECT film_id FROM history)
        GROUP BY because, film_id
    ),
    -- A film meets itself in each of its sessions: the diagonal is how often it was opened.
    scored AS
    (
        SELECT met.film_id AS film_id, met.because AS because, history.weight * met.together / (alone.together + {shrink:Float64}) AS weight
        FROM met
        INNER JOIN history ON history.film_id = met.because
        INNER JOIN (SELECT because, together FROM met WHERE because = film_id) AS alone ON alone.because = met.because
        WHERE met.film_id NOT IN (SELECT film_id FROM seen)
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
