import math
from dataclasses import replace
from pathlib import Path

import pytest

from clickreel.audit.realism.fitting import FittedWorld, LogStatistics, fit_world, statistics_of_world
from clickreel.errors import UsageError
from clickreel.json_files import write_json
from clickreel.simulate.settings import WorldSettings


def test_a_world_s_own_statistics_are_met_within_a_tenth() -> None:
    """Another seed's world, unlike the default in pace, repeats, popularity, rhythm and returns, is found again, and its settings nearly so."""
    wanted = WorldSettings(
        users=3000,
        seed=9,
        dwell_factor=0.7,
        page_again=0.35,
        time_zone_h=3.0,
        popularity=0.8,
        day_swing=0.6,
        week_swing=2.0,
        events_per_user=5.0,
    )
    theirs = statistics_of_world(wanted, 14)
    found = fit_world(theirs, theirs)
    assert found.ok, found.deviations()
    assert found.deviations().keys() >= {"top_share", "busy_hours", "weekend", "returns"}
    for name, tolerance in {"dwell_factor": 0.15, "page_again": 0.2, "popularity": 0.2, "events_per_user": 0.3}.items():
        assert found.settings[name] == pytest.approx(getattr(wanted, name), rel=tolerance), name
    assert found.settings["time_zone_h"] in {2.0, 3.0, 4.0}
    assert "dwell_factor = " in found.toml()


def test_what_is_off_is_not_ok(tmp_path: Path) -> None:
    """Statistics travel as a file; one that is a fifth higher than the world's is named."""
    ours = LogStatistics(4.0, 9.0, 60.0, 1100.0, 0.2, 20.0, 0.6, 2.0)
    write_json(tmp_path / "stats.json", ours.as_json())
    assert LogStatistics.from_json(tmp_path / "stats.json").drift == ours.drift
    assert FittedWorld({}, ours, ours).ok
    other = FittedWorld({}, ours, replace(ours, repeats=0.25))
    assert not other.ok
    assert other.deviations()["repeats"] == pytest.approx(-0.2)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no statistics"):
        LogStatistics.from_json(tmp_path / "bad.json")


def test_what_a_log_does_not_say_is_not_fitted(tmp_path: Path) -> None:
    """Five days have no week, and a log of sessions has no returns: neither is judged, and neither stands in the file as a number."""
    theirs = statistics_of_world(WorldSettings(users=800), 5)
    unknown = replace(theirs, returns=math.nan)
    assert math.isnan(unknown.weekend)
    write_json(tmp_path / "stats.json", unknown.as_json())
    assert "NaN" not in (tmp_path / "stats.json").read_text()
    again = LogStatistics.from_json(tmp_path / "stats.json")
    assert math.isnan(again.weekend)
    assert not FittedWorld({}, theirs, again).deviations().keys() & {"weekend", "returns"}
