"""The live tail: newest records, exact counts at any rate, bounded memory; on the real Kafka and on its twin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickreel.stream.broker import Broker
from clickreel.stream.live_tail import LiveTail
from tests.stream.test_broker import KEPT, wait_for, write


@pytest.fixture
def tail(broker: Broker, topic: str) -> Iterator[LiveTail]:
    """The tail of a topic with two partitions."""
    broker.create(topic, 2, 1, KEPT)
    made = LiveTail(lambda: broker, topic, keep=300)
    yield made
    made.close()


def test_what_is_written_is_seen_once_and_in_order(broker: Broker, topic: str, tail: LiveTail) -> None:
    """A viewer that asks again and again misses nothing and sees nothing twice."""
    wait_for(lambda: bool(tail.seconds))
    seen: list[bytes | None] = []
    sequence = tail.frame().sequence
    for part in range(3):
        write(broker, topic, 0, [b"%d" % (part * 50 + n) for n in range(50)])
        wanted = (part + 1) * 50

        def has_come(wanted: int = wanted) -> bool:
            nonlocal sequence
            frame = tail.frame(sequence)
            assert frame.left_out == 0
            sequence = frame.sequence
            seen.extend(record.value for record in frame.records)
            return len(seen) >= wanted

        wait_for(has_come)
    assert seen == [b"%d" % n for n in range(150)]


def test_counts_are_exact_when_records_are_left_out(broker: Broker, topic: str, tail: LiveTail) -> None:
    """More than a viewer can look at: the tail jumps to the newest and counts what it left out."""
    wait_for(lambda: bool(tail.seconds))
    first = tail.frame()
    for _ in range(10):
        write(broker, topic, 1, [b"x" * 10] * 2_000)
    wait_for(lambda: sum(sum(second.messages) for second in tail.seconds) == 20_000)
    last = broker.bounds(topic)[1].high - 1
    wait_for(lambda: bool(tail.frame().records) and tail.frame().records[-1].offset == last)
    frame = tail.frame(first.sequence)
    assert len(frame.records) <= 300
    assert frame.records[-1].offset == last
    assert len(frame.records) + frame.left_out == 20_000
    assert tail.seconds[-1].highs == [0, 20_000]


def test_what_is_left_out_is_counted_once_however_often_a_viewer_asks(
    broker: Broker, topic: str, tail: LiveTail
) -> None:
    """Between a jump of the tail and the first record behind it nothing is counted, and then all at once."""
    wait_for(lambda: bool(tail.seconds))
    tail.close()
    tail._stop.clear()  # from here on step by step
    sequence = tail.frame().sequence
    write(broker, topic, 1, [b"x" * 10] * 2_000)
    reader = broker.reader(topic, {0: 0, 1: 0})
    tail._jump(reader, broker.bounds(topic))
    assert [tail.frame(sequence).left_out for _ in range(3)] == [0, 0, 0]
    wait_for(lambda: tail._read_frame(reader) > 0)
    reader.close()
    frame = tail.frame(sequence)
    assert frame.left_out + len(frame.records) == 2_000 - (broker.bounds(topic)[1].high - 1 - frame.records[-1].offset)
    assert tail.frame(frame.sequence).left_out == 0


def test_a_viewer_of_few_rows_gets_the_newest(broker: Broker, topic: str, tail: LiveTail) -> None:
    """And is told how many it did not get."""
    wait_for(lambda: bool(tail.seconds))
    first = tail.frame()
    write(broker, topic, 0, [b"%d" % n for n in range(100)])
    wait_for(lambda: tail.frame().sequence == first.sequence + 100)
    frame = tail.frame(first.sequence, limit=10)
    assert [record.value for record in frame.records] == [b"%d" % n for n in range(90, 100)]
    assert frame.left_out == 90


def test_added_partitions_are_read(broker: Broker, topic: str, tail: LiveTail) -> None:
    """Without a new tail."""
    wait_for(lambda: bool(tail.seconds))
    if not hasattr(broker, "grow"):
        pytest.skip("partitions are added to the twin only")
    broker.grow(topic, 3)
    write(broker, topic, 2, [b"new"])
    wait_for(lambda: any(record.partition == 2 for record in tail.frame().records))
