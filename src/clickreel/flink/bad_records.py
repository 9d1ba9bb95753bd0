"""Records that a statement refused or left out: judged as every reader judges them, named by topic, partition and offset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clickreel.contract import schema_registry
from clickreel.contract.rules import Violation
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.contract.verdict import compiled, judge_record
from clickreel.errors import ClickreelError
from clickreel.flink.catalog import TopicTable
from clickreel.flink.workspace import Query
from clickreel.profile import Profile
from clickreel.quantities import quantity
from clickreel.stream.cluster import Cluster
from clickreel.stream.record_batch import Record

# Reading goes at some hundred thousand records a second; a person waits so long for a better message, and no longer.
BUDGET_S = 10.0
_BATCH = 10_000
# How many are named; the others are counted.
_NAMED = 5

Judge = Callable[[Record], str]
"""Why a record is refused, in words; empty when it is good."""


@dataclass(frozen=True)
class RecordLocation:
    """Where a record is and what is wrong with it.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        why: What is wrong, in words; empty when nothing is known against it.
        text: The record's value, cut when it is long.
    """

    topic: str
    partition: int
    offset: int
    why: str
    text: str

    def __str__(self) -> str:
        """One line that says it all."""
        why = f": {self.why}" if self.why else ""
        return f"{self.topic} partition {self.partition} offset {self.offset}{why}: {self.text}"


@dataclass
class BadRecordReport:
    """The records of one topic that a statement left out.

    Attributes:
        read: Records that were looked at.
        bad: How many of them are refused.
        first: The first of these.
        is_complete: Whether all that the statement read was looked at.
        are_left_out: Whether they are no rows; where a table's schema has no form in SQL, Flink's reader makes rows of some of them.
    """

    read: int = 0
    bad: int = 0
    first: list[RecordLocation] = field(default_factory=list)
    is_complete: bool = True
    are_left_out: bool = True

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return self.bad > 0

    def lines(self) -> list[str]:
        """What there is to say, one line a record behind the first line."""
        scope = "" if self.is_complete else "first "
        more = [f"and {self.bad - len(self.first):,} more"] if self.bad > len(self.first) else []
        counted = f"{self.bad:,} of the {scope}{quantity(self.read, 'record')} looked at"
        verdict = f"{counted} break the registered schema; what Flink could read of them is in the rows"
        return [
            f"skipped {counted}" if self.are_left_out else verdict,
            *map(str, self.first),
            *more,
        ]


def judge_of(table: TopicTable, profile: Profile) -> Judge:
    """The judge of a table's records: the contract, or the schema that the table was made of.

    Args:
        table: The table.
        profile: Names the registry.
    """
    topic = table.topic or table.name

    def ask(id_: int | str) -> str | None:
        with schema_registry.connect(profile) as registry:
            return registry.by_id(id_)

    if table.has_contract:
        lookup = SchemaLookup(ask if profile.registry_url else None, topic)

        def by_contract(record: Record) -> str:
            verdict = judge_record(record.key, record.value, record.headers, lookup=lookup)
            return verdict.violation.text if verdict.violation else ""

        return by_contract
    if not profile.registry_url:
        return lambda _: ""
    with schema_registry.connect(profile) as registry:
        known = registry.schema(f"{topic}-value")
    if known is None:
        return lambda _: ""
    rules = compiled(known)
    if isinstance(rules, Violation):
        return lambda _: ""  # a schema that cannot be used says nothing of a record

    def by_schema(record: Record) -> str:
        given = [(name, data) for name, data in record.headers if data is not None]
        violation = rules.check_value(record.value, given)
        return violation.text if violation else ""

    return by_schema


def read_record(profile: Profile, table: TopicTable, partition: int, offset: int) -> RecordLocation | None:
    """Read one record and judge it; None when it is gone or Kafka does not answer."""
    topic = table.topic or table.name
    judge = judge_of(table, profile)
    for record in _records(profile, topic, {partition: (offset, offset + 1)}):
        return _locate(topic, record, judge(record))
    return None


def find_record(profile: Profile, tables: Sequence[TopicTable], text: str) -> RecordLocation | None:
    """Find the record that Flink could not read.

    Args:
        profile: Where Kafka is.
        tables: The tables whose topics may hold it.
        text: The record as Flink shows it.

    Returns:
        Its place, or None when it was not found in time or is gone.
    """
    for table in tables:
        topic, judge = table.topic or table.name, judge_of(table, profile)
        for record in _records(profile, topic):
            # Java replaces what is not UTF-8 by the same sign.
            if record.value is not None and record.value.decode("utf-8", "replace") == text:
                return _locate(topic, record, judge(record))
    return None


def report_bad_records(profile: Profile, query: Query, tables: Iterable[TopicTable], *, skips: bool) -> list[str]:
    """What to say of the bad records of a query that has ended, a line each; nothing where they would have ended it.

    Args:
        profile: Where Kafka is.
        query: The query.
        tables: The tables that it names.
        skips: Whether bad records are left out instead of ending it.
    """
    lines: list[str] = []
    until: Mapping[tuple[str, int], int] | None = None
    for table in tables:
        if skips or table.accepted is None:
            until = query.offsets() if until is None else until
            found = count_bad_records(profile, table, until)
            lines += found.lines() if found else ()
    return lines


def count_bad_records(profile: Profile, table: TopicTable, until: Mapping[tuple[str, int], int]) -> BadRecordReport:
    """Count what a statement that skips bad records left out of a topic.

    Args:
        profile: Where Kafka is.
        table: The topic's table.
        until: The offsets that the statement had reached, by topic and partition; those absent are taken as read to the end.
    """
    topic, judge = table.topic or table.name, judge_of(table, profile)
    report = BadRecordReport(is_complete=False, are_left_out=table.accepted is not None)
    ends = {partition: (0, end) for (name, partition), end in until.items() if name == topic}
    begun = time.monotonic()
    for record in _records(profile, topic, ends, whole_topic=True):
        report.read += 1
        why = judge(record)
        if why:
            report.bad += 1
            if len(report.first) < _NAMED:
                report.first.append(_locate(topic, record, why))
    report.is_complete = time.monotonic() - begun < BUDGET_S
    return report


def _locate(topic: str, record: Record, why: str) -> RecordLocation:
    text = "null" if record.value is None else record.value.decode("utf-8", "replace")
    shown = text if len(text) <= 300 else f"{text[:300]}..."
    return RecordLocation(topic, record.partition, record.offset, why, shown)


def _records(
    profile: Profile, topic: str, ranges: Mapping[int, tuple[int, int]] | None = None, *, whole_topic: bool = False
) -> Iterator[Record]:
    """The records of a topic in these ranges of offsets, for as long as a person waits.

    Args:
        profile: Where Kafka is.
        topic: The topic.
        ranges: First offset and the one behind the last, by partition; None stands for all.
        whole_topic: Whether partitions that ``ranges`` does not name are read whole.
    """
    kafka = Cluster(profile)
    try:
        left: dict[int, tuple[int, int]] = {}
        for partition, (low, high) in enumerate(kafka.bounds(topic)):
            if ranges is None or whole_topic or partition in ranges:
                start, end = (ranges or {}).get(partition, (low, high))
                if max(start, low) < min(end, high):
                    left[partition] = (max(start, low), min(end, high))
        yield from _read(kafka, topic, left)
    except ClickreelError:
        return
    finally:
        kafka.close()


def _read(kafka: Cluster, topic: str, left: dict[int, tuple[int, int]]) -> Iterator[Record]:
    deadline = time.monotonic() + BUDGET_S
    reader = kafka.reader(topic, {partition: start for partition, (start, _) in left.items()})
    try:
        while left and time.monotonic() < deadline:
            for record in reader.poll(_BATCH, 0.1):
                end = left.get(record.partition, (0, 0))[1]
                if record.offset < end:
                    yield record
                if record.offset + 1 >= end:
                    left.pop(record.partition, None)
            for partition in reader.ended & left.keys():
                del left[partition]  # what stands behind the last record are the marks of transactions
    finally:
        reader.close()
