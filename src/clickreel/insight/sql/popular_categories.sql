-- Clicks by category. A film counts once in each of its categories, so these add up to more than all clicks: the share is of all clicks,
-- each counted once. Films that the dictionary does not know are in the category ''.
WITH
    films AS
    (
        SELECT
            film_id,
            arrayDistinct(dictGetOrDefault('dvd_films', 'categories', toUInt64(film_id), emptyArrayString())) AS categories,
            sum(part) AS film_clicks
        FROM
        (
            SELECT film_id, count() AS part FROM dvd_clicks_landing WHERE error = '' AND {full_hours} AND {days} GROUP BY film_id
            UNION ALL
            SELECT film_id, count() AS part FROM dvd_clicks_landing WHERE error = '' AND {outside_hours} GROUP BY film_id
        )
        GROUP BY film_id
    )
SELECT
    arrayJoin(empty(categories) ? [''] : categories) AS category,
    sum(film_clicks) AS clicks,
    count() AS films,
    clicks / any(total) AS share
FROM (SELECT *, sum(film_clicks) OVER () AS total FROM films)
GROUP BY category
ORDER BY clicks DESC, category
LIMIT {limit:UInt32}
