"""How the turns of a benchmark are told: never one figure alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and greatest of what the turns gave, to three digits behind the point."""
    listed = [round(value, 3) for value in values]
    return {"median": round(statistics.median(listed), 3), "min": min(listed), "max": max(listed)}
