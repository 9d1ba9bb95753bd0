"""Recommenders that see a session as a set of items: EASE, and matrix factorisation by iALS.

Both were made for people and what they liked over a long time. Here a session stands for a person; what was opened a moment ago counts as
much as all else of it, which is why they fall behind on the next click.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, SessionSoFar
from clickreel.insight.recommenders.protocol import F64, ScoringRecommender

ITEMS_MAX = 20_000  # EASE inverts a matrix of items by items
_FACTORS, _ROUNDS = 32, 6
_SESSIONS_AT_ONCE = 4096


def _visits(clicks: ClickSessions) -> tuple[I64, I64]:
    """Session and item of each pair that occurs, in order of session."""
    items = max(1, clicks.items)
    session, item = np.divmod(np.unique(clicks.session * items + clicks.item), items)
    return session, item


def gram_matrix(clicks: ClickSessions) -> F64:
    """How many sessions have both of two items (float64[items, items])."""
    session, item = _visits(clicks)
    gram = np.zeros((clicks.items, clicks.items))
    for low in range(0, clicks.sessions, _SESSIONS_AT_ONCE):
        rows = slice(*np.searchsorted(session, [low, low + _SESSIONS_AT_ONCE]))
        visits = np.zeros((_SESSIONS_AT_ONCE, clicks.items), np.float32)
        visits[session[rows] - low, item[rows]] = 1.0
        gram += visits.T @ visits
    return gram


class Ease(ScoringRecommender):
    """EASE (Steck, WWW 2019): each item as the best linear sum of the others, in closed form."""

    name = "EASE"

    def __init__(self, *, penalty: float = 100.0) -> None:
        self.penalty = penalty

    def fit(self, clicks: ClickSessions) -> Self:
        """Invert the regularised Gram matrix."""
        assert clicks.items <= ITEMS_MAX, "EASE needs a matrix of all pairs of items"
        self._count(clicks)
        inverse = np.linalg.inv(gram_matrix(clicks) + self.penalty * np.eye(clicks.items))
        self.weights = inverse / -np.diag(inverse) if clicks.items else inverse
        np.fill_diagonal(self.weights, 0.0)
        return self

    def score(self, session: SessionSoFar) -> F64:
        """The sum of what the session's items say."""
        score: F64 = self.weights[np.unique(session.opened)].sum(axis=0)
        return score


class ImplicitAls(ScoringRecommender):
    """iALS (Hu, Koren, Volinsky, ICDM 2008; with the penalty of Rendle et al., RecSys 2022): sessions and items as vectors; a new session is folded in."""

    name = "iALS"

    def __init__(self, *, alpha: float = 0.05, penalty: float = 0.002, seed: int = 0) -> None:
        self.alpha, self.penalty, self.seed = alpha, penalty, seed

    def fit(self, clicks: ClickSessions) -> Self:
        """Alternate between sessions and items."""
        self._count(clicks)
        session, item = _visits(clicks)
        by_item = np.argsort(item, kind="stable")
        random = np.random.default_rng(self.seed)
        self._factors = random.normal(0, 0.1 / _FACTORS**0.5, (clicks.items, _FACTORS)).astype(np.float32)
        for _ in range(_ROUNDS):
            of_sessions = self._solve(self._factors, session, item, clicks.sessions)
            self._factors = self._solve(of_sessions, item[by_item], session[by_item], clicks.items)
        self._gram = self._factors.T @ self._factors
        return self

    def score(self, session: SessionSoFar) -> F64:
        """Fold the session in, and compare its vector with the items'; lifted above 0 by the least."""
        if len(session.opened) == 0:
            return self.popularity
        items = np.unique(session.opened)
        vector = self._solve(self._factors, np.zeros(len(items), np.int64), items, 1, self._gram)[0]
        score: F64 = (self._factors @ vector).astype(np.float64)
        score -= score.min()
        return score

    def _solve(
        self,
        fixed: NDArray[np.float32],
        row: I64,
        column: I64,
        rows: int,
        gram: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The best vectors of rows, given those of the columns; pairs are in order of row."""
        shared = self.alpha * (fixed.T @ fixed if gram is None else gram)
        found = np.zeros((rows, fixed.shape[1]), np.float32)
        starts = np.searchsorted(row, np.arange(rows + 1))
        size = np.diff(starts)
        # Rows of equal length are solved together.
        for length in np.unique(size[size > 0]):
            alike = np.flatnonzero(size == length)
            at_once = max(1, 200_000 // int(length))
            for low in range(0, len(alike), at_once):
                some = alike[low : low + at_once]
                vectors = fixed[column[starts[some][:, None] + np.arange(length)]]
                ridge = self.penalty * (length + self.alpha * len(fixed)) * np.eye(fixed.shape[1], dtype=np.float32)
                left = np.swapaxes(vectors, 1, 2) @ vectors + shared + ridge
                found[some] = np.linalg.solve(left, vectors.sum(axis=1)[..., None])[..., 0]
        return found
