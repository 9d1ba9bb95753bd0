-- People who open a film for the first time on a UTC day, by film: each day of the baseline as a whole (minute -1), the days after it by
-- minute. By category the same with a film's categories in its place; a person counts once a day in each.
WITH
    fromUnixTimestamp64Milli({baseline_ms:Int64}, 'UTC') AS since,
    fromUnixTimestamp64Milli({minutes_ms:Int64}, 'UTC') AS by_minute,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS until,
    firsts AS
    (
        SELECT {item} AS item, user, toDate(event_ts) AS day, min(event_ts) AS first
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view' AND event_ts >= since AND event_ts < until
        GROUP BY item, day, user
    )
SELECT
    item,
    toInt64(toUnixTimestamp(toDateTime(day, 'UTC')) / 86400) AS day_number,
    if(first >= by_minute, intDiv(toUnixTimestamp64Milli(first) - {minutes_ms:Int64}, 60000), -1) AS minute,
    count() AS people
FROM firsts
GROUP BY item, day_number, minute
ORDER BY minute, item, day_number
