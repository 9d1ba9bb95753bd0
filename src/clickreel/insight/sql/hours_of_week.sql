-- Clicks and people by weekday (1 is Monday) and hour, UTC; a person counts once in each.
SELECT toDayOfWeek(event_ts) AS weekday, toHour(event_ts) AS hour, count() AS clicks, uniqExact(user) AS people
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY weekday, hour
ORDER BY weekday, hour
