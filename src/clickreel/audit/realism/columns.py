"""The one input of all tests: a stream as columns, and the timeline made of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.events import DTYPES as EVENT_DTYPES
from clickreel.events import check_columns

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

DTYPES = {name: dtype for name, dtype in EVENT_DTYPES.items() if name != "ordinal"}


@dataclass(frozen=True, slots=True)
class Columns:
    """A stream as it was delivered: n rows that keep the contract, one NumPy array a column, in delivery order.

    Codes are places in the tuples of :mod:`clickreel.contract.vocabulary`. About 34 bytes a row, 16 more with ids.

    Attributes:
        ts_ms: Event time, milliseconds since the Unix epoch, UTC (int64[n]).
        user: User number n of ``u_<n>`` (uint32[n]).
        session: The 32 bits written as 8 hex digits in ``s_<8 hex>`` (uint32[n]).
        film: ``film_id`` (int32[n]).
        event_type: Code of the event type (uint8[n]).
        page: Code of the page (uint8[n]).
        position: Rank of the film in its list, from 1 (int16[n]).
        device: Code of the device (uint8[n]).
        referrer: Code of the referrer (uint8[n]).
        id_hi: Upper 64 bits of ``event_id`` (uint64[n]), or None where the source has no ids.
        id_lo: Lower 64 bits of ``event_id`` (uint64[n]), or None.
        partition: Kafka partition (int32[n]); None means that one order holds for all rows.
        malformed: How many rows of the source broke the contract; they are not among the n.
    """

    ts_ms: NDArray[np.int64]
    user: NDArray[np.uint32]
    session: NDArray[np.uint32]
    film: NDArray[np.int32]
    event_type: NDArray[np.uint8]
    page: NDArray[np.uint8]
    position: NDArray[np.int16]
    device: NDArray[np.uint8]
    referrer: NDArray[np.uint8]
    id_hi: NDArray[np.uint64] | None = None
    id_lo: NDArray[np.uint64] | None = None
    partition: NDArray[np.int32] | None = None
    malformed: int = 0

    def __post_init__(self) -> None:
        """Check types and lengths at the door."""
        check_columns(self, DTYPES)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ts_ms)

    @staticmethod
    def concat(blocks: list[Columns]) -> Columns:
        """The blocks one after the other; an optional column stays only where every block has it."""
        if not blocks:
            empty: dict[str, Any] = {name: np.empty(0, dtype) for name, dtype in DTYPES.items()}
            return Columns(**empty)
        joined: dict[str, Any] = {"malformed": sum(block.malformed for block in blocks)}
        for field in fields(Columns):
            if field.name != "malformed":
                parts = [getattr(block, field.name) for block in blocks]
                joined[field.name] = None if any(part is None for part in parts) else np.concatenate(parts)
        return Columns(**joined)


def fingerprint(id_hi: NDArray[np.uint64], id_lo: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits that stand for each ``event_id`` (uint64[n]); two ids of 10 M share theirs with a chance of 3 in a million."""
    mixed: NDArray[np.uint64] = id_hi * np.uint64(0x9E3779B97F4A7C15) ^ id_lo
    return mixed


def fingerprints(columns: Columns) -> NDArray[np.uint64] | None:
    """:func:`fingerprint` of each row; None without ids."""
    if columns.id_hi is None or columns.id_lo is None:
        return None
    return fingerprint(columns.id_hi, columns.id_lo)


def copies(columns: Columns) -> NDArray[np.bool_]:
    """True where a row repeats the ``event_id`` of an earlier row (bool[n]); all False without ids."""
    again = np.zeros(len(columns), np.bool_)
    prints = fingerprints(columns)
    if prints is not None:
        order = np.argsort(prints, kind="stable")
        ordered = prints[order]
        again[order[1:][ordered[1:] == ordered[:-1]]] = True
    return again


@dataclass(frozen=True)
class EventTable:
    """Each event once, sorted by user, then by session in the order of their starts, then by event time.

    ``user``, ``session`` and ``film`` are dense codes from 0 here (``session`` never falls from row to row); ``users``,
    ``sessions`` and ``films`` give the numbers behind them. Make one with :func:`timeline`.

    Attributes:
        ts_ms: Event time (int64[n]).
        user: Code of the user (int32[n]).
        session: Code of the session (int32[n]).
        film: Code of the film (int32[n]).
        event_type: As in :class:`Columns`.
        page: As in :class:`Columns`.
        position: As in :class:`Columns`.
        device: As in :class:`Columns`.
        referrer: As in :class:`Columns`.
        users: User numbers by code.
        sessions: Session bits by code.
        films: ``film_id`` by code, rising.
        starts: First row of each session, and n at the end (int64[sessions + 1]).
    """

    ts_ms: NDArray[np.int64]
    user: NDArray[np.int32]
    session: NDArray[np.int32]
    film: NDArray[np.int32]
    event_type: NDArray[np.uint8]
    page: NDArray[np.uint8]
    position: NDArray[np.int16]
    device: NDArray[np.uint8]
    referrer: NDArray[np.uint8]
    users: NDArray[np.uint32]
    sessions: NDArray[np.uint32]
    films: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ts_ms)

    @cached_property
    def first_ms(self) -> int:
        """Event time of the first event."""
        return int(self.ts_ms.min())

    @cached_property
    def last_ms(self) -> int:
        """Event time of the last event."""
        return int(self.ts_ms.max())

    @cached_property
    def days(self) -> float:
        """Days between the first event and the last."""
        return (self.last_ms - self.first_ms) / DAY_MS

    @cached_property
    def session_start_ms(self) -> NDArray[np.int64]:
        """Event time of each session's first event (int64[sessions])."""
        return self.ts_ms[self.starts[:-1]]

    @cached_property
    def session_user(self) -> NDArray[np.int32]:
        """Code of the user of each session's first event (int32[sessions])."""
        return self.user[self.starts[:-1]]

    @cached_property
    def by_user(self) -> NDArray[np.intp] | slice:
        """The rows sorted by (user, event time): a slice over all of them where they already are."""
        later = (self.user[1:] > self.user[:-1]) | (
            (self.user[1:] == self.user[:-1]) & (self.ts_ms[1:] >= self.ts_ms[:-1])
        )
        return slice(None) if later.all() else np.lexsort((self.ts_ms, self.user))


def timeline(columns: Columns) -> EventTable:
    """Sort a stream into a timeline; of the copies of an event the first delivered stays."""
    keep = ~copies(columns)
    kept = slice(None) if keep.all() else np.flatnonzero(keep)
    ts_ms, session_bits, user_number = columns.ts_ms[kept], columns.session[kept], columns.user[kept]
    sessions, session = np.unique(session_bits, return_inverse=True)
    users, user = np.unique(user_number, return_inverse=True)
    films, film = np.unique(columns.film[kept], return_inverse=True)
    order = np.lexsort((ts_ms, session))
    first = np.searchsorted(session[order], np.arange(len(sessions)))
    by_start = np.lexsort((ts_ms[order[first]], user[order[first]]))
    rank = np.empty(len(sessions), np.int32)
    rank[by_start] = np.arange(len(sessions), dtype=np.int32)
    order = order[np.argsort(rank[session[order]], kind="stable")]
    ranked = rank[session[order]]
    return EventTable(
        ts_ms=ts_ms[order],
        user=user[order].astype(np.int32),
        session=ranked,
        film=film[order].astype(np.int32),
        **{
            name: getattr(columns, name)[kept][order]
            for name in ("event_type", "page", "position", "device", "referrer")
        },
        users=users,
        sessions=sessions[by_start],
        films=films,
        starts=np.searchsorted(ranked, np.arange(len(sessions) + 1)).astype(np.int64),
    )
