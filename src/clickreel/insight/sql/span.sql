-- The time of the first and the last good event, milliseconds since 1970; zeros when there is none.
SELECT
    toUnixTimestamp64Milli(min(event_ts)),
    toUnixTimestamp64Milli(max(event_ts))
FROM dvd_clicks_landing
WHERE error = '' AND event_ts < fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
