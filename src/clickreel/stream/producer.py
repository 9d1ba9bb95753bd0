"""The producer: a run's deliveries, each once, in order, at their time, into the topic; after a crash from where the topic says it is.

The path: a stretch of the timeline is generated and encoded (:mod:`.encoded_batch`), what is stored already is left out (:mod:`.resume`),
what is due (:mod:`.send_schedule`) is handed to the writer partition by partition, acknowledgements are counted (:mod:`.foreign_writes` checks them),
and once a second the run's progress is committed with the lease (:mod:`.producer_lease`).
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.simulate.world import World
from clickreel.stream import resume
from clickreel.stream.broker import Bounds, Broker, TopicState, Writer
from clickreel.stream.encoded_batch import EncodedBatch, PartitionPosition, encode_batch
from clickreel.stream.foreign_writes import ForeignWriteDetector
from clickreel.stream.latency import Latencies
from clickreel.stream.producer_lease import ALL_PARTITIONS, CommitMetadata, ProducerLease, SecondWriterError, Shard
from clickreel.stream.send_schedule import Clock, SendSchedule, wall_clock

# Large enough that NumPy's fixed costs vanish, small enough for the processor's cache and for a Ctrl-C to be answered at once.
_BLOCK_ROWS = 40_000
_FIRST_ROWS = (
    2_000  # the first block is small, so that the first record goes out soon; each further one is twice as large
)
_BLOCK_MS_MAX = 900_000
_AHEAD_MS = 2_000  # live: generated this far ahead of the clock, so that no tick waits for a batch
_TICK_MS = 5.0  # live: what falls due within a tick goes out together
_NAP_MS = 50.0  # live: longest sleep, so that a stop is heard
_NOTE_S = 1.0
_STALL_S = 120.0  # a broker that was killed takes half a minute and more to check its logs on a busy machine
_FLUSH_S = 30.0
_SETTLE_S = 0.15
_SETTLE_TRIES = 20


@dataclass(frozen=True)
class ProduceRequest:
    """What to produce.

    Attributes:
        start: Tells where the run begins; asked only when it is a new one. A run that exists goes on where it is.
        until_ms: Deliveries from this instant on are not made; ``None`` for no end.
        count: How many records; ``None`` for no limit.
        total: Whether ``count`` is the run's total, from its first record on, rather than this call's number.
        speed: Seconds of the timeline in a second, see :class:`~clickreel.stream.send_schedule.SendSchedule`.
        shard: The share of the partitions.
    """

    start: Callable[[], int]
    until_ms: int | None = None
    count: int | None = None
    total: bool = False
    speed: float | None = None
    shard: Shard = ALL_PARTITIONS


@dataclass
class ProduceStats:
    """What one call has done; every delivery is in one of three states.

    Attributes:
        run: Name of the run.
        topic: The topic.
        start_ms: Where the run begins.
        resumed: Whether the run had records in the topic before.
        sent: Records handed to the client.
        acknowledged: Records that all in-sync replicas have.
        bytes: Bytes of keys and values sent.
        seconds: From the first record to the last acknowledgement.
        live_sent: Records sent at the clock's pace.
        live_s: For how long.
        target_per_s: Records a second that the run should have at the clock's pace.
        position_ms: How far the timeline is: what was to be delivered before this instant has been sent.
        behind: Whether there is past still to write.
        latencies: From handing a record over to its acknowledgement.
        offsets: By partition: the offset after our last acknowledged record.
    """

    run: str
    topic: str
    start_ms: int = 0
    resumed: bool = False
    sent: int = 0
    acknowledged: int = 0
    bytes: int = 0
    seconds: float = 0.0
    live_sent: int = 0
    live_s: float = 0.0
    target_per_s: float = 0.0
    position_ms: int = 0
    behind: bool = True
    latencies: Latencies = field(default_factory=Latencies)
    offsets: list[int] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Records sent that are not known to be stored."""
        return self.sent - self.acknowledged


Report = Callable[[ProduceStats], None]


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


class Producer:
    """Produces a run; one object for one call.

    Args:
        broker: The cluster.
        state: The topic, which exists.
        world: The run.
        request: What to produce.
        clock: Milliseconds since 1970.
        sleep: Waits for seconds.
        report: Called with the stats about ten times a second.
        stop: Set by whoever wants an orderly end.
    """

    def __init__(
        self,
        broker: Broker,
        state: TopicState,
        world: World,
        request: ProduceRequest,
        *,
        clock: Clock = wall_clock,
        sleep: Callable[[float], None] = time.sleep,
        report: Report = lambda _: None,
        stop: threading.Event | None = None,
    ) -> None:
        self._broker, self._state, self._world, self._request = broker, state, world, request
        self._clock, self._sleep, self._report, self._stop = clock, sleep, report, stop or threading.Event()
        self.stats = ProduceStats(world.run, state.name, target_per_s=world.expected_rate * (request.speed or 1.0))
        self._partitions = [p for p in range(state.partitions) if request.shard.owns(p)]
        self._writer: Writer
        self._opened, self._lease_valid = False, True
        self._flush_s = _FLUSH_S
        self._queues: list[PartitionQueue] = []
        self._in_flight: list[collections.deque[tuple[int, PartitionPosition]]] = [
            collections.deque() for _ in range(state.partitions)
        ]
        self._recorded_sent = [0] * state.partitions
        self._rows_per_ms = world.expected_rate / 1000
        self._block_rows = _FIRST_ROWS
        self._metadata_s = self._reported_s = self._moved_s = self._live_since = 0.0

    def run(self) -> ProduceStats:
        """Produce until the request is fulfilled or a stop is asked for.

        Raises:
            ClickreelError: It cannot go on; ``stats`` tells what was done until then.
        """
        self._lease = ProducerLease(self._broker, self._state, self._world.run, self._request.shard, sleep=self._sleep)
        try:
            self._open()
            self._loop()
        except SecondWriterError:
            if self._opened:
                self._writer.close()  # what is under way would only be there twice
            raise
        finally:
            self._close()
        if self.stats.failed:
            raise UnreachableError(
                f"{self.stats.failed:,} of {self.stats.sent:,} records were not acknowledged within {_FLUSH_S:g} s",
                hint="start it again: the run goes on behind what is stored",
            )
        return self.stats

    # Where it begins

    def _open(self) -> None:
        bounds = self._wait_for_quiescence()
        planner = resume.ResumePlanner(self._broker, self._state, self._world, self._lease.committed, bounds)
        found = planner.plan(self._partitions)
        self._buffer = planner.buffer
        self.stats.resumed = found is not None
        start = planner.start_ms if found is not None else self._lease.run_start_ms() or self._request.start()
        assert start is not None
        self.stats.start_ms = start
        fresh = resume.ResumePoint(PartitionPosition(start, 0), -1)
        points = found or dict.fromkeys(self._partitions, fresh)
        self._positions = [
            points[p].position if p in points else PartitionPosition(0, 0) for p in range(self._state.partitions)
        ]
        self._first_offsets = [
            metadata.first
            if (metadata := self._lease.committed.get(p)) and metadata.start_ms
            else (0 if found else bounds[p].high)
            for p in range(self._state.partitions)
        ]
        self._stored = self._count_stored()
        self._foreign_writes = ForeignWriteDetector(
            self._broker, self._state.name, self._world, [b.high for b in bounds], self._clock()
        )
        self.stats.offsets = self._foreign_writes.next_offsets
        self._writer = self._broker.writer(self._state.name, self._foreign_writes.on_acknowledged)
        self._opened = True
        self._lease.commit_start(self._metadata())
        at = self.stats.position_ms = min(self._positions[p].deliver_ms for p in self._partitions)
        if self._buffer is not None and self._buffer.start_ms <= at:
            at, self._cursor = self._buffer.start_ms, self._buffer.cursor
        else:
            self._buffer, self._cursor = None, self._world.cursor(at)
        self._left = self._limit(at)
        self._at = self._done_ms = at
        now = self._clock()
        self._schedule = SendSchedule(self._request.speed, at, now) if self._request.speed else SendSchedule()

    def _wait_for_quiescence(self) -> list[Bounds]:
        """The partitions' bounds, once no request of a writer that was killed can be on the way any more."""
        bounds = self._broker.bounds(self._state.name)
        if self._lease.released_cleanly:
            return bounds
        for _ in range(_SETTLE_TRIES):  # other runs may be written all the while; then `others` is the guard
            self._sleep(_SETTLE_S)
            before, bounds = bounds, self._broker.bounds(self._state.name)
            if before == bounds:
                break
        return bounds

    def _count_stored(self) -> list[int]:
        """By partition, how many records of the run it holds; -1 where nobody has counted and the order does not ask for it."""
        start = PartitionPosition(self.stats.start_ms, 0)
        since: dict[int, tuple[PartitionPosition, int]] = {}
        for p in self._partitions:
            metadata = self._lease.committed.get(p)
            if (
                metadata
                and metadata.start_ms
                and metadata.stored >= 0
                and PartitionPosition(metadata.deliver_ms, metadata.nth) <= self._positions[p]
            ):
                since[p] = PartitionPosition(metadata.deliver_ms, metadata.nth), metadata.stored
            elif self._request.total or self._positions[p] == start:
                since[p] = start, 0
        if self._request.total and not self.stats.start_ms:
            raise ClickreelError(
                f"how many records run {self._world.run} has cannot be told: its committed metadata has expired, and the retention has removed "
                "its first records",
                hint="leave out --run, and --count is the number of this call",
            )
        ahead = {p: self._positions[p] for p in since if self._positions[p] != since[p][0]}
        counted = {p: known for p, (_, known) in since.items()}
        if ahead:
            earlier = {p: since[p] for p in ahead}
            counted |= resume.count_records(self._world, self._state.partitions, earlier, ahead, self._buffer)
        return [counted.get(p, -1) for p in range(self._state.partitions)]

    def _limit(self, at: int) -> int | None:
        """How many records are left to send; of a shard that counts for the whole run, how many deliveries from ``at`` on."""
        count = self._request.count
        if count is None:
            return None
        if not self._request.total:
            return count
        if self._request.shard.of == 1:
            # What is stored and what is left make up the run's first `count` deliveries, however the partitions differ.
            return max(0, count - sum(self._stored))
        cursor, before = self._world.cursor(self.stats.start_ms), 0
        while cursor.position_ms < at and before < count:
            before += len(cursor.advance(min(cursor.position_ms + _BLOCK_MS_MAX, at)))
        return max(0, count - before)

    # The loop

    def _loop(self) -> None:
        self._begun = self._moved_s = self._held_s = time.monotonic()
        while not self._stop.is_set() and (self._queues or self._next_block()):
            now = self._clock()
            sent = self._release(self._schedule.horizon(now), now)
            self._queues = [queue for queue in self._queues if queue.next_ms() is not None]
            self.stats.position_ms = min(
                (ms for queue in self._queues if (ms := queue.next_ms())), default=self._done_ms
            )
            # What is left of the block is not due yet: the past is written. In the past whole blocks are due.
            live = bool(self._queues)
            self._measure(sent, live=live)
            self._writer.poll(self._nap_s(now) if live else 0)
            self._housekeep()

    def _measure(self, sent: int, *, live: bool) -> None:
        """The achieved rate counts from the first moment when something was not due yet: what is written before that is the past."""
        if live and self.stats.behind:
            self.stats.behind, self._live_since = False, time.monotonic()
        elif not self.stats.behind:
            self.stats.live_sent += sent
            self.stats.live_s = time.monotonic() - self._live_since

    def _nap_s(self, now: int) -> float:
        """How long nothing is due: until the next record, but not shorter than a tick."""
        waits = [self._schedule.wait_ms(ms, now) for queue in self._queues if (ms := queue.next_ms()) is not None]
        assert waits, "nothing is left to wait for"
        return min(max(min(waits), _TICK_MS), _NAP_MS) / 1000

    def _next_block(self) -> bool:
        """Generate the next stretch that holds something to send; False when there is none left."""
        until = self._request.until_ms
        while not self._queues:
            if self._left == 0 or (until is not None and self._at >= until) or self._stop.is_set():
                return False
            rows = self._block_rows if self._left is None else min(self._block_rows, self._left + self._left // 8 + 100)
            span = min(int(rows / max(self._rows_per_ms, 1e-9)), _BLOCK_MS_MAX)
            self._block_rows = min(2 * self._block_rows, _BLOCK_ROWS)
            horizon = self._schedule.horizon(self._clock())
            ahead = int(_AHEAD_MS * (self._request.speed or 1.0))
            if self._at + span > horizon + ahead:
                # Live: not beyond what will soon be due, and not before it is time for it.
                if self._at > horizon + ahead // 2:
                    self._writer.poll(_NAP_MS / 1000)
                    self._housekeep()
                    continue
                span = horizon + ahead - self._at
            end = self._at + max(1, span)
            self._generate(end if until is None else min(end, until))
        return True

    def _generate(self, end: int) -> None:
        if self._buffer is not None:  # made for the comparison already
            found, self._buffer = self._buffer.extend_to(self._at), None
            end = found.end_ms
        else:
            found = encode_batch(self._cursor.advance(end), self._at, end, self._state.partitions)
        wanted = found.after(self._positions) & np.isin(found.partition, self._partitions)
        if self._request.until_ms is not None:
            wanted &= found.deliver_ms < self._request.until_ms
        rows = np.flatnonzero(wanted)
        if self._left is not None:
            whole_run = self._request.total and self._request.shard.of > 1
            rows = rows[rows < self._left] if whole_run else rows[: self._left]
            self._left = max(0, self._left - (len(found) if whole_run else len(rows)))
        # Everything after the last row of the count is left out, whatever its partition.
        last = int(rows[-1]) if len(rows) else -1
        for p in np.unique(found.partition[rows]).tolist():
            every = found.rows(p)
            begin = (
                found.rows_up_to(every, self._positions[p]) if self._positions[p].deliver_ms >= found.start_ms else 0
            )
            self._queues.append(PartitionQueue(found, p, begin, int(np.searchsorted(every, last, "right"))))
        if end > self._at:
            self._rows_per_ms = 0.5 * self._rows_per_ms + 0.5 * len(found) / (end - self._at)
        self._at = end
        self._done_ms = int(found.deliver_ms[last]) + 1 if self._left == 0 and len(rows) else end

    def _release(self, horizon_ms: int, now_ms: int) -> int:
        """Send what is due, as far as the local queue takes it."""
        total = 0
        for queue in self._queues:
            due = queue.due(horizon_ms) if self._lease_valid else 0
            while due and self._lease_valid and not self._stop.is_set():
                keys, values, stamps = queue.peek(due, now_ms)
                taken = self._writer.send(queue.partition, keys, values, stamps)
                if taken:
                    position = queue.advance(taken)
                    self._in_flight[queue.partition].append((self._writer.sent[queue.partition], position))
                    self.stats.bytes += sum(map(len, values[:taken])) + sum(map(len, keys[:taken]))
                    total += taken
                    due -= taken
                if due:
                    self._writer.poll(0.01)
                    self._housekeep()
        self.stats.sent += total
        return total

    def _housekeep(self) -> None:
        """What is to be done now and then: count, note, check, report."""
        now_s = time.monotonic()
        acknowledged = sum(self._writer.acknowledged)
        if acknowledged != self.stats.acknowledged or sum(self._writer.sent) == acknowledged:
            self._moved_s = now_s
        self.stats.acknowledged = acknowledged
        if now_s - self._reported_s > 0.1:
            self._reported_s = now_s
            self.stats.sent = sum(self._writer.sent)
            self.stats.seconds = now_s - self._begun
            self._drain()
            self._report(self.stats)
            self._check(now_s)
            self._foreign_writes.check(self._clock())
        if now_s - self._metadata_s > _NOTE_S:
            self._metadata_s = now_s
            self._lease.commit_progress(self._metadata())
        if now_s - self._moved_s > _STALL_S:
            self._flush_s = 0.0  # it has been waited for long enough
            raise UnreachableError(
                f"Kafka at {self._broker.address} has acknowledged nothing for {_STALL_S:g} s",
                hint="start it again: the run goes on behind what is stored",
            )

    def _check(self, now_s: float) -> None:
        """Ask whether the run may be written just now; while nobody answers it is not, and that is not waited for without end."""
        try:
            self._lease.check()
        except UnreachableError:
            self._lease_valid = False
            if now_s - self._held_s > _STALL_S:
                self._flush_s = 0.0
                raise
        else:
            self._lease_valid, self._held_s = True, now_s

    def _drain(self) -> None:
        latencies, self._writer.latencies_ms[:] = list(self._writer.latencies_ms), []
        self.stats.latencies.add(latencies)

    def _metadata(self) -> dict[int, tuple[int, CommitMetadata]]:
        """How far each partition is, by what is acknowledged."""
        out = {}
        for p in self._partitions:
            trail, acknowledged = self._in_flight[p], self._writer.acknowledged[p]
            while trail and trail[0][0] <= acknowledged:
                sent, self._positions[p] = trail.popleft()
                self._recorded_sent[p] = sent
            metadata = CommitMetadata(
                owner="",
                start_ms=self.stats.start_ms,
                first=self._first_offsets[p],
                deliver_ms=self._positions[p].deliver_ms,
                nth=self._positions[p].nth,
                stored=self._stored[p] + self._recorded_sent[p] if self._stored[p] >= 0 else -1,
            )
            out[p] = (self._foreign_writes.next_offsets[p], metadata)
        return out

    # How it ends

    def _close(self) -> None:
        """Wait for what is under way, then say goodbye."""
        if not self._opened:
            self._lease.release({})
            return
        writer = self._writer
        deadline = time.monotonic() + self._flush_s
        try:
            while writer.flush(0.2) and time.monotonic() < deadline:
                self._housekeep()
        finally:
            self.stats.sent, self.stats.acknowledged = sum(writer.sent), sum(writer.acknowledged)
            self.stats.seconds = time.monotonic() - getattr(self, "_begun", time.monotonic())
            self._drain()
            released_cleanly = not self.stats.failed
            writer.close()
            if released_cleanly:
                self._lease.release(self._metadata())
            else:
                self._lease.abandon()
        self._report(self.stats)


def backfill_start(world: World, count: int, now_ms: int) -> int:
    """Where a run must begin for its first ``count`` deliveries to end about now.

    Whole weeks are reckoned by the mean rate, the rest is counted, so that the hour of day does not matter.
    """
    week_ms = 604_800_000
    per_week = world.expected_rate * week_ms / 1000
    weeks = int(max(0, count / per_week - 1)) if per_week else 0
    left, end = count - round(weeks * per_week), now_ms
    span = max(1_000, int(1.2 * left / world.expected_rate * 1000))
    while left > 0:
        start = end - min(span, 3_600_000)
        ms = world.deliveries(start, end).deliver_ms
        if len(ms) >= left:
            return int(ms[len(ms) - left]) - weeks * week_ms
        left -= len(ms)
        end = start
        if now_ms - end > 60 * week_ms:
            raise ClickreelError(
                f"{count:,} events of run {world.run} would begin over a year ago",
                hint="give --from, or a higher --rate or --mean-rate",
            )
    return end - weeks * week_ms
