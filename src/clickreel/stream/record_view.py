"""Records of the topic as a person or a script sees them: read from anywhere, filtered, judged by the contract."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clickreel import timespec
from clickreel.contract import framing, record_json
from clickreel.contract.verdict import Lookup, Verdict, judge_record
from clickreel.errors import UsageError
from clickreel.stream.broker import Bounds, Broker
from clickreel.stream.offset_ranges import Ranges, read_ranges
from clickreel.stream.record_batch import Record, RecordBatch

_OLDEST, _NEWEST = {"earliest", "oldest"}, {"latest", "newest"}
# So many offsets a partition are read first to find the newest records, and four times as many each time that was too few.
_WINDOW_RECORDS = 5_000
_WIDER = 4
_SEARCH_BATCH = 2_000


class RecordView:
    """A record and what can be said of it, worked out when it is asked for.

    Args:
        record: The record.
        lookup: Finds the schema that a record names; without one, none is found.
    """

    def __init__(self, record: Record, lookup: Lookup | None = None) -> None:
        self.record = record
        self._lookup = lookup

    @cached_property
    def verdict(self) -> Verdict:
        """The contract's verdict, the same that ingest gives."""
        one = self.record
        return judge_record(one.key, one.value, one.headers, lookup=self._lookup)

    @cached_property
    def timestamp(self) -> str | None:
        """The record's timestamp in UTC; None where the broker keeps none."""
        stamp = self.record.timestamp_ms
        return None if stamp < 0 else timespec.format_instant(stamp)

    @cached_property
    def key(self) -> Any:
        """The parsed key, see :func:`clickreel.contract.record_json.payload_json`."""
        return record_json.payload_json(self.record.key, self._schema_headers[0])

    @cached_property
    def value(self) -> Any:
        """The parsed value, without any framing."""
        return record_json.payload_json(self.record.value, self._schema_headers[1])

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The value's fields; none where it is no object."""
        return self.value if isinstance(self.value, dict) else {}

    @cached_property
    def _schema_headers(self) -> tuple[bytes | None, bytes | None]:
        given = [(name, data) for name, data in self.record.headers if data is not None]
        return framing.schema_headers(given) if given else (None, None)

    def get(self, name: str) -> Any:
        """What ``--where`` sees under a name: a property of the record, else a field of its value."""
        if name in {"partition", "offset"}:
            return getattr(self.record, name)
        if name == "valid":
            return self.verdict.is_valid
        if name in {"timestamp", "key", "value"}:
            return getattr(self, name)
        return self.fields.get(name)

    def as_json(self) -> bytes:
        """One line of NDJSON, see :mod:`clickreel.contract.record_json`."""
        one = self.record
        place = {"partition": one.partition, "offset": one.offset, "timestamp": self.timestamp}
        return record_json.format_record(place, one.key, one.value, one.headers, self.verdict.errors)


Wanted = Callable[[RecordView], bool]


def start_offsets(broker: Broker, topic: str, text: str, now_ms: int) -> dict[int, int]:
    """Where to read from, by partition.

    Args:
        broker: The cluster.
        topic: The topic.
        text: ``earliest`` (``oldest``), ``latest`` (``newest``), an offset, a negative offset from the end, or a time
            (see :mod:`clickreel.timespec`).
        now_ms: The present, for relative times.

    Raises:
        UsageError: It is none of these, or an offset that no partition holds.
    """
    bounds = broker.bounds(topic)
    if text in _OLDEST:
        return {p: b.low for p, b in enumerate(bounds)}
    if text in _NEWEST:
        return {p: b.high for p, b in enumerate(bounds)}
    if text.removeprefix("-").isdigit() and len(text) < 12:
        return _from_offset(topic, int(text), bounds)
    return dict(enumerate(broker.offsets_at(topic, timespec.instant_ms(text, now_ms, "--from"))))


def is_latest(text: str) -> bool:
    """Whether a place names the end of the topic."""
    return text in _NEWEST


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
    begin: Mapping[int, int],
    *,
    stop: threading.Event | None = None,
    looked_at: Callable[[int], object] = lambda _count: None,
) -> Iterator[list[Record]]:
    """Read from the given offsets to the end that the partitions have now.

    Args:
        broker: The cluster.
        topic: The topic.
        begin: First offset by partition; other partitions are left out.
        stop: Ends it.
        looked_at: Told how many records each batch held.

    Yields:
        Batches of records, in the order of their timestamps within a batch.
    """
    ranges = {p: (begin[p], bound.high) for p, bound in enumerate(broker.bounds(topic)) if p in begin}
    for batch in read_ranges(broker, topic, ranges, limit=2_000, stop=stop):
        looked_at(len(batch))
        yield _by_time(batch)


@dataclass(frozen=True, slots=True)
class RecordSearch:
    """How far a search through a topic has come.

    Attributes:
        records: What it found, oldest first.
        searched: How many offsets it has looked at.
        left: How many it has not.
        next_offsets: Where it goes on, by partition.
    """

    records: list[Record]
    searched: int
    left: int
    next_offsets: dict[int, int]


def search_records(
    broker: Broker,
    topic: str,
    ranges: Ranges,
    wanted: Callable[[Record], bool],
    *,
    limit: int,
    search_max: int,
) -> RecordSearch:
    """The oldest records of some ranges that are wanted; where it stops, another search can go on.

    Args:
        broker: The cluster.
        topic: The topic.
        ranges: First offset and the offset to stop before, by partition.
        wanted: Which ones.
        limit: How many at most.
        search_max: Look at so many records at most.
    """
    nexts = {p: start for p, (start, _) in ranges.items()}
    found: dict[int, list[Record]] = {p: [] for p in ranges}
    looked_at = 0

    def full() -> frozenset[int]:
        return frozenset(p for p, records in found.items() if len(records) >= limit)

    for batch in read_ranges(broker, topic, ranges, limit=_SEARCH_BATCH, paused=full):
        records = found[batch.partition]
        for record in batch.records():
            if len(records) >= limit or looked_at >= search_max:
                break
            nexts[batch.partition] = record.offset + 1
            looked_at += 1
            if wanted(record):
                records.append(record)
        unfinished = {p for p, (_, end) in ranges.items() if nexts[p] < end}
        if looked_at >= search_max or unfinished <= full():
            break
    else:
        nexts = {p: max(start, end) for p, (start, end) in ranges.items()}
    ordered = sorted(
        itertools.chain.from_iterable(found.values()), key=lambda r: (r.timestamp_ms, r.partition, r.offset)
    )
    for record in ordered[limit:]:  # read, and left to the search that goes on
        nexts[record.partition] = min(nexts[record.partition], record.offset)
    searched = sum(nexts[p] - start for p, (start, _) in ranges.items())
    return RecordSearch(ordered[:limit], searched, sum(max(0, end - nexts[p]) for p, (_, end) in ranges.items()), nexts)


def _by_time(batch: RecordBatch) -> list[Record]:
    return sorted(batch.records(), key=lambda r: (r.timestamp_ms, r.partition, r.offset))


def newest_records(
    broker: Broker,
    topic: str,
    limit: int,
    wanted: Callable[[Record], bool] | None = None,
    *,
    partitions: frozenset[int] | None = None,
    looked_at: Callable[[int], object] = lambda _count: None,
    stop: threading.Event | None = None,
) -> list[Record]:
    """The newest ``limit`` records that are wanted, oldest first.

    The topic is read backwards in growing windows, so that what is frequent is found in moments, however long the topic is.

    Args:
        broker: The cluster.
        topic: The topic.
        limit: How many.
        wanted: Which ones; None for all.
        partitions: Of these partitions only; None for all.
        looked_at: Told how many records each batch held.
        stop: Ends the search; what was found so far is returned.
    """
    ends = {p: b for p, b in enumerate(broker.bounds(topic)) if partitions is None or p in partitions}
    heap: list[tuple[int, int, int, Record]] = []
    read_from = {p: b.high for p, b in ends.items()}
    window = limit if wanted is None else max(limit, _WINDOW_RECORDS)
    while not (stop and stop.is_set()):
        ranges = {p: (max(ends[p].low, start - window), start) for p, start in read_from.items()}
        oldest_ms = _keep_newest(broker, topic, ranges, heap, limit, wanted, looked_at, stop)
        read_from = {p: start for p, (start, _) in ranges.items()}
        unread = [p for p, start in read_from.items() if start > ends[p].low]
        # What is older than the oldest record read of a partition may still be newer than what was found in another.
        enough = len(heap) == limit and all(oldest_ms.get(p, heap[0][0] + 1) <= heap[0][0] for p in unread)
        if not unread or enough:
            break
        window *= _WIDER
    return [entry[3] for entry in sorted(heap, key=lambda entry: entry[:3])]


def _keep_newest(  # noqa: PLR0917 - the state of one search
    broker: Broker,
    topic: str,
    ranges: Mapping[int, tuple[int, int]],
    heap: list[tuple[int, int, int, Record]],
    limit: int,
    wanted: Callable[[Record], bool] | None,
    looked_at: Callable[[int], object],
    stop: threading.Event | None,
) -> dict[int, int]:
    """Put the newest wanted records of some ranges into the heap; the first timestamp read, by partition."""
    oldest_ms: dict[int, int] = {}
    for batch in read_ranges(broker, topic, ranges, stop=stop):
        looked_at(len(batch))
        oldest_ms.setdefault(batch.partition, int(batch.timestamps_ms[0]))
        for record in batch.records():
            if wanted is not None and not wanted(record):
                continue
            entry = (record.timestamp_ms, record.offset, record.partition, record)
            if len(heap) < limit:
                heapq.heappush(heap, entry)
            elif entry[:3] > heap[0][:3]:
                heapq.heapreplace(heap, entry)
    return oldest_ms
