"""How good lists for people are: the next film that a person opens for the first time, from all they opened before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clickreel.insight.recommenders.click_sessions import I64, ClickSessions, SessionSoFar
from clickreel.insight.recommenders.item_pairs import PersonalRules

PEOPLE_MAX = 5_000
_DEPTH = 10


@dataclass(frozen=True)
class PeopleScore:
    """What lists for people reached.

    Attributes:
        asked: People.
        hit_rate_10: Share of them in whose first ten the film was.
        popular_hit_rate_10: The same for the films opened most, of those new to them.
    """

    asked: int
    hit_rate_10: float
    popular_hit_rate_10: float


def compare_people(clicks: ClickSessions, cut_ms: int, *, people_max: int = PEOPLE_MAX) -> PeopleScore:
    """Learn from the clicks before an instant, ask about those after it.

    Args:
        clicks: All clicks.
        cut_ms: The instant.
        people_max: People asked about at most, drawn with a fixed seed.
    """
    asked = list(_questions(clicks, cut_ms))
    if len(asked) > people_max:
        rows = np.sort(np.random.default_rng(0).choice(len(asked), people_max, replace=False))
        asked = [asked[row] for row in rows]
    rules = PersonalRules().fit(clicks.take(clicks.ts_ms < cut_ms))
    hits = popular_hits = 0
    for opened, wanted in asked:
        hits += bool((rules.rank(SessionSoFar.from_items(opened), _DEPTH) == wanted).any())
        more = (rules.popularity > rules.popularity[wanted]) & ~np.isin(np.arange(clicks.items), opened)
        popular_hits += int(more.sum()) < _DEPTH
    count = max(1, len(asked))
    return PeopleScore(len(asked), hits / count, popular_hits / count)


def _questions(clicks: ClickSessions, cut_ms: int) -> Iterator[tuple[I64, int]]:
    """What each person opened before, and the first film after that which is new to them."""
    order = np.lexsort((clicks.ts_ms, clicks.user))
    user, item, late = clicks.user[order], clicks.item[order], clicks.ts_ms[order] >= cut_ms
    for rows in np.split(np.arange(len(user)), np.flatnonzero(np.diff(user)) + 1):
        opened, after = item[rows[~late[rows]]], item[rows[late[rows]]]
        new = after[~np.isin(after, opened)]
        if len(opened) and len(new):
            yield opened, int(new[0])
