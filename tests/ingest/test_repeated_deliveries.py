"""An event counts once, however often, wherever and whenever its message is delivered: a broker in memory and a real ClickHouse engine."""

from __future__ import annotations

import threading

import numpy as np
import orjson
import pytest

from clickreel.contract.framing import prefix
from clickreel.ingest import dead_letters
from clickreel.ingest.dead_letters import DeadLetterFilter
from clickreel.ingest.landed_events import LandedEvents, keys
from clickreel.ingest.loop import IngestLoop
from clickreel.stream.memory import MemoryBroker
from clickreel.warehouse import repeated_events
from clickreel.warehouse.client import Client
from tests.ingest.messages import NAME, Topic, event, land, message, nobody, offsets, settings
from tests.ingest.test_validate_batch import NEW, registry
from tests.warehouse.projections import check_projections

REPEATED = "SELECT _partition, _offset FROM dvd_clicks_landing WHERE error = 'repeated' ORDER BY ALL"


def events(client: Client) -> int:
    """Good rows, each of another event; counts from projections are those of the rows."""
    check_projections(client)
    ((rows, unique),) = client.rows(
        "SELECT count(), uniqExact(event_id, event_ts) FROM dvd_clicks_landing WHERE error = ''"
    )
    assert rows == unique
    return int(rows)


def again(topic: Topic, partition: int, number: int, **changes: object) -> None:
    """Deliver an event again, as it was or with another payload."""
    topic.put(partition, *message(number, **changes))


def test_a_copy_in_the_same_block_counts_once(topic: Topic, client: Client) -> None:
    """The first of a partition is the event; its copy with another payload, and a third one, are repeated."""
    topic.send(9)
    again(topic, 1, 4, position=7)
    again(topic, 1, 4)
    report = land(topic, client)
    assert (report.rows, report.repeated, report.dead) == (11, 2, 0)
    assert client.rows(REPEATED) == [(1, 3), (1, 4)]
    assert events(client) == 9
    assert client.command("SELECT count() FROM dvd_clicks_dead_letters") == 0


def test_a_copy_in_a_later_block_counts_once(topic: Topic, client: Client) -> None:
    """Block by block, in the same partition and in another one."""
    topic.send(30)
    again(topic, 0, 12)
    again(topic, 2, 13)
    report = land(topic, client, flush_rows=4)
    assert report.inserts > 4
    assert report.repeated == 2
    assert events(client) == 30


def test_copies_after_a_restart_count_once(topic: Topic, client: Client) -> None:
    """What has landed is read from the table; three times is no more than twice."""
    topic.send(30)
    land(topic, client)
    for _ in range(3):
        again(topic, 1, 7)
        assert land(topic, client).repeated == 1
    assert offsets(client)[1] == list(range(13))
    assert events(client) == 30


def test_a_late_copy_counts_once(topic: Topic, client: Client) -> None:
    """Of an event of years ago, as of one that claims to be of the future."""
    times = ("1971-01-01 00:00:00.000", "2001-01-01 00:00:00.000", "2098-01-01 00:00:00.000")
    for when in times:
        again(topic, 0, 1, event_ts=when)
    topic.send(300)
    land(topic, client)
    for when in times:
        again(topic, 2, 1, event_ts=when)
    assert land(topic, client).repeated == 3
    assert events(client) == 303


@pytest.mark.parametrize("kept_max", [8, 100, 4_000_000])
def test_events_that_are_not_kept_are_asked_for(topic: Topic, client: Client, kept_max: int) -> None:
    """However few are kept in memory, a copy is found and nothing else is."""
    topic.send(300)
    land(topic, client)
    known = LandedEvents(client, kept_max=kept_max)
    known.load()
    random = np.random.default_rng(1)
    numbers = random.integers(0, 600, 500)
    hi = np.full(500, 0x4000, np.uint64)
    lo = np.uint64(0x8000 << 48) + numbers.astype(np.uint64)
    ts_ms = 1_766_836_800_000 + numbers
    expected, seen = [], set(range(300))
    for number in numbers.tolist():
        expected.append(number in seen)
        # Nothing of these lands, so only what is among the same block is known beside the table's.
        seen.add(number)
    assert known.find_repeated(hi, lo, ts_ms).tolist() == expected


def test_another_event_of_the_same_id_or_instant_is_no_copy(topic: Topic, client: Client) -> None:
    """An event is its id and its time: a broken client that gives all events one id loses none."""
    topic.send(3)
    again(topic, 0, 1, event_ts="2025-12-27 12:00:00.002")
    topic.put(0, *message(900, event_ts="2025-12-27 12:00:00.001"))
    report = land(topic, client)
    assert report.repeated == 0
    assert events(client) == 5


def test_a_copy_in_another_topic_counts_once(topic: Topic, client: Client) -> None:
    """A mirror, or a topic that was made again, brings the same events."""
    topic.send(30)
    land(topic, client)
    mirror = Topic(MemoryBroker(), "mirrored_clicks")
    mirror.send(33)
    loop = IngestLoop(mirror.source(), client, settings(topic="mirrored_clicks"), lookup=nobody)
    assert loop.run(threading.Event(), until_caught_up=True).repeated == 30
    assert events(client) == 33


def test_of_two_writers_that_land_an_event_at_once_one_is_marked(topic: Topic, client: Client) -> None:
    """Neither saw the other's row before it inserted; the one that looks after its insert finds both."""
    topic.send(30)
    land(topic, client)
    known = LandedEvents(client)
    known.load()
    _as_another_writer(client, 5)
    known.after_insert([("elsewhere", 0)])
    assert client.rows(REPEATED) == []  # its own rows it has checked before
    known = LandedEvents(client)
    known.load()
    assert client.rows(REPEATED) == [(0, 0)]
    _as_another_writer(client, 6, offset=1)
    known.after_insert([])
    assert client.rows(REPEATED) == [(0, 0), (0, 1)]
    assert events(client) == 30


def test_marking_twice_or_by_two_leaves_one(topic: Topic, client: Client) -> None:
    """All rows of before are marked an hour after the other; to do it again changes nothing."""
    topic.send(300)
    land(topic, client)
    for offset, number in enumerate((5, 5, 17, 299)):
        _as_another_writer(client, number, offset=offset)
    assert repeated_events.mark_all(client) == 4
    assert repeated_events.mark_all(client) == 0
    assert events(client) == 300


def test_a_replayed_dead_letter_that_has_landed_in_another_way_counts_once(topic: Topic, client: Client) -> None:
    """A broken message, its good copy, and both as dead letters come to life: one event each."""
    key, value = message(70)
    broken = prefix(orjson.dumps(event(70, campaign="xmas")), NEW)
    topic.send(3)
    topic.put(0, key, broken)
    topic.put(0, key, broken)
    topic.put(1, key, value)
    land(topic, client)
    assert client.command("SELECT count() FROM dvd_clicks_dead_letters") == 2
    report = dead_letters.replay(client, DeadLetterFilter(NAME), registry)
    assert report.landed == 2
    assert events(client) == 4
    # Ingest that runs on knows of what was replayed.
    topic.put(2, key, value)
    land(topic, client)
    assert events(client) == 4


def test_a_view_of_a_user_sees_each_event_once(topic: Topic, client: Client) -> None:
    """A materialized view that asks for good rows is given the mark with the row."""
    client.command(
        "CREATE MATERIALIZED VIEW mine ENGINE = SummingMergeTree ORDER BY film_id AS "
        "SELECT film_id, count() AS clicks FROM dvd_clicks_landing WHERE error = '' GROUP BY film_id"
    )
    topic.send(30)
    again(topic, 0, 3)
    land(topic, client)
    again(topic, 0, 3)
    land(topic, client)
    assert client.command("SELECT sum(clicks) FROM mine") == 30


def test_numbers_in_python_are_those_of_the_table(topic: Topic, client: Client) -> None:
    """Both sides compute them."""
    key, value = message(3, event_id="0f3a9c1e-77aa-4bcd-9123-456789abcdef")
    topic.put(0, key, value)
    land(topic, client)
    known = LandedEvents(client)
    known.load()
    whole = 0x0F3A9C1E77AA4BCD9123456789ABCDEF
    hi, lo = np.array([whole >> 64], np.uint64), np.array([whole & (2**64 - 1)], np.uint64)
    assert known.find_repeated(hi, lo, np.array([1_766_836_800_003])).tolist() == [True]
    assert keys(hi, lo, np.array([1_766_836_800_003])).tolist() == known._kept.tolist()


def _as_another_writer(client: Client, number: int, *, offset: int = 0) -> None:
    """A row as somebody else's process lands it who had not seen ours."""
    client.command(
        "INSERT INTO dvd_clicks_landing SELECT * REPLACE ('elsewhere' AS _topic_id, {offset:Int64} AS _offset, 0 AS _partition, "
        "now64(3) AS _inserted_at, '' AS error) FROM (SELECT * FROM dvd_clicks_landing WHERE user = {user:UInt64} LIMIT 1)",
        {"offset": offset, "user": number + 1},
    )
