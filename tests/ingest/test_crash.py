"""`kill -9` in every gap between the steps of the protocol: real processes, a real Kafka, a real ClickHouse engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from clickreel.ingest.failpoints import FAILPOINTS
from clickreel.ingest.run_ingest import IngestOptions, run_ingest
from clickreel.ingest.settings import IngestSettings
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from clickreel.warehouse.client import Client, connect
from tests.clickhouse.process import ClickHouse
from tests.conftest import Kafka
from tests.ingest.messages import message, offsets
from tests.warehouse.migrated import MigratedDatabase
from tests.warehouse.projections import check_projections

PARTITIONS = 3
ROWS = 3000

pytestmark = pytest.mark.stack


class Stage:
    """A topic with messages, a database, and the file that names both."""

    def __init__(self, kafka: Kafka, clickhouse: ClickHouse, migrated: MigratedDatabase, folder: Path) -> None:
        name = f"crash_{uuid.uuid4().hex[:10]}"
        self.topic, self.folder = name, folder
        self.profile = Profile(
            {"bootstrap.servers": kafka.bootstrap}, clickhouse_url=clickhouse.url, clickhouse_database=name
        )
        self.file = folder / "client.properties"
        self.file.write_text(
            f"bootstrap.servers={kafka.bootstrap}\nclickhouse.url={clickhouse.url}\nclickhouse.database={name}\n"
        )
        Cluster(self.profile).create(name, PARTITIONS, 1, {})
        self.client: Client = connect(self.profile, create=True)
        migrated.copy_into(self.client)
        self.sent = self.copies = 0

    def send(self, count: int) -> None:
        """Send good messages and every hundredth bad."""
        producer = Producer({"bootstrap.servers": self.profile.bootstrap, "linger.ms": 5})
        for number in range(self.sent, self.sent + count):
            key, value = message(number)
            producer.produce(self.topic, value[:-1] if number % 100 == 99 else value, key, number % PARTITIONS)
        assert producer.flush(120) == 0
        self.sent += count

    def repeat(self, count: int) -> None:
        """Deliver good messages of the beginning once more, in another partition."""
        producer = Producer({"bootstrap.servers": self.profile.bootstrap, "linger.ms": 5})
        for number in range(count):
            key, value = message(number)
            producer.produce(self.topic, value, key, (number + 1) % PARTITIONS)
        assert producer.flush(120) == 0
        self.copies += count

    def crash(self, fault: str) -> None:
        """Run ingest in a process of its own until it is killed at the point."""
        command = [sys.executable, "-m", "clickreel", "ingest", "--until-caught-up", "--profile", str(self.file)]
        command += [
            "--topic",
            self.topic,
            "--group",
            self.topic,
            "--flush-rows",
            "700",
            "--metrics-port",
            "-1",
            "--failpoint",
            fault,
        ]
        home = {"CLICKREEL_HOME": str(self.folder / "home")}
        done = subprocess.run(
            command, env={**os.environ, **home}, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    def finish(self) -> None:
        """Land the rest in this process."""
        settings = IngestSettings(topic=self.topic, group=self.topic, metrics_port=-1)
        run_ingest(self.profile, settings, IngestOptions(until_caught_up=True), stop=threading.Event())


@pytest.fixture
def stage(kafka: Kafka, clickhouse: ClickHouse, migrated: MigratedDatabase, tmp_path: Path) -> Stage:
    """A stage with messages."""
    stage = Stage(kafka, clickhouse, migrated, tmp_path)
    stage.send(ROWS)
    return stage


def check(stage: Stage) -> None:
    """Every offset is there once, no event counts twice, and every minute is counted from the projections as from the rows."""
    each = (stage.sent + stage.copies) // PARTITIONS
    assert offsets(stage.client) == {partition: list(range(each)) for partition in range(PARTITIONS)}
    good = stage.client.rows("SELECT count(), uniqExact(event_id) FROM dvd_clicks")
    assert good == [(stage.sent - stage.sent // 100,) * 2]
    assert stage.client.command("SELECT count() FROM dvd_clicks_dead_letters") == stage.sent // 100
    check_projections(stage.client)


@pytest.mark.parametrize("point", [point for point in FAILPOINTS if point not in {"during-repair", "before-mark"}])
def test_a_kill_between_two_steps_loses_and_doubles_nothing(stage: Stage, point: str) -> None:
    """The next process lands exactly the rest; what was delivered twice counts once."""
    stage.repeat(30)
    # The first time at a point is at the first block; the second time is with a block behind and one under way.
    stage.crash(
        point
        if point.startswith("after-") and point not in {"after-read", "after-insert", "after-commit"}
        else f"{point}:2"
    )
    stage.finish()
    check(stage)


def test_a_kill_while_a_hole_is_read_again_loses_and_doubles_nothing(stage: Stage) -> None:
    """Half a repair is a smaller hole."""
    stage.finish()
    stage.client.command("DELETE FROM dvd_clicks_landing WHERE _partition < 2 AND _offset BETWEEN 100 AND 199")
    stage.crash("during-repair:2")
    stage.finish()
    check(stage)


def test_a_kill_before_a_repeated_row_is_marked_is_made_up_for(stage: Stage) -> None:
    """Two writers have landed one event at the same time; the next process finds the two rows."""
    stage.finish()
    stage.client.command(
        "INSERT INTO dvd_clicks_landing SELECT * REPLACE ('elsewhere' AS _topic_id, now64(3) AS _inserted_at) "
        "FROM (SELECT * FROM dvd_clicks_landing WHERE error = '' LIMIT 5)"
    )
    events = "SELECT count(), uniqExact(event_id) FROM dvd_clicks"
    good = stage.sent - stage.sent // 100
    stage.crash("before-mark")
    assert stage.client.rows(events) == [(good + 5, good)]
    stage.finish()
    assert stage.client.rows(events) == [(good, good)]
    check_projections(stage.client)


def test_kills_one_after_the_other_lose_and_double_nothing(stage: Stage) -> None:
    """With messages coming in between."""
    for fault in ("during-insert", "after-insert:2"):
        stage.crash(fault)
        stage.send(PARTITIONS * 200)
    stage.finish()
    check(stage)
