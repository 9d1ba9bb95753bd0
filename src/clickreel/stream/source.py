"""The seam to the stream: all that ingest asks of Kafka.

:mod:`.consumer_group` is a member of a consumer group, :mod:`.single_consumer` reads any :class:`~clickreel.stream.broker.Broker`, the one in memory included.
"""

# The comment above a method is its contract for every implementation.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from clickreel.errors import ClickreelError
from clickreel.stream.broker import Bounds
from clickreel.stream.record_batch import RecordBatch


class OutOfRangeError(ClickreelError):
    """Kafka does not hold the offset at which a partition has to go on: events were deleted before they were landed."""


class Assignment(NamedTuple):
    """What this member has to land. ``number`` rises with every change."""

    number: int
    partitions: frozenset[int]
    generation: int


class Source(Protocol):
    """A topic, and this process's share of it."""

    topic: str
    group: str
    instance: str
    at_end: dict[int, int]  # partitions whose end was met since they were begun, and the offset of that end

    # The topic's id now; differs when the topic was deleted and made again.
    def topic_id(self) -> str: ...
    # Serves the group, for up to the time given while nothing is read; the share as it is. Raises LostError when another process
    # took this one's place for good.
    def assignment(self, timeout_s: float) -> Assignment: ...
    # First and next offset of each partition of the topic.
    def bounds(self) -> dict[int, Bounds]: ...
    # Begins to read each partition at its offset, whatever was read before.
    def seek(self, starts: Mapping[int, int]) -> None: ...
    # Leaves off reading and stays in the group.
    def pause(self) -> None: ...
    # What has come, at most one batch a partition, at most `limit` messages; empty when the time is up or the assignment has changed.
    # Raises OutOfRangeError.
    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]: ...
    # Asks the broker whether this member is of the group's current generation, by a commit of what is landed: a broker takes it only
    # from the current generation. Raises UnreachableError when it is not, or not yet, and LostError when another process has its name.
    def confirm_generation(self, landed: Mapping[int, int]) -> None: ...
    # Commits what is landed, for lag tools only; may be lost.
    def commit(self, landed: Mapping[int, int]) -> None: ...
    # The messages that Kafka still holds from one offset to another of a partition, in batches, beside what `poll` reads.
    def fetch(self, partition: int, first: int, last: int) -> Iterable[RecordBatch]: ...
    def close(self) -> None: ...
