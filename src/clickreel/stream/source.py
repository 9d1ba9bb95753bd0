"""The seam to the stream: all that ingest asks of Kafka.

:mod:`.consumer_group` is a member of a consumer group, :mod:`.single_consumer` reads any :class:`~clickreel.stream.broker.Broker`, the one in memory included.
"""

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
    """A topic, and this process's share of it. Used by one thread."""

    topic: str
    group: str
    instance: str
    at_end: dict[int, int]
    """By partition that was read to its end since :meth:`seek`: the offset of that end, which is the last stable one."""

    def topic_id(self) -> str:
        """The topic's id now; another one when the topic was deleted and made again."""

    def assignment(self, timeout_s: float) -> Assignment:
        """Serve the group, for up to the time given while nothing is read; the share as it is.

        Raises:
            LostError: Another process took this one's place for good.
        """

    def bounds(self) -> dict[int, Bounds]:
        """First and next offset of each partition of the topic, those of transactions that are open included."""

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read each partition from its offset, whatever was read before."""

    def pause(self) -> None:
        """Stop reading and stay in the group."""

    def reopen(self) -> None:
        """Replace the client by a new one that has no assignment yet; the old one is closed in bounded time or left behind."""

    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """What has come: at most one batch a partition, at most ``limit`` messages.

        Empty when the time is up or the assignment has changed.

        Raises:
            OutOfRangeError: Kafka does not hold the offset at which a partition has to continue.
        """

    def confirm_generation(self, landed: Mapping[int, int]) -> None:
        """Ask the broker whether this member is of the group's current generation.

        This is a commit of what is landed: a broker takes it from the current generation only.

        Raises:
            UnreachableError: It is not, or not yet, or there is no answer within ten seconds.
            LostError: Another process has this one's name.
        """

    def commit(self, landed: Mapping[int, int]) -> None:
        """Commit what is landed, for lag tools only; it may be lost."""

    def is_group_alive(self, group: str) -> bool:
        """Whether a consumer group has a member that is not known to be dead."""

    def fetch(self, partition: int, first: int, last: int) -> Iterable[RecordBatch]:
        """The messages of a run of offsets, in order; those that Kafka does not serve are absent.

        Raises:
            OutOfRangeError: Kafka does not hold the first offset.
        """

    def close(self) -> None:
        """Stop reading, in bounded time."""
