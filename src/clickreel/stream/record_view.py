"""Messages of the topic as a person or a script sees them: read from anywhere, filtered, checked, safe to print."""

from __future__ import annotations

import base64
import heapq
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from clickreel import timespec
from clickreel.contract.check import check
from clickreel.errors import UsageError
from clickreel.stream.broker import Bounds, Broker, Record

_BATCH = 2_000
_IDLE_S = 0.2


def start_offsets(broker: Broker, topic: str, text: str, now_ms: int, *, last: int | None = None) -> dict[int, int]:
    """Where to read from, by partition.

    Args:
        broker: The cluster.
        topic: The topic.
        text: ``earliest``, ``latest``, an offset, a negative offset from the end, or a time (see :mod:`.moment`).
        now_ms: The present, for relative times.
        last: With ``latest``: so many records before the end, over all partitions together at least.

    Raises:
        UsageError: It is none of these, or an offset that no partition holds.
    """
    bounds = broker.bounds(topic)
    if text == "earliest":
        return {p: b.low for p, b in enumerate(bounds)}
    if text == "latest":
        return {p: max(b.low, b.high - (last or 0)) for p, b in enumerate(bounds)}
    if text.removeprefix("-").isdigit() and len(text) < 12:
        return _from_offset(topic, int(text), bounds)
    return dict(enumerate(broker.offsets_at(topic, timespec.instant_ms(text, now_ms, "--from"))))


def _from_offset(topic: str, offset: int, bounds: list[Bounds]) -> dict[int, int]:
    if offset < 0:
        return {p: max(b.low, b.high + offset) for p, b in enumerate(bounds)}
    if not any(b.low <= offset <= b.high for b in bounds):
        low, high = min(b.low for b in bounds), max(b.high for b in bounds)
        raise UsageError(
            f"no partition of {topic} holds offset {offset:,} (they hold {low:,} to {high:,})",
            hint="clickreel topic describe",
        )
    return {p: min(max(offset, b.low), b.high) for p, b in enumerate(bounds)}


def read_records(
    broker: Broker,
    topic: str,
    begin: dict[int, int],
    *,
    follow: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[list[Record]]:
    """Read on from the given offsets.

    Args:
        broker: The cluster.
        topic: The topic.
        begin: First offset by partition; other partitions are left out.
        follow: Wait for more at the end; otherwise it ends where the partitions ended when it began.
        stop: Ends it.

    Yields:
        Batches of records, in the order of their timestamps within a batch.
    """
    ends = {p: b.high for p, b in enumerate(broker.bounds(topic)) if p in begin}
    open_ = {p for p in begin if follow or begin[p] < ends[p]}
    if not open_:
        return
    reader = broker.reader(topic, {p: begin[p] for p in open_})
    try:
        while open_ and not (stop and stop.is_set()):
            records = reader.poll(_BATCH, _IDLE_S)
            if not follow:
                open_ -= {r.partition for r in records if r.offset + 1 >= ends[r.partition]} | reader.ended
                records = [r for r in records if r.offset < ends[r.partition]]
            if records:
                yield sorted(records, key=lambda r: (r.timestamp_ms, r.partition, r.offset))
    finally:
        reader.close()


def newest_records(
    broker: Broker, topic: str, limit: int, begin: dict[int, int], keep: Callable[[Record], bool]
) -> list[Record]:
    """The newest ``limit`` records that are wanted, oldest first."""
    heap: list[tuple[int, int, int, Record]] = []
    for records in read_records(broker, topic, begin):
        for record in filter(keep, records):
            entry = (record.timestamp_ms, record.offset, record.partition, record)
            if len(heap) < limit:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)
    return [entry[3] for entry in sorted(heap, key=lambda e: e[:3])]


def parse_payload(data: bytes | None) -> Any:
    """A key or value as JSON where it is JSON, else as text; bytes that are no text become ``base64:...``."""
    if data is None:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def record_as_json(record: Record) -> dict[str, Any]:
    """A record in the shape that scripts rely on."""
    violation = check(record.key, record.value, tuple((k, v) for k, v in record.headers if v is not None))
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": None if record.timestamp_ms < 0 else timespec.format_instant(record.timestamp_ms),
        "key": parse_payload(record.key),
        "value": parse_payload(record.value),
        "headers": {name: parse_payload(data) for name, data in record.headers},
        "valid": violation is None,
        "errors": []
        if violation is None
        else [{"field": violation.field, "rule": violation.rule, "text": violation.text}],
    }


def filter_fields(shown: dict[str, Any]) -> dict[str, Any]:
    """What ``--where`` sees of a message: the value's fields beside the record's own, which win."""
    value = shown["value"]
    fields = value if isinstance(value, dict) else {}
    return {**fields, **{k: shown[k] for k in ("partition", "offset", "timestamp", "key", "value", "valid")}}
