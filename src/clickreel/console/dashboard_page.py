"""Dashboard: the shop's answers as charts, refreshed every two seconds, each with the SQL behind it and its proof a click away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from nicegui import run, ui
from nicegui.elements.mixins.text_element import TextElement

from clickreel.console.chart_proofs import LEARNT_MINUTES, LIMIT, ChartProof, recommend
from clickreel.console.components.bar_chart import BarChart
from clickreel.console.components.time_chart import ChartSeries, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import NOTHING, choice, explain, link, remember, stat, tag, text_field
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.insight import charts
from clickreel.insight.activity import Activity, activity
from clickreel.insight.film_trends import Trend, TrendingFilms, trends
from clickreel.insight.funnel import Funnel, funnel
from clickreel.insight.queries import text
from clickreel.insight.recommend import Recommendation
from clickreel.insight.window import Window, window
from clickreel.timespec import format_duration, format_instant
from clickreel.warehouse.client import Client

_REFRESH_S = 2.0
_RECOMMENDED_BY = "next_by_rules"
# The links to the statements follow the stream at this pace: an address that changes under the pointer is no help.
_LINKED_MS = 30_000
_ADDRESS_MAX = 1_500
_WINDOWS = (("15", "15 minutes"), ("60", "1 hour"), ("360", "6 hours"), ("1440", "1 day"), ("10080", "7 days"))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/dashboard")
    def dashboard(minutes: str = "60", whom: str = "") -> None:
        with page_frame(context, "/dashboard") as state:
            _Dashboard(context, state, minutes if minutes in dict(_WINDOWS) else "60", whom)


@dataclass(frozen=True, slots=True)
class _Job:
    """One query of a refresh, drawn as soon as it has answered."""

    read: Callable[[Client, Window], Any]
    show: Callable[[Any], None]


def runnable_statement(query: str, span: Window) -> str:
    """The statement of a chart with its values put in; where it has further places, the raw rows that it counts.

    Args:
        query: The file in ``insight/sql``.
        span: The window.
    """
    sql = text(query)
    for name, value in (*span.parameters.items(), ("limit", LIMIT)):
        sql = re.sub(rf"\{{{name}:\w+\}}", str(value), sql)
    if re.search(r"\{\w+(:\w+)?\}", sql) is None and len(sql) < _ADDRESS_MAX:
        return sql
    begin, end = (format_instant(at) for at in (span.begin_ms, span.end_ms))
    return f"SELECT *\nFROM dvd_clicks\nWHERE event_ts >= '{begin}' AND event_ts < '{end}'\nORDER BY event_ts DESC\nLIMIT 100"


def _span(context: ConsoleContext, minutes: int) -> Window:
    return window(context.clickhouse(), minutes * 60_000, now_ms=round(time.time() * 1000))


def _read(context: ConsoleContext, read: Callable[[Client, Window], Any], span: Window) -> Any:
    return read(context.clickhouse(), span)


class _Dashboard:
    def __init__(self, context: ConsoleContext, state: PageState, minutes: str, whom: str) -> None:
        self._context, self._state, self._minutes, self._whom = context, state, minutes, whom
        self._reading = False
        with ui.element("div").classes("row-of"):
            choice("Stretch of time", _WINDOWS, minutes, self._choose)
            self._said = ui.label("reading …").classes("note")
        with ui.element("section").classes("stats card"):
            self._stats = {
                name: stat(name) for name in ("people now", "people", "sessions", "events", "session, median")
            }
        self._charts: dict[str, BarChart] = {}
        self._rows: dict[str, tuple[TextElement, ...]] = {}
        self._linked_ms = 0
        with ui.element("div").classes("grid grid-wide"):
            self._lines = {
                "Active users": self._add_line("Active users", "--series-1", "people"),
                "Clicks per minute": self._add_line("Clicks per minute", "--series-2", "clicks"),
            }
            self._add("Most popular films", "--series-3", "popular_films")
            self._add("Event funnel", "--series-4", "funnel")
            self._add("People by device", "--series-5", "devices")
            self._add("Popular categories", "--series-6", "popular_categories")
            self._add("Activity by device", "--series-1", "device_event_types")
            self._add("Session lengths", "--series-2", "session_lengths")
            with self._panel("Trending now", "people_per_minute"):
                self._trending = ui.element("div").classes("posters")
                self._trend_note = ui.label("reading …").classes("note")
            with self._panel("The week by hour, UTC", "hours_of_week"):
                self._week = (
                    ui.element("div")
                    .classes("scroll-x")
                    .props('tabindex="0" role="region" aria-label="The week by hour"')
                )
        with self._panel("Recommendations", _RECOMMENDED_BY):
            text_field(
                "A user or a film",
                self._recommend,
                value=whom,
                props='placeholder="u_10, a film\'s number, or a part of its title"',
            )
            self._recommend_note = ui.label("For whom? Give a user (u_10) or a film.").classes("note")
            self._recommended = ui.element("div").classes("posters")
        state.zone_changed.append(self._use_zone)
        self._drawn: dict[str, object] = {}
        self._jobs = (
            _Job(activity, self._show_activity),
            _Job(charts.clicks_per_minute, self._show_minutes),
            _Job(partial(charts.popular_films, limit=LIMIT), self._show_films),
            _Job(funnel, self._show_funnel),
            _Job(charts.devices, self._show_devices),
            _Job(partial(charts.popular_categories, limit=LIMIT), self._show_categories),
            _Job(charts.device_event_types, self._show_links),
            _Job(charts.session_lengths, self._show_lengths),
            _Job(charts.hours_of_week, self._show_week),
            _Job(partial(trends, limit=8), self._show_trending),
        )
        ui.timer(_REFRESH_S, self._tick)
        if whom:
            ui.timer(0.1, lambda: self._recommend(whom), once=True)

    def _panel(self, title: str, query: str) -> ui.element:
        section = ui.element("section").classes("card")
        with section:
            tag("h2", title, classes="card-title")
            with ui.element("footer").classes("panel-foot"):
                with ui.element("details"):
                    tag("summary", "SQL", props=f'aria-label="SQL of {title}"')
                    ui.label(text(query)).classes("mono pre")
                rows = link("Run it", "/sql?engine=clickhouse", classes="link panel-rows")
                rows.props(f'aria-label="Run the SQL of {title}" title="With this stretch of time put in"')
                self._rows[query] = (*self._rows.get(query, ()), rows)
                if query == _RECOMMENDED_BY:
                    self._proof = ui.element("div").classes("row-of")
                    with self._proof:
                        ChartProof(self._context, title, query, lambda: LEARNT_MINUTES, lambda: self._whom)
                    self._proof.set_visibility(False)
                else:
                    ChartProof(self._context, title, query, lambda: int(self._minutes))
        return section

    def _add(self, title: str, color: str, query: str) -> None:
        with self._panel(title, query):
            self._charts[title] = BarChart(title, color=color)

    def _use_zone(self, is_local: bool) -> None:
        for line in self._lines.values():
            line.use_local_time(local=is_local)

    def _add_line(self, title: str, color: str, what: str) -> TimeChart:
        with self._panel(title, "clicks_per_minute"):
            return TimeChart([ChartSeries(what, color, "a minute")], label=f"{title}, whole minutes", height=230)

    def _choose(self, minutes: str) -> None:
        self._minutes = minutes if minutes in dict(_WINDOWS) else "60"
        remember("minutes", self._minutes)

    async def _tick(self) -> None:
        if self._reading or self._state.is_hidden:
            return
        self._reading = True
        minutes, problem = self._minutes, ""
        try:
            span = await run.io_bound(_span, self._context, int(minutes))
            if span is None:  # the page was closed
                return
            for job in self._jobs:
                found = await run.io_bound(_read, self._context, job.read, span)
                if found is None or minutes != self._minutes:  # another stretch is asked for
                    break
                job.show(found)
        except ClickreelError as exc:
            problem = explain(exc)
        finally:
            self._reading = False
            self._state.error(problem)

    def _show_activity(self, found: Activity) -> None:
        span, total, now = found.window, found.total, found.now
        self._said.set_text(
            f"{format_instant(span.begin_ms)[:19]} to {format_instant(span.end_ms)[:19]} UTC, refreshed every {_REFRESH_S:g} s"
        )
        if span.end_ms - self._linked_ms > _LINKED_MS:
            self._linked_ms = span.end_ms
            for query, links in self._rows.items():
                for one in links:
                    one.props["href"] = (
                        f"/sql?{urlencode({'engine': 'clickhouse', 'q': runnable_statement(query, span)})}"
                    )
        median = found.sessions.length_s_p50
        values = (
            (f"{now.users:,}", "in the last five minutes"),
            (f"{total.users:,}", "in the window, each once"),
            (f"{total.sessions:,}", f"{found.sessions.under_way:,} under way"),
            (f"{total.events:,}", f"{total.events / max(1, span.length_ms) * 60_000:,.0f} a minute"),
            (
                NOTHING if median is None else format_duration(1000 * median),
                f"{found.sessions.events_mean or 0:,.1f} events a session",
            ),
        )
        for (figure, more), (value, remark) in zip(self._stats.values(), values, strict=True):
            figure.set_text(value)
            more.set_text(remark)

    def _show_minutes(self, found: charts.ChartAnswer[charts.MinuteClicks]) -> None:
        minutes = found.rows[1:-1]  # the window's first and last minutes are parts of minutes
        self._line("Active users", [(one.begin_ms, one.people) for one in minutes])
        self._line("Clicks per minute", [(one.begin_ms, one.clicks) for one in minutes])

    def _line(self, title: str, points: list[tuple[float, float]]) -> None:
        def draw() -> None:
            self._lines[title].show_span(60 * int(self._minutes))
            self._lines[title].set(points)

        self._redraw(title, (self._minutes, points), draw)

    def _show_films(self, found: charts.ChartAnswer[charts.FilmClicks]) -> None:
        self._bars("Most popular films", [(one.title or f"film {one.film_id}", one.clicks) for one in found.rows])

    def _show_funnel(self, found: Funnel) -> None:
        steps = [(s.event_type, s.reached, f"{s.reached:,} ({_percent(s.from_first)})") for s in found.steps]
        self._put("Event funnel", steps)

    def _show_devices(self, found: charts.ChartAnswer[charts.DeviceClicks]) -> None:
        self._bars("People by device", [(one.device, one.people) for one in found.rows])

    def _show_links(self, found: charts.ChartAnswer[charts.DeviceEventTypeClicks]) -> None:
        self._bars("Activity by device", [(f"{one.device}: {one.event_type}", one.clicks) for one in found.rows])

    def _show_categories(self, found: charts.ChartAnswer[charts.CategoryClicks]) -> None:
        self._bars("Popular categories", [(one.category or "unknown", one.clicks) for one in found.rows])

    def _show_lengths(self, found: charts.ChartAnswer[charts.SessionLengthFigures]) -> None:
        for one in found.rows:
            figures = (
                ("mean", one.duration_s_mean),
                ("median", one.duration_s_p50),
                ("95 of 100 are under", one.duration_s_p95),
            )
            bars = [(name, at or 0, NOTHING if at is None else format_duration(1000 * at)) for name, at in figures]
            self._put("Session lengths", bars)

    def _show_week(self, found: charts.ChartAnswer[charts.HourOfWeek]) -> None:
        counts = {(one.weekday, one.hour): one.clicks for one in found.rows}
        self._redraw("week", counts, lambda: _draw_week(self._week, counts))

    def _show_trending(self, found: TrendingFilms) -> None:
        films = tuple((one.film_id, one.title, _trend_reason(one)) for one in found.films)
        self._redraw("trending", films, lambda: _draw_posters(self._trending, films))
        self._trend_note.set_text(
            f"compared with the {found.baseline_h:,.0f} h before; {sum(one.trending for one in found.films):,} of these trend"
            if found.ready
            else "These films were opened most. Which of them trend is said once there are enough hours before this stretch to compare with."
        )

    def _bars(self, title: str, bars: list[tuple[str, int]]) -> None:
        self._put(title, [(name, value, f"{value:,}") for name, value in bars])

    def _put(self, title: str, bars: Sequence[tuple[str, float, str]]) -> None:
        self._redraw(
            title,
            bars,
            lambda: self._charts[title].set([(printable(name), value, shown) for name, value, shown in bars]),
        )

    def _redraw(self, name: str, value: object, draw: Callable[[], None]) -> None:
        """Draw only what has changed: a quiet stream costs a viewer nothing."""
        if self._drawn.get(name) != value:
            self._drawn[name] = value
            draw()

    async def _recommend(self, whom: str) -> None:
        remember("whom", whom)
        self._whom = whom.strip()
        self._proof.set_visibility(False)
        if not self._whom:
            return
        try:
            found = await run.io_bound(_recommendation, self._context, self._whom)
        except ClickreelError as exc:
            self._recommend_note.set_text(explain(exc))
            return
        if found is None:
            return
        basis = {
            "together": "films that share sessions",
            "rules": "films that follow what was opened",
            "popular": "nothing is known, so the films opened most",
        }[found.basis]
        self._recommend_note.set_text(f"{found.of} {found.id}: {basis}, learnt from 7 days")
        self._proof.set_visibility(True)
        _draw_posters(
            self._recommended,
            [
                (one.film_id, one.title, f"because of {one.because}" if one.because else f"score {one.score:,.3f}")
                for one in found.films
            ],
        )


def _trend_reason(one: Trend) -> str:
    """Why a film trends, or how far it is from it."""
    if one.trending and one.since_ms is not None and one.expected_since is not None:
        since = format_instant(one.since_ms)[11:16]
        return f"trends since {since} UTC: {one.people_since:,} people, {one.expected_since:,.1f} expected"
    expected = f", {one.expected:,.1f} expected" if one.expected is not None else ""
    return f"{one.viewers:,} people{expected}"


def _recommendation(context: ConsoleContext, whom: str) -> Recommendation:
    client = context.clickhouse()
    return recommend(client, whom, window(client, LEARNT_MINUTES * 60_000, now_ms=round(time.time() * 1000)))


def _draw_posters(parent: ui.element, films: tuple[tuple[int, str, str], ...] | list[tuple[int, str, str]]) -> None:
    """Posters of our own: colours and pattern follow from the film's number."""
    parent.clear()
    with parent:
        for film_id, title, remark in films:
            hue = film_id * 137 % 360
            angle = film_id * 53 % 180
            with ui.element("a").classes("poster").props(f'href="/id?q={film_id}"') as poster:
                ui.label(printable(title) or f"film {film_id}").classes("poster-title")
                ui.label(printable(remark)).classes("poster-category")
            poster.style(
                f"background: repeating-linear-gradient({angle}deg, hsl({hue} 45% 22%) 0 {14 + film_id % 17}px, hsl({(hue + 24) % 360} 50% 30%) 0 {31 + film_id % 23}px)"
            )
    if not films:
        with parent:
            ui.label("No film was opened in this stretch of time.").classes("note")


def _draw_week(parent: ui.element, counts: dict[tuple[int, int], int]) -> None:
    parent.clear()
    most = max(counts.values(), default=0)
    with parent, ui.element("table").classes("heat"):
        with ui.element("thead"), ui.element("tr"):
            tag("th", "")
            for hour in range(24):
                tag("th", f"{hour:02}", props='scope="col"')
        with ui.element("tbody"):
            for day, name in enumerate(_DAYS, 1):
                with ui.element("tr"):
                    tag("th", name, props='scope="row"')
                    for hour in range(24):
                        events = counts.get((day, hour), 0)
                        share = round(100 * events / most) if most else 0
                        cell = tag("td", _short(events), props=f'title="{name} {hour:02}:00 UTC: {events:,} events"')
                        cell.style(f"background: color-mix(in srgb, var(--sticker) {share}%, var(--sunken))")
                        if share > 45:
                            cell.style("color: var(--sticker-ink)")


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"


def _short(count: int) -> str:
    if count == 0:
        return ""
    return f"{count / 1000:.0f}k" if count >= 1000 else str(count)
