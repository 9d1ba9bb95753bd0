"""What a run puts into each partition, made once more from its seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.sequence_diff import SequenceRows
from clickreel.contract import corrupt
from clickreel.contract.vocabulary import FLAWS, MALFORMED
from clickreel.simulate.world import World
from clickreel.stream.encoded_batch import encode_batch

# Rows that are made at a time: some tens of megabytes.
_STRETCH_ROWS = 100_000
_STRETCH_MS_MAX = 6 * 3_600_000
_BROKEN_FROM = FLAWS.index(MALFORMED[0])


@dataclass(frozen=True)
class ExpectedRun:
    """A run of the producer.

    Attributes:
        world: Its world.
        start_ms: Where it begins.
        until_ms: Deliveries from this instant on are not part of it; None for no end.
        count: How many records it has in all; None for no limit.
        partitions: How many partitions the topic had when the run began; 0 for as many as it has now. A run keeps to them when
            partitions are added.
    """

    world: World
    start_ms: int
    until_ms: int | None = None
    count: int | None = None
    partitions: int = 0

    @property
    def ends(self) -> bool:
        """Whether it has an end."""
        return self.until_ms is not None or self.count is not None


class Reasons:
    """Numbers for the rules that messages are made to break; 0 is none."""

    def __init__(self) -> None:
        self.known: list[corrupt.Reason | None] = [None]
        self._numbers: dict[corrupt.Reason, int] = {}

    def number(self, reason: corrupt.Reason) -> int:
        """The number of a reason."""
        if reason not in self._numbers:
            self._numbers[reason] = len(self.known)
            self.known.append(reason)
        return self._numbers[reason]


class ExpectedSequence:
    """The rows of a run, by partition, in the order of delivery.

    Args:
        run: The run.
        partitions: How many the topic has, of which the run uses those that it began with.
    """

    def __init__(self, run: ExpectedRun, partitions: int) -> None:
        self._run, self._partitions = run, run.partitions or partitions
        self._cursor = run.world.cursor(run.start_ms)
        self._at = run.start_ms
        self._made = 0
        self.reasons = Reasons()
        self.ended = False

    def advance(self) -> dict[int, SequenceRows]:
        """The next stretch."""
        stretch_ms = int(min(_STRETCH_MS_MAX, max(1, _STRETCH_ROWS * 1000 / self._run.world.expected_rate)))
        end = self._at + stretch_ms
        if self._run.until_ms is not None and end >= self._run.until_ms:
            end, self.ended = self._run.until_ms, True
        deliveries = self._cursor.advance(end)
        if self._run.count is not None and self._made + len(deliveries) >= self._run.count:
            deliveries = deliveries.take(slice(self._run.count - self._made))
            self.ended = True
        self._made += len(deliveries)
        made = encode_batch(deliveries, self._at, end, self._partitions)
        self._at = end
        if not len(made):
            return {}
        rows = SequenceRows(
            names(made.encoded.keys.to_pylist(), made.encoded.values.to_pylist()),
            deliveries.id_hi,
            deliveries.id_lo,
            deliveries.deliver_ms,
            self._reasons(deliveries.flaw, deliveries.variant),
        )
        return {partition: rows.part(made.rows(partition)) for partition in range(self._partitions)}

    def _reasons(self, flaws: NDArray[np.uint8], variants: NDArray[np.uint32]) -> NDArray[np.int16]:
        out = np.zeros(len(flaws), np.int16)
        for row in np.flatnonzero(flaws >= _BROKEN_FROM).tolist():
            out[row] = self.reasons.number(corrupt.reason(FLAWS[flaws[row]], int(variants[row])))
        return out


def names(keys: list[bytes | None], values: list[bytes | None]) -> NDArray[np.int64]:
    """A hash of each message's bytes; equal messages have equal ones within one process."""
    of_keys = np.fromiter(map(hash, keys), np.int64, len(keys))
    of_values = np.fromiter(map(hash, values), np.int64, len(values))
    return (of_keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + of_values.view(np.uint64)).view(np.int64)
