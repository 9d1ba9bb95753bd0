-- The films with the most clicks, by where their clicks came from.
WITH top AS
(
    SELECT film_id
    FROM
    (
        SELECT film_id, count() AS clicks FROM dvd_clicks_landing WHERE error = '' AND {full_hours} AND {days} GROUP BY film_id
        UNION ALL
        SELECT film_id, count() AS clicks FROM dvd_clicks_landing WHERE error = '' AND {outside_hours} GROUP BY film_id
    )
    GROUP BY film_id
    ORDER BY sum(clicks) DESC, film_id
    LIMIT {limit:UInt32}
)
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    referrer,
    sum(part) AS clicks,
    sum(part_opened) AS opened
FROM
(
    SELECT film_id, referrer, count() AS part, countIf(event_type = 'detail_view') AS part_opened
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours} AND {days} AND film_id IN top
    GROUP BY film_id, referrer
    UNION ALL
    SELECT film_id, referrer, count() AS part, countIf(event_type = 'detail_view') AS part_opened
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours} AND film_id IN top
    GROUP BY film_id, referrer
)
GROUP BY film_id, referrer
ORDER BY sum(clicks) OVER (PARTITION BY film_id) DESC, film_id, clicks DESC, referrer
