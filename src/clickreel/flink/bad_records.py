"""Records that a statement could not read, or read only in part: found in Kafka and named by topic, partition and offset."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickreel.contract import schema
from clickreel.contract.check import check
from clickreel.profile import Profile

# Reading goes at a million records a second; a person waits so long for a better message, and no longer.
BUDGET_S = 10.0
_BATCH = 10_000


@dataclass(frozen=True)
class RecordLocation:
    """Where a record is and what is wrong with it.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        why: What is wrong, in words; empty when the contract has nothing against it.
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
    """What a statement that skips bad records left out or made NULL.

    Attributes:
        read: Records that were looked at.
        skipped: Records that cannot be read at all.
        nulls: Fields that became NULL, by name.
        kept: Records that break the contract and were read as they are (an unknown word, say).
        first: The first of them.
        whole: Whether all that the statement read was looked at.
    """

    read: int = 0
    skipped: int = 0
    nulls: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    first: RecordLocation | None = None
    whole: bool = True

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return self.first is not None

    def words(self) -> str:
        """One line for a person."""
        parts = []
        if self.skipped:
            parts.append(f"{self.skipped:,} were skipped")
        if self.nulls:
            fields = ", ".join(f"{name} {count:,}" for name, count in self.nulls.most_common())
            parts.append(f"{self.nulls.total():,} have a field that became NULL ({fields})")
        if self.kept:
            parts.append(f"{self.kept:,} were read as they are")
        scope = "" if self.whole else "first "
        return f"of the {scope}{self.read:,} records looked at, {'; '.join(parts)}. First: {self.first}"


def find_record(profile: Profile, topics: Sequence[str], text: str) -> RecordLocation | None:
    """Find the record that Flink could not read.

    Args:
        profile: Where Kafka is.
        topics: Where it may be.
        text: The record as Flink shows it.

    Returns:
        Its place, or None when it was not found in time or is gone.
    """
    for message in _messages(profile, topics, {}):
        value = message.value()
        # Java replaces what is not UTF-8 by the same sign.
        if value is not None and value.decode("utf-8", "replace") == text:
            return _place(message)
    return None


def count_bad_records(profile: Profile, topic: str, until: Mapping[tuple[str, int], int]) -> BadRecordReport:
    """Count what a statement that skips bad records left out of a topic, or made NULL.

    Args:
        profile: Where Kafka is.
        topic: The contract's topic; only its records can be judged.
        until: The offsets that the statement had reached, by topic and partition; those absent are taken as read to the end.
    """
    found = BadRecordReport()
    required = schema.current("value").fields
    deadline = time.monotonic() + BUDGET_S
    for message in _messages(profile, [topic], until):
        found.read += 1
        violation = check(message.key(), message.value(), message.headers())
        if violation is not None:
            found.first = found.first or _place(message)
            if violation.rule in {"json", "encoding", "framing"} or violation.field == "value":
                found.skipped += 1
            elif violation.rule in {"required", "type"} and violation.field in required:
                found.nulls[violation.field] += 1
            else:
                found.kept += 1
        if found.read % _BATCH == 0 and time.monotonic() > deadline:
            found.whole = False
            break
    return found


def _place(message: Any) -> RecordLocation:
    value = message.value()
    violation = check(message.key(), value, message.headers())
    text = "null" if value is None else value.decode("utf-8", "replace")
    shown = text if len(text) <= 300 else f"{text[:300]}..."
    return RecordLocation(
        message.topic(), message.partition(), message.offset(), violation.text if violation else "", shown
    )


def _messages(profile: Profile, topics: Sequence[str], until: Mapping[tuple[str, int], int]) -> Iterator[Any]:
    """The records of some topics from their first to the given offsets, within the time that a person waits."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    deadline = time.monotonic() + BUDGET_S
    consumer = Consumer(
        {
            **profile.consumer_config("clickreel-sql"),
            "auto.offset.reset": "earliest",
            "error_cb": lambda _: None,
            "log_level": 0,
        }
    )
    try:
        left = {}
        for topic in topics:
            for partition in consumer.list_topics(topic, timeout=5).topics[topic].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
                end = min(high, until.get((topic, partition), high))
                if low < end:
                    left[topic, partition] = (low, end)
        consumer.assign([TopicPartition(topic, partition, low) for (topic, partition), (low, _) in left.items()])
        while left and time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, timeout=0.1):
                place = (message.topic(), message.partition())
                if message.error() or place not in left:
                    continue
                end, offset = left[place][1], int(message.offset() or 0)
                if offset < end:
                    yield message
                if offset + 1 >= end:
                    del left[place]
    except KafkaException:
        return
    finally:
        consumer.close()
