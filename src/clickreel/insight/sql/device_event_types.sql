-- Clicks from each device to each event type: the links of a sankey.
SELECT device, event_type, count() AS clicks
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY device, event_type
ORDER BY clicks DESC, device, event_type
