"""The name of a run, and the runs that a home remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickreel.json_files import read_json, write_json
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream import saved_runs
from clickreel.stream.produce_request import ProduceStats


def name(**settings: object) -> str:
    """The run's name."""
    return World(WorldSettings(**settings)).run  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"flaws": "late=2%"}, {"flaws": "late=0.02"}),
        ({"flaws": "late=2.0%"}, {"flaws": " late = 0.02 "}),
        ({"flaws": "late=2%,duplicate=1%"}, {"flaws": "duplicate=0.01,late=0.02"}),
        ({"flaws": "late=2%"}, {"flaws": "late=0.01,late_batch=1%"}),
        ({"flaws": "late=0%"}, {}),
        ({"rate": 5}, {"rate": 5.0}),
        ({"scenario": "calm"}, {}),
        ({"churn": 0.05}, {}),
    ],
)
def test_one_meaning_has_one_name(one: dict[str, object], other: dict[str, object]) -> None:
    """However it is written, and whether a default is said or not."""
    assert name(**one) == name(**other)


@pytest.mark.parametrize(
    "changed", [{"seed": 2}, {"flaws": "late=2%"}, {"rate": 20.0}, {"mean_rate": 21.0}, {"users": 99}, {"films": 999}]
)
def test_another_world_has_another_name(changed: dict[str, object]) -> None:
    """Whatever changes an event."""
    assert name(**changed) != name()


def test_a_setting_that_is_added_changes_no_name() -> None:
    """Only what differs from its default is in the name: a setting that nobody has given is not."""
    assert WorldSettings().identity() == {}
    assert WorldSettings(seed=3, rate=5, flaws="late=2%").identity() == {
        "seed": 3,
        "rate": 5.0,
        "flaws": {"late": 0.01, "late_batch": 0.01},
    }


def test_a_run_that_an_earlier_version_named_is_found_by_its_settings(tmp_path: Path) -> None:
    """It goes on under its first name, in its topic; a run that was named by hand is not ours to take."""
    world = World(WorldSettings(seed=3, rate=5.0))
    saved = saved_runs.save_run(tmp_path, world, ProduceStats(world.run, "clicks"))
    entry = read_json(saved) | {"run": "s3-abcdef"}
    saved.unlink()
    earlier = saved_runs.run_path(tmp_path, "s3-abcdef")
    write_json(earlier, entry)
    assert saved_runs.find_renamed(tmp_path, world, "clicks") == "s3-abcdef"
    assert saved_runs.find_renamed(tmp_path, world, "other") is None
    assert saved_runs.find_renamed(tmp_path, World(WorldSettings(seed=4, rate=5.0)), "clicks") is None
    assert saved_runs.find_renamed(tmp_path, World(WorldSettings(seed=3, rate=5.0, run="mine")), "clicks") is None
    write_json(earlier, entry | {"model": 0})
    assert saved_runs.find_renamed(tmp_path, world, "clicks") is None
