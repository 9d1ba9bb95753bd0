"""What is read from one partition, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record as it was read. ``timestamp_ms`` is -1 where the broker keeps none."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Messages of one partition in offset order, n rows.

    Attributes:
        partition: The partition.
        offsets: Rising; a step of more than one is a gap that Kafka does not serve (int64[n]).
        timestamps_ms: The records' timestamps, ms since 1970; -1 where there is none (int64[n]).
        keys: The keys' bytes, nulls allowed.
        values: The values' bytes, nulls allowed.
        headers: The headers of the rows that have some, by row.
    """

    partition: int
    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    keys: pa.LargeBinaryArray
    values: pa.LargeBinaryArray
    headers: Mapping[int, Headers] = field(default_factory=dict)

    @classmethod
    def from_values(  # noqa: PLR0917 - the columns of a record, in the order of the class
        cls,
        partition: int,
        offsets: NDArray[np.int64],
        timestamps_ms: NDArray[np.int64],
        keys: Iterable[bytes | None],
        values: Iterable[bytes | None],
        headers: Mapping[int, Headers] | None = None,
    ) -> RecordBatch:
        """A batch of keys and values given one by one."""
        of_keys, of_values = (pa.array(column, pa.large_binary()) for column in (keys, values))
        return cls(partition, offsets, timestamps_ms, of_keys, of_values, headers or {})

    @classmethod
    def joined(cls, batches: Sequence[RecordBatch]) -> RecordBatch:
        """Batches of one partition, one after the other, as one."""
        if len(batches) == 1:
            return batches[0]
        headers: dict[int, Headers] = {}
        first = 0
        for batch in batches:
            headers.update({first + row: found for row, found in batch.headers.items()})
            first += len(batch)
        return cls(
            batches[0].partition,
            np.concatenate([batch.offsets for batch in batches]),
            np.concatenate([batch.timestamps_ms for batch in batches]),
            pa.concat_arrays([batch.keys for batch in batches]),
            pa.concat_arrays([batch.values for batch in batches]),
            headers,
        )

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.values)

    @property
    def size_bytes(self) -> int:
        """Size of the keys and values, and of where they begin."""
        return int(self.keys.nbytes + self.values.nbytes)

    def records(self, rows: NDArray[np.intp] | None = None) -> list[Record]:
        """The same one by one, or some rows of it."""
        chosen = np.arange(len(self)) if rows is None else rows
        columns = (
            chosen.tolist(),
            self.offsets[chosen].tolist(),
            self.timestamps_ms[chosen].tolist(),
            self.keys.take(pa.array(chosen)).to_pylist(),
            self.values.take(pa.array(chosen)).to_pylist(),
        )
        return [
            Record(self.partition, offset, timestamp, key, value, self.headers.get(row, ()))
            for row, offset, timestamp, key, value in zip(*columns, strict=True)
        ]

    def key(self, row: int) -> bytes | None:
        """The key of a row."""
        found: bytes | None = self.keys[row].as_py()
        return found

    def value(self, row: int) -> bytes | None:
        """The value of a row."""
        found: bytes | None = self.values[row].as_py()
        return found

    def after(self, offset: int) -> RecordBatch:
        """The messages from an offset on."""
        return self._part(int(np.searchsorted(self.offsets, offset)), len(self))

    def below(self, offset: int) -> RecordBatch:
        """The messages before an offset."""
        return self._part(0, int(np.searchsorted(self.offsets, offset)))

    def _part(self, first: int, end: int) -> RecordBatch:
        if (first, end) == (0, len(self)):
            return self
        return RecordBatch(
            self.partition,
            self.offsets[first:end],
            self.timestamps_ms[first:end],
            self.keys[first:end],
            self.values[first:end],
            {row - first: headers for row, headers in self.headers.items() if first <= row < end},
        )

    def without_payloads(self, kept: Iterable[int]) -> RecordBatch:
        """The same with the keys and values of some rows only; the others are null and take no memory."""
        mask = np.zeros(len(self), bool)
        mask[list(kept)] = True
        chosen = pa.array(np.where(mask, np.arange(len(self)), 0), mask=~mask)
        return replace(self, keys=self.keys.take(chosen), values=self.values.take(chosen))


def batches_from_records(records: list[Record]) -> list[RecordBatch]:
    """Records by partition, as columns."""
    by_partition: dict[int, list[Record]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    return [
        RecordBatch.from_values(
            partition,
            np.array([record.offset for record in run], np.int64),
            np.array([record.timestamp_ms for record in run], np.int64),
            [record.key for record in run],
            [record.value for record in run],
            {row: record.headers for row, record in enumerate(run) if record.headers},
        )
        for partition, run in by_partition.items()
    ]
