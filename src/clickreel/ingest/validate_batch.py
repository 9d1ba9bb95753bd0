"""Messages to rows: what is good becomes columns, what is not becomes a dead row with the reason. Nothing raises, nothing is dropped.

Most messages carry no schema id and are meant for the contract's current version: :mod:`clickreel.contract.decode` reads them a block at
a time. A message that does not keep it and names a schema goes through :func:`clickreel.contract.verdict.judge_record`: fields beyond the
table's columns are kept as JSON in ``extra``, words beyond the current enums as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from clickreel.contract import framing
from clickreel.contract.decode import Decoded, decode
from clickreel.contract.schema import Schema
from clickreel.contract.verdict import Lookup, Verdict, dump_object, judge_record
from clickreel.stream.record_batch import RecordBatch

COLUMNS = (
    "id_hi", "id_lo", "ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer",
)  # fmt: skip
"""The columns of :class:`~clickreel.contract.decode.Decoded`."""

OTHER_WORD = 255
"""The code of a word that is not in the current enum."""

UNDECIDED = "undecided"
"""The error of a row whose schema could not be read; it is validated again when the registry answers."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row is dead.

    Attributes:
        error: ``contract``: it breaks the contract; ``schema``: it names a schema that nobody knows and breaks the current contract;
            ``undecided``: it names a schema that cannot be read now.
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


def validate_batch(batch: RecordBatch, lookup: Lookup, schemas: Mapping[int, Schema] | None = None) -> ValidatedBatch:
    """Validate the messages of a batch.

    Args:
        batch: The messages.
        lookup: Finds the schemas that messages name.
        schemas: Rows to be validated by a schema of their own, whatever they name: replayed dead letters.
    """
    schemas = schemas or {}
    decoded = decode(batch.values, batch.keys)
    dead = {row: rejected(Verdict(violation)) for row, violation in decoded.violations.items()}
    extra: dict[int, bytes] = {}
    words: dict[int, dict[str, str]] = {}
    good: dict[int, dict[str, Any]] = {}
    for row in sorted({*_framed(batch, decoded), *schemas}):
        by = schemas.get(row)
        found = judge_record(batch.key(row), batch.value(row), batch.headers.get(row), lookup=lookup, schema=by)
        if not found.is_valid:
            dead[row] = rejected(found)
            continue
        dead.pop(row, None)
        good[row] = found.event
        if found.extra:
            extra[row] = dump_object(found.extra)
        if found.words:
            words[row] = found.words
    _put(decoded, good, words)
    return ValidatedBatch(batch, decoded, dead, extra, words)


def rejected(verdict: Verdict) -> Rejected:
    """A verdict against a record, as its row says it: the first violation's field and rule, all of them in the reason."""
    assert verdict.violation is not None, "a good record is not rejected"
    first = verdict.violation
    error = UNDECIDED if verdict.is_undecided else "contract" if verdict.schema_known else "schema"
    return Rejected(error, first.field, first.rule, first.texts)


def _framed(batch: RecordBatch, decoded: Decoded) -> list[int]:
    """The rows to be validated by the schema that they name.

    A message that keeps the current contract is good, whatever schema it names: so these are the broken ones that name one, and those
    whose header names none although it should.
    """
    rows = {row for row in decoded.violations if (batch.value(row) or b"")[:1] == b"\0"}
    damaged: dict[bytes, bool] = {}
    for row, headers in batch.headers.items():
        for header in filter(None, framing.schema_headers(headers)):
            if header not in damaged:
                damaged[header] = framing.unframe(b"", header) is None
            if damaged[header] or not decoded.valid[row]:
                rows.add(row)
    return sorted(rows)


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
