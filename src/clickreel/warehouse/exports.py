"""Configuration by which an existing distributed engine lands the topic, generated from the contract, with what each guarantees in words.

``clickreel ingest`` is one process (or a few that share partitions). These are for who runs one of the engines anyway, or has more
traffic than a few processes land. None of them checks the contract, and only one of them can avoid both loss and doubles.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from clickreel.contract import ddl
from clickreel.profile import Profile

Kind = Literal["clickpipes", "kafka-engine", "connect-sink", "flink"]
KINDS: tuple[str, ...] = get_args(Kind)

# ClickPipes' own columns, as its tables carry them.
_VIRTUAL = {
    "_key": "String",
    "_timestamp": "DateTime64(3, 'UTC')",
    "_partition": "Int32",
    "_offset": "Int64",
    "_topic": "String",
    "_header_keys": "Array(String)",
    "_header_values": "Array(String)",
}
_SECRET = "<fill in>"  # noqa: S105 - a placeholder is no password


_KAFKA_ENGINE = """\
-- Kafka's side. Messages that cannot be parsed keep their offset and come with _error and _raw_message.
CREATE TABLE {topic}_queue
(
{body}
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{bootstrap}',
    kafka_topic_list = '{topic}',
    kafka_group_name = 'clickhouse-{topic}',
    kafka_format = 'JSONEachRow',
    kafka_handle_error_mode = 'stream',
    kafka_num_consumers = 1,
    kafka_max_block_size = 100000,
    kafka_flush_interval_ms = 500,
    kafka_thread_per_consumer = 1;

CREATE TABLE {topic}
(
{body},
{virtual}
)
ENGINE = MergeTree
ORDER BY (_partition, _offset);

CREATE TABLE {topic}_errors
(
    _partition Int32,
    _offset Int64,
    error String,
    raw String
)
ENGINE = MergeTree
ORDER BY (_partition, _offset);

CREATE MATERIALIZED VIEW {topic}_rows TO {topic} AS
SELECT
    {names},
    _key,
    _timestamp_ms AS _timestamp,
    toInt32(_partition) AS _partition,
    toInt64(_offset) AS _offset,
    _topic,
    _headers.name AS _header_keys,
    _headers.value AS _header_values
FROM {topic}_queue
WHERE empty(_error);

CREATE MATERIALIZED VIEW {topic}_bad TO {topic}_errors AS
SELECT toInt32(_partition) AS _partition, toInt64(_offset) AS _offset, _error AS error, _raw_message AS raw
FROM {topic}_queue
WHERE notEmpty(_error);
"""

_FLINK = """\
-- The topic. Its key is a bare JSON string, which Flink's JSON format cannot read: it is taken raw.
CREATE TABLE `{topic}` (
  `key` STRING,
{columns},
  `$rowtime` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `partition` INT METADATA VIRTUAL,
  `offset` BIGINT METADATA VIRTUAL,
  WATERMARK FOR `$rowtime` AS `$rowtime` - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = '{topic}',
  'properties.bootstrap.servers' = '{bootstrap}',
  'properties.group.id' = 'flink-{topic}',
  'scan.startup.mode' = 'earliest-offset',
  'key.format' = 'raw',
  'key.fields' = 'key',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY',
  'value.json.ignore-parse-errors' = 'true'
);

-- The table in ClickHouse, by a JDBC sink. The primary key is what makes a repeated row harmless there.
CREATE TABLE `{topic}_in_clickhouse` (
  `_partition` INT,
  `_offset` BIGINT,
{columns},
  PRIMARY KEY (`_partition`, `_offset`) NOT ENFORCED
) WITH (
  'connector' = 'jdbc',
  'url' = 'jdbc:clickhouse://{url}/{database}',
  'table-name' = '{topic}',
  'username' = '{user}',
  'password' = '{secret}',
  'sink.buffer-flush.max-rows' = '50000',
  'sink.buffer-flush.interval' = '1s'
);

SET 'execution.checkpointing.interval' = '10s';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';

INSERT INTO `{topic}_in_clickhouse`
SELECT `partition`, `offset`, {names} FROM `{topic}` WHERE `event_id` IS NOT NULL;
"""


@dataclass(frozen=True)
class Export:
    """A configuration.

    Attributes:
        kind: For which engine.
        suffix: Of the file that it is best kept in.
        text: The configuration. Secrets are placeholders.
        guarantees: What the engine promises and what it does not, a line each.
    """

    kind: str
    suffix: str
    text: str
    guarantees: tuple[str, ...]


def export(kind: Kind, profile: Profile, topic: str) -> Export:
    """The configuration for one engine.

    Args:
        kind: Which engine.
        profile: Where Kafka and ClickHouse are; its secrets are not written.
        topic: The topic.
    """
    return _EXPORTS[kind](profile, topic)


def _clickpipes(profile: Profile, topic: str) -> Export:
    columns = ddl.clickhouse_columns(style="clickpipes") | _VIRTUAL
    security = profile.kafka.get("sasl.mechanisms", "PLAIN")
    pipe = {
        "name": f"{topic} to ClickHouse",
        "source": {
            "kafka": {
                "type": "confluent" if "confluent.cloud" in profile.bootstrap else "kafka",
                "format": "JSONEachRow",
                "brokers": profile.bootstrap,
                "topics": topic,
                "consumerGroup": f"clickpipes-{topic}",
                "offset": {"strategy": "from_beginning"},
                "authentication": security,
                "credentials": {"username": profile.kafka.get("sasl.username", _SECRET), "password": _SECRET},
            }
        },
        "destination": {
            "database": profile.clickhouse_database,
            "table": topic,
            "managedTable": True,
            "tableDefinition": {"engine": {"type": "MergeTree"}, "sortingKey": ["event_ts", "_partition", "_offset"]},
            "columns": [{"name": name, "type": kind} for name, kind in columns.items()],
        },
        "fieldMappings": [{"sourceField": name, "destinationField": name} for name in columns],
        "settings": {"streaming_max_insert_wait_ms": 5000, "clickhouse_max_insert_threads": 1},
    }
    return Export(
        "clickpipes",
        "json",
        json.dumps(pipe, indent=2) + "\n",
        (
            (
                "POST it to https://api.clickhouse.cloud/v1/organizations/ORG/services/SERVICE/clickpipes with an API key; Terraform's "
                "clickhouse_clickpipe takes the same fields in snake_case."
            ),
            "At least once: after a failure the last blocks are inserted again, and rows are doubled. No offset is lost.",
            "To read each event once, query with LIMIT 1 BY _partition, _offset, or use ReplacingMergeTree ordered by them and FINAL.",
            "Visible after 5 s or 100,000 rows, whichever is first.",
            (
                "The contract is not enforced: a missing field becomes 0 or empty, a number out of range wraps; what cannot be parsed goes to an "
                "error table that is kept for 7 days and cannot be replayed."
            ),
            "A topic that is deleted and made again is read on from the old offset: make a new pipe for it.",
        ),
    )


_KAFKA_ENGINE_GUARANTEES = (
    "At least once: offsets are committed to Kafka after the insert, so a crash between the two inserts the block again.",
    "The two views are two inserts: after a crash one may hold a block that the other lacks, until it is read again.",
    "To read each event once, query with LIMIT 1 BY _partition, _offset.",
    (
        "With kafka_keeper_path and kafka_replica_name (ClickHouse 24.8 and later, experimental) offsets lie in Keeper and a retried "
        "block is the same block, which a Replicated table deduplicates: exactly once, as long as the dedup window holds."
    ),
    "Only what cannot be parsed is told as an error; a missing field becomes its type's default, an unknown word is stored.",
    "Brokers with SASL need a named collection or <kafka> in the server's configuration: passwords do not belong into this file.",
)


def _kafka_engine(profile: Profile, topic: str) -> Export:
    columns = ddl.clickhouse_columns()
    body = ",\n".join(f"    {name} {kind}" for name, kind in columns.items())
    virtual = ",\n".join(f"    {name} {kind}" for name, kind in _VIRTUAL.items())
    text = _KAFKA_ENGINE.format(
        topic=topic, body=body, virtual=virtual, bootstrap=profile.bootstrap, names=", ".join(columns)
    )
    return Export("kafka-engine", "sql", text, _KAFKA_ENGINE_GUARANTEES)


def _connect_sink(profile: Profile, topic: str) -> Export:
    address = urlsplit(profile.clickhouse_url or "https://HOST:8443")
    secure = address.scheme == "https"
    config = {
        "name": f"clickhouse-{topic}",
        "config": {
            "connector.class": "com.clickhouse.kafka.connect.ClickHouseSinkConnector",
            "tasks.max": "1",
            "topics": topic,
            "hostname": address.netloc.rpartition(":")[0] if address.port else address.netloc,
            "port": str(address.port or (8443 if secure else 8123)),
            "ssl": str(secure).lower(),
            "database": profile.clickhouse_database,
            "username": profile.clickhouse_user,
            "password": _SECRET,
            "exactlyOnce": "true",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": f"{topic}.dead-letters",
            "errors.deadletterqueue.context.headers.enable": "true",
            "consumer.override.max.poll.records": "50000",
            "clickhouseSettings": "async_insert=0,date_time_input_format=best_effort",
        },
    }
    return Export(
        "connect-sink",
        "json",
        json.dumps(config, indent=2) + "\n",
        (
            (
                "PUT the part under config to http://CONNECT:8083/connectors/NAME/config. Make the table first: "
                "clickreel export kafka-engine shows it."
            ),
            (
                "exactlyOnce=true: the state of each block is kept in a KeeperMap table (the server needs keeper_map_path_prefix), and a retried "
                "block is deduplicated by ClickHouse. Exactly once as long as the state table and the dedup window "
                "(replicated_deduplication_window, 10,000 blocks by default) hold; not on a server without Keeper."
            ),
            "exactlyOnce=false: at least once.",
            (
                "What cannot be parsed goes to a dead-letter topic, without the contract's reason; what breaks the contract and can be parsed is "
                "stored."
            ),
        ),
    )


def _flink(profile: Profile, topic: str) -> Export:
    columns = ",\n".join(f"  `{name}` {kind}" for name, kind in ddl.flink_columns().items())
    names = ", ".join(f"`{name}`" for name in ddl.flink_columns())
    address = urlsplit(profile.clickhouse_url or "https://HOST:8443")
    url = f"{address.netloc}{address.path.rstrip('/')}"
    text = _FLINK.format(
        topic=topic,
        columns=columns,
        names=names,
        bootstrap=profile.bootstrap,
        url=url,
        database=profile.clickhouse_database,
        user=profile.clickhouse_user,
        secret=_SECRET,
    )
    return Export(
        "flink",
        "sql",
        text,
        (
            "Flink's state is exactly once; the sink is not: after a restart everything since the last checkpoint is written again.",
            "With ENGINE = ReplacingMergeTree ORDER BY (_partition, _offset) in ClickHouse and FINAL in queries, each event is read once.",
            (
                "A record that cannot be parsed is dropped in silence, and a single bad field becomes NULL "
                "(json.ignore-parse-errors); without that option the first bad record ends the job."
            ),
            "It needs a JDBC connector and ClickHouse's driver in Flink's lib folder.",
        ),
    )


_EXPORTS: dict[str, Callable[[Profile, str], Export]] = {
    "clickpipes": _clickpipes,
    "kafka-engine": _kafka_engine,
    "connect-sink": _connect_sink,
    "flink": _flink,
}
assert tuple(_EXPORTS) == KINDS
