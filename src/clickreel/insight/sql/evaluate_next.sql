-- The next film opened in a session, predicted from the film opened last: item-kNN against popularity, trained before {cut_ms}, asked after.
WITH
    fromUnixTimestamp64Milli({cut_ms:Int64}, 'UTC') AS cut,
    opened AS
    (
        SELECT session, film_id, event_ts
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    ),
    trained AS (SELECT DISTINCT session, film_id FROM opened WHERE event_ts < cut),
    near AS
    (
        SELECT film, next, row_number() OVER (PARTITION BY film ORDER BY together DESC, next) AS place
        FROM
        (
            SELECT one.film_id AS film, two.film_id AS next, count() AS together
            FROM trained AS one
            INNER JOIN trained AS two ON one.session = two.session
            WHERE film != next
            GROUP BY film, next
            ORDER BY film, together DESC, next
            LIMIT {depth:UInt32} BY film
        )
    ),
    popular AS
    (
        SELECT film_id AS next, row_number() OVER (ORDER BY count() DESC, film_id) AS place
        FROM opened
        WHERE event_ts < cut
        GROUP BY film_id
    ),
    asked AS
    (
        SELECT pair.1 AS film, pair.2 AS next
        FROM
        (
            SELECT arrayMap(x -> (x.2, x.3), arraySort(groupArray((event_ts, film_id, event_ts >= cut)))) AS clicks
            FROM opened
            GROUP BY session
            HAVING length(clicks) > 1
        )
        ARRAY JOIN arrayFilter(
            pair -> pair.3,
            arrayMap((one, two) -> (one.1, two.1, one.2), arrayPopBack(clicks), arrayPopFront(clicks))
        ) AS pair
    ),
    ranked AS
    (
        SELECT
            if(near.place = 0, {depth:UInt32} + 1, near.place) AS by_neighbour,
            if(popular.place = 0, {depth:UInt32} + 1, popular.place) AS by_popularity
        FROM asked
        LEFT JOIN near ON near.film = asked.film AND near.next = asked.next
        LEFT JOIN popular ON popular.next = asked.next
    )
SELECT
    count() AS questions,
    avg(by_neighbour <= 10) AS hit_rate_10,
    avg(by_neighbour <= 20) AS hit_rate_20,
    avg(by_neighbour <= {depth:UInt32} ? 1 / by_neighbour : 0) AS mrr_20,
    avg(by_popularity <= 10) AS popular_hit_rate_10,
    avg(by_popularity <= 20) AS popular_hit_rate_20,
    avg(by_popularity <= {depth:UInt32} ? 1 / by_popularity : 0) AS popular_mrr_20
FROM ranked
SETTINGS join_use_nulls = 0
