-- The next film that a person opens for the first time, predicted from what they opened before {cut_ms}: the recommendation of recommend.sql
-- against popularity, both without the films already opened. At most {people} people, drawn by a hash.
WITH
    fromUnixTimestamp64Milli({cut_ms:Int64}, 'UTC') AS cut,
    opened AS
    (
        SELECT user, session, film_id, event_ts
        FROM dvd_clicks_landing
        WHERE error = '' AND event_type = 'detail_view'
            AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
            AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    ),
    answers AS
    (
        SELECT user, argMin(film_id, first) AS film_id
        FROM (SELECT user, film_id, min(event_ts) AS first FROM opened GROUP BY user, film_id)
        WHERE first >= cut AND user IN (SELECT user FROM opened WHERE event_ts < cut)
        GROUP BY user
        ORDER BY sipHash64(user)
        LIMIT {people:UInt32}
    ),
    seen AS
    (
        SELECT user, film_id, row_number() OVER (PARTITION BY user ORDER BY max(event_ts) DESC, film_id) AS place
        FROM opened
        WHERE event_ts < cut AND user IN (SELECT user FROM answers)
        GROUP BY user, film_id
    ),
    trained AS (SELECT DISTINCT session, film_id FROM opened WHERE event_ts < cut),
    met AS
    (
        SELECT one.film_id AS because, two.film_id AS film_id, count() AS together
        FROM trained AS one
        INNER JOIN trained AS two ON one.session = two.session
        GROUP BY because, film_id
    ),
    near AS
    (
        SELECT met.because AS because, met.film_id AS film_id, met.together / (alone.together + {shrink:Float64}) AS probability
        FROM met
        INNER JOIN (SELECT because, together FROM met WHERE because = film_id) AS alone ON alone.because = met.because
        WHERE met.because != met.film_id
    ),
    scored AS
    (
        SELECT user, film_id, score, row_number() OVER (PARTITION BY user ORDER BY score DESC, film_id) AS place
        FROM
        (
            SELECT seen.user AS user, near.film_id AS film_id, sum(pow({fade:Float64}, seen.place - 1) * near.probability) AS score
            FROM seen
            INNER JOIN near ON near.because = seen.film_id
            WHERE seen.place <= {memory:UInt32}
            GROUP BY user, film_id
        )
        WHERE (user, film_id) NOT IN (SELECT user, film_id FROM seen)
    ),
    popular AS
    (
        SELECT film_id, row_number() OVER (ORDER BY count() DESC, film_id) AS place
        FROM trained
        GROUP BY film_id
    ),
    -- The rank of the answer among the popular films that the person has not opened.
    popular_ranks AS
    (
        SELECT user, any(answer) - countIf(place < answer) AS place
        FROM
        (
            SELECT seen.user AS user, own.place AS answer, popular.place AS place
            FROM seen
            INNER JOIN popular ON popular.film_id = seen.film_id
            INNER JOIN answers ON answers.user = seen.user
            INNER JOIN popular AS own ON own.film_id = answers.film_id
        )
        GROUP BY user
    )
SELECT
    count() AS questions,
    avg(scored.place BETWEEN 1 AND 10) AS hit_rate_10,
    avg(popular_ranks.place BETWEEN 1 AND 10) AS popular_hit_rate_10
FROM answers
LEFT JOIN scored ON scored.user = answers.user AND scored.film_id = answers.film_id
LEFT JOIN popular_ranks ON popular_ranks.user = answers.user
SETTINGS join_use_nulls = 0
