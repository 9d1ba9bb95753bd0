"""Kafka to ClickHouse, each offset once.

There is no second store: where a partition goes on is read from the landing table itself. The protocol, for the partitions that the
group has assigned to this process::

    1  FencingToken them in ClickHouse. From here on no block of an earlier writer is accepted: the fence lets in the newest claim alone.
    2  Prove to the broker, by a commit, that this process is of the group's current generation. One that slept through a rebalance
       fails here; it has fenced the rightful writer off by step 1, who finds out, passes this step and claims again.
    3  Wait until the inserts that were under way have ended. They passed the fence before step 1; nothing else can still land.
    4  Ask the landing table which events it has, and where each partition ends. Read what is missing below (holes) and land it. Go on at the end plus one.
    5  Read on. A run of offsets per partition, without a break, becomes the rows of one block; each offset becomes a row: an event, a
       dead letter, or a gap that Kafka does not serve.
    6  Insert the block, a repeated delivery marked as one: one statement, one block, one part, so all of it or nothing. Look what other
       writers have landed meanwhile, and mark what is repeated by that. Then the next block, in order.
    7  Commit to Kafka what is landed. Only lag tools read it.

Whatever goes wrong, at any instant, is repaired in one way: reset and restart from step 1. So no error needs to be understood to be
survived, and a crash is no special case. An insert whose answer was lost is not sent again: step 3 waits until it has ended, and
step 4 sees whether it was stored. A client that brings nothing although it should (no assignment, or Kafka holds more and nothing
landed, for 30 seconds) is replaced by a new one, and the loop restarts from step 1 as well.

Why it cannot lose or double: let *end* be the last landed offset of a partition. Rows are added only by step 6, in blocks that begin at
*end* + 1 as read in step 4 or as left by the writer's own last block. Between that reading and the insert no other writer can add rows,
because its claim is older (refused by the fence, which reads the claims when the insert starts) or newer (then this writer is refused).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from clickreel.contract.verdict import Lookup
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.heartbeat import Heartbeat
from clickreel.ingest.failpoints import Failpoints
from clickreel.ingest.flush_policy import FlushPolicy
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.insert_block import InsertBlock, build_insert_block
from clickreel.ingest.landed_events import LandedEvents
from clickreel.ingest.landing_table import FencedError, FencingToken, LandingTable, OffsetRange, TableState
from clickreel.ingest.settings import IngestSettings
from clickreel.ingest.validate_batch import UNDECIDED, ValidatedBatch, validate_batch
from clickreel.quantities import quantity
from clickreel.stream.broker import Bounds
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.source import OutOfRangeError, Source
from clickreel.warehouse.client import Client, RefusedError

log = logging.getLogger(__name__)

# Refusals of ClickHouse that pass: memory, disk, too many parts, time-outs, a killed query, tables that are loading.
_PASSING = {159, 164, 202, 209, 210, 241, 242, 243, 252, 319, 394, 473, 499, 999}
# How long the loop may wait for messages before it looks at everything else: closing a block, the group, a stop.
_LOOK_S = 0.05
# The most messages asked for at once: with six partitions some 8,000 of each, from where on their number no longer matters to the decoder.
_POLL_ROWS = 50_000
# A gap of more offsets than this is no transaction's marker: the topic is compacted, or records were deleted from its middle.
_GAP_MAX = 1_000_000
# Without an assignment for so long, or with records ahead and nothing landed, the client is replaced. A rebalance takes 10 s at most
# (the session of a member that was killed), an insert some seconds on a busy machine.
WATCHDOG_S = 30.0
# The first wait after an error; each further one is twice as long until something is landed.
_FIRST_WAIT_S = 0.05
# How often Kafka is asked how far each partition reaches: partitions that are added and a client that has gone silent show this way.
_LOOK_AHEAD_S = 5.0


@dataclass
class BlockBuffer:
    """Messages that wait for their block."""

    validated: list[ValidatedBatch] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0
    since_s: float = 0.0
    live_since_ms: dict[int, int] = field(default_factory=dict)  # by partition: see Freshness.landed


@dataclass
class IngestReport:
    """What a run of ingest did."""

    rows: int = 0
    dead: int = 0
    gaps: int = 0
    repeated: int = 0  # deliveries of an event that had landed before
    undecided: int = 0  # their schema could not be read from the registry
    inserts: int = 0
    repaired: int = 0
    restarts: int = 0
    partitions: dict[int, int] = field(default_factory=dict)  # the next offset of each


class IngestLoop:
    """One process's part in landing a topic.

    Args:
        source: The stream.
        client: ClickHouse.
        settings: The settings.
        lookup: Finds the schemas that messages name.
        freshness: Takes note of what is landed when.
        heartbeat: Tells whoever started this process that it is ready, makes progress, or waits.
        accept_loss: Go on where Kafka has deleted events before they were landed, instead of stopping.
        accept_new_topic: Land a topic that was deleted and made again, beside the rows of the earlier one.
        watchdog_s: See :data:`WATCHDOG_S`.
    """

    def __init__(
        self,
        source: Source,
        client: Client,
        settings: IngestSettings,
        *,
        lookup: Lookup,
        freshness: Freshness | None = None,
        accept_loss: bool = False,
        accept_new_topic: bool = False,
        heartbeat: Heartbeat | None = None,
        watchdog_s: float = WATCHDOG_S,
    ) -> None:
        self.source, self.client, self.settings = source, client, settings
        self.report = IngestReport()
        self._lookup = lookup
        self._accept_loss, self._accept_new_topic = accept_loss, accept_new_topic
        self._failpoints = Failpoints(settings.failpoint)
        self._freshness = freshness or Freshness()
        self._heartbeat = heartbeat or Heartbeat(None)
        self._watchdog_s = watchdog_s
        self._alive_s = time.monotonic()  # when something was last landed, or known not to be due
        self._looked_s = 0.0
        self._landing = LandingTable(client, source.topic, "")
        self._landed_events = LandedEvents(client)
        self._flush_policy = FlushPolicy(settings)
        self._inserter = ThreadPoolExecutor(1, "insert")
        self._is_table_checked = False
        self._reset()

    def run(self, stop: threading.Event, *, until_caught_up: bool = False) -> IngestReport:
        """Land until told to stop, or until everything that Kafka holds at the start is landed.

        Raises:
            ClickreelError: What waiting cannot change: the topic is gone or new, offsets are out of range, another group lands the topic,
                another process has this one's name.
        """
        wait_s, inserts = _FIRST_WAIT_S, 0
        try:
            while not stop.is_set():
                try:
                    if self._step(until_caught_up=until_caught_up):
                        break
                    if self.report.inserts > inserts:
                        wait_s, inserts = _FIRST_WAIT_S, self.report.inserts
                except (UnreachableError, FencedError, RefusedError) as exc:
                    self._recover(exc)
                    self._serve(wait_s, stop)
                    wait_s = min(2 * wait_s, self.settings.backoff_s_max)
            self._land_rest()
        finally:
            self._inserter.shutdown(wait=True)
        return self.report

    # What is reset after every error, and found again

    def _reset(self) -> None:
        self._number = -1
        self._tokens: dict[int, FencingToken] = {}
        self._next: dict[int, int] = {}  # by partition: the offset that its next message must have
        self._sent: dict[int, int] = {}  # by partition: the offset after the last one in a closed block
        self._landed: dict[int, int] = {}  # by partition: the offset after the last landed one
        self._goal: dict[int, int] = {}
        self._end_seen: dict[int, tuple[int, int]] = {}  # by partition: the end that was last read to, and when, ms
        self._buffer = BlockBuffer()
        self._inflight: Future[InsertBlock] | None = None

    def _recover(self, exc: ClickreelError) -> None:
        """Reset, and log why. What waiting cannot change is raised again."""
        if isinstance(exc, RefusedError) and exc.code not in _PASSING:
            raise exc
        log.warning("%s; restarting from what is landed", exc.message, extra={"topic": self.source.topic})
        self._heartbeat.waiting(exc.message)
        self.report.restarts += 1
        self._freshness.count_error(exc.kind)
        if self._inflight is not None and not self._inflight.done():
            self._inflight.exception()  # its outcome is read from the table; only its end is waited for
        self._reset()
        self.source.pause()
        if isinstance(exc, FencedError):
            try:
                self._refuse_rival_group()
            except UnreachableError as away:  # ClickHouse is away just now: step 1 asks again
                log.warning("%s", away.message, extra={"topic": self.source.topic})

    def _refuse_rival_group(self) -> None:
        """Raise when another group that is alive has the newest token: two groups would fence each other for ever."""
        for partition, token in self._landing.newest_tokens().items():
            if token.group != self.source.group and self.source.is_group_alive(token.group):
                raise ClickreelError(
                    f"the group {token.group} ({token.writer}) lands partition {partition} of {self.source.topic} in {self.client.address}",
                    hint="one group lands a topic: end the other one, or share its work: "
                    f"clickreel ingest --group {token.group} --instance NAME",
                )

    def _serve(self, wait_s: float, stop: threading.Event) -> None:
        """Wait, and stay in the group during the wait."""
        until = time.monotonic() + wait_s
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            try:
                self.source.assignment(min(left, _LOOK_S))
            except UnreachableError:
                stop.wait(min(left, _LOOK_S))

    # One turn

    def _step(self, *, until_caught_up: bool) -> bool:
        """One turn of the loop; whether everything is landed that was to be."""
        assignment = self.source.assignment(_LOOK_S if not self._tokens else 0)
        if assignment.number != self._number:
            self._reset()
            if assignment.partitions:
                self._assigned(assignment.partitions, assignment.generation)
            self._number = assignment.number
        if not self._tokens:
            self._watch_assignment(is_member=assignment.generation >= 0)
            return False
        now = time.monotonic()
        left_s = self._buffer.since_s + self._flush_policy.wait_s - now if self._buffer.rows else _LOOK_S
        room = max(1, min(_POLL_ROWS, self.settings.flush_rows - self._buffer.rows))
        polled_ms = time.time_ns() // 1_000_000
        found = self.source.poll(room, max(0.001, min(left_s, _LOOK_S)))
        self._flush_policy.behind = sum(map(len, found)) >= room
        for batch in found:
            self._append(batch)
        self._note_ends(polled_ms)
        self._maybe_flush()
        if now >= self._looked_s + _LOOK_AHEAD_S:
            self._look_ahead()
        return until_caught_up and self._caught_up()

    # Liveness

    def _watch_assignment(self, *, is_member: bool) -> None:
        """Replace a client that gets no assignment."""
        if is_member:  # of a group with more members than partitions
            self._mark_alive()
            return
        if time.monotonic() < self._alive_s + self._watchdog_s:
            return
        self._replace_client(f"no partition of {self.source.topic} was assigned for {self._watchdog_s:.0f} s")

    def _look_ahead(self) -> None:
        """Ask Kafka how far the partitions reach; replace a client that brings nothing although there is more."""
        bounds = self.source.bounds()
        self._looked_s = time.monotonic()
        highs = {partition: bounds[partition].high for partition in self._next if partition in bounds}
        self._freshness.reach(highs)
        behind = sorted(p for p, high in highs.items() if self._landed[p] < high)
        # The end of what can be read may lie below the end of the partition: a transaction is open there.
        waiting = [
            p for p in behind if self.source.at_end.get(p, -1) >= self._next[p] and self._next[p] == self._landed[p]
        ]
        if len(waiting) == len(behind):
            self._mark_alive()
            return
        if time.monotonic() < self._alive_s + self._watchdog_s:
            return
        if self._inflight is not None:
            log.warning(
                "an insert has been under way for %.0f s",
                time.monotonic() - self._alive_s,
                extra={"topic": self.source.topic},
            )
            self._heartbeat.waiting(f"ClickHouse at {self.client.address} has not answered an insert for a while")
            return
        self._replace_client(
            f"Kafka holds more of partition {behind[0]} and nothing was landed for {self._watchdog_s:.0f} s"
        )

    def _replace_client(self, why: str) -> None:
        log.warning("%s: connecting anew", why, extra={"topic": self.source.topic})
        self._heartbeat.waiting(why)
        self.report.restarts += 1
        self._freshness.count_error("stalled")
        self._alive_s = time.monotonic()
        self._reset()
        self.source.reopen()

    def _mark_alive(self) -> None:
        self._alive_s = time.monotonic()
        self._heartbeat.progress()

    def _note_ends(self, polled_ms: int) -> None:
        """Note which partitions were read to their end, and when: what comes later was appended after that."""
        for partition, end in self.source.at_end.items():
            if self._end_seen.get(partition, (-1, 0))[0] != end:
                self._end_seen[partition] = (end, polled_ms)

    def _assigned(self, partitions: frozenset[int], generation: int) -> None:
        """Steps 1 to 4."""
        landing = self._landing = LandingTable(self.client, self.source.topic, self.source.topic_id())
        bounds = {partition: bound for partition, bound in self.source.bounds().items() if partition in partitions}
        if unknown := partitions - bounds.keys():
            raise UnreachableError(
                f"Kafka does not know partition {min(unknown)} of {self.source.topic} yet",
                hint="clickreel topic describe",
            )
        self._refuse_new_topic(landing)
        self._refuse_rival_group()
        expires = self._check_table(landing).expires
        # Step 1.
        lows = {partition: bound.low for partition, bound in bounds.items()}
        claims = landing.acquire_tokens(
            lows, group=self.source.group, generation=generation, instance=self.source.instance
        )
        self._failpoints.trigger("after-claim")
        # Step 2.
        before = landing.offset_ranges(partitions)
        self.source.confirm_generation({p: before[p].last + 1 if p in before else bounds[p].low for p in partitions})
        self._failpoints.trigger("after-prove")
        # Step 3.
        landing.wait_for_inflight_inserts()
        self._failpoints.trigger("after-settle")
        # Step 4.
        # Another object each time: an insert of before may still look at its own.
        landed_events = LandedEvents(self.client, before_mark=lambda: self._failpoints.trigger("before-mark"))
        landed_events.load()
        self._landed_events = landed_events
        offset_ranges = landing.offset_ranges(partitions)
        self._tokens = claims
        starts = {p: self._start(p, claims[p], offset_ranges.get(p), bounds[p]) for p in sorted(partitions)}
        self._failpoints.trigger("after-position")
        for partition, start in starts.items():
            self._repair(partition, self._tokens[partition], offset_ranges.get(partition), expires=expires)
            if expires:  # when all rows have expired, the claim alone says where to go on
                self._tokens[partition] = landing.advance_low_watermark(partition, self._tokens[partition], start)
        self._next, self._sent, self._landed = dict(starts), dict(starts), dict(starts)
        now_ms = time.time_ns() // 1_000_000
        self._end_seen = dict.fromkeys(starts, (-1, now_ms))
        self._goal = {partition: bound.high for partition, bound in bounds.items()}
        self.report.partitions.update(starts)
        self.source.seek(starts)
        self._looked_s = time.monotonic()
        self._mark_alive()
        self._heartbeat.ready()
        log.info(
            "reading from what is landed",
            extra={"topic": self.source.topic, "generation": generation, "partitions": len(starts), "offsets": starts},
        )
        self._freshness.assigned(self.source.topic, starts, {p: bound.high for p, bound in bounds.items()})

    def _check_table(self, landing: LandingTable) -> TableState:
        """The table's state; raises when blocks would not be atomic, and warns of what costs the user rows."""
        state = landing.table()
        if state.partitioned:
            raise ClickreelError(
                "the landing table has a PARTITION BY, so a block can be stored by half",
                hint="create it as clickreel warehouse migrate does",
            )
        if self._is_table_checked:
            return state
        self._is_table_checked = True
        if not state.synced:
            log.warning("fsync_after_insert is off for the landing table: a loss of power may lose landed rows")
        for view in landing.silent_views():
            log.warning(
                "the materialized view %s reads from dvd_clicks, which is a view: it never fires; "
                "write FROM dvd_clicks_landing WHERE error = ''",
                view,
            )
        return state

    def _refuse_new_topic(self, landing: LandingTable) -> None:
        earlier = landing.earlier_ids()
        if earlier and not landing.newest_tokens() and not self._accept_new_topic:
            raise ClickreelError(
                f"the topic {self.source.topic} was deleted and made again: it is {landing.topic_id} now, landed was {earlier[-1]}; "
                "its offsets begin anew",
                hint="clickreel ingest --accept-new-topic lands it beside the rows of the earlier one",
            )

    def _start(self, partition: int, claim: FencingToken, landed: OffsetRange | None, bounds: Bounds) -> int:
        """Where a partition goes on."""
        start = claim.first_offset if landed is None else max(landed.last + 1, claim.first_offset)
        if bounds.low <= start <= bounds.high:
            return start
        if start > bounds.high or not self._accept_loss:
            held = f"it holds {bounds.low} to {bounds.high - 1}" if bounds.high > bounds.low else "it is empty"
            raise OutOfRangeError(
                f"partition {partition} of {self.source.topic} must go on at offset {start}, but {held}: "
                + (
                    f"Kafka deleted {quantity(bounds.low - start, 'event')} before landing"
                    if start < bounds.low
                    else "Kafka has lost events that are landed"
                ),
                hint="raise the topic's retention.ms; to go on without what is gone: clickreel ingest --accept-loss"
                if start < bounds.low
                else "clickreel verify",
            )
        log.warning(
            "%d events are lost to retention; continuing at the oldest one that Kafka holds",
            bounds.low - start,
            extra={"topic": self.source.topic, "partition": partition, "offset": bounds.low},
        )
        self._tokens[partition] = self._landing.advance_low_watermark(partition, claim, bounds.low)
        return bounds.low

    # Step 4: holes

    def _repair(self, partition: int, claim: FencingToken, landed: OffsetRange | None, *, expires: bool) -> None:
        """Land what is missing below the end of a partition."""
        if landed is None or (landed.whole and (expires or landed.first <= claim.first_offset)):
            return
        for first, last in self._landing.holes(partition, landed.first if expires else claim.first_offset):
            log.warning(
                "offsets are missing in ClickHouse; reading them again",
                extra={"topic": self.source.topic, "partition": partition, "offset": first, "last": last},
            )
            at = first
            for batch in self.source.fetch(partition, first, last):
                self._failpoints.trigger("during-repair")
                at = self._fill(batch, at)
            if at <= last:
                self._refuse_unserved(partition, at, last)
        landed = self._landing.offset_ranges([partition])[partition]
        if landed.rows > landed.last - landed.first + 1:
            raise ClickreelError(
                f"partition {partition} holds {quantity(landed.rows, 'row')} for the offsets {landed.first} to {landed.last}: some are there twice",
                hint="clickreel verify",
            )

    def _refuse_unserved(self, partition: int, first: int, last: int) -> None:
        """Raise for offsets that neither side has; a gap between two records has become rows when it was first read."""
        raise OutOfRangeError(
            f"offsets {first} to {last} of partition {partition} are neither in ClickHouse nor in Kafka",
            hint="clickreel verify",
        )

    def _fill(self, batch: RecordBatch, at: int) -> int:
        """Land a batch into a hole; the offset after it."""
        if not len(batch):
            return at
        self._land(self._made([validate_batch(batch, self._lookup)], {batch.partition: at}))
        self.report.repaired += len(batch)
        return int(batch.offsets[-1]) + 1

    # Steps 5 to 7

    def _append(self, batch: RecordBatch) -> None:
        """Step 5: judge a batch and put it to the others."""
        start = self._next.get(batch.partition)
        if start is None:
            return
        batch = batch.after(start)
        if not len(batch):
            return
        gap = int(batch.offsets[-1] - start) + 1 - len(batch)
        if gap > _GAP_MAX:
            raise OutOfRangeError(
                f"partition {batch.partition} of {self.source.topic} has no record for {gap} offsets from {start} on",
                hint="a topic of clicks must not be compacted: clickreel topic check",
            )
        now = time.monotonic()
        buffer = self._buffer
        if not buffer.rows:
            buffer.since_s = now
        validated = validate_batch(batch, self._lookup)
        if not self.settings.keep_raw:
            validated = validated.without_payloads()
        buffer.validated.append(validated)
        buffer.rows += len(batch)
        buffer.size_bytes += validated.batch.size_bytes
        self._flush_policy.came(len(batch), now)
        buffer.live_since_ms.setdefault(batch.partition, self._end_seen[batch.partition][1])
        self._next[batch.partition] = int(batch.offsets[-1]) + 1
        self._failpoints.trigger("after-read")

    def _maybe_flush(self) -> None:
        """Close the block when it is time, and send it when the one before has landed."""
        if self._inflight is not None and self._inflight.done():
            self._reap_inserts()
        buffer = self._buffer
        if not buffer.rows:
            return
        full = self._flush_policy.full(buffer.rows, buffer.size_bytes)
        if not full and time.monotonic() < buffer.since_s + self._flush_policy.wait_s:
            return
        if self._inflight is not None:
            if not full:
                return  # it grows while the one before is under way
            self._reap_inserts()
        self._inflight = self._submit()

    def _submit(self) -> Future[InsertBlock]:
        """Close the block and hand it to the inserter."""
        buffer, self._buffer = self._buffer, BlockBuffer()
        block = self._made(buffer.validated, self._sent)
        self._sent.update({partition: last + 1 for partition, (_, last) in block.ends.items()})
        return self._inserter.submit(self._land, block, buffer.live_since_ms)

    def _made(self, validated: list[ValidatedBatch], starts: dict[int, int]) -> InsertBlock:
        return build_insert_block(
            validated,
            starts=starts,
            topic=self.source.topic,
            topic_id=self._landing.topic_id,
            tokens={partition: claim.token for partition, claim in self._tokens.items()},
            keep_raw=self.settings.keep_raw,
            find_repeated=self._landed_events.find_repeated,
        )

    def _land(self, made: InsertBlock, live_since_ms: Mapping[int, int] | None = None) -> InsertBlock:
        """Step 6, on the inserter's thread."""
        # Step 6.
        sent_ms, landed_events = time.time_ns() // 1_000_000, self._landed_events
        self._failpoints.trigger("before-insert")
        self._landing.insert(made, halfway=lambda: self._failpoints.trigger("during-insert"))
        self._failpoints.trigger("after-insert")
        landed_events.after_insert(self._own)
        self._freshness.landed(made, time.time_ns() // 1_000_000, sent_ms, live_since_ms=live_since_ms)
        self.report.rows += made.rows
        self.report.inserts += 1
        self.report.repeated += made.repeated
        for (error, _, _), count in made.dead.items():
            if error == "gap":
                self.report.gaps += count
            elif error == UNDECIDED:
                self.report.undecided += count
            else:
                self.report.dead += count
        return made

    def _reap_inserts(self) -> None:
        """The end of step 6, and step 7."""
        assert self._inflight is not None
        inflight, self._inflight = self._inflight, None
        try:
            made = inflight.result()
        except BaseException:
            self._inflight = inflight
            raise
        landed = {partition: last + 1 for partition, (_, last) in made.ends.items()}
        self._landed.update(landed)
        self.report.partitions.update(landed)
        self._mark_alive()
        # Step 7.
        self.source.commit(landed)
        self._failpoints.trigger("after-commit")

    def _caught_up(self) -> bool:
        """Whether everything is landed that Kafka held when this process was assigned its share, and that can be read."""
        if not self._tokens or self._buffer.rows or self._inflight is not None:
            return False
        held_back = []
        for partition, goal in self._goal.items():
            # The end of a partition may be markers of transactions, which are never served: then its end was met above the last record.
            at_end = self.source.at_end.get(partition, -1)
            if self._landed[partition] >= goal or at_end >= goal:
                continue
            if at_end < self._next[partition]:
                return False
            held_back.append(partition)
        for partition in held_back:
            log.warning(
                "an open transaction holds back what follows: caught up to the last stable offset",
                extra={"topic": self.source.topic, "partition": partition, "offset": self.source.at_end[partition]},
            )
        return True

    def _land_rest(self) -> None:
        """Land what was read when the run ends in order."""
        if self._inflight is not None:
            self._reap_inserts()
        if self._buffer.rows:
            self._inflight = self._submit()
            self._reap_inserts()
        if self._tokens:
            with contextlib.suppress(UnreachableError):  # whoever is assigned the partitions next looks as well
                self._landed_events.after_insert(self._own, is_last=True)

    @property
    def _own(self) -> list[tuple[str, int]]:
        """Topic's id and partition of what this process lands."""
        return [(self._landing.topic_id, partition) for partition in self._tokens]
