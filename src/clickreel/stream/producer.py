"""The producer: a run's deliveries, each once, in order, at their time, into the topic; after a crash from where the topic says it is.

The path: a stretch of the timeline is generated and encoded (:mod:`.blocks`), what is stored already is left out (:mod:`.resume`),
what is due (:mod:`.pace`) is handed to the writer partition by partition, acknowledgements are counted (:mod:`.others` checks them),
and once a second a note of how far the run is goes to the lock (:mod:`.claim`).
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
from clickreel.stream.blocks import Block, Place, block
from clickreel.stream.broker import Bounds, Broker, TopicState, Writer
from clickreel.stream.claim import WHOLE, Claim, Note, SecondWriterError, Shard
from clickreel.stream.latency import Latencies
from clickreel.stream.others import Others
from clickreel.stream.pace import Clock, Pace, wall_clock

# Large enough that NumPy's fixed costs vanish, small enough for the processor's cache and for a Ctrl-C to be answered at once.
_BLOCK_ROWS = 40_000
_FIRST_ROWS = (
    2_000  # the first block is small, so that the first record goes out soon; each further one is twice as large
)
_BLOCK_MS_MAX = 900_000
_AHEAD_MS = 2_000  # live: generated this far ahead of the clock, so that no tick waits for a block
_TICK_MS = 5.0  # live: what falls due within a tick goes out together
_NAP_MS = 50.0  # live: longest sleep, so that a stop is heard
_NOTE_S = 1.0
_STALL_S = 120.0  # a broker that was killed takes half a minute and more to check its logs on a busy machine
_FLUSH_S = 30.0
_SETTLE_S = 0.15
_SETTLE_TRIES = 20


@dataclass(frozen=True)
class Order:
    """What to produce.

    Attributes:
        start: Tells where the run begins; asked only when it is a new one. A run that exists goes on where it is.
        until_ms: Deliveries from this instant on are not made; ``None`` for no end.
        count: How many records; ``None`` for no limit.
        total: Whether ``count`` is the run's total, from its first record on, rather than this call's number.
        speed: Seconds of the timeline in a second, see :class:`~clickreel.stream.pace.Pace`.
        shard: The share of the partitions.
    """

    start: Callable[[], int]
    until_ms: int | None = None
    count: int | None = None
    total: bool = False
    speed: float | None = None
    shard: Shard = WHOLE


@dataclass
class Account:
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


Report = Callable[[Account], None]


class Lane:
    """One partition's part of a block: what is left to send."""

    def __init__(self, found: Block, partition: int, begin: int, end: int) -> None:
        self.partition = partition
        self._block, self._rows = found, found.rows(partition)
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

    def cut(self, n: int, now_ms: int) -> tuple[list[bytes], list[bytes], list[int]]:
        """Keys, values and timestamps of the next ``n``: the time of delivery, which is never in the future."""
        at = self._at - self._begin
        stamps: NDArray[np.int64] = np.minimum(self._ms[self._at : self._at + n], now_ms)
        return self._keys[at : at + n], self._values[at : at + n], stamps.tolist()

    def took(self, n: int) -> Place:
        """Go on behind the next ``n``, and say where that is."""
        self._at += n
        return self._block.place(self._rows, self._at - 1)


class Producer:
    """Produces a run; one object for one call.

    Args:
        broker: The cluster.
        state: The topic, which exists.
        world: The run.
        order: What to produce.
        clock: Milliseconds since 1970.
        sleep: Waits for seconds.
        report: Told of the account about ten times a second.
        stop: Set by whoever wants an orderly end.
    """

    def __init__(
        self,
        broker: Broker,
        state: TopicState,
        world: World,
        order: Order,
        *,
        clock: Clock = wall_clock,
        sleep: Callable[[float], None] = time.sleep,
        report: Report = lambda _: None,
        stop: threading.Event | None = None,
    ) -> None:
        self._broker, self._state, self._world, self._order = broker, state, world, order
        self._clock, self._sleep, self._report, self._stop = clock, sleep, report, stop or threading.Event()
        self.account = Account(world.run, state.name, target_per_s=world.expected_rate * (order.speed or 1.0))
        self._mine = [p for p in range(state.partitions) if order.shard.mine(p)]
        self._writer: Writer
        self._opened, self._held = False, True
        self._flush_s = _FLUSH_S
        self._lanes: list[Lane] = []
        self._trail: list[collections.deque[tuple[int, Place]]] = [collections.deque() for _ in range(state.partitions)]
        self._noted_sent = [0] * state.partitions
        self._rows_per_ms = world.expected_rate / 1000
        self._block_rows = _FIRST_ROWS
        self._noted_s = self._reported_s = self._moved_s = self._live_since = 0.0

    def run(self) -> Account:
        """Produce until the order is fulfilled or a stop is asked for.

        Raises:
            ClickreelError: It cannot go on; ``account`` tells what was done until then.
        """
        self._claim = Claim(self._broker, self._state, self._world.run, self._order.shard, sleep=self._sleep)
        try:
            self._open()
            self._loop()
        except SecondWriterError:
            if self._opened:
                self._writer.close()  # what is under way would only be there twice
            raise
        finally:
            self._close()
        if self.account.failed:
            raise UnreachableError(
                f"{self.account.failed:,} of {self.account.sent:,} records were not acknowledged within {_FLUSH_S:g} s",
                hint="start it again: the run goes on behind what is stored",
            )
        return self.account

    # Where it begins

    def _open(self) -> None:
        bounds = self._settled()
        survey = resume.Survey(self._broker, self._state, self._world, self._claim.notes, bounds)
        found = survey.standings(self._mine)
        self._stretch = survey.stretch
        self.account.resumed = found is not None
        start = survey.start_ms if found is not None else self._claim.begun() or self._order.start()
        assert start is not None
        self.account.start_ms = start
        fresh = resume.Standing(Place(start, 0), -1)
        standings = found or dict.fromkeys(self._mine, fresh)
        self._places = [standings[p].place if p in standings else Place(0, 0) for p in range(self._state.partitions)]
        self._firsts = [
            note.first if (note := self._claim.notes.get(p)) and note.start_ms else (0 if found else bounds[p].high)
            for p in range(self._state.partitions)
        ]
        self._stored = self._count_stored()
        self._others = Others(self._broker, self._state.name, self._world, [b.high for b in bounds], self._clock())
        self.account.offsets = self._others.nexts
        self._writer = self._broker.writer(self._state.name, self._others.acked)
        self._opened = True
        self._claim.begin(self._notes())
        at = self.account.position_ms = min(self._places[p].deliver_ms for p in self._mine)
        if self._stretch is not None and self._stretch.start_ms <= at:
            at, self._cursor = self._stretch.start_ms, self._stretch.cursor
        else:
            self._stretch, self._cursor = None, self._world.cursor(at)
        self._left = self._limit(at)
        self._at = self._done_ms = at
        now = self._clock()
        self._pace = Pace(self._order.speed, at, now) if self._order.speed else Pace()

    def _settled(self) -> list[Bounds]:
        """The partitions' bounds, once no request of a writer that was killed can be on the way any more."""
        bounds = self._broker.bounds(self._state.name)
        if self._claim.orderly:
            return bounds
        for _ in range(_SETTLE_TRIES):  # other runs may be written all the while; then `others` is the guard
            self._sleep(_SETTLE_S)
            before, bounds = bounds, self._broker.bounds(self._state.name)
            if before == bounds:
                break
        return bounds

    def _count_stored(self) -> list[int]:
        """By partition, how many records of the run it holds; -1 where nobody has counted and the order does not ask for it."""
        start = Place(self.account.start_ms, 0)
        since: dict[int, tuple[Place, int]] = {}
        for p in self._mine:
            note = self._claim.notes.get(p)
            if note and note.start_ms and note.stored >= 0 and Place(note.deliver_ms, note.nth) <= self._places[p]:
                since[p] = Place(note.deliver_ms, note.nth), note.stored
            elif self._order.total or self._places[p] == start:
                since[p] = start, 0
        if self._order.total and not self.account.start_ms:
            raise ClickreelError(
                f"how many records run {self._world.run} has cannot be told: its notes have expired, and the retention has removed "
                "its first records",
                hint="leave out --run, and --count is the number of this call",
            )
        ahead = {p: self._places[p] for p in since if self._places[p] != since[p][0]}
        counted = {p: known for p, (_, known) in since.items()}
        if ahead:
            earlier = {p: since[p] for p in ahead}
            counted |= resume.count(self._world, self._state.partitions, earlier, ahead, self._stretch)
        return [counted.get(p, -1) for p in range(self._state.partitions)]

    def _limit(self, at: int) -> int | None:
        """How many records are left to send; of a shard that counts for the whole run, how many deliveries from ``at`` on."""
        count = self._order.count
        if count is None:
            return None
        if not self._order.total:
            return count
        if self._order.shard.of == 1:
            # What is stored and what is left make up the run's first `count` deliveries, however the partitions differ.
            return max(0, count - sum(self._stored))
        cursor, before = self._world.cursor(self.account.start_ms), 0
        while cursor.position_ms < at and before < count:
            before += len(cursor.advance(min(cursor.position_ms + _BLOCK_MS_MAX, at)))
        return max(0, count - before)

    # The loop

    def _loop(self) -> None:
        self._begun = self._moved_s = self._held_s = time.monotonic()
        while not self._stop.is_set() and (self._lanes or self._next_block()):
            now = self._clock()
            sent = self._release(self._pace.horizon(now), now)
            self._lanes = [lane for lane in self._lanes if lane.next_ms() is not None]
            self.account.position_ms = min(
                (ms for lane in self._lanes if (ms := lane.next_ms())), default=self._done_ms
            )
            # What is left of the block is not due yet: the past is written. In the past whole blocks are due.
            live = bool(self._lanes)
            self._measure(sent, live=live)
            self._writer.poll(self._nap_s(now) if live else 0)
            self._tend()

    def _measure(self, sent: int, *, live: bool) -> None:
        """The achieved rate counts from the first moment when something was not due yet: what is written before that is the past."""
        if live and self.account.behind:
            self.account.behind, self._live_since = False, time.monotonic()
        elif not self.account.behind:
            self.account.live_sent += sent
            self.account.live_s = time.monotonic() - self._live_since

    def _nap_s(self, now: int) -> float:
        """How long nothing is due: until the next record, but not shorter than a tick."""
        waits = [self._pace.wait_ms(ms, now) for lane in self._lanes if (ms := lane.next_ms()) is not None]
        assert waits, "nothing is left to wait for"
        return min(max(min(waits), _TICK_MS), _NAP_MS) / 1000

    def _next_block(self) -> bool:
        """Generate the next stretch that holds something to send; False when there is none left."""
        until = self._order.until_ms
        while not self._lanes:
            if self._left == 0 or (until is not None and self._at >= until) or self._stop.is_set():
                return False
            rows = self._block_rows if self._left is None else min(self._block_rows, self._left + self._left // 8 + 100)
            span = min(int(rows / max(self._rows_per_ms, 1e-9)), _BLOCK_MS_MAX)
            self._block_rows = min(2 * self._block_rows, _BLOCK_ROWS)
            horizon = self._pace.horizon(self._clock())
            ahead = int(_AHEAD_MS * (self._order.speed or 1.0))
            if self._at + span > horizon + ahead:
                # Live: not beyond what will soon be due, and not before it is time for it.
                if self._at > horizon + ahead // 2:
                    self._writer.poll(_NAP_MS / 1000)
                    self._tend()
                    continue
                span = horizon + ahead - self._at
            end = self._at + max(1, span)
            self._generate(end if until is None else min(end, until))
        return True

    def _generate(self, end: int) -> None:
        if self._stretch is not None:  # made for the comparison already
            found, self._stretch = self._stretch.upto(self._at), None
            end = found.end_ms
        else:
            found = block(self._cursor.advance(end), self._at, end, self._state.partitions)
        wanted = found.after(self._places) & np.isin(found.partition, self._mine)
        if self._order.until_ms is not None:
            wanted &= found.deliver_ms < self._order.until_ms
        rows = np.flatnonzero(wanted)
        if self._left is not None:
            whole_run = self._order.total and self._order.shard.of > 1
            rows = rows[rows < self._left] if whole_run else rows[: self._left]
            self._left = max(0, self._left - (len(found) if whole_run else len(rows)))
        # Everything after the last row of the count is left out, whatever its partition.
        last = int(rows[-1]) if len(rows) else -1
        for p in np.unique(found.partition[rows]).tolist():
            every = found.rows(p)
            begin = found.index(every, self._places[p]) if self._places[p].deliver_ms >= found.start_ms else 0
            self._lanes.append(Lane(found, p, begin, int(np.searchsorted(every, last, "right"))))
        if end > self._at:
            self._rows_per_ms = 0.5 * self._rows_per_ms + 0.5 * len(found) / (end - self._at)
        self._at = end
        self._done_ms = int(found.deliver_ms[last]) + 1 if self._left == 0 and len(rows) else end

    def _release(self, horizon_ms: int, now_ms: int) -> int:
        """Send what is due, as far as the local queue takes it."""
        total = 0
        for lane in self._lanes:
            due = lane.due(horizon_ms) if self._held else 0
            while due and self._held and not self._stop.is_set():
                keys, values, stamps = lane.cut(due, now_ms)
                taken = self._writer.send(lane.partition, keys, values, stamps)
                if taken:
                    place = lane.took(taken)
                    self._trail[lane.partition].append((self._writer.sent[lane.partition], place))
                    self.account.bytes += sum(map(len, values[:taken])) + sum(map(len, keys[:taken]))
                    total += taken
                    due -= taken
                if due:
                    self._writer.poll(0.01)
                    self._tend()
        self.account.sent += total
        return total

    def _tend(self) -> None:
        """What is to be done now and then: count, note, check, report."""
        now_s = time.monotonic()
        acknowledged = sum(self._writer.acknowledged)
        if acknowledged != self.account.acknowledged or sum(self._writer.sent) == acknowledged:
            self._moved_s = now_s
        self.account.acknowledged = acknowledged
        if now_s - self._reported_s > 0.1:
            self._reported_s = now_s
            self.account.sent = sum(self._writer.sent)
            self.account.seconds = now_s - self._begun
            self._drain()
            self._report(self.account)
            self._check(now_s)
            self._others.check(self._clock())
        if now_s - self._noted_s > _NOTE_S:
            self._noted_s = now_s
            self._claim.progress(self._notes())
        if now_s - self._moved_s > _STALL_S:
            self._flush_s = 0.0  # it has been waited for long enough
            raise UnreachableError(
                f"Kafka at {self._broker.address} has acknowledged nothing for {_STALL_S:g} s",
                hint="start it again: the run goes on behind what is stored",
            )

    def _check(self, now_s: float) -> None:
        """Ask whether the run may be written just now; while nobody answers it is not, and that is not waited for without end."""
        try:
            self._claim.check()
        except UnreachableError:
            self._held = False
            if now_s - self._held_s > _STALL_S:
                self._flush_s = 0.0
                raise
        else:
            self._held, self._held_s = True, now_s

    def _drain(self) -> None:
        latencies, self._writer.latencies_ms[:] = list(self._writer.latencies_ms), []
        self.account.latencies.add(latencies)

    def _notes(self) -> dict[int, tuple[int, Note]]:
        """How far each partition is, by what is acknowledged."""
        out = {}
        for p in self._mine:
            trail, acknowledged = self._trail[p], self._writer.acknowledged[p]
            while trail and trail[0][0] <= acknowledged:
                sent, self._places[p] = trail.popleft()
                self._noted_sent[p] = sent
            note = Note(
                owner="",
                start_ms=self.account.start_ms,
                first=self._firsts[p],
                deliver_ms=self._places[p].deliver_ms,
                nth=self._places[p].nth,
                stored=self._stored[p] + self._noted_sent[p] if self._stored[p] >= 0 else -1,
            )
            out[p] = (self._others.nexts[p], note)
        return out

    # How it ends

    def _close(self) -> None:
        """Wait for what is under way, then say goodbye."""
        if not self._opened:
            self._claim.release({})
            return
        writer = self._writer
        deadline = time.monotonic() + self._flush_s
        try:
            while writer.flush(0.2) and time.monotonic() < deadline:
                self._tend()
        finally:
            self.account.sent, self.account.acknowledged = sum(writer.sent), sum(writer.acknowledged)
            self.account.seconds = time.monotonic() - getattr(self, "_begun", time.monotonic())
            self._drain()
            orderly = not self.account.failed
            writer.close()
            if orderly:
                self._claim.release(self._notes())
            else:
                self._claim.abandon()
        self._report(self.account)


def stretch_start(world: World, count: int, now_ms: int) -> int:
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
