"""The seam to Kafka: all that clickreel asks of a broker. :mod:`.cluster` is the real one, :mod:`.memory` its twin in memory."""

# The comment above a method, where its name does not say it all, is its contract for every implementation.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from clickreel.errors import ClickreelError
from clickreel.stream.record_batch import Record, RecordBatch

Acked = Callable[[int, int, int], None]
"""``acked(partition, count, offset)``: the first ``count`` records sent to the partition are stored, the last one at ``offset``."""


class Bounds(NamedTuple):
    """What a partition holds: the first offset that can be read, and the offset that the next record will get."""

    low: int
    high: int


@dataclass(frozen=True)
class TopicState:
    """A topic as it is. ``topic_id`` changes when a topic is deleted and made again; ``configs`` holds every setting in force."""

    name: str
    topic_id: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


class Commit(NamedTuple):
    """What a group has committed for a partition: an offset and metadata of up to 4,000 characters."""

    offset: int
    metadata: str


class Member(NamedTuple):
    """A member of a group: the group's name and what the member calls itself (``client.id``)."""

    group: str
    owner: str


class LostError(ClickreelError):
    """Another member has taken this one's place in its group: whatever it guarded must stop at once."""


class Reader(Protocol):
    """Reads partitions from given offsets on; belongs to no group and commits nothing.

    Only what is committed is read: records of aborted transactions are passed over, and a transaction that is still open is the end of
    its partition.
    """

    ended: set[int]  # partitions whose end was met since their last record

    # In offset order within a partition; may be empty.
    def poll(self, limit: int, timeout_s: float) -> list[Record]: ...
    # Go on from other offsets, of partitions that it reads already.
    def seek(self, starts: Mapping[int, int]) -> None: ...
    # The same as columns, at most one batch a partition.
    def poll_batches(self, limit: int, timeout_s: float) -> list[RecordBatch]: ...
    # Reads none of these partitions until the next call.
    def pause(self, partitions: AbstractSet[int]) -> None: ...
    def close(self) -> None: ...


class Writer(Protocol):
    """Appends in order: a record is stored only if all that were sent to its partition before it are, each exactly once."""

    sent: list[int]  # by partition: records taken by `send`
    acknowledged: list[int]  # by partition: records known to be stored
    latencies_ms: list[float]  # from `send` to acknowledgement, a sample; the owner may clear it

    # How many were taken, from the first on; fewer than given when the local queue is full.
    def send(
        self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes], timestamps_ms: Sequence[int]
    ) -> int: ...
    # Serves acknowledgements; raises once the order above cannot be kept any more.
    def poll(self, timeout_s: float) -> None: ...
    # How many are still unacknowledged when the time is up.
    def flush(self, timeout_s: float) -> int: ...
    # Drops what is unacknowledged.
    def close(self) -> None: ...


class Membership(Protocol):
    """The one member of a group. Joining replaces an earlier member, whose next call raises LostError."""

    # Raises LostError when another member has replaced this one.
    def check(self) -> None: ...
    # Raises LostError likewise, and then nothing is committed.
    def commit(self, commits: Mapping[int, Commit]) -> None: ...
    # Commits without waiting; what is refused for another's sake shows in `check`, what fails otherwise nowhere.
    def commit_soon(self, commits: Mapping[int, Commit]) -> None: ...
    def leave(self) -> None: ...


class Broker(Protocol):
    """A cluster. Methods raise UnreachableError when it does not answer within ten seconds or refuses the credentials."""

    address: str

    def topic(self, name: str) -> TopicState | None: ...
    def create(self, name: str, partitions: int, replication: int, configs: Mapping[str, str]) -> None: ...
    def alter(self, name: str, configs: Mapping[str, str]) -> None: ...
    def bounds(self, topic: str) -> list[Bounds]: ...
    # By partition: the last stable offset, from which on a transaction is open; the next offset where none is.
    def stable_offsets(self, topic: str) -> list[int]: ...
    # By partition: the first offset with that timestamp or a later one, else the next offset.
    def offsets_at(self, topic: str, timestamp_ms: int) -> list[int]: ...
    def reader(self, topic: str, starts: Mapping[int, int]) -> Reader: ...
    def writer(self, topic: str, acked: Acked) -> Writer: ...
    def join(self, group: str, topic: str, owner: str) -> Membership: ...
    # The members of all groups whose name starts so.
    def members(self, prefix: str) -> list[Member]: ...
    def committed(self, group: str, topic: str) -> dict[int, Commit]: ...
    def close(self) -> None: ...
