"""A stretch of a run as Kafka gets it: bytes, with partition and time of delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.contract.encode import Encoded, encode
from clickreel.events import Deliveries
from clickreel.simulate.world import World
from clickreel.stream.partition import partitions


class PartitionPosition(NamedTuple):
    """How far a partition is: everything delivered before ``deliver_ms`` is stored, and the first ``nth`` of that millisecond."""

    deliver_ms: int
    nth: int


@dataclass(frozen=True)
class EncodedBatch:
    """The deliveries of a run in [start_ms, end_ms), encoded.

    Attributes:
        start_ms: First instant, inclusive.
        end_ms: Last instant, exclusive.
        deliver_ms: When each record is handed to Kafka, never decreasing (int64[n]).
        partition: Where it goes (int32[n]).
        encoded: Keys and values.
    """

    start_ms: int
    end_ms: int
    deliver_ms: NDArray[np.int64]
    partition: NDArray[np.int32]
    encoded: Encoded

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.deliver_ms)

    def rows(self, partition: int) -> NDArray[np.intp]:
        """The rows of a partition, in delivery order."""
        return np.flatnonzero(self.partition == partition)

    def after(self, positions: Sequence[PartitionPosition]) -> NDArray[np.bool_]:
        """Which rows come after the positions of their partitions."""
        out = np.ones(len(self), bool)
        for partition, position in enumerate(positions):
            if position.deliver_ms >= self.start_ms:
                rows = self.rows(partition)
                out[rows[: self.rows_up_to(rows, position)]] = False
        return out

    def rows_up_to(self, rows: NDArray[np.intp], position: PartitionPosition) -> int:
        """How many of a partition's rows are up to a place."""
        if position.deliver_ms >= self.end_ms:
            return len(rows)
        return int(np.searchsorted(self.deliver_ms[rows], position.deliver_ms, "left")) + position.nth

    def position_at(self, rows: NDArray[np.intp], index: int) -> PartitionPosition:
        """The place after the row at ``index`` of a partition's rows."""
        ms = self.deliver_ms[rows]
        return PartitionPosition(int(ms[index]), index + 1 - int(np.searchsorted(ms, ms[index], "left")))

    def take(self, rows: NDArray[np.intp]) -> tuple[list[bytes], list[bytes]]:
        """Keys and values of the given rows."""
        index = pa.array(rows)
        return self.encoded.keys.take(index).to_pylist(), self.encoded.values.take(index).to_pylist()


def encode_batch(deliveries: Deliveries, start_ms: int, end_ms: int, count: int) -> EncodedBatch:
    """Encode deliveries for a topic of ``count`` partitions.

    Raises:
        ContractError: An event breaks the contract.
    """
    encoded = encode(deliveries)
    return EncodedBatch(
        start_ms, end_ms, deliveries.deliver_ms, partitions(encoded.keys, encoded.values, count), encoded
    )


class DeliveryBuffer:
    """A run's deliveries from an instant on, each generated once.

    To begin in the middle of a run is expensive (it looks back hours for late events), so what the last records of a topic are compared
    with, counted in and gone on from is one stretch.

    Args:
        world: The run.
        count: The topic's number of partitions.
        start_ms: Its first instant.

    Attributes:
        start_ms: Its first instant.
        cursor: Goes on where the buffer ends.
    """

    def __init__(self, world: World, count: int, start_ms: int) -> None:
        self.start_ms, self.cursor = start_ms, world.cursor(start_ms)
        self._count = count
        self._batch: EncodedBatch | None = None

    def extend_to(self, end_ms: int) -> EncodedBatch:
        """All of it, generated at least up to an instant."""
        at = self.cursor.position_ms
        if self._batch is None or end_ms > at:
            more = encode_batch(self.cursor.advance(max(at, end_ms)), at, max(at, end_ms), self._count)
            self._batch = more if self._batch is None else _joined(self._batch, more)
        return self._batch


def _joined(first: EncodedBatch, second: EncodedBatch) -> EncodedBatch:
    keys, values = (
        pa.concat_arrays([getattr(part.encoded, column) for part in (first, second)]) for column in ("keys", "values")
    )
    return EncodedBatch(
        first.start_ms,
        second.end_ms,
        np.concatenate([first.deliver_ms, second.deliver_ms]),
        np.concatenate([first.partition, second.partition]),
        Encoded(keys, values),
    )
