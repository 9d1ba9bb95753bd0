"""The baseline without any sense: the same columns, every value an independent uniform draw."""

from __future__ import annotations

import numpy as np

from clickreel.audit.realism import Columns
from clickreel.audit.realism.columns import DAY_MS
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS


def naive(events: int, *, seed: int = 0, users: int = 20_000, films: int = 1_000, days: int = 28) -> Columns:
    """What `random.choice` in a loop makes: `events` rows over `days` days, sorted by time."""
    rng = np.random.default_rng(seed)
    start = 20_000 * DAY_MS
    return Columns(
        ts_ms=np.sort(rng.integers(start, start + days * DAY_MS, events, dtype=np.int64)),
        user=rng.integers(1, users + 1, events, dtype=np.uint32),
        session=rng.integers(0, max(events // 8, 1), events, dtype=np.uint32),
        film=rng.integers(1, films + 1, events, dtype=np.int32),
        event_type=rng.integers(0, len(EVENT_TYPES), events, dtype=np.uint8),
        page=rng.integers(0, len(PAGES), events, dtype=np.uint8),
        position=rng.integers(1, 21, events, dtype=np.int16),
        device=rng.integers(0, len(DEVICES), events, dtype=np.uint8),
        referrer=rng.integers(0, len(REFERRERS), events, dtype=np.uint8),
        id_hi=rng.integers(0, 2**63, events, dtype=np.uint64),
        id_lo=rng.integers(0, 2**63, events, dtype=np.uint64),
    )
