"""Monitor: the topic second by second, for an hour."""

from __future__ import annotations

from functools import partial
from typing import Any

from nicegui import ui

from clickreel.console.components.time_chart import ChartSeries, Point, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.ingest_history import IngestSecond, count_behind
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import NOTHING, button, remember, stat, table, tag, whole_number
from clickreel.ingest.ingest_status import read_status
from clickreel.simulate.settings import WorldSettings
from clickreel.stream.live_tail import LiveTail, TailSecond
from clickreel.stream.saved_runs import list_runs
from clickreel.timespec import format_duration

_HOUR_S = 3_600
_REMARKS = {
    "to query p50": "half of the messages are in the tables sooner",
    "to query p99": "99 of 100 are",
    "skew": "busiest partition over the mean",
}
_SPANS = (("1 min", 60), ("5 min", 300), ("15 min", 900), ("1 h", _HOUR_S))


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/monitor")
    def monitor(topic: str = "", span: str = "") -> None:
        name = topic or context.topic
        with page_frame(context, "/monitor", topic=name) as state:
            span_s = whole_number(span, 0)
            _Monitor(context, state, name, span_s if span_s in dict(_SPANS).values() else 300)


class _Monitor:
    def __init__(self, context: ConsoleContext, state: PageState, topic: str, span_s: int) -> None:
        self._context, self._state, self._topic = context, state, topic
        self._tail: LiveTail = context.tail(topic)
        self._ingest = context.ingest_history(topic)
        self._stats: dict[str, tuple[ui.label, ui.label]] = {}
        with ui.element("section").classes("card"), ui.element("div").classes("stats"):
            for name in ("messages/s", "bytes/s", "behind in ingest", "to query p50", "to query p99", "skew"):
                self._stats[name] = stat(name)
        for name, words in _REMARKS.items():
            self._stats[name][1].set_text(words)
        with ui.element("div").classes("row-of").props('role="group" aria-label="How much time the charts show"'):
            self._spans = {seconds: button(text, partial(self._show_span, seconds)) for text, seconds in _SPANS}
        self._charts: list[TimeChart] = []
        with ui.element("div").classes("grid grid-wide"):
            self._messages = self._chart("Messages a second", [ChartSeries("messages", "--series-1", "/s")])
            self._bytes = self._chart("Bytes a second", [ChartSeries("bytes", "--series-3", "B/s")])
            self._behind = self._chart("Messages behind in ingest", [ChartSeries("behind", "--series-2")])
            self._latency = self._chart(
                "From the record's timestamp to the query, ms",
                [ChartSeries("p50", "--series-1", "ms"), ChartSeries("p99", "--series-2", "ms", dashed=True)],
            )
        with ui.element("section").classes("card"):
            tag("h2", "Partitions").classes("card-title")
            self._partitions = ui.element("div").classes("scroll-x")
        self._fill()
        self._show_span(span_s)
        state.zone_changed.append(self._use_zone)
        ui.timer(1.0, self._tick)

    def _use_zone(self, is_local: bool) -> None:
        for chart in self._charts:
            chart.use_local_time(local=is_local)

    def _chart(self, title: str, series: list[ChartSeries]) -> TimeChart:
        with ui.element("section").classes("card"):
            tag("h2", title).classes("card-title")
            chart = TimeChart(series, label=f"{title}, a point a second", height=170, window_s=_HOUR_S)
            if len(series) > 1:
                with ui.element("div").classes("legend"):
                    for one in series:
                        tag("span", one.name).style(f"--swatch: var({one.color})")
        self._charts.append(chart)
        return chart

    def _show_span(self, seconds: int) -> None:
        for chart in self._charts:
            chart.show_span(seconds)
        for span, choice in self._spans.items():
            choice.props(f'aria-pressed="{str(span == seconds).lower()}"')
        remember("span", str(seconds))

    def _fill(self) -> None:
        seconds = list(self._tail.seconds)
        self._shown_ms = seconds[-1].at_ms if seconds else 0
        self._messages.set([_messages_point(one) for one in seconds])
        self._bytes.set([_bytes_point(one) for one in seconds])
        landed = list(self._ingest.seconds)
        self._landed_ms = landed[-1].at_ms if landed else 0
        self._behind.set([_behind_point(one) for one in landed])
        self._latency.set([_latency_point(one) for one in landed])

    def _tick(self) -> None:
        if self._state.is_hidden:
            return
        self._tail, self._ingest = self._context.tail(self._topic), self._context.ingest_history(self._topic)
        self._tail.watch()  # bytes a second are measured of the records
        self._state.error(f"{self._tail.error}: trying again every second" if self._tail.error else "")
        fresh = [one for one in list(self._tail.seconds) if one.at_ms > self._shown_ms]
        if not fresh:
            return
        self._shown_ms = fresh[-1].at_ms
        self._messages.push([_messages_point(one) for one in fresh])
        self._bytes.push([_bytes_point(one) for one in fresh])
        status = read_status(self._context.home, self._topic) or {}
        nexts = {int(one["partition"]): int(one["next"]) for one in status.get("partitions", ())}
        if landed := [one for one in list(self._ingest.seconds) if one.at_ms > self._landed_ms]:
            self._landed_ms = landed[-1].at_ms
            self._behind.push([_behind_point(one) for one in landed])
            self._latency.push([_latency_point(one) for one in landed])
        self._show_stats(fresh[-1], count_behind(fresh[-1].highs, status), status)
        self._show_partitions(fresh[-1], nexts, status)

    def _show_stats(self, second: TailSecond, behind: int | None, status: dict[str, Any]) -> None:
        mean = sum(second.messages) / len(second.messages)
        quantile = {name: format_duration(status[name]) if name in status else NOTHING for name in ("p50_ms", "p99_ms")}
        texts = {
            "messages/s": f"{sum(second.messages) / second.seconds:,.0f}",
            "bytes/s": f"{sum(second.bytes) / second.seconds / 1000:,.1f} kB/s",
            "behind in ingest": NOTHING if behind is None else f"{behind:,}",
            "to query p50": quantile["p50_ms"],
            "to query p99": quantile["p99_ms"],
            "skew": f"{max(second.messages) / mean:.2f}" if mean else NOTHING,
        }
        for name, text in texts.items():
            self._stats[name][0].set_text(text)
        latest = list_runs(self._context.home, self._topic)
        self._stats["messages/s"][1].set_text(_target(latest[0].settings) if latest else "")
        self._stats["behind in ingest"][1].set_text(
            "" if status.get("running") else "ingest does not run: clickreel up"
        )

    def _show_partitions(self, second: TailSecond, nexts: dict[int, int], status: dict[str, Any]) -> None:
        landed = {int(one["partition"]): one for one in status.get("partitions", ())}
        self._partitions.clear()
        rows = []
        for p, count in enumerate(second.messages):
            quantiles = landed.get(p, {})
            rows.append(
                (
                    str(p),
                    f"{count / second.seconds:,.0f}",
                    f"{second.bytes[p] / second.seconds / 1000:,.1f}",
                    f"{second.lows[p]:,}",
                    f"{second.highs[p]:,}",
                    f"{max(0, second.highs[p] - nexts[p]):,}" if p in nexts else NOTHING,
                    *(
                        format_duration(quantiles[name]) if name in quantiles else NOTHING
                        for name in ("p50_ms", "p99_ms")
                    ),
                )
            )
        with self._partitions:
            head = ("partition", "messages/s", "kB/s", "first offset", "next offset", "behind", "p50", "p99")
            table(head, rows, numeric=frozenset(range(len(head))))


def _target(settings: WorldSettings) -> str:
    """The rate that a run is made for."""
    if settings.rate is not None:
        return f"of {settings.rate:,g} that the run is made for"
    return "" if settings.mean_rate is None else f"the run's mean over a week is {settings.mean_rate:,g}"


def _messages_point(second: TailSecond) -> Point:
    return (second.at_ms, sum(second.messages) / second.seconds)


def _bytes_point(second: TailSecond) -> Point:
    return (second.at_ms, sum(second.bytes) / second.seconds)


def _behind_point(second: IngestSecond) -> Point:
    return (second.at_ms, second.behind)


def _latency_point(second: IngestSecond) -> Point:
    return (second.at_ms, second.p50_ms, second.p99_ms)
