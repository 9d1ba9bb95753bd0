-- The first hour from which on at most {most} films were opened before the end of the window, or the newest one that has any; 0 when the
-- whole window has no more. The hours' projection counts them.
SELECT if(max(openings) <= {most:UInt64}, 0, minIf(hour, openings <= {most:UInt64} OR back = 1))
FROM
(
    SELECT
        hour,
        sum(clicks) OVER (ORDER BY hour DESC) AS openings,
        row_number() OVER (ORDER BY hour DESC) AS back
    FROM
    (
        SELECT intDiv(toUnixTimestamp64Milli(event_ts), 3600000) AS hour, count() AS clicks
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND intDiv(toUnixTimestamp64Milli(event_ts), 3600000) >= intDiv({from_ms:Int64}, 3600000)
            AND intDiv(toUnixTimestamp64Milli(event_ts), 3600000) <= intDiv({end_ms:Int64} - 1, 3600000)
        GROUP BY hour
    )
)
