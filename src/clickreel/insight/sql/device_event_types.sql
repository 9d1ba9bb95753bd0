-- Clicks from each device to each event type: the links of a sankey.
SELECT device, event_type, sum(part_clicks) AS clicks
FROM
(
    SELECT device, event_type, count() AS part_clicks
    FROM dvd_clicks_landing
    WHERE error = '' AND {full_minutes}
    GROUP BY device, event_type
    UNION ALL
    SELECT device, event_type, count() AS part_clicks
    FROM dvd_clicks_landing
    WHERE error = '' AND {outside_minutes}
    GROUP BY device, event_type
)
GROUP BY device, event_type
ORDER BY clicks DESC, device, event_type
