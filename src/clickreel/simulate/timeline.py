"""The events of a world, by time: any part alone, or in sequence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clickreel.events import Events
from clickreel.simulate import browsing, list_visits
from clickreel.simulate.films import Catalogue
from clickreel.simulate.ranked_lists import Ranker
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste, taste
from clickreel.simulate.traffic import DAY_MS, HOUR_MS, MINUTE_MS, Sessions, Traffic, span_hours
from clickreel.simulate.trends import FilmTrends

# Lists expanded at once: their slots, some 130 k, stay in the processor's second-level cache.
_VISITS_AT_ONCE = 1 << 14
# Events read ahead in sequence: NumPy's cost per call is spread over them.
_EVENTS_AT_ONCE = 100_000


class EventSource(Protocol):
    """Events by time."""

    def between(self, start_ms: int, end_ms: int) -> Events:
        """The events with event time in [start_ms, end_ms), in order of (ts_ms, user, ordinal)."""

    def reader(self, start_ms: int) -> EventCursor:
        """Read in sequence from an instant on."""


class EventCursor(Protocol):
    """Reads a timeline in sequence; the cheap form of :meth:`EventSource.between`."""

    def advance(self, end_ms: int) -> Events:
        """The events from where it stands up to ``end_ms``, where it stands then."""


class WorldModel:
    """What the events of a world are made from, apart from who comes when."""

    def __init__(self, settings: WorldSettings, catalogue: Catalogue) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.taste: Taste = taste(settings.seed, catalogue)
        self.trends = FilmTrends(settings, self.taste)
        self.ranker = Ranker(settings, self.taste, self.trends)
        self.appeals: NDArray[np.float32] = browsing.appeal(self.taste)

    def expand(self, sessions: Sessions) -> Iterator[tuple[Events, list_visits.Visits, NDArray[np.int64]]]:
        """All events of whole sessions, piece by piece: events, the visits of the piece, the visit of each event.

        Args:
            sessions: In order of start; those of several days may be mixed.
        """
        if len(sessions) == 0:
            return
        day = sessions.start_ms // DAY_MS
        piece = (np.cumsum(sessions.visits) - 1) // _VISITS_AT_ONCE
        cuts = np.flatnonzero((np.diff(day, prepend=-1) != 0) | (np.diff(piece, prepend=0) != 0))
        for first, end in zip(cuts, [*cuts[1:], len(day)], strict=True):
            part = sessions.take(slice(first, end))
            lists = self.ranker.day(int(day[first]))
            context = list_visits.session_contexts(part, self.taste, lists, self.settings)
            bursts = self.trends.bursts(int(part.start_ms[0]), int(part.start_ms[-1]) + 1)
            visit = list_visits.visits(part, context, self.taste, lists, bursts=bursts, settings=self.settings)
            slot = browsing.slots(visit, context, lists, self.appeals, self.settings)
            events, of_visit = browsing.generate_events(
                part, context, visit, slot, film_id=self.catalogue.film_id, settings=self.settings
            )
            yield events, visit, of_visit


class EventTimeline:
    """The timeline as people make it.

    A part alone costs its own sessions and those that started up to the session cap earlier and can still be under way: with the defaults about
    ten minutes' worth of traffic. In sequence each session is expanded once.

    Args:
        model: What events are made from.
        traffic: Who comes when.
        people: Number of people.
        rate: Expected events a second.
    """

    def __init__(self, model: WorldModel, traffic: Traffic, people: int, rate: float) -> None:
        self._scene = model
        self._hours = span_hours(people)
        self._cap_ms = model.settings.session_cap_min * MINUTE_MS
        self._sessions_of = lru_cache(maxsize=8)(traffic.sessions)
        self.step_ms = int(min(max(_EVENTS_AT_ONCE / rate * 1000, 2 * MINUTE_MS), DAY_MS // 2))

    def sessions(self, start_ms: int, end_ms: int) -> Sessions:
        """The sessions that start in [start_ms, end_ms), in order of (start_ms, user)."""
        span = self._hours * HOUR_MS
        parts = []
        for first in range(start_ms // span * span, max(end_ms, start_ms + 1), span):
            day, in_day = divmod(first, DAY_MS)
            part = self._sessions_of(day, in_day // HOUR_MS, self._hours)
            low, high = np.searchsorted(part.start_ms, [start_ms, end_ms])
            parts.append(part.take(slice(int(low), int(high))))
        return Sessions.concat(parts)

    def under_way(self, start_ms: int, end_ms: int) -> Sessions:
        """The sessions that start before ``end_ms`` and can have an event from ``start_ms`` on."""
        sessions = self.sessions(start_ms - self._cap_ms, end_ms)
        return sessions.take(sessions.start_ms + sessions.limit_ms >= start_ms)

    def between(self, start_ms: int, end_ms: int) -> Events:
        """The events with event time in [start_ms, end_ms), in order of (ts_ms, user, ordinal)."""
        parts = []
        for events, _, _ in self._scene.expand(self.under_way(start_ms, end_ms)):
            parts.append(events.take((events.ts_ms >= start_ms) & (events.ts_ms < end_ms)))
        return in_order(Events.concat(parts))

    def reader(self, start_ms: int) -> EventTimelineCursor:
        """Read in sequence from an instant on."""
        return EventTimelineCursor(self, self._scene, start_ms)


class EventTimelineCursor:
    """Reads :class:`EventTimeline` in sequence: sessions are expanded a step ahead, events that are not due yet wait."""

    def __init__(self, timeline: EventTimeline, model: WorldModel, start_ms: int) -> None:
        self._happenings = timeline
        self._scene = model
        self._start_ms = start_ms
        self._expanded_ms = start_ms
        self._waiting = Events.concat([])

    def advance(self, end_ms: int) -> Events:
        """The events from where it stands up to ``end_ms``, where it stands then."""
        given = []
        while self._expanded_ms < end_ms:
            self._expand()
            given.append(self._release(min(self._expanded_ms, end_ms)))
        given.append(self._release(end_ms))
        return Events.concat(given)

    def _expand(self) -> None:
        first, end = self._expanded_ms, self._expanded_ms + self._happenings.step_ms
        if first == self._start_ms:
            sessions = self._happenings.under_way(first, end)
        else:
            sessions = self._happenings.sessions(first, end)
        new = Events.concat([events for events, _, _ in self._scene.expand(sessions)])
        if first == self._start_ms:
            new = new.take(new.ts_ms >= first)
        self._waiting = in_order(Events.concat([self._waiting, new]))
        self._expanded_ms = end

    def _release(self, end_ms: int) -> Events:
        cut = int(np.searchsorted(self._waiting.ts_ms, end_ms))
        given = self._waiting.take(slice(0, cut))
        self._waiting = self._waiting.take(slice(cut, None))
        return given


def in_order(events: Events) -> Events:
    """The events in order of (ts_ms, user, ordinal)."""
    if len(events) == 0:
        return events
    # A user has one event per millisecond, so time and user make one number that is never the same for two events.
    since = (events.ts_ms - events.ts_ms.min()).astype(np.uint64)
    assert int(since.max()) < 1 << 32, "more than 49 days in one block"
    return events.take(np.argsort((since << np.uint64(32)) | events.user))
