-- Of the people whose first event lies in a period, how many are there again so many periods later; periods are counted from a Monday, UTC.
-- The first event is looked for in everything that landed, not only in the window.
WITH
    periods AS
    (
        SELECT user, intDiv(toUnixTimestamp64Milli(event_ts) - 345600000, {period_s:Int64} * 1000) AS period
        FROM dvd_clicks_landing
        WHERE error = '' AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY user, period
    ),
    people AS (SELECT min(period) AS cohort, arrayJoin(groupArray(period)) - cohort AS later FROM periods GROUP BY user)
SELECT
    cohort * {period_s:Int64} * 1000 + 345600000 AS cohort_ms,
    later,
    count() AS people,
    people / max(people) OVER (PARTITION BY cohort) AS share
FROM people
WHERE cohort_ms >= {from_ms:Int64}
GROUP BY cohort, later
ORDER BY cohort, later
