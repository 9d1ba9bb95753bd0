-- Clicks by the minute in which they happened; minutes without any are left out.
SELECT toUnixTimestamp(toStartOfMinute(event_ts)) * 1000 AS begin_ms, count() AS clicks, uniqExact(user) AS people
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY begin_ms
ORDER BY begin_ms
