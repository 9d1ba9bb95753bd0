-- Clicks by category. A film counts once in each of its categories, so these add up to more than all clicks: the share is of all clicks,
-- each counted once. Films that the dictionary does not know are in the category ''.
WITH
    films AS
    (
        SELECT
            film_id,
            arrayDistinct(dictGetOrDefault('dvd_films', 'categories', toUInt64(film_id), emptyArrayString())) AS categories,
            count() AS film_clicks
        FROM dvd_clicks_landing
        WHERE error = ''
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY film_id
    )
SELECT
    arrayJoin(empty(categories) ? [''] : categories) AS category,
    sum(film_clicks) AS clicks,
    count() AS films,
    clicks / (SELECT sum(film_clicks) FROM films) AS share
FROM films
GROUP BY category
ORDER BY clicks DESC, category
LIMIT {limit:UInt32}
