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
_BOUNDS = {"minimum", "maximum"}


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


def compile_contract() -> ContractSql | None:
    """The current contract as SQL; None when its schema says something that has no form here."""
    value, key = schema.current("value").body, schema.current("key").body
    rules: Mapping[str, Mapping[str, Any]] = value.get("properties", {})
    closed = value.get("additionalProperties") is False and set(value.get("required", ())) == set(rules)
    same_key = all(rules.get("user_id", {}).get(rule) == key.get(rule) for rule in ("type", "pattern", "enum"))
    if not closed or not same_key or not all(_is_supported(field) for field in rules.values()):
        return None
    accepted = [f"REGEXP({_PLAIN}, {_text(_any_order(rules))})"]
    accepted += [check for name, field in rules.items() for check in _number_checks(_PLAIN, name, field)]
    user = f"REGEXP_EXTRACT({_PLAIN}, {_text(_member('user_id'))}, 1)"
    in_order = f"REGEXP({_PAYLOAD}, {_text(_in_order(rules))})"
    return ContractSql(
        _plain(_PAYLOAD, len(rules)),
        f"({in_order} OR ({' AND '.join(accepted)})) AND {_key_is(user)}",
        tuple((name, _column(_PLAIN, name, field)) for name, field in rules.items()),
    )


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


def _is_supported(field: Mapping[str, Any]) -> bool:
    known = set(field) - {"description", "title", "examples"}
    if field.get("type") == "integer":
        return known == {"type", *_BOUNDS} and field["minimum"] >= 0
    if known == {"type", "enum"}:
        return all(isinstance(word, str) and re.fullmatch(r"[ -!#-\[\]-~]+", word) for word in field["enum"])
    pattern = str(field.get("pattern", ""))
    return known == {"type", "pattern"} and pattern.startswith("^") and pattern.endswith("$") and '"' not in pattern


def _unframed(column: str) -> str:
    return f"CASE WHEN SUBSTRING(`{column}`, 1, 1) = U&'\\0000' THEN SUBSTRING(`{column}`, 6) ELSE `{column}` END"


def _plain(payload: str, fields: int) -> str:
    """The payload without escapes; a text that nothing accepts where it is no flat object with so many fields."""
    flat = rf"\A{_BLANK}\{{(?:{_BLANK}{_TEXT}{_BLANK}:{_BLANK}(?:{_TEXT}|{_NUMBER}){_BLANK}(?:,(?!{_BLANK}\}})|(?=\}})))+\}}{_BLANK}\z"
    count = rf"{_TEXT}{_BLANK}:"
    return (
        f"CASE WHEN POSITION('\\' IN {payload}) = 0 THEN {payload}"
        f" WHEN REGEXP({payload}, {_text(flat)}) AND REGEXP_COUNT({payload}, {_text(count)}) = {fields}"
        f" THEN COALESCE(JSON_QUERY({payload}, '$'), '') ELSE '' END"
    )


def _in_order(rules: Mapping[str, Mapping[str, Any]]) -> str:
    members = rf"{_BLANK},{_BLANK}".join(rf'"{name}"{_BLANK}:{_BLANK}{_small(field)}' for name, field in rules.items())
    return rf"\A{_BLANK}\{{{_BLANK}{members}{_BLANK}\}}{_BLANK}\z"


def _any_order(rules: Mapping[str, Mapping[str, Any]]) -> str:
    """As many members as there are fields, each a field of ours as it should be, and every field among them: so none stands twice."""
    member = "|".join(rf'"{name}"{_BLANK}:{_BLANK}{_value(field)}' for name, field in rules.items())
    found = "".join(rf'(?=[^\x00]*"{name}"{_BLANK}:)' for name in rules)
    more = rf"(?:{_BLANK},{_BLANK}(?:{member})){{{len(rules) - 1}}}"
    return rf"\A{_BLANK}\{{{found}{_BLANK}(?:{member}){more}{_BLANK}\}}{_BLANK}\z"


def _value(field: Mapping[str, Any]) -> str:
    if field["type"] == "integer":
        return _NUMBER
    if "enum" in field:
        return f'"(?:{"|".join(map(re.escape, field["enum"]))})"'
    return f'"(?:{field["pattern"][1:-1]})"'


def _small(field: Mapping[str, Any]) -> str:
    """The value; of an integer only those that are within their bounds by the number of their digits."""
    if field["type"] != "integer":
        return _value(field)
    most = len(str(field["maximum"])) - 2
    return rf"[1-9][0-9]{{0,{most}}}" if field["minimum"] <= 1 and most >= 0 else "(?!)"


def _number_checks(plain: str, name: str, field: Mapping[str, Any]) -> list[str]:
    if field["type"] != "integer":
        return []
    number = f"TRY_CAST(REGEXP_EXTRACT({plain}, {_text(_member(name))}, 1) AS DOUBLE)"
    return [f"{number} BETWEEN {field['minimum']} AND {field['maximum']}", f"{number} = FLOOR({number})"]


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
