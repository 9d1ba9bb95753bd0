"""The one verdict on a record, which ingest, ``messages``, ``contract validate`` and ``sql`` share.

A record that names no schema is meant for the contract's current version. One that names a schema, in a header or in five bytes in front,
and does not keep the current version is compared with *that* schema, older or newer, and must still fit the columns of the contract:
fields beyond these, which a newer schema may allow, are kept apart; words beyond the current enums are kept as they are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from clickreel.contract import framing
from clickreel.contract.check import Contract, contract
from clickreel.contract.rules import Violation
from clickreel.contract.schema import Schema, current
from clickreel.contract.schema_lookup import SchemaUnavailableError
from clickreel.contract.vocabulary import FIELDS
from clickreel.errors import ClickreelError

Lookup = Callable[[int | str], Schema | None]
"""The schema with this id or GUID; None when the registry does not know it. Raises
:class:`~clickreel.contract.schema_lookup.SchemaUnavailableError` when it does not answer."""

Headers = Iterable[tuple[str, bytes | None]] | None
"""A record's headers, in order, names as often as they stand."""

_ENUMS = {name: tuple(rules["enum"]) for name, rules in current("value").fields.items() if "enum" in rules}
# Words go into dictionaries that every part of the landing table carries.
_WORD_MAX = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a record is.

    Attributes:
        violation: Why it breaks the contract, every reason in it; None when it is good.
        event: Of a good record the contract's fields; a word beyond the current enums is replaced by a known one.
        extra: Fields beyond the contract's.
        words: The words that were replaced, by field.
        named: The schema that the record names: an id, a GUID or None.
        schema_known: Whether what it names was found; True where it names nothing.
        is_undecided: Whether the schema that it names cannot be read now: then the violation says so, and nothing of the record.
        schema_text: Of a good record the schema that it keeps; empty for the current contract.
    """

    violation: Violation | None
    event: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    named: int | str | None = None
    schema_known: bool = True
    is_undecided: bool = False
    schema_text: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the record keeps its contract."""
        return self.violation is None

    @property
    def errors(self) -> list[dict[str, str]]:
        """Every violation as field, rule and text."""
        found = self.violation.all if self.violation else ()
        return [{"field": one.field, "rule": one.rule, "text": one.text} for one in found]


def judge_record(
    key: bytes | None,
    value: bytes | None,
    headers: Headers = None,
    *,
    lookup: Lookup | None = None,
    schema: Schema | None = None,
) -> Verdict:
    """Judge one record; never an exception, whatever the bytes are.

    Args:
        key: Its key, as it is in Kafka.
        value: Its value, as it is in Kafka.
        headers: Its headers.
        lookup: Finds the schema that it names; without one, none is found.
        schema: The value's schema to compare with, whatever the record names.
    """
    given = [(name, data) for name, data in headers or () if data is not None]
    first = contract().read(key, value, given) if schema is None else None
    if isinstance(first, dict):
        return Verdict(None, first)
    named = _named(value, given) if schema is None else None
    known = schema
    if named is not None and lookup is not None:
        try:
            known = lookup(named)
        except SchemaUnavailableError as exc:
            return Verdict(Violation("value", "schema", exc.message), named=named, is_undecided=True)
    missed = named is not None and known is None
    if known is None or known.canonical == current("value").canonical:
        found = first if first is not None else contract().read(key, value, given)
    else:
        own = compiled(known)
        found = own if isinstance(own, Violation) else own.read(key, value, given)
    if isinstance(found, Violation):
        return Verdict(found, named=named, schema_known=not missed)
    if known is None or known.canonical == current("value").canonical:
        return Verdict(None, found, named=named)
    return replace(_fitted(found, key, given, named), schema_text=known.canonical)


def _fitted(
    found: dict[str, Any], key: bytes | None, given: list[tuple[str, bytes]], named: int | str | None
) -> Verdict:
    """An event that keeps a schema other than the current one, fitted to the contract's columns."""
    event = {name: cell for name, cell in found.items() if name in FIELDS}
    words = {
        name: cell
        for name, cell in event.items()
        if isinstance(cell, str) and name in _ENUMS and cell not in _ENUMS[name] and 0 < len(cell) <= _WORD_MAX
    }
    event |= {name: _ENUMS[name][0] for name in words}
    # Under another schema a record may be good and still not fit the columns: no session, say, or a position of 2.5.
    unfit = contract().check(payload(key, given, "key"), dump_object(event))
    if unfit is not None:
        return Verdict(unfit, named=named)
    return Verdict(None, event, {name: cell for name, cell in found.items() if name not in FIELDS}, words, named)


def payload(data: bytes | None, headers: Headers, part: framing.Part) -> bytes | None:
    """A record's key or value without its frame; as it is where the frame is damaged."""
    if data is None or not (headers or data[:1] == b"\0"):
        return data
    given = [(name, held) for name, held in headers or () if held is not None]
    unframed = framing.unframe(data, framing.schema_headers(given)[0 if part == "key" else 1])
    return data if unframed is None else unframed.payload


def _named(value: bytes | None, given: list[tuple[str, bytes]]) -> int | str | None:
    unframed = None if value is None else framing.unframe(value, framing.schema_headers(given)[1])
    return None if unframed is None else unframed.schema


def dump_object(value: dict[str, Any]) -> bytes:
    """A JSON object; orjson takes no integer beyond 64 bits and no lone surrogate, which records may hold."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


@functools.lru_cache(64)
def compiled(schema: Schema) -> Contract | Violation:
    """The contract with this schema of the value, compiled once; why no record can keep it, where it cannot be compiled."""
    try:
        return Contract(value=schema)
    except (ClickreelError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
        said = exc.message if isinstance(exc, ClickreelError) else f"{type(exc).__name__}: {exc}"
        text = f"the schema that it names cannot be used: {' '.join(said.split())[:300]}"
        return Violation("value", "schema", text)
