-- Films opened in the sessions in which this one was opened: together / alone is the probability that a session has both.
WITH
    opened AS
    (
        SELECT DISTINCT session, film_id
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    ),
    mine AS (SELECT session FROM opened WHERE film_id = {film:Int32})
SELECT
    film_id,
    dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
    count() AS together,
    together / (SELECT count() FROM mine) AS probability
FROM opened
WHERE film_id != {film:Int32} AND session IN (SELECT session FROM mine)
GROUP BY film_id
ORDER BY together DESC, film_id
LIMIT {limit:UInt32}
