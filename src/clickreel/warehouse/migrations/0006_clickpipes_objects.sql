-- The films, a row each, under a name of their own: what is loaded, and what the dictionary reads.
CREATE TABLE IF NOT EXISTS dvd_films_loaded
(
    film_id Int32,
    film_title String,
    release_year Int16 COMMENT '0 where it is not known',
    length_min Int16 COMMENT 'minutes; 0 where it is not known',
    rating LowCardinality(String),
    rental_duration Int16 COMMENT 'days; 0 where it is not known',
    categories Array(LowCardinality(String)) COMMENT 'the main one first',
    loaded_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY film_id;

-- The view that takes this name below has these columns too, so that this can be run again.
INSERT INTO dvd_films_loaded
SELECT film_id, film_title, release_year, length_min, rating, 0, categories, loaded_at
FROM ref_dim_film
LIMIT 1 BY film_id;

CREATE OR REPLACE DICTIONARY dvd_films
(
    film_id UInt64,
    film_title String,
    release_year Int16,
    length_min Int16,
    rating String,
    category String,
    categories Array(String)
)
PRIMARY KEY film_id
SOURCE(CLICKHOUSE(
    {credentials}
    QUERY 'SELECT film_id, film_title, release_year, length_min, rating, categories[1] AS category, categories FROM {database}.dvd_films_loaded FINAL'
))
LIFETIME(MIN 30 MAX 60)
LAYOUT(HASHED());

-- A row for each film and category, as a join on film_id that groups by category needs it; dvd_films has a row a film.
CREATE OR REPLACE VIEW ref_dim_film AS
SELECT
    film_id::Int64 AS film_key,
    film_id,
    film_title AS title,
    release_year,
    length_min AS length,
    rating::String AS rating,
    rental_duration,
    arrayJoin(empty(categories) ? [''] : arrayDistinct(categories))::String AS category_name,
    film_title,
    length_min,
    categories,
    loaded_at
FROM dvd_films_loaded FINAL;

-- Clicks by minute, category and film, computed when asked: never behind the landing table, late events and replays are in their own minute.
-- A film counts once in each of its categories; one that no catalogue knows is in the category ''.
CREATE OR REPLACE VIEW mv_clicks_per_min_by_category_and_film AS
SELECT
    window_start,
    arrayJoin(empty(film_categories) ? [''] : film_categories) AS category_name,
    film_id,
    title,
    click_count
FROM
(
    SELECT
        toStartOfMinute(event_ts)::DateTime('UTC') AS window_start,
        film_id::Int64 AS film_id,
        dictGetOrDefault('dvd_films', 'film_title', toUInt64(film_id), '') AS title,
        arrayDistinct(dictGetOrDefault('dvd_films', 'categories', toUInt64(film_id), emptyArrayString())) AS film_categories,
        count() AS click_count
    FROM dvd_clicks_landing
    WHERE error = ''
    GROUP BY window_start, film_id
);

-- The messages that broke the contract, beside the table as a pipe has them.
CREATE OR REPLACE VIEW dvd_clicks_clickpipes_error AS
SELECT *
FROM dvd_clicks_dead_letters;
