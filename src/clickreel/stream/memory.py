"""A broker in memory: the twin of :mod:`.cluster`, held to the same tests. For trying things out and for tests that crash a thousand times.

What a real cluster does by itself, its owner does here by hand: lose old records (:meth:`MemoryBroker.truncate`), forget a member
whose process died (:meth:`MemoryBroker.expire`), crash a writer in the middle of its work (``crash_after``), go away (``down``).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.stream.broker import Acked, Bounds, Commit, LostError, Member, TopicState
from clickreel.stream.kafka_errors import missing
from clickreel.stream.record_batch import Record, RecordBatch, batches_from_records

_DEFAULTS = {
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "min.insync.replicas": "1",
}


class CrashError(ClickreelError):
    """The writer's process was killed, as the owner of the broker had asked."""


@dataclass
class _Topic:
    state: TopicState
    lows: list[int]
    logs: list[list[Record]]  # from `lows` on


@dataclass
class _Group:
    owner: str | None = None
    generation: int = 0
    commits: dict[tuple[str, int], Commit] = field(default_factory=dict)


class MemoryBroker:
    """A cluster of one process; see :class:`~clickreel.stream.broker.Broker`.

    Args:
        queue_records: How many unstored records a writer takes before it refuses.
        stored_per_poll: How many of them one poll stores, partition by partition, so that partitions are at different places.

    Attributes:
        crash_after: Records that may still be stored before the writer crashes; ``None`` for no crash.
        down: Whether the cluster is out of reach.
    """

    def __init__(self, *, queue_records: int = 10_000, stored_per_poll: int = 1_000) -> None:
        self.address = "memory"
        self.queue_records, self.stored_per_poll = queue_records, stored_per_poll
        self.crash_after: int | None = None
        self.down = False
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[str, _Group] = {}

    def _reach(self) -> None:
        if self.down:
            raise UnreachableError(
                "Kafka at memory does not answer", hint="clickreel up --detach, or: clickreel status"
            )

    def _topic(self, name: str) -> _Topic:
        self._reach()
        if name not in self._topics:
            raise missing(name, self.address)
        return self._topics[name]

    def topic(self, name: str) -> TopicState | None:
        """The topic as it is; ``None`` when there is none."""
        self._reach()
        found = self._topics.get(name)
        return found.state if found else None

    def create(self, name: str, partitions: int, replication: int, configs: Mapping[str, str]) -> None:
        """Create a topic."""
        self._reach()
        if name in self._topics:
            raise UsageError(
                f"Kafka at memory refuses: Topic '{name}' already exists.", hint="clickreel topic describe"
            )
        if replication > 1:
            raise UsageError(
                f"Kafka at memory refuses: {replication} replicas on 1 broker", hint="clickreel topic describe"
            )
        state = TopicState(name, uuid.uuid4().hex, partitions, max(1, replication), {**_DEFAULTS, **configs})
        self._topics[name] = _Topic(state, [0] * partitions, [[] for _ in range(partitions)])

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's settings."""
        topic = self._topic(name)
        topic.state = replace(topic.state, configs={**topic.state.configs, **configs})

    def bounds(self, topic: str) -> list[Bounds]:
        """First and next offset of every partition."""
        found = self._topic(topic)
        return [Bounds(low, low + len(log)) for low, log in zip(found.lows, found.logs, strict=True)]

    def stable_offsets(self, topic: str) -> list[int]:
        """By partition: the next offset; there are no transactions here."""
        return [bound.high for bound in self.bounds(topic)]

    def offsets_at(self, topic: str, timestamp_ms: int) -> list[int]:
        """By partition: the first offset with that timestamp or a later one, else the next offset."""
        found = self._topic(topic)
        return [
            next((r.offset for r in log if r.timestamp_ms >= timestamp_ms), low + len(log))
            for low, log in zip(found.lows, found.logs, strict=True)
        ]

    def truncate(self, topic: str, partition: int, low: int) -> None:
        """Remove the records below an offset, as retention does."""
        found = self._topic(topic)
        del found.logs[partition][: low - found.lows[partition]]
        found.lows[partition] = low

    def delete(self, topic: str) -> None:
        """Delete a topic with all its records, as an administrator does."""
        del self._topics[topic]

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic."""
        found = self._topic(topic)
        for _ in range(partitions - found.state.partitions):
            found.lows.append(0)
            found.logs.append([])
        found.state = replace(found.state, partitions=partitions)

    def reader(self, topic: str, starts: Mapping[int, int]) -> MemoryReader:
        """A reader from the given offsets on."""
        self._topic(topic)
        return MemoryReader(self, topic, starts)

    def writer(self, topic: str, acked: Acked) -> MemoryWriter:
        """A writer to a topic that exists."""
        return MemoryWriter(self, self._topic(topic), acked)

    def join(self, group: str, topic: str, owner: str) -> MemoryMembership:
        """Become the one member of a group; an earlier member is replaced."""
        self._topic(topic)
        found = self._groups.setdefault(group, _Group())
        found.owner, found.generation = owner, found.generation + 1
        return MemoryMembership(found, group, topic)

    def members(self, prefix: str) -> list[Member]:
        """The members of all groups whose name starts with the prefix."""
        self._reach()
        return [
            Member(name, group.owner)
            for name, group in sorted(self._groups.items())
            if name.startswith(prefix) and group.owner is not None
        ]

    def expire(self, group: str) -> None:
        """Forget the group's member, as a coordinator does that has not record of it for its session time."""
        self._groups[group].owner = None
        self._groups[group].generation += 1

    def forget(self, group: str) -> None:
        """Forget what the group has committed, as a broker does seven days after the group became empty."""
        self._groups.pop(group, None)

    def committed(self, group: str, topic: str) -> dict[int, Commit]:
        """What a group has committed for a topic, by partition."""
        self._reach()
        commits = self._groups.get(group, _Group()).commits
        return {partition: commit for (name, partition), commit in commits.items() if name == topic}

    def close(self) -> None:
        """Nothing to drop."""


class MemoryReader:
    """See :class:`~clickreel.stream.broker.Reader`."""

    def __init__(self, broker: MemoryBroker, topic: str, starts: Mapping[int, int]) -> None:
        self._broker, self._topic, self._next = broker, topic, dict(starts)
        self.ended: set[int] = set()
        self._paused: AbstractSet[int] = frozenset()

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """The next records, up to ``limit``."""
        topic = self._broker._topic(self._topic)  # noqa: SLF001
        out: list[Record] = []
        for partition, offset in self._next.items():
            if partition in self._paused:
                continue
            low, log = topic.lows[partition], topic.logs[partition]
            if not low <= offset <= low + len(log):
                raise UsageError(
                    f"partition {partition} of {self._topic} does not hold offset {offset} any more or yet",
                    hint=f"clickreel topic describe --topic {self._topic}",
                )
            found = log[offset - low : offset - low + limit - len(out)]
            out += found
            self._next[partition] = offset + len(found)
            (self.ended.add if offset + len(found) == low + len(log) else self.ended.discard)(partition)
        if not out and timeout_s:
            time.sleep(min(timeout_s, 0.001))
        return out

    def seek(self, starts: Mapping[int, int]) -> None:
        """Go on from other offsets."""
        self._next.update(starts)

    def poll_batches(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """The same as columns."""
        return batches_from_records(self.poll(limit, timeout_s))

    def pause(self, partitions: AbstractSet[int]) -> None:
        """Read none of these partitions until the next call."""
        self._paused = partitions

    def close(self) -> None:
        """Stop reading."""


class MemoryWriter:
    """See :class:`~clickreel.stream.broker.Writer`."""

    def __init__(self, broker: MemoryBroker, topic: _Topic, acked: Acked) -> None:
        self._broker, self._topic, self._acked = broker, topic, acked
        self._queues: list[list[Record]] = [[] for _ in topic.logs]
        self.sent = [0] * len(topic.logs)
        self.acknowledged = [0] * len(topic.logs)
        self.latencies_ms: list[float] = []

    def send(
        self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes], timestamps_ms: Sequence[int]
    ) -> int:
        """Take records into the queue, as far as it has room."""
        assert len(keys) == len(values) == len(timestamps_ms)
        taken = min(len(values), self._broker.queue_records - sum(map(len, self._queues)))
        for key, value, timestamp in zip(keys[:taken], values[:taken], timestamps_ms[:taken], strict=True):
            self._queues[partition].append(Record(partition, -1, timestamp, key, value))
        self.sent[partition] += taken
        return taken

    def poll(self, timeout_s: float) -> None:
        """Store some of the queue, the fullest partition first, and acknowledge it."""
        if self._broker.down:
            time.sleep(min(timeout_s, 0.001))
            return
        partition = max(range(len(self._queues)), key=lambda p: len(self._queues[p]))
        self._store(partition, self._queues[partition][: self._broker.stored_per_poll])

    def _store(self, partition: int, records: Sequence[Record]) -> None:
        crash = self._broker.crash_after
        stored = records if crash is None else records[:crash]
        log, low = self._topic.logs[partition], self._topic.lows[partition]
        for record in stored:
            log.append(record._replace(offset=low + len(log)))
        del self._queues[partition][: len(stored)]
        if crash is not None:
            self._broker.crash_after = crash - len(stored)
            if len(stored) < len(records):
                raise CrashError("killed")
        if stored:
            self.acknowledged[partition] += len(stored)
            self.latencies_ms.append(0.0)
            self._acked(partition, self.acknowledged[partition], log[-1].offset)

    def flush(self, timeout_s: float) -> int:
        """Store all of the queue."""
        deadline = time.monotonic() + timeout_s
        while any(self._queues) and time.monotonic() < deadline:
            self.poll(0.001)
        return sum(map(len, self._queues))

    def close(self) -> None:
        """Drop the queue."""
        for queue in self._queues:
            queue.clear()


class MemoryMembership:
    """See :class:`~clickreel.stream.broker.Membership`."""

    def __init__(self, group: _Group, name: str, topic: str) -> None:
        self._group, self._name, self._topic, self._generation = group, name, topic, group.generation

    def check(self) -> None:
        """Raise LostError when another member has replaced this one."""
        if self._group.generation != self._generation:
            raise LostError(f"another member has taken over the group {self._name}")

    def commit(self, commits: Mapping[int, Commit]) -> None:
        """Commit, unless another member has replaced this one."""
        self.check()
        for partition, commit in commits.items():
            self._group.commits[self._topic, partition] = commit

    def commit_soon(self, commits: Mapping[int, Commit]) -> None:
        """Commit, if no other member has replaced this one."""
        if self._group.generation == self._generation:
            self.commit(commits)

    def leave(self) -> None:
        """Stop being a member; unlike a static member of a real group it is forgotten at once."""
        if self._group.generation == self._generation:
            self._group.owner = None
