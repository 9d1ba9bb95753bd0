-- The newest films shown in lists, with their rank, and opened, with rank 0: what recommenders learn from and are asked about. A delivery that
-- was repeated counts once: a user has one event a millisecond.
SELECT DISTINCT
    session,
    film_id AS film,
    toUnixTimestamp64Milli(event_ts) AS ts_ms,
    user AS user_number,
    if(event_type = 'view', position, 0) AS rank
FROM dvd_clicks_landing
WHERE error = '' AND event_type IN ('view', 'detail_view')
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
ORDER BY ts_ms DESC
LIMIT {limit:UInt32}
