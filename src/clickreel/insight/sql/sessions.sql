-- How long sessions are: over those that begin in the window; the last 30 minutes before its end are still under way and do not count.
WITH lengths AS
(
    SELECT session, count() AS events, dateDiff('millisecond', min(event_ts), max(event_ts)) / 1000 AS length_s, max(event_ts) AS last
    FROM dvd_clicks_landing
    WHERE error = ''
        AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    GROUP BY session
)
SELECT
    countIf(ended) AS ended_sessions,
    ifNotFinite(quantileIf(0.5)(length_s, ended), 0) AS length_s_p50,
    ifNotFinite(quantileIf(0.95)(length_s, ended), 0) AS length_s_p95,
    ifNotFinite(avgIf(events, ended), 0) AS events_mean,
    countIf(NOT ended) AS under_way
FROM (SELECT *, last < fromUnixTimestamp64Milli({end_ms:Int64} - 1800000, 'UTC') AS ended FROM lengths)
