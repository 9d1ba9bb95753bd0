-- Clicks and people by device; a person with two devices counts in both.
SELECT device, count() AS clicks, uniqExact(user) AS people, clicks / sum(clicks) OVER () AS share
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY device
ORDER BY clicks DESC, device
