"""A log of clicks: session, item, time. All that any two logs have in common, and what can be said about each session of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.columns import EventTable
from clickreel.contract.vocabulary import EVENT_TYPES

F64 = NDArray[np.float64]

FEATURES = (
    "length",
    "repeats",
    "median gap",
    "first gap",
    "longest gap",
    "shortest gap",
    "spread of gaps",
    "successive gaps",
    "gap before repeat",
)
_SHORTEST_S = 1e-3


@dataclass(frozen=True)
class ClickLog:
    """Clicks in order of (session, time); sessions and items are dense codes from 0, sessions in order of their first click.

    Attributes:
        session: Code of the session, never falling (int64[n]).
        item: Code of the item (int64[n]).
        ts_ms: Time (int64[n]).
        user: Number of the user (int64[n]); ``None`` where the log does not say.
    """

    session: NDArray[np.int64]
    item: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    user: NDArray[np.int64] | None = None

    @staticmethod
    def from_columns(
        session: NDArray[np.int64],
        item: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
        user: NDArray[np.int64] | None = None,
    ) -> ClickLog:
        """Sort and number clicks, given in any order; sessions of one click say nothing here and are left out (Hidasi et al. do so too)."""
        codes, session = np.unique(session, return_inverse=True)
        kept = np.bincount(session, minlength=len(codes))[session] >= 2
        session, item, ts_ms = session[kept], item[kept], ts_ms[kept]
        first = np.full(len(codes), np.iinfo(np.int64).max)
        np.minimum.at(first, session, ts_ms)
        order = np.lexsort((ts_ms, session, first[session]))
        session, ts_ms = session[order], ts_ms[order]
        dense = np.zeros(len(session), np.int64)
        dense[1:] = np.cumsum(session[1:] != session[:-1])
        items = np.unique(item[order], return_inverse=True)[1].astype(np.int64)
        return ClickLog(dense, items, ts_ms, None if user is None else user[kept][order])

    @staticmethod
    def from_timeline(timeline: EventTable) -> ClickLog:
        """The detail views of a stream."""
        rows = np.flatnonzero(timeline.event_type == EVENT_TYPES.index("detail_view"))
        return ClickLog.from_columns(
            timeline.session[rows].astype(np.int64),
            timeline.film[rows].astype(np.int64),
            timeline.ts_ms[rows],
            timeline.user[rows].astype(np.int64),
        )

    def __len__(self) -> int:
        """Number of clicks."""
        return len(self.session)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of each session, and n at the end."""
        return np.searchsorted(self.session, np.arange(self.sessions + 1)).astype(np.int64)

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return int(self.session[-1]) + 1 if len(self.session) else 0

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.item.max()) + 1 if len(self.item) else 0

    @cached_property
    def repeats(self) -> NDArray[np.bool_]:
        """Whether the item was clicked before in the session (bool[n])."""
        order = np.lexsort((np.arange(len(self)), self.item, self.session))
        again = np.zeros(len(self), np.bool_)
        same = (self.session[order[1:]] == self.session[order[:-1]]) & (self.item[order[1:]] == self.item[order[:-1]])
        again[order[1:][same]] = True
        return again

    @cached_property
    def inner(self) -> NDArray[np.intp]:
        """Rows that have a click of the same session after them."""
        return np.flatnonzero(self.session[1:] == self.session[:-1])

    @cached_property
    def log_gaps(self) -> F64:
        """Log of the seconds to the next click, for each row of :attr:`inner`."""
        return np.log(np.maximum(np.diff(self.ts_ms)[self.inner] / 1000.0, _SHORTEST_S))

    def half(self, part: int) -> ClickLog:
        """The sessions with an even (0) or odd (1) number: halves that differ by chance only."""
        return self._part(self.session % 2 == part)

    def half_of_users(self, part: int) -> ClickLog:
        """The sessions of the users with an even (0) or odd (1) number; where users are not known, a half of the sessions."""
        return self.half(part) if self.user is None else self._part(self.user % 2 == part)

    def _part(self, rows: NDArray[np.bool_]) -> ClickLog:
        user = None if self.user is None else self.user[rows]
        return ClickLog.from_columns(self.session[rows], self.item[rows], self.ts_ms[rows], user)

    def features(self) -> F64:
        """What is known of each session without knowing the items: :data:`FEATURES` (float64[sessions, 9]); NaN where there is none."""
        length = np.diff(self.starts)
        gaps, of = self.log_gaps, self.session[self.inner]
        first = self.starts[:-1] - np.arange(self.sessions)  # a session of n clicks has n - 1 gaps
        counts = length - 1
        ordered = gaps[np.lexsort((gaps, of))]
        median = (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]) / 2
        mean = np.bincount(of, gaps) / counts
        spread = np.sqrt(np.maximum(np.bincount(of, gaps**2) / counts - mean**2, 0.0))
        spread[counts < 2] = np.nan
        pairs = np.flatnonzero(of[1:] == of[:-1])
        middle = gaps.mean()
        product = np.bincount(of[pairs], (gaps[pairs] - middle) * (gaps[pairs + 1] - middle), self.sessions)
        product = np.divide(product, counts - 1, out=np.full(self.sessions, np.nan), where=counts > 1)
        before = np.flatnonzero(self.repeats[self.inner + 1])
        times = np.bincount(of[before], minlength=self.sessions)
        total = np.bincount(of[before], gaps[before], self.sessions)
        return np.stack(
            [
                length.astype(np.float64),
                np.bincount(self.session, self.repeats, self.sessions) / length,
                median,
                gaps[first],
                ordered[first + counts - 1],
                ordered[first],
                spread,
                product,
                np.divide(total, times, out=np.full(self.sessions, np.nan), where=times > 0),
            ],
            axis=1,
        )


def successive_correlation(log: ClickLog) -> float:
    """Correlation of the logs of successive gaps of a session; NaN where there are too few, or all are alike."""
    pairs = np.flatnonzero(np.diff(log.session[log.inner]) == 0)
    return correlation(log.log_gaps[pairs], log.log_gaps[pairs + 1])


def correlation(one: F64, two: F64) -> float:
    """Pearson's correlation; NaN of fewer than three pairs, and where one side is all alike."""
    if len(one) < 3 or not np.ptp(one) or not np.ptp(two):
        return float("nan")
    return float(np.corrcoef(one, two)[0, 1])


def own_pace(log: ClickLog) -> float:
    """Standard deviation of the sessions' own mean log gaps, less what chance adds to it (one-way analysis of variance)."""
    gaps, of = log.log_gaps, log.session[log.inner]
    counts = np.bincount(of)
    several = counts >= 2
    if several.sum() < 3:
        return float("nan")
    mean = np.bincount(of, gaps) / counts
    within = ((gaps - mean[of]) ** 2)[several[of]].sum() / (counts[several] - 1).sum()
    weight = counts[several].astype(np.float64)
    middle = (mean[several] * weight).sum() / weight.sum()
    between = ((mean[several] - middle) ** 2 * weight).sum() / (several.sum() - 1)
    size = (weight.sum() - (weight**2).sum() / weight.sum()) / (several.sum() - 1)
    return float(np.sqrt(max(between - within, 0.0) / size))


def longest_gap_s(log: ClickLog, percentile: float) -> float:
    """A percentile, over sessions, of the longest gap in seconds."""
    if not len(log):
        return float("nan")
    longest = np.full(log.sessions, -np.inf)
    np.maximum.at(longest, log.session[log.inner], log.log_gaps)
    return float(np.exp(np.percentile(longest, percentile)))
