"""Kafka to ClickHouse, each offset once.

There is no second store: where a partition goes on is read from the landing table itself. The protocol, for the partitions that the
group has assigned to this process::

    1  FencingToken them in ClickHouse. From here on no block of an earlier writer is accepted: the fence lets in the newest claim alone.
    2  Prove to the broker, by a commit, that this process is of the group's current generation. One that slept through a rebalance
       fails here; it has fenced the rightful writer off by step 1, who finds out, passes this step and claims again.
    3  Wait until the inserts that were under way have ended. They passed the fence before step 1; nothing else can still land.
    4  Ask the landing table where each partition ends. Read what is missing below (holes) and land it. Go on at the end plus one.
    5  Read on. A run of offsets per partition, without a break, becomes the rows of one block; each offset becomes a row: an event, a
       dead letter, or a gap that Kafka does not serve.
    6  Insert the block: one statement, one block, one part, so all of it or nothing. Then the next, in order.
    7  Commit to Kafka what is landed. Only lag tools read it.

Whatever goes wrong, at any instant, is mended in one way: forget everything and begin at step 1. So no error needs to be understood to
be survived, and a crash is no special case. An insert whose answer was lost is not sent again: step 3 waits until it has ended, and
step 4 sees whether it was stored.

Why it cannot lose or double: let *end* be the last landed offset of a partition. Rows are added only by step 6, in blocks that begin at
*end* + 1 as read in step 4 or as left by the writer's own last block. Between that reading and the insert no other writer can add rows,
because its claim is older (refused by the fence, which reads the claims when the insert starts) or newer (then this writer is refused).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from clickreel.contract.verdict import Lookup
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.ingest.failpoints import Failpoints
from clickreel.ingest.flush_policy import FlushPolicy
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.insert_block import InsertBlock, build_insert_block
from clickreel.ingest.landing_table import FencedError, FencingToken, LandingTable, OffsetRange, TableState
from clickreel.ingest.settings import IngestSettings
from clickreel.ingest.validate_batch import ValidatedBatch, validate_batch
from clickreel.stream.broker import Bounds
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.source import OutOfRangeError, Source
from clickreel.warehouse.client import Client, RefusedError

# Refusals of ClickHouse that pass: memory, disk, too many parts, time-outs, a killed query, tables that are loading.
_PASSING = {159, 164, 202, 209, 210, 241, 242, 243, 252, 319, 394, 473, 499, 999}
# How long the loop may wait for messages before it looks at everything else: closing a block, the group, a stop.
_LOOK_S = 0.05
# The most messages asked for at once: with six partitions some 8,000 of each, from where on their number no longer matters to the decoder.
_POLL_ROWS = 50_000
# A gap of more offsets than this is no transaction's marker: the topic is compacted, or records were deleted from its middle.
_GAP_MAX = 1_000_000


@dataclass
class BlockBuffer:
    """Messages that wait for their block."""

    validated: list[ValidatedBatch] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0
    since_s: float = 0.0


@dataclass
class IngestReport:
    """What a run of ingest did."""

    rows: int = 0
    dead: int = 0
    gaps: int = 0
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
        accept_loss: Go on where Kafka has deleted events before they were landed, instead of stopping.
        accept_new_topic: Land a topic that was deleted and made again, beside the rows of the earlier one.
        say: Takes lines for people.
        ready: Called each time reading begins: from then on what comes is landed.
        progress: Called when something was landed, and when there is nothing to land.
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
        say: Callable[[str], None] = lambda _: None,
        ready: Callable[[], None] = lambda: None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.client, self.settings = source, client, settings
        self.report = IngestReport()
        self._lookup, self._say, self._ready, self._progress = lookup, say, ready, progress
        self._accept_loss, self._accept_new_topic = accept_loss, accept_new_topic
        self._failpoints = Failpoints(settings.failpoint)
        self._freshness = freshness or Freshness()
        self._landing = LandingTable(client, source.topic, "")
        self._flush_policy = FlushPolicy(settings)
        self._inserter = ThreadPoolExecutor(1, "insert")
        self._claimed = 0
        self._reset()

    def run(self, stop: threading.Event, *, until_caught_up: bool = False) -> IngestReport:
        """Land until told to stop, or until everything that Kafka holds at the start is landed.

        Raises:
            ClickreelError: What waiting cannot mend: the topic is gone or new, offsets are out of range, another group lands the topic,
                another process has this one's name.
        """
        wait_s = 0.05
        try:
            while not stop.is_set():
                try:
                    if self._step(until_caught_up=until_caught_up):
                        break
                    if self.report.inserts:
                        wait_s = 0.05
                except (UnreachableError, FencedError, RefusedError) as exc:
                    self._recover(exc)
                    self._serve(wait_s, stop)
                    wait_s = min(2 * wait_s, self.settings.backoff_s_max)
            self._land_rest()
        finally:
            self._inserter.shutdown(wait=True)
        return self.report

    # What is forgotten after every trouble, and found again

    def _reset(self) -> None:
        self._number = -1
        self._tokens: dict[int, FencingToken] = {}
        self._next: dict[int, int] = {}  # by partition: the offset that its next message must have
        self._sent: dict[int, int] = {}  # by partition: the offset after the last one in a closed block
        self._landed: dict[int, int] = {}  # by partition: the offset after the last landed one
        self._goal: dict[int, int] = {}
        self._pending = BlockBuffer()
        self._inflight: Future[InsertBlock] | None = None

    def _recover(self, exc: ClickreelError) -> None:
        """Forget everything; say why. What cannot pass is raised again."""
        if isinstance(exc, RefusedError) and exc.code not in _PASSING:
            raise exc
        self._say(f"{exc.message}; beginning again from what is landed")
        self.report.restarts += 1
        if self._inflight is not None and not self._inflight.done():
            self._inflight.exception()  # its outcome is read from the table; only its end is waited for
        if isinstance(exc, FencedError):
            self._stop_if_rival()
        self._reset()
        self.source.pause()

    def _stop_if_rival(self) -> None:
        """Raise when the newer claim is another group's: two groups would fence each other for ever."""
        for partition, claim in self._landing.newest_tokens().items():
            if claim.group != self.source.group:
                raise ClickreelError(
                    f"the group {claim.group} ({claim.writer}) has taken over partition {partition} of {self.source.topic}",
                    hint=f"one group lands a topic: end the other one, or run clickreel ingest --group {claim.group}",
                )

    def _serve(self, wait_s: float, stop: threading.Event) -> None:
        """Wait, and stay in the group meanwhile."""
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
            return False
        now = time.monotonic()
        left_s = self._pending.since_s + self._flush_policy.wait_s - now if self._pending.rows else _LOOK_S
        room = max(1, min(_POLL_ROWS, self.settings.flush_rows - self._pending.rows))
        found = self.source.poll(room, max(0.001, min(left_s, _LOOK_S)))
        self._flush_policy.behind = sum(map(len, found)) >= room
        for batch in found:
            self._append(batch)
        self._maybe_flush()
        if not self._pending.rows and self._inflight is None:
            self._progress()
        return until_caught_up and self._caught_up()

    def _assigned(self, partitions: frozenset[int], generation: int) -> None:
        """Steps 1 to 4."""
        landing = self._landing = LandingTable(self.client, self.source.topic, self.source.topic_id())
        bounds = {partition: bound for partition, bound in self.source.bounds().items() if partition in partitions}
        self._refuse_new_topic(landing)
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
        offset_ranges = landing.offset_ranges(partitions)
        self._tokens = claims
        starts = {p: self._start(p, claims[p], offset_ranges.get(p), bounds[p]) for p in sorted(partitions)}
        self._failpoints.trigger("after-position")
        expires = self._check_table(landing).expires
        for partition, start in starts.items():
            self._repair(partition, self._tokens[partition], offset_ranges.get(partition), expires=expires)
            if expires:  # when all rows have expired, the claim alone says where to go on
                self._tokens[partition] = landing.advance_low_watermark(partition, self._tokens[partition], start)
        self._next, self._sent, self._landed = dict(starts), dict(starts), dict(starts)
        self._goal = {partition: bound.high for partition, bound in bounds.items()}
        self.report.partitions.update(starts)
        self.source.seek(starts)
        self._ready()
        self._freshness.assigned(self.source.topic, starts, {p: bound.high for p, bound in bounds.items()})

    def _check_table(self, landing: LandingTable) -> TableState:
        """The table's state; raises when blocks would not be atomic, and warns when they would not be durable."""
        state = landing.table()
        if state.partitioned:
            raise ClickreelError(
                "the landing table has a PARTITION BY, so a block can be stored by half",
                hint="make it as clickreel warehouse migrate does",
            )
        if not state.synced and self._claimed == 0:
            self._say("warning: fsync_after_insert is off for the landing table: a loss of power may lose landed rows")
        self._claimed += 1
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
        """DeadLetterFilter a partition goes on."""
        start = claim.first_offset if landed is None else max(landed.last + 1, claim.first_offset)
        if bounds.low <= start <= bounds.high:
            return start
        if start > bounds.high or not self._accept_loss:
            held = f"it holds {bounds.low} to {bounds.high - 1}" if bounds.high > bounds.low else "it is empty"
            raise OutOfRangeError(
                f"partition {partition} of {self.source.topic} must go on at offset {start}, but {held}: "
                + (
                    f"{bounds.low - start} events were deleted before they were landed"
                    if start < bounds.low
                    else "Kafka has lost events that are landed"
                ),
                hint="raise the topic's retention.ms; to go on without what is gone: clickreel ingest --accept-loss"
                if start < bounds.low
                else "clickreel verify",
            )
        self._say(f"partition {partition}: {bounds.low - start} events are lost to retention; going on at {bounds.low}")
        self._tokens[partition] = self._landing.advance_low_watermark(partition, claim, bounds.low)
        return bounds.low

    # Step 4: holes

    def _repair(self, partition: int, claim: FencingToken, landed: OffsetRange | None, *, expires: bool) -> None:
        """Land what is missing below the end of a partition."""
        if landed is None or (landed.whole and (expires or landed.first <= claim.first_offset)):
            return
        for first, last in self._landing.holes(partition, landed.first if expires else claim.first_offset):
            self._say(f"partition {partition}: offsets {first} to {last} are missing in ClickHouse; reading them again")
            at = first
            for batch in self.source.fetch(partition, first, last):
                self._failpoints.trigger("during-repair")
                at = self._fill(batch, at)
            if at <= last:
                self._refuse_unserved(partition, at, last)
        landed = self._landing.offset_ranges([partition])[partition]
        if landed.rows > landed.last - landed.first + 1:
            raise ClickreelError(
                f"partition {partition} holds {landed.rows} rows for the offsets {landed.first} to {landed.last}: some are there twice",
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
        pending = self._pending
        if not pending.rows:
            pending.since_s = now
        validated = validate_batch(batch, self._lookup)
        if not self.settings.keep_raw:
            validated = validated.without_payloads()
        pending.validated.append(validated)
        pending.rows += len(batch)
        pending.size_bytes += validated.batch.size_bytes
        self._flush_policy.came(len(batch), now)
        self._next[batch.partition] = int(batch.offsets[-1]) + 1
        self._failpoints.trigger("after-read")

    def _maybe_flush(self) -> None:
        """Close the block when it is time, and send it when the one before has landed."""
        if self._inflight is not None and self._inflight.done():
            self._reap_inserts()
        pending = self._pending
        if not pending.rows:
            return
        full = self._flush_policy.full(pending.rows, pending.size_bytes)
        if not full and time.monotonic() < pending.since_s + self._flush_policy.wait_s:
            return
        if self._inflight is not None:
            if not full:
                return  # it grows while the one before is under way
            self._reap_inserts()
        self._inflight = self._inserter.submit(self._land, self._close())

    def _close(self) -> InsertBlock:
        """Close the block."""
        pending, self._pending = self._pending, BlockBuffer()
        made = self._made(pending.validated, self._sent)
        self._sent.update({partition: last + 1 for partition, (_, last) in made.ends.items()})
        return made

    def _made(self, validated: list[ValidatedBatch], starts: dict[int, int]) -> InsertBlock:
        return build_insert_block(
            validated,
            starts=starts,
            topic=self.source.topic,
            topic_id=self._landing.topic_id,
            tokens={partition: claim.token for partition, claim in self._tokens.items()},
            keep_raw=self.settings.keep_raw,
        )

    def _land(self, made: InsertBlock) -> InsertBlock:
        """Step 6, on the inserter's thread."""
        # Step 6.
        sent_ms = time.time_ns() // 1_000_000
        self._failpoints.trigger("before-insert")
        self._landing.insert(made, halfway=lambda: self._failpoints.trigger("during-insert"))
        self._failpoints.trigger("after-insert")
        self._freshness.landed(made, time.time_ns() // 1_000_000, sent_ms)
        self.report.rows += made.rows
        self.report.inserts += 1
        for (error, _, _), count in made.dead.items():
            if error == "gap":
                self.report.gaps += count
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
        self._progress()
        self.report.partitions.update(landed)
        # Step 7.
        self.source.commit(landed)
        self._failpoints.trigger("after-commit")

    def _caught_up(self) -> bool:
        """Whether everything is landed that Kafka held when this process was assigned its share."""
        if self._pending.rows or self._inflight is not None:
            return False
        # The end of a partition may be markers of transactions, which are never served: then its end was met above the last record.
        return all(
            self._landed[partition] >= goal or self.source.at_end.get(partition, -1) >= goal
            for partition, goal in self._goal.items()
        )

    def _land_rest(self) -> None:
        """Land what was read when the run ends in order."""
        if self._inflight is not None:
            self._reap_inserts()
        if self._pending.rows:
            self._inflight = self._inserter.submit(self._land, self._close())
            self._reap_inserts()
