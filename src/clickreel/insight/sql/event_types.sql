-- How many clicks, sessions and people each event type has, in whatever order it came.
SELECT event_type, count() AS clicks, uniqExact(session) AS sessions, uniqExact(user) AS people
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY event_type
ORDER BY indexOf(['view', 'detail_view', 'watch_trailer', 'add_to_watchlist'], event_type::String), event_type
