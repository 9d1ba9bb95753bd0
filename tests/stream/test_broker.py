"""What clickreel relies on of a broker; one suite for the real Kafka and for its twin in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from clickreel.errors import ClickreelError, UsageError
from clickreel.stream.broker import Bounds, Broker, Commit, LostError, Writer
from clickreel.stream.record_batch import Record

T0 = 1_764_000_000_000
KEPT = {"retention.ms": "-1"}  # the records here are older than a topic keeps them by default


def write(
    broker: Broker, topic: str, partition: int, values: list[bytes], first_ms: int = T0
) -> list[tuple[int, int, int]]:
    """Store the values in one partition; the acknowledgements that came."""
    acks: list[tuple[int, int, int]] = []
    writer = broker.writer(topic, lambda p, count, offset: acks.append((p, count, offset)))
    keys = [b'"u_1"'] * len(values)
    assert writer.send(partition, keys, values, [first_ms + i for i in range(len(values))]) == len(values)
    assert writer.flush(10) == 0
    writer.close()
    return acks


def read(broker: Broker, topic: str, partition: int, start: int, count: int) -> list[Record]:
    """The next records, waiting for them."""
    reader = broker.reader(topic, {partition: start})
    out: list[Record] = []
    deadline = time.monotonic() + 10
    while len(out) < count and time.monotonic() < deadline:
        out += reader.poll(count - len(out), 0.2)
    reader.close()
    return out


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited ten seconds in vain"
        time.sleep(0.02)


def test_a_topic_is_what_it_was_created_as(broker: Broker, topic: str) -> None:
    """Partitions, replication and settings; the id tells it from a later topic of the same name."""
    assert broker.topic(topic) is None
    broker.create(topic, 3, 1, {"retention.ms": "86400000"})
    found = broker.topic(topic)
    assert found is not None
    assert (found.partitions, found.replication, found.configs["retention.ms"]) == (3, 1, "86400000")
    assert found.topic_id
    assert broker.bounds(topic) == [Bounds(0, 0)] * 3


def test_creating_a_topic_twice_is_refused(broker: Broker, topic: str) -> None:
    """Nothing is changed in silence."""
    broker.create(topic, 1, 1, KEPT)
    with pytest.raises(UsageError, match="already exists"):
        broker.create(topic, 2, 1, KEPT)
    with pytest.raises(UsageError):
        broker.create(topic + "x", 1, 3, {})
    assert broker.topic(topic + "x") is None


def test_one_setting_is_altered_and_the_others_stay(broker: Broker, topic: str) -> None:
    """Alter is incremental."""
    broker.create(topic, 1, 1, {"retention.ms": "86400000", "retention.bytes": "1000000"})
    broker.alter(topic, {"retention.ms": "172800000"})

    def configs() -> tuple[str, str]:
        found = broker.topic(topic)
        assert found is not None
        return found.configs["retention.ms"], found.configs["retention.bytes"]

    wait_for(lambda: configs() == ("172800000", "1000000"))


def test_a_topic_that_is_not_there_is_said_with_the_command_that_makes_it(broker: Broker, topic: str) -> None:
    """Every method that needs it says so."""
    for attempt in (
        lambda: broker.bounds(topic),
        lambda: broker.writer(topic, lambda *_: None),
        lambda: broker.offsets_at(topic, 1),
    ):
        with pytest.raises(ClickreelError, match=f"there is no topic {topic}") as caught:
            attempt()
        assert caught.value.hint == f"clickreel topic create --topic {topic}"


def test_records_come_back_as_they_were_sent(broker: Broker, topic: str) -> None:
    """In order, with key, value, timestamp and offset; the acknowledgement of the last one tells its offset and count."""
    broker.create(topic, 2, 1, KEPT)
    values = [b"%d" % i for i in range(1000)]
    acks = write(broker, topic, 1, values)
    assert acks[-1] == (1, 1000, 999)
    found = read(broker, topic, 1, 0, 1000)
    assert [r.value for r in found] == values
    assert [r.offset for r in found] == list(range(1000))
    assert found[7][:5] == (1, 7, T0 + 7, b'"u_1"', b"7")
    assert broker.bounds(topic) == [Bounds(0, 0), Bounds(0, 1000)]
    assert [r.value for r in read(broker, topic, 1, 990, 3)] == [b"990", b"991", b"992"]


def test_a_reader_knows_when_it_has_met_the_end(broker: Broker, topic: str) -> None:
    """And goes on when more arrives."""
    broker.create(topic, 1, 1, KEPT)
    write(broker, topic, 0, [b"a"])
    reader = broker.reader(topic, {0: 0})
    seen: list[Record] = []

    def ended() -> bool:
        seen.extend(reader.poll(10, 0.05))
        return 0 in reader.ended

    wait_for(ended)
    assert [r.value for r in seen] == [b"a"]
    write(broker, topic, 0, [b"b"])

    def both() -> bool:
        seen.extend(reader.poll(10, 0.05))
        return len(seen) == 2

    wait_for(both)
    reader.close()


def test_an_offset_outside_of_the_partition_is_refused(broker: Broker, topic: str) -> None:
    """Never a jump to somewhere else."""
    broker.create(topic, 1, 1, KEPT)
    write(broker, topic, 0, [b"a"])
    reader = broker.reader(topic, {0: 5})
    with pytest.raises(UsageError, match=f"partition 0 of {topic} does not hold offset 5"):
        wait_for(lambda: bool(reader.poll(10, 0.05)))
    reader.close()


def test_offsets_are_found_by_time(broker: Broker, topic: str) -> None:
    """The first record of that time or later, by partition; the end where there is none."""
    broker.create(topic, 2, 1, KEPT)
    write(broker, topic, 0, [b"x"] * 10)
    assert broker.offsets_at(topic, T0 + 4) == [4, 0]
    assert broker.offsets_at(topic, T0 + 10) == [10, 0]


def test_a_full_queue_takes_no_more_and_loses_nothing(broker: Broker, topic: str) -> None:
    """Back-pressure: what was not taken is sent again by the caller, and the order stays."""
    broker.create(topic, 1, 1, KEPT)
    total = 300_000 if broker.address != "memory" else 30_000
    writer: Writer = broker.writer(topic, lambda *_: None)
    sent, refusals = 0, 0
    while sent < total:
        values = [b"%d" % i for i in range(sent, total)]
        taken = writer.send(0, [None] * len(values), values, [T0] * len(values))
        refusals += taken < len(values)
        sent += taken
        writer.poll(0.01)
    assert writer.flush(30) == 0
    assert (writer.sent, writer.acknowledged, refusals > 0) == ([total], [total], True)
    assert broker.bounds(topic) == [Bounds(0, total)]
    reader, want = broker.reader(topic, {0: 0}), 0
    while want < total:
        for record in reader.poll(10_000, 1.0):
            assert record.value == b"%d" % want
            want += 1
    reader.close()


def test_a_member_commits_an_offset_and_a_note_for_each_partition(broker: Broker, topic: str) -> None:
    """They outlive the member; another group knows nothing of them."""
    broker.create(topic, 2, 1, KEPT)
    group = f"clickreel-writer.{topic}"
    assert broker.committed(group, topic) == {}
    member = broker.join(group, topic, "me")
    member.commit({0: Commit(5, "n" * 500), 1: Commit(0, "")})
    member.leave()
    assert broker.committed(group, topic) == {0: Commit(5, "n" * 500), 1: Commit(0, "")}
    assert broker.committed(group + "2", topic) == {}


def test_who_joins_takes_the_place_and_the_other_one_is_told(broker: Broker, topic: str) -> None:
    """The lock's foundation: at any time one member can commit, the last that joined."""
    broker.create(topic, 1, 1, KEPT)
    group = f"clickreel-writer.{topic}"
    first = broker.join(group, topic, "first")
    first.commit({0: Commit(1, "first")})
    since = time.monotonic()
    second = broker.join(group, topic, "second")
    assert time.monotonic() - since < 5, "taking over must not wait for a session to end"
    with pytest.raises(LostError):
        first.commit({0: Commit(2, "first")})
    with pytest.raises(LostError):
        first.check()
    second.check()
    assert broker.committed(group, topic) == {0: Commit(1, "first")}
    assert [member.group for member in broker.members(group)] == [group]
    second.leave()
    first.leave()
