"""A world: all events of all time, of which any part can be computed alone.

The path, each step a function in a module of its own:

1. :mod:`~clickreel.simulate.population` who is there, :mod:`~clickreel.simulate.traffic` when they come: the sessions of a day, for all people;
2. :mod:`~clickreel.simulate.list_visits` what a session is and which lists it looks at, :mod:`~clickreel.simulate.ranked_lists` what stands in them;
3. :mod:`~clickreel.simulate.browsing` what happens in the lists: events;
4. :mod:`~clickreel.simulate.timeline` by time, and :mod:`~clickreel.simulate.rate_shaping` for a flat rate the even spacing;
5. :mod:`~clickreel.simulate.delivery_flaws` what goes wrong on the way, and ids: deliveries.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.events import Deliveries, Events
from clickreel.simulate import ids
from clickreel.simulate.delivery_flaws import Delivery, concat, in_order
from clickreel.simulate.films import Catalogue, invent
from clickreel.simulate.population import Population
from clickreel.simulate.rate_shaping import ShapedTimeline
from clickreel.simulate.rhythm import EVENT_SLACK_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.sizing import audience
from clickreel.simulate.timeline import EventCursor, EventSource, EventTimeline, WorldModel
from clickreel.simulate.traffic import Traffic

_PASSED_AT_ONCE = 500_000  # events
_FIRST_MS = 2 * 86_400_000  # the day before the first is needed for its sessions under way
_LAST_MS = 4_102_444_800_000  # 2100-01-01: what an event's timestamp can hold


class World:
    """A simulated world.

    Args:
        settings: What it is told.
        catalogue: Its films; by default invented ones.

    Raises:
        UsageError: The rate cannot be made by so many people.

    Attributes:
        run: Name of the run, by default made from seed and settings.
        run_tag: The 32 bits of it that every event id carries.
        users: Number of people on the platform at any time.
        expected_rate: Mean number of events a second.
        timeline: The timeline as people make it.
        delivery: How events become deliveries, with their flaws.
    """

    def __init__(self, settings: WorldSettings | None = None, catalogue: Catalogue | None = None) -> None:
        self.settings = settings or WorldSettings()
        self.catalogue = catalogue or invent(self.settings.films, self.settings.seed)
        self.run = self.settings.run or self._run_name()
        self.run_tag = ids.run_tag(self.run)
        self.model = WorldModel(self.settings, self.catalogue)
        self.audience = audience(
            WorldModel(replace(self.settings, change=""), self.catalogue) if self.settings.change else self.model
        )
        self.users = self.audience.people
        self.expected_rate = self.audience.rate
        self.population = Population(self.settings, self.users)
        self.traffic = Traffic(self.settings, self.population, self.audience.episodes_per_day, self.audience.quota)
        self.timeline = EventTimeline(self.model, self.traffic, self.expected_rate)
        self.delivery = Delivery(self.settings.seed, self.run_tag, self.settings.flaw_rates)
        self._timeline: EventSource = self.timeline
        if self.settings.flat:
            self._timeline = ShapedTimeline(self.timeline, self.expected_rate, self.settings.seed)

    def _run_name(self) -> str:
        return f"s{self.settings.seed}-{self.settings.digest(self.catalogue.digest())[:6]}"

    def events(self, start_ms: int, end_ms: int) -> Events:
        """The events with event time in [start_ms, end_ms), in order of (ts_ms, user, ordinal).

        Raises:
            UsageError: The span is not within 1970 to 2099.
        """
        _check_span(start_ms, end_ms)
        return self._timeline.between(start_ms, end_ms)

    def deliveries(self, start_ms: int, end_ms: int) -> Deliveries:
        """What is handed to Kafka in [start_ms, end_ms), in order of (deliver_ms, ts_ms, user, ordinal, copy)."""
        _check_span(start_ms, end_ms)
        before = self.delivery.rates.delay_max_ms
        made = self.delivery.of(self.events(max(start_ms - before, _FIRST_MS), end_ms))
        low, high = np.searchsorted(made.deliver_ms, [start_ms, end_ms])
        return made.take(slice(int(low), int(high)))

    def cursor(self, start_ms: int) -> DeliveryCursor:
        """Read the deliveries in sequence from an instant on: the cheap form of :meth:`deliveries`."""
        _check_span(start_ms, start_ms)
        before = self.delivery.rates.delay_max_ms
        if not before:
            return DeliveryCursor(self._timeline.reader(start_ms), self.delivery, start_ms, None)
        first_ms = max(start_ms - before, _FIRST_MS)
        cursor = DeliveryCursor(
            self._timeline.reader(first_ms), self.delivery, first_ms, self.delivery.of(Events.concat([]))
        )
        # In pieces, for hours of a busy stream do not fit into memory; what stays of each is what is still on its way.
        piece_ms = max(1000, int(_PASSED_AT_ONCE / self.expected_rate * 1000))
        while cursor.position_ms < start_ms:
            cursor.advance(min(start_ms, cursor.position_ms + piece_ms))
        return cursor

    @property
    def shift_ms(self) -> int:
        """How far a flat rate moves events at most."""
        return EVENT_SLACK_MS if self.settings.flat else 0

    def moments(self, events: Events) -> NDArray[np.int64]:
        """When events of :attr:`timeline` take place in this world: moved a little when the rate is flat."""
        if not isinstance(self._timeline, ShapedTimeline) or len(events) == 0:
            return events.ts_ms
        length = self._timeline.window_ms  # an event never leaves its window
        first, last = int(events.ts_ms.min()) // length, int(events.ts_ms.max()) // length
        placed = self._timeline.between(first * length, (last + 1) * length)
        name = (placed.session.astype(np.uint64) << np.uint64(16)) | placed.ordinal
        order = np.argsort(name)
        wanted = (events.session.astype(np.uint64) << np.uint64(16)) | events.ordinal
        moments: NDArray[np.int64] = placed.ts_ms[order[np.searchsorted(name, wanted, sorter=order)]]
        return moments


class DeliveryCursor:
    """The deliveries of a world in sequence.

    Attributes:
        position_ms: Everything before this instant has been given out.
    """

    def __init__(self, reader: EventCursor, delivery: Delivery, start_ms: int, late: Deliveries | None) -> None:
        self._reader = reader
        self._delivery = delivery
        self.position_ms = start_ms
        # Deliveries that are not due yet: of events that are late, and second copies.
        self._held = None if late is None else late.take(late.deliver_ms >= start_ms)

    def advance(self, end_ms: int) -> Deliveries:
        """What is handed to Kafka from the position up to ``end_ms``, which becomes the new position."""
        _check_span(self.position_ms, end_ms)
        self.position_ms = end_ms
        made = self._delivery.of(self._reader.advance(end_ms))
        if self._held is None:
            return made
        due = made.deliver_ms < end_ms
        held_due = self._held.deliver_ms < end_ms
        given = in_order(concat([self._held.take(held_due), made.take(due)]))
        self._held = concat([self._held.take(~held_due), made.take(~due)])
        return given


def _check_span(start_ms: int, end_ms: int) -> None:
    if not _FIRST_MS <= start_ms <= end_ms <= _LAST_MS:
        raise UsageError(
            f"the span from {start_ms} to {end_ms} ms since 1970",
            hint="allowed: from 1970-01-03 to 2100-01-01, the end not before the start",
        )
