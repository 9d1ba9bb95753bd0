"""Materialized views of users on the landing table cost ingest nothing and hide nothing from it."""

from __future__ import annotations

import threading

import pytest

from clickreel.errors import ClickreelError
from clickreel.ingest.landing_table import FencedError
from clickreel.ingest.loop import IngestLoop
from clickreel.warehouse.client import Client
from tests.ingest.messages import Topic, land, nobody, offsets, settings

BY_FILM = (
    "CREATE TABLE by_film (film_id Int32, n UInt64) ENGINE = SummingMergeTree ORDER BY film_id",
    "CREATE MATERIALIZED VIEW count_films TO by_film AS SELECT film_id, count() AS n FROM dvd_clicks_landing GROUP BY film_id",
    "CREATE TABLE by_device (device String, n UInt64) ENGINE = SummingMergeTree ORDER BY device",
    "CREATE MATERIALIZED VIEW count_devices TO by_device AS SELECT device, count() AS n FROM dvd_clicks_landing GROUP BY device",
)
BROKEN = (
    "CREATE TABLE broken (n UInt8) ENGINE = MergeTree ORDER BY n",
    "CREATE MATERIALIZED VIEW break_it TO broken AS SELECT throwIf(film_id > 0, 'a view of a user') AS n FROM dvd_clicks_landing",
)


def create(client: Client, *statements: str) -> None:
    """Run statements."""
    for statement in statements:
        client.command(statement)


def test_rows_that_views_write_are_not_taken_for_landed_ones(topic: Topic, client: Client) -> None:
    """No block is uncertain, every offset lands once, and the views hold every row once."""
    create(client, *BY_FILM)
    topic.send(300)
    report = land(topic, client, flush_rows=60)
    assert (report.rows, report.restarts) == (300, 0)
    assert offsets(client) == {partition: list(range(100)) for partition in range(3)}
    assert client.rows("SELECT sum(n), (SELECT sum(n) FROM by_device) FROM by_film") == [(300, 300)]


def test_a_view_that_throws_costs_neither_the_table_nor_other_views_their_rows(topic: Topic, client: Client) -> None:
    """Ingest has no restart; the broken view alone is empty."""
    create(client, *BROKEN, *BY_FILM)
    topic.send(300)
    report = land(topic, client, flush_rows=60)
    assert (report.rows, report.restarts) == (300, 0)
    assert offsets(client) == {partition: list(range(100)) for partition in range(3)}
    assert client.rows("SELECT (SELECT sum(n) FROM by_film), (SELECT count() FROM broken)") == [(300, 0)]


def test_the_fence_holds_with_views_on_the_table(topic: Topic, client: Client) -> None:
    """Errors of views are ignored, and still a block of an old token is refused and nothing of it is stored, in no table."""
    create(client, *BY_FILM)
    topic.send(30)
    zombie = IngestLoop(topic.source(instance="zombie"), client, settings(), lookup=nobody)
    zombie._assigned(frozenset(range(3)), 1)
    for batch in zombie.source.poll(100, 0.1):
        zombie._append(batch)
    land(topic, client)
    with pytest.raises(FencedError):
        zombie._submit().result(60)
    zombie._inserter.shutdown()
    assert client.command("SELECT count() FROM dvd_clicks_landing") == 30
    assert client.command("SELECT sum(n) FROM by_film") == 30


def test_a_view_on_the_view_dvd_clicks_is_refused_with_the_statement_that_works(client: Client) -> None:
    """It would never fire."""
    client.command("CREATE TABLE t (film_id Int64) ENGINE = MergeTree ORDER BY film_id")
    with pytest.raises(ClickreelError, match="dvd_clicks_landing WHERE error = ''"):
        client.command("CREATE MATERIALIZED VIEW never TO t AS SELECT film_id FROM dvd_clicks")


def test_a_rival_group_that_lives_is_not_thrown_out(topic: Topic, client: Client) -> None:
    """The second one is refused before it takes a token; the first lands on."""
    topic.send(30)
    first = IngestLoop(topic.source(group="first"), client, settings(), lookup=nobody)
    stop = threading.Event()
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    try:
        while first.report.rows < 30:
            assert thread.is_alive()
        with pytest.raises(Exception, match=r"the group first .* lands partition"):
            land(topic, client, source=topic.source(group="second"))
        topic.send(30)
        while first.report.rows < 60:
            assert thread.is_alive()
    finally:
        stop.set()
        thread.join(60)
    assert first.report.restarts == 0
    assert offsets(client) == {partition: list(range(20)) for partition in range(3)}
