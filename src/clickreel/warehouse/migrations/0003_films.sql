-- The films, loaded as a whole: readers see the newest load that is complete.
CREATE TABLE IF NOT EXISTS ref_dim_film
(
    film_id Int32,
    film_title String,
    release_year Int16 COMMENT '0 where it is not known',
    length_min Int16 COMMENT 'minutes; 0 where it is not known',
    rating LowCardinality(String),
    categories Array(LowCardinality(String)) COMMENT 'the main one first',
    loaded_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY film_id;

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
    QUERY 'SELECT film_id, film_title, release_year, length_min, rating, categories[1] AS category, categories FROM {database}.ref_dim_film FINAL WHERE loaded_at = (SELECT max(loaded_at) FROM {database}.ref_dim_film)'
))
LIFETIME(MIN 30 MAX 60)
LAYOUT(HASHED());
