import numpy as np
import pytest

from clickreel.audit.realism import timeline
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS
from clickreel.audit.realism.traffic_rhythm import (
    change_share,
    conditional_entropy,
    hour_by_weekday,
    start_dispersion,
    whole_days,
)
from tests.realism.build import stream

MONDAY = 4 * DAY_MS  # 1970-01-05


def test_only_whole_days_count() -> None:
    """From noon of one day to noon of the third: the middle one."""
    line = timeline(stream(ts_ms=[DAY_MS // 2, 5 * DAY_MS // 2]))
    assert whole_days(line) == (1, 2)


def test_hours_fall_on_their_weekday() -> None:
    """Three events on Monday at 21, one on Sunday at 3, in one week."""
    times = [MONDAY, *[MONDAY + 21 * HOUR_MS] * 3, MONDAY + 6 * DAY_MS + 3 * HOUR_MS, MONDAY + 7 * DAY_MS - 1]
    grid = hour_by_weekday(timeline(stream(ts_ms=times)))
    assert (grid[0, 21], grid[6, 3], grid.sum()) == (3, 1, 6)


def _starts(rng: np.random.Generator, burst: int) -> np.ndarray:
    """Session starts over four weeks with a daily wave, each start repeated ``burst`` times in its minute."""
    minutes = np.arange(28 * 1440)
    rate = (4 + 3 * np.sin(2 * np.pi * minutes / 1440)) / burst
    counts = rng.poisson(rate) * burst
    times = np.repeat(minutes, counts) * 60_000
    return np.concatenate([[0], times, [28 * DAY_MS - 1]])


@pytest.mark.parametrize(("burst", "expected"), [(1, 1.0), (3, 3.0)])
def test_dispersion_of_a_poisson_process_is_one_and_of_triplets_three(burst: int, expected: float) -> None:
    """The daily wave is fitted away."""
    times = _starts(np.random.default_rng(5), burst)
    line = timeline(stream(ts_ms=times, session=np.arange(len(times)), user=np.arange(1, len(times) + 1)))
    assert start_dispersion(line) == pytest.approx(expected, rel=0.05)


def test_changes_count_once_a_session_of_two_or_more() -> None:
    """Session 1 keeps its device, 2 changes it twice, 3 has one event."""
    line = timeline(
        stream(ts_ms=range(6), session=[1, 1, 2, 2, 2, 3], device=["web", "web", "web", "mobile", "web", "tablet"])
    )
    assert change_share(line, line.device) == 0.5
    assert change_share(line, line.referrer) == 0.0


def test_a_referrer_that_follows_from_the_page_has_no_entropy() -> None:
    """One that is independent of it has all of its own: ln 2 nats for two that are equally frequent."""
    page = np.array([0, 0, 1, 1], np.uint8)
    assert conditional_entropy(page, page) == 0.0
    assert conditional_entropy(np.array([0, 1, 0, 1], np.uint8), page) == pytest.approx(np.log(2))
