-- One row per Kafka offset, good or dead. Everything about an offset is in this row, and a row is never written twice.
--
-- No PARTITION BY: an INSERT of one block into one table partition is one part, so it is stored whole or not at all.
-- Ordered by offset: blocks arrive in this order, so nothing is sorted at insert, neighbours compress well, an audit reads a range, and
-- no column that a replay may have to change is part of the key. Time is found by the minmax index (offsets and time rise together),
-- film and session by the bloom filters. See docs/adr for the orders that were measured.
CREATE TABLE IF NOT EXISTS dvd_clicks_landing
(
    _topic LowCardinality(String),
    _topic_id LowCardinality(String) COMMENT 'changes when the topic is deleted and made again',
    _partition Int32,
    _offset Int64 CODEC(Delta, LZ4),
    _timestamp DateTime64(3, 'UTC') CODEC(Delta, LZ4) COMMENT 'the record''s timestamp in Kafka',
    _header_keys Array(LowCardinality(String)),
    _header_values Array(String),
    event_id UUID,
    event_ts DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    user UInt64 CODEC(T64, LZ4) COMMENT 'n of u_<n>',
    session UInt32 COMMENT 'the hex digits of s_<8 hex>',
    film_id Int32 CODEC(T64, LZ4),
    event_type LowCardinality(String),
    page LowCardinality(String),
    position Int16 CODEC(T64, LZ4),
    device LowCardinality(String),
    referrer LowCardinality(String),
    extra String COMMENT 'fields that a newer schema allows beyond the ten above, as a JSON object; else empty',
    error LowCardinality(String) COMMENT 'why the row is dead: contract, schema, gap; empty for a good one',
    field LowCardinality(String) COMMENT 'the field at fault, or key, or value',
    rule LowCardinality(String) COMMENT 'the broken rule of the contract',
    reason String COMMENT 'what is wrong, in words',
    raw_key Nullable(String) CODEC(ZSTD(3)) COMMENT 'the key''s bytes; null for a good row unless raw bytes are kept, and where the record has no key',
    raw_value Nullable(String) CODEC(ZSTD(3)) COMMENT 'the value''s bytes; null for a good row unless raw bytes are kept, and for a record without value',
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') CODEC(Delta, LZ4),
    INDEX by_time event_ts TYPE minmax GRANULARITY 1,
    INDEX by_film film_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    -- Where each partition ends and whether it is complete, without reading rows: if count, sum and sum of squares are those of an
    -- unbroken run from first to last, then so are the offsets.
    PROJECTION offsets
    (
        SELECT
            _topic_id,
            _partition,
            min(_offset),
            max(_offset),
            count(),
            sum(toUInt64(_offset)),
            sum(toUInt64(_offset) * toUInt64(_offset))
        GROUP BY _topic_id, _partition
    )
)
ENGINE = MergeTree
ORDER BY (_topic_id, _partition, _offset)
-- The last one: without it a DELETE is refused on a table that has projections.
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, lightweight_mutation_projection_mode = 'rebuild';

-- Who writes a partition: the newest claim holds. A writer claims at each assignment, before it asks where to go on.
CREATE TABLE IF NOT EXISTS dvd_clicks_claims
(
    topic LowCardinality(String),
    topic_id String,
    partition Int32,
    claim UInt64 COMMENT 'rises; two writers that claim the same number are told apart by token',
    token UInt64,
    group_id String,
    generation Int64 COMMENT 'generation of the consumer group, for people',
    writer String COMMENT 'host, process and instance, for people',
    first_offset Int64 COMMENT 'what lies before is not expected to land: the oldest offset when the partition was first claimed',
    claimed_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (topic_id, partition, claim, token)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What ingest inserts into: a block of rows, each with its writer's claim. Keeps nothing.
CREATE TABLE IF NOT EXISTS dvd_clicks_in
(
    _topic LowCardinality(String),
    _topic_id LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _timestamp DateTime64(3, 'UTC'),
    _header_keys Array(String),
    _header_values Array(String),
    event_id UUID,
    event_ts DateTime64(3, 'UTC'),
    user UInt64,
    session UInt32,
    film_id Int32,
    event_type LowCardinality(String),
    page LowCardinality(String),
    position Int16,
    device LowCardinality(String),
    referrer LowCardinality(String),
    extra String,
    error LowCardinality(String),
    field LowCardinality(String),
    rule LowCardinality(String),
    reason String,
    raw_key Nullable(String),
    raw_value Nullable(String),
    _token UInt64
)
ENGINE = Null;

-- The fence. The set of newest claims is read when the INSERT starts; a row whose claim is not among them refuses the whole block.
-- One view, one target: what is refused or crashes leaves nothing behind.
CREATE MATERIALIZED VIEW IF NOT EXISTS dvd_clicks_fence TO dvd_clicks_landing AS
SELECT * EXCEPT (_token)
FROM dvd_clicks_in
WHERE throwIf(
    (toString(_topic_id), _partition, _token) NOT IN (
        SELECT topic_id, partition, argMax(token, (claim, token))
        FROM dvd_clicks_claims
        GROUP BY topic_id, partition
    ),
    'clickreel: fenced, another writer has claimed the partition'
) = 0;
