-- The films with the most clicks of any type.
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    count() AS clicks,
    countIf(event_type = 'detail_view') AS opened,
    uniqExact(user) AS people
FROM dvd_clicks_landing
WHERE error = ''
    AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY film_id
ORDER BY clicks DESC, film_id
LIMIT {limit:UInt32}
