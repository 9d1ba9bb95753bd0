from dataclasses import asdict, replace
from pathlib import Path

import pytest

from clickreel.audit.realism.fitting import FittedWorld, LogStatistics, fit_world, statistics_of_world
from clickreel.errors import UsageError
from clickreel.json_files import write_json
from clickreel.simulate.settings import WorldSettings


def test_a_world_s_own_statistics_are_met_within_a_tenth() -> None:
    """Another seed's world with a quicker pace, longer sessions and another clock is found again, and its settings nearly so."""
    wanted = WorldSettings(users=1200, seed=9, dwell_factor=0.7, page_again=0.35, time_zone_h=3.0)
    theirs = statistics_of_world(wanted, 5)
    found = fit_world(theirs, theirs, users=800, days=5)
    assert found.ok, found.deviations()
    assert found.settings["dwell_factor"] == pytest.approx(0.7, rel=0.15)
    assert found.settings["page_again"] == pytest.approx(0.35, rel=0.2)
    assert found.settings["time_zone_h"] in {2.0, 3.0, 4.0}
    assert "dwell_factor = " in found.toml()


def test_what_is_off_is_not_ok(tmp_path: Path) -> None:
    """Statistics travel as a file; one that is a fifth higher than the world's is named."""
    ours = LogStatistics(4.0, 9.0, 60.0, 1100.0, 0.2, 20.0, 0.6, 2.0)
    write_json(tmp_path / "stats.json", asdict(ours))
    assert LogStatistics.from_json(tmp_path / "stats.json") == ours
    assert FittedWorld({}, ours, ours).ok
    other = FittedWorld({}, ours, replace(ours, repeats=0.25))
    assert not other.ok
    assert other.deviations()["repeats"] == pytest.approx(-0.2)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no statistics"):
        LogStatistics.from_json(tmp_path / "bad.json")
