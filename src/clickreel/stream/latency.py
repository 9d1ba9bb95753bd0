"""Quantiles of a stream of durations in constant memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# Buckets grow by 5 %, from 10 us to over an hour: a quantile is right to 2.5 %.
_FIRST_MS, _GROWTH, _BUCKETS = 0.01, 1.05, 400


class Latencies:
    """Durations in milliseconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)

    def add(self, durations_ms: Iterable[float]) -> None:
        """Count some."""
        values = np.maximum(np.fromiter(durations_ms, float), _FIRST_MS)
        places = (np.log(values / _FIRST_MS) / np.log(_GROWTH)).astype(int)
        self._counts += np.bincount(np.clip(places, 0, _BUCKETS - 1), minlength=_BUCKETS)

    def quantile(self, q: float) -> float | None:
        """The duration that a share ``q`` of them does not exceed; ``None`` when there are none."""
        total = int(self._counts.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self._counts), q * total))
        return float(_FIRST_MS * _GROWTH ** (place + 0.5))
