-- Hours of the baseline in which any film was opened, counted back from the end of the window, to the minute.
SELECT uniqExact(intDiv({end_ms:Int64} - 1 - minute * 60000, 3600000))
FROM
(
    SELECT intDiv(toUnixTimestamp64Milli(event_ts), 60000) AS minute
    FROM dvd_clicks_landing
    WHERE error = '' AND event_type = 'detail_view'
        AND intDiv(toUnixTimestamp64Milli(event_ts), 60000) >= intDiv({end_ms:Int64} - {window_ms:Int64} - {baseline_ms:Int64}, 60000)
        AND intDiv(toUnixTimestamp64Milli(event_ts), 60000) < intDiv({end_ms:Int64} - {window_ms:Int64}, 60000)
    GROUP BY minute
)
