"""Events as columns: what the simulator makes and the codec turns into bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES: Mapping[str, type[np.generic]] = {
    "ts_ms": np.int64,
    "user": np.uint32,
    "ordinal": np.uint16,
    "session": np.uint32,
    "film": np.int32,
    "event_type": np.uint8,
    "page": np.uint8,
    "position": np.int16,
    "device": np.uint8,
    "referrer": np.uint8,
}
"""The columns of an event, in their order."""


def check_columns(block: Any, dtypes: Mapping[str, type[np.generic]]) -> None:
    """Assert that a block's columns have the right types and the length of ``ts_ms``; anything else is a programmer's error."""
    for name, dtype in dtypes.items():
        column = getattr(block, name)
        assert column.dtype == dtype, f"{name} is {column.dtype}, not {np.dtype(dtype)}"
        assert column.shape == block.ts_ms.shape, f"{name} has shape {column.shape}, ts_ms {block.ts_ms.shape}"


@dataclass(frozen=True, slots=True)
class Events:
    """A block of events, one NumPy array of equal length a column, in timeline order: by (ts_ms, user, ordinal).

    Attributes:
        ts_ms: Event time, milliseconds since the Unix epoch, UTC (int64).
        user: User number n of ``u_<n>``, from 1 (uint32).
        ordinal: ``session_of_day * 4096 + event_of_session`` (uint16): it grows with time within a user's day, which is the UTC day
            on which the session *started*, and has gaps. (user, day, ordinal) and (ts_ms, user) both name one event.
        session: The 32 bits written as 8 hex digits in ``s_<8 hex>`` (uint32).
        film: ``film_id`` (int32).
        event_type: Code: place in :data:`clickreel.contract.vocabulary.EVENT_TYPES` (uint8).
        page: Code: place in :data:`clickreel.contract.vocabulary.PAGES` (uint8).
        position: Rank of the film in its list, from 1 (int16).
        device: Code: place in :data:`clickreel.contract.vocabulary.DEVICES` (uint8).
        referrer: Code: place in :data:`clickreel.contract.vocabulary.REFERRERS` (uint8).
    """

    ts_ms: NDArray[np.int64]
    user: NDArray[np.uint32]
    ordinal: NDArray[np.uint16]
    session: NDArray[np.uint32]
    film: NDArray[np.int32]
    event_type: NDArray[np.uint8]
    page: NDArray[np.uint8]
    position: NDArray[np.int16]
    device: NDArray[np.uint8]
    referrer: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Columns of the right types and of one length."""
        check_columns(self, DTYPES)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.ts_ms)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Events:
        """The chosen rows: by index, by mask, or a slice (which copies nothing)."""
        return Events(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @staticmethod
    def concat(blocks: list[Events]) -> Events:
        """The blocks one after the other; no blocks give the empty block."""
        if not blocks:
            return Events(**{name: np.empty(0, dtype) for name, dtype in DTYPES.items()})
        return Events(**{name: np.concatenate([getattr(block, name) for block in blocks]) for name in DTYPES})


@dataclass(frozen=True, slots=True)
class Deliveries:
    """A block as it is handed to Kafka: events in delivery order, with their ids and flaws.

    Without flaws a delivery is its event and ``deliver_ms == events.ts_ms``. A late event is delivered after its event time, a
    duplicate is one more row, a malformed one keeps its event here and is broken when it is encoded.

    Attributes:
        events: The events, n rows in delivery order: by (deliver_ms, ts_ms, user, ordinal, copy).
        id_hi: Upper 64 bits of ``event_id`` (uint64[n]).
        id_lo: Lower 64 bits of ``event_id`` (uint64[n]).
        deliver_ms: When the event is handed to Kafka, milliseconds since the Unix epoch, never decreasing (int64[n]).
        flaw: Code of the flaw: place in :data:`clickreel.contract.vocabulary.FLAWS`, 0 is none (uint8[n]).
        variant: Random bits that pick what exactly the flaw breaks (uint32[n]).
    """

    events: Events
    id_hi: NDArray[np.uint64]
    id_lo: NDArray[np.uint64]
    deliver_ms: NDArray[np.int64]
    flaw: NDArray[np.uint8]
    variant: NDArray[np.uint32]

    def __len__(self) -> int:
        """Number of deliveries."""
        return len(self.events)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Deliveries:
        """The chosen rows: by index, by mask, or a slice."""
        return Deliveries(
            self.events.take(rows), *(getattr(self, f.name)[rows] for f in fields(self) if f.name != "events")
        )
