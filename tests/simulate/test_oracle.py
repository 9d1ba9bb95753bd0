"""The vectorised model and the scalar oracle agree, event for event."""

import numpy as np
import pytest

from clickreel.simulate.traffic import Episodes, session_numbers
from clickreel.simulate.world import World
from tests.simulate import oracle
from tests.simulate.worlds import DAY_MS, MONDAY_MS, world

DAY = MONDAY_MS // DAY_MS + 2
WORLDS = {
    "people": {"users": 300, "films": 120, "mean_rate": 0.06, "seed": 11},
    "few films": {"users": 120, "films": 7, "mean_rate": 0.015, "seed": 12},
    "bursts everywhere": {
        "users": 200,
        "films": 300,
        "mean_rate": 0.05,
        "seed": 13,
        "bursts_per_week": 20.0,
        "burst_peak": 0.7,
    },
    "bots and endless ones": {
        "users": 60,
        "films": 100,
        "mean_rate": 0.12,
        "seed": 16,
        "bots": 0.6,
        "monsters": 0.1,
        "session_cap_min": 90,
    },
    "random order": {
        "users": 200,
        "films": 101,
        "mean_rate": 0.04,
        "seed": 15,
        "random_lists": 0.9,
        "time_zone_h": 5.5,
    },
    "one film": {"users": 100, "films": 1, "seed": 16, "mean_rate": 0.006},
}


@pytest.mark.parametrize("name", WORLDS)
def test_episodes_and_their_events_agree_with_the_oracle(name: str) -> None:
    """Every person's day, lived through in plain Python, has the episodes and the events of the product, in every column."""
    made = world(**WORLDS[name])
    days = (DAY, DAY + 1)
    episodes = made.timeline.episodes(DAY * DAY_MS, (DAY + 2) * DAY_MS)
    expected = oracle.episodes(made, days)
    columns = (
        episodes.start_ms,
        episodes.user,
        episodes.of_day,
        episodes.wanted,
        episodes.bot,
        episodes.bound_ms,
        episodes.device,
    )
    actual = list(zip(*(column.tolist() for column in columns), strict=True))
    assert [(e.start_ms, e.user, e.of_day, e.wanted, e.bot, e.bound_ms, e.device) for e in expected] == actual
    assert len(expected) > 20
    numbers = [
        session_numbers(made.settings.seed, np.repeat(number, 2), np.array([False, True])).tolist()
        for number in episodes.number
    ]
    lived = [oracle.Browser(made, e, pair).live() for e, pair in zip(expected, numbers, strict=True)]
    assert sorted(event for events in lived for event in events) == _events(made, episodes)


def _events(made: World, episodes: Episodes) -> list[oracle.Event]:
    rows: list[oracle.Event] = []
    for part in made.model.expand(episodes):
        columns = (getattr(part.events, name).tolist() for name in part.events.__slots__)
        rows += zip(*columns, strict=True)
    return sorted(rows)


def test_the_oracle_is_not_empty_in_any_branch() -> None:
    """The worlds above hold each event type, each page and each kind of session, so agreement means something."""
    kinds, pages = set(), set()
    for name in ("people", "random order"):
        made = world(**WORLDS[name])
        events = made.events(DAY * DAY_MS, (DAY + 2) * DAY_MS)
        kinds |= set(np.unique(events.event_type).tolist())
        pages |= set(np.unique(events.page).tolist())
    assert kinds == {0, 1, 2, 3}
    assert pages == {0, 1, 2, 3, 4}
