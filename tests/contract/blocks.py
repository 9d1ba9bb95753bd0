"""Blocks of random deliveries, and the slow twin of the encoder."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, FLAWS, PAGES, REFERRERS
from clickreel.simulate.events import Deliveries, Events

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 4_102_444_799_999  # 2099-12-31 23:59:59.999


def block(rows: int, seed: int = 0, flaw: str | None = "none") -> Deliveries:
    """Valid deliveries over the whole range of every column; `flaw` is one kind for all rows, or None for all kinds."""
    random = np.random.default_rng(seed)

    def widths(top: int, dtype: type[np.generic]) -> np.ndarray:
        # As many one-digit numbers as ten-digit ones.
        return np.minimum(top, 10 ** random.uniform(0, 10, rows)).astype(np.int64).astype(dtype)

    def codes(words: tuple[str, ...]) -> np.ndarray:
        return random.integers(0, len(words), rows).astype(np.uint8)

    events = Events(
        ts_ms=random.integers(0, LAST_MS + 1, rows),
        user=widths(2**32 - 1, np.uint32),
        ordinal=np.zeros(rows, np.uint16),
        session=random.integers(0, 2**32, rows).astype(np.uint32),
        film=widths(2**31 - 1, np.int32),
        event_type=codes(EVENT_TYPES),
        page=codes(PAGES),
        position=widths(2**15 - 1, np.int16),
        device=codes(DEVICES),
        referrer=codes(REFERRERS),
    )
    return Deliveries(
        events=events,
        id_hi=random.integers(0, 2**64, rows, dtype=np.uint64),
        id_lo=random.integers(0, 2**64, rows, dtype=np.uint64),
        deliver_ms=events.ts_ms,
        flaw=codes(FLAWS) if flaw is None else np.full(rows, FLAWS.index(flaw), np.uint8),
        variant=random.integers(0, 2**32, rows).astype(np.uint32),
    )


def plain(deliveries: Deliveries, row: int) -> tuple[bytes, bytes]:
    """Key and value of one flawless row, by json.dumps."""
    events = deliveries.events
    user = f"u_{events.user[row]}"
    moment = EPOCH + timedelta(milliseconds=int(events.ts_ms[row]))
    event = {
        "event_id": str(uuid.UUID(int=int(deliveries.id_hi[row]) << 64 | int(deliveries.id_lo[row]))),
        "event_ts": moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}",
        "user_id": user,
        "session_id": f"s_{events.session[row]:08x}",
        "film_id": int(events.film[row]),
        "event_type": EVENT_TYPES[events.event_type[row]],
        "page": PAGES[events.page[row]],
        "position": int(events.position[row]),
        "device": DEVICES[events.device[row]],
        "referrer": REFERRERS[events.referrer[row]],
    }
    return json.dumps(user).encode(), json.dumps(event, separators=(",", ":")).encode()
