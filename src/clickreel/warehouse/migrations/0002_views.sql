-- What a ClickPipes pipe would have made of the topic: the same names and types, so queries written for its table run here unchanged.
CREATE OR REPLACE VIEW dvd_clicks AS
SELECT
    device::String AS device,
    toString(event_id) AS event_id,
    CAST(event_ts, 'DateTime64(9)') AS event_ts,
    event_type::String AS event_type,
    film_id::Int64 AS film_id,
    page::String AS page,
    position::Int64 AS position,
    referrer::String AS referrer,
    concat('s_', leftPad(lower(hex(session)), 8, '0')) AS session_id,
    concat('u_', toString(user)) AS user_id,
    ifNull(raw_key, concat('"u_', toString(user), '"')) AS _key,
    CAST(_timestamp, 'DateTime64(3)') AS _timestamp,
    _partition,
    _offset,
    _topic::String AS _topic,
    CAST(_header_keys, 'Array(String)') AS _header_keys,
    _header_values
FROM dvd_clicks_landing
WHERE error = '';

-- The messages that broke the contract, with what is wrong and their bytes. Offsets that Kafka never served are no messages.
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
WHERE error NOT IN ('', 'gap');
