"""A sequential detector of rises: which of many films (or categories) draws more people than its own level allows, minute by minute.

What is observed is people: the first time on a UTC day that somebody opens the film, in the minute it happens, so that neither a person who
opens it again and again nor a bot counts twice. All films together are the clock: of the ``N`` openings of a minute, a film whose level is
the share ``q`` of the days before gets ``Poisson(q N)``, whatever the hour, the weekday or the weather make of ``N``. A rise adds an unknown
share ``s`` to ``q``; the likelihood ratio of a minute with ``n`` openings is ``(1 + s / q)**n * exp(-s N)``.

For each ``s`` of a grid runs the statistic of Shiryaev and Roberts, ``R = (1 + R) * ratio``: the sum, over all minutes in which the rise may
have begun, of the likelihood ratio since then. A film rises while the mean of its statistics over the grid is at least the threshold. ``R``
less the number of minutes is a martingale as long as nothing rises, so the mean time to a false alarm of a film is at least the threshold, in
minutes, whatever ``q`` and ``N`` are. It is longer, since ``R`` jumps over the threshold: :attr:`RiseRule.overshoot`.

Page, Biometrika 1954 (the cumulative sum); Shiryaev 1963 and Roberts 1966 (the sum over all beginnings); Lorden, Annals of Mathematical
Statistics 1971 (what no rule can beat: a mean delay of ``ln(ARL) / KL``); Lucas, Technometrics 1985 (cumulative sums of Poisson counts);
Pollak, Annals of Statistics 1985 (the sum is all but optimal), 1987 (mixtures over unknown sizes).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class RiseRule:
    """The numbers of the detector.

    Attributes:
        false_alarms_per_day: How many false alarms a day all films together may give, on the mean.
        baseline_days: UTC days before a day that make up its level: one week, so that each weekday counts once.
        warm_up_h: Hours with openings before the window without which no verdict is given.
        rises: Shares of all openings that a rise may add. Each is twice the one before: between two of them a detector that is tuned to
            the nearer one loses a few hundredths of its information.
        prior: Openings that each film is given beforehand, so that two people make no trend of a film that nobody opened for a week.
        overshoot: By how much the mean time to a false alarm is longer than the threshold; measured on worlds that are used for nothing
            else (``docs/adr/0033``).
        items_min: So many are taken to be watched at least: among two films one false alarm a day would be a statistic that the mere
            passing of a day or two reaches.
        least_ratio: Smallest rise that is looked for, as a part of the level. The share of a film is steady but for its rises. The share of a
            category is not: who is there at an hour, and what they like, moves it by some hundredths, and a detector of small rises
            tells that in a large stream.
        held: How many times the threshold a statistic is kept at most, so that a rise that is over is over soon.
    """

    false_alarms_per_day: float = 1.0
    baseline_days: int = 7
    warm_up_h: int = 48
    rises: tuple[float, ...] = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
    prior: float = 1.0
    overshoot: float = 2.0
    items_min: int = 1000
    least_ratio: float = 0.0
    held: float = 100.0

    def threshold(self, items: int) -> float:
        """The statistic from which on a film rises, when so many are watched: minutes."""
        return max(items, self.items_min) * MINUTES_A_DAY / (self.false_alarms_per_day * self.overshoot)


@dataclass(frozen=True, slots=True)
class Openings:
    """People by minute and item, in order of minutes; cells without people are left out.

    Attributes:
        minute: From 0, the midnight at which the first day begins (int64[n]).
        item: Number of the film or category (int64[n]).
        people: How many (int64[n]).
        minutes: How many minutes there are.
        items: How many items there are.
    """

    minute: NDArray[np.int64]
    item: NDArray[np.int64]
    people: NDArray[np.int64]
    minutes: int
    items: int

    def all_items(self) -> F64:
        """The openings of each minute, of all items (float64[minutes])."""
        return np.bincount(self.minute, weights=self.people, minlength=self.minutes).astype(np.float64)

    def of_item(self, item: int) -> F64:
        """The openings of each minute, of one item (float64[minutes])."""
        rows = self.item == item
        return np.bincount(self.minute[rows], weights=self.people[rows], minlength=self.minutes).astype(np.float64)


def levels(daily: NDArray[np.int64], rule: RiseRule, first: int) -> F64:
    """The share of each item in the days before each day.

    Args:
        daily: Openings by UTC day and item (int64[days, items]).
        rule: The rule.
        first: The first day that is asked about; the days before it are baseline alone.

    Returns:
        float64[days - first, items]; NaN for days before which nothing was opened.
    """
    total = np.concatenate([np.zeros((1, daily.shape[1])), np.cumsum(daily, axis=0)])
    end = np.arange(first, len(daily))
    before = total[end] - total[np.maximum(end - rule.baseline_days, 0)]
    everything = before.sum(axis=1, keepdims=True)
    share: F64 = (before + rule.prior) / np.where(everything > 0, everything + rule.prior * daily.shape[1], np.nan)
    return share


def statistics(openings: Openings, level: F64, rule: RiseRule, threshold: float) -> Iterator[F64]:
    """The statistic of each item after each minute.

    Args:
        openings: The openings.
        level: Share of each item, by day (float64[days, items]); while it is NaN the statistic stays where it is.
        rule: The rule.
        threshold: From :meth:`RiseRule.threshold`.
    """
    return (ratios.mean(axis=1) for ratios in _ratios(openings, level, rule, threshold))


def last_statistic(openings: Openings, level: F64, rule: RiseRule, threshold: float) -> F64:
    """The statistic of each item after the last minute (float64[items]); see :func:`statistics`."""
    (last,) = deque(_ratios(openings, level, rule, threshold), maxlen=1)
    found: F64 = last.mean(axis=1)
    return found


def _ratios(openings: Openings, level: F64, rule: RiseRule, threshold: float) -> Iterator[F64]:
    """The statistic of each item and size of rise after each minute: the same array again and again (float64[items, sizes])."""
    size = np.array(rule.rises)
    everything = openings.all_items()
    fade = np.exp(-size * everything[:, None])
    edges = np.searchsorted(openings.minute, np.arange(openings.minutes + 1)).tolist()
    ratios, held = np.zeros((openings.items, len(size))), rule.held * threshold
    risen = np.empty_like(ratios)
    for begin in range(0, openings.minutes, MINUTES_A_DAY):
        end = min(begin + MINUTES_A_DAY, openings.minutes)
        share = level[begin // MINUTES_A_DAY][:, None]
        if share[0] != share[0]:  # NaN
            yield from itertools.repeat(ratios, end - begin)
            continue
        sizes = np.maximum(size, rule.least_ratio * share)
        of_day = slice(edges[begin], edges[end])
        # What the openings make of the statistic, for the whole day at once: little is left to do minute by minute.
        gains = (1.0 + sizes / share)[openings.item[of_day]]
        several = np.flatnonzero(openings.people[of_day] > 1)
        gains[several] **= openings.people[of_day][several, None]
        for minute in range(begin, end):
            ratios += 1.0
            ratios *= np.exp(-sizes * everything[minute]) if rule.least_ratio else fade[minute]
            first, last = edges[minute], edges[minute + 1]
            item, gained = openings.item[first:last], risen[: last - first]
            np.multiply(ratios[item], gains[first - of_day.start : last - of_day.start], out=gained)
            ratios[item] = np.minimum(gained, held, out=gained)
            yield ratios


@dataclass(frozen=True, slots=True)
class Onset:
    """When the rise of an item most likely began, and what came since.

    Attributes:
        minute: The minute.
        people: Openings from then on.
        expected: How many its level makes one expect.
    """

    minute: int
    people: int
    expected: float


def onset(openings: Openings, level: F64, item: int, rule: RiseRule) -> Onset:
    """The beginning with the greatest likelihood, over all sizes: where the cumulative sum of Page that is highest at the end last was lowest."""
    counts, everything = openings.of_item(item), openings.all_items()
    share = np.repeat(level[:, item], MINUTES_A_DAY)[: openings.minutes]
    size = np.array(rule.rises)[:, None]
    sizes = np.maximum(size, rule.least_ratio * share)
    gain = np.nan_to_num(np.log1p(sizes / share) * counts - sizes * everything)
    total = np.concatenate([np.zeros((len(size), 1)), np.cumsum(gain, axis=1)], axis=1)
    # Of equal ones the last: minutes without any opening say nothing.
    lowest = total.shape[1] - 1 - np.argmin(total[:, ::-1], axis=1)
    begin = int(lowest[np.argmax(total[:, -1] - total[np.arange(len(size)), lowest])])
    begin = min(begin, openings.minutes - 1)
    return Onset(begin, int(counts[begin:].sum()), float(np.nansum(share[begin:] * everything[begin:])))
