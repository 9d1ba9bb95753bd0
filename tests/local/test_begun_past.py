"""The past that `up` begins with: which runs get one, and how far it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickreel.heartbeat import Heartbeat, read_pulse
from clickreel.local.home import Home
from clickreel.local.run_options import RUN_FILE, with_past
from tests.local.conftest import Cli, until


@pytest.mark.parametrize(
    ("options", "past", "rate", "begin"),
    [
        ({}, "14d", 2.0, "14d"),
        ({"rate": 50.0}, "14d", 50.0, "16h"),
        ({"rate": 5000.0}, "14d", 5000.0, None),
        ({}, "now", 2.0, None),
        ({"from": "3h"}, "14d", 2.0, "3h"),
        ({"from": "now"}, "14d", 2.0, "now"),
        ({"speed": 60.0}, "14d", 2.0, None),
        ({"profile": "client.properties"}, "14d", 2.0, None),
    ],
)
def test_a_new_run_has_a_past_of_bounded_size(
    options: dict[str, object], past: str, rate: float, begin: str | None, tmp_path: Path
) -> None:
    """Three million events at most; what is said about the begin holds; a Kafka of one's own gets none."""
    assert with_past(Home(tmp_path), options, past, rate).get("from") == begin


def test_a_run_that_is_remembered_goes_on(tmp_path: Path) -> None:
    """An `up` without options changes nothing; with options the run is a new one."""
    home = Home(tmp_path)
    home.make()
    home.write(RUN_FILE, {"rate": "5.0"})
    assert with_past(home, {"rate": None}, "14d", 2.0) == {"rate": None}
    assert with_past(home, {"rate": 6.0}, "14d", 6.0)["from"] == "138h"


def test_what_a_process_works_on_stands_in_its_heartbeat(tmp_path: Path) -> None:
    """Until it is over."""
    file = tmp_path / "heartbeat.json"
    beat = Heartbeat(file)
    beat.ready("s1", "writing the past, 10%")
    assert (read_pulse(file).ready, read_pulse(file).message) == (True, "writing the past, 10%")
    beat.ready("s1")
    assert read_pulse(file).message == ""


@pytest.mark.stack
def test_the_first_answers_come_from_the_past(cli: Cli) -> None:
    """What was asked is answered without waiting for the stream."""
    begun = cli("up", "--detach", "--no-console", CLICKREEL_LOCAL_PAST="26h")
    assert begun.returncode == 0, begun.stderr

    def events() -> int:
        found = cli("activity", "--since", "24h", "--json")
        return int(json.loads(found.stdout)["total"]["events"]) if found.returncode == 0 else 0

    until(lambda: events() > 100_000, 240)
    assert cli("recommend", "u_10").returncode == 0
