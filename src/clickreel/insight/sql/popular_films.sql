-- The films with the most clicks of any type.
WITH top AS
(
    SELECT film_id
    FROM
    (
        SELECT film_id, count() AS part_clicks FROM dvd_clicks_landing WHERE error = '' AND {full_hours} AND {days} GROUP BY film_id
        UNION ALL
        SELECT film_id, count() AS part_clicks FROM dvd_clicks_landing WHERE error = '' AND {outside_hours} GROUP BY film_id
    )
    GROUP BY film_id
    ORDER BY sum(part_clicks) DESC, film_id
    LIMIT {limit:UInt32}
)
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    sum(part_clicks) AS clicks,
    sum(part_opened) AS opened,
    groupBitmapMerge(part_people) AS people
FROM
(
    SELECT film_id, count() AS part_clicks, countIf(event_type = 'detail_view') AS part_opened, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours} AND {days} AND film_id IN top
    GROUP BY film_id
    UNION ALL
    SELECT film_id, count() AS part_clicks, countIf(event_type = 'detail_view') AS part_opened, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours} AND film_id IN top
    GROUP BY film_id
)
GROUP BY film_id
ORDER BY clicks DESC, film_id
