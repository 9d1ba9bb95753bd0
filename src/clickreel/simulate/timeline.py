"""The events of a world, by time: any part alone, or in sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clickreel.events import Events
from clickreel.simulate import browsing, interactions, list_visits
from clickreel.simulate.films import Catalogue
from clickreel.simulate.intervention import Intervention, parse_change
from clickreel.simulate.list_visits import SessionContext, session_contexts
from clickreel.simulate.pauses import EPISODE_MAX_MS
from clickreel.simulate.ranked_lists import Ranker
from clickreel.simulate.rhythm import DAY_MS, MINUTE_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste, taste
from clickreel.simulate.traffic import Episodes, Traffic
from clickreel.simulate.trends import FilmTrends, added_burst

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


@dataclass(frozen=True, slots=True)
class Expansion:
    """What becomes of some episodes.

    Attributes:
        episodes: The episodes.
        context: Their sessions.
        visits: Their lists.
        events: Their events, in order of session and time.
        visit: The list of each event (int64).
    """

    episodes: Episodes
    context: SessionContext
    visits: list_visits.ListVisits
    events: Events
    visit: NDArray[np.int64]


class WorldModel:
    """What the events of a world are made from, apart from who comes when."""

    def __init__(self, settings: WorldSettings, catalogue: Catalogue) -> None:
        self.change = parse_change(settings.change)
        if self.change.kind == "ranker":
            settings = replace(settings, ranker=self.change.value)
        self.settings = settings
        self.catalogue = catalogue
        self.taste: Taste = taste(settings.seed, catalogue, settings.popularity)
        film = np.flatnonzero(catalogue.film_id == self.change.film_id)
        self.placed = (int(film[0]), int(self.change.value)) if self.change.kind == "place" and len(film) else None
        more = [added_burst(int(film[0]), self.change)] if self.change.kind == "burst" and len(film) else []
        self.trends = FilmTrends(settings, self.taste, more)
        self.ranker = Ranker(settings, self.taste, self.trends)
        self.clicks = browsing.click_model(settings, self.taste)
        self.films = interactions.film_columns(settings.seed, catalogue.film_id, self.taste)

    def expand(self, episodes: Episodes) -> Iterator[Expansion]:
        """All events of whole episodes, piece by piece.

        Args:
            episodes: In order of start.
        """
        first = 0
        total = np.cumsum(episodes.first + episodes.second.astype(np.int64))
        while first < len(episodes):
            start_ms = int(episodes.start_ms[first])
            change = self.trends.last_change_ms(start_ms)
            end = int(np.searchsorted(total, _VISITS_AT_ONCE + (int(total[first - 1]) if first else 0), side="right"))
            until = self.trends.next_change_ms(start_ms)
            end = min(max(end, first + 1), int(np.searchsorted(episodes.start_ms, until)))
            yield self._expand(episodes.take(slice(first, end)), change)
            first = end

    def _expand(self, part: Episodes, change_ms: int) -> Expansion:
        lists = self.ranker.lists(change_ms)
        context = session_contexts(part)
        bursts = self.trends.bursts(int(part.start_ms[0]), int(part.start_ms[-1]) + 1)
        visits = list_visits.list_visits(
            part, context, self.taste, lists, bursts=bursts, settings=self.settings, placed=self.placed
        )
        shown = browsing.impressions(visits, context, part, lists, self.clicks)
        events, visit = interactions.generate_events(
            part, context, visits, shown, films=self.films, settings=self.settings
        )
        if self.change.kind == "outage":
            kept = _before_outage(events, self.change)
            events, visit = events.take(kept), visit[kept]
        return Expansion(part, context, visits, events, visit)


def _before_outage(events: Events, change: Intervention) -> NDArray[np.bool_]:
    """Which events, in order of session and time, take place: whom the outage meets gives up."""
    lost = (events.ts_ms >= change.start_ms) & (events.ts_ms < change.end_ms)
    begins = np.ones(len(lost), bool)
    begins[1:] = events.session[1:] != events.session[:-1]
    so_far = np.cumsum(lost)
    before = (so_far - lost)[np.maximum.accumulate(np.where(begins, np.arange(len(lost)), 0))] if len(lost) else so_far
    kept: NDArray[np.bool_] = so_far == before
    return kept


class EventTimeline:
    """The timeline as people make it.

    A part alone costs its own episodes and those that started up to 14 hours earlier and can still be under way: with the defaults about
    half an hour's worth of traffic. In sequence each episode is expanded once.

    Args:
        model: What events are made from.
        traffic: Who comes when.
        rate: Expected events a second.
    """

    def __init__(self, model: WorldModel, traffic: Traffic, rate: float) -> None:
        self._model = model
        self._episodes_of = lru_cache(maxsize=4)(traffic.episodes)
        self.step_ms = int(min(max(_EVENTS_AT_ONCE / rate * 1000, 2 * MINUTE_MS), DAY_MS // 2))

    def episodes(self, start_ms: int, end_ms: int) -> Episodes:
        """The episodes that start in [start_ms, end_ms), in order of (start_ms, user)."""
        parts = []
        for day in range(start_ms // DAY_MS, -(-max(end_ms, start_ms + 1) // DAY_MS)):
            part = self._episodes_of(day)
            low, high = np.searchsorted(part.start_ms, [start_ms, end_ms])
            parts.append(part.take(slice(int(low), int(high))))
        return Episodes.concat(parts)

    def under_way(self, start_ms: int, end_ms: int) -> Episodes:
        """The episodes that start before ``end_ms`` and can have an event from ``start_ms`` on."""
        episodes = self.episodes(start_ms - EPISODE_MAX_MS, end_ms)
        return episodes.take(episodes.start_ms + episodes.bound_ms >= start_ms)

    def between(self, start_ms: int, end_ms: int) -> Events:
        """The events with event time in [start_ms, end_ms), in order of (ts_ms, user, ordinal)."""
        parts = [
            made.events.take((made.events.ts_ms >= start_ms) & (made.events.ts_ms < end_ms))
            for made in self._model.expand(self.under_way(start_ms, end_ms))
        ]
        return in_order(Events.concat(parts))

    def reader(self, start_ms: int) -> EventTimelineCursor:
        """Read in sequence from an instant on."""
        return EventTimelineCursor(self, self._model, start_ms)


class EventTimelineCursor:
    """Reads :class:`EventTimeline` in sequence: episodes are expanded a step ahead, events that are not due yet wait."""

    def __init__(self, timeline: EventTimeline, model: WorldModel, start_ms: int) -> None:
        self._timeline = timeline
        self._model = model
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
        first, end = self._expanded_ms, self._expanded_ms + self._timeline.step_ms
        if first == self._start_ms:
            episodes = self._timeline.under_way(first, end)
        else:
            episodes = self._timeline.episodes(first, end)
        new = Events.concat([made.events for made in self._model.expand(episodes)])
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
