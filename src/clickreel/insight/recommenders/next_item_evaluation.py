"""How good recommenders are at the next film of a session, side by side on the same questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.errors import UsageError
from clickreel.events import Events
from clickreel.insight.queries import text
from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, NextItemSplit
from clickreel.insight.recommenders.framework_judge import JudgedSplit, judge
from clickreel.insight.recommenders.item_pairs import CoVisitation, RulesAndList, SequentialRules
from clickreel.insight.recommenders.matrix_models import ITEMS_MAX, Ease, ImplicitAls
from clickreel.insight.recommenders.oracle import NextFilmOracle
from clickreel.insight.recommenders.popular_items import Popularity, SessionPopularity
from clickreel.insight.recommenders.protocol import Recommender, best
from clickreel.insight.recommenders.session_neighbours import SessionNeighbours
from clickreel.insight.window import Window
from clickreel.simulate.world import World
from clickreel.warehouse.client import Client

DEPTH = 20
QUESTIONS_MAX = 3_000
QUESTIONS_MIN = 50
EVENTS_MAX = 2_000_000  # newest clicks and views that are read from the warehouse
START_MS = 20_458 * 86_400_000  # 2026-01-05, a Monday
_VIEW, _DETAIL = EVENT_TYPES.index("view"), EVENT_TYPES.index("detail_view")
_RESAMPLES = 400
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class RecommenderScore:
    """What a recommender reached.

    Attributes:
        name: Its name.
        mrr_20: Mean reciprocal rank of the next film, of those in the first 20.
        mrr_20_low: 2.5th percentile of it when sessions are drawn again (bootstrap).
        mrr_20_high: 97.5th percentile.
        hit_rate_10: Share of the next films that were among the first 10.
        hit_rate_20: Among the first 20.
        coverage: Share of the films that stood in anybody's first 20.
        share_of_oracle: Its MRR@20 over that of the oracle; None where the world is not known.
    """

    name: str
    mrr_20: float
    mrr_20_low: float
    mrr_20_high: float
    hit_rate_10: float
    hit_rate_20: float
    coverage: float
    share_of_oracle: float | None = None


@dataclass(frozen=True)
class MethodComparison:
    """Recommenders compared.

    Attributes:
        questions: Next films asked for.
        clicks: Clicks learnt from.
        methods: One score for each.
        oracle: What knowing the world's own model reaches; None where the world is not known.
        control: MRR@20 of each over that of POP when films are dealt out anew: near 1, or something leaks.
    """

    questions: int
    clicks: int
    methods: tuple[RecommenderScore, ...]
    oracle: RecommenderScore | None
    control: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return dataclasses.asdict(self)


def recommenders(items: int) -> tuple[Recommender, ...]:
    """One of each, the simplest first; without those that need a matrix of all pairs where there are too many items."""
    simple: tuple[Recommender, ...] = (Popularity(), SessionPopularity(), CoVisitation(), SequentialRules())
    sessions = (
        SessionNeighbours("SKNN", late_clicks=False),
        SessionNeighbours("V-SkNN"),
        SessionNeighbours("VSTAN", near_items=True),
    )
    matrices: tuple[Recommender, ...] = (Ease(), ImplicitAls()) if items <= ITEMS_MAX else ()
    return (*simple, RulesAndList(), *sessions, *matrices)


def clicks_of_world(world: World, days: int) -> ClickSessions:
    """The clicks of a world made on the spot, and the lists they were made in."""
    parts = [
        _clicks_and_views(world.timeline.between(START_MS + day * _DAY_MS, START_MS + (day + 1) * _DAY_MS))
        for day in range(days)
    ]
    events = Events.concat(parts)
    return ClickSessions.from_columns(
        events.session.astype(np.int64),
        events.film.astype(np.int64),
        events.ts_ms,
        user=events.user.astype(np.int64),
        position=np.where(events.event_type == _VIEW, events.position, 0),
    )


def _clicks_and_views(events: Events) -> Events:
    return events.take(np.flatnonzero((events.event_type == _VIEW) | (events.event_type == _DETAIL)))


def clicks_of_warehouse(client: Client, window: Window) -> ClickSessions:
    """The newest clicks of a window, and the lists they were made in."""
    table = client.columns(text("clicks_and_lists"), {**window.parameters, "limit": EVENTS_MAX})
    column = {name: table[name].to_numpy().astype(np.int64) for name in table.column_names}
    return ClickSessions.from_columns(
        column["session"], column["film"], column["ts_ms"], user=column["user_number"], position=column["rank"]
    )


def compare_methods(
    clicks: ClickSessions, *, world: World | None = None, questions_max: int = QUESTIONS_MAX
) -> MethodComparison:
    """Ask all recommenders the same questions.

    Args:
        clicks: The clicks.
        world: The world they are of: the oracle is asked too.
        questions_max: Questions asked at most.

    Raises:
        UsageError: There are too few questions to say anything.
    """
    split = NextItemSplit.from_clicks(clicks, questions_max=questions_max)
    if len(split.asked) < QUESTIONS_MIN:
        raise UsageError(
            f"{len(split.asked)} next films to ask about; {QUESTIONS_MIN} are needed",
            hint="a longer --since, or more --users and --days",
        )
    scores = tuple(_score(split, method.name, *_ranks(split, method)) for method in recommenders(clicks.items))
    oracle = None
    if world is not None:
        oracle = _score(split, NextFilmOracle.name, *_oracle_ranks(split, NextFilmOracle(world)))
        scores = tuple(dataclasses.replace(one, share_of_oracle=one.mrr_20 / oracle.mrr_20) for one in scores)
    return MethodComparison(
        len(split.asked), len(split.train), scores, oracle, control(clicks, questions_max=questions_max)
    )


def judge_methods(clicks: ClickSessions, folder: Path, *, questions_max: int = QUESTIONS_MAX) -> JudgedSplit:
    """Ask a framework the questions of :func:`compare_methods`, in an environment of its own below ``folder``."""
    return judge(NextItemSplit.from_clicks(clicks, questions_max=questions_max), folder, _ranks)


def control(clicks: ClickSessions, *, questions_max: int = QUESTIONS_MAX) -> dict[str, float]:
    """MRR@20 of each method over that of POP when films are dealt out anew."""
    split = NextItemSplit.from_clicks(clicks.shuffled(), questions_max=questions_max)
    chance = {
        method.name: float(_reciprocal(_ranks(split, method)[0]).mean())
        for method in (Popularity(), CoVisitation(), SequentialRules(), RulesAndList())
    }
    return {name: value / chance["POP"] for name, value in chance.items() if name != "POP"}


def _ranks(split: NextItemSplit, method: Recommender) -> tuple[I64, int]:
    """The rank of each wanted film, ``DEPTH + 1`` where it is none of the first; and how many films were recommended to anybody."""
    method.fit(split.train)
    return _places(
        split, ((question, method.rank(split.given(question), DEPTH)) for question in range(len(split.asked)))
    )


def _oracle_ranks(split: NextItemSplit, oracle: NextFilmOracle) -> tuple[I64, int]:
    """The same of the oracle."""
    return _places(split, ((question, best(chance, DEPTH)) for question, chance in oracle.chances(split)))


def _places(split: NextItemSplit, lists: Iterable[tuple[int, I64]]) -> tuple[I64, int]:
    ranks = np.full(len(split.asked), DEPTH + 1)
    recommended, wanted = np.zeros(split.clicks.items, bool), split.wanted
    for question, films in lists:
        recommended[films] = True
        place = np.flatnonzero(films == wanted[question])
        if len(place):
            ranks[question] = place[0] + 1
    return ranks, int(recommended.sum())


def _reciprocal(ranks: I64) -> NDArray[np.float64]:
    return np.where(ranks <= DEPTH, 1.0 / ranks, 0.0)


def _score(split: NextItemSplit, name: str, ranks: I64, recommended: int) -> RecommenderScore:
    low, high = _interval(_reciprocal(ranks), split.clicks.session[split.asked])
    return RecommenderScore(
        name=name,
        mrr_20=float(_reciprocal(ranks).mean()),
        mrr_20_low=low,
        mrr_20_high=high,
        hit_rate_10=float((ranks <= 10).mean()),
        hit_rate_20=float((ranks <= DEPTH).mean()),
        coverage=recommended / max(1, split.clicks.items),
    )


def _interval(values: NDArray[np.float64], session: I64) -> tuple[float, float]:
    """Bootstrap interval of a mean, whole sessions drawn again: questions of one session are alike."""
    place = np.unique(session, return_inverse=True)[1]
    total, count = np.bincount(place, values), np.bincount(place)
    drawn = np.random.default_rng(0).poisson(1.0, (_RESAMPLES, len(count)))
    low, high = np.percentile((drawn @ total) / np.maximum(drawn @ count, 1), [2.5, 97.5])
    return float(low), float(high)
