-- A repeated delivery: a good message whose event (event id and event time) has landed before, at another offset. Its row keeps all columns and
-- says error = 'repeated', so whoever asks for error = '' (charts, projections, views) counts each event once. Nothing is wrong with it, so
-- it is no dead letter. How ingest finds them: docs/adr/0053.
ALTER TABLE dvd_clicks_landing
    COMMENT COLUMN error 'why the row is no event: contract, schema, gap, undecided, repeated; empty for a good one';

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
WHERE error NOT IN ('', 'gap', 'undecided', 'repeated');
