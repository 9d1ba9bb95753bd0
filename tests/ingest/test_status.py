"""How ingest stands, as others read it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clickreel.cli.stack_commands import _landed
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.ingest_status import read_status, status_file
from clickreel.ingest.insert_block import InsertBlock
from clickreel.stream.throughput_monitor import HighHistory, IntervalStats, as_json


def state(**changes: Any) -> dict[str, Any]:
    """What a process that lands two partitions, one of them live, writes."""
    freshness = Freshness()
    freshness.assigned("dvd_clicks", {0: 0, 1: 0}, {0: 0, 1: 0})
    now_ms = time.time_ns() // 1_000_000
    made = InsertBlock(
        (), b"", 3, {1: (0, 2)}, {("contract", "page", "enum"): 1}, {1: np.array([now_ms - 90, now_ms - 100, -1])}, {}
    )
    freshness.landed(made, now_ms, now_ms - 20)
    return {**freshness.state(), "running": True, **changes}


def write(home: Path, topic: str, text: str) -> None:
    """Put down what an ingest of the topic has written."""
    status_file(home, topic).parent.mkdir(exist_ok=True)
    status_file(home, topic).write_text(text, encoding="utf-8")


def test_ingests_of_two_topics_do_not_hide_each_other(tmp_path: Path) -> None:
    """Each writes a file of its own; the end of one says nothing about the other."""
    write(tmp_path, "dvd_clicks", json.dumps(state()))
    write(tmp_path, "other", json.dumps(state(topic="other", rows=7)))
    assert [(read_status(tmp_path, topic) or {}).get("rows") for topic in ("dvd_clicks", "other")] == [3, 7]
    write(tmp_path, "other", json.dumps(state(topic="other", running=False)))
    assert read_status(tmp_path, "other") is None
    assert (read_status(tmp_path, "dvd_clicks") or {})["rows"] == 3


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({}, True),
        ({"running": False}, False),
        ({"topic": "another"}, False),
        ({"at_ms": (time.time() - 60) * 1000}, False),  # left behind by a process that was killed
    ],
)
def test_only_a_running_ingest_of_the_topic_is_told(tmp_path: Path, changes: dict[str, Any], there: bool) -> None:
    """A stale file, another topic and an ended process say nothing."""
    write(tmp_path, "dvd_clicks", json.dumps(state(**changes)))
    assert (read_status(tmp_path, "dvd_clicks") is not None) is there


@pytest.mark.parametrize("text", [None, "", "{"])
def test_no_file_or_half_a_file_is_no_ingest(tmp_path: Path, text: str | None) -> None:
    """Nothing raises."""
    if text is not None:
        write(tmp_path, "dvd_clicks", text)
    assert read_status(tmp_path, "dvd_clicks") is None


def test_status_and_monitor_tell_the_quantiles() -> None:
    """Of all partitions together and of each; of one without records none."""
    found = state()
    assert (
        _landed(found)
        == "landed 3 rows since its start, 1 of them dead letters; queryable after 90 ms (p50), 100 ms (p99)"
    )
    ages = HighHistory()
    ages.add(100.0, [0, 3])
    ages.add(107.0, [4, 5])
    second = IntervalStats(0, 1.0, [0, 2], [0, 9], 2.0, None, [0, 0], [], [], [4, 5], ages)
    told = as_json(second, found)
    partitions = told["partitions"]
    assert isinstance(partitions, list)
    assert (told["queryable_p50_ms"], told["queryable_p99_ms"]) == (90, 100)
    assert [one["queryable_p99_ms"] for one in partitions] == [None, 100]
    assert as_json(second)["queryable_p99_ms"] is None
    assert (told["landing_lag"], told["landing_lag_s"]) == (6, 7.0)
    assert [(one["landing_lag"], one["landing_lag_s"]) for one in partitions] == [(4, 7.0), (2, 7.0)]
    assert as_json(second)["landing_lag"] is None


def test_the_age_of_an_offset_is_known_from_when_the_end_passed_it() -> None:
    """Nothing waits: 0. Written before the watching began: not known. A partition that was added: since it was seen."""
    ages = HighHistory()
    for at_s, highs in ((10.0, [5]), (20.0, [8]), (30.0, [8, 3])):
        ages.add(at_s, highs)
    assert [ages.age_s(0, offset) for offset in (4, 5, 7, 8, 9)] == [None, 20.0, 20.0, 0.0, 0.0]
    assert (ages.age_s(1, 3), ages.age_s(1, 0)) == (0.0, None)


def test_a_backfill_has_no_freshness() -> None:
    """Its records are days old when they land: how long that took is no figure of anybody's wait."""
    freshness = Freshness()
    freshness.assigned("dvd_clicks", {0: 0}, {0: 0})
    now_ms = time.time_ns() // 1_000_000
    old = np.array([now_ms - 2_362_927_824] * 3)
    freshness.landed(InsertBlock((), b"", 3, {0: (0, 2)}, {}, {0: old}, {}), now_ms, now_ms - 20)
    found = freshness.state()
    assert found["catching_up"]
    assert "p50_ms" not in found
    assert "p50_ms" not in found["partitions"][0]
    assert _landed(found) == "landed 3 rows since its start, 0 of them dead letters; catching up with the past"
