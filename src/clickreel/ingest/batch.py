"""What is read from one partition, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one partition in offset order, n rows.

    Attributes:
        partition: The partition.
        offsets: Rising; a step of more than one is a gap that Kafka does not serve (int64[n]).
        timestamps_ms: The records' timestamps, ms since 1970; -1 where there is none (int64[n]).
        keys: The keys' bytes.
        values: The values' bytes.
        headers: The headers of the rows that have some, by row.
    """

    partition: int
    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: Mapping[int, Headers] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.values)

    def after(self, offset: int) -> Batch:
        """The messages from an offset on."""
        first = int(np.searchsorted(self.offsets, offset))
        if first == 0:
            return self
        return Batch(
            self.partition,
            self.offsets[first:],
            self.timestamps_ms[first:],
            self.keys[first:],
            self.values[first:],
            {row - first: headers for row, headers in self.headers.items() if row >= first},
        )
