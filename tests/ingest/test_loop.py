"""What ingest promises, on a broker in memory and a real ClickHouse engine."""

from __future__ import annotations

from typing import Any

import pytest

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.landing_table import FencedError, LandingTable
from clickreel.ingest.loop import IngestLoop
from clickreel.stream.broker import LostError
from clickreel.stream.source import OutOfRangeError
from clickreel.warehouse import migrate
from clickreel.warehouse.client import Client
from tests.ingest.messages import NAME, Topic, land, message, nobody, offsets, settings


def test_every_offset_is_landed_once_and_a_second_run_lands_what_came_since(topic: Topic, client: Client) -> None:
    """The next run finds its place in the table alone."""
    topic.send(100)
    first = land(topic, client)
    topic.send(50)
    second = land(topic, client)
    assert (first.rows, second.rows) == (100, 50)
    assert offsets(client) == {0: list(range(50)), 1: list(range(50)), 2: list(range(50))}


def test_nothing_new_inserts_nothing(topic: Topic, client: Client) -> None:
    """An idle topic makes no parts."""
    topic.send(3)
    land(topic, client)
    assert land(topic, client).inserts == 0


def test_one_insert_is_one_part(topic: Topic, client: Client) -> None:
    """What the fence view writes is not cut: a part is there whole or not at all."""
    topic.send(300)
    client.command("SYSTEM STOP MERGES dvd_clicks_landing")
    report = land(topic, client, flush_rows=60)
    parts = client.rows("SELECT _part, count() FROM dvd_clicks_landing GROUP BY _part")
    client.command("SYSTEM START MERGES dvd_clicks_landing")
    assert report.inserts > 1
    assert len(parts) == report.inserts


def test_events_land_as_they_are(topic: Topic, client: Client) -> None:
    """The view has the names and types of a ClickPipes table, at the edges of the columns too."""
    topic.put(1, *message(77, event_type="watch_trailer", page="film_detail", position=32767, user_id="u_9999999999"))
    land(topic, client)
    assert client.rows(
        "SELECT event_id, toString(event_ts), user_id, session_id, film_id, event_type, page, position, device, referrer, _key, "
        "_topic, _partition, _offset FROM dvd_clicks"
    ) == [
        (
            "00000000-0000-4000-8000-00000000004d",
            "2025-12-27 12:00:00.077000000",
            "u_9999999999",
            "s_0000004d",
            78,
            "watch_trailer",
            "film_detail",
            32767,
            "tablet",
            "recommendation",
            '"u_9999999999"',
            NAME,
            1,
            0,
        )
    ]


def test_a_bad_message_becomes_a_dead_letter_and_holds_up_nothing(topic: Topic, client: Client) -> None:
    """With field, rule and its bytes; null keys and values are told from empty ones."""
    topic.send(3)
    topic.put(0, b'"u_1"', b"\xffgarbage")
    topic.put(0, b'"u_1"', None)
    topic.put(0, None, message(5)[1])
    topic.send(3)
    report = land(topic, client)
    letters = client.rows(
        "SELECT _offset, error, field, rule, key, hex(value), value IS NULL FROM dvd_clicks_dead_letters ORDER BY _offset"
    )
    assert report.dead == 3
    assert letters == [
        (1, "contract", "value", "encoding", '"u_1"', b"\xffgarbage".hex().upper(), 0),
        (2, "contract", "value", "type", '"u_1"', None, 1),
        (3, "contract", "key", "type", None, message(5)[1].hex().upper(), 0),
    ]
    assert client.command("SELECT count() FROM dvd_clicks") == 6


def test_a_hole_is_found_at_the_start_and_read_again(
    topic: Topic, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the missing offsets are read, at the front as in the middle."""
    topic.send(300)
    land(topic, client)
    client.command(
        "DELETE FROM dvd_clicks_landing WHERE (_partition = 1 AND _offset BETWEEN 20 AND 39) OR (_partition = 2 AND _offset < 5)"
    )
    report = land(topic, client)
    assert report.repaired == 25
    assert offsets(client) == {partition: list(range(100)) for partition in range(3)}
    assert [record.offset for record in caplog.records if "reading them again" in record.message] == [20, 0]  # type: ignore[attr-defined]


def test_a_hole_behind_as_many_doubles_is_found(topic: Topic, client: Client) -> None:
    """The count alone would not show it."""
    topic.send(30)
    land(topic, client)
    client.command("DELETE FROM dvd_clicks_landing WHERE _partition = 0 AND _offset = 4")
    client.command(
        "INSERT INTO dvd_clicks_landing SELECT * FROM dvd_clicks_landing WHERE _partition = 0 AND _offset = 5"
    )
    with pytest.raises(ClickreelError, match="some are there twice"):
        land(topic, client)


def test_a_writer_whose_claim_is_not_the_newest_stores_nothing(topic: Topic, client: Client) -> None:
    """A process that was stopped before its insert and wakes up later is refused by the insert itself."""
    topic.send(30)
    zombie = IngestLoop(topic.source(instance="zombie"), client, settings(), lookup=nobody)
    zombie._assigned(frozenset(range(3)), 1)
    for batch in zombie.source.poll(100, 0.1):
        zombie._append(batch)
    land(topic, client)
    with pytest.raises(FencedError, match="another writer has claimed"):
        zombie._submit().result(60)
    zombie._inserter.shutdown()
    assert offsets(client) == {partition: list(range(10)) for partition in range(3)}


def test_a_member_that_slept_gives_way(topic: Topic, client: Client) -> None:
    """It claims, cannot prove its generation, and ends without a row."""
    topic.send(30)
    sleeper = topic.source(instance="sleeper")
    topic.source(instance="other")
    with pytest.raises(LostError):
        land(topic, client, source=sleeper)
    assert offsets(client) == {}


def test_a_topic_that_was_made_again_is_refused_and_then_landed_beside(topic: Topic, client: Client) -> None:
    """Its offsets begin anew; the topic id keeps the rows apart."""
    topic.send(30)
    land(topic, client)
    again = Topic(type(topic.broker)())
    again.send(9)
    with pytest.raises(ClickreelError, match="deleted and made again"):
        land(again, client)
    land(again, client, accept_new_topic=True)
    land(again, client)
    assert client.rows("SELECT count(), uniqExact(_topic_id) FROM dvd_clicks_landing") == [(39, 2)]


def test_deleted_offsets_stop_ingest_until_the_loss_is_accepted(topic: Topic, client: Client) -> None:
    """Nothing is skipped in silence; an accepted loss is not looked for again."""
    topic.send(30)
    land(topic, client)
    topic.send(30)
    topic.broker.truncate(NAME, 1, 15)
    with pytest.raises(
        OutOfRangeError, match="must go on at offset 10, but it holds 15 to 19: Kafka deleted 5 events before landing"
    ):
        land(topic, client)
    land(topic, client, accept_loss=True)
    topic.send(3)
    land(topic, client)
    assert offsets(client)[1] == [*range(10), *range(15, 21)]


def test_landed_offsets_that_kafka_has_lost_stop_ingest(topic: Topic, client: Client) -> None:
    """Going on would give old offsets to new events."""
    topic.send(30)
    land(topic, client)
    del topic.broker._topics[NAME].logs[2][5:]
    with pytest.raises(OutOfRangeError, match="Kafka has lost events that are landed"):
        land(topic, client)


def test_a_clickhouse_that_goes_away_is_waited_for(
    topic: Topic, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are lost before and after the block was stored."""
    topic.send(90)
    insert, failures = LandingTable.insert, iter((False, True, False, True, True))

    def lossy(self: LandingTable, made: Any, **options: Any) -> None:
        """Every second answer is lost, once after the block was stored."""
        if next(failures, False):
            insert(self, made, **options)
            raise UnreachableError("the answer was lost")
        insert(self, made, **options)

    monkeypatch.setattr(LandingTable, "insert", lossy)
    freshness = Freshness()
    report = land(topic, client, flush_rows=30, freshness=freshness)
    assert report.restarts >= 1
    assert freshness.state()["errors"]["unreachable"] == report.restarts
    assert offsets(client) == {partition: list(range(30)) for partition in range(3)}


def test_raw_bytes_are_kept_when_wanted(topic: Topic, client: Client) -> None:
    """Those of good messages too."""
    topic.send(2)
    land(topic, client, keep_raw=True)
    rows = client.rows("SELECT raw_key, raw_value FROM dvd_clicks_landing ORDER BY event_id")
    assert rows == [tuple(text.decode() for text in message(number)) for number in range(2)]


def test_rows_that_have_expired_are_not_landed_again(topic: Topic, client: Client) -> None:
    """Neither the oldest when some are left, nor all when none is."""
    topic.send(30)
    land(topic, client)
    migrate.set_ttl(client, rows_days=100_000, raw_days=None)
    land(topic, client)
    client.command("DELETE FROM dvd_clicks_landing WHERE _offset < 4")
    topic.send(3)
    assert land(topic, client).repaired == 0
    assert offsets(client) == {partition: list(range(4, 11)) for partition in range(3)}
    client.command("TRUNCATE TABLE dvd_clicks_landing")
    topic.send(3)
    land(topic, client)
    # The last claim was made before offset 10 came: it lands once more, in the place of its expired row.
    assert offsets(client) == {partition: [10, 11] for partition in range(3)}


def test_a_table_that_does_not_sync_is_told(topic: Topic, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Once; ingest goes on."""
    client.command("ALTER TABLE dvd_clicks_landing MODIFY SETTING fsync_after_insert = 0")
    topic.send(3)
    assert land(topic, client).rows == 3
    assert sum("fsync_after_insert is off" in record.message for record in caplog.records) == 1
