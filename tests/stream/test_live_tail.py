"""The live tail: newest records, exact counts at any rate, bounded memory; on the real Kafka and on its twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from clickreel.stream import live_tail
from clickreel.stream.broker import Broker, Reader
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
    assert tail.wait_until_current(10)
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
    assert tail.wait_until_current(10)
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
    assert tail.wait_until_current(10)
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


@pytest.fixture
def readers(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> list[Reader]:
    """The readers of records that the tail has begun, and a tail that rests half a second after the last viewer."""
    begun: list[Reader] = []
    make = broker.reader

    def count(topic: str, starts: Mapping[int, int]) -> Reader:
        begun.append(make(topic, starts))
        return begun[-1]

    monkeypatch.setattr(broker, "reader", count)
    monkeypatch.setattr(live_tail, "_UNWATCHED_S", 0.5)
    monkeypatch.setattr(live_tail, "_SIZES_LOOK_S", 0.0)
    monkeypatch.setattr(live_tail, "_SIZES_EVERY_S", 3_600.0)
    return begun


def test_without_a_viewer_records_are_counted_and_not_read(
    broker: Broker, topic: str, readers: list[Reader], tail: LiveTail
) -> None:
    """The counts are exact all the same; the first viewer gets the newest records."""
    tail._mean_bytes = {0: 10.0, 1: 10.0}  # the sizes are known
    wait_for(lambda: bool(tail.seconds))
    write(broker, topic, 0, [b"%d" % n for n in range(1_000)])
    wait_for(lambda: sum(sum(second.messages) for second in tail.seconds) == 1_000)
    assert readers == []
    assert not tail.is_reading
    assert tail.wait_until_current(10)
    assert [record.value for record in tail.frame(limit=10).records] == [b"%d" % n for n in range(990, 1_000)]
    assert len(readers) == 1


def test_what_came_while_nobody_looked_is_counted_as_left_out(
    broker: Broker, topic: str, readers: list[Reader], tail: LiveTail
) -> None:
    """A viewer that comes back gets the newest, never the old rows beside them, and is told how many it has not seen."""
    tail._mean_bytes = {0: 10.0, 1: 10.0}
    write(broker, topic, 0, [b"%d" % n for n in range(100)])
    assert tail.wait_until_current(10)
    before = tail.frame()
    wait_for(lambda: not tail.is_reading)
    wait_for(lambda: not tail._records)
    write(broker, topic, 0, [b"%d" % n for n in range(100, 1_000)])
    assert tail.wait_until_current(10)
    after = tail.frame(before.sequence)
    assert [record.value for record in after.records] == [b"%d" % n for n in range(960, 1_000)]
    assert len(after.records) + after.left_out == 900
    assert tail.frame(after.sequence).left_out == 0
    assert len(readers) == 2


def test_sizes_are_known_without_a_viewer(broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are looked at for a moment when messages come whose size nobody knows."""
    monkeypatch.setattr(live_tail, "_SIZES_RETRY_S", 0.0)
    broker.create(topic, 2, 1, KEPT)
    tail = LiveTail(lambda: broker, topic)
    wait_for(lambda: bool(tail.seconds) and not tail.is_reading)

    def sized() -> bool:
        write(broker, topic, 1, [b"x" * 95] * 10)
        return any(second.bytes[1] == 100.0 * second.messages[1] > 0 for second in tail.seconds)

    wait_for(sized)
    tail.close()
