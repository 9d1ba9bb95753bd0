-- The time of the first and the last good event, milliseconds since 1970; zeros when there is none.
-- The full hours before the end come from the hours' projection; only the first, the last and the broken hour are read row by row.
WITH
    (
        SELECT (min(hour) * 3600000, max(hour) * 3600000)
        FROM
        (
            SELECT intDiv(toUnixTimestamp64Milli(event_ts), 3600000) AS hour
            FROM dvd_clicks_landing
            WHERE error = '' AND intDiv(toUnixTimestamp64Milli(event_ts), 3600000) < intDiv({before_ms:Int64}, 3600000)
            GROUP BY hour
        )
    ) AS full_hours
SELECT
    toUnixTimestamp64Milli(min(event_ts)),
    toUnixTimestamp64Milli(max(event_ts))
FROM dvd_clicks_landing
WHERE error = '' AND event_ts < fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
    AND (event_ts < fromUnixTimestamp64Milli(full_hours.1 + 3600000, 'UTC')
        OR event_ts >= fromUnixTimestamp64Milli(full_hours.2, 'UTC'))
