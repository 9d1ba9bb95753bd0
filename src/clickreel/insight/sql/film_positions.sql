-- The films with the most clicks, by the position in the list at which they stood.
WITH
    clicks_by AS
    (
        SELECT film_id, position, count() AS clicks, countIf(event_type = 'detail_view') AS opened
        FROM dvd_clicks_landing
        WHERE error = ''
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY film_id, position
    ),
    top AS (SELECT film_id FROM clicks_by GROUP BY film_id ORDER BY sum(clicks) DESC, film_id LIMIT {limit:UInt32})
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    position,
    clicks,
    opened
FROM clicks_by
WHERE film_id IN top
ORDER BY sum(clicks) OVER (PARTITION BY film_id) DESC, film_id, clicks DESC, position
