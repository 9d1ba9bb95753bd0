"""One producer per run: who writes a run into a topic, and how a second one is kept out.

The lease is membership of a consumer group, ``clickreel-writer.<run>@<topic>``. The group reads nothing; it is used for three things
that Kafka's group coordinator does atomically:

1. *Joining replaces the member* (static membership, KIP-345): whoever joins is the member, and every later commit of the one before is
   refused. So of two producers that start in the same instant one is stopped before its first record.
2. *A silent member is forgotten* after the session time-out, so a crash on another machine blocks nobody for long.
3. *A commit carries metadata*: who holds the lease, since when the run exists, how far it is. It is refused together with its commit.

Joining alone would let a newcomer replace a living producer, so nobody joins before the lease is free: its holder has released it, or
was a process of this machine that has ended (known at once, by process id **and** start time), or has been silent for the session
time-out. For everything else the metadata is a convenience: where a run stands is read from the topic's records themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.quantities import quantity
from clickreel.stream.broker import Broker, Commit, LostError, TopicState
from clickreel.stream.send_schedule import Clock, wall_clock

_PREFIX = "clickreel-writer."
# A silent member is forgotten after 10 s (`cluster`); what comes on top is the coordinator's clock and ours.
_WAIT_S = 14.0
# After so long no request of a holder that was killed is in flight any more: Linux drops the connection of a dead process after 8
# retransmissions (102 s), a broker closes one that is idle for 600 s. Clocks of two machines may differ by minutes.
_LONG_GONE_MS = 900_000
_LOOK_EVERY_S = 0.25

Sleep = Callable[[float], None]


class RunInUseError(ClickreelError):
    """Another process writes the run; this one has sent nothing."""


class SecondWriterError(ClickreelError):
    """Somebody else writes the run as well: nothing more may be sent, not even what is queued."""


@dataclass(frozen=True)
class LeaseHolder:
    """A process that writes.

    Attributes:
        host: Name of its machine, for people.
        system: Digest of machine, boot and process namespace: process ids mean something only where this is equal.
        pid: Process id.
        started: When the process started, milliseconds since 1970: process ids are used again.
    """

    host: str
    system: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> LeaseHolder:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), _system(), pid, round(psutil.Process(pid).create_time() * 1000))

    def __str__(self) -> str:
        """The form in which it stands in the metadata and in ``client.id``."""
        return f"clickreel-{self.host}-{self.system}-{self.pid}-{self.started}"

    @classmethod
    def parse(cls, text: str) -> LeaseHolder | None:
        """Read the form of :meth:`__str__`; ``None`` for anything else."""
        parts = text.removeprefix("clickreel-").rsplit("-", 3)
        if not text.startswith("clickreel-") or len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))

    def state(self) -> Literal["alive", "dead", "elsewhere"]:
        """Whether the process lives; ``elsewhere`` when that cannot be seen from here."""
        if self.system != _system():
            return "elsewhere"
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            # The system counts start times in ticks of 10 ms.
            same = abs(process.create_time() * 1000 - self.started) < 100
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return "alive"
        return "dead"


@functools.cache
def _system() -> str:
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux only; elsewhere the name has to do
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class CommitMetadata:
    """What the holder of a lease stores with each commit, for each partition.

    Attributes:
        owner: The holder, in the form of :class:`LeaseHolder`.
        released: Whether the holder has released the lease.
        topic_id: The topic's id; a topic that was deleted and made again has another one.
        partitions: The topic's number of partitions.
        start_ms: Where the run begins: deliveries before this instant were never to be written.
        first: Next offset of the partition when the run began: all its records stand there or later.
        deliver_ms: Place of the last record known to be stored, with ``nth`` (see :class:`clickreel.stream.encoded_batch.PartitionPosition`).
        nth: See ``deliver_ms``.
        stored: Records of the run in the partition, up to that position; -1 when nobody has counted them.
        committed_ms: The holder's clock at the commit; 0 from versions that did not write it.
    """

    owner: str
    released: bool = False
    topic_id: str = ""
    partitions: int = 0
    start_ms: int = 0
    first: int = 0
    deliver_ms: int = 0
    nth: int = 0
    stored: int = 0
    committed_ms: int = 0

    def dump(self) -> str:
        """The metadata as text, below Kafka's limit of 4,096 bytes."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> CommitMetadata | None:
        """Read the form of :meth:`dump`; ``None`` for anything else. Fields of later versions are left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{name: value for name, value in json.loads(text).items() if name in known})
        except (AttributeError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Shard:
    """A share of the partitions: those whose number leaves ``index`` when divided by ``of``."""

    index: int = 0
    of: int = 1

    def owns(self, partition: int) -> bool:
        """Whether the partition belongs to the share."""
        return partition % self.of == self.index

    def suffix(self) -> str:
        """What distinguishes its group from that of the whole run."""
        return "" if self.of == 1 else f"~{self.index}of{self.of}"


ALL_PARTITIONS = Shard()


class ProducerLease:
    """The right to write a run, held until :meth:`release`; see the module.

    Attributes:
        committed: The metadata that the holders before have left, by partition; of the topic's present id only.
        released_cleanly: Whether the holder before has released the lease, or there was none. If not, its requests may be in flight.
        is_long_gone: Whether the holder before has been silent for so long that none of its requests is in flight.
        is_safe_to_release: Whether nothing of an earlier holder can be in flight any more. Until it is true, :meth:`release` leaves the
            lease unreleased, so that the next holder waits as well.
    """

    def __init__(
        self,
        broker: Broker,
        state: TopicState,
        run: str,
        shard: Shard = ALL_PARTITIONS,
        *,
        sleep: Sleep = time.sleep,
        clock: Clock = wall_clock,
        retake: bool = False,
    ) -> None:
        """Acquire the lease.

        Args:
            broker: The cluster.
            state: The topic.
            run: Name of the run.
            shard: The share of the partitions.
            sleep: Waits for seconds.
            clock: Milliseconds since 1970.
            retake: Whether this process has held the lease before and has abandoned it.

        Raises:
            RunInUseError: Another producer of this run is at work.
        """
        self._broker, self._topic, self._run, self._sleep, self._clock = broker, state, run, sleep, clock
        self._base = f"{_PREFIX}{run}@{state.name}"
        self._group = self._base + shard.suffix()
        self._shard, self._retake = shard, retake
        self._last_committed: dict[int, tuple[int, CommitMetadata]] = {}
        self.owner = LeaseHolder.current()
        dead = self._wait_until_free()
        self._member = broker.join(self._group, state.name, str(self.owner))
        try:
            before = self._read_metadata(self._group)
            self._wait_for_predecessor(before)
            self.committed = {p: metadata for p, metadata in before.items() if metadata.topic_id == state.topic_id}
            groups = {self._base, *dead} - {self._group}
            left = [*before.values(), *(one for group in groups for one in self._read_metadata(group).values())]
            unreleased = [metadata for metadata in left if not metadata.released]
            self.released_cleanly = not unreleased
            self.is_long_gone = all(0 < one.committed_ms < clock() - _LONG_GONE_MS for one in unreleased)
            self.is_safe_to_release = self.released_cleanly or self.is_long_gone
            self._write_holder()
            self._refuse_overlapping()
        except BaseException:
            self._member.leave()
            raise

    def _read_metadata(self, group: str) -> dict[int, CommitMetadata]:
        found = {
            p: CommitMetadata.load(commit.metadata)
            for p, commit in self._broker.committed(group, self._topic.name).items()
        }
        return {p: metadata for p, metadata in found.items() if metadata is not None}

    def _holder(self, group: str) -> LeaseHolder | None:
        """Who holds a group's lease and has not released it."""
        for metadata in self._read_metadata(group).values():
            if not metadata.released:
                return LeaseHolder.parse(metadata.owner)
        return None

    def _conflicting_holders(self) -> dict[str, LeaseHolder | None]:
        """Groups with a member that would write the same partitions, and who it is as far as is known."""
        names = {member.group for member in self._broker.members(self._base)}
        overlapping = {name for name in names if name == self._base or name.startswith(f"{self._base}~")}
        if self._shard.of > 1:
            # Shards of one division share nothing; another division, or the whole, does.
            division = self._group.rsplit("of", 1)[1]
            overlapping = {
                n for n in overlapping if n in {self._base, self._group} or n.rsplit("of", 1)[-1] != division
            }
        out: dict[str, LeaseHolder | None] = {}
        for name in sorted(overlapping):
            committed = self._read_metadata(name)
            if not committed or not all(metadata.released for metadata in committed.values()):
                out[name] = self._holder(name)
        return out

    def _wait_until_free(self) -> set[str]:
        """Wait for a holder that may be dead; the groups of those that are."""
        waited = 0.0
        while True:
            occupied = self._conflicting_holders()
            states = [(owner, self._state_of(owner)) for owner in occupied.values()]
            for owner, state in states:
                if state == "alive" or (state == "elsewhere" and waited >= _WAIT_S):
                    raise self._refusal(owner)
            if all(state == "dead" for _, state in states):
                return set(occupied)
            self._sleep(_LOOK_EVERY_S)
            waited += _LOOK_EVERY_S

    def _state_of(self, holder: LeaseHolder | None) -> str:
        if holder is None:
            return "elsewhere"
        return "dead" if self._retake and holder == self.owner else holder.state()

    def _wait_for_predecessor(self, committed: Mapping[int, CommitMetadata]) -> None:
        """Wait for a holder that joined between our look and our joining: it is replaced, but has yet to notice."""
        waited = 0.0
        for metadata in committed.values():
            owner = None if metadata.released else LeaseHolder.parse(metadata.owner)
            while owner is not None and owner.state() == "alive" and owner != self.owner:
                if waited >= _WAIT_S:
                    raise self._refusal(owner)
                self._sleep(_LOOK_EVERY_S)
                waited += _LOOK_EVERY_S

    def _write_holder(self) -> None:
        """Write ourselves down as the holder, before the first record."""
        commits = self._broker.committed(self._group, self._topic.name)
        mine = [p for p in range(self._topic.partitions) if self._shard.owns(p)]
        offsets = {p: commits[p].offset if p in commits else 0 for p in mine}
        try:
            self._commit({p: (offsets[p], self.committed.get(p, CommitMetadata(owner=""))) for p in mine})
        except LostError as exc:
            raise self._refusal(None) from exc

    def _with_holder(self, positions: Mapping[int, tuple[int, CommitMetadata]], *, released: bool) -> dict[int, Commit]:
        """Metadata in our name; a partition that is not given keeps its last one."""
        self._last_committed |= positions
        ours = {
            "owner": str(self.owner),
            "topic_id": self._topic.topic_id,
            "partitions": self._topic.partitions,
            "committed_ms": self._clock(),
        }
        return {
            p: Commit(offset, dataclasses.replace(metadata, **ours, released=released).dump())  # type: ignore[arg-type]
            for p, (offset, metadata) in self._last_committed.items()
        }

    def _commit(self, positions: Mapping[int, tuple[int, CommitMetadata]], *, released: bool = False) -> None:
        self._member.commit(self._with_holder(positions, released=released))

    def _refuse_overlapping(self) -> None:
        """Look again, now that others can see our lease: of a shard and a whole run that start together, each sees the other."""
        for group, owner in self._conflicting_holders().items():
            if group != self._group and (owner is None or owner.state() != "dead"):
                self.release({})
                raise self._refusal(owner)

    def _refusal(self, owner: LeaseHolder | None) -> RunInUseError:
        who = f"process {owner.pid} on {owner.host}" if owner else "another producer"
        here = owner is not None and owner.state() == "alive"
        return RunInUseError(
            f"run {self._run} is being written to {self._topic.name} by {who}",
            hint="give this one another --seed or --run NAME; or end that process first"
            if here
            else "end that one first, or give this one another --seed or --run NAME",
        )

    def check(self) -> None:
        """Serve the group; after a silence of ours or the coordinator's, make sure that the lease is still ours.

        Raises:
            SecondWriterError: Somebody else has taken it, or the topic is gone.
            UnreachableError: The coordinator cannot be asked; until it can, the run may not be written.
        """
        try:
            self._member.check()
        except LostError as exc:
            self._rejoin(exc)

    def is_topic_gone(self) -> bool:
        """Whether the topic was deleted, or deleted and made again; a cluster that does not answer says neither."""
        try:
            now = self._broker.topic(self._topic.name)
        except UnreachableError:
            return False
        return now is None or now.topic_id != self._topic.topic_id

    def _rejoin(self, cause: LostError) -> None:
        """Join again after the coordinator has forgotten us, unless somebody has taken the lease since.

        Somebody who has joined but not committed yet is stopped by this, before the first record, as of two that start together.
        """
        with contextlib.suppress(ClickreelError):
            self._member.leave()
        now = self._broker.topic(self._topic.name)
        if now is None or now.partitions != self._topic.partitions or self._is_taken_over():
            raise self._lost() from cause
        self._member = self._broker.join(self._group, self._topic.name, str(self.owner))
        if self._is_taken_over():
            raise self._lost() from cause
        try:
            self._commit({})
        except LostError as exc:
            raise self._lost() from exc

    def _is_taken_over(self) -> bool:
        """Whether somebody else has taken the lease since we did."""
        return any(
            metadata.owner != str(self.owner)
            for p, metadata in self._read_metadata(self._group).items()
            if p in self._last_committed
        )

    def _lost(self) -> ClickreelError:
        now = self._broker.topic(self._topic.name)
        if now is None or now.topic_id != self._topic.topic_id:
            return deleted(self._topic.name, self._run)
        if now.partitions != self._topic.partitions:
            return SecondWriterError(
                f"topic {self._topic.name} has {quantity(now.partitions, 'partition')} now; run {self._run} was written to "
                f"{self._topic.partitions}, and its users would move",
                hint="give the run another --run NAME, or write it to a new topic",
            )
        holder = self._holder(self._group)
        who = f"process {holder.pid} on {holder.host}" if holder and holder != self.owner else "another producer"
        return SecondWriterError(
            f"run {self._run} was taken over by {who} while this one was silent", hint="let one process write a run"
        )

    def commit_start(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Commit the first metadata, which says where the run begins; when this returns it is stored.

        Args:
            positions: By partition: the next offset and the metadata; its owner is filled in here.

        Raises:
            SecondWriterError: Another producer has taken the lease.
        """
        try:
            self._commit(positions)
        except LostError as exc:
            raise self._lost() from exc

    def commit_progress(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Commit how far the run is, without waiting: a commit that is lost costs a later start some time.

        Args:
            positions: As of :meth:`commit_start`.
        """
        self._member.commit_soon(self._with_holder(positions, released=False))

    def run_start_ms(self) -> int | None:
        """Where the run begins, from its own metadata or that of its other shards; ``None`` when they say nothing."""
        shards = [f"{self._base}~{index}of{self._shard.of}" for index in range(self._shard.of)]
        for group in (self._group, self._base, *shards):
            for metadata in self._read_metadata(group).values():
                if metadata.topic_id == self._topic.topic_id and metadata.start_ms:
                    return metadata.start_ms
        return None

    def release(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Release the lease: the next holder need not wait for anything."""
        with contextlib.suppress(ClickreelError):
            self._commit(positions, released=self.is_safe_to_release)
        self._member.leave()

    def abandon(self) -> None:
        """Leave the lease unreleased: what is in flight may still arrive, and the next holder has to wait for that."""
        self._member.leave()


def deleted(topic: str, run: str) -> SecondWriterError:
    """The error of a run whose topic was deleted, or deleted and made again, while it was written."""
    return SecondWriterError(
        f"topic {topic} was deleted while run {run} was written to it; what it held is gone",
        hint=f"make it again (clickreel up --detach, or: clickreel topic create --topic {topic}); the run then begins anew",
    )
