"""The catalog that statements see: ``default``.``cluster_0`` with a table for each topic, made of the contract and the profile.

The names are those of the Flink workspace that the topic's first users have, so their SQL runs unchanged.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickreel.contract import schema
from clickreel.contract.ddl import flink_type as scalar_type
from clickreel.contract.schema import as_object
from clickreel.errors import ContractError, UnreachableError
from clickreel.flink.settings import FlinkSettings
from clickreel.profile import Profile

_LOG = logging.getLogger(__name__)

CATALOG, DATABASE = "default", "cluster_0"
ROWTIME, KEY = "$rowtime", "key"


@dataclass(frozen=True)
class TopicTable:
    """A topic as a table.

    Attributes:
        name: Its name, by default equal to the topic's.
        columns: ``(name, Flink type)`` of the value's fields, in the schema's order.
        required: Fields that the schema requires.
        topic: The topic, where it has another name.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    required: frozenset[str] = field(default_factory=frozenset)
    topic: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All its columns."""
        return (KEY, *(name for name, _ in self.columns), ROWTIME)


def table_from_schema(topic: str, body: Mapping[str, Any]) -> TopicTable:
    """The table of a topic whose value has this JSON schema.

    Args:
        topic: The topic.
        body: A JSON schema of type object.

    Raises:
        ContractError: A field has a name that no column can have.
    """
    fields = {name: as_object(rules) or {} for name, rules in body.get("properties", {}).items()}
    odd = next((name for name in fields if not name.strip() or not name.isprintable()), None)
    if odd is not None:
        raise ContractError(
            f"{topic}-value has a field named {odd!r}, which no table can have", hint="name another topic"
        )
    columns = tuple((name, flink_type(rules)) for name, rules in fields.items() if name not in {KEY, ROWTIME})
    return TopicTable(topic, columns, frozenset(body.get("required", ())))


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
    return table_from_schema(schema.TOPIC, schema.current("value").body)


def create_table_sql(table: TopicTable, profile: Profile, settings: FlinkSettings) -> str:
    """``CREATE TABLE`` for a topic. It holds the profile's secrets: never print it."""
    lines = [f"{quote_name(KEY)} STRING", *(f"{quote_name(name)} {kind}" for name, kind in table.columns)]
    lines.append(f"{quote_name(ROWTIME)} TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL")
    lines.append(f"WATERMARK FOR {quote_name(ROWTIME)} AS {quote_name(ROWTIME)} - {_interval(settings.watermark_s)}")
    body = ",\n  ".join(lines)
    return f"CREATE TABLE {qualified_name(table.name)} (\n  {body}\n) {with_clause(table_options(table, profile, settings))}"


def table_options(table: TopicTable, profile: Profile, settings: FlinkSettings) -> dict[str, str]:
    """The table's options: the connection out of the profile, and how its records are read."""
    strict = settings.bad_records == "fail"
    # Where every field is required a missing one is as bad as a broken one; Flink makes it NULL in silence unless told.
    whole = strict and table.required >= {name for name, _ in table.columns}
    return {
        "connector": "kafka",
        "topic": table.topic or table.name,
        **connection_options(profile),
        "scan.startup.mode": "earliest-offset" if settings.start_from == "earliest" else "latest-offset",
        **({"scan.bounded.mode": "latest-offset"} if settings.until_now else {}),
        # A key that is a bare JSON string cannot be read as JSON; it stays the text that it is, quotes included.
        "key.format": "raw",
        "key.fields": KEY,
        "value.format": "json",
        "value.fields-include": "EXCEPT_KEY",
        "value.json.ignore-parse-errors": "false" if strict else "true",
        "value.json.fail-on-missing-field": "true" if whole else "false",
        "value.json.timestamp-format.standard": "SQL",
    }


def connection_options(profile: Profile) -> dict[str, str]:
    """How Flink's Kafka clients reach the profile's cluster; holds its secrets."""
    return {f"properties.{name}": value for name, value in profile.java_properties().items()}


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


def setup_statements(tables: Sequence[TopicTable], profile: Profile, settings: FlinkSettings) -> list[str]:
    """The statements that make the catalog of a new session."""
    return [
        f"CREATE CATALOG {quote_name(CATALOG)} WITH ('type' = 'generic_in_memory', 'default-database' = '{DATABASE}')",
        f"USE CATALOG {quote_name(CATALOG)}",
        *(create_table_sql(table, profile, settings) for table in tables),
    ]


def registered_tables(profile: Profile) -> list[TopicTable]:
    """Every topic whose value has a JSON schema in the profile's registry, as tables; none where there is no registry.

    A registry that does not answer costs further tables, not the statement.
    """
    if not profile.registry_url:
        return []
    from clickreel.contract import schema_registry

    found = []
    with contextlib.suppress(UnreachableError), schema_registry.connect(profile) as known:
        for subject in sorted(name for name in known.subjects() if name.endswith("-value")):
            try:
                latest = known.schema(subject)
                if latest is not None and latest.body.get("type") == "object":
                    found.append(table_from_schema(subject.removesuffix("-value"), latest.body))
            except (
                ContractError
            ) as exc:  # Avro, Protobuf, a field without a name: one foreign schema costs its own table
                _LOG.warning("no table for %s: %s", subject.removesuffix("-value"), exc.message)
            except (ValueError, TypeError, AttributeError) as exc:  # rules of no form that a schema has
                _LOG.warning("no table for %s: its schema does not work: %r", subject.removesuffix("-value"), exc)
    return found


def profile_tables(profile: Profile) -> list[TopicTable]:
    """The tables of a profile: the contract's own, then those of further topics with a registered schema."""
    own = contract_table()
    return [own, *(table for table in registered_tables(profile) if table.name != own.name)]


def qualified_name(name: str) -> str:
    """A table's name with catalog and database."""
    return ".".join(quote_name(part) for part in (CATALOG, DATABASE, name))


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
