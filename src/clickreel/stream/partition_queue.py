"""What one partition still has to send of an encoded batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.stream.encoded_batch import EncodedBatch, PartitionPosition


class PartitionQueue:
    """One partition's part of a block: what is left to send."""

    def __init__(self, found: EncodedBatch, partition: int, begin: int, end: int) -> None:
        self.partition = partition
        self._batch, self._rows = found, found.rows(partition)
        self._begin = self._at = begin
        self._end = end
        self._ms = found.deliver_ms[self._rows]
        self._keys, self._values = found.take(self._rows[begin:end])

    def due(self, horizon_ms: int) -> int:
        """How many are due."""
        return max(0, int(np.searchsorted(self._ms[self._at : self._end], horizon_ms, "right")))

    def next_ms(self) -> int | None:
        """When the next one is due; ``None`` when none is left."""
        return int(self._ms[self._at]) if self._at < self._end else None

    def peek(self, n: int, now_ms: int) -> tuple[list[bytes], list[bytes], list[int]]:
        """Keys, values and timestamps of the next ``n``: the time of delivery, which is never in the future."""
        at = self._at - self._begin
        stamps: NDArray[np.int64] = np.minimum(self._ms[self._at : self._at + n], now_ms)
        return self._keys[at : at + n], self._values[at : at + n], stamps.tolist()

    def advance(self, n: int) -> PartitionPosition:
        """Go on behind the next ``n``, and say where that is."""
        self._at += n
        return self._batch.position_at(self._rows, self._at - 1)
