"""Overview: the path of an event as a picture, live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nicegui import run, ui

from clickreel.console.components.time_chart import ChartSeries, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import NOTHING, tag
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.ingest.freshness import read_status
from clickreel.stream.live_tail import LiveTail
from clickreel.stream.saved_runs import list_runs
from clickreel.timespec import format_duration

_CHART_S = 300


@dataclass(frozen=True, slots=True)
class _Stop:
    figure: ui.label
    more: ui.label


@dataclass(frozen=True, slots=True)
class _Arrow:
    above: ui.label
    below: ui.label
    box: ui.element


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/")
    def overview() -> None:
        with page_frame(context, "/") as state:
            _Overview(context, state)


class _Overview:
    def __init__(self, context: ConsoleContext, state: PageState) -> None:
        self._context, self._state = context, state
        self._tail = context.tail()
        with ui.element("section").classes("path").props('aria-label="The path of an event"'):
            self._simulator = self._stop("Simulator", "people who browse films", "/quality")
            self._produced = self._arrow()
            self._topic = self._stop("Topic", context.topic, "/messages")
            self._consumed = self._arrow()
            self._ingest = self._stop("Ingest", "exactly once", "/monitor")
            self._inserted = self._arrow()
            self._table = self._stop("Tables", "ClickHouse", "/sql?engine=clickhouse")
            self._read = self._arrow()
            self._answers = self._stop("Answers", "trending, funnel, next film", "/dashboard")
        self._proof = tag("a", "the proof is being made", classes="proof", props='href="/quality"')
        with ui.element("section").classes("card"):
            tag("h2", "Messages a second, last five minutes").classes("card-title")
            self._chart = TimeChart(
                [ChartSeries("messages", "--series-1", "/s")], label="Messages a second", window_s=_CHART_S
            )
        self._chart.set([(one.at_ms, sum(one.messages) / one.seconds) for one in list(self._tail.seconds)[-_CHART_S:]])
        state.zone_changed.append(lambda is_local: self._chart.use_local_time(local=is_local))
        self._details = ui.element("section").classes("stats card")
        self._shown_ms = self._tail.seconds[-1].at_ms if self._tail.seconds else 0
        self._drawn: tuple[str, ...] = ()
        ui.timer(1.0, self._tick)

    @staticmethod
    def _stop(name: str, what: str, address: str) -> _Stop:
        with ui.element("a").classes("stop").props(f'href="{address}"'):
            ui.label(name).classes("stop-name")
            ui.label(what).classes("stop-what")
            return _Stop(ui.label(NOTHING).classes("stop-figure"), ui.label("").classes("stop-what"))

    @staticmethod
    def _arrow() -> _Arrow:
        with ui.element("div").classes("arrow") as box:
            above = ui.label("")
            ui.element("div").classes("arrow-line").props('aria-hidden="true"')
            return _Arrow(above, ui.label(""), box)

    async def _tick(self) -> None:
        proof = self._context.proof()
        proof.watch()
        is_good = proof.report is not None and proof.report.ok
        is_bad = proof.report is not None and not proof.report.ok
        self._proof.classes(add="good" if is_good else "bad" if is_bad else "", remove="bad" if is_good else "good")
        self._proof.set_text(printable(f"From the simulator to the tables: {proof.summary()}"))
        self._state.error(f"{self._tail.error}: trying again every second" if self._tail.error else "")
        fresh = [one for one in list(self._tail.seconds)[-_CHART_S:] if one.at_ms > self._shown_ms]
        if fresh:
            self._shown_ms = fresh[-1].at_ms
            self._chart.push([(one.at_ms, sum(one.messages) / one.seconds) for one in fresh])
        status = read_status(self._context.home, self._context.topic) or {}
        rows = await run.io_bound(_count_rows, self._context)
        self._show_path(self._tail, status, rows)
        self._show_details(status)

    def _show_path(self, tail: LiveTail, status: dict[str, Any], rows: int | None) -> None:
        latest = list_runs(self._context.home, self._context.topic)
        self._simulator.figure.set_text(latest[0].run if latest else NOTHING)
        self._simulator.more.set_text("the run that was produced last" if latest else "no run was produced from here")
        rate = tail.rate_per_s()
        self._produced.above.set_text(f"{rate:,.0f} messages/s")
        self._produced.below.set_text(_mega(sum(tail.seconds[-1].bytes) if tail.seconds else 0))
        if tail.seconds:
            second = tail.seconds[-1]
            held = sum(high - low for high, low in zip(second.highs, second.lows, strict=True))
            self._topic.figure.set_text(f"{held:,}")
            self._topic.more.set_text(f"messages in {len(second.highs)} partitions")
            behind = _behind(second.highs, status)
            self._consumed.above.set_text("" if behind is None else f"{behind:,} behind")
        running = bool(status.get("running"))
        self._consumed.box.classes(add="" if running else "arrow-stalled", remove="arrow-stalled" if running else "")
        self._ingest.figure.set_text("running" if running else "not running")
        self._ingest.more.set_text(f"{status.get('rows', 0):,} rows since its start" if status else "clickreel ingest")
        if "p99_ms" in status:
            self._inserted.above.set_text(f"p50 {format_duration(status['p50_ms'])}")
            self._inserted.below.set_text(f"p99 {format_duration(status['p99_ms'])} to query")
        self._table.figure.set_text(NOTHING if rows is None else f"{rows:,}")
        self._table.more.set_text("rows" if rows is not None else "ClickHouse does not answer")
        self._answers.figure.set_text("live" if rows else NOTHING)
        self._answers.more.set_text("dashboard" if rows else "wait for the first rows")

    def _show_details(self, status: dict[str, Any]) -> None:
        seconds = self._tail.seconds
        figures = (
            ("topic", self._context.topic),
            ("partitions", f"{len(seconds[-1].highs)}" if seconds else NOTHING),
            ("dead letters", f"{sum(one['rows'] for one in status.get('dead', ()) if one['error'] != 'gap'):,}"),
            ("services", "this machine" if self._context.is_local else "from the profile"),
        )
        drawn = tuple(f"{name}{value}" for name, value in figures)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._details.clear()
        with self._details:
            for name, value in figures:
                with ui.element("div").classes("stat"):
                    ui.label(name).classes("stat-name")
                    ui.label(value).classes("stat-value")


def _count_rows(context: ConsoleContext) -> int | None:
    try:
        found = context.clickhouse().rows("SELECT count() FROM dvd_clicks_landing WHERE error = ''")
    except ClickreelError:
        return None
    return int(found[0][0])


def _behind(highs: list[int], status: dict[str, Any]) -> int | None:
    nexts = {int(one["partition"]): int(one["next"]) for one in status.get("partitions", ())}
    return sum(max(0, high - nexts[p]) for p, high in enumerate(highs) if p in nexts) if nexts else None


def _mega(size: float) -> str:
    return f"{size / 1e6:,.1f} MB/s" if size >= 1e6 else f"{size / 1e3:,.1f} kB/s"
