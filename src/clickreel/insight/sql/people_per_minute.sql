-- People who open a film for the first time on a UTC day, by film: each day of the baseline as a whole (minute -1), the days after it by
-- minute. By category the same with a film's categories in its place; a person counts once a day in each.
SELECT
    {item} AS item,
    day AS day_number,
    toInt32(-1) AS minute,
    groupBitmapMerge(part_people) AS people
FROM
(
    SELECT {act_film} AS film, {day} AS day, groupBitmapState({act_user}) AS part_people
    FROM dvd_clicks_landing
    WHERE error = '' AND event_type = 'detail_view'
        AND {day} >= intDiv({baseline_ms:Int64}, 86400000) AND {day} < intDiv({minutes_ms:Int64}, 86400000)
    GROUP BY film, day
)
GROUP BY item, day_number
UNION ALL
SELECT
    item,
    day_number,
    toInt32(intDiv(first_ms - {minutes_ms:Int64}, 60000)) AS minute,
    count() AS people
FROM
(
    SELECT {item} AS item, intDiv(ms, 86400000) AS day_number, min(ms) AS first_ms
    FROM
    (
        SELECT {act_film} AS film, {act_user} AS person, {act_ms} AS ms
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND {day} >= intDiv({minutes_ms:Int64}, 86400000) AND {day} <= intDiv({end_ms:Int64} - 1, 86400000)
            AND {act_ms} < {end_ms:Int64}
        GROUP BY film, person, ms
    )
    GROUP BY item, day_number, person
)
GROUP BY item, day_number, minute
