"""A JSON Schema compiled: whether a value keeps it, and every rule that it breaks, in words.

``jsonschema-rs`` decides, by the draft that the schema names (draft-07 where it names none). Nothing is ever fetched from a network or a
disk: what a schema refers to is in it, or the registry brought it along (:mod:`clickreel.contract.schema_registry`).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from clickreel.contract.ecma_pattern import OPTIONS, as_written, matcher, strict

_PREVIEW_MAX = 60
_TEXT_MAX = 300
_PATTERN_MAX = 160
# What is named of one message, however broken it is.
_VIOLATIONS_MAX = 50
_DEPTH_MAX = 200

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

# Among several faults of one field: the order in which they are named.
_ORDER = ("required", "type", "enum", "const", "pattern", "minimum", "maximum")
_DRAFTS = {
    "draft-04": jsonschema_rs.Draft4Validator,
    "draft-06": jsonschema_rs.Draft6Validator,
    "draft-07": jsonschema_rs.Draft7Validator,
    "2019-09": jsonschema_rs.Draft201909Validator,
    "2020-12": jsonschema_rs.Draft202012Validator,
}
_CLOSED = "additionalProperties"
_ARTICLES = {
    "integer": "an integer",
    "object": "an object",
    "array": "an array",
    "boolean": "true or false",
    "null": "null",
}

INSTANTS = ("2025-12-27 12:18:51.766", "1999-01-31 00:00:00.000")
"""Instants as the contract writes them."""

_INSTANT_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}")
_NO_INSTANTS = ("", "word", "x" * 23, "2" * 23, "abcd-ef-gh ij:kl:mn.opq", "2025/12/27_12.18.51-766")


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a message breaks the contract.

    Attributes:
        field: The field at fault, or ``key`` or ``value`` when the whole is.
        rule: A keyword of JSON Schema (``required``, ``type``, ``enum``, ``pattern``, ``minimum``, ``additionalProperties``, ...), or
            one of ``framing`` (damaged), ``encoding`` (not UTF-8), ``json`` (cannot be parsed), ``unique`` (a field stands twice),
            ``same_user`` (key and value name different users), ``schema`` (the schema itself cannot be applied).
        text: What is wrong, the value at fault and what is allowed, in one line.
        others: The message's further violations; they play no part in comparisons.
    """

    field: str
    rule: str
    text: str
    others: tuple[Violation, ...] = dataclasses.field(default=(), compare=False)

    @property
    def all(self) -> tuple[Violation, ...]:
        """Every violation of the message, this one first."""
        return (Violation(self.field, self.rule, self.text), *self.others)

    @property
    def texts(self) -> str:
        """What is wrong with the message, all of it, in one line."""
        return "; ".join(one.text for one in self.all)

    @classmethod
    def first_of(cls, violations: Sequence[Violation]) -> Violation | None:
        """The first of a message's violations, with the others in it; None when there is none."""
        if not violations:
            return None
        first, *others = violations[:_VIOLATIONS_MAX]
        return cls(first.field, first.rule, first.text, tuple(others))


class CompiledSchema:
    """The rules of one schema.

    Args:
        body: The schema: an object, or true or false. Anything else, and a schema that cannot be applied (a broken reference, a pattern
            that is none), breaks the rule ``schema`` for every value.
        name: What violations of the whole are said to be in: ``key`` or ``value``; those of a property carry its name.
    """

    def __init__(self, body: Any, name: str) -> None:
        self._name = name
        self._body = body if isinstance(body, dict) else {}
        properties = self._body.get("properties")
        self._places = {name: place for place, name in enumerate(properties)} if isinstance(properties, dict) else {}
        self._fault = ""
        try:
            self._validator = _validator(body)
            self.is_valid: Callable[[Any], bool] = self._validator.is_valid
        except Exception as exc:  # noqa: BLE001 - whatever a foreign schema holds
            self._fault = f"{name} cannot be checked: its schema does not work: {_first_line(exc)}"[:_TEXT_MAX]
            self.is_valid = lambda _value: False

    def violations(self, value: Any) -> list[Violation]:
        """Every rule that a parsed value breaks, in the order of the schema's fields; never an exception."""
        if self._fault:
            return [Violation(self._name, "schema", self._fault)]
        try:
            errors = list(self._validator.iter_errors(value))
        except Exception as exc:  # noqa: BLE001 - a value nested too deeply for its schema
            return [Violation(self._name, "schema", f"{self._name} cannot be checked: {_first_line(exc)}"[:_TEXT_MAX])]
        found = sorted((broken for error in errors for broken in self._translated(error)), key=self._rank)
        # What is of another type is not also "not one of" and "does not match": one fault, one line.
        mistyped = {broken.field for broken in found if broken.rule == "type"}
        return [broken for broken in found if broken.rule == "type" or broken.field not in mistyped]

    def _rank(self, broken: Violation) -> tuple[int, int]:
        place = self._places.get(broken.field.split(".")[0], len(self._places))
        return place, _ORDER.index(broken.rule) if broken.rule in _ORDER else len(_ORDER)

    def _translated(self, error: jsonschema_rs.ValidationError) -> list[Violation]:
        """An error in our words; several where one error names several fields."""
        path = [str(part) for part in error.instance_path]
        kind, rule = error.kind, error.kind.name
        if rule == "required":
            name = ".".join([*path, str(kind.as_dict()["property"])])
            return [Violation(name, rule, f"{name[:_PREVIEW_MAX]} is missing")]
        if rule == _CLOSED or (rule == "falseSchema" and error.schema_path[-1:] == [_CLOSED]):
            strangers = kind.as_dict().get("unexpected", path[-1:])
            prefix = path if rule == _CLOSED else path[:-1]
            names = [".".join([*prefix, str(name)])[:_PREVIEW_MAX] for name in strangers]
            return [Violation(name, _CLOSED, f"{name} is not a field of the contract") for name in names]
        name = ".".join(path) or self._name
        return [Violation(name, "schema" if rule == "falseSchema" else rule, f"{name[:_PREVIEW_MAX]}{_words(error)}")]


def compile_schema(body: Any, name: str) -> CompiledSchema:
    """Compile a schema; see :class:`CompiledSchema`. It never raises."""
    return CompiledSchema(body, name)


def schema_fault(body: Any) -> str | None:
    """What is wrong with a schema, in words; None when it can be applied."""
    try:
        jsonschema_rs.meta.validate(strict_patterns(body))
        _validator(body)
    except Exception as exc:  # noqa: BLE001 - whatever a foreign schema holds
        return _first_line(exc)
    return None


def _words(error: jsonschema_rs.ValidationError) -> str:
    """What is wrong with a value, to stand behind its name."""
    value, rule = preview(error.instance), error.kind.name
    said = error.kind.as_dict()
    match rule:
        case "type":
            kinds = [_ARTICLES.get(kind, f"a {kind}") for kind in said["types"]]
            return f" is {value}, not {' or '.join(kinds)}"
        case "enum":
            words = [word if isinstance(word, str) else json.dumps(word) for word in said["options"]]
            return f" is {value}, not one of {', '.join(words)}"[:_TEXT_MAX]
        case "minimum":
            return f" is {value}, less than {said['limit']}"
        case "maximum":
            return f" is {value}, more than {said['limit']}"
        case "pattern" if error.message.startswith("Error executing"):
            return f" is {value}, for which its pattern takes too long"
        case "pattern" if is_instant(said["pattern"]):
            is_written_so = isinstance(error.instance, str) and _INSTANT_FORM.fullmatch(error.instance)
            return f" is {value}: " + (
                "there is no such time, or it is out of the contract's range"
                if is_written_so
                else "write YYYY-MM-DD HH:MM:SS.mmm in UTC"
            )
        case "pattern":
            pattern = as_written(said["pattern"])
            return f" is {value}, which does not match {pattern if len(pattern) <= _PATTERN_MAX else pattern[:_PATTERN_MAX] + '...'}"
        case "falseSchema":
            return f" is {value}, where the schema allows nothing"
    return f": {error.message}"[:_TEXT_MAX]


def is_instant(pattern: str) -> bool:
    """Whether a pattern takes instants as the contract writes them, and nothing of another form."""
    return takes_only(pattern, INSTANTS, _NO_INSTANTS)


def takes_only(pattern: str, examples: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a pattern takes all of the examples and none of the others."""
    matches = matcher(pattern)
    return matches is not None and all(map(matches, examples)) and not any(map(matches, others))


def preview(value: Any) -> str:
    """A value as it may stand in a message: JSON, ASCII, cut when it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _PREVIEW_MAX else f"{text[:_PREVIEW_MAX]}..."


def draft(body: Any) -> Any:
    """The validator class of the draft that a schema names; draft-07 where it names none that is known."""
    named = body.get("$schema") if isinstance(body, dict) else None
    return next((kind for name, kind in _DRAFTS.items() if name in str(named)), jsonschema_rs.Draft7Validator)


def _validator(body: Any) -> Any:
    return draft(body)(strict_patterns(body), pattern_options=OPTIONS, validate_formats=False, offline=True)


def _first_line(exc: Exception) -> str:
    return (str(exc) or type(exc).__name__).split("\n", 1)[0]


# Keywords whose keys are names that somebody chose, such as `pattern` or `default`, and no keywords.
_NAMED_SCHEMAS = ("patternProperties", "properties", "definitions", "$defs", "dependentSchemas")


def strict_patterns(body: Any, depth: int = 0) -> Any:
    """A schema with its patterns in the strict form; what is data in it (enum, const, examples) stays as it is."""
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deeply")
    if isinstance(body, list):
        return [strict_patterns(part, depth + 1) for part in body]
    if not isinstance(body, dict):
        return body
    found = {}
    for name, part in body.items():
        if name in {"enum", "const", "examples", "default"}:
            found[name] = part
        elif name == "pattern" and isinstance(part, str):
            found[name] = strict(part)
        elif name in _NAMED_SCHEMAS and isinstance(part, dict):
            change = strict if name == "patternProperties" else str
            found[name] = {change(key): strict_patterns(rules, depth + 1) for key, rules in part.items()}
        else:
            found[name] = strict_patterns(part, depth + 1)
    return found
