"""Dashboard: the shop's answers as charts, refreshed every two seconds, each with the SQL behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nicegui import run, ui

from clickreel.console.components.bar_chart import BarChart
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import NOTHING, choice, explain, remember, stat, tag, text_field
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.insight import charts
from clickreel.insight.activity import Activity, activity
from clickreel.insight.film_trends import TrendingFilms, trends
from clickreel.insight.funnel import Funnel, funnel
from clickreel.insight.queries import text
from clickreel.insight.recommend import Recommendation, film_of, for_film, for_user, user_of
from clickreel.insight.window import window
from clickreel.timespec import format_instant

_REFRESH_S = 2.0
_WINDOWS = (("15", "15 minutes"), ("60", "1 hour"), ("360", "6 hours"), ("1440", "1 day"), ("10080", "7 days"))
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/dashboard")
    def dashboard(minutes: str = "60", whom: str = "") -> None:
        with page_frame(context, "/dashboard") as state:
            _Dashboard(context, state, minutes if minutes in dict(_WINDOWS) else "60", whom)


@dataclass(frozen=True, slots=True)
class _Figures:
    activity: Activity
    funnel: Funnel
    minutes: tuple[charts.MinuteClicks, ...]
    films: tuple[charts.FilmClicks, ...]
    categories: tuple[charts.CategoryClicks, ...]
    devices: tuple[charts.DeviceClicks, ...]
    links: tuple[charts.DeviceEventTypeClicks, ...]
    lengths: tuple[charts.SessionLengthFigures, ...]
    week: tuple[charts.HourOfWeek, ...]
    trending: TrendingFilms


def _read(context: ConsoleContext, minutes: int) -> _Figures:
    client = context.clickhouse()
    span = window(client, minutes * 60_000, now_ms=round(time.time() * 1000))
    return _Figures(
        activity(client, span),
        funnel(client, span),
        charts.clicks_per_minute(client, span).rows,
        charts.popular_films(client, span, limit=10).rows,
        charts.popular_categories(client, span, limit=10).rows,
        charts.devices(client, span).rows,
        charts.device_event_types(client, span).rows,
        charts.session_lengths(client, span).rows,
        charts.hours_of_week(client, span).rows,
        trends(client, span, limit=8),
    )


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
        with ui.element("div").classes("grid grid-wide"):
            self._add("Active users", "--series-1", "clicks_per_minute")
            self._add("Clicks per minute", "--series-2", "clicks_per_minute")
            self._add("Most popular films", "--series-3", "popular_films")
            self._add("Event funnel", "--series-4", "funnel")
            self._add("People by device", "--series-5", "devices")
            self._add("Popular categories", "--series-6", "popular_categories")
            self._add("Activity by device", "--series-1", "device_event_types")
            self._add("Session lengths", "--series-2", "session_lengths")
            with self._panel("Trending now", "trending"):
                self._trending = ui.element("div").classes("posters")
                self._trend_note = ui.label("").classes("note")
            with self._panel("The week by hour, UTC", "hours_of_week"):
                self._week = (
                    ui.element("div")
                    .classes("scroll-x")
                    .props('tabindex="0" role="region" aria-label="The week by hour"')
                )
        with self._panel("Recommendations", "recommend"):
            text_field(
                "A user or a film",
                self._recommend,
                value=whom,
                props='placeholder="u_10, a film\'s number, or a part of its title"',
            )
            self._recommend_note = ui.label("For whom? Give a user (u_10) or a film.").classes("note")
            self._recommended = ui.element("div").classes("posters")
        self._drawn: dict[str, object] = {}
        ui.timer(_REFRESH_S, self._tick)
        if whom:
            ui.timer(0.1, lambda: self._recommend(whom), once=True)

    def _panel(self, title: str, query: str) -> ui.element:
        section = ui.element("section").classes("card")
        with section:
            tag("h2", title, classes="card-title")
            with ui.element("details").classes("panel-sql"):
                tag("summary", "SQL", props=f'aria-label="SQL of {title}"')
                ui.label(text(query)).classes("mono pre")
        return section

    def _add(self, title: str, color: str, query: str) -> None:
        with self._panel(title, query):
            self._charts[title] = BarChart(title, color=color)

    def _choose(self, minutes: str) -> None:
        self._minutes = minutes if minutes in dict(_WINDOWS) else "60"
        remember("minutes", self._minutes)

    async def _tick(self) -> None:
        if self._reading:
            return
        self._reading = True
        try:
            figures = await run.io_bound(_read, self._context, int(self._minutes))
            if figures is not None:
                self._state.error("")
                self._show(figures)
        except ClickreelError as exc:
            self._state.error(explain(exc))
        finally:
            self._reading = False

    def _show(self, found: _Figures) -> None:
        span = found.activity.window
        self._said.set_text(
            f"{format_instant(span.begin_ms)} to {format_instant(span.end_ms)} UTC, every {_REFRESH_S:g} s"
        )
        total, now = found.activity.total, found.activity.now
        median = found.activity.sessions.length_s_p50
        values = (
            (f"{now.users:,}", "in the last five minutes"),
            (f"{total.users:,}", "in the window, each once"),
            (f"{total.sessions:,}", f"{found.activity.sessions.under_way:,} under way"),
            (f"{total.events:,}", f"{total.events / max(1, span.length_ms) * 60_000:,.0f} a minute"),
            (
                NOTHING if median is None else f"{median / 60:,.1f} min",
                f"{found.activity.sessions.events_mean or 0:,.1f} events a session",
            ),
        )
        for (figure, more), (value, remark) in zip(self._stats.values(), values, strict=True):
            figure.set_text(value)
            more.set_text(remark)
        minutes = found.minutes[-12:]
        self._bars("Active users", [(format_instant(one.begin_ms)[11:16], one.people) for one in minutes])
        self._bars("Clicks per minute", [(format_instant(one.begin_ms)[11:16], one.clicks) for one in minutes])
        self._bars("Most popular films", [(one.title or f"film {one.film_id}", one.clicks) for one in found.films])
        steps = found.funnel.steps
        self._put(
            "Event funnel", [(s.event_type, s.reached, f"{s.reached:,} ({100 * s.from_first:.0f} %)") for s in steps]
        )
        self._bars("People by device", [(one.device, one.people) for one in found.devices])
        self._bars("Activity by device", [(f"{one.device}: {one.event_type}", one.clicks) for one in found.links])
        self._bars("Popular categories", [(one.category or "unknown", one.clicks) for one in found.categories])
        for lengths in found.lengths:
            figures = (
                ("mean", lengths.duration_s_mean),
                ("median", lengths.duration_s_p50),
                ("95 of 100", lengths.duration_s_p95),
            )
            self._put(
                "Session lengths",
                [
                    (name, length or 0, NOTHING if length is None else f"{length / 60:,.1f} min")
                    for name, length in figures
                ],
            )
        counts = {(one.weekday, one.hour): one.clicks for one in found.week}
        self._redraw("week", counts, lambda: _draw_week(self._week, counts))
        films = tuple(
            (
                one.film_id,
                one.title,
                f"{one.viewers:,} people" + (f", {one.expected:,.1f} expected" if one.expected is not None else ""),
            )
            for one in found.trending.films
        )
        self._redraw("trending", films, lambda: _draw_posters(self._trending, films))
        self._trend_note.set_text(
            f"judged against {found.trending.baseline_h:,.0f} h before"
            if found.trending.ready
            else f"opened most: a verdict needs more than the {found.trending.baseline_h:,.1f} h there are before the window"
        )

    def _bars(self, title: str, bars: list[tuple[str, int]]) -> None:
        self._put(title, [(name, value, f"{value:,}") for name, value in bars])

    def _put(self, title: str, bars: list[tuple[str, float, str]]) -> None:
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
        if not whom.strip():
            return
        try:
            found = await run.io_bound(_recommendation, self._context, whom.strip())
        except ClickreelError as exc:
            self._recommend_note.set_text(explain(exc))
            return
        if found is None:
            return
        basis = (
            "films that share sessions" if found.basis == "together" else "nothing is known, so the films opened most"
        )
        self._recommend_note.set_text(f"{found.of} {found.id}: {basis}, learnt from 7 days")
        _draw_posters(
            self._recommended,
            [
                (one.film_id, one.title, f"because of {one.because}" if one.because else f"score {one.score:,.3f}")
                for one in found.films
            ],
        )


def _recommendation(context: ConsoleContext, whom: str) -> Recommendation:
    client = context.clickhouse()
    span = window(client, 7 * 86_400_000, now_ms=round(time.time() * 1000))
    if whom.startswith("u_"):
        return for_user(client, user_of(whom), span)
    return for_film(client, film_of(client, whom), span)


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
                        cell.style(f"background: color-mix(in srgb, var(--sticker) {share}%, transparent)")
                        if share > 45:
                            cell.style("color: var(--sticker-ink)")


def _short(count: int) -> str:
    if count == 0:
        return ""
    return f"{count / 1000:.0f}k" if count >= 1000 else str(count)
