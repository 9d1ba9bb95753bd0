-- Sessions that took the steps in their order, with whatever film; a step counts for a session that took every step before it.
WITH
    ['view', 'detail_view', 'watch_trailer', 'add_to_watchlist'] AS steps,
    levels AS
    (
        SELECT
            windowFunnel(21600000)(
                toUInt64(toUnixTimestamp64Milli(event_ts)),
                event_type = 'view',
                event_type = 'detail_view',
                event_type = 'watch_trailer',
                event_type = 'add_to_watchlist'
            ) AS level
        FROM dvd_clicks_landing
        WHERE error = ''
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY session
    )
SELECT place, steps[place] AS event_type, reached[place] AS sessions
FROM (SELECT [countIf(level >= 1), countIf(level >= 2), countIf(level >= 3), countIf(level >= 4)] AS reached FROM levels)
ARRAY JOIN [1, 2, 3, 4] AS place
ORDER BY place
