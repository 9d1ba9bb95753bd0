"""The contract's verdict as SQL: a view over a topic's raw bytes whose rows are the records that the contract accepts, and no others.

Flink's ``json`` format has a verdict of its own: it reads the first of two objects, the last of two equal fields, 2.5 as 2, an array as
many rows, and nothing behind a schema registry's frame. So the topic is read as text, one character a byte, and the view decides by
regular expressions made of the schema:

1. ``payload``: the record without the five bytes of a frame.
2. The usual spelling (the schema's order of fields, no escapes) is accepted by one expression.
3. Every other record is brought into a plain form, where escapes are gone, and accepted by an expression that takes the fields in any
   order; numbers are then compared as numbers, because 331.0 is an integer and 2.5 is none.
4. The key must be the ``user_id``.

A record that is not accepted is left out, or ends the statement with its partition and offset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from clickreel.contract import schema
from clickreel.contract.ddl import flink_type

# What a failing cast shows; the digits are the record's partition and offset.
REFUSED = re.compile(r"clickreel refused record (?P<partition>\d+):(?P<offset>\d+)")
# Columns of the view's inner steps: each is computed once a record, in a step of its own, so that no expression holds another.
_KEY, _PAYLOAD, _PLAIN = "`$key_text`", "`$payload`", "`$plain`"
RAW_KEY, RAW_VALUE, PARTITION, OFFSET = "$key_bytes", "$value_bytes", "$partition", "$offset"

_BLANK = r"[ \t\n\r]*"
_TEXT = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BOUNDS = ("minimum", "maximum")
# Words of a schema that say nothing of a record.
_NOTES = frozenset({"description", "title", "examples", "$comment", "connect.index", "connect.type"})
_KNOWN_WORDS = _NOTES | {"$schema", "$id", "type", "properties", "required", "additionalProperties"}


@dataclass(frozen=True)
class ContractSql:
    """Expressions over the inner columns of the view.

    Attributes:
        plain: The payload in its plain form.
        accepts: Whether the record keeps the contract.
        columns: Name and expression of each field.
    """

    plain: str
    accepts: str
    columns: tuple[tuple[str, str], ...]


def compile_contract(registered: Mapping[int, Any] = MappingProxyType({})) -> ContractSql | None:
    """The current contract as SQL; None when its schema says something that has no form here.

    Args:
        registered: The other schemas of the topic's values by the registry's id: a record that names one is judged by it too, and
            must still fit the contract's columns, see :mod:`clickreel.contract.verdict`.
    """
    return compile_schema(schema.current("value").body, schema.current("key").body, registered)


def compile_schema(
    value: Mapping[str, Any], key: Mapping[str, Any] | None = None, registered: Mapping[int, Any] = MappingProxyType({})
) -> ContractSql | None:
    """A JSON schema of flat objects as SQL; None when it says something that has no form here.

    Args:
        value: The schema of the record's value.
        key: The schema of its key where the key must be the value's ``user_id``; None where any key is taken.
        registered: See :func:`compile_contract`.
    """
    main = _flat_schema(value)
    if main is None or any(
        field["type"] == "string" and set(field) <= {"type", *_NOTES} for field in main.rules.values()
    ):
        return None  # a column of any text would show the bytes of UTF-8 one by one
    if key is not None and not _is_same_text(main.rules.get("user_id", {}), key):
        return None
    others = {id_: other for id_, rules in registered.items() if (other := _fitting(rules, main)) is not None}
    fields = [main, *others.values()]
    in_order = f"REGEXP({_PAYLOAD}, {_text(_in_order(main.rules))})"
    accepts = f"({in_order} OR {_accepted(main)})"
    for id_, other in others.items():
        accepts = f"({accepts} OR ({_names_schema(id_)} AND {_accepted(other)}))"
    if key is not None:
        user = f"REGEXP_EXTRACT({_PLAIN}, {_text(_member('user_id'))}, 1)"
        accepts = f"{accepts} AND {_key_is(user)}"
    least, most = min(len(one.required) for one in fields), max(len(one.rules) for one in fields)
    columns = tuple((name, _column(_PLAIN, name, field)) for name, field in main.rules.items())
    return ContractSql(_plain(_PAYLOAD, least, most), accepts, columns)


@dataclass(frozen=True)
class _FlatSchema:
    """A closed schema of objects whose members are texts, numbers and truth values."""

    rules: Mapping[str, Mapping[str, Any]]
    required: frozenset[str]


def _flat_schema(body: Any) -> _FlatSchema | None:
    if not isinstance(body, Mapping) or body.get("type") != "object" or body.get("additionalProperties") is not False:
        return None
    rules = body.get("properties")
    if not isinstance(rules, Mapping) or not rules or set(body) - _KNOWN_WORDS:
        return None
    if not all(_is_supported(name, field) for name, field in rules.items()):
        return None
    required = frozenset(body.get("required", ()))
    return _FlatSchema(rules, required) if required and required <= set(rules) else None


def _fitting(body: Any, main: _FlatSchema) -> _FlatSchema | None:
    """Another schema of the same topic with what a record must have besides to fit the columns of ``main``."""
    other = _flat_schema(body)
    if other is None or (other.rules == main.rules and other.required == main.required):
        return None
    for name, field in main.rules.items():
        theirs = other.rules.get(name)
        if theirs is None or not (_is_same_text(theirs, field) or ("enum" in theirs and "enum" in field)):
            return None
    return _FlatSchema(other.rules, other.required | main.required)


def _is_same_text(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(rule) == other.get(rule) for rule in ("type", "pattern", "enum", *_BOUNDS))


def _accepted(schema_: _FlatSchema) -> str:
    """Whether the plain form keeps a schema, its members in any order."""
    found = [f"REGEXP({_PLAIN}, {_text(_any_order(schema_))})"]
    for name, field in schema_.rules.items():
        found += _number_checks(_PLAIN, name, field, is_required=name in schema_.required)
    return f"({' AND '.join(found)})"


def _names_schema(id_: int) -> str:
    frame = "".join(f"\\{byte:04X}" for byte in b"\0" + id_.to_bytes(4, "big"))
    return f"SUBSTRING(`{RAW_VALUE}`, 1, 5) = U&'{frame}'"


def view_sql(compiled: ContractSql, view: str, source: str, *, ends_at_refused: bool) -> str:
    """``CREATE VIEW`` of the accepted records.

    Args:
        compiled: The contract.
        view: The view's full name.
        source: Full name of the table with the raw columns.
        ends_at_refused: Whether a refused record ends the statement instead of being left out.
    """
    columns = ", ".join(f"{expression} AS `{name}`" for name, expression in compiled.columns)
    condition = compiled.accepts
    if ends_at_refused:
        place = f"CAST(`{PARTITION}` AS STRING) || ':' || CAST(`{OFFSET}` AS STRING)"
        raised = f"CAST('clickreel refused record ' || {place} AS INT) = 0"
        condition = f"CASE WHEN {condition} THEN TRUE ELSE {raised} END"
    return (
        f"CREATE VIEW {view} AS SELECT {_KEY} AS `key`, {columns}, `$rowtime` FROM {source}"
        f" CROSS JOIN UNNEST(ARRAY[{_unframed(RAW_KEY)}]) AS key_step ({_KEY})"
        f" CROSS JOIN UNNEST(ARRAY[{_unframed(RAW_VALUE)}]) AS payload_step ({_PAYLOAD})"
        f" CROSS JOIN UNNEST(ARRAY[{compiled.plain}]) AS plain_step ({_PLAIN}) WHERE {condition}"
    )


def _is_supported(name: str, field: Any) -> bool:
    if not isinstance(field, Mapping) or not re.fullmatch(r"\w+", name, re.ASCII):
        return False
    known, kind = set(field) - _NOTES, field.get("type")
    if kind == "integer":
        return known == {"type", *_BOUNDS} and all(type(field[bound]) is int for bound in _BOUNDS)
    if kind in ("number", "boolean"):
        return known == {"type"}
    if kind != "string":
        return False
    if known == {"type", "enum"}:
        return all(isinstance(word, str) and re.fullmatch(r"[ -!#-\[\]-~]+", word) for word in field["enum"])
    return known == {"type"} or (known == {"type", "pattern"} and _is_whole(str(field["pattern"])))


def _is_whole(pattern: str) -> bool:
    """Whether a pattern holds for the whole text and means the same here as in a schema."""
    return re.fullmatch(r"\^(?:[\w :.-]|\[[\w-]+\]|\{\d+(?:,\d*)?\}|[?+*])+\$", pattern, re.ASCII) is not None or (
        pattern in {str(rules.get("pattern")) for rules in schema.current("value").fields.values()}
    )


def _unframed(column: str) -> str:
    return f"CASE WHEN SUBSTRING(`{column}`, 1, 1) = U&'\\0000' THEN SUBSTRING(`{column}`, 6) ELSE `{column}` END"


def _plain(payload: str, least: int, most: int) -> str:
    """The payload without escapes; a text that nothing accepts where it is no flat object with so many fields."""
    value = f"(?:{_TEXT}|{_NUMBER}|true|false)"
    flat = (
        rf"\A{_BLANK}\{{(?:{_BLANK}{_TEXT}{_BLANK}:{_BLANK}{value}{_BLANK}(?:,(?!{_BLANK}\}})|(?=\}})))+\}}{_BLANK}\z"
    )
    count = rf"{_TEXT}{_BLANK}:"
    return (
        f"CASE WHEN POSITION('\\' IN {payload}) = 0 THEN {payload}"
        f" WHEN REGEXP({payload}, {_text(flat)}) AND REGEXP_COUNT({payload}, {_text(count)}) BETWEEN {least} AND {most}"
        f" THEN COALESCE(JSON_QUERY({payload}, '$'), '') ELSE '' END"
    )


def _in_order(rules: Mapping[str, Mapping[str, Any]]) -> str:
    members = rf"{_BLANK},{_BLANK}".join(rf'"{name}"{_BLANK}:{_BLANK}{_small(field)}' for name, field in rules.items())
    return rf"\A{_BLANK}\{{{_BLANK}{members}{_BLANK}\}}{_BLANK}\z"


def _any_order(schema_: _FlatSchema) -> str:
    """Members that are fields of ours as they should be, every required field among them, and none twice.

    Where no field is optional the number of members alone tells that none stands twice.
    """
    rules, required = schema_.rules, schema_.required
    member = "|".join(rf'"{name}"{_BLANK}:{_BLANK}{_value(field)}' for name, field in rules.items())
    found = "".join(rf'(?=[^\x00]*"{name}"{_BLANK}:)' for name in rules if name in required)
    if len(required) < len(rules):
        found += "".join(rf'(?![^\x00]*"{name}"{_BLANK}:[^\x00]*"{name}"{_BLANK}:)' for name in rules)
    more = rf"(?:{_BLANK},{_BLANK}(?:{member})){{{len(required) - 1},{len(rules) - 1}}}"
    return rf"\A{_BLANK}\{{{found}{_BLANK}(?:{member}){more}{_BLANK}\}}{_BLANK}\z"


def _value(field: Mapping[str, Any]) -> str:
    if field["type"] in {"integer", "number"}:
        return _NUMBER
    if field["type"] == "boolean":
        return "(?:true|false)"
    if "enum" in field:
        return f'"(?:{"|".join(map(re.escape, field["enum"]))})"'
    return f'"(?:{field["pattern"][1:-1]})"' if "pattern" in field else _TEXT


def _small(field: Mapping[str, Any]) -> str:
    """The value; of an integer only those that are within their bounds by the number of their digits."""
    if field["type"] != "integer":
        return _value(field)
    most = len(str(field["maximum"])) - 2
    return rf"[1-9][0-9]{{0,{most}}}" if field["minimum"] <= 1 and most >= 0 and field["maximum"] > 0 else "(?!)"


def _number_checks(plain: str, name: str, field: Mapping[str, Any], *, is_required: bool) -> list[str]:
    if field["type"] != "integer":
        return []
    number = f"TRY_CAST(REGEXP_EXTRACT({plain}, {_text(_member(name))}, 1) AS DOUBLE)"
    checks = [f"{number} BETWEEN {field['minimum']} AND {field['maximum']}", f"{number} = FLOOR({number})"]
    return checks if is_required else [f"COALESCE({check}, TRUE)" for check in checks]


def _member(name: str) -> str:
    return rf'"{name}"{_BLANK}:{_BLANK}"?([^",}}\t\n\r]*[^",}} \t\n\r])'


def _key_is(user: str) -> str:
    key = _KEY
    quoted = rf"\A{_BLANK}{_TEXT}{_BLANK}\z"
    spelt = f"JSON_VALUE('{{\"key\":' || {key} || '}}', '$.key')"
    return f"({key} = '\"' || {user} || '\"' OR (REGEXP({key}, {_text(quoted)}) AND {spelt} = {user}))"


def _column(plain: str, name: str, field: Mapping[str, Any]) -> str:
    extracted = f"REGEXP_EXTRACT({plain}, {_text(_member(name))}, 1)"
    kind = flink_type(field)
    if kind == "STRING":
        return extracted
    return (
        f"CAST(CAST({extracted} AS DOUBLE) AS {kind})" if field["type"] == "integer" else f"CAST({extracted} AS {kind})"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
