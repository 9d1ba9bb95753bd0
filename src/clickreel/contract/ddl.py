"""The contract's fields as columns of ClickHouse and Flink: types derived from the schema's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from clickreel.contract import schema
from clickreel.contract.rules import is_instant, takes_only
from clickreel.contract.schema import Schema

Style = Literal["tight", "clickpipes"]

_IDS = ("84e0e977-9ee7-4eec-9cd6-f7655e481cb3",)
_NO_IDS = (
    "",
    "word",
    "x" * 36,
    "2" * 36,
    "84e0e977_9ee7_4eec_9cd6_f7655e481cb3",
    "ghijklmn-ghij-ghij-ghij-ghijklmnopqr",
)
_INTS = (("Int8", 7), ("Int16", 15), ("Int32", 31), ("Int64", 63))


def clickhouse_columns(of: Schema | None = None, *, style: Style = "tight") -> dict[str, str]:
    """Field to ClickHouse type, in the order of the fields.

    Args:
        of: The value's schema; by default the current one.
        style: ``tight``: the narrowest type that holds whatever the contract allows, and reads the JSON as it is; ``clickpipes``: the
            types that ClickPipes infers for the topic, columns in its (alphabetical) order.
    """
    fields = (of or schema.current("value")).fields
    if style == "clickpipes":
        return {name: _clickpipes_type(fields[name]) for name in sorted(fields)}
    return {name: clickhouse_type(rules) for name, rules in fields.items()}


def flink_columns(of: Schema | None = None) -> dict[str, str]:
    """Field to Flink SQL type, in the order of the fields.

    Args:
        of: The value's schema; by default the current one.
    """
    return {name: flink_type(rules) for name, rules in (of or schema.current("value")).fields.items()}


def clickhouse_type(rules: Mapping[str, Any]) -> str:
    """The narrowest ClickHouse type that holds whatever a field's rules allow, and nothing that wraps or rounds."""
    match rules:
        case {"enum": _}:
            # Not Enum8: a word that a later version adds must not need an ALTER before the first row with it.
            return "LowCardinality(String)"
        case {"type": "integer", "minimum": low, "maximum": high}:
            return next((name for name, bits in _INTS if -(1 << bits) <= low and high < 1 << bits), "Int64")
        case {"type": "integer"}:
            return "Int64"
        case {"type": "number"}:
            return "Float64"
        case {"type": "boolean"}:
            return "Bool"
    if _holds_instants(rules):
        return "DateTime64(3, 'UTC')"
    return "UUID" if _holds_ids(rules) else "String"


def flink_type(rules: Mapping[str, Any]) -> str:
    """The Flink SQL type of a field; what has none becomes the text of its JSON."""
    match rules:
        case {"type": "integer", "minimum": low, "maximum": high} if low >= -(1 << 31) and high < 1 << 31:
            return "INT"
        case {"type": "integer"}:
            return "BIGINT"
        case {"type": "number"}:
            return "DOUBLE"
        case {"type": "boolean"}:
            return "BOOLEAN"
    return "TIMESTAMP(3)" if _holds_instants(rules) else "STRING"


def _clickpipes_type(rules: Mapping[str, Any]) -> str:
    if rules.get("type") in {"integer", "number"}:
        return "Int64"
    return "DateTime64(9)" if _holds_instants(rules) or rules.get("format") == "date-time" else "String"


def _holds_instants(rules: Mapping[str, Any]) -> bool:
    pattern = rules.get("pattern")
    return rules.get("type") == "string" and isinstance(pattern, str) and is_instant(pattern)


def _holds_ids(rules: Mapping[str, Any]) -> bool:
    """Whether the rules of a text take UUIDs and nothing of another form."""
    pattern = rules.get("pattern")
    return rules.get("type") == "string" and isinstance(pattern, str) and takes_only(pattern, _IDS, _NO_IDS)
