"""A search through a topic: the oldest records that are wanted, in parts; on the real Kafka and on its twin."""

from __future__ import annotations

from collections.abc import Callable

from clickreel.stream.broker import Broker
from clickreel.stream.record_batch import Record
from clickreel.stream.record_view import RecordSearch, search_records
from tests.stream.test_broker import KEPT, write


def fill(broker: Broker, topic: str) -> None:
    """Two partitions with 100 records each, one a millisecond: the even numbers and the odd ones."""
    broker.create(topic, 2, 1, KEPT)
    for p in (0, 1):
        write(broker, topic, p, [b"%d" % (2 * n + p) for n in range(100)])


def parts(
    broker: Broker, topic: str, wanted: Callable[[Record], bool], *, limit: int, search_max: int
) -> list[RecordSearch]:
    """All parts of a search, each beginning where the one before it stopped."""
    ends = {p: bound.high for p, bound in enumerate(broker.bounds(topic))}
    found: list[RecordSearch] = []
    nexts = dict.fromkeys(ends, 0)
    while not found or found[-1].left:
        ranges = {p: (nexts[p], ends[p]) for p in ends}
        found.append(search_records(broker, topic, ranges, wanted, limit=limit, search_max=search_max))
        nexts = found[-1].next_offsets
        assert len(found) < 300
    return found


def test_the_oldest_records_of_all_partitions_come_first(broker: Broker, topic: str) -> None:
    """In the order of time, whatever partition is read first, and every record in one part."""
    fill(broker, topic)
    found = parts(broker, topic, lambda _: True, limit=30, search_max=1_000)
    assert [record.value for part in found for record in part.records] == [b"%d" % n for n in range(200)]
    assert [len(part.records) for part in found] == [30] * 6 + [20]
    assert sum(part.searched for part in found) == 200


def test_a_search_stops_after_so_many_and_says_how_many_are_left(broker: Broker, topic: str) -> None:
    """What it goes on with finds the rest, once."""
    fill(broker, topic)
    found = parts(broker, topic, lambda record: record.value in {b"5", b"150", b"199"}, limit=10, search_max=40)
    assert len(found) > 1
    assert found[0].left == 200 - found[0].searched > 0
    assert sorted(record.value or b"" for part in found for record in part.records) == [b"150", b"199", b"5"]
    assert found[-1].left == 0


def test_an_empty_range_is_searched_at_once(broker: Broker, topic: str) -> None:
    """Nothing is found and nothing is left."""
    broker.create(topic, 1, 1, KEPT)
    assert search_records(broker, topic, {0: (0, 0)}, lambda _: True, limit=5, search_max=5) == RecordSearch(
        [], 0, 0, {0: 0}
    )
