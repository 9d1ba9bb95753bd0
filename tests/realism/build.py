"""Small streams written by hand, row by row, for tests with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clickreel.audit.realism import Columns
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS

WORDS = {"event_type": EVENT_TYPES, "page": PAGES, "device": DEVICES, "referrer": REFERRERS}
DEFAULTS: dict[str, Any] = {
    "ts_ms": 0,
    "user": 1,
    "session": 1,
    "film": 1,
    "event_type": "view",
    "page": "home",
    "position": 1,
    "device": "web",
    "referrer": "homepage",
}
DTYPES: dict[str, Any] = {
    "ts_ms": np.int64,
    "user": np.uint32,
    "session": np.uint32,
    "film": np.int32,
    "event_type": np.uint8,
    "page": np.uint8,
    "position": np.int16,
    "device": np.uint8,
    "referrer": np.uint8,
}


def stream(**given: Any) -> Columns:
    """Columns of which some are given (a sequence, or one value for all rows; words as words), the rest defaults."""
    rows = max(len(v) for v in given.values() if isinstance(v, Sequence | np.ndarray) and not isinstance(v, str))
    filled: dict[str, Any] = {}
    for name, dtype in DTYPES.items():
        value = given.get(name, DEFAULTS[name])
        values = [value] * rows if isinstance(value, int | str) else list(value)
        filled[name] = np.array([WORDS[name].index(v) if isinstance(v, str) else v for v in values], dtype)
    ids: dict[str, Any] = {name: np.array(given[name], np.uint64) for name in ("id_hi", "id_lo") if name in given}
    partition = np.array(given["partition"], np.int32) if "partition" in given else None
    return Columns(**filled, **ids, partition=partition, malformed=given.get("malformed", 0))
