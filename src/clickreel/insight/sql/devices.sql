-- Clicks and people by device; a person with two devices counts in both.
SELECT device, sum(part_clicks) AS clicks, groupBitmapMerge(part_people) AS people, clicks / sum(clicks) OVER () AS share
FROM
(
    SELECT device, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours}
    GROUP BY device
    UNION ALL
    SELECT device, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours}
    GROUP BY device
)
GROUP BY device
ORDER BY clicks DESC, device
