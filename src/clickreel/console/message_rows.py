"""Records as the rows of the messages table."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import orjson

from clickreel.contract import framing
from clickreel.contract.verdict import payload
from clickreel.contract.vocabulary import FIELDS
from clickreel.foreign_text import printable
from clickreel.stream.record_batch import Record
from clickreel.stream.topic_contract import OURS, TopicContract

# A value of a megabyte is opened by a click; in the table its beginning will do.
_CELL_MAX = 400


@functools.lru_cache(8_192)  # the same record goes to every viewer
def message_row(record: Record, contract: TopicContract = OURS) -> dict[str, Any]:
    """A record as the table's component takes it.

    ``p`` partition, ``o`` offset, ``t`` timestamp in ms, ``k`` key, ``v`` value, ``ok`` whether it keeps its topic's contract, if
    there is one, ``why`` not, ``c`` the event's fields in the contract's order (``n`` marks numbers). A good event whose value is shown as
    it is has ``f`` instead of ``c``: the browser reads the fields out of ``v``, of the rows that are seen. So a frame is half as long.
    """
    verdict = contract.judge(record)
    value = payload(record.value, record.headers, "value")
    row: dict[str, Any] = {
        "p": record.partition,
        "o": record.offset,
        "t": record.timestamp_ms,
        "k": _text(payload(record.key, record.headers, "key")),
        "v": _text(value),
    }
    if verdict is not None:
        row["ok"] = verdict.is_valid
    if verdict is not None and verdict.violation is not None:
        row["why"] = _cell(verdict.violation.text)
    if contract.is_ours and row.get("ok") and value is not None and _is_as_it_is(value, row["v"]):
        row["f"] = 1
    elif (event := _event(value, contract.columns)) is not None:
        row["c"] = [_cell(event.get(name)) for name in contract.columns]
        row["n"] = [isinstance(event.get(name), int | float) for name in contract.columns]
    return row


def event_cells(record: Record, names: Sequence[str]) -> list[str] | None:
    """These fields of the event that a record holds, as text; None where it holds none."""
    event = _event(payload(record.value, record.headers, "value"), FIELDS)
    return None if event is None else [_cell(event.get(name)) for name in names]


def framing_name(record: Record) -> str:
    """How a record names its schema: ``plain``, ``header`` or ``prefix``, with the schema's id or GUID."""
    given = [(name, data) for name, data in record.headers if data is not None]
    unframed = None if record.value is None else framing.unframe(record.value, framing.schema_headers(given)[1])
    if unframed is None:
        return "damaged frame"
    if unframed.schema is None:
        return "no schema named"
    return f"schema {printable(str(unframed.schema))}"


def _is_as_it_is(value: bytes, shown: str) -> bool:
    """Whether a value is shown byte for byte, and says the same to every parser of JSON."""
    return len(shown) == len(value) <= _CELL_MAX and "\\" not in shown


def _event(value: bytes | None, names: Sequence[str]) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and any(name in found for name in names) else None


def _text(data: bytes | None) -> str | None:
    return None if data is None else _cell(data.decode("utf-8", "backslashreplace"))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    shown = printable(text[: _CELL_MAX + 1])
    return shown if len(text) <= _CELL_MAX else shown[:_CELL_MAX] + "…"
