"""Recommenders that count which items follow, or share a session with, which."""

from __future__ import annotations

from typing import Self

import numpy as np

from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, SessionSoFar
from clickreel.insight.recommenders.protocol import F64, ScoringRecommender

LAGS = 10  # clicks that a click is counted as coming before
CLICKS_GIVEN = 8  # last clicks of a session that are looked at
FADE = 0.55  # what each click of the session counts against the one after it
# What follows an item is believed as if so many clicks more, spread as all clicks are, had followed it: what was met once is chance. Without this the
# control falls to .8 of POP; 30 cost nothing (1 to 2 % of MRR@20), 100 cost a tenth.
SHRINK = 30.0
MET_SHRINK = 60.0  # the same for sessions shared with an item
# Of a person: tried over 1,060 people of two worlds of 2,000, hit rate in the first 10: popularity .216; 8 clicks fading by .55 .234, 20 by .9 .272,
# 50 by .95 .286, 50 by .98 .290, 200 by .99 .292. Co-visitation over the last 50 films by .95 has .259.
MEMORY = 50
MEMORY_FADE = 0.98
LIST_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
LIST_WEIGHT = 8.0  # before anything was learnt
_ASKED_FOR_WEIGHT = 1_000
_PAIRS_AT_ONCE = 4_000_000


class PairTable:
    """Weights of pairs of items, by the first of them: rows of a sparse matrix.

    Args:
        items: Number of items.
        first: First item of each pair (int64[p]).
        second: Second item (int64[p]).
        weight: Weight (float64[p]); those of equal pairs are added.
    """

    def __init__(self, items: int, first: I64, second: I64, weight: F64) -> None:
        cell, place = np.unique(first * items + second, return_inverse=True)
        self.weight: F64 = np.bincount(place, weight, len(cell)).astype(np.float64)
        self.second: I64 = (cell % max(items, 1)).astype(np.int64)
        self.starts = np.searchsorted(cell, np.arange(items + 1) * items)

    def row(self, item: int) -> tuple[I64, F64]:
        """The second items of an item's pairs, and their weights."""
        part = slice(int(self.starts[item]), int(self.starts[item + 1]))
        return self.second[part], self.weight[part]


def sequential_pairs(clicks: ClickSessions, lags: int = LAGS) -> PairTable:
    """What follows what: a pair of clicks of a session counts 1 over the number of clicks from one to the other."""
    first: list[I64] = []
    second: list[I64] = []
    weight: list[F64] = []
    for lag in range(1, lags + 1):
        rows = np.flatnonzero(clicks.session[lag:] == clicks.session[:-lag])
        if len(rows) == 0:
            break
        first.append(clicks.item[rows])
        second.append(clicks.item[rows + lag])
        weight.append(np.full(len(rows), 1.0 / lag))
    none = np.zeros(0, np.int64)
    return PairTable(
        clicks.items, np.concatenate([none, *first]), np.concatenate([none, *second]), np.concatenate([none, *weight])
    )


class SequentialRules(ScoringRecommender):
    """Whole-session sequential rules (Kamehkhosh, Jannach, Ludewig, 2017, who read the last item only).

    Each of the last clicks votes for what has followed it in other sessions, soon after it the most; the later click's votes count more. The item that is
    open may come again: people compare.
    """

    name = "rules"

    def __init__(self, *, fade: float = FADE, shrink: float = SHRINK) -> None:
        self.fade, self.shrink = fade, shrink

    def fit(self, clicks: ClickSessions) -> Self:
        """Count what follows what."""
        self._count(clicks)
        self.count = np.bincount(clicks.item, minlength=clicks.items).astype(np.float64)
        self.pairs = sequential_pairs(clicks)
        return self

    def score(self, session: SessionSoFar) -> F64:
        """The votes of the last clicks, each beside what popularity says."""
        return self.votes(session.opened, CLICKS_GIVEN, self.fade) + self.popularity * 1e-6

    def votes(self, opened: I64, clicks: int, fade: float) -> F64:
        """Votes of the last ``clicks`` of some items, each counting ``fade`` of the one after it (float64[items])."""
        latest = opened[: -clicks - 1 : -1]
        weight = fade ** np.arange(len(latest)) / (self.count[latest] + self.shrink)
        votes: F64 = self.popularity * (self.shrink * weight.sum())
        for item, of_item in zip(latest.tolist(), weight.tolist(), strict=True):
            second, times = self.pairs.row(item)
            votes[second] += times * of_item
        return votes


class PersonalRules(SequentialRules):
    """The same rules over the last clicks of a person, in whatever session; what they have opened is left out."""

    name = "personal rules"

    def score(self, session: SessionSoFar) -> F64:
        """Only of items that are new to the person."""
        score = self.votes(session.opened, MEMORY, MEMORY_FADE)
        score[session.opened] = 0.0
        return score


class RulesAndList(SequentialRules):
    """Sequential rules that see the list that is open: what stands on it, unopened, is so many times likelier to be next.

    How many times is learnt from the last sessions learnt from: the value of :data:`LIST_WEIGHTS` that ranks what came next best.
    """

    name = "rules+list"
    list_weight = LIST_WEIGHT

    def fit(self, clicks: ClickSessions) -> Self:
        """Learn the rules from all but the last sessions, the weight of the list from those, then the rules from all."""
        late = max(0, clicks.sessions - max(200, min(2_000, clicks.sessions // 10)))
        cut = int(clicks.starts[late]) if clicks.sessions else 0
        super().fit(clicks.take(np.arange(cut)))
        asked = cut + np.flatnonzero(clicks.session[cut + 1 :] == clicks.session[cut:-1])
        asked = asked[-_ASKED_FOR_WEIGHT:]
        reached = {weight: self._reciprocal(clicks, asked, weight) for weight in LIST_WEIGHTS}
        self.list_weight = max(LIST_WEIGHTS, key=lambda weight: reached[weight])
        return super().fit(clicks)

    def score(self, session: SessionSoFar) -> F64:
        """The rules' score, more for what stands on the list."""
        score = super().score(session)
        shown = session.shown[~np.isin(session.shown, session.opened)]
        score[shown] *= 1.0 + self.list_weight
        return score

    def _reciprocal(self, clicks: ClickSessions, asked: I64, weight: float) -> float:
        """Sum of the reciprocal ranks of what came next, were this the weight."""
        self.list_weight = weight
        total = 0.0
        for row in asked:
            score = self.score(clicks.so_far(int(row)))
            rank = int((score > score[clicks.item[row + 1]]).sum()) + 1
            total += 1.0 / rank if rank <= 20 else 0.0
        return total


class CoVisitation(ScoringRecommender):
    """Item-kNN: what is opened in the sessions in which the last item is (Deshpande, Karypis, TOIS 2004); never that item itself."""

    name = "item-kNN"

    def fit(self, clicks: ClickSessions) -> Self:
        """Count sessions that share two items."""
        self._count(clicks)
        visits = np.unique(clicks.session * max(clicks.items, 1) + clicks.item)
        session, item = np.divmod(visits, max(clicks.items, 1))
        starts = np.searchsorted(session, np.arange(clicks.sessions + 1))
        size = np.diff(starts)
        # Each visit meets all of its session: rows of squares, a piece at a time so that memory is bounded.
        met = size[session]
        ends = np.cumsum(met)
        tables, low = [], 0
        while low < len(session):
            high = max(low + 1, int(np.searchsorted(ends, (ends[low - 1] if low else 0) + _PAIRS_AT_ONCE, "right")))
            of = np.repeat(np.arange(low, high), met[low:high])
            inner = np.arange(len(of)) - np.repeat(np.cumsum(met[low:high]) - met[low:high], met[low:high])
            tables.append(np.unique(item[of] * clicks.items + item[starts[session[of]] + inner], return_counts=True))
            low = high
        cell = np.concatenate([one for one, _ in tables]) if tables else np.zeros(0, np.int64)
        count = np.concatenate([many for _, many in tables]) if tables else np.zeros(0, np.int64)
        items = max(clicks.items, 1)
        self.pairs = PairTable(clicks.items, cell // items, cell % items, count.astype(np.float64))
        return self

    def score(self, session: SessionSoFar) -> F64:
        """Sessions shared with the last item, beside what popularity says."""
        score = MET_SHRINK * self.popularity
        if len(session.opened):
            last = int(session.opened[-1])
            second, weight = self.pairs.row(last)
            score[second] += weight
            score[last] = 0.0
        return score
