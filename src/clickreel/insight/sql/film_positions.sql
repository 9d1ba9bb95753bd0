-- The films with the most clicks, by the position in the list at which they stood.
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
    position,
    sum(part) AS clicks,
    sum(part_opened) AS opened
FROM
(
    SELECT film_id, position, count() AS part, countIf(event_type = 'detail_view') AS part_opened
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours} AND {days} AND film_id IN top
    GROUP BY film_id, position
    UNION ALL
    SELECT film_id, position, count() AS part, countIf(event_type = 'detail_view') AS part_opened
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours} AND film_id IN top
    GROUP BY film_id, position
)
GROUP BY film_id, position
ORDER BY sum(clicks) OVER (PARTITION BY film_id) DESC, film_id, clicks DESC, position
