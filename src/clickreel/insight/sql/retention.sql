-- Of the people whose first event lies in a period, how many are there again so many periods later; periods are counted from a Monday, UTC.
-- The first event is looked for in everything that landed, not only in the window. A period is a number of whole hours.
WITH
    periods AS
    (
        SELECT intDiv(hours - 96, intDiv({period_s:Int64}, 3600)) AS period, groupBitmapMergeState(seen) AS people
        FROM
        (
            -- Whole days, where periods consist of such; the hours after them; the minutes after those.
            SELECT {day} * 24 AS hours, groupBitmapState(user) AS seen
            FROM dvd_clicks_landing
            WHERE error = '' AND {day} < intDiv({end_ms:Int64}, 86400000) * ({period_s:Int64} % 86400 = 0)
            GROUP BY hours
            UNION ALL
            SELECT {hour} AS hours, groupBitmapState(user) AS seen
            FROM dvd_clicks_landing
            WHERE error = '' AND {hours_before_end} AND {hour} >= intDiv({end_ms:Int64}, 86400000) * 24 * ({period_s:Int64} % 86400 = 0)
            GROUP BY hours
            UNION ALL
            SELECT {hour} AS hours, groupBitmapState(user) AS seen
            FROM dvd_clicks_landing
            WHERE error = '' AND {rest_before_end}
            GROUP BY hours
        )
        GROUP BY period
    ),
    cohorts AS
    (
        SELECT cohort, bitmapAndnot(met, known) AS people
        FROM
        (
            SELECT
                period AS cohort,
                people AS met,
                groupBitmapMergeState(people) OVER (ORDER BY period ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS known
            FROM periods
        )
    )
SELECT
    cohort * {period_s:Int64} * 1000 + 345600000 AS cohort_ms,
    period - cohort AS later,
    bitmapAndCardinality(cohorts.people, periods.people) AS people,
    people / max(people) OVER (PARTITION BY cohort) AS share
FROM cohorts
CROSS JOIN periods
WHERE cohort_ms >= {from_ms:Int64} AND later >= 0 AND people > 0
ORDER BY cohort, later
