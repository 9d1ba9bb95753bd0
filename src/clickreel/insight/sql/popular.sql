-- The films opened by most sessions: what is recommended to somebody of whom nothing is known.
SELECT film_id, dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title, uniqExact(session) AS sessions
FROM dvd_clicks_landing
WHERE error = '' AND event_type = 'detail_view'
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    AND film_id NOT IN (SELECT film_id FROM dvd_clicks_landing WHERE error = '' AND event_type = 'detail_view' AND user = {user:UInt64})
GROUP BY film_id
ORDER BY sessions DESC, film_id
LIMIT {limit:UInt32}
