"""Other rules for what is trending, each as a statistic by minute and film that is compared with a threshold.

Where the thresholds come from, and what they give: ``docs/adr/0033``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.insight.rise_detector import MINUTES_A_DAY, Openings, RiseRule, levels, statistics

F32 = NDArray[np.float32]
Counts = NDArray[np.uint16]
HOUR_MIN = 60
HACKER_NEWS_GRAVITY = 1.8
REDDIT_SECONDS = 45_000


@dataclass(frozen=True, slots=True)
class HourlyShareRule:
    """The numbers of the hourly rule.

    Attributes:
        window_h: Hours looked at. Three find a burst on the same evening, and hold enough people to tell it from chance.
        baseline_h: Hours of the baseline before the window: one week, so that each weekday counts once.
        min_count: Fewest people in the window.
        factor: How many times the expected count.
    """

    window_h: int = 3
    baseline_h: int = 168
    min_count: int = 8
    factor: float = 3.0


def sequential(counts: Counts, rule: RiseRule) -> F32:
    """Ours: logarithm of the statistic."""
    minutes, films = counts.shape
    days = minutes // MINUTES_A_DAY
    minute, film = np.nonzero(counts)
    openings = Openings(minute, film, counts[minute, film].astype(np.int64), minutes, films)
    daily = counts.reshape(days, MINUTES_A_DAY, films).sum(axis=1, dtype=np.int64)
    level = levels(daily, rule, 0)
    level[: rule.baseline_days] = np.nan
    found = np.empty((minutes, films), np.float32)
    for place, values in enumerate(statistics(openings, level, rule, rule.threshold(films))):
        found[place] = values
    return np.log(found, out=np.full_like(found, -50), where=found > 0)


def share_rule(counts: Counts) -> F32:
    """The hourly rule: spreads above what the film's share of the week before makes one expect of three hours; 0 below its other limits."""
    rule = HourlyShareRule()
    total = _running(counts)
    recent = _window(total, rule.window_h * HOUR_MIN)
    before = _shifted(_window(total, rule.baseline_h * HOUR_MIN), rule.window_h * HOUR_MIN)
    everything = np.maximum(before.sum(axis=1, keepdims=True), 1)
    wanted = before / everything * recent.sum(axis=1, keepdims=True)
    sigmas = (recent - wanted) / np.sqrt(wanted + 1)
    return np.where((recent >= rule.min_count) & (recent >= rule.factor * wanted), sigmas, 0).astype(np.float32)


def z_score(counts: Counts) -> F32:
    """The last hour compared with the mean and the spread of the film's hours of the week before."""
    total = _running(counts)
    hour = _window(total, HOUR_MIN)
    hourly = hour[HOUR_MIN - 1 :: HOUR_MIN]
    sums = np.cumsum(np.concatenate([np.zeros((1, counts.shape[1])), hourly]), axis=0)
    squares = np.cumsum(np.concatenate([np.zeros((1, counts.shape[1])), hourly.astype(np.float64) ** 2]), axis=0)
    end = np.arange(len(hourly))
    begin = np.maximum(end - 168, 0)
    length = np.maximum(end - begin, 1)[:, None]
    mean = (sums[end] - sums[begin]) / length
    spread = np.sqrt(np.maximum((squares[end] - squares[begin]) / length - mean**2, 0) + 0.1)
    of = np.arange(len(counts)) // HOUR_MIN
    found: F32 = ((hour - mean[of]) / spread[of]).astype(np.float32)
    return found


def hacker_news(counts: Counts) -> F32:
    """Hacker News's formula, each person being a story of one point: the sum of ``1 / (age in hours + 2) ** 1.8``, over two days."""
    ages = np.arange(48)
    return _weighted(counts, 1.0 / (ages + 0.5 + 2.0) ** HACKER_NEWS_GRAVITY)


def reddit_hot(counts: Counts) -> F32:
    """Reddit's hot formula: ``log10(points) + seconds / 45000`` less the present: points of people fade by ten in 12.5 hours."""
    fade = 10.0 ** (-60.0 / REDDIT_SECONDS)
    points = np.zeros(counts.shape[1])
    found = np.empty(counts.shape, np.float32)
    for minute, row in enumerate(counts):
        points = points * fade + row
        found[minute] = np.log10(np.maximum(points, 1.0))
    return found


def _running(counts: Counts) -> NDArray[np.int32]:
    total = np.zeros((len(counts) + 1, counts.shape[1]), np.int32)
    np.cumsum(counts, axis=0, out=total[1:])
    return total


def _window(total: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """People in the last ``length`` minutes up to each minute's end."""
    end = np.arange(1, len(total))
    return total[end] - total[np.maximum(end - length, 0)]


def _shifted(values: NDArray[np.int32], by: int) -> NDArray[np.int32]:
    return np.concatenate([np.zeros((by, values.shape[1]), np.int32), values[:-by]])


def _weighted(counts: Counts, by_hour: NDArray[np.floating[Any]]) -> F32:
    total = _running(counts)
    found = np.zeros(counts.shape, np.float32)
    for hour, weight in enumerate(by_hour):
        width = HOUR_MIN
        part = _window(total, width)
        shift = hour * HOUR_MIN
        found[shift:] += np.float32(weight) * (part[: len(part) - shift] if shift else part)
    return found
