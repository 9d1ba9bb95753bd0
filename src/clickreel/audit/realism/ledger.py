"""The truth of a run, as the tests read it: random lists, bursts, flaws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.columns import Timeline


@dataclass(frozen=True, slots=True)
class Bursts:
    """Spans in which a film draws more than its share.

    Attributes:
        film: ``film_id`` (int32[n]).
        start_ms: First instant (int64[n]).
        end_ms: Where the burst is no longer distinct (int64[n]).
    """

    film: NDArray[np.int32]
    start_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.film)


@dataclass(frozen=True, slots=True)
class Flaws:
    """Deliberate defects, one row each.

    Attributes:
        name: Place in :data:`clickreel.contract.vocabulary.FLAWS` (uint8[n]).
        id_hi: Upper 64 bits of ``event_id`` (uint64[n]).
        id_lo: Lower 64 bits of ``event_id`` (uint64[n]).
        delay_ms: Delivery less event time (int64[n]).
    """

    name: NDArray[np.uint8]
    id_hi: NDArray[np.uint64]
    id_lo: NDArray[np.uint64]
    delay_ms: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A run's ledger.

    Attributes:
        list_session: Session bits of each list in random order (uint32[n]).
        list_start_ms: First event of the list (int64[n]).
        list_end_ms: Last event that belongs to it, inclusive (int64[n]).
        bursts: Films that went viral.
        launches: Films that were new; they may trend as well, which is no false alarm.
        flaws: The defects; empty when the run has none.
        configured: Configured rate by ``late``, ``out_of_order``, ``duplicate``, ``malformed``.
    """

    list_session: NDArray[np.uint32]
    list_start_ms: NDArray[np.int64]
    list_end_ms: NDArray[np.int64]
    bursts: Bursts
    launches: Bursts
    flaws: Flaws
    configured: Mapping[str, float] = field(default_factory=dict)

    def random_rows(self, timeline: Timeline) -> NDArray[np.bool_]:
        """True for the rows that belong to a list in random order."""
        inside = np.zeros(len(timeline), np.bool_)
        if not len(self.list_session):
            return inside
        order = np.argsort(timeline.sessions, kind="stable")
        place = np.searchsorted(timeline.sessions, self.list_session, sorter=order).clip(max=len(order) - 1)
        session = order[place]
        known = timeline.sessions[session] == self.list_session
        known &= (self.list_end_ms >= timeline.first_ms) & (self.list_start_ms <= timeline.last_ms)
        # Rows are sorted by (session, time): a list is one span of rows. Time is made one number with the session.
        span = np.int64(timeline.last_ms - timeline.first_ms + 1)
        clock = timeline.session.astype(np.int64) * span + (timeline.ts_ms - timeline.first_ms)
        base = session[known] * span - timeline.first_ms
        clip = (timeline.first_ms, timeline.last_ms)
        low = np.searchsorted(clock, base + self.list_start_ms[known].clip(*clip), side="left")
        high = np.searchsorted(clock, base + self.list_end_ms[known].clip(*clip), side="right")
        edge = np.zeros(len(timeline) + 1, np.int64)
        np.add.at(edge, low, 1)
        np.add.at(edge, high, -1)
        inside[:] = np.cumsum(edge[:-1]) > 0
        return inside
