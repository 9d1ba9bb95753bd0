"""One writer per run: who writes a run into a topic, and how a second one is kept out.

The lock is a place in a consumer group, ``clickreel-writer.<run>@<topic>``. The group reads nothing; it is used for three things that
Kafka's group coordinator does atomically:

1. *Joining takes the place* (static membership, KIP-345): whoever joins is the member, and every later commit of the one before is
   refused. So of two writers that start in the same instant one is stopped before its first record.
2. *A member that goes silent is forgotten* after the session time, so a crash on another machine blocks nobody for long.
3. *A commit carries a note*: who writes, since when the run exists, how far it is. A note is refused together with its commit.

Joining alone would let a newcomer throw a living writer out, so nobody joins before the place is free: the owner named in the note has
said goodbye, or was a process of this machine that is no more (known at once, by process id **and** start time), or has been silent
for the session time. The note is a convenience for everything else: where a run stands is read from the topic's records themselves.
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

from clickreel.errors import ClickreelError
from clickreel.stream.broker import Broker, Commit, LostError, TopicState

_PREFIX = "clickreel-writer."
# A silent member is forgotten after 10 s (`cluster`); what comes on top is the coordinator's clock and ours.
_WAIT_S = 14.0
_LOOK_EVERY_S = 0.25

Sleep = Callable[[float], None]


class SecondWriterError(ClickreelError):
    """Somebody else writes the run as well: nothing more may be sent, not even what is under way."""


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
        """The form in which it stands in the note and in ``client.id``."""
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
    """What a writer leaves with each commit, one for each partition.

    Attributes:
        owner: Who writes, in the form of :class:`LeaseHolder`.
        released: Whether the owner has stopped of its own accord.
        topic_id: The topic it was about; a topic made anew under the same name is another one.
        partitions: The topic's number of partitions.
        start_ms: Where the run begins: deliveries before this instant were never to be written.
        first: Next offset of the partition when the run began: all its records stand there or later.
        deliver_ms: Place of the last record known to be stored, with ``nth`` (see :class:`clickreel.stream.encoded_batch.Place`).
        nth: See ``deliver_ms``.
        stored: Records of the run in the partition, up to that position; -1 when nobody has counted them.
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

    def dump(self) -> str:
        """The note as text, below Kafka's limit of 4,096 bytes."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> CommitMetadata | None:
        """Read a note; ``None`` for what is none, another version's included."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
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
        committed: What the writers before have left, by partition; of the topic's present id only.
        released_cleanly: Whether the writer before has said goodbye, or there was none. If not, requests of it may still be under way.
    """

    def __init__(
        self, broker: Broker, state: TopicState, run: str, shard: Shard = ALL_PARTITIONS, *, sleep: Sleep = time.sleep
    ) -> None:
        """Take the place.

        Args:
            broker: The cluster.
            state: The topic.
            run: Name of the run.
            shard: The share of the partitions.
            sleep: Waits for seconds.

        Raises:
            ClickreelError: Another writer of this run is at work.
        """
        self._broker, self._topic, self._run, self._sleep = broker, state, run, sleep
        self._base = f"{_PREFIX}{run}@{state.name}"
        self._group = self._base + shard.suffix()
        self._shard = shard
        self._last_committed: dict[int, tuple[int, CommitMetadata]] = {}
        self.owner = LeaseHolder.current()
        self._wait_until_free()
        self._member = broker.join(self._group, state.name, str(self.owner))
        try:
            before = self._read_metadata(self._group)
            self._wait_for_predecessor(before)
            self.committed = {p: metadata for p, metadata in before.items() if metadata.topic_id == state.topic_id}
            self.released_cleanly = all(metadata.released for metadata in before.values())
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
        """Who claims a group and has not said goodbye."""
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

    def _wait_until_free(self) -> None:
        waited = 0.0
        while True:
            occupied = self._conflicting_holders()
            states = [(owner, owner.state() if owner else "elsewhere") for owner in occupied.values()]
            for owner, state in states:
                if state == "alive" or (state == "elsewhere" and waited >= _WAIT_S):
                    raise self._refusal(owner)
            if all(state == "dead" for _, state in states):
                return
            self._sleep(_LOOK_EVERY_S)
            waited += _LOOK_EVERY_S

    def _wait_for_predecessor(self, committed: Mapping[int, CommitMetadata]) -> None:
        """Wait for a writer that claimed the run between our look and our joining: it is out, but has yet to notice."""
        waited = 0.0
        for metadata in committed.values():
            owner = None if metadata.released else LeaseHolder.parse(metadata.owner)
            while owner is not None and owner.state() == "alive" and owner != self.owner:
                if waited >= _WAIT_S:
                    raise self._refusal(owner)
                self._sleep(_LOOK_EVERY_S)
                waited += _LOOK_EVERY_S

    def _write_holder(self) -> None:
        """Put our name into the notes, before the first record."""
        commits = self._broker.committed(self._group, self._topic.name)
        mine = [p for p in range(self._topic.partitions) if self._shard.owns(p)]
        offsets = {p: commits[p].offset if p in commits else 0 for p in mine}
        try:
            self._commit({p: (offsets[p], self.committed.get(p, CommitMetadata(owner=""))) for p in mine})
        except LostError as exc:
            raise self._refusal(None) from exc

    def _with_holder(self, positions: Mapping[int, tuple[int, CommitMetadata]], *, released: bool) -> dict[int, Commit]:
        """Notes in our name; what is not given stays as it was last."""
        self._last_committed |= positions
        ours = {"owner": str(self.owner), "topic_id": self._topic.topic_id, "partitions": self._topic.partitions}
        return {
            p: Commit(offset, dataclasses.replace(metadata, **ours, released=released).dump())  # type: ignore[arg-type]
            for p, (offset, metadata) in self._last_committed.items()
        }

    def _commit(self, positions: Mapping[int, tuple[int, CommitMetadata]], *, released: bool = False) -> None:
        self._member.commit(self._with_holder(positions, released=released))

    def _refuse_overlapping(self) -> None:
        """Look again, now that our claim can be seen: of a shard and a whole that start together, each sees the other."""
        for group, owner in self._conflicting_holders().items():
            if group != self._group and (owner is None or owner.state() != "dead"):
                self.release({})
                raise self._refusal(owner)

    def _refusal(self, owner: LeaseHolder | None) -> ClickreelError:
        who = f"process {owner.pid} on {owner.host}" if owner else "another writer"
        here = owner is not None and owner.state() == "alive"
        return ClickreelError(
            f"run {self._run} is being written to {self._topic.name} by {who}",
            hint=f"stop it first (kill {owner.pid}), or give this one another --run NAME"
            if owner and here
            else "stop it first, or give this one another --run NAME",
        )

    def check(self) -> None:
        """Serve the group; after a silence of ours or the coordinator's, make sure that the place is still ours.

        Raises:
            SecondWriterError: Somebody else has taken it.
            UnreachableError: The coordinator cannot be asked; until it can, the run may not be written.
        """
        try:
            self._member.check()
        except LostError as exc:
            self._rejoin(exc)

    def _rejoin(self, cause: LostError) -> None:
        """Take the place again after the coordinator has forgotten us, unless somebody has claimed the run since.

        Somebody who has joined but not claimed yet is stopped by this, before the first record, as of two that start together.
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
        """Whether somebody else has claimed the run since we did."""
        return any(
            metadata.owner != str(self.owner)
            for p, metadata in self._read_metadata(self._group).items()
            if p in self._last_committed
        )

    def _lost(self) -> SecondWriterError:
        now = self._broker.topic(self._topic.name)
        if now is None or now.partitions != self._topic.partitions:
            return SecondWriterError(
                f"topic {self._topic.name} has {now.partitions if now else 0} partitions now; this run was written to "
                f"{self._topic.partitions}, and its users would move",
                hint="give the run another --run NAME, or write it to a new topic",
            )
        holder = self._holder(self._group)
        who = f"process {holder.pid} on {holder.host}" if holder and holder != self.owner else "another writer"
        return SecondWriterError(
            f"run {self._run} was taken over by {who} while this one was silent", hint="let one process write a run"
        )

    def commit_start(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Leave the first notes, which say where the run begins; when this returns they are stored.

        Args:
            positions: By partition: the next offset and the metadata; its owner is filled in here.

        Raises:
            SecondWriterError: Another writer has taken the place.
        """
        try:
            self._commit(positions)
        except LostError as exc:
            raise self._lost() from exc

    def commit_progress(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Leave notes of how far the run is, without waiting: one that is lost costs a later start some time.

        Args:
            positions: As of :meth:`commit_start`.
        """
        self._member.commit_soon(self._with_holder(positions, released=False))

    def run_start_ms(self) -> int | None:
        """Where the run begins, from its own notes or those of its other shards; ``None`` when they say nothing."""
        shards = [f"{self._base}~{index}of{self._shard.of}" for index in range(self._shard.of)]
        for group in (self._group, self._base, *shards):
            for metadata in self._read_metadata(group).values():
                if metadata.topic_id == self._topic.topic_id and metadata.start_ms:
                    return metadata.start_ms
        return None

    def release(self, positions: Mapping[int, tuple[int, CommitMetadata]]) -> None:
        """Say goodbye: the next writer need not wait for anything."""
        with contextlib.suppress(ClickreelError):
            self._commit(positions, released=True)
        self._member.leave()

    def abandon(self) -> None:
        """Leave without a word: what is under way may still arrive, and the next writer has to wait for that."""
        self._member.leave()
