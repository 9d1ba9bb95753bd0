-- How many clicks, sessions and people each event type has, in whatever order it came.
SELECT event_type, sum(part) AS clicks, uniqExactMerge(part_sessions) AS sessions, groupBitmapMerge(part_people) AS people
FROM
(
    SELECT event_type, count() AS part, uniqExactState(session) AS part_sessions, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_hours}
    GROUP BY event_type
    UNION ALL
    SELECT event_type, count() AS part, uniqExactState(session) AS part_sessions, groupBitmapState(user) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_hours}
    GROUP BY event_type
)
GROUP BY event_type
ORDER BY indexOf(['view', 'detail_view', 'watch_trailer', 'add_to_watchlist'], event_type::String), event_type
