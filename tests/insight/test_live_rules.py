"""The live model against the statement, and against the rules learnt anew."""

from __future__ import annotations

import time

import numpy as np
import pytest

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.insight import recommend
from clickreel.insight.recommenders.click_sessions import ClickSessions, SessionSoFar
from clickreel.insight.recommenders.item_pairs import SequentialRules
from clickreel.insight.recommenders.live_rules import LiveRecommender, LiveRules
from clickreel.insight.window import window
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import DAY_MS, land, told


def test_lists_are_those_of_the_warehouse(landed: Landed) -> None:
    """For people and for sessions the scores are what the statement gives."""
    span = window(landed.client, DAYS * DAY_MS, now_ms=END_MS, end_ms=END_MS)
    opened = landed.events.take(landed.events.event_type == EVENT_TYPES.index("detail_view"))
    with LiveRecommender(landed.client, span, look_s=3600.0) as live:
        assert live.rules.clicks == len(opened)
        for user in np.unique(opened.user)[::80].tolist():
            wanted = recommend.for_user(landed.client, user, span, limit=10).films
            assert [score for _, score in live.for_user(user)] == pytest.approx([one.score for one in wanted], abs=1e-6)
        for films in ([3], [5, 9, 5], [17, 40, 41]):
            wanted = recommend.for_session(landed.client, films, span, limit=10).films
            assert [score for _, score in live.for_session(films)] == pytest.approx([one.score for one in wanted])


def test_a_click_counts_when_it_has_landed(empty: Client) -> None:
    """Of a person of whom nothing was known, the list changes without being made anew, and never has what they opened."""
    rows = [
        (END_MS - DAY_MS + 60_000 * visit + 1_000 * place, visit, visit, film, "detail_view")
        for visit in range(60)
        for place, film in enumerate((1, 2, 3) if visit % 3 else (7, 8, 9))
    ]
    land(empty, told(*rows))
    with LiveRecommender(empty, window(empty, DAYS * DAY_MS, now_ms=END_MS), look_s=0.05) as live:
        assert live.for_user(999)[0][0] in (1, 2, 3)
        land(empty, told((END_MS - 1000, 999, 999, 7, "detail_view")), first_offset=len(rows))
        deadline = time.monotonic() + 60
        while live.for_user(999)[0][0] != 8:
            assert time.monotonic() < deadline, live.error
            time.sleep(0.01)
        assert 7 not in [film for film, _ in live.for_user(999)]


@pytest.mark.parametrize("seed", range(5))
def test_clicks_in_any_order_and_twice_give_the_same_votes(seed: int) -> None:
    """Late ones take their place in the session; a delivery that is repeated counts once; some loaded in one go, the rest one by one."""
    random = np.random.default_rng(seed)
    clicks = [
        (visit, int(random.integers(1, 9)), 1000 * visit + 10 * place, visit % 4)
        for visit in range(40)
        for place in range(visit % 15)
    ]
    half = len(clicks) // 2
    live = LiveRules()
    live.load(*(np.array(column, np.int64) for column in zip(*clicks[:half], strict=True)))
    late = [clicks[row] for row in random.permutation(np.arange(len(clicks)))]
    assert live.add(late) + half == len(clicks)
    assert live.add(late) == 0
    anew = ClickSessions.from_columns(*(np.array(column, np.int64) for column in list(zip(*clicks, strict=True))[:3]))
    rules = SequentialRules().fit(anew)
    for items in ([0], [1, 2, 1], [7, 3]):
        score = rules.score(SessionSoFar.from_items(items))
        found = dict(live.for_session(anew.ids[items].tolist(), 20))
        assert [found[film] for film in anew.ids.tolist()] == pytest.approx(score.tolist(), abs=1e-5)
