import numpy as np
import pytest

from clickreel.audit.realism import timeline
from clickreel.audit.realism.popularity import (
    click_slope,
    click_through,
    popularity,
    preceded_share,
    rank_slope,
)
from tests.realism.build import stream


@pytest.mark.parametrize("slope", [-0.6, -1.0])
def test_the_slope_of_a_power_law_is_recovered(slope: float) -> None:
    """Counts made of the law itself."""
    counts = np.round(1e7 * np.arange(1, 1001) ** slope).astype(np.int64)
    assert rank_slope(counts, 10, 300) == pytest.approx(slope, abs=0.005)


def test_popularity_counts_detail_views_and_keeps_unopened_films() -> None:
    """Film 3 was only shown."""
    line = timeline(stream(ts_ms=range(4), film=[1, 2, 2, 3], event_type=["detail_view"] * 3 + ["view"]))
    assert popularity(line).tolist() == [2, 1, 0]


def test_click_through_and_its_slope() -> None:
    """Rank r is shown 2520 times and opened 2520 / r times: slope -1."""
    opened = [2520 // r for r in range(1, 11)]
    ranks = np.concatenate([np.repeat(np.arange(1, 11), 2520), np.repeat(np.arange(1, 11), opened)])
    kinds = ["view"] * 25_200 + ["detail_view"] * sum(opened)
    rates = click_through(timeline(stream(ts_ms=range(len(kinds)), position=ranks, event_type=kinds)))
    assert rates == pytest.approx(1 / np.arange(1, 11))
    assert click_slope(rates) == pytest.approx(-1)


def test_a_rank_without_a_click_has_no_slope() -> None:
    """The logarithm of nothing."""
    assert np.isnan(click_slope(np.array([0.5] * 9 + [0.0])))


def test_preceded_by_a_view_of_the_film_in_the_session() -> None:
    """Yes; another film; another session; before the view."""
    line = timeline(
        stream(
            ts_ms=[0, 1, 2, 3, 4, 5],
            session=[1, 1, 1, 2, 3, 3],
            film=[1, 1, 2, 1, 1, 1],
            event_type=["view", "detail_view", "detail_view", "watch_trailer", "add_to_watchlist", "view"],
        )
    )
    assert preceded_share(line) == 0.25
