"""Trending: what is counted, what the detector makes of it, and what the answer says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.events import Events
from clickreel.insight.film_trends import Trend, trends
from clickreel.insight.rise_detector import Openings, RiseRule, levels, onset, statistics
from clickreel.insight.window import window
from clickreel.warehouse import film_dimension
from clickreel.warehouse.client import Client
from tests.insight.conftest import END_MS, Landed
from tests.insight.landing import DAY_MS, HOUR_MS, land, told

DETAIL = EVENT_TYPES.index("detail_view")
MINUTE_MS = 60_000
# The real threshold is reached by nothing in so small a world: many false alarms a day are allowed until some films trend.
LOOSE = RiseRule(false_alarms_per_day=20_000.0)


def _firsts(events: Events, until_ms: int) -> list[tuple[int, int]]:
    """(time, film) of the first opening of each film by each person on each UTC day, one by one."""
    first: dict[tuple[int, int, int], int] = {}
    for ts, film, user, kind in zip(events.ts_ms, events.film, events.user, events.event_type, strict=True):
        if kind == DETAIL and ts < until_ms:
            first.setdefault((int(ts) // DAY_MS, int(film), int(user)), int(ts))
    return [(ts, film) for (_, film, _), ts in first.items()]


def _scalar(firsts: list[tuple[int, int]], until_ms: int, rule: RiseRule, asked: set[int]) -> dict[int, float]:
    """Logarithm of each asked film's statistic by the formula, film by film and minute by minute, without NumPy."""
    today = (until_ms - 1) // DAY_MS
    films = {film for ts, film in firsts if ts // DAY_MS >= today - 1 - rule.baseline_days}
    held = rule.held * rule.threshold(len(films))
    by_minute: dict[int, list[int]] = {}
    for ts, film in firsts:
        by_minute.setdefault(ts // MINUTE_MS, []).append(film)
    found = {}
    for film in asked:
        ratios = [0.0] * len(rule.rises)
        for day in (today - 1, today):
            before = [one for ts, one in firsts if day - rule.baseline_days <= ts // DAY_MS < day]
            share = (before.count(film) + rule.prior) / (len(before) + rule.prior * len(films))
            for minute in range(day * 1440, min((day + 1) * 1440, -(-until_ms // MINUTE_MS))):
                now = by_minute.get(minute, [])
                people = now.count(film)
                for place, rise in enumerate(rule.rises):
                    ratio = (ratios[place] + 1) * math.exp(-rise * len(now)) * (1 + rise / share) ** people
                    ratios[place] = min(ratio, held) if people else ratio
        found[film] = math.log(sum(ratios) / len(ratios))
    return found


@pytest.mark.parametrize("hours_before_the_end", [0, 31])
def test_answer_is_that_of_a_scalar_count(landed: Landed, hours_before_the_end: int) -> None:
    """People, statistic and verdict of each film are those of counting one by one."""
    end_ms = END_MS - hours_before_the_end * HOUR_MS
    span = window(landed.client, 3 * HOUR_MS, now_ms=END_MS, end_ms=end_ms)
    answer = trends(landed.client, span, rule=LOOSE, limit=1000)
    firsts = _firsts(landed.events, end_ms)
    viewers = [film for ts, film in firsts if ts >= span.begin_ms]
    right = _scalar(firsts, end_ms, LOOSE, set(sorted(set(viewers))[::10]))
    assert answer.ready
    assert {film.film_id for film in answer.films} == set(viewers)
    titles = dict(zip(landed.world.catalogue.film_id.tolist(), landed.world.catalogue.title, strict=True))
    assert len(right) >= 3
    for film in answer.films:
        assert film.viewers == viewers.count(film.film_id)
        assert film.title == titles[film.film_id]
        assert film.statistic is not None
        assert film.statistic == pytest.approx(right.get(film.film_id, film.statistic))
        assert film.trending == (film.statistic >= answer.threshold)
    assert any(film.trending for film in answer.films)
    assert [film.trending for film in answer.films] == sorted((film.trending for film in answer.films), reverse=True)


def _quiet() -> list[tuple[int, int, int, int, str]]:
    """Film 1, opened by somebody else each hour for 200 hours."""
    return [(END_MS - hour * HOUR_MS, hour, hour, 1, "detail_view") for hour in range(1, 200)]


def test_a_burst_is_found_the_moment_it_is_there(empty: Client) -> None:
    """Forty people on a film that nobody looked at: it trends, since then; a film that is always looked at does not."""
    crowd = [(END_MS - 1000 - person, 1000 + person, 1000 + person, 2, "detail_view") for person in range(40)]
    land(empty, told(*_quiet(), *crowd))
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert [(film.film_id, film.viewers, film.trending) for film in answer.films] == [(2, 40, True), (1, 1, False)]
    burst = answer.films[0]
    assert burst.since_ms == END_MS - MINUTE_MS
    assert burst.people_since == 40
    assert burst.ratio is not None
    assert burst.ratio > 50
    assert answer.films[1].since_ms is None


def test_one_persons_clicks_are_no_trend(empty: Client) -> None:
    """A person who opens a film fifty times in an hour is one viewer."""
    clicks = [(END_MS - 1000 - click, 9999, 9999, 2, "detail_view") for click in range(50)]
    land(empty, told(*_quiet(), *clicks))
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert [(film.film_id, film.viewers, film.trending) for film in answer.films if film.film_id == 2] == [
        (2, 1, False)
    ]


def test_a_category_trends_with_its_films(landed: Landed) -> None:
    """By category a person counts once in each category of the films they open."""
    span = window(landed.client, 3 * HOUR_MS, now_ms=END_MS)
    answer = trends(landed.client, span, by="category", limit=100)
    catalogue = landed.world.catalogue
    categories = dict(zip(catalogue.film_id.tolist(), catalogue.categories, strict=True))
    first: dict[tuple[str, int], int] = {}
    events = landed.events
    today = END_MS // DAY_MS * DAY_MS
    for ts, film, user, kind in zip(events.ts_ms, events.film, events.user, events.event_type, strict=True):
        if kind == DETAIL and ts >= today:
            for name in categories[int(film)]:
                first.setdefault((name, int(user)), int(ts))
    right = [name for (name, _), ts in first.items() if ts >= span.begin_ms]
    assert {trend.title: trend.viewers for trend in answer.films} == {name: right.count(name) for name in set(right)}
    assert "categories" in answer.as_json()


def test_a_category_rises_when_its_film_does(empty: Client) -> None:
    """A crowd on one film lifts both of its categories and no other."""
    from clickreel.simulate.films import invent

    films = invent(50, 1)
    film_dimension.load(empty, films)
    crowded = next(n for n, names in enumerate(films.categories) if len(names) == 2)
    quiet = [(END_MS - hour * HOUR_MS // 4, hour, hour, 1 + hour % 50, "detail_view") for hour in range(1, 800)]
    crowd = [
        (END_MS - 1000 * person, 5000 + person, 5000 + person, crowded + 1, "detail_view") for person in range(1, 80)
    ]
    land(empty, told(*quiet, *crowd))
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS), by="category")
    assert {trend.title for trend in answer.films if trend.trending} == set(films.categories[crowded])


def test_without_baseline_there_is_no_verdict(empty: Client) -> None:
    """In the first two days nothing is said to trend; the films opened most are shown."""
    land(
        empty,
        told(*((END_MS - 1000 - person, person, person, 1 + person % 3 // 2, "detail_view") for person in range(30))),
    )
    answer = trends(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert not answer.ready
    assert [_shown(film) for film in answer.films] == [(1, 20, None, None, False), (2, 10, None, None, False)]


def _shown(film: Trend) -> tuple[int, int, float | None, float | None, bool]:
    return film.film_id, film.viewers, film.expected, film.statistic, film.trending


def test_one_old_event_is_no_baseline(empty: Client) -> None:
    """An example message of long ago before a stream that has just begun: no verdict, the reason, and no number that is none."""
    opened = [(END_MS - 1000 - person, person, person, 1, "detail_view") for person in range(30)]
    land(empty, told((END_MS - 100 * 24 * HOUR_MS, 10, 10, 331, "detail_view"), *opened))
    answer = trends(empty, window(empty, 3 * HOUR_MS, now_ms=END_MS))
    assert (answer.ready, answer.baseline_h, answer.needed_h) == (False, 0, 48)
    assert [_shown(film) for film in answer.films] == [(1, 30, None, None, False)]
    inside = [(END_MS - hour * HOUR_MS, 10, 10, 331, "detail_view") for hour in (100, 99, 98)]
    land(empty, told(*inside), first_offset=100)
    again = trends(empty, window(empty, 3 * HOUR_MS, now_ms=END_MS))
    assert (again.ready, again.baseline_h) == (False, 3)


def _openings(matrix: NDArray[np.int64]) -> Openings:
    minute, item = np.nonzero(matrix)
    return Openings(minute, item, matrix[minute, item], *matrix.shape)


def test_false_alarms_are_as_rare_as_the_threshold_says() -> None:
    """Two hundred films of all levels that do not rise, thirty days: the time between alarms is not shorter than asked for."""
    draws = np.random.default_rng(7)
    share = draws.lognormal(sigma=1.5, size=200)
    share /= share.sum()
    days = 40
    busy = 6 * (1 + np.sin(np.arange(days * 1440) / 1440 * 2 * np.pi))
    matrix = draws.poisson(busy[:, None] * share)
    rule = RiseRule(overshoot=1.0, items_min=1)
    level = levels(matrix.reshape(days, 1440, 200).sum(axis=1), rule, 10)
    threshold = rule.threshold(200)
    above = np.array(
        [values >= threshold for values in statistics(_openings(matrix[10 * 1440 :]), level, rule, threshold)]
    )
    begun = (above[1:] & ~above[:-1]).sum()
    assert begun <= 30 + 3 * math.sqrt(30)


def test_the_onset_is_where_the_rise_begins() -> None:
    """Twenty people an hour from a minute on, where two were: found within minutes, its beginning too."""
    draws = np.random.default_rng(3)
    matrix = np.stack([draws.poisson(2 / 60, 2880), draws.poisson(600 / 60, 2880)], axis=1)
    matrix[2000:, 0] += draws.poisson(40 / 60, 880)
    rule = RiseRule()
    level = np.tile(np.array([2 / 602, 600 / 602]), (2, 1))
    threshold = rule.threshold(1000)
    values = [value[0] for value in itertools.islice(statistics(_openings(matrix), level, rule, threshold), 2100)]
    alarm = next(minute for minute, value in enumerate(values) if value >= threshold)
    assert 2000 < alarm < 2030
    begin = onset(_openings(matrix[: alarm + 1]), level, 0, rule)
    assert abs(begin.minute - 2000) < 15
    assert begin.people == matrix[begin.minute : alarm + 1, 0].sum()
