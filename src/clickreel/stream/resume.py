"""Where a run stands, read from the topic: the last record of each partition, found again in the run's own stream of deliveries.

An event id tells its run, time and user, but not how far its partition is: an event may be late, doubled or broken, so its time is not
the time of its delivery and its id may stand twice. So the last records of a partition are compared, byte for byte, with what the
run delivers to that partition around that time; the position where all of them match is where it goes on. Partitions are at
different positions after a crash, since each has its own requests in flight.

1. Read the end of each partition and look for ids of the run; where others have written since, look further back.
2. Generate the run's deliveries around the newest event time seen, and align the records with them; widen until they match once.
3. Go on behind the last record that matches, unreadable ones included. Records that anybody has copied out of the topic and written
   again, whole or changed, are recognised as what they are: they stand where the run has been already, or where it never is.

What it needs of the topic: the retention is longer than the outage, the number of partitions is as it was, one writer per run. Where
that does not hold it refuses, in words, and never guesses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel import timespec
from clickreel.errors import ClickreelError
from clickreel.quantities import quantity
from clickreel.simulate import ids
from clickreel.simulate.world import World
from clickreel.stream.broker import Bounds, Broker, TopicState
from clickreel.stream.encoded_batch import DeliveryBuffer, EncodedBatch, PartitionPosition, encode_batch
from clickreel.stream.offset_ranges import Ranges
from clickreel.stream.partition import partitions
from clickreel.stream.producer_lease import CommitMetadata
from clickreel.stream.record_batch import Record
from clickreel.stream.tail import OWN, UNREADABLE, Tail, event_ids, read_tails

log = logging.getLogger(__name__)

# So many of the run's records in a row fix the position beyond doubt; two stretches this long are never equal, duplicates included.
_ENOUGH = 32
_WINDOW = 128
# Of so many of the last records one must be an event of the run; each costs a look into its timeline.
_LOOKED_AT = 6
# Records of others that are read through on the way back, per partition, before their time is asked for: some seconds of reading.
_SEARCH_ROWS = 500_000
# Where nothing else tells how many partitions there were: a quarter of the records in a wrong one is no accident.
_STRAYS_MAX = 4
# Deliveries that are kept at once; where partitions lie further apart, each is looked at alone.
_STRETCH_EVENTS_MAX = 1_000_000
_FIRST_AHEAD_MS = 1_000
# Where each partition goes on, by its number.
ResumePoints = dict[int, "ResumePoint"]


@dataclass(frozen=True)
class ResumePoint:
    """How far a run is in one partition.

    Attributes:
        position: Where it goes on.
        offset: Offset of its last record; -1 when it has none.
    """

    position: PartitionPosition
    offset: int


class ResumePlanner:
    """A look at a topic for one run.

    Args:
        broker: The cluster.
        state: The topic.
        world: The run.
        committed: What earlier writers have left, by partition.
        bounds: What each partition holds; nobody is writing the run any more.
        start: Tells where the run begins if it is a new one.

    Attributes:
        world: The run.
        start_ms: Where it begins; ``None`` until that is known.
        buffer: Deliveries made for the comparison, which the producer can go on from.
    """

    def __init__(
        self,
        broker: Broker,
        state: TopicState,
        world: World,
        committed: Mapping[int, CommitMetadata],
        bounds: list[Bounds],
        *,
        start: Callable[[], int],
    ) -> None:
        self._broker, self._state, self.world, self._committed, self._bounds = broker, state, world, committed, bounds
        self._start = start
        self._not_before: list[int] = [bound.low for bound in bounds]
        self.start_ms = next((metadata.start_ms for metadata in committed.values() if metadata.start_ms), None)
        self.buffer: DeliveryBuffer | None = None
        before = {metadata.partitions for metadata in committed.values()} - {0, state.partitions}
        if before:
            raise self._partitions_changed(before.pop())

    def plan(self, mine: Iterable[int]) -> ResumePoints | None:
        """Where each of the given partitions goes on; ``None`` when the topic knows nothing of this run.

        Raises:
            ClickreelError: The run cannot be taken up again; the message says why.
        """
        wanted = list(mine)
        tails = self._tails(wanted)
        found = {p: seen for p, seen in tails.items() if len(seen.own())}
        absent = [p for p in wanted if p not in found]
        for partition in absent:
            self._refuse_lost(partition)
        if not found and self.start_ms is None:
            return None
        if self.start_ms is None:
            self.start_ms = self._beginning(found, absent)
        matchers = {p: TailMatcher(self, p, seen) for p, seen in found.items()}
        self._prepare(matchers)
        positions = {p: matcher.resume_point() for p, matcher in matchers.items()}
        for partition in absent:
            positions[partition] = self._unreadable_only(partition, tails[partition])
        return positions

    # Step 1: the ends of the partitions

    def _floor(self, partition: int) -> int:
        """No record of the run stands before this offset."""
        metadata = self._committed.get(partition)
        return max(self._not_before[partition], metadata.first if metadata and metadata.start_ms else 0)

    def _tails(self, wanted: list[int]) -> dict[int, Tail]:
        """The last records of each partition that hold enough of the run's own, or all there can be."""
        out: dict[int, Tail] = {}
        open_, depth = wanted, _WINDOW
        while open_:
            spans = {p: self._span(p, depth) for p in open_}
            out |= self._without_misplaced(self._read(spans))
            # Some of the run's records are enough to stop a long search: what is missing is read where it stands.
            enough = _ENOUGH if depth < _WINDOW * 8 * 8 else 1
            open_ = [p for p in open_ if len(out[p].own()) < enough and spans[p][0] > self._floor(p)]
            if open_ and depth >= _SEARCH_ROWS:
                self._leave_out_what_is_older()
                open_ = [p for p in open_ if spans[p][0] > self._floor(p)]
            if open_ and depth >= _SEARCH_ROWS:
                log.info("looks far back for the run", extra={"topic": self._state.name, "run": self.world.run})
            depth *= 8
        return out

    def _leave_out_what_is_older(self) -> None:
        """Search no record from before the run's beginning.

        A record carries the time of its delivery, or a later one. Where the notes of an earlier producer are gone, what a run of this
        name has delivered before the beginning of this one has nothing to do with it.
        """
        if not any(metadata.start_ms for metadata in self._committed.values()):
            self._not_before = self._broker.offsets_at(self._state.name, self._start())

    def _read(self, spans: Ranges) -> dict[int, Tail]:
        return read_tails(self._broker, self._state.name, spans, self.world.run_tag)

    def _span(self, partition: int, depth: int) -> tuple[int, int]:
        high = self._bounds[partition].high
        return max(self._floor(partition), high - depth), high

    def window(self, partition: int, before: int, records: int) -> Tail:
        """The tail from ``records`` before an offset on."""
        span = max(self._floor(partition), before - records), self._bounds[partition].high
        return self._without_misplaced(self._read({partition: span}))[partition]

    def reaches_first_record(self, partition: int, seen: Tail) -> bool:
        """Whether the tail reaches back to the first record that the run can have in the partition."""
        return seen.start <= self._floor(partition)

    # Step 2: the run's own deliveries

    def _prepare(self, matchers: Mapping[int, TailMatcher]) -> None:
        """Begin the stretch where everything can be seen that will be asked for, the counted part included."""
        if not matchers:
            return
        firsts = [max(one.newest - one.back, self.start_ms or 0) for one in matchers.values()]
        recorded = [metadata.deliver_ms for p in matchers if (metadata := self._committed.get(p)) and metadata.start_ms]
        for start in (min(firsts + recorded), min(firsts)):
            if self._fits(start, max(one.newest for one in matchers.values())):
                self.buffer = DeliveryBuffer(self.world, self._state.partitions, start)
                return

    def _fits(self, start_ms: int, end_ms: int) -> bool:
        return self.world.expected_rate * (end_ms - start_ms) / 1000 <= _STRETCH_EVENTS_MAX

    def deliveries_between(self, partition: int, start_ms: int, end_ms: int) -> tuple[EncodedBatch, NDArray[np.intp]]:
        """What the run delivers to a partition in a span of time: a block that holds it, and its rows there."""
        buffer = self.buffer
        if buffer is None or start_ms < buffer.start_ms or not self._fits(buffer.start_ms, end_ms):
            buffer = DeliveryBuffer(self.world, self._state.partitions, start_ms)
            if self.buffer is None or self._fits(start_ms, self.buffer.cursor.position_ms):
                self.buffer = buffer
        found = buffer.extend_to(end_ms)
        rows = found.rows(partition)
        low, high = np.searchsorted(found.deliver_ms[rows], [start_ms, end_ms])
        return found, rows[low:high]

    def produces(self, value: bytes | None) -> bool:
        """Whether the run's settings give the event that a value names."""
        _, hi, lo = event_ids([value])
        _, ts, user, ordinal = ids.read(hi, lo)
        there = self.world.events(int(ts[0]), int(ts[0]) + 1)
        return bool(np.any((there.user == user[0]) & (there.ordinal == ordinal[0])))

    # What the records do not say

    def _unreadable_only(self, partition: int, seen: Tail) -> ResumePoint:
        """A partition that shows no id of the run: it holds nothing of it, or nothing but broken records."""
        assert self.start_ms is not None
        point = ResumePoint(PartitionPosition(self.start_ms, 0), -1)
        broken = [record for record, kind in zip(seen.records, seen.kind, strict=True) if kind == UNREADABLE]
        if not broken:
            return point
        # The run's first records are delivered soon after its start: as many as there are broken ones, at most those of an hour.
        ahead = 1_000
        found, rows = self.deliveries_between(partition, self.start_ms, self.start_ms + ahead)
        while len(rows) < len(broken) and ahead < 3_600_000:
            ahead *= 4
            found, rows = self.deliveries_between(partition, self.start_ms, self.start_ms + ahead)
        keys, values = found.take(rows[: len(broken)])
        at = 0
        for record in broken:
            if at < len(values) and (record.key, record.value) == (keys[at], values[at]):
                point = ResumePoint(found.position_at(rows, at), record.offset)
                at += 1
        return point

    def _beginning(self, found: Mapping[int, Tail], absent: list[int]) -> int:
        """Where the run began, when its committed metadata has expired: at its first delivery; 0 when that is not there any more.

        The first delivery is known only while every partition still holds its first record.
        """
        if absent:
            raise ClickreelError(
                f"run {self.world.run} has no record in partition {absent[0]} of {self._state.name}, and what its producer had "
                "committed has expired: where the run began is unknown",
                hint="give the run another --run NAME, and it begins anew",
            )
        if any(bounds.low for bounds in self._bounds):
            return 0
        created = self._state.configs.get("message.timestamp.type", "CreateTime") == "CreateTime"
        firsts = []
        for partition in found:
            first, ts_ms = self._first_own(partition)
            firsts.append(first.timestamp_ms if created and first.timestamp_ms > 0 else ts_ms)
        return min(firsts)

    def _first_own(self, partition: int) -> tuple[Record, int]:
        """The run's first record in a partition that has some, and its event time."""
        at = 0
        while True:
            span = (at, min(at + 4 * _WINDOW, self._bounds[partition].high))
            seen = self._read({partition: span})[partition]
            if len(own := seen.own()):
                return seen.records[own[0]], int(seen.ts_ms[own[0]])
            at = span[1]

    # Refusals

    def _without_misplaced(self, tails: dict[int, Tail]) -> dict[int, Tail]:
        """The tails without records that stand in another partition than the run puts them: somebody has copied them.

        Raises:
            ClickreelError: They are too many for that, and no committed metadata tells how many partitions the run was written to.
        """
        kept, strays, own = {}, 0, 0
        for partition, seen in tails.items():
            mine = seen.own()
            keys = pa.array([seen.records[i].key for i in mine], pa.binary())
            values = pa.array([seen.records[i].value for i in mine], pa.binary())
            away = mine[partitions(keys, values, self._state.partitions) != partition] if len(mine) else mine
            strays, own = strays + len(away), own + len(mine)
            kept[partition] = seen.without(away)
        is_known = any(metadata.partitions for metadata in self._committed.values())
        if strays and not is_known and strays * _STRAYS_MAX >= own:
            raise self._partitions_changed(None)
        return kept

    def _partitions_changed(self, before: int | None) -> ClickreelError:
        was = quantity(before, "partition") if before else "another number of partitions"
        return ClickreelError(
            f"topic {self._state.name} has {quantity(self._state.partitions, 'partition')}, but run {self.world.run} was written to {was}: "
            "its users would move",
            hint="give the run another --run NAME, or write it to a new topic",
        )

    def _refuse_lost(self, partition: int) -> None:
        """A partition without the run's records is no news only if none has been removed."""
        metadata, low = self._committed.get(partition), self._bounds[partition].low
        if metadata is not None and metadata.start_ms and (metadata.stored or metadata.first < low):
            raise ClickreelError(
                f"the retention of {self._state.name} has removed the place where run {self.world.run} stopped in partition "
                f"{partition} (it begins at offset {low:,} now)",
                hint="give the run another --run NAME; and keep records for longer: clickreel topic alter --retention 30d",
            )


class TailMatcher:
    """Finds the position of one partition's tail in the run's deliveries."""

    def __init__(self, planner: ResumePlanner, partition: int, seen: Tail) -> None:
        self._planner, self._partition, self._seen = planner, partition, seen
        ts = seen.ts_ms[seen.own()]
        self.newest, self._oldest = int(ts.max()), int(ts.min())
        # The middle of the records was delivered at its time; a late one among them does not widen the first look.
        self.back = max(1_000, 2 * (self.newest - int(np.quantile(ts, 0.25))))

    def resume_point(self) -> ResumePoint:
        """Widen the stretch of deliveries until the tail matches in one place."""
        planner, newest, back, ahead = self._planner, self.newest, self.back, _FIRST_AHEAD_MS
        delay = planner.world.delivery.rates.delay_max_ms
        while True:
            start = max(newest - back, planner.start_ms or 0)
            found, rows = planner.deliveries_between(self._partition, start, newest + ahead)
            keys, values = found.take(rows)
            matches = Alignment.find_all(self._seen, list(zip(keys, values, strict=True)))
            point = self._decide(matches, found, rows, at_start=start == planner.start_ms)
            if point is not None:
                return point
            if not matches:
                self._refuse_other_settings()
            if back > delay + newest - self._oldest and ahead > delay:
                return self._resume_among_copies(found, rows, list(zip(keys, values, strict=True)), start)
            back *= 4
            ahead *= 4

    def _decide(
        self, matches: list[Alignment], found: EncodedBatch, rows: NDArray[np.intp], *, at_start: bool
    ) -> ResumePoint | None:
        """The one place, or nothing when more must be seen."""
        sure = [m for m in matches if m.complete or (m.matched >= _ENOUGH and not at_start)]
        if len(sure) > 1:
            if not self._planner.reaches_first_record(self._partition, self._seen):
                own = self._seen.own()
                offset = self._seen.records[own[-1]].offset
                self._seen = self._planner.window(self._partition, offset, 8 * (offset + 1 - self._seen.start))
                return None
            # All that the run has here fits in several places (a first event and its duplicate): it began at the first.
            sure = sure[:1]
        if not sure:
            return None
        match = sure[0]
        if match.needs_more:
            return None
        return ResumePoint(found.position_at(rows, match.index), self._seen.records[match.last].offset)

    def _resume_among_copies(
        self, found: EncodedBatch, rows: NDArray[np.intp], buffer: list[tuple[bytes, bytes]], start_ms: int
    ) -> ResumePoint:
        """The place in a stretch that holds all deliveries that the tail can be of, some of its records being copies by others.

        Raises:
            ClickreelError: No place explains the records.
        """
        at_start = start_ms == self._planner.start_ms
        match = Alignment.find_among_copies(self._seen, buffer, at_start=at_start)
        if match is None or not (match.complete or match.matched >= _ENOUGH) or match.needs_more:
            raise self._misplaced()
        copies = len(self._seen.own()) - match.matched
        log.warning(
            "another program has written copies of the run's records; the run goes on behind its own",
            extra={"run": self._planner.world.run, "partition": self._partition, "copies": max(1, copies)},
        )
        return ResumePoint(found.position_at(rows, match.index), self._seen.records[match.last].offset)

    def _refuse_other_settings(self) -> None:
        own = [self._seen.records[i] for i in self._seen.own()[-_LOOKED_AT:]]
        record = own[-1]
        if not any(self._planner.produces(one.value) for one in reversed(own)):
            raise ClickreelError(
                f"run {self._planner.world.run} was written with other settings, or by another version of clickreel: these do not give "
                f"the event at offset {record.offset:,} of partition {self._partition}",
                hint="use the seed, settings and films of before, or give this run another --run NAME",
            )

    def _misplaced(self) -> ClickreelError:
        record = self._seen.records[int(self._seen.own()[-1])]
        when = timespec.format_instant(int(self._seen.ts_ms[int(self._seen.own()[-1])]))
        return ClickreelError(
            f"records of run {self._planner.world.run} stand in partition {self._partition} up to offset {record.offset:,} "
            f"(event time {when}) where the run would not put them: two programs have written it",
            hint="give the run another --run NAME; clickreel verify tells what is there twice",
        )


@dataclass(frozen=True)
class Alignment:
    """One way in which a tail fits into a stretch of deliveries.

    Attributes:
        index: Row of the buffer that is the last record stored.
        last: Index of that record in the tail.
        matched: How many records of the tail agree.
        complete: Whether all of the tail's own records were compared, none lying before the buffer.
        needs_more: Whether the buffer ends before it can tell if the records behind the last own one belong to the run.
    """

    index: int
    last: int
    matched: int
    complete: bool
    needs_more: bool

    @classmethod
    def find_all(cls, seen: Tail, buffer: list[tuple[bytes, bytes]]) -> list[Alignment]:
        """Every way in which the tail fits, earliest first."""
        last = int(seen.own()[-1])
        wanted = seen.records[last].key, seen.records[last].value
        fits = (cls._at(seen, buffer, last, row) for row, pair in enumerate(buffer) if pair == wanted)
        return [match for match in fits if match is not None]

    @classmethod
    def find_among_copies(
        cls, seen: Tail, buffer: Sequence[tuple[bytes, bytes]], *, at_start: bool
    ) -> Alignment | None:
        """The way in which most of the tail fits and every other record is a copy: of a delivery before its end, or of none at all.

        Args:
            seen: The tail.
            buffer: Key and value of the partition's deliveries, those behind the place in question included.
            at_start: Whether the buffer begins where the run begins.
        """
        rows: dict[tuple[bytes | None, bytes | None], list[int]] = {}
        for row, pair in enumerate(buffer):
            rows.setdefault(pair, []).append(row)
        own = seen.own()
        pairs = [(seen.records[i].key, seen.records[i].value) for i in own]
        furthest = max((rows[pair][0] for pair in pairs if pair in rows), default=-1)
        for last, pair in zip(reversed(own.tolist()), reversed(pairs), strict=True):
            for row in rows.get(pair, ()):
                if row < furthest:
                    continue  # a record ahead of the place is no copy: somebody writes the run
                match = cls._at(seen, buffer, last, row, skips_copies=True)
                if match is not None and match.matched >= min(_ENOUGH, (len(own) + 1) // 2):
                    return replace(match, complete=True) if at_start else match
        return None

    @classmethod
    def _at(
        cls, seen: Tail, buffer: Sequence[tuple[bytes, bytes]], last: int, row: int, *, skips_copies: bool = False
    ) -> Alignment | None:
        """Compare backwards from an own record, then forwards over unreadable ones."""
        at, matched, complete = row - 1, 1, True
        for index in range(last - 1, -1, -1):
            if at < 0:
                complete = complete and seen.kind[index] != OWN
            elif (seen.records[index].key, seen.records[index].value) == buffer[at]:
                at, matched = at - 1, matched + 1
            elif seen.kind[index] == OWN and not skips_copies:
                return None
            # An unreadable record that does not fit is somebody else's.
        needs_more = False
        for index in range(last + 1, len(seen.records)):
            if seen.kind[index] != UNREADABLE:
                continue
            if row + 1 >= len(buffer):
                needs_more = True
            elif (seen.records[index].key, seen.records[index].value) == buffer[row + 1]:
                row, last, matched = row + 1, index, matched + 1
        return cls(row, last, matched, complete, needs_more)


def count_records(
    world: World,
    partitions_: int,
    since: Mapping[int, tuple[PartitionPosition, int]],
    positions: Mapping[int, PartitionPosition],
    buffer: DeliveryBuffer | None = None,
) -> dict[int, int]:
    """How many records of a run each partition holds.

    Args:
        world: The run.
        partitions_: The topic's number of partitions.
        since: By partition: an earlier position, and how many records there were up to it.
        positions: By partition: the position in question, not before the earlier one.
        buffer: Deliveries that are made already; used if they reach back far enough.
    """
    at = min(position.deliver_ms for position, _ in since.values())
    end = max(position.deliver_ms for position in positions.values()) + 1
    totals = {p: known for p, (_, known) in since.items()}
    if buffer is not None and buffer.start_ms <= at:
        blocks: Iterable[EncodedBatch] = [buffer.extend_to(end)]
    else:
        blocks = _blocks(world, partitions_, at, end)
    for found in blocks:
        for p, position in positions.items():
            rows = found.rows(p)
            begun = found.rows_up_to(rows, since[p][0]) if since[p][0].deliver_ms >= found.start_ms else 0
            ended = found.rows_up_to(rows, position) if position.deliver_ms >= found.start_ms else 0
            totals[p] += max(0, ended - begun)
    return totals


def _blocks(world: World, partitions_: int, start_ms: int, end_ms: int) -> Iterator[EncodedBatch]:
    cursor = world.cursor(start_ms)
    for at in range(start_ms, end_ms, 900_000):  # a quarter of an hour at a time bounds the memory
        upto = min(at + 900_000, end_ms)
        yield encode_batch(cursor.advance(upto), at, upto, partitions_)
