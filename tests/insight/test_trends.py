"""Trending: the statement says what the rule says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.events import Events
from clickreel.insight.film_trends import trends
from clickreel.insight.trending import TrendingRule, expected
from clickreel.insight.trending import trending as by_rule
from clickreel.insight.window import window
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import HOUR_MS, land, told

DETAIL = EVENT_TYPES.index("detail_view")


def _hourly(events: Events, films: int) -> NDArray[np.int64]:
    """People who opened each film in each hour, by counting them one by one."""
    hours = DAYS * 24
    counts = np.zeros((hours, films + 1), np.int64)
    seen = {
        (int(ts - (END_MS - hours * HOUR_MS)) // HOUR_MS, int(film), int(user))
        for ts, film, user, kind in zip(events.ts_ms, events.film, events.user, events.event_type, strict=True)
        if kind == DETAIL
    }
    for hour, film, _ in seen:
        counts[hour, film] += 1
    return counts


# The real rule finds nothing in so small a world: its numbers are lowered until about every tenth film trends.
LOW = TrendingRule(min_count=2, factor=1.2, sigmas=0.5)


@pytest.mark.parametrize("hours_before_the_end", [0, 5, 24, 100])
def test_statement_and_rule_agree(landed: Landed, hours_before_the_end: int) -> None:
    """Viewers, expectation and verdict of every film are those of the rule over hourly counts."""
    end_ms = END_MS - hours_before_the_end * HOUR_MS
    span = window(landed.client, LOW.window_h * HOUR_MS, now_ms=END_MS, end_ms=end_ms)
    answer = trends(landed.client, span, rule=LOW, limit=1000)
    hourly = _hourly(landed.events, 200)[: DAYS * 24 - hours_before_the_end]
    recent, wanted = (matrix[-1] for matrix in expected(hourly, LOW))
    verdict = by_rule(hourly, LOW)[-1]
    assert answer.ready
    assert {film.film_id for film in answer.films} == set(np.flatnonzero(recent))
    for film in answer.films:
        assert film.viewers == recent[film.film_id]
        assert film.expected == pytest.approx(wanted[film.film_id])
        assert film.trending == verdict[film.film_id]
        assert film.title == landed.world.catalogue.title[list(landed.world.catalogue.film_id).index(film.film_id)]
    assert any(film.trending for film in answer.films)
    assert [film.trending for film in answer.films] == sorted((film.trending for film in answer.films), reverse=True)


def test_a_burst_is_found_the_moment_it_is_there(empty: Client) -> None:
    """Forty people on a film that nobody looked at: it trends; a film that is always looked at does not."""
    quiet = [(END_MS - hour * HOUR_MS, hour, hour, 1, "detail_view") for hour in range(1, 200)]
    crowd = [(END_MS - 1000 - person, 1000 + person, 1000 + person, 2, "detail_view") for person in range(40)]
    land(empty, told(*quiet, *crowd))
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert [(film.film_id, film.viewers, film.trending) for film in answer.films] == [(2, 40, True), (1, 1, False)]


def test_one_persons_clicks_are_no_trend(empty: Client) -> None:
    """A person who opens a film fifty times in an hour is one viewer."""
    quiet = [(END_MS - hour * HOUR_MS, hour, hour, 1, "detail_view") for hour in range(1, 200)]
    clicks = [(END_MS - 1000 - click, 9999, 9999, 2, "detail_view") for click in range(50)]
    land(empty, told(*quiet, *clicks))
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert [(film.film_id, film.viewers, film.trending) for film in answer.films if film.film_id == 2] == [
        (2, 1, False)
    ]


def test_without_baseline_there_is_no_verdict(empty: Client) -> None:
    """In the first two days nothing is said to trend; the films opened most are shown."""
    land(
        empty,
        told(*((END_MS - 1000 - person, person, person, 1 + person % 3 // 2, "detail_view") for person in range(30))),
    )
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert not answer.ready
    assert [(film.film_id, film.viewers, film.expected, film.trending) for film in answer.films] == [
        (1, 20, None, False),
        (2, 10, None, False),
    ]


def test_one_old_event_is_no_baseline(empty: Client) -> None:
    """An example message of long ago before a stream that has just begun: no verdict, the reason, and no number that is none."""
    opened = [(END_MS - 1000 - person, person, person, 1, "detail_view") for person in range(30)]
    land(empty, told((END_MS - 100 * 24 * HOUR_MS, 10, 10, 331, "detail_view"), *opened))
    answer = trends(empty, window(empty, 3 * HOUR_MS, now_ms=END_MS))
    assert (answer.ready, answer.baseline_h, answer.needed_h) == (False, 0, 48)
    assert [(film.film_id, film.viewers, film.expected, film.sigmas, film.trending) for film in answer.films] == [
        (1, 30, None, None, False)
    ]
    inside = [(END_MS - hour * HOUR_MS, 10, 10, 331, "detail_view") for hour in (100, 99, 98)]
    land(empty, told(*inside), first_offset=100)
    again = trends(empty, window(empty, 3 * HOUR_MS, now_ms=END_MS))
    assert (again.ready, again.baseline_h) == (False, 3)
