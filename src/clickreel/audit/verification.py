"""The proof: simulator = Kafka = ClickHouse, event by event, up to a cut.

The cut is where each partition of the topic ends when the verification begins; what comes later is left for the next one. Up to it

1. the run is made once more from its seed, encoded and dealt to the partitions (:mod:`.regenerate`),
2. the topic is read (:mod:`.topic_reader`) and held against it, in order, byte for byte (:mod:`.sequence_diff`),
3. every record is validated as ingest judges it and held against its row in the landing table (:mod:`.table_diff`).

All three go by side by side, a few hundred thousand rows at a time, so memory does not grow with the stream. A stream that is not ours
has no first side: then 2 is left out.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.regenerate import ExpectedRun, ExpectedSequence, names
from clickreel.audit.sequence_diff import SequenceDiff, SequenceRows
from clickreel.audit.table_diff import TableDiff, TableFault
from clickreel.audit.topic_reader import Read
from clickreel.contract.verdict import Lookup, judge_record
from clickreel.errors import VerificationError
from clickreel.ingest.landing_table import LandingTable
from clickreel.ingest.validate_batch import ValidatedBatch, validate_batch
from clickreel.quantities import quantity
from clickreel.simulate import ids
from clickreel.stream.broker import Bounds
from clickreel.stream.record_batch import RecordBatch
from clickreel.warehouse.client import Client

EXAMPLES_MAX = 20
# Expected rows that may wait for a partition that is read more slowly than the others.
_AHEAD_ROWS = 300_000
_FAULTS_MAX = 100_000
# Records of a partition that are compared with the table at a time.
_BATCH_ROWS = 50_000


@dataclass
class PartitionReport:
    """One partition.

    Attributes:
        partition: Its number.
        expected: Records that the run should have put there, as far as the cut.
        kafka: Records of the run that Kafka holds there (of a foreign stream: all records).
        landed: Rows of the landing table for them.
        missing: Expected ones that Kafka does not hold, and records that have no row.
        doubled: Records that are in Kafka once more than expected, and offsets that have two rows.
        out_of_place: Records that are in Kafka at another place than expected.
        wrong: Rows whose content is not the record's.
        extra: Rows for offsets that Kafka does not hold.
        foreign: Records in Kafka that are not of the run.
        dead: Dead rows.
        checksum_kafka: Over the good records' content.
        checksum_table: Over the good rows' content; equal when all is well.
        rows_missing: The part of ``missing`` that is in Kafka and has no row.
        rows_doubled: The part of ``doubled`` that is once in Kafka and has two rows.
        first: First compared offset.
        last: Last compared offset; ``first - 1`` when there is none.
    """

    partition: int
    expected: int = 0
    kafka: int = 0
    landed: int = 0
    missing: int = 0
    doubled: int = 0
    out_of_place: int = 0
    wrong: int = 0
    extra: int = 0
    foreign: int = 0
    dead: int = 0
    checksum_kafka: str = ""
    checksum_table: str = ""
    rows_missing: int = 0
    rows_doubled: int = 0
    first: int = 0
    last: int = -1


@dataclass
class DeadLetterReport:
    """Dead letters of one reason: how many the ledger says, how many landed, and how many of these were replayed since."""

    field: str
    rule: str
    expected: int | None
    landed: int
    replayed: int = 0


@dataclass
class VerificationReport:
    """The outcome.

    Attributes:
        ok: Whether nothing differs.
        run: The run's name; empty for a foreign stream.
        partitions: The partitions.
        dead: Dead letters by reason.
        examples: The first differences, in words.
        notes: What a reader should know of the topic, in words: other runs in it, partitions that were added.
        rows: Records compared.
        seconds: How long it took.
    """

    ok: bool
    run: str
    topic: str
    partitions: list[PartitionReport]
    dead: list[DeadLetterReport]
    examples: list[dict[str, Any]]
    rows: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Raise when something differs.

        Raises:
            VerificationError: It does.
        """
        if not self.ok:
            first = self.examples[0]["text"] if self.examples else "the dead letters differ from the ledger"
            raise VerificationError(f"the sides differ: {first}", hint="clickreel verify --json shows everything")


@dataclass
class _PartitionState:
    """What is known of one partition so far."""

    diff: SequenceDiff
    next: int
    first: int
    kafka: int = 0
    landed: int = 0
    foreign: int = 0
    checksums: list[int] = field(default_factory=lambda: [0, 0])
    kinds: Counter[str] = field(default_factory=Counter)


class Verification:
    """A verification that can go on as the stream does.

    Args:
        read: Reads the topic.
        bounds: Gives the partitions' bounds.
        client: ClickHouse.
        topic: The topic's name.
        topic_id: Its id.
        lookup: Finds the schemas that messages name.
        run: The run; None for a foreign stream.
    """

    def __init__(
        self,
        read: Read,
        bounds: Callable[[], dict[int, Bounds]],
        client: Client,
        *,
        topic: str,
        topic_id: str,
        lookup: Lookup,
        run: ExpectedRun | None = None,
    ) -> None:
        self._read, self._bounds, self._lookup, self._run = read, bounds, lookup, run
        self._topic = topic
        self._landing = LandingTable(client, topic, topic_id)
        self._landed = TableDiff(client, topic_id, run.world.run_tag if run else None)
        lows = {partition: bound.low for partition, bound in bounds().items()}
        self._expected = ExpectedSequence(run, len(lows)) if run else None
        self._sides = {p: _PartitionState(SequenceDiff(late_start=low > 0), low, low) for p, low in lows.items()}
        self._dead: Counter[tuple[str, str]] = Counter()
        self._replayed: Counter[tuple[str, str]] = Counter()
        self._faults: list[TableFault] = []
        self._seconds = 0.0

    def advance(self, *, complete: bool = False, wait_s: float = 30.0) -> VerificationReport:
        """Verify what has come since the last call, and report on everything so far.

        Args:
            complete: The run is over: everything expected must be there. Otherwise what is expected behind the last record of a
                partition is on its way.
            wait_s: How long ingest is waited for, as long as it makes progress, s.
        """
        began_s = time.monotonic()
        stops = {partition: bound.high for partition, bound in self._bounds().items()}
        self._await_landing(stops, wait_s)
        starts = {partition: side.next for partition, side in self._sides.items()}
        for batch in _in_larger_batches(self._read(starts, stops, self._held)):
            self._take(batch)
        if self._expected is not None:
            while not self._expected.ended and (complete or self._undecided()) and not self._hopeless():
                self._expect()
                self._match(found_end=True)
            self._match(found_end=True, complete=complete)
        self._beyond(stops)
        self._seconds += time.monotonic() - began_s
        return self._report(complete=complete)

    def _await_landing(self, stops: dict[int, int], wait_s: float) -> None:
        """Wait until the table is as far as the cut, or stands still."""
        until, before = time.monotonic() + wait_s, -1
        while time.monotonic() < until:
            extents = self._landing.offset_ranges(stops)
            ends = {partition: extent.last + 1 for partition, extent in extents.items()}
            if all(
                ends.get(partition, 0) >= stop
                for partition, stop in stops.items()
                if stop > self._sides[partition].next
            ):
                return
            if sum(ends.values()) > before:
                before, until = sum(ends.values()), time.monotonic() + wait_s
            time.sleep(0.1)

    def _beyond(self, stops: dict[int, int]) -> None:
        """Rows behind the last record of a partition, and behind the end of Kafka: Kafka has lost what they were made of."""
        extents = self._landing.offset_ranges(stops)
        highs = {partition: bound.high for partition, bound in self._bounds().items()}  # after the rows were looked at
        for partition, side in self._sides.items():
            extent = extents.get(partition)
            if extent is None:
                continue
            spans = [(side.next, stops[partition] - 1), (max(highs[partition], stops[partition]), extent.last)]
            for first, last in spans:
                if first <= last and (count := self._landed.count(partition, first, last)):
                    side.kinds["extra"] += count
                    self._faults.append(TableFault("extra", partition, first, f"{quantity(count, 'row')} from here on"))

    def _held(self) -> set[int]:
        """The partitions that are ahead of the slowest."""
        waiting = {partition: side.diff.waiting[0] for partition, side in self._sides.items()}
        longest = max(waiting.values(), default=0)
        return {partition for partition, rows in waiting.items() if longest > _AHEAD_ROWS and rows < longest // 2}

    # One batch

    def _take(self, batch: RecordBatch) -> None:
        side = self._sides[batch.partition]
        by_offset = self._landed.replayed_schemas(batch.partition, side.next, int(batch.offsets[-1]))
        schemas = (
            {row: by_offset[offset] for row, offset in enumerate(batch.offsets.tolist()) if offset in by_offset}
            if by_offset
            else {}
        )
        validated = validate_batch(batch, self._lookup, schemas)
        for row in schemas.keys() - validated.dead.keys():
            self._note_replayed(batch, row)
        self._compare(validated, side, schemas)
        side.next = int(batch.offsets[-1]) + 1
        if self._expected is None:
            side.kafka += len(batch)
            return
        side.diff.find(self._found(validated, side))
        while not self._expected.ended and any(e.diff.waiting[1] > e.diff.waiting[0] for e in self._sides.values()):
            self._expect()
        self._match()
        if side.diff.hopeless:
            raise self._unlike(batch.partition)

    def _unlike(self, partition: int) -> VerificationError:
        """Hardly a record is where it should be."""
        assert self._run is not None
        what = f"partition {partition} of {self._topic} does not hold the run {self._run.world.run}: hardly a record is where it should be"
        if self._run.partitions and self._run.partitions != len(self._sides):
            return VerificationError(
                f"{what}; the run began with {quantity(self._run.partitions, 'partition')} and the topic has {len(self._sides)}",
                hint="clickreel produce --run NAME begins a new run, which uses all partitions",
            )
        return VerificationError(
            what,
            hint="check --seed, --rate, --from and the scenario, or use --foreign for a stream that is not a run of clickreel",
        )

    def _notes(self, partitions: list[PartitionReport]) -> list[str]:
        if self._run is None:
            return []
        notes = []
        if self._run.partitions and self._run.partitions != len(self._sides):
            notes.append(
                f"the run began with {quantity(self._run.partitions, 'partition')} and keeps to them; the topic has {len(self._sides)} now"
            )
        if others := sum(report.foreign for report in partitions):
            notes.append(
                f"the topic also holds {quantity(others, 'record')} of others, which this verification did not look at"
            )
        return notes

    def _expect(self) -> None:
        assert self._expected is not None
        for partition, rows in self._expected.advance().items():
            self._sides[partition].diff.expect(rows)

    def _match(self, *, found_end: bool = False, complete: bool = False) -> None:
        ended = self._expected is not None and self._expected.ended
        for side in self._sides.values():
            side.diff.match(found_end=found_end, expected_end=ended, complete=complete)

    def _undecided(self) -> bool:
        """Whether some partition holds records that the run has not come to yet."""
        return any(side.diff.waiting[1] for side in self._sides.values())

    def _hopeless(self) -> bool:
        return any(side.diff.hopeless for side in self._sides.values())

    def _found(self, validated: ValidatedBatch, side: _PartitionState) -> SequenceRows:
        """The records of a batch as rows of the diff; those of other runs are left out."""
        batch, decoded = validated.batch, validated.decoded
        assert self._run is not None
        readable = decoded.valid
        tags = ids.read(decoded.id_hi, decoded.id_lo)[0]
        others: NDArray[np.bool_] = readable & (tags != self._run.world.run_tag)
        side.foreign += int(others.sum())
        ours = ~others
        rows = SequenceRows(
            names(batch.keys.to_pylist(), batch.values.to_pylist()),
            np.where(readable, decoded.id_hi, 0).astype(np.uint64),
            np.where(readable, decoded.id_lo, 0).astype(np.uint64),
            batch.offsets,
            np.zeros(len(batch), np.int16),
        )
        return rows if ours.all() else rows.part(ours)

    def _note_replayed(self, batch: RecordBatch, row: int) -> None:
        """A replayed record is good by another schema; the ledger has it as a dead letter of the contract."""
        violation = judge_record(
            batch.key(row), batch.value(row), batch.headers.get(row), lookup=self._lookup
        ).violation
        if violation is not None:
            self._replayed[violation.field, violation.rule] += 1

    def _compare(self, validated: ValidatedBatch, side: _PartitionState, replayed: Container[int]) -> None:
        found = self._landed.compare(validated, side.next, replayed)
        side.landed += found.landed
        side.checksums[0] = (side.checksums[0] + found.checksum_kafka) % 2**64
        side.checksums[1] = (side.checksums[1] + found.checksum_table) % 2**64
        for (_, name, rule), count in found.dead.items():
            self._dead[name, rule] += count
            side.kinds["dead"] += count
        for fault in found.faults:
            side.kinds[fault.kind] += 1
        self._faults += found.faults[: max(0, _FAULTS_MAX - len(self._faults))]

    # The report

    def _report(self, *, complete: bool) -> VerificationReport:
        partitions, examples = [], []
        for number, side in sorted(self._sides.items()):
            report = PartitionReport(
                number,
                expected=side.diff.expected if self._expected else side.kafka,
                kafka=side.diff.found if self._expected else side.kafka,
                landed=side.landed,
                missing=side.kinds["missing"],
                doubled=side.kinds["doubled"],
                wrong=side.kinds["wrong"],
                extra=side.kinds["extra"],
                foreign=side.foreign,
                dead=side.kinds["dead"],
                checksum_kafka=f"{side.checksums[0]:016x}",
                checksum_table=f"{side.checksums[1]:016x}",
                rows_missing=side.kinds["missing"],
                rows_doubled=side.kinds["doubled"],
                first=side.first,
                last=side.next - 1,
            )
            if self._expected is not None:
                examples += _differences(number, side.diff, report)
            partitions.append(report)
        dead = self._dead_report(foreign=any(report.foreign for report in partitions))
        examples += [_example(fault) for fault in self._faults[:EXAMPLES_MAX]]
        differ = ("missing", "doubled", "out_of_place", "wrong", "extra")
        ok = not any(getattr(report, name) for report in partitions for name in differ)
        ok = ok and all(report.checksum_kafka == report.checksum_table for report in partitions)
        ok = ok and all(one.expected in {None, one.landed} for one in dead)
        if self._run is not None and not any(report.expected for report in partitions):
            ok = False  # nothing expected is no proof
            examples.append(
                {
                    "kind": "nothing",
                    "text": f"nothing is expected of run {self._run.world.run} so far, which proves nothing",
                }
            )
        ok = ok and not (
            complete and self._expected is not None and any(sum(s.diff.waiting) for s in self._sides.values())
        )
        return VerificationReport(
            ok,
            self._run.world.run if self._run else "",
            self._topic,
            partitions,
            dead,
            examples[:EXAMPLES_MAX],
            sum(report.landed for report in partitions),
            self._seconds,
            self._notes(partitions),
        )

    def _dead_report(self, *, foreign: bool) -> list[DeadLetterReport]:
        """Dead letters by reason against the ledger; beside foreign records there is no telling whose a dead one is."""
        expected: Counter[tuple[str, str]] = Counter()
        if self._expected is not None:
            for side in self._sides.values():
                for number, count in side.diff.reasons.items():
                    reason = self._expected.reasons.known[number]
                    assert reason is not None
                    expected[reason.field, reason.rule] += count
        told = self._expected is not None and not foreign
        return [
            DeadLetterReport(
                name,
                rule,
                expected[name, rule] if told else None,
                self._dead[name, rule] + self._replayed[name, rule],
                self._replayed[name, rule],
            )
            for name, rule in sorted(expected.keys() | self._dead.keys() | self._replayed.keys())
        ]


def _in_larger_batches(batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
    """The same records in fewer batches: each costs the table three queries, however small it is."""
    gathered: dict[int, list[RecordBatch]] = {}
    for batch in batches:
        of_partition = gathered.setdefault(batch.partition, [])
        of_partition.append(batch)
        if sum(map(len, of_partition)) >= _BATCH_ROWS:
            yield RecordBatch.joined(gathered.pop(batch.partition))
    for of_partition in gathered.values():
        yield RecordBatch.joined(of_partition)


def _differences(partition: int, diff: SequenceDiff, report: PartitionReport) -> list[dict[str, Any]]:
    """Count a diff's differences into the report; the first ones in words."""
    found = diff.differences()
    report.missing += len(found.missing)
    report.doubled += len(found.doubled)
    report.out_of_place = len(found.out_of_place)
    report.foreign += len(found.foreign)
    report.kafka -= len(found.foreign)
    out = []
    for kind, rows, text in (
        ("missing", found.missing, "is not in Kafka"),
        ("doubled", found.doubled, "is in Kafka once more than expected"),
        ("out_of_place", found.out_of_place, "is in Kafka, but not in its place"),
    ):
        for row in range(min(len(rows), EXAMPLES_MAX)):
            event_id = str(uuid.UUID(int=int(rows.id_hi[row]) << 64 | int(rows.id_lo[row])))
            where = {} if kind == "missing" else {"offset": int(rows.at[row])}
            out.append(
                {"kind": kind, "partition": partition, **where, "event_id": event_id, "text": f"{event_id} {text}"}
            )
    return out


def _example(fault: TableFault) -> dict[str, Any]:
    where = f"partition {fault.partition} offset {fault.offset}"
    text = {"missing": "has no row", "extra": "has a row, but Kafka has no record"}.get(fault.kind, fault.text)
    return {
        "kind": fault.kind,
        "partition": fault.partition,
        "offset": fault.offset,
        "event_id": fault.event_id,
        "text": f"{where} {text}" + (f" ({fault.event_id})" if fault.event_id else ""),
    }
