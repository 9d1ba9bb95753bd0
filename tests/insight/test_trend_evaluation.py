"""The yardstick of trending, and what is measured with it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from clickreel.cli.app import run
from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.insight import trend_rivals
from clickreel.insight.trend_evaluation import median, spells
from clickreel.insight.trend_truth import BurstTruth, simulate_openings
from clickreel.simulate.rhythm import DAY_MS, MINUTE_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World


@pytest.mark.parametrize(("usual", "risen", "minutes"), [(2.0, 40.0, 7.4), (5.0, 25.0, 30.0)])
def test_bound_of_a_rise_that_is_there_at_once(usual: float, risen: float, minutes: float) -> None:
    """ln(24,000 h) over the information an hour: from 2 to 40 people an hour 7.4 minutes, from 5 to 25 half an hour."""
    truth = BurstTruth(0, 0, "viral", np.full(2880, usual / 60), np.full(2880, (risen - usual) / 60))
    assert truth.constant_bound_min(24_000) == pytest.approx(minutes, abs=0.1)
    assert truth.bound_min(24_000) == pytest.approx(minutes, abs=1.0)


def test_a_rise_that_builds_up_is_bounded_later_and_one_that_is_none_never() -> None:
    """Information is gathered as the rise comes; without a rise there is none."""
    more = np.minimum(np.arange(2880) / 30, 1.0) * 38 / 60
    usual = np.full(2880, 2 / 60)
    assert BurstTruth(0, 0, "viral", usual, more).bound_min(24_000) > 15
    assert BurstTruth(0, 0, "viral", usual, np.zeros(2880)).bound_min(24_000) == np.inf


def test_openings_are_people_of_a_day_counted_one_by_one() -> None:
    """The matrix holds the first opening of each film by each person on each day, in its minute."""
    world = World(WorldSettings(users=300, films=50, seed=3))
    begin = 20_000 * DAY_MS
    openings = simulate_openings(world, begin, 2)
    events = world.events(begin, begin + 2 * DAY_MS)
    seen = set()
    right = np.zeros((2 * 1440, 50), int)
    for ts, film, user, kind in zip(events.ts_ms, events.film, events.user, events.event_type, strict=True):
        cell = (int(ts) // DAY_MS, int(film), int(user))
        if EVENT_TYPES[kind] == "detail_view" and cell not in seen:
            seen.add(cell)
            right[(int(ts) - begin) // MINUTE_MS, list(world.catalogue.film_id).index(film)] += 1
    assert right.sum() > 100
    assert (openings.counts == right).all()


def test_alarms_of_a_day_are_one_spell() -> None:
    """A pause of an hour does not end an alarm; two days do."""
    above = np.zeros((6000, 2), bool)
    above[[100, 160, 4000], 1] = True
    above[5, 0] = True
    assert spells(above).tolist() == [[0, 5, 5], [1, 100, 160], [1, 4000, 4000]]


def test_median_counts_what_is_never_found() -> None:
    """Of three bursts of which two are missed the median delay is infinite."""
    assert median(np.array([3.0, np.inf, np.inf])) == np.inf
    assert median(np.array([3.0, 5.0, np.inf])) == 5.0


def test_formulas_of_the_rivals() -> None:
    """One person an hour and a half ago, and ten now, by hand."""
    counts = np.zeros((2 * 1440, 1), np.uint16)
    counts[2000, 0] = 10
    assert trend_rivals.hacker_news(counts)[2000, 0] == pytest.approx(10 / 2.5**1.8, rel=1e-5)
    assert trend_rivals.hacker_news(counts)[2090, 0] == pytest.approx(10 / 3.5**1.8, rel=1e-5)
    assert trend_rivals.reddit_hot(counts)[2000, 0] == pytest.approx(1.0)
    # 12.5 hours later ten people are worth one.
    assert trend_rivals.reddit_hot(counts)[2000 + 375, 0] == pytest.approx(0.5, abs=1e-4)
    assert trend_rivals.z_score(counts)[2000, 0] == pytest.approx(10 / 0.1**0.5, rel=1e-5)


def test_the_command_judges_all_rules_on_the_same_bursts(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stack: every rule's scores, over the same number of bursts, the sum of its classes."""
    code = run(["trending", "--evaluate", "--seeds", "8", "--days", "12", "--users", "2000", "--json"])
    answer: Any = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [one["name"] for one in answer["methods"]] == [
        "sequential",
        "hourly share",
        "z-score",
        "Hacker News",
        "Reddit hot",
    ]
    assert len({one["all_bursts"]["bursts"] for one in answer["methods"]}) == 1
    for one in answer["methods"]:
        assert one["all_bursts"]["bursts"] == sum(part["bursts"] for part in one["classes"]) > 0
    ours = answer["methods"][0]
    assert ours["all_bursts"]["recall"] > 0
    assert ours["false_alarms_per_day"] <= 3


def test_seeds_that_are_none_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and what to give."""
    assert run(["trending", "--evaluate", "--seeds", "a-b"]) == 2
    assert "1-5" in capsys.readouterr().err
