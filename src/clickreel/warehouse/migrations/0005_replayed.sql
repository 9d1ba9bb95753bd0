-- By which schema a dead letter was replayed, so that whoever validates the row again can do it by the same one.
ALTER TABLE dvd_clicks_landing
    ADD COLUMN IF NOT EXISTS replayed_schema LowCardinality(String)
    COMMENT 'the text of the schema that a replayed dead letter keeps; empty for the current contract and for rows that were not replayed';

-- Messages that name a schema which could not be read from the registry: nothing is known of them yet, so they are no dead letters.
CREATE OR REPLACE VIEW dvd_clicks_dead_letters AS
SELECT
    _topic::String AS _topic,
    _topic_id::String AS _topic_id,
    _partition,
    _offset,
    _timestamp,
    error::String AS error,
    field::String AS field,
    rule::String AS rule,
    reason,
    raw_key AS key,
    raw_value AS value,
    CAST(_header_keys, 'Array(String)') AS _header_keys,
    _header_values,
    _inserted_at
FROM dvd_clicks_landing
WHERE error NOT IN ('', 'gap', 'undecided');

CREATE OR REPLACE VIEW dvd_clicks_undecided AS
SELECT
    _topic::String AS _topic,
    _topic_id::String AS _topic_id,
    _partition,
    _offset,
    _timestamp,
    error::String AS error,
    field::String AS field,
    rule::String AS rule,
    reason,
    raw_key AS key,
    raw_value AS value,
    CAST(_header_keys, 'Array(String)') AS _header_keys,
    _header_values,
    _inserted_at
FROM dvd_clicks_landing
WHERE error = 'undecided';
