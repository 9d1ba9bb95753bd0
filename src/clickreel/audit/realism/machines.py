"""Who is a machine, told by its hands alone: it looks at screen after screen for less than a person needs to read one title."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.columns import EventTable

SCREEN_MS = 250  # closer events are one screen
_READ_MS = 1_800
_LOOKS_MIN = 40


def machines(timeline: EventTable) -> NDArray[np.bool_]:
    """For each user whether it is a machine: the median time between its screens is under 1.8 s, over 40 screens and more (bool[users])."""
    gap = np.diff(timeline.ts_ms)
    rows = np.flatnonzero((timeline.session[1:] == timeline.session[:-1]) & (gap >= SCREEN_MS))
    user, quick = timeline.user[rows], gap[rows] < _READ_MS
    looks = np.bincount(user, minlength=len(timeline.users))
    fast = np.bincount(user, quick, len(timeline.users))
    found: NDArray[np.bool_] = (looks >= _LOOKS_MIN) & (2 * fast > looks)
    return found
