"""The words of the contract, read from the schema: the codes of a column are places in these tuples."""

from __future__ import annotations

from clickreel.contract import schema

_FIELDS = schema.current("value").fields


def _words(field: str) -> tuple[str, ...]:
    return tuple(_FIELDS[field]["enum"])


FIELDS: tuple[str, ...] = tuple(_FIELDS)
"""The fields of an event, in the order in which they are written."""

EVENT_TYPES: tuple[str, ...] = _words("event_type")
PAGES: tuple[str, ...] = _words("page")
DEVICES: tuple[str, ...] = _words("device")
REFERRERS: tuple[str, ...] = _words("referrer")

FLAWS: tuple[str, ...] = (
    "none",
    "late",
    "late_batch",
    "out_of_order",
    "duplicate_same",
    "duplicate_changed",
    "missing_field",
    "wrong_type",
    "unknown_enum",
    "not_json",
    "truncated",
    "wrong_key",
    "wrong_encoding",
)
"""Deliberate defects, in the order of their codes. From ``missing_field`` on they break the contract."""

MALFORMED: tuple[str, ...] = FLAWS[FLAWS.index("missing_field") :]
"""The flaws that break the contract: such a message is a dead letter."""
