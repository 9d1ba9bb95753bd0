"""The one reader of ranges of offsets: what it reads, where it ends, and what it passes over."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import Producer

from clickreel.errors import UsageError
from clickreel.profile import Profile
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.record_batch import Record
from tests.conftest import Kafka
from tests.stream.expected import collect_ranges


def fill(broker: Broker, topic: str, counts: dict[int, int]) -> None:
    """Make a topic of three partitions with so many records."""
    broker.create(topic, 3, 1, {"retention.ms": "-1"})
    writer = broker.writer(topic, lambda *_: None)
    for partition, count in counts.items():
        writer.send(partition, [b"k"] * count, [b"%d" % i for i in range(count)], [1_764_000_000_000] * count)
    assert writer.flush(30) == 0
    writer.close()


def test_each_partition_is_read_in_its_range_and_no_further(broker: Broker, topic: str) -> None:
    """Empty ranges are nothing; batches are never empty and in offset order."""
    fill(broker, topic, {0: 50, 1: 10, 2: 5})
    found: dict[int, list[int]] = {}
    for batch in read_ranges(broker, topic, {0: (10, 30), 1: (0, 10), 2: (5, 5)}, limit=7):
        assert len(batch)
        found.setdefault(batch.partition, []).extend(batch.offsets.tolist())
    assert found == {0: list(range(10, 30)), 1: list(range(10))}
    assert list(read_ranges(broker, topic, {0: (3, 3)})) == []


def test_a_range_beyond_the_end_ends_at_the_end(broker: Broker, topic: str) -> None:
    """Its last offsets may be control records, which are never served: to wait for them would be forever."""
    fill(broker, topic, {0: 5})
    records = collect_ranges(broker, topic, {0: (3, 1_000)})[0]
    assert records == [Record(0, i, 1_764_000_000_000, b"k", b"%d" % i, ()) for i in (3, 4)]


def test_a_start_that_is_gone_is_refused(broker: Broker, topic: str) -> None:
    """Never jumped over in silence."""
    fill(broker, topic, {0: 5})
    with pytest.raises(UsageError, match=r"partition 0 of .* does not hold offset 77"):
        list(read_ranges(broker, topic, {0: (77, 80)}))


def test_a_paused_partition_waits_and_never_all_of_them(broker: Broker, topic: str) -> None:
    """A partition that is ahead is held back until the others have come after it; all held back would be a standstill."""
    fill(broker, topic, {0: 3_000, 1: 3_000})
    first: list[int] = []
    seen = {0: 0, 1: 0}
    for batch in read_ranges(
        broker, topic, {0: (0, 3_000), 1: (0, 3_000)}, limit=500, paused=lambda: {0} if seen[1] < 3_000 else {0, 1}
    ):
        seen[batch.partition] += len(batch)
        first.append(batch.partition)
    assert seen == {0: 3_000, 1: 3_000}
    assert first.index(0) > len(first) - first[::-1].index(1) - 1, "partition 0 was held back until 1 was read"


def test_it_stops_when_it_is_told(topic: str) -> None:
    """Between two batches."""
    broker, stop = MemoryBroker(), threading.Event()
    fill(broker, topic, {0: 100})
    for batch in read_ranges(broker, topic, {0: (0, 100)}, limit=10, stop=stop):
        assert batch.offsets[0] == 0
        stop.set()


def test_aborted_records_are_never_read_and_an_open_transaction_is_the_end(kafka: Kafka, topic: str) -> None:
    """Whatever the profile says of isolation; the offset from which the transaction is open can be named."""
    broker = Cluster(Profile({"bootstrap.servers": kafka.bootstrap, "isolation.level": "read_uncommitted"}))
    broker.create(topic, 1, 1, {"retention.ms": "-1"})
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    for values, end in (([b"a"] * 5, producer.abort_transaction), ([b"b"] * 3, producer.commit_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=0)
        producer.flush(30)
        end(30)
    assert [(r.offset, r.value) for r in collect_ranges(broker, topic, {0: (0, 10)})[0]] == [
        (i, b"b") for i in (6, 7, 8)
    ]
    assert (broker.bounds(topic)[0].high, broker.stable_offsets(topic)) == (10, [10])
    producer.begin_transaction()
    producer.produce(topic, b"c", partition=0)
    producer.flush(30)
    assert (broker.bounds(topic)[0].high, broker.stable_offsets(topic)) == (11, [10])
    assert [r.value for r in collect_ranges(broker, topic, {0: (0, 11)})[0]] == [b"b"] * 3
    producer.commit_transaction(30)
    assert [r.value for r in collect_ranges(broker, topic, {0: (0, 12)})[0]] == [b"b"] * 3 + [b"c"]
