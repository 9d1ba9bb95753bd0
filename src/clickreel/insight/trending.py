"""Bursts by the hour: a film's count of the last hours compared with what its own baseline makes one expect.

The realism test of bursts uses this rule, and ``trending --evaluate`` compares the detector with it; ``trending`` itself answers by
:mod:`clickreel.insight.rise_detector`. Over a matrix of hourly counts::

    viewers  = people who opened the film in an hour: uniq(user_id) of its detail views by film_id, toStartOfHour(event_ts)
    recent   = sum of the film's viewers over the last `window_h` whole hours
    share    = the film's viewers in the `baseline_h` hours before / viewers of all films in the same hours
    expected = share * viewers of all films in the last `window_h` hours
    trending = recent >= min_count and recent >= factor * expected and recent - expected >= sigmas * sqrt(expected + 1)

People, not clicks: one person who opens a film five times in an evening is no trend. The share, not the count, is the baseline, so the
rhythm of day and week cancels. `sqrt(expected + 1)` is the spread of a count; the 1 keeps a film that nobody opened for a week from
trending on two clicks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrendingRule:
    """The numbers of the rule.

    Attributes:
        window_h: Hours looked at. Three find a burst on the same evening, and hold enough people to tell it from chance.
        baseline_h: Hours of the baseline before the window: one week, so that each weekday counts once.
        warm_up_h: Hours of baseline without which nothing is said.
        min_count: Fewest viewers in the window.
        factor: How many times the expected count.
        sigmas: How many spreads above it. Over nine worlds of four weeks, of 1.3 to 15 M events, chance and the recommender reached 6.1 at
            most; bursts stood 20 and more in those of 5 M, and from 5 on in those of 1.3 M, where a few people are all there is.
    """

    window_h: int = 3
    baseline_h: int = 168
    warm_up_h: int = 48
    min_count: int = 8
    factor: float = 3.0
    sigmas: float = 7.5


def expected(hourly: NDArray[np.int64], rule: TrendingRule) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Viewers in the window that ends with each hour, and how many the baseline lets one expect.

    Args:
        hourly: Viewers by hour and film (int64[hours, films]).
        rule: The rule.

    Returns:
        ``recent`` and ``expected``, both [hours, films]; expected is NaN in hours without ``warm_up_h`` hours of baseline.
    """
    hours = len(hourly)
    total = np.zeros((hours + 1, hourly.shape[1]), np.int64)
    np.cumsum(hourly, axis=0, out=total[1:])
    end = np.arange(1, hours + 1)
    cut = np.maximum(end - rule.window_h, 0)
    begin = np.maximum(cut - rule.baseline_h, 0)
    recent = total[end] - total[cut]
    before = (total[cut] - total[begin]).astype(np.float64)
    everything = before.sum(axis=1, keepdims=True)
    known = (cut - begin >= rule.warm_up_h)[:, None] & (everything > 0)
    share = np.divide(before, everything, out=np.full_like(before, np.nan), where=known)
    return recent, share * recent.sum(axis=1, keepdims=True)


def trending(hourly: NDArray[np.int64], rule: TrendingRule | None = None) -> NDArray[np.bool_]:
    """Which films trend at the end of each hour (bool[hours, films]), by the rule of this module."""
    rule = rule or TrendingRule()
    recent, wanted = expected(hourly, rule)
    with np.errstate(invalid="ignore"):
        return (
            (recent >= rule.min_count)
            & (recent >= rule.factor * wanted)
            & (recent - wanted >= rule.sigmas * np.sqrt(wanted + 1.0))
        )
