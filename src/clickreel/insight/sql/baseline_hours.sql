-- Hours of the baseline in which any film was opened, counted back from the end of the window.
SELECT uniqExact(intDiv({end_ms:Int64} - 1 - toUnixTimestamp64Milli(event_ts), 3600000))
FROM dvd_clicks_landing
WHERE error = '' AND event_type = 'detail_view'
    AND event_ts >= fromUnixTimestamp64Milli({end_ms:Int64} - {window_ms:Int64} - {baseline_ms:Int64}, 'UTC')
    AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64} - {window_ms:Int64}, 'UTC')
