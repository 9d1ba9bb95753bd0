"""Settings of a world, scenarios, and what is refused."""

from typing import Any

import pytest

from clickreel.errors import UsageError
from clickreel.simulate import scenarios
from clickreel.simulate.delivery_flaws import FlawRates, parse
from clickreel.simulate.films import invent
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from tests.simulate.worlds import DAY_MS, MONDAY_MS


def load(flags: dict[str, Any] | None = None, world: dict[str, Any] | None = None, **environ: str) -> WorldSettings:
    """Settings out of flags, a project file's table and an environment."""
    return scenarios.load(flags, tables={"world": world or {}}, environ=environ)


def test_nothing_given_means_seven_thousand_people_and_two_events_a_second() -> None:
    """The default a person meets is small enough to see sessions in it."""
    made = World(load())
    assert made.users == 7000
    assert made.expected_rate == pytest.approx(2.0)
    assert not made.settings.flat


def test_an_identity_holds_what_changes_an_event_and_nothing_else() -> None:
    """Defaults, the run's name and the spelling of a number are no part of it; a rate that happens to be the default's is."""
    assert WorldSettings(run="demo", scenario="calm", weekly=True).identity() == {}
    assert WorldSettings(mean_rate=2).identity() == {"mean_rate": 2.0}  # 18,783 people, not 7,000
    assert WorldSettings(users=7000, bots=0.0).identity() == {"users": 7000, "bots": 0.0}


@pytest.mark.parametrize("zones", ["", "0", "0=0%", "15=10%", "0=50%,0=50%", "x=1", "0=2"])
def test_time_zones_that_make_no_sense_are_refused(zones: str) -> None:
    """With an example."""
    with pytest.raises(UsageError) as caught:
        WorldSettings(time_zones=zones)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rate": 5.0, "mean_rate": 5.0}, "both --rate 5 and --mean-rate 5"),
        ({"rate": 0.0}, "--rate is 0"),
        ({"rate": -1.0}, "--rate is -1"),
        ({"mean_rate": float("inf")}, "--mean-rate is inf"),
        ({"run": " "}, "the run's name is empty"),
        ({"flaws": "late=60%,duplicate=50%"}, "add up to 1.1"),
        ({"flaws": "late=120%"}, "late=120%"),
        ({"flaws": "late=-1%"}, "late=-1%"),
        ({"flaws": "late=2"}, "late=2"),
        ({"flaws": "late=nan"}, "late=nan"),
        ({"flaws": "late"}, "has 'late'"),
        ({"flaws": "lost=1%"}, "has 'lost=1%'"),
        ({"flaws": "late=1%,late=2%"}, "late twice"),
        ({"flaws": "late_batch=70%"}, "late_batch=0.7"),
    ],
)
def test_impossible_settings_are_refused_with_the_value_and_a_hint(settings: dict[str, Any], told: str) -> None:
    """What the value was, and what is allowed."""
    with pytest.raises(UsageError) as caught:
        WorldSettings(**settings)
    assert told in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "flags",
    [{"seed": -1}, {"users": 0}, {"films": 0}, {"rate": -2.0}, {"churn": 3.0}, {"ranker": 1.5}, {"users": "many"}],
)
def test_values_out_of_range_are_refused_where_they_are_read(flags: dict[str, Any]) -> None:
    """Flags, environment and project file share one check."""
    with pytest.raises(UsageError):
        load(flags)


def test_too_few_people_for_a_rate_are_refused_with_how_many_it_needs() -> None:
    """The hint is a number that works."""
    with pytest.raises(UsageError, match="3 users cannot make 5 events a second") as caught:
        World(WorldSettings(users=3, rate=5.0))
    needed = int(caught.value.hint.split()[1].rstrip(","))
    assert World(WorldSettings(users=needed, rate=5.0)).expected_rate == pytest.approx(5.0)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_small_catalogue_has_the_default_rate(count: int) -> None:
    """People who have few films to choose from make fewer events each, so there are more of them."""
    made = World(catalogue=invent(count))
    assert made.expected_rate == pytest.approx(2.0, rel=1e-3)
    assert made.users > 7000


def test_people_round_the_clock_make_the_rate_they_make() -> None:
    """Users and a rate together are refused there."""
    with pytest.raises(UsageError, match="round the clock"):
        World(WorldSettings(users=15, mean_rate=50.0, round_the_clock=True))


@pytest.mark.parametrize("name", scenarios.names())
def test_each_scenario_is_documented_and_makes_events(name: str) -> None:
    """Its file has a comment that says what it is, its settings are known, and the world is alive."""
    assert len(scenarios.about(name)) > 60
    made = World(load({"scenario": name, **({} if name == "tiny" else {"users": 500})}))
    assert made.settings.scenario == name
    assert len(made.deliveries(MONDAY_MS, MONDAY_MS + DAY_MS)) > 500


def test_the_seven_scenarios_are_there() -> None:
    """Their names are promised."""
    assert scenarios.names() == (
        "bot-swarm", "calm", "friday-night", "monster-session", "phones-come-back", "tiny", "viral-film",
    )  # fmt: skip


def test_tiny_is_fifteen_people_and_about_one_event_a_second() -> None:
    """The seed's own world."""
    made = World(load({"scenario": "tiny"}))
    count = len(made.events(MONDAY_MS, MONDAY_MS + DAY_MS))
    assert count / 86_400 == pytest.approx(1.0, abs=0.1)
    assert made.users == 15


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    """And with the nearest one."""
    with pytest.raises(UsageError, match="no scenario 'tinny'; did you mean tiny") as caught:
        load({"scenario": "tinny"})
    assert "bot-swarm" in caught.value.hint


def test_a_scenario_stands_below_flag_environment_and_project_file() -> None:
    """First found wins: flag, environment, project file, scenario, default."""
    assert load({"scenario": "viral-film"}).bursts_per_week == 7.0
    assert load({"scenario": "viral-film"}, {"bursts_per_week": 3.0}).bursts_per_week == 3.0
    assert load({"scenario": "viral-film"}, CLICKREEL_WORLD_BURSTS_PER_WEEK="4").bursts_per_week == 4.0
    assert load({"scenario": "viral-film", "bursts_per_week": 5.0}).bursts_per_week == 5.0
    assert load({}, {"scenario": "viral-film"}).bursts_per_week == 7.0
    assert load(CLICKREEL_WORLD_SCENARIO="viral-film").bursts_per_week == 7.0


def test_flaws_can_be_a_table_of_the_project_file() -> None:
    """The table says the same as the text; both at once are refused."""
    tables = {"flaws": {"late_batch": "1%", "malformed": 0.002}}
    assert scenarios.load({}, tables=tables, environ={}).flaw_rates == FlawRates(late_batch=0.01, malformed=0.002)
    assert scenarios.load({"flaws": "duplicate=1%"}, tables=tables, environ={}).flaw_rates == FlawRates(duplicate=0.01)
    with pytest.raises(UsageError, match="flaws twice"):
        scenarios.load({}, tables={**tables, "world": {"flaws": "late=1%"}}, environ={})


def test_late_alone_means_both_shapes() -> None:
    """Half one by one, half as batches; beside late_batch it is what it says."""
    assert parse("late=2%") == FlawRates(late=0.01, late_batch=0.01)
    assert parse("late=2%, late-batch=0.03") == FlawRates(late=0.02, late_batch=0.03)
    assert not parse("").any()


def test_a_rate_that_would_take_too_many_people_is_refused() -> None:
    """With the highest that is allowed."""
    with pytest.raises(UsageError, match="1e\\+06 events a second would take") as caught:
        World(WorldSettings(rate=1_000_000.0))
    assert "events a second" in caught.value.hint
