-- Who was there: a row a bucket of time. What lies in {full} is counted by hours, which a projection has; the rest is read row by row.
SELECT
    begin AS begin_ms,
    groupBitmapMerge(part_people) AS users,
    uniqExactMerge(part_sessions) AS sessions,
    sum(part_clicks) AS events,
    sumIf(part_clicks, event_type = 'view') AS views,
    sumIf(part_clicks, event_type = 'detail_view') AS details,
    sumIf(part_clicks, event_type = 'watch_trailer') AS trailers,
    sumIf(part_clicks, event_type = 'add_to_watchlist') AS saved,
    groupBitmapMergeIf(part_people, device = 'web') AS web,
    groupBitmapMergeIf(part_people, device = 'mobile') AS mobile,
    groupBitmapMergeIf(part_people, device = 'tablet') AS tablet
FROM
(
    SELECT
        toInt64({bucket}) AS begin,
        device,
        event_type,
        count() AS part_clicks,
        groupBitmapState(user) AS part_people,
        uniqExactState(session) AS part_sessions
    FROM dvd_clicks_landing
    WHERE error = '' AND {full}
    GROUP BY begin, device, event_type
    UNION ALL
    SELECT
        toInt64({bucket}) AS begin,
        device,
        event_type,
        count() AS part_clicks,
        groupBitmapState(user) AS part_people,
        uniqExactState(session) AS part_sessions
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside}
    GROUP BY begin, device, event_type
)
GROUP BY begin
ORDER BY begin
