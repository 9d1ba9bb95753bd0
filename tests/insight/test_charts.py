"""Each chart against a count in plain Python over the same events."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import astuple
from typing import Any

import pytest

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, REFERRERS
from clickreel.insight import charts
from clickreel.insight.window import Window, window
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import DAY_MS, HOUR_MS, land, told


@pytest.fixture(scope="module")
def span(landed: Landed) -> Window:
    """The last two days of the landed world."""
    return window(landed.client, 2 * DAY_MS, now_ms=END_MS, end_ms=END_MS)


@pytest.fixture(scope="module")
def clicks(landed: Landed, span: Window) -> list[dict[str, Any]]:
    """Its events as records."""
    return [click for click in _records(landed) if click["ts"] >= span.begin_ms]


def _records(landed: Landed) -> list[dict[str, Any]]:
    events = landed.events
    columns = (events.ts_ms, events.user, events.session, events.film, events.event_type, events.device)
    return [
        {
            "ts": int(ts), "user": int(user), "session": int(session), "film": int(film), "type": EVENT_TYPES[kind],
            "device": DEVICES[device], "referrer": REFERRERS[referrer], "position": int(position),
        }
        for ts, user, session, film, kind, device, referrer, position in zip(
            *columns, events.referrer, events.position, strict=True
        )
    ]  # fmt: skip


def _titles(landed: Landed) -> dict[int, str]:
    catalogue = landed.world.catalogue
    return dict(zip(catalogue.film_id.tolist(), catalogue.title, strict=True))


def _rows(answer: charts.ChartAnswer[Any]) -> list[tuple[Any, ...]]:
    return [astuple(row) for row in answer.rows]


def test_active_now(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """The last five minutes and nothing before."""
    last = [click for click in clicks if click["ts"] >= END_MS - 300_000]
    expected = len({click["user"] for click in last}), len({click["session"] for click in last}), len(last)
    assert _rows(charts.active_now(landed.client, span)) == [expected]


def test_clicks_per_minute(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """Each minute's clicks and people."""
    people = defaultdict(set)
    for click in clicks:
        people[click["ts"] // 60_000 * 60_000].add(click["user"])
    counts = Counter(click["ts"] // 60_000 * 60_000 for click in clicks)
    assert _rows(charts.clicks_per_minute(landed.client, span)) == [
        (minute, counts[minute], len(people[minute])) for minute in sorted(counts)
    ]


def test_popular_films(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """By clicks; equal ones by id."""
    counts = Counter(click["film"] for click in clicks)
    opened = Counter(click["film"] for click in clicks if click["type"] == "detail_view")
    best = sorted(counts, key=lambda film: (-counts[film], film))[:7]
    assert _rows(charts.popular_films(landed.client, span, limit=7)) == [
        (
            film,
            _titles(landed)[film],
            counts[film],
            opened[film],
            len({click["user"] for click in clicks if click["film"] == film}),
        )
        for film in best
    ]


def test_event_types(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """In the order of the funnel."""
    expected = []
    for kind in ("view", "detail_view", "watch_trailer", "add_to_watchlist"):
        these = [click for click in clicks if click["type"] == kind]
        expected.append((kind, len(these), len({one["session"] for one in these}), len({one["user"] for one in these})))
    assert _rows(charts.event_types(landed.client, span)) == expected


def test_devices_and_their_links(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """Shares are of all clicks; the links of a device add up to it."""
    counts = Counter(click["device"] for click in clicks)
    answer = charts.devices(landed.client, span).rows
    assert {row.device: row.clicks for row in answer} == counts
    assert [row.share for row in answer] == pytest.approx([counts[row.device] / len(clicks) for row in answer])
    for row in answer:
        assert row.people == len({click["user"] for click in clicks if click["device"] == row.device})
    links = Counter((click["device"], click["type"]) for click in clicks)
    found = charts.device_event_types(landed.client, span).rows
    assert {(row.device, row.event_type): row.clicks for row in found} == links


def test_a_film_of_two_categories_counts_once_in_each(
    landed: Landed, span: Window, clicks: list[dict[str, Any]]
) -> None:
    """And the share is of all clicks, each counted once."""
    catalogue = landed.world.catalogue
    of = dict(zip(catalogue.film_id.tolist(), catalogue.categories, strict=True))
    assert max(map(len, of.values())) > 1
    counts = Counter(category for click in clicks for category in set(of[click["film"]]))
    answer = charts.popular_categories(landed.client, span, limit=1000).rows
    assert {row.category: row.clicks for row in answer} == counts
    assert sum(row.clicks for row in answer) > len(clicks)
    for row in answer:
        assert row.share == pytest.approx(row.clicks / len(clicks))
        assert row.films == len({click["film"] for click in clicks if row.category in of[click["film"]]})


def test_a_film_that_the_catalogue_lacks_is_in_no_category(empty: Client) -> None:
    """Its clicks are counted, and not given to a category."""
    land(empty, told((END_MS - 1000, 1, 1, 7, "view"), (END_MS - 500, 1, 1, 8, "view")))
    answer = charts.popular_categories(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert _rows(answer) == [("", 2, 2, 1.0)]
    assert answer.as_json()["rows"] == [{"category": "", "clicks": 2, "films": 2, "share": 1.0}]


def test_session_lengths(landed: Landed, span: Window) -> None:
    """Sessions that begin in the window; those under way are counted and not measured."""
    sessions = defaultdict(list)
    for click in _records(landed):
        sessions[click["session"]].append(click["ts"])
    begun = [times for times in sessions.values() if min(times) >= span.begin_ms]
    ended = [times for times in begun if max(times) < END_MS - 1_800_000]
    (answer,) = charts.session_lengths(landed.client, span).rows
    assert (answer.ended, answer.under_way) == (len(ended), len(begun) - len(ended))
    durations = sorted((max(times) - min(times)) / 1000 for times in ended)
    assert answer.clicks_mean == pytest.approx(sum(map(len, ended)) / len(ended))
    assert answer.duration_s_mean == pytest.approx(sum(durations) / len(durations))
    assert answer.duration_s_p50 == durations[len(durations) // 2]
    assert answer.bounce_ratio == pytest.approx(sum(len(times) == 1 for times in ended) / len(ended))


def test_no_ended_session_has_no_length(empty: Client) -> None:
    """There is no median of nothing."""
    land(empty, told((END_MS - 1000, 1, 1, 7, "view")))
    answer = charts.session_lengths(empty, window(empty, HOUR_MS, now_ms=END_MS))
    assert _rows(answer) == [(0, 1, *[None] * 6)]


def test_hours_of_week(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """Monday is 1."""
    counts: Counter[tuple[int, int]] = Counter()
    people = defaultdict(set)
    for click in clicks:
        moment = dt.datetime.fromtimestamp(click["ts"] / 1000, dt.UTC)
        counts[moment.isoweekday(), moment.hour] += 1
        people[moment.isoweekday(), moment.hour].add(click["user"])
    assert _rows(charts.hours_of_week(landed.client, span)) == [
        (*hour, counts[hour], len(people[hour])) for hour in sorted(counts)
    ]


def test_retention(landed: Landed) -> None:
    """People by the Monday week of their first event, and by how many weeks later they are there again."""
    everything = window(landed.client, DAYS * DAY_MS + 7 * DAY_MS, now_ms=END_MS, end_ms=END_MS)
    weeks = defaultdict(set)
    for click in _records(landed):
        day = dt.datetime.fromtimestamp(click["ts"] / 1000, dt.UTC).date()
        weeks[click["user"]].add(day - dt.timedelta(days=day.weekday()))
    expected: Counter[tuple[dt.date, int]] = Counter()
    for days in weeks.values():
        for day in days:
            expected[min(days), (day - min(days)).days // 7] += 1
    answer = charts.retention(landed.client, everything).rows
    assert len(answer) > 3
    for row in answer:
        day = dt.datetime.fromtimestamp(row.cohort_ms / 1000, dt.UTC).date()
        assert row.people == expected.pop((day, row.later))
        assert row.share == pytest.approx(
            row.people / next(one.people for one in answer if one.cohort_ms == row.cohort_ms)
        )
    assert not expected


def test_session_funnel(landed: Landed, span: Window, clicks: list[dict[str, Any]]) -> None:
    """A step counts after every step before it, with whatever film."""
    steps = ("view", "detail_view", "watch_trailer", "add_to_watchlist")
    sessions = defaultdict(list)
    for click in clicks:
        sessions[click["session"]].append((click["ts"], steps.index(click["type"])))
    reached = [0, 0, 0, 0]
    for taken in sessions.values():
        level = 0
        for _, step in sorted(taken):
            level += step == level
        for step in range(level):
            reached[step] += 1
    assert _rows(charts.session_funnel(landed.client, span)) == [
        (place, steps[place - 1], reached[place - 1]) for place in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(("ask", "column"), [(charts.film_entries, "referrer"), (charts.film_positions, "position")])
def test_films_by_entry_and_position(
    ask: Any, column: str, landed: Landed, span: Window, clicks: list[dict[str, Any]]
) -> None:
    """The films with the most clicks, each split."""
    films = Counter(click["film"] for click in clicks)
    best = sorted(films, key=lambda film: (-films[film], film))[:5]
    counts = Counter((click["film"], click[column]) for click in clicks if click["film"] in best)
    opened = Counter((click["film"], click[column]) for click in clicks if click["type"] == "detail_view")
    answer = ask(landed.client, span, limit=5).rows
    assert {(row.film_id, getattr(row, column)): row.clicks for row in answer} == counts
    assert list(dict.fromkeys(row.film_id for row in answer)) == best
    for row in answer:
        assert row.opened == opened[row.film_id, getattr(row, column)]
        assert row.title == _titles(landed)[row.film_id]


def test_every_chart_is_listed_once_with_a_statement(landed: Landed) -> None:
    """What a page draws: a name, a title, a function that answers, and the statement's text."""
    span = window(landed.client, DAYS * DAY_MS, now_ms=END_MS, end_ms=END_MS)
    assert len({chart.name for chart in charts.CHARTS}) == len(charts.CHARTS) == 13
    for chart in charts.CHARTS:
        assert getattr(charts, chart.name) is chart
        assert "FROM dvd_clicks_landing" in chart.sql
        answer = chart.answer(landed.client, span, limit=3)
        assert answer.rows, chart.name
        assert answer.as_json()["chart"] == chart.name
