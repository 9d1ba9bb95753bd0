-- Who was there: a row a bucket of time; and with {step_s} = 0 one row for the whole window.
SELECT
    {step_s:Int64} = 0 ? {from_ms:Int64}
        : intDiv(toUnixTimestamp64Milli(event_ts), {step_s:Int64} * 1000) * {step_s:Int64} * 1000 AS begin_ms,
    uniqExact(user) AS users,
    uniqExact(session) AS sessions,
    count() AS events,
    countIf(event_type = 'view') AS views,
    countIf(event_type = 'detail_view') AS details,
    countIf(event_type = 'watch_trailer') AS trailers,
    countIf(event_type = 'add_to_watchlist') AS saved,
    uniqExactIf(user, device = 'web') AS web,
    uniqExactIf(user, device = 'mobile') AS mobile,
    uniqExactIf(user, device = 'tablet') AS tablet
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY begin_ms
ORDER BY begin_ms
