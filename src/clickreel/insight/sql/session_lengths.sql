-- Sessions that begin in the window. A session under way has an event in its last 30 minutes: its length is not known, so it is counted and
-- not measured. A session lasts at most six hours, so what began before the window is found by reading six hours more.
WITH
    sessions AS
    (
        SELECT
            count() AS clicks,
            min(event_ts) AS first,
            max(event_ts) AS last,
            dateDiff('millisecond', first, last) / 1000 AS duration_s,
            last < fromUnixTimestamp64Milli({end_ms:Int64} - 1800000, 'UTC') AS ended
        FROM dvd_clicks_landing
        WHERE error = ''
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64} - 21600000, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY session
        HAVING first >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    )
SELECT
    countIf(ended) AS ended_sessions,
    countIf(NOT ended) AS under_way,
    avgOrNullIf(clicks, ended) AS clicks_mean,
    quantileExactOrNullIf(0.5)(clicks, ended) AS clicks_p50,
    avgOrNullIf(duration_s, ended) AS duration_s_mean,
    quantileExactOrNullIf(0.5)(duration_s, ended) AS duration_s_p50,
    quantileExactOrNullIf(0.95)(duration_s, ended) AS duration_s_p95,
    avgOrNullIf(clicks = 1, ended) AS bounce_ratio
FROM sessions
