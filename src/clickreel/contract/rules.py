"""JSON Schema compiled to closures: the rules that a contract uses, each with its own words.

A general validator takes longer to find a message good than Kafka takes to bring it. These closures cover what the contract's
schemas use (:data:`COMPILED`); a schema with any other rule is handed to ``jsonschema`` whole, so that no rule is ever skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_SHOWN_MAX = 60
_TEXT_MAX = 300
_ABSENT = object()

COMPILED = frozenset(
    {"type", "enum", "pattern", "minimum", "maximum", "properties", "required", "additionalProperties"}
)
"""The keywords that are compiled here."""

ANNOTATIONS = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "format",
        "connect.index",
        "connect.type",
    }
)
"""Keywords that say nothing a message could break: in draft-07 that goes for ``format`` too."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a message breaks the contract.

    Attributes:
        field: The field at fault, or ``key`` or ``value`` when the whole is.
        rule: A keyword of JSON Schema (``required``, ``type``, ``enum``, ``pattern``, ``minimum``, ``additionalProperties``, ...), or
            one of ``framing`` (damaged), ``encoding`` (not UTF-8), ``json`` (cannot be parsed), ``unique`` (a field stands twice),
            ``same_user`` (key and value name different users).
        text: What is wrong, the value at fault and what is allowed, in one line.
    """

    field: str
    rule: str
    text: str


Test = Callable[[Any], Violation | None]


def compile_schema(body: dict[str, Any], name: str) -> Test:
    """Make a test out of a schema.

    Args:
        body: A draft-07 schema.
        name: What violations of the whole are said to be in: ``key`` or ``value``; those of an object's property carry its name.

    Returns:
        A function that takes a parsed value and returns its first violation in the schema's order, or None. It never raises: a value
        that a foreign schema cannot be applied to breaks the rule ``schema``.
    """
    if not _compilable(body):
        return _general(body, name)
    if "properties" in body or "required" in body or "additionalProperties" in body:
        return _object(body, name)
    return _scalar(body, name)


# Patterns whose matches need no escape in JSON: plain characters, classes of letters and digits, groups, repeats.
_PLAIN_PATTERN = re.compile(r"\^(?:[A-Za-z0-9_ :(){}|?*+,-]|\[[A-Za-z0-9-]+\]|\\\.)*\$")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_pattern(text: Any) -> bool:
    """Whether Python knows the pattern; JSON Schema's dialect has a few forms that it does not."""
    try:
        re.compile(text)
    except (re.error, TypeError):
        return False
    return True


# The forms of the rules that are compiled; a schema may hold others, which are the general validator's business.
_FORMS: dict[str, Callable[[Any], bool]] = {
    "type": lambda kind: isinstance(kind, str) and kind in _TYPES,
    "enum": _is_texts,
    "pattern": _is_pattern,
    "minimum": lambda bound: type(bound) in {int, float},
    "maximum": lambda bound: type(bound) in {int, float},
    "properties": lambda fields: isinstance(fields, dict),
    "required": _is_texts,
    "additionalProperties": lambda more: isinstance(more, bool),
}


def fast_path_pattern(body: dict[str, Any]) -> re.Pattern[bytes] | None:
    """A pattern of the usual spelling of an object: fields in the schema's order, compact or with a blank behind commas and colons.

    Whatever matches keeps the schema, field ``x`` being group ``x``; what does not match may still do so. None for a schema that has no
    such form. One match costs a quarter of parsing and testing.
    """
    if (
        not _compilable(body)
        or body.get("type") != "object"
        or set(body.get("required", ())) != set(body.get("properties", ()))
    ):
        return None
    cells = []
    for name, rules in body["properties"].items():
        cell = _fast_path_cell(rules)
        if cell is None or not name.isidentifier() or not name.isascii():
            return None
        cells.append(f'"{name}": ?' + cell.replace("(?P<>", f"(?P<{name}>"))
    return re.compile((r"\{" + ", ?".join(cells) + r"\}").encode())


def _fast_path_cell(rules: dict[str, Any]) -> str | None:
    match rules:
        case {"type": "string", "enum": words} if all(word.isidentifier() and word.isascii() for word in words):
            return f'"(?P<>{"|".join(words)})"'
        case {"type": "string", "pattern": pattern} if "enum" not in rules and _PLAIN_PATTERN.fullmatch(pattern):
            return f'"(?P<>{pattern[1:-1]})"'
        case {"type": "integer", "minimum": low, "maximum": high} if low <= 1 and high >= 10 and "enum" not in rules:
            return f"(?P<>[1-9][0-9]{{0,{len(str(int(high))) - 2}}})"
    return None


def preview(value: Any) -> str:
    """A value as it may stand in a message: JSON, ASCII, cut when it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _compilable(body: Any) -> bool:
    """Whether every rule of the schema is one of ours, in a form that is ours."""
    if not isinstance(body, dict) or not body.keys() <= COMPILED | ANNOTATIONS:
        return False
    if not all(fits(body[rule]) for rule, fits in _FORMS.items() if rule in body):
        return False
    return all(_compilable(rules) and "properties" not in rules for rules in body.get("properties", {}).values())


def _object(body: dict[str, Any], name: str) -> Test:
    required = frozenset(body.get("required", ()))
    properties = body.get("properties", {})
    fields = tuple((field, field in required, _scalar(rules, field)) for field, rules in properties.items())
    beyond = tuple(field for field in required if field not in properties)
    closed = not body.get("additionalProperties", True)
    must_be_object = body.get("type") == "object"
    is_type = _scalar({key: body[key] for key in body.keys() & {"type", "enum"}}, name)

    def test(value: Any) -> Violation | None:
        if type(value) is not dict:
            return is_type(value) if must_be_object or "type" in body else None
        known = 0
        for field, wanted, rule in fields:
            cell = value.get(field, _ABSENT)
            if cell is _ABSENT:
                if wanted:
                    return Violation(field, "required", f"{field} is missing")
                continue
            known += 1
            broken = rule(cell)
            if broken:
                return broken
        for field in beyond:
            if field not in value:
                return Violation(field, "required", f"{field} is missing")
        if closed and known != len(value):
            stranger = next(field for field in value if field not in properties)[:_SHOWN_MAX]
            return Violation(stranger, "additionalProperties", f"{stranger} is not a field of the contract")
        return None

    return test


def _is_integer(value: Any) -> bool:
    # 331.0 is an integer in JSON Schema, True is not one.
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("a string", lambda value: type(value) is str),
    "integer": ("an integer", _is_integer),
    "number": ("a number", _is_number),
    "boolean": ("true or false", lambda value: type(value) is bool),
    "null": ("null", lambda value: value is None),
    "object": ("an object", lambda value: type(value) is dict),
    "array": ("an array", lambda value: type(value) is list),
}


def _scalar(rules: dict[str, Any], name: str) -> Test:
    """The rules of one value, in the order in which they are tried: type, enum, pattern, bounds."""
    kind, words = rules.get("type"), rules.get("enum")
    allowed = frozenset(words) if words is not None else None
    # `$` of JSON Schema is the end; Python's lets a line feed follow.
    pattern = re.compile(rules["pattern"].replace("$", r"\Z"), re.ASCII).search if "pattern" in rules else None
    low, high = rules.get("minimum"), rules.get("maximum")
    article, is_type = _TYPES[kind] if kind else ("", lambda _value: True)
    exact: type | None = {"string": str, "integer": int}.get(kind or "")

    def test(value: Any) -> Violation | None:
        if type(value) is not exact and not is_type(value):
            return Violation(name, "type", f"{name} is {preview(value)}, not {article}")
        if allowed is not None and (type(value) is not str or value not in allowed):
            return Violation(name, "enum", f"{name} is {preview(value)}, not one of {', '.join(words or ())}")
        if pattern is not None and type(value) is str and pattern(value) is None:
            return Violation(name, "pattern", f"{name} is {preview(value)}, which does not match {rules['pattern']}")
        if low is not None and _is_number(value) and value < low:
            return Violation(name, "minimum", f"{name} is {preview(value)}, less than {low}")
        if high is not None and _is_number(value) and value > high:
            return Violation(name, "maximum", f"{name} is {preview(value)}, more than {high}")
        return None

    return test


def _general(body: dict[str, Any], name: str) -> Test:
    import jsonschema
    import referencing

    # A registry of its own, which fetches nothing: a schema must not make us ask an address in it.
    validator = jsonschema.Draft7Validator(body, registry=referencing.Registry())

    def test(value: Any) -> Violation | None:
        try:
            errors = sorted(
                validator.iter_errors(value), key=lambda error: (list(map(str, error.path)), error.validator)
            )
        except Exception as exc:  # noqa: BLE001 - a broken reference, a pattern of another dialect: whatever the schema holds
            return Violation(name, "schema", f"{name} cannot be checked: {type(exc).__name__}: {exc}"[:_TEXT_MAX])
        if not errors:
            return None
        field = str(errors[0].path[0]) if errors[0].path else name
        return Violation(field, str(errors[0].validator), f"{field}: {errors[0].message}"[:_TEXT_MAX])

    return test
