-- Who is active at the end of the window: the last five minutes of it.
SELECT
    uniqExact(user) AS people,
    uniqExact(session) AS sessions,
    count() AS clicks
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli(greatest({from_ms:Int64}, {end_ms:Int64} - 300000), 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
