"""Sequential rules in memory, kept current with the landing table: a list takes a fraction of a millisecond, and a click counts when it has landed.

What has landed since the last look is read by offset, partition by partition, so nothing is read twice and a late event is met when it comes. A session's clicks are kept in order of
event time; when one falls between two others, what the session has voted is taken back and voted anew. The same event delivered twice counts once. Sessions
without a click for :data:`SESSION_KEPT_MS` are closed: an event later than that is a session of its own. Nothing is forgotten until the model is made anew.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from clickreel.errors import ClickreelError, UsageError
from clickreel.insight.queries import text
from clickreel.insight.recommenders.click_sessions import I64, ClickSessions
from clickreel.insight.recommenders.item_pairs import (
    CLICKS_GIVEN,
    FADE,
    LAGS,
    MEMORY,
    MEMORY_FADE,
    SHRINK,
    sequential_pairs,
)
from clickreel.insight.recommenders.protocol import F64, best
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

FILMS_MAX = 6_000  # the votes are a matrix of films by films: 290 MB then
SESSION_KEPT_MS = 3 * 86_400_000  # the horizon of late events
LOOK_S = 0.3
_GROW = 256

Click = tuple[int, int, int, int]  # session, film, event time, user


@dataclass
class _PersonClicks:
    """What a person has opened: all films, and the clicks in order of time."""

    films: set[int] = field(default_factory=set)
    clicks: list[tuple[int, int]] = field(default_factory=list)


class LiveRules:
    """The votes and who has opened what. One thread may add while others ask."""

    def __init__(self) -> None:
        self.clicks = 0
        self._lock = threading.Lock()
        self._place: dict[int, int] = {}
        self._ids: I64 = np.zeros(0, np.int64)
        self._votes: F64 = np.zeros((0, 0))
        self._count: F64 = np.zeros(0)
        self._sessions: dict[int, list[tuple[int, int]]] = {}
        self._people: dict[int, _PersonClicks] = {}
        self.newest_ms = 0
        self._swept_ms = 0

    def add(self, clicks: Iterable[Click]) -> int:
        """Let clicks vote; returns how many were new.

        Raises:
            UsageError: There are more films than the matrix may have.
        """
        added = 0
        with self._lock:
            for session, film, ts_ms, user in clicks:
                added += self._add(session, self._place_of(film), ts_ms, user)
            self.clicks += added
            self._sweep()
        return added

    def load(self, session: I64, film: I64, ts_ms: I64, user: I64) -> int:
        """The same for many clicks of sessions and people of which nothing is known yet, in one go."""
        _, rows = np.unique(np.stack([session, ts_ms, film]), axis=1, return_index=True)
        clicks = ClickSessions.from_columns(session[rows], film[rows], ts_ms[rows], user=user[rows])
        if len(clicks) == 0:
            return 0
        pairs = sequential_pairs(clicks)
        with self._lock:
            place = np.array([self._place_of(one) for one in clicks.ids.tolist()])
            first = np.repeat(np.arange(clicks.items), np.diff(pairs.starts))
            np.add.at(self._votes, (place[first], place[pairs.second]), pairs.weight)
            self._count += np.bincount(place[clicks.item], minlength=len(self._count))
            self.newest_ms = max(self.newest_ms, int(clicks.ts_ms.max()))
            order = np.lexsort((film[rows], ts_ms[rows], session[rows]))
            made = zip(*(one[rows][order].tolist() for one in (session, ts_ms, film, user)), strict=True)
            for of_session, when, what, who in made:
                click = (when, self._place[what])
                self._sessions.setdefault(of_session, []).append(click)
                person = self._people.setdefault(who, _PersonClicks())
                person.films.add(click[1])
                person.clicks.append(click)
            for person in self._people.values():
                person.clicks = sorted(person.clicks)[-MEMORY:]
            self._swept_ms = 0
            self._sweep()
            self.clicks += len(clicks)
        return len(clicks)

    def _add(self, session: int, place: int, ts_ms: int, user: int) -> bool:
        kept = self._sessions.setdefault(session, [])
        click = (ts_ms, place)
        at = bisect_left(kept, click)
        if at < len(kept) and kept[at] == click:
            return False
        if at == len(kept):
            for lag, (_, earlier) in enumerate(kept[: -LAGS - 1 : -1], 1):
                self._votes[earlier, place] += 1.0 / lag
            kept.append(click)
        else:
            self._vote(kept, -1.0)
            kept.insert(at, click)
            self._vote(kept, 1.0)
        self._count[place] += 1.0
        self.newest_ms = max(self.newest_ms, ts_ms)
        person = self._people.setdefault(user, _PersonClicks())
        person.films.add(place)
        person.clicks.insert(bisect_left(person.clicks, click), click)
        del person.clicks[:-MEMORY]
        return True

    def _vote(self, kept: list[tuple[int, int]], sign: float) -> None:
        for number, (_, later) in enumerate(kept):
            for lag in range(1, min(LAGS, number) + 1):
                self._votes[kept[number - lag][1], later] += sign / lag

    def _place_of(self, film: int) -> int:
        place = self._place.setdefault(film, len(self._place))
        if place >= len(self._ids):
            if place >= FILMS_MAX:
                raise UsageError(
                    f"more than {FILMS_MAX:,} films", hint="recommend without a live model asks ClickHouse"
                )
            size = len(self._ids) + _GROW
            votes = np.zeros((size, size))
            votes[: len(self._ids), : len(self._ids)] = self._votes
            self._votes = votes
            self._ids = np.concatenate([self._ids, np.zeros(_GROW, np.int64)])
            self._count = np.concatenate([self._count, np.zeros(_GROW)])
        self._ids[place] = film
        return place

    def _sweep(self) -> None:
        """Close the sessions that have ended long ago, once an hour of event time."""
        if self.newest_ms - self._swept_ms > 3_600_000:
            self._swept_ms = self.newest_ms
            ended = self.newest_ms - SESSION_KEPT_MS
            self._sessions = {one: kept for one, kept in self._sessions.items() if kept[-1][0] >= ended}

    def for_user(self, user: int, limit: int = 10) -> list[tuple[int, float]]:
        """Films that are new to a person, with their votes, best first; the popular ones for somebody unknown."""
        return [(film, score) for film, score, _ in self.reasons_for_user(user, limit)]

    def reasons_for_user(self, user: int, limit: int = 10) -> list[tuple[int, float, int]]:
        """The same, each with the film of theirs that adds most to its score; 0 where popularity alone speaks for it."""
        with self._lock:
            person = self._people.get(user, _PersonClicks())
            latest = [place for _, place in person.clicks[::-1]]
            return self._ranked(latest, MEMORY_FADE, list(person.films), limit)

    def for_session(self, films: Sequence[int], limit: int = 10) -> list[tuple[int, float]]:
        """What comes next in a session; ``films`` are those opened in it, the latest last."""
        with self._lock:
            latest = [self._place[film] for film in films[: -CLICKS_GIVEN - 1 : -1] if film in self._place]
            return [(film, score) for film, score, _ in self._ranked(latest, FADE, [], limit)]

    def _ranked(self, latest: list[int], fade: float, without: list[int], limit: int) -> list[tuple[int, float, int]]:
        share = self._count / max(1.0, self._count.sum())
        score = share
        if latest:
            weight = fade ** np.arange(len(latest)) / (self._count[latest] + SHRINK)
            score = weight @ self._votes[latest] + share * (SHRINK * weight.sum())
        score = score.copy()
        score[without] = 0.0
        chosen = best(score, limit)
        strongest = np.zeros(len(chosen), np.int64)
        if latest:
            own, of = np.unique(latest, return_inverse=True)
            votes = np.bincount(of, weight)[:, None] * self._votes[np.ix_(own, chosen)]
            strongest = np.where(votes.max(axis=0) > 0, self._ids[own[votes.argmax(axis=0)]], 0)
        return list(zip(self._ids[chosen].tolist(), score[chosen].tolist(), strongest.tolist(), strict=True))


class LiveRecommender:
    """Live rules that follow a warehouse; use it as a context, or stop it.

    Args:
        client: The warehouse, used by this alone.
        window: What is learnt from at first.
        look_s: Seconds between two looks for what has landed.
    """

    def __init__(self, client: Client, window: Window, *, look_s: float = LOOK_S) -> None:
        self.rules = LiveRules()
        self.error: ClickreelError | None = None
        self.window = window
        self._client, self._look_s = client, look_s
        self._next: dict[tuple[str, int], int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live-rules", daemon=True)
        self.refresh()
        self._thread.start()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following."""
        self.stop()

    def stop(self) -> None:
        """Stop following; it still answers from what it knows."""
        self._stopped.set()
        self._thread.join()

    def refresh(self) -> int:
        """Take in what has landed since the last look; returns how many clicks were new."""
        added = 0
        ends = self._client.columns(text("landed_up_to"), {}).to_pylist()
        for topic, part, last in ((one["topic"], one["part"], one["place"]) for one in ends):
            first = self._next.get((topic, part), 0)
            if first > last:
                continue
            where = {"topic": topic, "part": part, "first": first, "last": last, "from_ms": self.window.begin_ms}
            table = self._client.columns(text("clicks_landed"), where)
            names = ("session", "film", "ts_ms", "user_number")
            column = [table[name].to_numpy().astype(np.int64) for name in names]
            added += (
                self.rules.load(*column)
                if first == 0
                else self.rules.add(zip(*map(np.ndarray.tolist, column), strict=True))
            )
            self._next[topic, part] = last + 1
        return added

    def _follow(self) -> None:
        while not self._stopped.wait(self._look_s):
            try:
                self.refresh()
                self.error = None
            except ClickreelError as exc:
                self.error = exc  # it goes on with what it knows, and looks again

    def for_user(self, user: int, limit: int = 10) -> list[tuple[int, float]]:
        """See :meth:`LiveRules.for_user`."""
        return self.rules.for_user(user, limit)

    def reasons_for_user(self, user: int, limit: int = 10) -> list[tuple[int, float, int]]:
        """See :meth:`LiveRules.reasons_for_user`."""
        return self.rules.reasons_for_user(user, limit)

    def for_session(self, films: Sequence[int], limit: int = 10) -> list[tuple[int, float]]:
        """See :meth:`LiveRules.for_session`."""
        return self.rules.for_session(films, limit)
