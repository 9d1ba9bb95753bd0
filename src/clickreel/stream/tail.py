"""The end of a partition: which of its last records are a run's own, read from their bytes alone."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UnreachableError
from clickreel.simulate import ids
from clickreel.stream.broker import Broker, Record

# A flaw may break the value around its id; whatever still shows one is believed, the rest is recognised by its bytes.
_ID = re.compile(rb'"event_id"\s*:\s*"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"')
_SILENCE_S = 10.0

FOREIGN, UNREADABLE, OWN = 0, 1, 2


@dataclass(frozen=True)
class Tail:
    """Consecutive records of a partition.

    Attributes:
        records: The records, by offset.
        kind: ``OWN`` where the id names the run, ``FOREIGN`` where it names another, ``UNREADABLE`` where there is none (uint8[n]).
        ts_ms: Event time out of the id, where there is one (int64[n]).
    """

    records: Sequence[Record]
    kind: NDArray[np.uint8]
    ts_ms: NDArray[np.int64]

    def own(self) -> NDArray[np.intp]:
        """Indices of the run's own records."""
        return np.flatnonzero(self.kind == OWN)


def event_ids(values: Sequence[bytes | None]) -> tuple[NDArray[np.bool_], NDArray[np.uint64], NDArray[np.uint64]]:
    """The ids that values show: which have one, and its upper and lower 64 bits."""
    numbers = []
    for value in values:
        found = _ID.search(value) if value else None
        numbers.append(int(found[1].replace(b"-", b""), 16) if found else 0)
    known = np.array([number != 0 for number in numbers], bool)
    hi = np.array([number >> 64 for number in numbers], np.uint64)
    lo = np.array([number & (2**64 - 1) for number in numbers], np.uint64)
    return known, hi, lo


def tail(records: Sequence[Record], run_tag: int) -> Tail:
    """Tell a run's records from others."""
    known, hi, lo = event_ids([record.value for record in records])
    tags, ts_ms, _, _ = ids.read(hi, lo)
    kind = np.where(known, np.where(tags == run_tag, OWN, FOREIGN), UNREADABLE).astype(np.uint8)
    return Tail(records, kind, ts_ms)


def read(broker: Broker, topic: str, spans: Mapping[int, tuple[int, int]]) -> dict[int, list[Record]]:
    """The records of each partition in [start, stop).

    Args:
        broker: The cluster.
        topic: The topic.
        spans: By partition: first offset, and the offset to stop before; both within what the partition holds.

    Raises:
        UnreachableError: The broker has fallen silent.
    """
    out: dict[int, list[Record]] = {partition: [] for partition in spans}
    open_ = {p: stop for p, (start, stop) in spans.items() if start < stop}
    if not open_:
        return out
    reader = broker.reader(topic, {p: spans[p][0] for p in open_})
    heard = time.monotonic()
    try:
        while open_:
            records = reader.poll(10_000, 0.2)
            for record in records:
                if record.partition in open_ and record.offset < open_[record.partition]:
                    out[record.partition].append(record)
                if record.offset + 1 >= open_.get(record.partition, 1 << 62):
                    del open_[record.partition]
            # Offsets may be missing at the end of a span (control records, compaction): the end of the partition is the end.
            open_ = {p: stop for p, stop in open_.items() if p not in reader.ended}
            heard = time.monotonic() if records else heard
            if time.monotonic() - heard > _SILENCE_S:
                raise UnreachableError(
                    f"Kafka at {broker.address} sends nothing of {topic} for {_SILENCE_S:g} s", hint="clickreel doctor"
                )
    finally:
        reader.close()
    return out
