import numpy as np
import pytest

from clickreel.audit.realism import timeline
from clickreel.audit.realism.columns import DAY_MS
from clickreel.audit.realism.user_skew import events_per_user, repeat_share, return_hazard, top_share
from tests.realism.build import stream


def test_events_of_the_first_four_weeks_count() -> None:
    """Later ones do not."""
    line = timeline(stream(ts_ms=[0, 1, 27 * DAY_MS, 28 * DAY_MS], user=[1, 1, 2, 2], session=[1, 1, 2, 2]))
    assert events_per_user(line).tolist() == [2, 1]


def test_top_share() -> None:
    """The top fifth of ten is two."""
    assert top_share(np.array([50, 30, 4, 4, 2, 2, 2, 2, 2, 2]), 0.2) == 0.8


def test_equal_counts_share_equally() -> None:
    """What uniform draws tend to."""
    assert top_share(np.full(100, 7), 0.2) == pytest.approx(0.2)


def test_repeat_share() -> None:
    """Film 1 comes up again in group 0, not in group 1."""
    assert repeat_share(np.array([0, 0, 0, 1], np.int32), np.array([1, 2, 1, 1], np.int32), 3) == 0.25


def test_return_within_a_week() -> None:
    """Users 0 and 1 come back in time after the first visit, user 2 too late; the last week is not asked."""
    user = np.array([0, 0, 0, 1, 1, 2, 2], np.int32)
    start = np.array([0, 1, 2, 0, 6, 0, 8]) * DAY_MS
    assert return_hazard(user, start, 20 * DAY_MS) == [pytest.approx(2 / 3), pytest.approx(1 / 3), 0.0]


def test_return_of_nobody_does_not_exist() -> None:
    """A stream of under a week asks nobody."""
    assert np.isnan(return_hazard(np.array([0], np.int32), np.array([0]), DAY_MS)).all()
