"""A client of Kafka that goes silent is replaced; what was landed tells whether ingest lives."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clickreel.errors import UnreachableError
from clickreel.heartbeat import Heartbeat, read_pulse
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.landing_table import FencedError, FencingToken, LandingTable
from clickreel.ingest.loop import IngestLoop
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.single_consumer import SingleConsumerSource
from clickreel.stream.source import Assignment
from clickreel.warehouse.client import Client
from tests.ingest.messages import Topic, land, nobody, offsets, settings


class SilentSource(SingleConsumerSource):
    """A client that has stopped to bring records, until it is replaced."""

    is_silent = True

    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """Nothing, and no end of a partition."""
        return [] if self.is_silent else super().poll(limit, timeout_s)

    def reopen(self) -> None:
        """The new client works."""
        self.is_silent = False
        super().reopen()


class LonelySource(SingleConsumerSource):
    """A client that polls for an assignment for ever, until it is replaced."""

    is_lonely = True

    def assignment(self, timeout_s: float) -> Assignment:
        """None, as with a group that has lost its coordinator."""
        time.sleep(min(timeout_s, 0.01))
        return Assignment(0, frozenset(), -1) if self.is_lonely else super().assignment(timeout_s)

    def reopen(self) -> None:
        """The new client works."""
        self.is_lonely = False
        super().reopen()


@pytest.mark.parametrize("kind", [SilentSource, LonelySource])
def test_a_client_that_brings_nothing_is_replaced(
    topic: Topic,
    client: Client,
    kind: type[SingleConsumerSource],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said, and everything lands once."""
    monkeypatch.setattr("clickreel.ingest.loop._LOOK_AHEAD_S", 0.05)
    topic.send(30)
    freshness = Freshness()
    report = land(topic, client, source=kind(topic.broker, topic.name), watchdog_s=0.3, freshness=freshness)
    assert report.restarts == 1
    assert freshness.state()["errors"]["stalled"] == 1
    assert sum("connecting anew" in record.getMessage() for record in caplog.records) == 1
    assert offsets(client) == {partition: list(range(10)) for partition in range(3)}


def test_a_quiet_topic_is_no_silent_client(topic: Topic, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is due: progress is said and no client is replaced, however long it lasts."""
    monkeypatch.setattr("clickreel.ingest.loop._LOOK_AHEAD_S", 0.05)
    topic.send(3)
    loop = IngestLoop(topic.source(), client, settings(), lookup=nobody, watchdog_s=0.2)
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,), daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    began_s = time.monotonic()
    while loop.report.rows < 3 or loop._alive_s < began_s + 1.0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stop.set()
    thread.join(60)
    assert loop.report.restarts == 0


def test_the_first_assignment_is_what_ready_means(topic: Topic, client: Client, tmp_path: Path) -> None:
    """The heartbeat says so, and when something was landed last."""
    file = tmp_path / "heartbeat.json"
    before = time.time()
    topic.send(3)
    with Heartbeat(file) as heartbeat:
        land(topic, client, heartbeat=heartbeat)
        deadline = time.monotonic() + 60
        while not read_pulse(file).ready:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    pulse = read_pulse(file)
    assert pulse.ready
    assert pulse.progress >= before


def test_a_fence_that_is_met_while_clickhouse_is_away_does_not_end_ingest(
    topic: Topic, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who the other writer is cannot be asked: step 1 asks again."""
    topic.send(30)
    insert, tokens = LandingTable.insert, LandingTable.newest_tokens
    met: list[str] = []

    def fenced_once(self: LandingTable, block: Any, **options: Any) -> None:
        if not met:
            met.append("fence")
            raise FencedError("another writer has claimed a partition")
        insert(self, block, **options)

    def away_once(self: LandingTable) -> dict[int, FencingToken]:
        if met == ["fence"]:
            met.append("away")
            raise UnreachableError("ClickHouse does not answer")
        return tokens(self)

    monkeypatch.setattr(LandingTable, "insert", fenced_once)
    monkeypatch.setattr(LandingTable, "newest_tokens", away_once)
    assert land(topic, client).restarts == 1
    assert met == ["fence", "away"]
    assert offsets(client) == {partition: list(range(10)) for partition in range(3)}
