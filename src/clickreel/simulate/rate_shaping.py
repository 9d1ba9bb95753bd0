"""A flat rate: the events of a timeline, shaped to it.

What a person means by "50 events a second" is that any 20 seconds hold 1,000 events, give or take 2 %. People do not come like that, even on a
flat day: they come in sessions, and the number of sessions under way wanders by several percent. So time is bent a little. Within fixed windows of absolute time event
number i of n moves near ``start + i / n * length``, by at most eight minutes; sessions keep that much more distance (:mod:`~clickreel.simulate.traffic`).
It comes there at random, not as a metronome: within cells of a few events (11 at 20 events a second) the places are drawn. The order of a person's
events does not change, windows do not touch each other, and a window can be computed alone.

How long a window must be follows from what is left to chance. A day has a quota of films that are looked at, and the starts are evenly_spaced out over it before
(:mod:`~clickreel.simulate.traffic`), so the number of events in a window varies only by long sessions, whose events come up to an hour after their start.
Above some 2,500 events a second chance alone is small, and ten seconds do. An event moves by eight minutes at most, so the hours of a small world keep what
its few long visits and bots make of them: any 20 s are within 3.5 % of the rate at 1,000 events a second, 5 % at 50 and 16 % at 5 (the whole day within 1 %).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.events import Events
from clickreel.simulate.draws import Purpose, child, child1, root, uniform
from clickreel.simulate.rhythm import DAY_MS, EVENT_SLACK_MS
from clickreel.simulate.timeline import EventCursor, EventSource

_WINDOW_MIN_MS = 10_000
_EVENTS_KEPT = 1_000_000  # of windows worked out before, for readers of many small parts


def window_ms(rate: float) -> int:
    """Length of the windows for a rate in events a second: a divisor of a day."""
    wanted = _WINDOW_MIN_MS if rate > 2500 else max(_WINDOW_MIN_MS, 32_000_000 / rate**0.5)
    parts = max(1, int(DAY_MS // wanted))
    while DAY_MS % parts:
        parts -= 1
    return DAY_MS // parts


class ShapedTimeline:
    """A timeline evenly spaced.

    Args:
        timeline: The timeline as people make it.
        rate: Events a second, for the length of the windows.
        seed: Seed of the world.
    """

    def __init__(self, timeline: EventSource, rate: float, seed: int) -> None:
        self._timeline = timeline
        self.key = root(seed, Purpose.SHAPE)
        self.window_ms = window_ms(rate)
        kept = int(np.clip(_EVENTS_KEPT / (rate * self.window_ms / 1000), 1, 64))
        self._window = lru_cache(maxsize=kept)(self._make_window)

    def _make_window(self, number: int) -> Events:
        start = number * self.window_ms
        return evenly_spaced(self._timeline.between(start, start + self.window_ms), start, self.window_ms, self.key)

    def between(self, start_ms: int, end_ms: int) -> Events:
        """The events with event time in [start_ms, end_ms), in order of (ts_ms, user, ordinal)."""
        parts = []
        for number in range(start_ms // self.window_ms, -(-end_ms // self.window_ms)):
            window = self._window(number)
            low, high = np.searchsorted(window.ts_ms, [start_ms, end_ms])
            parts.append(window.take(slice(int(low), int(high))))
        return Events.concat(parts)

    def reader(self, start_ms: int) -> ShapedCursor:
        """Read in sequence from an instant on."""
        return ShapedCursor(self._timeline, self.window_ms, start_ms, self.key)


class ShapedCursor:
    """Reads a :class:`ShapedTimeline` timeline in sequence."""

    def __init__(self, timeline: EventSource, length_ms: int, start_ms: int, key: int) -> None:
        self._key = key
        self._length_ms = length_ms
        self._read_ms = start_ms // length_ms * length_ms
        self._reader: EventCursor = timeline.reader(self._read_ms)
        self._skip_ms = start_ms
        self._waiting = Events.concat([])

    def advance(self, end_ms: int) -> Events:
        """The events from where it stands up to ``end_ms``, where it stands then."""
        parts = [self._waiting]
        while self._read_ms < end_ms:
            start, self._read_ms = self._read_ms, self._read_ms + self._length_ms
            window = evenly_spaced(self._reader.advance(self._read_ms), start, self._length_ms, self._key)
            if start <= self._skip_ms:
                window = window.take(slice(int(np.searchsorted(window.ts_ms, self._skip_ms)), None))
            parts.append(window)
        events = Events.concat(parts)
        cut = int(np.searchsorted(events.ts_ms, end_ms))
        self._waiting = events.take(slice(cut, None))
        return events.take(slice(0, cut))


def cell_events(rate: float) -> int:
    """Number of events in a cell of time: as many as chance may place within the promised accuracy.

    Twenty seconds cut two cells, each of which holds a binomial part of its ``k`` events, so their number varies by ``sqrt(k / 2)``. That is kept
    below 0.6 % of the events (2.5 % with four deviations), and never below three events a cell, or gaps would be those of a metronome.
    """
    return max(3, round(2 * (0.006 * 20 * rate) ** 2))


def evenly_spaced(events: Events, start_ms: int, length_ms: int, key: int) -> Events:
    """The events of a window, moved to the promised rate, each by at most ``EVENT_SLACK_MS``.

    The window falls into cells that hold equally many events; within its cell an event comes at random, so gaps look like those of a
    Poisson process.

    Args:
        events: In order of (ts_ms, user, ordinal), all within the window.
        start_ms: Start of the window.
        length_ms: Its length.
        key: Below it, places within cells are drawn.

    Returns:
        The same events in the same order of each user, in order of their new times.
    """
    n = len(events)
    if n == 0:
        return events
    size = min(cell_events(n * 1000 / length_ms), n)
    cell = np.arange(n) // size
    at = np.sort(cell + uniform(child(child1(key, start_ms), np.arange(n))))
    last = np.minimum(size, n - cell * size)
    even = start_ms + ((cell * size + (at - cell) * last) * (length_ms / n)).astype(np.int64)
    ts = np.clip(even, events.ts_ms - EVENT_SLACK_MS, events.ts_ms + EVENT_SLACK_MS)
    ts = np.minimum(ts, start_ms + length_ms - 1)
    _separate_sessions(ts, events.user, start_ms + length_ms)
    order = np.argsort(((ts - start_ms).astype(np.uint64) << np.uint64(32)) | events.user)
    moved = events.take(order)
    return Events(ts[order], *(getattr(moved, name) for name in Events.__slots__[1:]))


def _separate_sessions(ts: NDArray[np.int64], user: NDArray[np.uint32], end_ms: int) -> None:
    """Move events of one user that fell on one millisecond apart, in place: a user's event times increase strictly, all before ``end_ms``."""
    order = np.argsort(user, kind="stable")
    by_user, moments = user[order], ts[order]
    if not ((by_user[1:] == by_user[:-1]) & (moments[1:] <= moments[:-1])).any():
        return
    # Each user gets a range of numbers of his own, above those of the users before, so that one running maximum serves all of them.
    place = np.arange(len(moments))
    lift = np.append(0, np.cumsum(by_user[1:] != by_user[:-1])) * (
        int(moments.max() - moments.min()) + 2 * len(moments)
    )
    later = np.maximum.accumulate(moments - place + lift) - lift + place  # at least 1 ms after the one before
    lifted = np.minimum(later, end_ms - 1) - place + lift
    ts[order] = np.minimum.accumulate(lifted[::-1])[::-1] - lift + place  # at least 1 ms before the next one
