"""Recommenders that look for sessions like this one.

SKNN: what was opened in the sessions most like this one (cosine); V-SkNN: its last clicks count more (Ludewig, Jannach, UMUAI 2018); VSTAN: newer
sessions and the neighbourhood of the common item count more too (Garg et al., SIGIR 2019; Ludewig et al., 2021).
"""

from __future__ import annotations

from typing import Self

import numpy as np

from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, SessionSoFar
from clickreel.insight.recommenders.protocol import F64, ScoringRecommender

NEIGHBOURS = 150
SESSIONS_MAX = 80_000  # newest ones learnt from
_CLICKS_KEPT = 12  # last clicks of a session that are looked at
# Decay of the weight: by clicks back in this session, by days since the other session, by clicks between the common item and another.
_CLICKS_BACK, _DAYS, _CLICKS_APART = 1.6, 14.0, 2.5
_DAY_MS = 86_400_000.0


class SessionNeighbours(ScoringRecommender):
    """SKNN, V-SkNN or VSTAN, by two switches."""

    def __init__(self, name: str = "V-SkNN", *, late_clicks: bool = True, near_items: bool = False) -> None:
        self.name = name
        self._late_clicks, self._near_items = late_clicks, near_items

    def fit(self, clicks: ClickSessions) -> Self:
        """Keep the newest sessions, and in which of them each item is."""
        self._count(clicks)
        low = max(0, clicks.sessions - SESSIONS_MAX)
        rows = slice(int(clicks.starts[low]) if clicks.sessions else 0, len(clicks))
        self._item = clicks.item[rows]
        session = clicks.session[rows] - low
        self._starts = np.searchsorted(session, np.arange(clicks.sessions - low + 1))
        visits = np.unique(self._item * max(1, len(self._starts)) + session)
        item, self._visited = np.divmod(visits, max(1, len(self._starts)))
        self._item_starts = np.searchsorted(item, np.arange(clicks.items + 1))
        size = np.bincount(self._visited, minlength=len(self._starts) - 1).astype(np.float64)
        self._closeness = 1.0 / np.sqrt(np.maximum(size, 1.0))
        if self._near_items and len(clicks):
            ends = clicks.ts_ms[rows][self._starts[1:] - 1]
            self._closeness = self._closeness * np.exp((ends - ends.max()) / (_DAYS * _DAY_MS))
        return self

    def score(self, session: SessionSoFar) -> F64:
        """The weights of the sessions most like this one, added up over their items."""
        weights = self._weights(session.opened)
        likeness = np.zeros(len(self._starts) - 1)
        for item, weight in weights.items():
            likeness[self._visited[self._item_starts[item] : self._item_starts[item + 1]]] += weight
        likeness *= self._closeness
        found = np.flatnonzero(likeness)
        if len(found) > NEIGHBOURS:
            # The newer of equally near ones.
            found = found[np.lexsort((-found, -likeness[found]))[:NEIGHBOURS]]
        return self._add_up(found, likeness[found], weights) + self.popularity * 1e-9

    def _weights(self, opened: I64) -> dict[int, float]:
        """What each item of the session counts; one that is repeated counts by its latest click."""
        weights: dict[int, float] = {}
        for back, item in enumerate(opened[: -_CLICKS_KEPT - 1 : -1]):
            weights.setdefault(int(item), float(np.exp(-back / _CLICKS_BACK)) if self._late_clicks else 1.0)
        return weights

    def _add_up(self, found: I64, likeness: F64, weights: dict[int, float]) -> F64:
        count = self._starts[found + 1] - self._starts[found]
        which = np.repeat(np.arange(len(found)), count)
        row = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + self._starts[found][which]
        weight = likeness[which]
        if self._near_items and len(row):
            of_item = np.zeros(self.items)
            of_item[list(weights)] = list(weights.values())
            common = of_item[self._item[row]]
            # The row of each session's common item that counts most; of equal ones the last.
            order = np.lexsort((row, common, which))
            last = np.append(which[order][1:] != which[order][:-1], True)
            at = row[order][last]
            weight = weight * np.exp(-np.abs(row - at[which]) / _CLICKS_APART)
        return np.bincount(self._item[row], weight, self.items).astype(np.float64)
