-- The films that a person has opened, a row a click, the latest first; a delivery that was repeated counts once.
SELECT DISTINCT film_id, event_ts
FROM dvd_clicks_landing
WHERE error = '' AND event_type = 'detail_view' AND user = {user:UInt64}
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
ORDER BY event_ts DESC, film_id
