"""What a flat rate does to the events of one person."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clickreel.simulate.rate_shaping import _separate_sessions

END_MS = 1_000


def separated(times: list[int], users: list[int]) -> list[int]:
    """The same, one event after the other."""
    moved = list(times)
    for user in set(users):
        rows = [row for row, one in enumerate(users) if one == user]
        for before, row in pairwise(rows):
            moved[row] = max(moved[row], moved[before] + 1)
        last = END_MS
        for row in reversed(rows):
            last = moved[row] = min(moved[row], last - 1)
    return moved


@given(st.lists(st.tuples(st.integers(900, END_MS - 1), st.integers(0, 5)), max_size=60))
def test_events_of_one_person_never_share_a_millisecond(rows: list[tuple[int, int]]) -> None:
    """They come in their order, before the window ends, and nobody else's are moved."""
    rows.sort(key=lambda row: row[0])
    times, users = [time for time, _ in rows], [user for _, user in rows]
    moved = np.array(times, np.int64)
    _separate_sessions(moved, np.array(users, np.uint32), END_MS)
    assert moved.tolist() == separated(times, users)
