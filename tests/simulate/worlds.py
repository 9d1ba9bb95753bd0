"""Small worlds, and what tests compare of them."""

import functools
import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

from clickreel.events import Deliveries, Events
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
MONDAY_MS = 20_458 * DAY_MS  # 2026-01-05


@functools.cache
def world(**settings: Any) -> World:
    """A world, made once per test run."""
    return World(WorldSettings(**settings))


def digest(*parts: Deliveries | Events) -> str:
    """SHA-256 over all columns of the parts laid end to end: equal for any cut into parts."""
    sums = hashlib.sha256()
    for name, kind in _columns(parts[0]):
        for part in parts:
            sums.update(np.ascontiguousarray(getattr(part.events if kind else part, name)).tobytes())  # type: ignore[union-attr]
    return sums.hexdigest()


def _columns(part: Deliveries | Events) -> list[tuple[str, bool]]:
    if isinstance(part, Events):
        return [(field.name, False) for field in fields(part)]
    own = [(field.name, False) for field in fields(part) if field.name != "events"]
    return own + [(field.name, True) for field in fields(part.events)]
