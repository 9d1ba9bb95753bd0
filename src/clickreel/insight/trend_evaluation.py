"""How early, and how rarely wrong, is trending: the detector and its rivals on simulated worlds whose bursts are known.

Each method is looked at every minute. An alarm is a spell in which a film's statistic is at least the threshold, with pauses of less than a
day; it is right when a burst, a launch or a return of the film lies in it, as the ledger has them. A launch counts as a trend: people come to
a film that was not there. A burst is found when there is an alarm within a day of its beginning; one that is not has an infinite delay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.insight import trend_rivals
from clickreel.insight.rise_detector import MINUTES_A_DAY, RiseRule
from clickreel.insight.trend_truth import (
    HORIZON_MIN,
    SLACK_MIN,
    BurstTruth,
    SimulatedOpenings,
    burst_truths,
    simulate_openings,
)
from clickreel.simulate.rhythm import DAY_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

# A day far from now: the worlds are the same whenever they are judged.
BEGIN_MS = 19_999 * DAY_MS
# People that a burst adds in its first three hours.
CLASSES = (0.0, 6.0, 12.0, 25.0, 50.0, 100.0, np.inf)


@dataclass(frozen=True)
class Method:
    """A rule: its statistic by minute and film, and the threshold it has."""

    name: str
    statistic: Callable[[NDArray[np.uint16]], NDArray[np.float32]]
    threshold: float


def methods(films: int, rule: RiseRule | None = None) -> tuple[Method, ...]:
    """Ours, and what it is compared with; thresholds of the rivals are for 1,000 films."""
    rule = rule or RiseRule()
    return (
        Method(
            "sequential", lambda counts: trend_rivals.sequential(counts, rule), float(np.log(rule.threshold(films)))
        ),
        Method("hourly share", trend_rivals.share_rule, 7.5),
        Method("z-score", trend_rivals.z_score, 7.4),
        Method("Hacker News", trend_rivals.hacker_news, 40.0),
        Method("Reddit hot", trend_rivals.reddit_hot, 2.8),
    )


@dataclass(frozen=True)
class ClassScore:
    """What a method makes of the bursts of a size.

    Attributes:
        least, most: People that they add in their first three hours.
        bursts: How many there are.
        recall: The share that is found within a day.
        delay_min: Median delay; infinite when most are missed.
        bound_min: Median of Lorden's bound for rises as they build up.
        constant_bound_min: Median of the bound as if the mean rise of the first three hours were there at once.
        ratio: Median of delay over bound, of those whose bound is within a day.
    """

    least: float
    most: float
    bursts: int
    recall: float
    delay_min: float
    bound_min: float
    constant_bound_min: float
    ratio: float


@dataclass(frozen=True)
class DetectorScore:
    """What a method makes of all bursts.

    Attributes:
        name: The method.
        precision: The share of its alarms that are right.
        alarms: How many alarms it gave.
        false_alarms_per_day: False alarms a simulated day.
        all_bursts: Over all bursts.
        classes: By size.
    """

    name: str
    precision: float
    alarms: int
    false_alarms_per_day: float
    all_bursts: ClassScore
    classes: tuple[ClassScore, ...]


@dataclass(frozen=True)
class TrendEvaluation:
    """The evaluation.

    Attributes:
        seeds: The worlds' seeds.
        days: Days of each, the first ``warm_up_days`` of which are baseline.
        warm_up_days: Days that are not judged.
        users: People of each.
        films: Films of each.
        bursts_per_week: How many bursts a week are simulated, launches not counted.
        arl_h: Mean time to a false alarm of a film for one false alarm a day over all films, hours.
        methods: The scores.
    """

    seeds: tuple[int, ...]
    days: int
    warm_up_days: int
    users: int
    films: int
    bursts_per_week: float
    arl_h: float
    methods: tuple[DetectorScore, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``; what is infinite is null."""
        import dataclasses

        shown: dict[str, Any] = _finite(dataclasses.asdict(self))
        return shown


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def evaluate_trending(
    seeds: Sequence[int],
    *,
    days: int = 28,
    users: int = 20_000,
    films: int = 1000,
    bursts_per_week: float = 24.0,
    tell: Callable[[str], None] = lambda _: None,
) -> TrendEvaluation:
    """Simulate worlds, in memory, and judge all methods on them.

    Args:
        seeds: One world each.
        days: How long each is; the first week is baseline.
        users: People of each.
        films: Films of each.
        bursts_per_week: Bursts a week: more than usual by default, so that a few worlds hold bursts of all sizes.
        tell: Called with what is being done.
    """
    rule = RiseRule()
    warm_up = rule.baseline_days * MINUTES_A_DAY
    worlds = []
    for seed in seeds:
        tell(f"simulating seed {seed}")
        settings = WorldSettings(seed=seed, users=users, films=films, bursts_per_week=bursts_per_week)
        worlds.append(simulate_openings(World(settings), BEGIN_MS, days))
    truths = burst_truths(worlds, warm_up)
    arl_h = films * 24 / rule.false_alarms_per_day
    scores = []
    for method in methods(films, rule):
        tell(f"judging {method.name}")
        found = [_judge(method, world, truth, warm_up) for world, truth in zip(worlds, truths, strict=True)]
        scores.append(_score(method.name, found, truths, arl_h, len(worlds) * (days - rule.baseline_days)))
    return TrendEvaluation(tuple(seeds), days, rule.baseline_days, users, films, bursts_per_week, arl_h, tuple(scores))


@dataclass(frozen=True)
class _Judged:
    delays: list[float]
    right: int
    wrong: int


def _judge(method: Method, world: SimulatedOpenings, truths: list[BurstTruth], warm_up: int) -> _Judged:
    above = method.statistic(world.counts) >= method.threshold
    above[:warm_up] = False
    delays = []
    for truth in truths:
        spell = above[truth.start : truth.start + HORIZON_MIN, truth.film]
        delays.append(float(np.argmax(spell)) + 1.0 if spell.any() else np.inf)
    alarms = spells(above)
    right = sum(
        any(begin <= last + SLACK_MIN and end >= first for first, last in world.spans.get(film, ()))
        for film, begin, end in alarms.tolist()
    )
    return _Judged(delays, right, len(alarms) - right)


def spells(above: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Alarms as rows of (film, first minute, last minute), int64[n, 3]: pauses of less than a day do not end one."""
    film, minute = np.nonzero(above.T)
    if not len(film):
        return np.empty((0, 3), np.int64)
    new = np.ones(len(film), np.bool_)
    new[1:] = (film[1:] != film[:-1]) | (minute[1:] - minute[:-1] > MINUTES_A_DAY)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(film)) - 1
    return np.stack([film[first], minute[first], minute[last]], axis=1).astype(np.int64)


def _score(name: str, found: list[_Judged], truths: list[list[BurstTruth]], arl_h: float, days: int) -> DetectorScore:
    every = [truth for group in truths for truth in group]
    delay = np.array([one for judged in found for one in judged.delays])
    bound = np.array([truth.bound_min(arl_h) for truth in every])
    constant = np.array([truth.constant_bound_min(arl_h) for truth in every])
    extra = np.array([truth.extra_3h for truth in every])
    right, wrong = sum(judged.right for judged in found), sum(judged.wrong for judged in found)

    def of(least: float, most: float) -> ClassScore:
        rows = (extra >= least) & (extra < most)
        within = rows & (bound <= HORIZON_MIN)
        return ClassScore(
            least,
            most,
            int(rows.sum()),
            float(np.isfinite(delay[rows]).mean()) if rows.any() else np.nan,
            median(delay[rows]),
            median(bound[rows]),
            median(constant[rows]),
            median(delay[within] / bound[within]),
        )

    return DetectorScore(
        name,
        right / (right + wrong) if right + wrong else np.nan,
        right + wrong,
        wrong / days,
        of(0.0, np.inf),
        tuple(of(least, most) for least, most in itertools.pairwise(CLASSES)),
    )


def median(values: NDArray[np.float64]) -> float:
    """The median, infinite values included; NaN of none."""
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else float("nan")
