"""`ingest`, `verify`, `dead-letters` and `warehouse` as they are typed, on a real topic with every flaw."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from clickreel.cli.app import run
from clickreel.ingest.ingest_status import status_file
from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.simulate.films import invent
from clickreel.stream.cluster import Cluster
from clickreel.warehouse.client import connect
from tests.clickhouse.process import ClickHouse
from tests.conftest import Kafka

pytestmark = pytest.mark.stack

FLAWS = "late=2%,duplicate=2%,malformed=3%"


class Shell:
    """Types commands against a topic and a database of its own."""

    def __init__(
        self, kafka: Kafka, clickhouse: ClickHouse, folder: Path, capsys: pytest.CaptureFixture[str], home: Home
    ) -> None:
        name = f"typed_{uuid.uuid4().hex[:10]}"
        self.topic, self.home, self._capsys = name, home, capsys
        self.profile = Profile(
            {"bootstrap.servers": kafka.bootstrap}, clickhouse_url=clickhouse.url, clickhouse_database=name
        )
        self.file = folder / "client.properties"
        self.file.write_text(
            f"bootstrap.servers={kafka.bootstrap}\nclickhouse.url={clickhouse.url}\nclickhouse.database={name}\n"
        )
        Cluster(self.profile).create(name, 3, 1, {"retention.ms": "-1"})

    def __call__(self, *words: str) -> tuple[int, Any]:
        """Exit code and JSON of a command."""
        code = run([*words, "--profile", str(self.file), "--topic", self.topic, "--json"])
        lines = self._capsys.readouterr().out.splitlines()
        return code, json.loads(lines[-1]) if lines else None


@pytest.fixture
def shell(
    kafka: Kafka,
    clickhouse: ClickHouse,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell whose topic holds a run."""
    monkeypatch.setenv("CLICKREEL_HOME", str(home.path))
    shell = Shell(kafka, clickhouse, tmp_path, capsys, home)
    code, made = shell(
        "produce", "--from", "2h", "--count", "3000", "--seed", "7", "--flaws", FLAWS, "--run", shell.topic
    )
    assert (code, made["acknowledged"]) == (0, 3000)
    code, landed = shell("ingest", "--until-caught-up", "--group", shell.topic, "--metrics-port", "-1")
    assert (code, landed["rows"]) == (0, 3000)
    return shell


def test_a_flawed_run_is_equal_on_all_sides_and_its_dead_letters_are_the_ledgers(shell: Shell) -> None:
    """The run's settings are found where the producer has left them; a bad row ends verify with 6."""
    code, report = shell("verify", "--run", shell.topic)
    assert (code, report["ok"]) == (0, True)
    assert sum(one["landed"] for one in report["partitions"]) == 3000
    assert report["dead"]
    assert all(one["expected"] == one["landed"] for one in report["dead"])
    client = connect(shell.profile)
    client.command("DELETE FROM dvd_clicks_landing WHERE _partition = 1 AND _offset = 3")
    code, report = shell("verify", "--run", shell.topic, "--wait", "0.1")
    assert (code, report["ok"]) == (6, False)
    assert [one["offset"] for one in report["examples"]] == [3]


def test_dead_letters_are_counted_shown_and_judged_again(shell: Shell) -> None:
    """No schema brings what the simulator has broken to life."""
    code, found = shell("dead-letters", "list")
    assert code == 0
    assert 30 < found["dead_letters"] < 200
    code, letter = shell("dead-letters", "show", "--limit", "1")
    assert (code, {"offset", "field", "rule", "reason", "value"} <= letter.keys()) == (0, True)
    code, report = shell("dead-letters", "replay")
    assert (code, report["looked"], report["landed"]) == (0, found["dead_letters"], 0)


def test_a_replay_by_another_schema_is_no_difference(shell: Shell, tmp_path: Path) -> None:
    """A replayed row says by which schema, and verify judges by that; the ledger's dead letters are accounted for."""
    lax = tmp_path / "lax.json"
    lax.write_text(
        json.dumps({"type": "object", "properties": {name: {} for name in ("position", "device", "referrer", "page")}})
    )
    code, replayed = shell("dead-letters", "replay", "--schema", str(lax))
    assert code == 0
    code, report = shell("verify", "--run", shell.topic)
    assert (code, report["ok"]) == (0, True), report["examples"]
    assert sum(one["replayed"] for one in report["dead"]) == replayed["landed"]


def test_ingest_says_how_it_stands(shell: Shell) -> None:
    """In a file of the home, for status and monitor; events of the past have no freshness."""
    state = json.loads(status_file(shell.home.path, shell.topic).read_text())
    assert (state["topic"], state["rows"], state["running"]) == (shell.topic, 3000, False)
    assert {"partition", "next", "high"} <= state["partitions"][0].keys()
    assert "p50_ms" not in state["partitions"][0]
    assert sum(partition["next"] for partition in state["partitions"]) == 3000


def test_the_films_are_those_of_the_run(shell: Shell) -> None:
    """Titles depend on the seed; the producer has left it."""
    code, made = shell("warehouse", "films")
    assert (code, made["films"]) == (0, 1000)
    title = connect(shell.profile).command("SELECT dictGet('dvd_films', 'film_title', 5)")
    assert title == invent(1000, 7).title[4]


def test_a_run_that_was_not_produced_here_is_asked_for(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage, with what to give."""
    assert run(["verify", "--run", "nobody", "--topic", shell.topic, "--profile", str(shell.file)]) == 2
    assert "hint: give the run's settings and --from, or --foreign" in capsys.readouterr().err
