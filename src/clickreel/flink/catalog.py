"""The catalog that statements see: ``default``.``cluster_0`` with a table for each topic, made of the contract and the profile.

The names are those of the Flink workspace that the topic's first users have, so their SQL runs unchanged.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clickreel.contract import schema
from clickreel.contract.ddl import flink_type as scalar_type
from clickreel.contract.schema import as_object
from clickreel.errors import ClickreelError, ContractError, UnreachableError
from clickreel.flink import contract_sql
from clickreel.flink.contract_sql import ContractSql, compile_contract, compile_schema
from clickreel.flink.settings import FlinkSettings
from clickreel.profile import Profile

if TYPE_CHECKING:
    from clickreel.contract.schema_registry import Registry

CATALOG, DATABASE = "default", "cluster_0"
# Databases of the tables behind the view of a topic that is under the contract.
RAW_DATABASE, SINK_DATABASE = "raw_records", "writable"
ROWTIME, KEY = "$rowtime", "key"
# A word of ours in the schema of a key: whether the key's newest record replaces those before (upsert) or is added to them (append).
CHANGELOG_MODE = "x-changelog-mode"
_SECRET = re.compile(r"('properties\.[\w.]*(?:jaas|password|secret|key)[\w.]*' = )'(?:[^']|'')*'")
# How often a query looks for partitions that were added; Flink's default is five minutes.
_DISCOVERY, _PARTITION_DISCOVERY = "scan.topic-partition-discovery.interval", "10 s"


@dataclass(frozen=True)
class TopicTable:
    """A topic as a table.

    Attributes:
        name: Its name, by default equal to the topic's.
        columns: ``(name, Flink type)`` of the value's fields, in the schema's order.
        required: Fields that the schema requires.
        topic: The topic, where it has another name.
        primary_key: Fields by which a newer record replaces an older one; empty where records are only added.
        distributed_by: Fields that are the record's key where records are only added.
        has_contract: Whether its records are under the contract.
        accepted: Which records are its rows, where its contract or schema has a form in SQL; None where Flink's reader decides.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    required: frozenset[str] = field(default_factory=frozenset)
    topic: str = ""
    primary_key: tuple[str, ...] = ()
    distributed_by: tuple[str, ...] = ()
    has_contract: bool = False
    accepted: ContractSql | None = None

    @property
    def has_object_key(self) -> bool:
        """Whether its records' keys are objects made of its own fields; others have the key's text as column ``key``."""
        return bool(self.primary_key or self.distributed_by)

    @property
    def names(self) -> tuple[str, ...]:
        """All its columns."""
        return (*(() if self.has_object_key else (KEY,)), *(name for name, _ in self.columns), ROWTIME)


def table_from_schema(topic: str, value: Mapping[str, Any], key: Mapping[str, Any] | None = None) -> TopicTable:
    """The table of a topic whose value, and key, have these JSON schemas.

    Args:
        topic: The topic.
        value: A JSON schema of type object.
        key: The key's JSON schema; without one, or with one of no object, the key is text.

    Raises:
        ValueError: A property's name cannot be a column.
    """
    properties = {name: as_object(rules) or {} for name, rules in value.get("properties", {}).items()}
    odd = next((name for name in properties if not name.strip() or not name.isprintable()), None)
    if odd is not None:
        raise ValueError(f"a field named {odd!r} cannot be a column")
    columns = tuple((name, flink_type(rules)) for name, rules in properties.items() if name not in {KEY, ROWTIME})
    fields = tuple((key or {}).get("properties", {}))
    mode = (key or {}).get(CHANGELOG_MODE) if fields and set(fields) <= set(properties) else None
    has_contract = value == schema.current("value").body and key == schema.current("key").body
    accepted = compile_contract() if has_contract else compile_schema(value)
    return TopicTable(
        topic,
        columns,
        frozenset(value.get("required", ())),
        primary_key=fields if mode == "upsert" else (),
        distributed_by=fields if mode == "append" else (),
        has_contract=has_contract,
        accepted=None if mode or {KEY, ROWTIME} & set(properties) else accepted,
    )


def flink_type(rules: Mapping[str, Any]) -> str:
    """The Flink type of a property of any JSON schema; scalars as the contract's own, see :mod:`clickreel.contract.ddl`."""
    kind = rules.get("type")
    if isinstance(kind, list):  # ["string", "null"]: every column of ours may be NULL
        kind = next((word for word in kind if word != "null"), None)
    if kind == "object" and rules.get("properties"):
        inner = ", ".join(
            f"{quote_name(name)} {flink_type(as_object(part) or {})}" for name, part in rules["properties"].items()
        )
        return f"ROW<{inner}>"
    if kind == "array" and isinstance(rules.get("items"), dict):
        return f"ARRAY<{flink_type(rules['items'])}>"
    return scalar_type({**rules, "type": kind})


def contract_table() -> TopicTable:
    """The table of the contract's own topic."""
    return table_from_schema(schema.TOPIC, schema.current("value").body, schema.current("key").body)


def table_statements(table: TopicTable, profile: Profile, settings: FlinkSettings) -> list[str]:
    """The statements that make a topic a table. They hold the profile's secrets: never print them.

    A topic whose contract has a form in SQL is three things: a table of its raw bytes, a view of the records that the contract accepts,
    and a table to write to, both tables in databases of their own.
    """
    if table.accepted is None:
        return [create_table_sql(table, profile, settings)]
    sink = create_table_sql(table, profile, settings, SINK_DATABASE)
    return [_raw_table_sql(table, profile, settings), sink, accepted_view_sql(table, settings)]


def accepted_view_sql(table: TopicTable, settings: FlinkSettings, name: str = "", hint: str = "") -> str:
    """The view of the accepted records, for a table whose contract has a form in SQL.

    Args:
        table: The topic's table.
        settings: How it is read.
        name: The view's name; by default the table's.
        hint: A table hint, ``/*+ OPTIONS(...) */``, with which the topic is read.
    """
    assert table.accepted is not None
    source = f"{qualified_name(table.name, RAW_DATABASE)} {hint}".strip()
    ends = settings.bad_records == "fail"
    return contract_sql.view_sql(table.accepted, qualified_name(name or table.name), source, ends_at_refused=ends)


def _raw_table_sql(table: TopicTable, profile: Profile, settings: FlinkSettings) -> str:
    lines = (
        f"`{contract_sql.RAW_KEY}` STRING",
        f"`{contract_sql.RAW_VALUE}` STRING",
        f"`{contract_sql.PARTITION}` INT METADATA FROM 'partition' VIRTUAL",
        f"`{contract_sql.OFFSET}` BIGINT METADATA FROM 'offset' VIRTUAL",
        *_rowtime(settings),
    )
    options = {
        "connector": "kafka",
        "topic": table.topic or table.name,
        **connection_options(profile),
        **_range(settings),
        "key.format": "raw",
        "key.raw.charset": "ISO-8859-1",
        "key.fields": contract_sql.RAW_KEY,
        "value.format": "raw",
        "value.raw.charset": "ISO-8859-1",  # one character a byte: nothing is lost, and no byte is replaced
        "value.fields-include": "EXCEPT_KEY",
    }
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {qualified_name(table.name, RAW_DATABASE)} (\n  {body}\n) {with_clause(options)}"


def create_table_sql(table: TopicTable, profile: Profile, settings: FlinkSettings, database: str = DATABASE) -> str:
    """``CREATE TABLE`` for a topic. It holds the profile's secrets: never print it."""
    lines = [] if table.has_object_key else [f"{quote_name(KEY)} STRING"]
    lines += [
        f"{quote_name(name)} {kind}{' NOT NULL' if name in table.primary_key else ''}" for name, kind in table.columns
    ]
    lines += _rowtime(settings)
    if table.primary_key:
        lines.append(f"PRIMARY KEY ({', '.join(map(quote_name, table.primary_key))}) NOT ENFORCED")
    body = ",\n  ".join(lines)
    options = with_clause(table_options(table, profile, settings))
    return f"CREATE TABLE {qualified_name(table.name, database)} (\n  {body}\n) {options}"


def readable_create_table_sql(table: TopicTable, profile: Profile, settings: FlinkSettings) -> str:
    """:func:`create_table_sql` for people to read: the secrets are asterisks."""
    return mask_secrets(create_table_sql(table, profile, settings), profile)


def mask_secrets(text: str, profile: Profile) -> str:
    """A text about tables (their DDL, EXPLAIN) without the secrets of the connection."""
    # Flink doubles the quotes in what it shows, so a secret with a quote in it is not the text that the profile knows.
    return profile.mask(_SECRET.sub(r"\1'********'", text))


def _rowtime(settings: FlinkSettings) -> tuple[str, str]:
    return (
        f"{quote_name(ROWTIME)} TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL",
        f"WATERMARK FOR {quote_name(ROWTIME)} AS {quote_name(ROWTIME)} - {_interval(settings.watermark_s)}",
    )


def _range(settings: FlinkSettings) -> dict[str, str]:
    """Where reading begins, and where it ends; a reading without end notices partitions that are added."""
    start = "earliest-offset" if settings.start_from == "earliest" else "latest-offset"
    if settings.until_now:
        return {"scan.startup.mode": start, "scan.bounded.mode": "latest-offset"}
    return {"scan.startup.mode": start, _DISCOVERY: _PARTITION_DISCOVERY}


def table_options(table: TopicTable, profile: Profile, settings: FlinkSettings) -> dict[str, str]:
    """The table's options: the connection out of the profile, and how its records are read."""
    scanned = _range(settings)
    if table.primary_key:
        # Such a table is read from its first record, and its connector has no option of its own for the partitions.
        del scanned["scan.startup.mode"]
        if scanned.pop(_DISCOVERY, ""):
            scanned["properties.partition.discovery.interval.ms"] = "10000"
    if table.has_object_key:
        return {**created_table_options(table, profile), **scanned}
    strict = settings.bad_records == "fail"
    # Where every field is required a missing one is as bad as a broken one; Flink makes it NULL in silence unless told.
    whole = strict and table.required >= {name for name, _ in table.columns}
    return {
        "connector": "kafka",
        "topic": table.topic or table.name,
        **connection_options(profile),
        **scanned,
        # A key that is a bare JSON string cannot be read as JSON; it stays the text that it is, quotes included.
        "key.format": "raw",
        "key.fields": KEY,
        "value.format": "json",
        "value.fields-include": "EXCEPT_KEY",
        "value.json.ignore-parse-errors": "false" if strict else "true",
        "value.json.fail-on-missing-field": "true" if whole else "false",
        "value.json.timestamp-format.standard": "SQL",
    }


def created_table_options(table: TopicTable, profile: Profile) -> dict[str, str]:
    """The options of a table that a ``CREATE TABLE`` of ours made."""
    options = {
        "connector": "upsert-kafka" if table.primary_key else "kafka",
        "topic": table.topic or table.name,
        **connection_options(profile),
        "value.format": "json",
    }
    if table.has_object_key:
        options["key.format"] = "json"
    if table.distributed_by and not table.primary_key:
        options["key.fields"] = ";".join(table.distributed_by)
    return options


def connection_options(profile: Profile) -> dict[str, str]:
    """How Flink's Kafka clients reach the profile's cluster; holds its secrets.

    They read what is committed, as every reader here does: without this, records of aborted transactions are rows.
    """
    access = {f"properties.{name}": value for name, value in profile.java_properties().items()}
    return {**access, "properties.isolation.level": "read_committed"}


def with_clause(options: Mapping[str, str]) -> str:
    """``WITH (...)`` of a table."""
    lines = ",\n  ".join(f"{_quote_text(name)} = {_quote_text(value)}" for name, value in options.items())
    return f"WITH (\n  {lines}\n)"


def session_options(settings: FlinkSettings) -> dict[str, str]:
    """The settings of a session."""
    options = {"table.local-time-zone": "UTC"}
    # A bounded read needs no such rule, and would lose by it: a partition whose turn to be read comes late is not idle, but its records
    # would be behind the watermark, and windows drop those without a word.
    if settings.idle_partition_s > 0 and not settings.until_now:
        options["table.exec.source.idle-timeout"] = f"{settings.idle_partition_s * 1000:.0f} ms"
    return options


def catalog_statements() -> list[str]:
    """The statements that make the empty catalog of a new session."""
    return [
        f"CREATE CATALOG {quote_name(CATALOG)} WITH ('type' = 'generic_in_memory', 'default-database' = '{DATABASE}')",
        f"USE CATALOG {quote_name(CATALOG)}",
        *(f"CREATE DATABASE {quote_name(database)}" for database in (RAW_DATABASE, SINK_DATABASE)),
    ]


LeftOut = Callable[[str, str], None]
"""Called with a topic that is left out, and why."""


def registered_tables(profile: Profile, left_out: LeftOut = lambda _topic, _why: None) -> list[TopicTable]:
    """Every topic whose value has a JSON schema in the profile's registry, as tables; none where there is no registry.

    A registry that does not answer costs further tables, not the statement; a schema that cannot be a table costs that table.

    Args:
        profile: Names the registry.
        left_out: Told of each JSON schema that cannot be a table.
    """
    if not profile.registry_url:
        return []
    from clickreel.contract import schema_registry

    found = []
    with contextlib.suppress(UnreachableError, ContractError), schema_registry.connect(profile) as known:
        subjects = known.subjects()
        for topic in sorted(name.removesuffix("-value") for name in subjects if name.endswith("-value")):
            try:
                value = _json_schema(known, f"{topic}-value")
                key = _json_schema(known, f"{topic}-key") if f"{topic}-key" in subjects else None
                if value is not None and value.get("type") == "object":
                    found.append(table_from_schema(topic, value, key))
            except UnreachableError:
                raise
            except (ClickreelError, ValueError, TypeError, AttributeError, re.error, RecursionError) as exc:
                left_out(topic, str(exc) or type(exc).__name__)
    return found


def _json_schema(known: Registry, subject: str) -> Mapping[str, Any] | None:
    """The newest schema of a subject; None when it is no JSON schema with rules (Protobuf, Avro, ``true``)."""
    latest = known.schema(subject)
    rules = latest.rules if latest is not None else None
    return rules if isinstance(rules, dict) else None


def with_registered_versions(table: TopicTable, profile: Profile) -> TopicTable:
    """The contract's table, which also takes records that name another registered version of the topic's schema and keep it."""
    if not profile.registry_url:
        return table
    from clickreel.contract import schema_registry

    found: dict[int, Any] = {}
    subject = schema.subject("value", table.topic or table.name)
    with contextlib.suppress(ClickreelError), schema_registry.connect(profile) as known:
        for number in known.versions(subject):
            version = known.schema(subject, number)
            if version is not None and version.id is not None:
                found[version.id] = version.rules
    return replace(table, accepted=compile_contract(found)) if found else table


def profile_tables(profile: Profile, left_out: LeftOut = lambda _topic, _why: None) -> list[TopicTable]:
    """The tables of a profile: the contract's own, then those of further topics with a registered schema."""
    own = contract_table()
    further = [table for table in registered_tables(profile, left_out) if table.name != own.name]
    return [with_registered_versions(table, profile) if table.has_contract else table for table in (own, *further)]


def qualified_name(name: str, database: str = DATABASE) -> str:
    """A table's name with catalog and database."""
    return ".".join(quote_name(part) for part in (CATALOG, database, name))


def quote_name(name: str) -> str:
    """A name in backticks."""
    return f"`{name.replace('`', '``')}`"


def _interval(seconds: float) -> str:
    days, left = divmod(round(seconds * 1000), 86_400_000)
    hours, left = divmod(left, 3_600_000)
    minutes, left = divmod(left, 60_000)
    return f"INTERVAL '{days} {hours:02}:{minutes:02}:{left // 1000:02}.{left % 1000:03}' DAY TO SECOND"


def _quote_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
