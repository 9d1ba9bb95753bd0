"""What a recommender is."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, SessionSoFar

F64 = NDArray[np.float64]


class Recommender(Protocol):
    """Learns from sessions, then says what comes next in one.

    Items are codes of the sessions learnt from. An instance that has been fitted is not changed by being asked, so several threads may ask it.

    Attributes:
        name: What tables call it.
    """

    name: str

    def fit(self, clicks: ClickSessions) -> Self:
        """Learn; forget what was learnt before. Returns itself."""

    def rank(self, session: SessionSoFar, n: int) -> I64:
        """The ``n`` items that are likeliest to come next, best first; fewer where it knows no more.

        Args:
            session: What is known of it; it may be empty.
            n: How many are wanted.
        """


class ScoringRecommender:
    """A recommender that gives each item a score; popularity orders equal ones."""

    name = ""
    items = 0
    popularity: F64  # share of the clicks, under 1: breaks ties

    def fit(self, clicks: ClickSessions) -> Self:
        """See :class:`Recommender`."""
        raise NotImplementedError

    def score(self, session: SessionSoFar) -> F64:
        """A score of each item; what has none, or less, is not recommended (float64[items])."""
        raise NotImplementedError

    def rank(self, session: SessionSoFar, n: int) -> I64:
        """See :meth:`Recommender.rank`."""
        return best(self.score(session), n)

    def _count(self, clicks: ClickSessions) -> None:
        self.items = clicks.items
        count = np.bincount(clicks.item, minlength=clicks.items).astype(np.float64)
        self.popularity = count / max(1.0, count.sum())


def best(score: F64, n: int) -> I64:
    """Places of the ``n`` largest scores above 0, the largest first; of equal ones the first."""
    n = min(n, len(score))
    if n == 0:
        return np.zeros(0, np.int64)
    chosen = np.argpartition(-score, n - 1)[:n] if n < len(score) else np.arange(n)
    chosen = chosen[np.lexsort((chosen, -score[chosen]))]
    return chosen[score[chosen] > 0].astype(np.int64)
