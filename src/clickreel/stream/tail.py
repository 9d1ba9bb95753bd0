"""The end of a partition: which of its last records are a run's own, read from their bytes alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate import ids
from clickreel.stream.record_batch import Record

# A flaw may break the value around its id; whatever still shows one is believed, the rest is recognised by its bytes.
_ID = re.compile(rb'"event_id"\s*:\s*"([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"')

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
