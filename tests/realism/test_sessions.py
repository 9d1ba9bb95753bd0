import numpy as np
import pytest

from clickreel.audit.realism import timeline
from clickreel.audit.realism.sessions import (
    agreement,
    cut_by_silence,
    dwells_s,
    gaps_s,
    lengths,
    valley_minutes,
    weibull_shape,
)
from clickreel.contract.vocabulary import PAGES
from tests.realism.build import stream

MINUTE = 60_000


def test_length_counts_interactions_and_drops_sessions_with_fewer_than_two() -> None:
    """Plain views do not count."""
    line = timeline(
        stream(
            ts_ms=range(7),
            session=[1, 1, 1, 2, 2, 3, 3],
            event_type=[
                "view",
                "detail_view",
                "watch_trailer",
                "view",
                "detail_view",
                "detail_view",
                "add_to_watchlist",
            ],
        )
    )
    assert sorted(lengths(line)) == [2, 2]


def test_silence_of_more_than_thirty_minutes_cuts() -> None:
    """Exactly thirty minutes do not."""
    line = timeline(stream(ts_ms=[0, 30 * MINUTE, 61 * MINUTE], session=[1, 1, 2]))
    cut, true = cut_by_silence(line)
    assert cut.tolist() == [0, 0, 1]
    assert agreement(cut, true) == 1.0


def test_silence_does_not_join_users() -> None:
    """Two users at the same time are two sessions."""
    cut, _ = cut_by_silence(timeline(stream(ts_ms=[0, 1, 2, 3], user=[1, 2, 1, 2], session=[1, 2, 1, 2])))
    assert cut.tolist() == [0, 0, 1, 1]


def test_sessions_that_ignore_time_do_not_agree() -> None:
    """Session ids drawn at random agree no better than chance."""
    rng = np.random.default_rng(1)
    line = timeline(stream(ts_ms=np.sort(rng.integers(0, 10**9, 5000)), session=rng.integers(0, 500, 5000)))
    assert agreement(*cut_by_silence(line)) < 0.05


def test_gaps_are_between_interactions_of_one_user() -> None:
    """Views and other users are passed over; zero gaps are left out."""
    line = timeline(
        stream(
            ts_ms=[0, 1000, 3000, 3000, 5000],
            user=[1, 1, 1, 1, 2],
            session=[1, 1, 1, 1, 2],
            event_type=["detail_view", "view", "detail_view", "watch_trailer", "detail_view"],
        )
    )
    assert gaps_s(line).tolist() == [3.0]


def test_the_valley_of_two_log_normals_lies_between_them() -> None:
    """One minute and one day, equal spread and weight: the valley is the geometric middle, 38 minutes."""
    rng = np.random.default_rng(2)
    gaps = np.concatenate([60 * np.exp(rng.normal(0, 1, 20_000)), 86_400 * np.exp(rng.normal(0, 1, 20_000))])
    valley, gain = valley_minutes(gaps)
    assert valley == pytest.approx(np.sqrt(60 * 86_400) / 60, rel=0.05)
    assert gain > 0.5


def test_one_log_normal_has_no_valley() -> None:
    """One mode: the valley does not exist."""
    valley, _ = valley_minutes(60 * np.exp(np.random.default_rng(3).normal(0, 1, 20_000)))
    assert np.isnan(valley)


@pytest.mark.parametrize("k", [0.6, 0.75, 1.0, 1.5])
def test_the_shape_of_a_weibull_law_is_recovered(k: float) -> None:
    """From 20,000 draws to within 3 %, whatever the scale."""
    assert weibull_shape(45.0 * np.random.default_rng(4).weibull(k, 20_000)) == pytest.approx(k, rel=0.03)


def test_dwell_is_the_time_to_the_next_event_of_the_session() -> None:
    """On the page of the earlier event; a session's last event has none."""
    line = timeline(stream(ts_ms=[0, 2000, 5000, 9000], session=[1, 1, 1, 2], page=["home", "search", "home", "home"]))
    assert dwells_s(line, PAGES.index("home")).tolist() == [2.0]
    assert dwells_s(line, PAGES.index("search")).tolist() == [3.0]


def test_equal_dwells_have_no_finite_shape() -> None:
    """A machine's pace."""
    assert weibull_shape(np.full(1000, 10.0)) == np.inf
