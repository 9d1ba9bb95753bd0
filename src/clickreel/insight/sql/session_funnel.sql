-- Sessions that took the steps in their order, with whatever film; a step counts for a session that took every step before it.
WITH
    ['view', 'detail_view', 'watch_trailer', 'add_to_watchlist'] AS steps,
    events AS
    (
        -- Of the views of a session the first decides.
        SELECT session, toUnixTimestamp64Milli(first_view) AS ms, 'view' AS step
        FROM
        (
            SELECT session, minIf(event_ts, event_type = 'view') AS first_view
            FROM dvd_clicks_landing
            WHERE error = '' AND {full_hours}
            GROUP BY session
        )
        WHERE ms > 0
        UNION ALL
        SELECT session, toUnixTimestamp64Milli(minIf(event_ts, event_type = 'view')) AS ms, 'view' AS step
        FROM dvd_clicks_landing
        WHERE error = '' AND {outside_hours}
        GROUP BY session
        HAVING ms > 0
        UNION ALL
        SELECT {act_session} AS session, {act_ms} AS ms, event_type::String AS step
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type IN ('detail_view', 'watch_trailer', 'add_to_watchlist') AND {days}
            AND {act_ms} >= {from_ms:Int64} AND {act_ms} < {end_ms:Int64}
        GROUP BY session, ms, event_type
    ),
    levels AS
    (
        -- A hundred years: within the window however long after the first step.
        SELECT
            windowFunnel(3155760000000)(
                toUInt64(ms),
                step = 'view',
                step = 'detail_view',
                step = 'watch_trailer',
                step = 'add_to_watchlist'
            ) AS level
        FROM events
        GROUP BY session
    )
SELECT place, steps[place] AS event_type, reached[place] AS sessions
FROM (SELECT [countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)] AS reached FROM levels)
ARRAY JOIN [1, 2, 3, 4] AS place
ORDER BY place
