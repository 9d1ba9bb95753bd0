-- The rule of insight/trending.py over the landing table. Hours are counted back from the end of the window, so that it may end at any
-- instant; people are counted once an hour. A window of less than an hour is one such hour by itself.
WITH
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    fromUnixTimestamp64Milli({end_ms:Int64} - {window_ms:Int64}, 'UTC') AS cut,
    fromUnixTimestamp64Milli({end_ms:Int64} - {window_ms:Int64} - {baseline_ms:Int64}, 'UTC') AS since,
    viewers AS
    (
        SELECT
            film_id,
            event_ts >= cut AS is_recent,
            intDiv({end_ms:Int64} - 1 - toUnixTimestamp64Milli(event_ts), 3600000) AS hours_ago,
            uniqExact(user) AS people
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view' AND event_ts >= since AND event_ts < until
        GROUP BY film_id, is_recent, hours_ago
    ),
    films AS
    (
        SELECT
            film_id,
            sumIf(people, is_recent) AS recent,
            sumIf(people, NOT is_recent) AS before
        FROM viewers
        GROUP BY film_id
    ),
    judged AS
    (
        SELECT
            film_id,
            recent,
            before / sum(before) OVER () * sum(recent) OVER () AS expected,
            (recent - expected) / sqrt(expected + 1) AS sigmas,
            {warm:UInt8} AND isFinite(expected) AND recent >= {min_count:UInt32}
                AND recent >= {factor:Float64} * expected AND sigmas >= {sigmas:Float64} AS trending
        FROM films
    )
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    recent,
    expected,
    sigmas,
    trending
FROM judged
WHERE recent > 0
-- Before there is a baseline the films opened most are all that can be said.
ORDER BY trending DESC, {warm:UInt8} ? sigmas : toFloat64(recent) DESC, recent DESC, film_id
LIMIT {limit:UInt32}
