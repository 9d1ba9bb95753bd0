"""Clicks by session: what recommenders learn from, and the one way in which they are asked.

The task is the next item of a session (Hidasi et al., ICLR 2016). The first four fifths of the time are learnt from; each click of the rest that has
another one after it in its session is a question: all clicks of the session up to it are given, the next one is wanted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
TRAIN_PART = 0.8


@dataclass(frozen=True)
class SessionSoFar:
    """What is known when somebody asks what comes next in a session. Items are codes.

    Attributes:
        opened: Items opened, the latest last (int64[m]).
        shown: Items of the list that is open, in its order, those that were opened too (int64[s]); empty where lists are unknown.
    """

    opened: I64
    shown: I64

    @staticmethod
    def from_items(opened: Sequence[int] | I64, shown: Sequence[int] | I64 = ()) -> SessionSoFar:
        """From plain numbers."""
        return SessionSoFar(np.asarray(opened, np.int64), np.asarray(shown, np.int64))


@dataclass(frozen=True)
class ClickSessions:
    """Clicks in order of (session, time); sessions are in order of their first click.

    Attributes:
        session: Code of the session, dense from 0, never falling (int64[n]).
        item: Code of the item, a place in ``ids`` (int64[n]).
        ts_ms: Time (int64[n]).
        user: Number of the user; zeros where none is known (int64[n]).
        ids: Id of each item, ascending (int64[items]).
        viewed: Items shown in lists, in order of session and time (int64[v]).
        list_begins: For each click the place in ``viewed`` where the list that is open begins (int64[n]).
        list_ends: And where what has been shown of it ends (int64[n]).
    """

    session: I64
    item: I64
    ts_ms: I64
    user: I64
    ids: I64
    viewed: I64
    list_begins: I64
    list_ends: I64

    @staticmethod
    def from_columns(
        session: I64,
        film: I64,
        ts_ms: I64,
        *,
        user: I64 | None = None,
        position: NDArray[np.integer] | None = None,
    ) -> ClickSessions:
        """Sort and number events that are given in any order.

        Args:
            session: Session of each event, any numbers.
            film: Its film.
            ts_ms: Its time.
            user: Its user.
            position: For the view of a film in a list, its rank there, from 1; 0 for a click. None: all are clicks.
        """
        session, place = np.unique(session, return_inverse=True)
        is_view = np.zeros(len(place), bool) if position is None else position > 0
        first = np.full(len(session), np.iinfo(np.int64).max)
        np.minimum.at(first, place[~is_view], ts_ms[~is_view])
        order = np.lexsort((ts_ms, place, first[place]))
        order = order[first[place[order]] < np.iinfo(np.int64).max]  # sessions without a click say nothing
        place, is_view = place[order], is_view[order]
        ids, item = np.unique(film[order], return_inverse=True)
        clicks, views = np.flatnonzero(~is_view), np.flatnonzero(is_view)
        begins, ends = _lists(place, views, clicks, None if position is None else position[order])
        users = np.zeros(len(order), np.int64) if user is None else user[order].astype(np.int64)
        return ClickSessions(
            session=_numbered(place[clicks]),
            item=item[clicks].astype(np.int64),
            ts_ms=ts_ms[order][clicks].astype(np.int64),
            user=users[clicks],
            ids=ids.astype(np.int64),
            viewed=item[views].astype(np.int64),
            list_begins=begins,
            list_ends=ends,
        )

    def __len__(self) -> int:
        """Number of clicks."""
        return len(self.session)

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.ids)

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return int(self.session[-1]) + 1 if len(self.session) else 0

    @cached_property
    def starts(self) -> I64:
        """First row of each session, and n at the end (int64[sessions + 1])."""
        return np.searchsorted(self.session, np.arange(self.sessions + 1)).astype(np.int64)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> ClickSessions:
        """Chosen clicks, with the same item codes; sessions are numbered anew."""
        return dataclasses.replace(
            self,
            session=_numbered(self.session[rows]),
            item=self.item[rows],
            ts_ms=self.ts_ms[rows],
            user=self.user[rows],
            list_begins=self.list_begins[rows],
            list_ends=self.list_ends[rows],
        )

    def shuffled(self, seed: int = 0) -> ClickSessions:
        """The control: the same sessions, each item as often, but anybody may have been shown, and have opened, anything."""
        random = np.random.default_rng(seed)
        return dataclasses.replace(self, item=random.permutation(self.item), viewed=random.permutation(self.viewed))

    def so_far(self, row: int) -> SessionSoFar:
        """What is known of a session at one of its clicks."""
        opened = self.item[self.starts[self.session[row]] : row + 1]
        return SessionSoFar(opened, self.viewed[self.list_begins[row] : self.list_ends[row]])


def _numbered(session: NDArray[np.integer]) -> I64:
    """Numbers that rise by one at each change."""
    begins = np.ones(len(session), bool)
    begins[1:] = session[1:] != session[:-1]
    numbers: I64 = np.cumsum(begins) - 1
    return numbers


def _lists(session: I64, views: I64, clicks: I64, position: NDArray[np.integer] | None) -> tuple[I64, I64]:
    """For each click the part of the views that is the list it was made in.

    A list begins where the rank does not rise. A film's page that somebody lands on has no list.
    """
    ends = np.searchsorted(views, clicks).astype(np.int64)
    if position is None or len(views) == 0:
        return ends, ends
    rank, owner = position[views], session[views]
    new = np.ones(len(views), bool)
    new[1:] = (rank[1:] <= rank[:-1]) | (owner[1:] != owner[:-1])
    begin = np.maximum.accumulate(np.where(new, np.arange(len(views)), 0))
    latest = np.maximum(ends - 1, 0)
    own = (ends > 0) & (owner[latest] == session[clicks])
    return np.where(own, begin[latest], ends), ends


@dataclass(frozen=True)
class NextItemSplit:
    """What is learnt from and what is asked.

    Attributes:
        clicks: All clicks.
        cut_ms: Clicks before this instant are learnt from.
        train: Those clicks.
        asked: Rows of ``clicks``: the last click that is given; the one after it is wanted (int64[q]).
    """

    clicks: ClickSessions
    cut_ms: int
    train: ClickSessions
    asked: I64

    @staticmethod
    def from_clicks(
        clicks: ClickSessions, *, cut_ms: int | None = None, questions_max: int = 20_000, seed: int = 0
    ) -> NextItemSplit:
        """Split in time.

        Args:
            clicks: All clicks.
            cut_ms: Where; by default four fifths of the way from the first click to the last.
            questions_max: Questions asked at most, drawn from all by ``seed``.
            seed: Of that draw.
        """
        if cut_ms is None:
            first, last = (int(clicks.ts_ms.min()), int(clicks.ts_ms.max())) if len(clicks) else (0, 0)
            cut_ms = first + int(TRAIN_PART * (last - first))
        asked = np.flatnonzero((clicks.session[1:] == clicks.session[:-1]) & (clicks.ts_ms[:-1] >= cut_ms))
        if len(asked) > questions_max:
            asked = np.sort(np.random.default_rng(seed).choice(asked, questions_max, replace=False))
        return NextItemSplit(clicks, cut_ms, clicks.take(clicks.ts_ms < cut_ms), asked)

    @property
    def wanted(self) -> I64:
        """The item that follows, by question (int64[q])."""
        return self.clicks.item[self.asked + 1]

    def given(self, question: int) -> SessionSoFar:
        """What is known when a question is asked."""
        return self.clicks.so_far(int(self.asked[question]))
