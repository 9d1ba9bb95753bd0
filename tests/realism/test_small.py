from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickreel.audit.realism import Columns, MinimumSize, score
from clickreel.errors import UsageError
from tests.realism.build import stream
from tests.realism.naive import naive

ANY = MinimumSize(0, 0, 0)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 60), kinds=st.integers(1, 4), days=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_any_stream_however_small_is_scored_without_an_error(rows: int, kinds: int, days: int, seed: int) -> None:
    """What cannot be measured is said, never raised; values are numbers."""
    rng = np.random.default_rng(seed)
    columns = naive(rows, seed=seed, users=int(rng.integers(1, 6)), films=int(rng.integers(1, 6)), days=days)
    few = replace(columns, event_type=columns.event_type % np.uint8(kinds))
    report = score(few, floor=ANY)
    assert all(isinstance(value, float) for result in report.results for value in result.found.values.values())


def test_one_event_is_scored() -> None:
    """The smallest stream of all."""
    report = score(stream(ts_ms=[0]), floor=ANY)
    assert (report.events, report.sessions) == (1, 1)


@pytest.mark.parametrize(
    ("columns", "floor", "what"),
    [
        (stream(ts_ms=[0]), MinimumSize(), "too few to judge: 1 event "),
        (stream(ts_ms=[0, 1]), MinimumSize(events=2), "too few to judge: 0.0 days"),
        (stream(ts_ms=[0, 10**10]), MinimumSize(events=2), "too few to judge: 1 film "),
        (stream(ts_ms=np.empty(0, np.int64)), ANY, "the stream holds no valid event"),
    ],
)
def test_a_stream_under_the_floor_is_refused_in_words(columns: Columns, floor: MinimumSize, what: str) -> None:
    """What is too small, and what would do."""
    with pytest.raises(UsageError, match=what):
        score(columns, floor=floor)
