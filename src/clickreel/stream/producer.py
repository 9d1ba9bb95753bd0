"""The producer: a run's deliveries, each once, in order, at their time, into the topic; after a crash from where the topic says it is.

The path of one attempt:

1. The run's lease is taken (:mod:`.producer_lease`), and late requests of a killed predecessor are waited out.
2. The topic's records say where each partition resumes (:mod:`.resume`).
3. A stretch of the timeline is generated and encoded (:mod:`.encoded_batch`); what is stored already is left out.
4. What is due (:mod:`.send_schedule`) is handed to the writer, partition by partition. Acknowledgements are counted, and their offsets
   show whether somebody else writes the run (:mod:`.foreign_writes`).
5. Once a second the progress is committed with the lease.

When the cluster acknowledges nothing for half a minute, the attempt ends and the next begins at step 1 with new clients.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.simulate.world import World
from clickreel.stream import resume
from clickreel.stream.broker import Bounds, Broker, TopicState
from clickreel.stream.encoded_batch import PartitionPosition, encode_batch
from clickreel.stream.foreign_writes import ForeignWriteDetector
from clickreel.stream.partition_queue import PartitionQueue
from clickreel.stream.produce_request import ProduceRequest, ProducerSettings, ProduceStats, Report
from clickreel.stream.producer_lease import CommitMetadata, ProducerLease, SecondWriterError, deleted
from clickreel.stream.send_schedule import Clock, SendSchedule, wall_clock

log = logging.getLogger(__name__)

# Large enough that NumPy's fixed costs vanish, small enough for the processor's cache and for a Ctrl-C to be answered at once.
_BATCH_ROWS = 40_000
# The first batch is small, so that the first record goes out soon; each further one is twice as large.
_FIRST_ROWS = 2_000
_BATCH_MS_MAX = 900_000
# Live: generated this far ahead of the clock, so that no tick waits for a batch.
_AHEAD_MS = 2_000
# Live: what falls due within a tick goes out together.
_TICK_MS = 5.0
# Live: the longest sleep, so that a stop is answered at once.
_NAP_MS = 50.0
_COMMIT_S = 1.0
# A topic that is deleted and made again under the same name takes what the client sends, without the run's past.
_TOPIC_ASK_S = 10.0
# An orderly end waits so long for acknowledgements.
_FLUSH_S = 30.0
# While late requests are waited for: how often a stop is looked for, and how often the broker is asked whether it is awake.
_LATE_LOOK_S = 0.25
_LATE_ASK_S = 1.0
# A broker that takes longer than this to say its offsets was paused or overloaded: requests may have waited in its sockets meanwhile.
_AWAKE_S = 5.0
_RETRY_S = 1.0


class StalledError(UnreachableError):
    """The cluster has acknowledged nothing, or has not let us renew the lease, for too long."""


class Producer:
    """Produces a run; one object for one call.

    Args:
        broker: The cluster.
        state: The topic, which exists.
        world: The run.
        request: What to produce.
        settings: How to deal with a cluster that is slow or away.
        clock: Milliseconds since 1970.
        sleep: Waits for seconds.
        report: Called with the figures about ten times a second.
        stop: Set by whoever wants an orderly end.

    Attributes:
        stats: What was done so far.
    """

    def __init__(
        self,
        broker: Broker,
        state: TopicState,
        world: World,
        request: ProduceRequest,
        *,
        settings: ProducerSettings | None = None,
        clock: Clock = wall_clock,
        sleep: Callable[[float], None] = time.sleep,
        report: Report = lambda _: None,
        stop: threading.Event | None = None,
    ) -> None:
        self._broker, self._state, self._world, self._request = broker, state, world, request
        self._settings = settings or ProducerSettings()
        self._clock, self._sleep, self._report, self._stop = clock, sleep, report, stop or threading.Event()
        self.stats = ProduceStats(world.run, state.name, target_per_s=world.expected_rate * (request.speed or 1.0))
        self._partitions = [p for p in range(state.partitions) if request.shard.owns(p)]
        self._schedule: SendSchedule | None = None
        # By partition, of the attempts before this one: how far they are known to have come, and how many records that were.
        self._earlier: dict[int, tuple[PartitionPosition, int]] = {}
        self._attempt = 0
        self._begun: float | None = None
        self._reported_s = self._live_since = 0.0
        self._fields = {"run": world.run, "topic": state.name}

    def run(self) -> ProduceStats:
        """Produce until the request is fulfilled or a stop is asked for.

        Raises:
            ClickreelError: It cannot go on; ``stats`` has what was done until then.
        """
        self._progress_s = time.monotonic()
        while True:
            try:
                self._run_attempt()
                break
            except UnreachableError as exc:
                self.stats.errors[exc.kind] += 1
                if self._begun is None:  # it never came to the first record: that is for the caller to know
                    raise
                if self._stop.is_set():
                    break
                if time.monotonic() - self._progress_s > self._settings.give_up_s:
                    raise
                self._await_retry(exc)
        if self.stats.failed:
            raise UnreachableError(
                f"{self.stats.failed:,} of {self.stats.sent:,} records were not acknowledged within {_FLUSH_S:g} s",
                hint="start it again: the run goes on behind what is stored",
            )
        return self.stats

    def _await_retry(self, cause: ClickreelError) -> None:
        self._attempt += 1
        self.stats.restarts += 1
        self._wait_in_words(f"{cause.message}; resuming with a new client")
        self._broker.close()
        if self._stop.wait(_RETRY_S):
            return

    def _wait_in_words(self, message: str) -> None:
        """Say what is waited for: in the log, and to whoever shows the figures."""
        if message != self.stats.waiting:
            log.info(message, extra=self._fields)
        self.stats.waiting = message
        self._report(self.stats)

    def _run_attempt(self) -> None:
        self._opened, self._lease_valid, self._ending = False, True, False
        self._flush_s = _FLUSH_S
        self._queues: list[PartitionQueue] = []
        self._in_flight: list[collections.deque[tuple[int, PartitionPosition]]] = [
            collections.deque() for _ in range(self._state.partitions)
        ]
        self._recorded_sent = [0] * self._state.partitions
        self._rows_per_ms = self._world.expected_rate / 1000
        self._batch_rows = _FIRST_ROWS
        self._committed_s, self._topic_asked_s = 0.0, time.monotonic()
        self._lease = ProducerLease(
            self._broker,
            self._state,
            self._world.run,
            self._request.shard,
            sleep=self._sleep,
            clock=self._clock,
            retake=self._attempt > 0,
        )
        try:
            self._open()
            self._loop()
        except SecondWriterError:
            self._flush_s = 0.0
            if self._opened:
                self._writer.close()  # what is in flight would only be stored twice
            raise
        except UnreachableError:
            self._flush_s = 0.0  # it has been waited for long enough
            raise
        except ClickreelError as exc:
            # What fails in a topic that is gone fails in many ways; the reason is one.
            if self._opened and self._lease.is_topic_gone():
                self._flush_s = 0.0
                self._writer.close()
                raise deleted(self._state.name, self._world.run) from exc
            raise
        finally:
            self._close()

    # Where it begins

    def _open(self) -> None:
        bounds = self._wait_for_late_requests()

        def new_start() -> int:
            return self._lease.run_start_ms() or self._request.start()

        planner = resume.ResumePlanner(
            self._broker, self._state, self._world, self._lease.committed, bounds, start=new_start
        )
        found = planner.plan(self._partitions)
        self._buffer = planner.buffer
        start = planner.start_ms if found is not None else new_start()
        assert start is not None
        if not self._attempt:
            self.stats.resumed = found is not None
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
        if not self._attempt:
            self._request.before_first_record(min(self._positions[p].deliver_ms for p in self._partitions))
        self._stored = self._count_stored()
        self._stored_by_us = self._count_stored_by_us()
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
        if self._schedule is None:
            speed = self._request.speed
            self._schedule = SendSchedule(speed, at, self._clock()) if speed else SendSchedule()
        log.info(
            "resumes" if self._attempt or self.stats.resumed else "begins",
            extra={**self._fields, "position_ms": self.stats.position_ms, "stored": sum(self._stored)},
        )

    def _wait_for_late_requests(self) -> list[Bounds]:
        """The partitions' bounds, once no request of a producer that was killed can be in flight any more.

        A request that outlived its process is in one of two places, and ``late_request_s`` (13 s) bounds its time in both:

        * In its kernel or on the path. The kernel goes on sending what the socket held. Where a packet is lost it is sent again after
          0.2 s, and the wait doubles: 0.2, 0.6, 1.4, 3.0, 6.2 and 12.6 s after the first loss. So whatever a path that was cut for up to
          6.2 s holds back has arrived after 12.6 s.
        * In the broker's sockets and request queue. The queue is served in order, so a broker that answers us has read what came before;
          one that was paused has not, and the time counts from its next prompt answer.

        The client adds nothing: its own queue died with it, and nobody repeats a request that a leader refuses. A request that is held
        for longer is stored behind ours. It is found by its offset (:mod:`.foreign_writes`), and the producer stops; it cannot be
        prevented, because only the epoch of a transactional producer fences a partition.
        """
        bounds = self._broker.bounds(self._state.name)
        if self._lease.released_cleanly or self._lease.is_long_gone:
            return bounds
        wait_s = self._settings.late_request_s
        if wait_s > 1:
            self._wait_in_words(f"waiting {wait_s:g} s for late requests of the producer that was killed")
        waited_s = asked_s = 0.0
        while waited_s < wait_s and not self._stop.is_set():
            step_s = min(_LATE_LOOK_S, wait_s - waited_s)
            self._sleep(step_s)
            waited_s, asked_s = waited_s + step_s, asked_s + step_s
            if asked_s >= _LATE_ASK_S or waited_s >= wait_s:
                since, asked_s = time.monotonic(), 0.0
                bounds = self._broker.bounds(self._state.name)
                if time.monotonic() - since > _AWAKE_S:
                    waited_s = 0.0
        self.stats.waiting = ""
        self._lease.is_safe_to_release = waited_s >= wait_s
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
                f"how many records run {self._world.run} has is unknown: its committed metadata has expired, and the retention has removed "
                "its first records",
                hint="leave out --run, and --count is the number of this call",
            )
        ahead = {p: self._positions[p] for p in since if self._positions[p] != since[p][0]}
        counted = {p: known for p, (_, known) in since.items()}
        if ahead:
            earlier = {p: since[p] for p in ahead}
            counted |= resume.count_records(self._world, self._state.partitions, earlier, ahead, self._buffer)
        return [counted.get(p, -1) for p in range(self._state.partitions)]

    def _count_stored_by_us(self) -> int:
        """How many records earlier attempts of this call have stored, those included whose acknowledgement never came."""
        if not self._earlier:
            return 0
        ends = {p: max(self._positions[p], position) for p, (position, _) in self._earlier.items()}
        counted = resume.count_records(self._world, self._state.partitions, self._earlier, ends, self._buffer)
        return sum(counted.values())

    def _limit(self, at: int) -> int | None:
        """How many records are left to send; of a shard that counts for the whole run, how many deliveries from ``at`` on."""
        count = self._request.count
        if count is None:
            return None
        if not self._request.total:
            return max(0, count - self._stored_by_us)
        if self._request.shard.of == 1:
            # What is stored and what is left make up the run's first `count` deliveries, however the partitions differ.
            return max(0, count - sum(self._stored))
        cursor, before = self._world.cursor(self.stats.start_ms), 0
        while cursor.position_ms < at and before < count:
            before += len(cursor.advance(min(cursor.position_ms + _BATCH_MS_MAX, at)))
        return max(0, count - before)

    # The loop

    def _loop(self) -> None:
        assert self._schedule is not None
        self._moved_s = self._renewed_s = time.monotonic()
        if self._begun is None:
            self._begun = self._moved_s
        while not self._stop.is_set() and (self._queues or self._next_batch()):
            now = self._clock()
            horizon = self._schedule.horizon(now)
            sent = self._release(horizon, now)
            self._queues = [queue for queue in self._queues if queue.next_ms() is not None]
            waiting = [ms for queue in self._queues if (ms := queue.next_ms()) is not None]
            self.stats.position_ms = min(waiting, default=self._done_ms)
            # Only what is not due yet is left of the batch: the past is written. In the past whole batches are due.
            self._measure(sent, live=bool(waiting) and min(waiting) > horizon)
            self._writer.poll(self._nap_s(now) if waiting else 0)
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
        assert self._schedule is not None
        waits = [self._schedule.wait_ms(ms, now) for queue in self._queues if (ms := queue.next_ms()) is not None]
        assert waits, "nothing is left to wait for"
        return min(max(min(waits), _TICK_MS), _NAP_MS) / 1000

    def _next_batch(self) -> bool:
        """Generate the next stretch that holds something to send; False when there is none left."""
        assert self._schedule is not None
        until = self._request.until_ms
        while not self._queues:
            if self._left == 0 or (until is not None and self._at >= until) or self._stop.is_set():
                return False
            rows = self._batch_rows if self._left is None else min(self._batch_rows, self._left + self._left // 8 + 100)
            span = min(int(rows / max(self._rows_per_ms, 1e-9)), _BATCH_MS_MAX)
            self._batch_rows = min(2 * self._batch_rows, _BATCH_ROWS)
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
        if self._buffer is not None:  # generated for the comparison already
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
        """What is to be done now and then: count, commit, check, report.

        Raises:
            StalledError: Nothing was acknowledged for too long.
        """
        now_s = time.monotonic()
        acknowledged, in_flight = self._count()
        if acknowledged or not in_flight:
            self._moved_s = now_s
            if self._lease_valid:
                self._progress_s, self.stats.waiting = now_s, ""
        if now_s - self._reported_s > 0.1:
            self._reported_s = now_s
            self.stats.seconds = now_s - (self._begun or now_s)
            self._drain()
            self._report(self.stats)
            self._check(now_s)
            self._foreign_writes.check(self._clock())
        if now_s - self._topic_asked_s > _TOPIC_ASK_S and not self._ending:
            self._topic_asked_s = now_s
            if self._lease.is_topic_gone():
                raise deleted(self._state.name, self._world.run)
        if now_s - self._committed_s > _COMMIT_S:
            self._committed_s = now_s
            self._lease.commit_progress(self._metadata())
        if now_s - self._moved_s > self._settings.stall_s and not self._ending:
            raise StalledError(
                f"Kafka at {self._broker.address} has acknowledged nothing for {now_s - self._progress_s:.0f} s",
                hint="start it again: the run goes on behind what is stored",
            )

    def _count(self) -> tuple[int, int]:
        """Bring the figures up to date; the records newly acknowledged, and those in flight."""
        sent, acknowledged = sum(self._writer.sent), sum(self._writer.acknowledged)
        before = self.stats.acknowledged
        self.stats.sent = self._stored_by_us + sent
        self.stats.acknowledged = self._stored_by_us + acknowledged
        return self.stats.acknowledged - before, sent - acknowledged

    def _check(self, now_s: float) -> None:
        """Renew the lease. While nobody answers the run is not written, and that is not waited for without end."""
        try:
            self._lease.check()
        except UnreachableError as exc:
            self._lease_valid = False
            self.stats.errors[exc.kind] += 1
            self._wait_in_words(exc.message)
            if now_s - self._renewed_s > self._settings.stall_s and not self._ending:
                raise StalledError(exc.message, hint=exc.hint) from exc
        else:
            self._lease_valid, self._renewed_s = True, now_s

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
        """Wait for what is in flight, then release the lease."""
        if not self._opened:
            self._lease.release({})
            return
        self._ending = True
        writer, deadline = self._writer, time.monotonic() + self._flush_s
        try:
            while writer.flush(0.2) and time.monotonic() < deadline:
                self._housekeep()
        finally:
            self._count()
            self.stats.seconds = time.monotonic() - (self._begun or time.monotonic())
            self._drain()
            metadata = self._metadata()
            self._earlier = {
                p: (self._positions[p], self._earlier.get(p, (None, 0))[1] + self._recorded_sent[p])
                for p in self._partitions
            }
            writer.close()
            if self.stats.failed:
                self._lease.abandon()
            else:
                self._lease.release(metadata)
        self._report(self.stats)
