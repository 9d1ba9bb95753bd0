"""Messages to rows: what is good becomes columns, what is not becomes a dead row with the reason. Nothing raises, nothing is dropped.

Most messages carry no schema id and are meant for the contract's current version: :mod:`clickreel.contract.decode` reads them a block at
a time. A message that does not keep it and names a schema, in a header or in five bytes in front, is held against *that* schema, older
or newer, and must fit the landing table's columns: fields beyond these, which a newer schema may allow, are kept as JSON in ``extra``;
words beyond the current enums are kept as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from clickreel.contract import framing
from clickreel.contract.check import Contract, Violation, contract
from clickreel.contract.decode import Decoded, decode
from clickreel.contract.schema import Schema, current
from clickreel.contract.vocabulary import FIELDS
from clickreel.stream.record_batch import Headers, RecordBatch

COLUMNS = (
    "id_hi", "id_lo", "ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer",
)  # fmt: skip
"""The columns of :class:`~clickreel.contract.decode.Decoded`."""

OTHER_WORD = 255
"""The code of a word that is not in the current enum."""

_ENUMS = {name: tuple(rules["enum"]) for name, rules in current("value").fields.items() if "enum" in rules}
# Words go into dictionaries that every part of the table carries.
_WORD_MAX = 64

Lookup = Callable[[int | str], Schema | None]
"""The schema with this id or GUID; None when the registry does not know it or does not answer."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row is dead.

    Attributes:
        error: ``contract``: it breaks the contract; ``schema``: it names a schema that nobody knows and breaks the current contract.
        field: The field at fault, or ``key`` or ``value``.
        rule: The broken rule.
        reason: What is wrong, in words.
    """

    error: str
    field: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class ValidatedBatch:
    """A batch, validated.

    Attributes:
        batch: The messages.
        decoded: Their columns; a row that is in ``dead`` means nothing there.
        dead: The bad rows.
        extra: Fields beyond the landing table's, as JSON, by row.
        words: Words beyond the current enums, by row and field; their code in ``decoded`` is :data:`OTHER_WORD`.
    """

    batch: RecordBatch
    decoded: Decoded
    dead: Mapping[int, Rejected]
    extra: Mapping[int, bytes] = field(default_factory=dict)
    words: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def without_payloads(self) -> ValidatedBatch:
        """The same without the bytes that a block has no use for: those of good rows that have no headers and nothing extra."""
        return replace(
            self, batch=self.batch.without_payloads(self.dead.keys() | self.extra.keys() | self.batch.headers.keys())
        )


def validate_batch(batch: RecordBatch, lookup: Lookup) -> ValidatedBatch:
    """Judge the messages of a batch.

    Args:
        batch: The messages.
        lookup: Finds the schemas that messages name.
    """
    decoded = decode(batch.values, batch.keys)
    dead = {row: _dead("contract", violation) for row, violation in decoded.violations.items()}
    extra: dict[int, bytes] = {}
    words: dict[int, dict[str, str]] = {}
    good: dict[int, dict[str, Any]] = {}
    for row in _framed(batch, decoded):
        found = validate_message(batch.key(row), batch.value(row), batch.headers.get(row), lookup)
        if isinstance(found, Rejected):
            dead[row] = found
            continue
        dead.pop(row, None)
        good[row] = found.event
        if found.extra:
            extra[row] = orjson.dumps(found.extra)
        if found.words:
            words[row] = found.words
    _put(decoded, good, words)
    return ValidatedBatch(batch, decoded, dead, extra, words)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A good message, as the landing table holds it.

    Attributes:
        event: The fields that the table has; a word beyond the current enums is replaced by a known one.
        extra: The fields beyond.
        words: The words that were replaced, by field.
    """

    event: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


def validate_message(
    key: bytes | None, value: bytes | None, headers: Headers | None, lookup: Lookup, *, schema: Schema | None = None
) -> Accepted | Rejected:
    """Judge one message.

    Args:
        key: Its key.
        value: Its value.
        headers: Its headers.
        lookup: Finds the schema that it names.
        schema: The schema to hold it against, whatever it names.
    """
    named, known = _named(headers), True
    if schema is None:
        schema, known = _schema(value, named, lookup)
    own = contract() if schema is None else _contract(schema)
    found = own.read(key, value, named)
    if isinstance(found, Violation):
        return _dead("contract" if known else "schema", found)
    if own is contract():
        return Accepted(found)
    event = {name: cell for name, cell in found.items() if name in FIELDS}
    words = {
        name: cell
        for name, cell in event.items()
        if isinstance(cell, str) and name in _ENUMS and cell not in _ENUMS[name] and 0 < len(cell) <= _WORD_MAX
    }
    event |= {name: _ENUMS[name][0] for name in words}
    # Under another schema a message may be good and still not fit the columns: no session, say, or a position of 2.5.
    unfit = contract().read(_payload(key, named, "key"), orjson.dumps(event))
    if isinstance(unfit, Violation):
        return _dead("contract", unfit)
    return Accepted(event, {name: cell for name, cell in found.items() if name not in FIELDS}, words)


def _dead(error: str, violation: Violation) -> Rejected:
    return Rejected(error, violation.field, violation.rule, violation.text)


def _framed(batch: RecordBatch, decoded: Decoded) -> list[int]:
    """The rows to be held against the schema that they name.

    A message that keeps the current contract is good, whatever schema it names: so these are the broken ones that name one, and those
    whose header names none although it should.
    """
    rows = {row for row in decoded.violations if (batch.value(row) or b"")[:1] == b"\0"}
    damaged: dict[bytes, bool] = {}
    for row, headers in batch.headers.items():
        for header in filter(None, framing.schema_headers(_named(headers))):
            if header not in damaged:
                damaged[header] = framing.unframe(b"", header) is None
            if damaged[header] or not decoded.valid[row]:
                rows.add(row)
    return sorted(rows)


def _named(headers: Headers | None) -> list[tuple[str, bytes]]:
    return [(name, data) for name, data in headers or () if data is not None]


def _schema(value: bytes | None, headers: list[tuple[str, bytes]], lookup: Lookup) -> tuple[Schema | None, bool]:
    """The schema that a message names, None where it is the current one; and whether what it names is known."""
    unframed = None if value is None else framing.unframe(value, framing.schema_headers(headers)[1])
    if unframed is None or unframed.schema is None:
        return None, True
    schema = lookup(unframed.schema)
    if schema is None:
        return None, False
    return (None if schema.canonical == current("value").canonical else schema), True


@functools.lru_cache(64)
def _contract(schema: Schema) -> Contract:
    return Contract(value=schema)


def _payload(data: bytes | None, headers: list[tuple[str, bytes]], part: str) -> bytes | None:
    header = framing.schema_headers(headers)[0 if part == "key" else 1]
    unframed = None if data is None else framing.unframe(data, header)
    return data if unframed is None else unframed.payload


def _put(decoded: Decoded, events: Mapping[int, dict[str, Any]], words: Mapping[int, Mapping[str, str]]) -> None:
    """Write good events into their rows."""
    if not events:
        return
    values = pa.array(map(orjson.dumps, events.values()), pa.binary())
    keys = pa.array((orjson.dumps(event["user_id"]) for event in events.values()), pa.binary())
    read = decode(values, keys)
    assert read.valid.all(), "a good event must be good on its own"
    rows = np.fromiter(events, np.intp, len(events))
    for name in COLUMNS:
        getattr(decoded, name)[rows] = getattr(read, name)
    decoded.valid[rows] = True
    for row, replaced in words.items():
        for name in replaced:
            getattr(decoded, name)[row] = OTHER_WORD
