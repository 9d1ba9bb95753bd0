"""Recommenders against slow twins, and what they reach on a world made on the spot."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from clickreel.errors import UsageError
from clickreel.insight.recommenders.click_sessions import ClickSessions, NextItemSplit, SessionSoFar
from clickreel.insight.recommenders.item_pairs import (
    CLICKS_GIVEN,
    FADE,
    LAGS,
    MET_SHRINK,
    SHRINK,
    CoVisitation,
    RulesAndList,
    SequentialRules,
)
from clickreel.insight.recommenders.next_item_evaluation import clicks_of_world, compare_methods, control, recommenders
from clickreel.insight.recommenders.oracle import NextFilmOracle
from clickreel.insight.recommenders.popular_items import SessionPopularity
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World


@pytest.fixture(scope="module")
def clicks() -> ClickSessions:
    """A week of 600 people and 120 films, no bots."""
    return clicks_of_world(World(WorldSettings(seed=3, users=600, films=120, bots=0.0)), days=7)


def _sessions(clicks: ClickSessions) -> list[list[int]]:
    parts: dict[int, list[int]] = defaultdict(list)
    for session, item in zip(clicks.session.tolist(), clicks.item.tolist(), strict=True):
        parts[session].append(item)
    return list(parts.values())


def test_clicks_are_sorted_and_know_the_list_they_were_made_in() -> None:
    """Sessions by their first click, clicks by time; a list begins where the rank falls, and ends at the click."""
    rows = [  # session, time, film, rank of a view or 0
        (7, 50, 900, 0),
        (5, 10, 100, 1), (5, 11, 200, 2), (5, 12, 200, 0), (5, 13, 300, 3), (5, 14, 300, 0),
        (5, 20, 400, 1), (5, 21, 500, 2), (5, 22, 400, 0),
        (9, 60, 100, 1),
    ]  # fmt: skip
    columns = [np.array(column, np.int64) for column in zip(*reversed(rows), strict=True)]
    clicks = ClickSessions.from_columns(columns[0], columns[2], columns[1], position=columns[3])
    films = {row: clicks.ids[clicks.so_far(row).shown].tolist() for row in range(len(clicks))}
    assert clicks.session.tolist() == [0, 0, 0, 1]
    assert clicks.ids[clicks.item].tolist() == [200, 300, 400, 900]
    assert films == {0: [100, 200], 1: [100, 200, 300], 2: [400, 500], 3: []}
    assert clicks.ids[clicks.so_far(2).opened].tolist() == [200, 300, 400]


def test_questions_are_the_clicks_of_the_last_fifth_that_have_one_after_them(clicks: ClickSessions) -> None:
    """All of the session so far is given, nothing of what is asked is learnt from."""
    split = NextItemSplit.from_clicks(clicks, questions_max=10**9)
    wanted = [
        (tuple(given[: place + 1]), given[place + 1])
        for given, times in zip(_sessions(clicks), np.split(clicks.ts_ms, clicks.starts[1:-1]), strict=True)
        for place in range(len(given) - 1)
        if times[place] >= split.cut_ms
    ]
    asked = [(tuple(split.given(q).opened.tolist()), int(item)) for q, item in enumerate(split.wanted)]
    assert asked == wanted
    assert int(split.train.ts_ms.max()) < split.cut_ms
    assert len(split.train) == int((clicks.ts_ms < split.cut_ms).sum())


def test_rules_are_the_votes_of_the_clicks(clicks: ClickSessions) -> None:
    """Each click of a session votes for what followed it, by 1 over the distance; the later one's vote counts more."""
    votes: dict[tuple[int, int], float] = defaultdict(float)
    times: Counter[int] = Counter()
    for items in _sessions(clicks):
        times.update(items)
        for place, item in enumerate(items):
            for lag, other in enumerate(items[place + 1 : place + 1 + LAGS], 1):
                votes[item, other] += 1 / lag
    rules = SequentialRules().fit(clicks)
    share = [times[item] / len(clicks) for item in range(clicks.items)]
    for given in sorted(_sessions(clicks), key=len)[-5:]:
        score = [
            sum(
                FADE**back * (votes[item, other] + SHRINK * share[other]) / (times[item] + SHRINK)
                for back, item in enumerate(given[::-1][:CLICKS_GIVEN])
            )
            for other in range(clicks.items)
        ]
        assert rules.score(SessionSoFar.from_items(given)) == pytest.approx(score, abs=1e-6)


def test_co_visitation_counts_shared_sessions(clicks: ClickSessions) -> None:
    """The films of the last one's sessions, without itself, and what popularity says."""
    met: dict[int, Counter[int]] = defaultdict(Counter)
    for items in _sessions(clicks):
        for item in set(items):
            met[item].update(set(items) - {item})
    share = np.bincount(clicks.item) / len(clicks)
    method = CoVisitation().fit(clicks)
    for item in range(0, clicks.items, 10):
        wanted = [(other != item) * (met[item][other] + MET_SHRINK * share[other]) for other in range(clicks.items)]
        assert method.score(SessionSoFar.from_items([0, item])) == pytest.approx(wanted)


def test_the_session_comes_first_in_session_popularity(clicks: ClickSessions) -> None:
    """By how often, then by popularity."""
    ranked = SessionPopularity().fit(clicks).rank(SessionSoFar.from_items([4, 9, 9]), 3).tolist()
    assert ranked[:2] == [9, 4]
    assert ranked[2] == int(np.argmax(np.where(np.isin(np.arange(clicks.items), [4, 9]), 0, np.bincount(clicks.item))))


def test_every_method_gives_films_once_and_the_same_when_asked_again(clicks: ClickSessions) -> None:
    """Lists are of films that exist; of a session of which nothing is known too."""
    for method in recommenders(clicks.items):
        method.fit(clicks)
        for session in (clicks.so_far(len(clicks) - 1), SessionSoFar.from_items([])):
            films = method.rank(session, 20)
            assert len(set(films.tolist())) == len(films) <= 20
            assert films.tolist() == method.rank(session, 20).tolist()
            assert ((films >= 0) & (films < clicks.items)).all()


def test_sequential_rules_beat_what_is_simpler_and_the_list_adds_to_them(clicks: ClickSessions) -> None:
    """Rules reach more than popularity and the session's own films, with the list more than all others; in a world of chance none is any better."""
    found = compare_methods(clicks, questions_max=1_000)
    reached = {one.name: one.mrr_20 for one in found.methods}
    assert reached["rules"] > 1.2 * max(reached["POP"], reached["S-POP"])
    assert reached.pop("rules+list") > 1.05 * max(reached.values())
    assert all(one.mrr_20_low < one.mrr_20 < one.mrr_20_high for one in found.methods)


def test_in_a_world_of_chance_nothing_is_better_or_worse_than_popularity() -> None:
    """The control: films dealt out anew. More than 1 would be a leak, less is what chance meetings mislead a method into."""
    clicks = clicks_of_world(World(WorldSettings(seed=1, users=2_000)), days=14)
    for name, value in control(clicks).items():
        assert 0.9 <= value <= 1.1, name


def test_the_weight_of_the_list_is_nothing_where_lists_say_nothing(clicks: ClickSessions) -> None:
    """It is learnt, so a log without structure is not believed to have one."""
    assert RulesAndList().fit(clicks).list_weight >= 2.0
    assert RulesAndList().fit(clicks.shuffled()).list_weight <= 1.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_beats_the_oracle(seed: int) -> None:
    """Who knows the world's model ranks better than all who learn from clicks, bots and pages landed on among them; and each method's share is known."""
    world = World(WorldSettings(seed=seed, users=500, films=150, bots=0.05))
    found = compare_methods(clicks_of_world(world, days=6), world=world, questions_max=300)
    assert found.oracle is not None
    for one in found.methods:
        assert one.mrr_20 < found.oracle.mrr_20, one.name
        assert one.share_of_oracle == pytest.approx(one.mrr_20 / found.oracle.mrr_20)
    assert found.oracle.hit_rate_20 > max(one.hit_rate_20 for one in found.methods)


def test_the_oracle_foretells_how_often_it_is_right() -> None:
    """Its chances are honest: the film it thinks likeliest is the next one as often as it says, and all chances of a question add up to one.

    Were something of the future used, it would be right more often than it says.
    """
    world = World(WorldSettings(seed=4, users=1_000, films=150, bots=0.0))
    split = NextItemSplit.from_clicks(clicks_of_world(world, days=6), questions_max=1_500)
    said, right = [], []
    for question, chance in NextFilmOracle(world, samples=128).chances(split):
        assert chance.sum() == pytest.approx(1.0)
        said.append(float(chance.max()))
        right.append(bool(chance.argmax() == split.wanted[question]))
    assert len(said) == len(split.asked)
    assert float(np.mean(right)) == pytest.approx(float(np.mean(said)), abs=0.04)


def test_too_few_questions_are_a_usage_error(clicks: ClickSessions) -> None:
    """Words instead of figures of nothing."""
    with pytest.raises(UsageError, match="next films to ask about"):
        compare_methods(clicks.take(np.arange(100)))
