"""The judge: what it compares, and what it says where its framework cannot be had."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from clickreel.errors import MissingError
from clickreel.insight.recommenders.click_sessions import ClickSessions, SessionSoFar
from clickreel.insight.recommenders.framework_judge import CosineNeighbours, Judgement, TransposedEase
from clickreel.insight.recommenders.matrix_models import Ease
from clickreel.insight.recommenders.next_item_evaluation import clicks_of_world, judge_methods
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World


@pytest.fixture(scope="module")
def clicks() -> ClickSessions:
    """Four days of 200 people and 60 films."""
    return clicks_of_world(World(WorldSettings(seed=3, users=200, films=60)), days=4)


def test_cosine_neighbours_share_sessions_over_the_root_of_both(clicks: ClickSessions) -> None:
    """The other's root alone orders them: the last item's own is the same for all."""
    sessions: dict[int, set[int]] = defaultdict(set)
    for session, item in zip(clicks.session.tolist(), clicks.item.tolist(), strict=True):
        sessions[item].add(session)
    method = CosineNeighbours().fit(clicks)
    for last in range(0, clicks.items, 7):
        shared = Counter({item: len(sessions[item] & sessions[last]) for item in sessions if item != last})
        wanted = [shared[item] / max(1, len(sessions[item])) ** 0.5 for item in range(clicks.items)]
        assert method.score(SessionSoFar.from_items([0, last])) == pytest.approx(wanted)


def test_ease_as_the_framework_applies_it_divides_by_the_given_item(clicks: ClickSessions) -> None:
    """Each vote is the transposed one of EASE."""
    ours, theirs = Ease().fit(clicks), TransposedEase().fit(clicks)
    votes = np.array([theirs.score(SessionSoFar.from_items([item])) for item in range(clicks.items)])
    assert (
        pytest.approx(votes)
        == np.array([ours.score(SessionSoFar.from_items([item])) for item in range(clicks.items)]).T
    )


def test_figures_agree_within_two_percent() -> None:
    """Of the larger one."""
    assert Judgement("POP", "mrr_20", 0.0981, 0.1).agrees
    assert not Judgement("POP", "mrr_20", 0.0979, 0.1).agrees


def test_a_framework_that_cannot_be_had_is_told(
    clicks: ClickSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index answers: two lines, and nothing half made is taken for an environment afterwards."""
    nowhere = "http://127.0.0.1:9/simple"
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, nowhere)
    for name, value in (
        ("UV_NO_CACHE", "1"),
        ("UV_HTTP_RETRIES", "0"),
        ("PIP_RETRIES", "0"),
        ("PIP_NO_CACHE_DIR", "1"),
    ):
        monkeypatch.setenv(name, value)
    for name in (
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX",
        "UV_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "UV_CONFIG_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    for _ in range(2):
        with pytest.raises(MissingError, match="the environment of the judge could not be made"):
            judge_methods(clicks, tmp_path)
    assert not list(tmp_path.rglob("complete"))
