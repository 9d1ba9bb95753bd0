-- The films opened at some offsets of a partition, in order of time.
SELECT session, film_id AS film, toUnixTimestamp64Milli(event_ts) AS ts_ms, user AS user_number
FROM dvd_clicks_landing
WHERE error = '' AND event_type = 'detail_view'
    AND _topic_id = {topic:String} AND _partition = {part:Int32} AND _offset BETWEEN {first:Int64} AND {last:Int64}
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
ORDER BY event_ts
