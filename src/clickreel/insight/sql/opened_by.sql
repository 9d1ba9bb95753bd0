-- The films that a person has opened, a row a click, the latest first.
SELECT {act_film} AS film, {act_ms} AS ms
FROM dvd_clicks_landing
WHERE error = '' AND event_type = 'detail_view' AND {act_user} = {user:UInt64}
    AND {day} <= intDiv({end_ms:Int64} - 1, 86400000) AND {act_ms} < {end_ms:Int64}
GROUP BY film, ms
ORDER BY ms DESC, film
