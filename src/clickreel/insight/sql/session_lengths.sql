-- Sessions that begin in the window. A session under way has an event in its last 30 minutes: its length is not known, so it is counted and
-- not measured. A session lasts at most six hours, so what began before the window is found by reading six hours more.

WITH
    sessions AS
    (
        SELECT
            sum(part) AS clicks,
            min(part_first) AS first,
            max(part_last) AS last,
            dateDiff('millisecond', first, last) AS duration_ms,
            duration_ms / 1000 AS duration_s,
            last < fromUnixTimestamp64Milli({end_ms:Int64} - 1800000, 'UTC') AS ended
        FROM
        (
            SELECT session, count() AS part, min(event_ts) AS part_first, max(event_ts) AS part_last
            FROM dvd_clicks_landing
            WHERE error = '' AND {full_hours_6h_more}
            GROUP BY session
            UNION ALL
            SELECT session, count() AS part, min(event_ts) AS part_first, max(event_ts) AS part_last
            FROM dvd_clicks_landing
            WHERE error = '' AND {outside_hours_6h_more}
            GROUP BY session
        )
        GROUP BY session
        HAVING first >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    )
SELECT
    countIf(ended) AS ended_sessions,
    countIf(NOT ended) AS under_way,
    avgOrNullIf(clicks, ended) AS clicks_mean,
    quantileExactOrNullIf(0.5)(clicks, ended) AS clicks_p50,
    avgOrNullIf(duration_ms, ended) / 1000 AS duration_s_mean,
    quantileExactOrNullIf(0.5)(duration_s, ended) AS duration_s_p50,
    quantileExactOrNullIf(0.95)(duration_s, ended) AS duration_s_p95,
    avgOrNullIf(clicks = 1, ended) AS bounce_ratio
FROM sessions
