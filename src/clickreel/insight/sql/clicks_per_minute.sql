-- Clicks by the minute in which they happened; minutes without any are left out.
SELECT minute * 60000 AS begin_ms, sum(part_clicks) AS clicks, groupBitmapMerge(part_people) AS people
FROM
(
    SELECT {minute} AS minute, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_minutes}
    GROUP BY minute
    UNION ALL
    SELECT {minute} AS minute, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_minutes}
    GROUP BY minute
)
GROUP BY minute
ORDER BY minute
