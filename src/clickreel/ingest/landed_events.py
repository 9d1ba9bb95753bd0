"""Which events have landed: so that a repeated delivery is written as one, by its row, in the insert that stores it.

A repeated delivery is a good message whose event, known by id and time, has a row already: from a replay of somebody's, a late request of a
producer that was killed, a mirror, in whatever partition or topic. Nothing but the landing table says which events have landed. So that
it is not asked for every message, the newest of them are kept here as sorted numbers (``time << 22 | 22 bits of the id``): what is not
among them, and is not older than they reach, is new. The others, which are few unless somebody replays, are asked of the table by id.

The numbers are read from the table at each assignment. In between the table changes in three ways. By the blocks of this process, which
are checked one after the other. By other writers of the table (other processes of the group, other topics), whose rows are read by offset
after an insert, once a second; and by mutations (dead letters that are replayed, rows that are deleted), after which all is read anew. Both are seen
after the insert, so one of two writers that land an event at the same time finds the other's row and has one of the two marked
(:func:`clickreel.warehouse.repeated_events.mark`); when it is killed before that, the next reading finds the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.warehouse import repeated_events
from clickreel.warehouse.client import Client

U64 = NDArray[np.uint64]
_BITS = 22
_MASK = (1 << _BITS) - 1
# Times of 2109 and later do not fit into a number: such events are always asked for.
_END_MS = 1 << (64 - _BITS)
_TABLE = repeated_events.TABLE
_MS = "toUnixTimestamp64Milli(event_ts)"
_HALVES = [f"reinterpretAsUInt64(reverse(substring(UUIDToNum(event_id), {first}, 8)))" for first in (1, 9)]
_KEY = (
    f"bitOr(bitShiftLeft(toUInt64({_MS}), {_BITS}), "
    f"bitAnd(arrayFold((all, half) -> bitXor(all, bitXor(half, bitShiftRight(half, 32))), [{', '.join(_HALVES)}], toUInt64(0)), {_MASK}))"
)
# 8 bytes each. At 1,000 events a second four million reach back an hour; three more minutes of a backfill's blocks are merged in 10 ms.
KEPT_MAX = 4_000_000
_READ_MAX = KEPT_MAX // 2
_MINUTES_MAX = 100_000
_FRESH_MAX = 100_000
# The table is asked for others' rows so often at most: two questions after each insert were more work than a small insert.
_LOOK_S = 1.0
_READ: dict[str, Any] = {"select_sequential_consistency": 1}


def keys(id_hi: U64, id_lo: U64, ts_ms: NDArray[np.int64]) -> U64:
    """The number of each event; equal events have equal numbers."""
    shift, mixed = np.uint64(32), id_hi ^ id_lo
    return (ts_ms.astype(np.uint64) << np.uint64(_BITS)) | ((mixed ^ (mixed >> shift)) & np.uint64(_MASK))


class LandedEvents:
    """The events of the landing table.

    Args:
        client: The database.
        before_mark: Called when a repeated row was found and is not marked yet.
        kept_max: How many numbers are kept.
    """

    def __init__(
        self, client: Client, *, before_mark: Callable[[], None] = lambda: None, kept_max: int = KEPT_MAX
    ) -> None:
        self._client = client
        self._before_mark = before_mark
        self._kept_max = kept_max
        self._kept: U64 = np.empty(0, np.uint64)  # sorted, so by time
        self._fresh: U64 = np.empty(0, np.uint64)  # sorted; merged into the others now and then
        self._since_ms = 0  # every row from here on is among them
        self._asked_ms: list[int] = []  # since the last look: when the events happened that were asked of the table
        self._looked_s = float("-inf")
        self._ends: dict[tuple[str, int], int] = {}
        self._mutations: tuple[int, int] = (0, 0)

    def load(self) -> None:
        """Read the newest events of the table; mark what is repeated among them."""
        self._ends, self._mutations = self._look()
        self._since_ms = self._reach()
        self._fresh = np.empty(0, np.uint64)
        self._kept = self._read(
            f"event_ts >= fromUnixTimestamp64Milli({self._since_ms}, 'UTC') "
            f"AND event_ts < fromUnixTimestamp64Milli({_END_MS}, 'UTC') ORDER BY key"
        )
        self._mark(self._kept[1:][self._kept[1:] == self._kept[:-1]])

    def find_repeated(self, id_hi: U64, id_lo: U64, ts_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some good messages, in the order in which they will be rows, are repeated deliveries; all of them count as landed then."""
        found = np.zeros(len(ts_ms), np.bool_)
        numbers = keys(id_hi, id_lo, ts_ms)
        ordered = np.sort(numbers)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        known = np.union1d(twice, ordered[self._has(ordered)])
        asked = (ts_ms < self._since_ms) | (ts_ms >= _END_MS)
        if len(known):
            asked |= np.isin(numbers, known)
        rows = np.flatnonzero(asked)
        self._asked_ms += ts_ms[rows].tolist()
        if len(rows):
            events = [
                (int(high) << 64 | int(low), int(at))
                for high, low, at in zip(id_hi[rows], id_lo[rows], ts_ms[rows], strict=True)
            ]
            seen = repeated_events.landed(self._client, events)
            for row, event in zip(rows, events, strict=True):
                found[row] = event in seen
                seen.add(event)
        self._add(ordered)
        return found

    def after_insert(self, own: Collection[tuple[str, int]], *, is_last: bool = False) -> None:
        """Take note, once a second, of what others have landed meanwhile; mark what is repeated by that.

        Args:
            own: Topic's id and partition of what this process lands.
            is_last: Look now, as no insert follows.
        """
        if not is_last and time.monotonic() < self._looked_s + _LOOK_S:
            return
        self._looked_s, asked_ms, self._asked_ms = time.monotonic(), self._asked_ms, []
        ends, mutations = self._look()
        if mutations != self._mutations:
            self.load()
            repeated_events.mark(self._client, asked_ms)
            return
        for place, end in ends.items():
            after = self._ends.get(place, -1)
            if place not in own and end > after:
                topic_id, partition = place
                numbers = self._read(
                    f"_topic_id = {{id:String}} AND _partition = {{partition:Int32}} AND _offset > {after} AND _offset <= {end} "
                    "ORDER BY key",
                    {"id": topic_id, "partition": partition},
                )
                old = numbers < np.uint64(self._since_ms << _BITS)
                self._mark(np.concatenate([numbers[self._has(numbers)], numbers[old]]))
                self._add(numbers)
        self._ends = ends

    def _mark(self, numbers: U64) -> None:
        if len(numbers):
            self._before_mark()
            repeated_events.mark(self._client, (numbers >> np.uint64(_BITS)).tolist())

    def _look(self) -> tuple[dict[tuple[str, int], int], tuple[int, int]]:
        """How far each partition of each topic has landed, and a number that changes when a mutation begins or ends."""
        ends = self._client.rows(
            f"SELECT _topic_id::String, _partition, max(_offset) FROM {_TABLE} GROUP BY _topic_id, _partition", **_READ
        )
        ((last, unfinished),) = self._client.rows(
            "SELECT max(arrayMax(block_numbers.number)), countIf(NOT is_done) FROM system.mutations "
            f"WHERE database = currentDatabase() AND table = '{_TABLE}'"
        )
        return {(topic_id, int(part)): int(end) for topic_id, part, end in ends}, (int(last or 0), int(unfinished))

    def _reach(self) -> int:
        """From which instant on all events are read: the newest two million, in whole minutes, which a projection counts."""
        minute = f"intDiv({_MS}, 60000)"
        found = self._client.columns(
            f"SELECT {minute} AS minute, count() AS events FROM {_TABLE} WHERE error = '' GROUP BY minute "
            f"ORDER BY minute DESC LIMIT {_MINUTES_MAX}",
            **_READ,
        )
        minutes, events = (np.asarray(found[name].to_numpy(), np.int64) for name in ("minute", "events"))
        within = int(np.searchsorted(np.cumsum(events), min(_READ_MAX, self._kept_max), "right"))
        if within == len(minutes) < _MINUTES_MAX:
            return 0
        return max(0, int(minutes[max(within - 1, 0)]) * 60_000)

    def _read(self, condition: str, parameters: dict[str, object] | None = None) -> U64:
        found = self._client.columns(
            f"SELECT {_KEY} AS key FROM {_TABLE} WHERE error = '' AND {condition}", parameters, **_READ
        )
        return np.asarray(found["key"].to_numpy(), np.uint64)

    def _has(self, ordered: U64) -> NDArray[np.bool_]:
        """Which of some sorted numbers are known."""
        known = np.zeros(len(ordered), np.bool_)
        for numbers in (self._kept, self._fresh):
            if len(numbers):
                places = np.minimum(np.searchsorted(numbers, ordered), len(numbers) - 1)
                known |= numbers[places] == ordered
        return known

    def _add(self, ordered: U64) -> None:
        self._fresh = _merge(self._fresh, ordered)
        if len(self._fresh) <= _FRESH_MAX and len(self._kept) + len(self._fresh) <= self._kept_max:
            return
        self._kept, self._fresh = _merge(self._kept, self._fresh), np.empty(0, np.uint64)
        if len(self._kept) > self._kept_max:
            # The oldest go, a quarter of them at once; of the instant at which it is cut some may be gone.
            self._kept = self._kept[len(self._kept) - 3 * self._kept_max // 4 :].copy()
            self._since_ms = max(self._since_ms, int(self._kept[0] >> np.uint64(_BITS)) + 1)


def _merge(some: U64, others: U64) -> U64:
    """Two sorted arrays as one; the stable sort of numpy merges runs."""
    both = np.concatenate([some, others])
    both.sort(kind="stable")
    return both
