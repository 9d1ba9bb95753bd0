"""The end of a partition: which of its last records are a run's own, read from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate import ids
from clickreel.stream.broker import Broker
from clickreel.stream.offset_ranges import Ranges, read_ranges
from clickreel.stream.record_batch import Record

# A flaw may break the value around its id; whatever still shows one is believed, the rest is recognised by its bytes.
_ID = re.compile(rb'"event_id"\s*:\s*"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"')

UNREADABLE, OWN = 0, 1


@dataclass(frozen=True)
class Tail:
    """What a stretch of a partition holds that is a run's, or may be.

    Attributes:
        start: Offset at which the stretch begins; it ends with the partition.
        records: The records without an id of another run, by offset.
        kind: ``OWN`` where the id names the run, ``UNREADABLE`` where there is none (uint8[n]).
        ts_ms: Event time out of the id, where there is one (int64[n]).
    """

    start: int
    records: Sequence[Record]
    kind: NDArray[np.uint8]
    ts_ms: NDArray[np.int64]

    def own(self) -> NDArray[np.intp]:
        """Indices of the run's own records."""
        return np.flatnonzero(self.kind == OWN)

    def without(self, left_out: NDArray[np.intp]) -> Tail:
        """The tail without the records at these indices."""
        if not len(left_out):
            return self
        kept = np.setdiff1d(np.arange(len(self.records)), left_out)
        return Tail(self.start, [self.records[i] for i in kept], self.kind[kept], self.ts_ms[kept])


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


def read_tails(broker: Broker, topic: str, ranges: Ranges, run_tag: int) -> dict[int, Tail]:
    """Read ranges and keep what is a run's own or shows no id; raises as :func:`~clickreel.stream.offset_ranges.read_ranges` does.

    Other runs may have written millions of records since: only their ids are looked at.
    """
    records: dict[int, list[Record]] = {partition: [] for partition in ranges}
    kinds: dict[int, list[NDArray[np.uint8]]] = {partition: [] for partition in ranges}
    times: dict[int, list[NDArray[np.int64]]] = {partition: [] for partition in ranges}
    for batch in read_ranges(broker, topic, ranges):
        known, hi, lo = event_ids(batch.values.to_pylist())
        tags, ts_ms, _, _ = ids.read(hi, lo)
        kept = np.flatnonzero(~known | (tags == run_tag))
        records[batch.partition] += batch.records(kept)
        kinds[batch.partition].append(np.where(known[kept], OWN, UNREADABLE).astype(np.uint8))
        times[batch.partition].append(ts_ms[kept])
    return {
        partition: Tail(
            start,
            records[partition],
            np.concatenate([np.empty(0, np.uint8), *kinds[partition]]),
            np.concatenate([np.empty(0, np.int64), *times[partition]]),
        )
        for partition, (start, _) in ranges.items()
    }
