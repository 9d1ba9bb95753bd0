-- Clicks and people by weekday (1 is Monday) and hour, UTC; a person counts once in each.
SELECT
    toDayOfWeek(toDateTime(hours * 3600, 'UTC')) AS weekday,
    toHour(toDateTime(hours * 3600, 'UTC')) AS hour,
    sum(part_clicks) AS clicks,
    groupBitmapMerge(part_people) AS people
FROM
(
    SELECT {hour} AS hours, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours}
    GROUP BY hours
    UNION ALL
    SELECT {hour} AS hours, count() AS part_clicks, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours}
    GROUP BY hours
)
GROUP BY weekday, hour
ORDER BY weekday, hour
