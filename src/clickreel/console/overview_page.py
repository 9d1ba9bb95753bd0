"""Overview: the path of an event as a picture, live; each arrow opens what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from nicegui import run, ui
from nicegui.elements.mixins.text_element import TextElement

from clickreel.console.components.result_table import ResultTable
from clickreel.console.components.time_chart import ChartSeries, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.ingest_history import count_behind
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import NOTHING, card, link, stat, table, tag
from clickreel.console.message_rows import event_cells
from clickreel.console.sql_run import count_running
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.ingest.ingest_status import read_status
from clickreel.quantities import quantity
from clickreel.stream.live_tail import LiveTail
from clickreel.stream.saved_runs import list_runs
from clickreel.timespec import format_duration, format_instant

_CHART_S = 300
_NEWEST = 9
_NEWEST_FIELDS = ("event_type", "user_id", "film_id", "page", "device")
_ARROWS = ("Simulator to topic", "Topic to ingest", "Ingest to tables", "Tables to answers")


@dataclass(frozen=True, slots=True)
class _Stop:
    figure: ui.label
    more: ui.label


@dataclass(frozen=True, slots=True)
class _Arrow:
    above: TextElement
    below: TextElement
    proof: TextElement
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
        self._opened = -1
        self._rows: int | None = None
        with ui.element("section").classes("path").props('aria-label="The path of an event"'):
            self._simulator = self._stop("Simulator", "people who browse films", "/drive")
            self._produced = self._arrow(0)
            self._topic = self._stop("Topic", context.topic, "/messages")
            self._consumed = self._arrow(1)
            self._ingest = self._stop("Ingest", "exactly once", "/monitor")
            self._inserted = self._arrow(2)
            self._table = self._stop("Tables", "ClickHouse", "/sql?engine=clickhouse")
            self._read = self._arrow(3)
            self._answers = self._stop("Answers", "trending, funnel, films", "/dashboard")
        self._inside = ui.element("section").classes("card").props('aria-live="polite"')
        self._inside.set_visibility(False)
        with ui.element("div").classes("row-of"):
            self._proof = link("the proof is being made", "/quality", classes="proof")
            ui.element("div").classes("spacer")
            self._flink = link("", "/sql", classes="link note")
        with ui.element("section").classes("stats card"):
            self._stats = {
                name: stat(name)
                for name in ("messages/s", "bytes/s", "behind in ingest", "to query, p50", "dead letters")
            }
        with ui.element("div").classes("grid grid-wide"):
            with card("Messages a second, last five minutes"):
                self._chart = TimeChart(
                    [ChartSeries("messages", "--series-1", "/s")],
                    label="Messages a second",
                    height=300,
                    window_s=_CHART_S,
                )
            with card("Newest messages"):
                self._newest = ResultTable("Newest messages")
                self._quiet = ui.label("waiting for the first message: clickreel produce").classes("note")
                link("See all of them live", "/messages", classes="link")
        self._chart.set([(one.at_ms, sum(one.messages) / one.seconds) for one in list(self._tail.seconds)[-_CHART_S:]])
        state.zone_changed.append(lambda is_local: self._chart.use_local_time(local=is_local))
        self._shown_ms = self._tail.seconds[-1].at_ms if self._tail.seconds else 0
        ui.timer(1.0, self._tick)
        # The live figures wait for no answer.
        ui.timer(1.0, self._count_rows)
        ui.timer(5.0, self._count_statements)

    @staticmethod
    def _stop(name: str, what: str, address: str) -> _Stop:
        with ui.element("a").classes("stop").props(f'href="{address}"'):
            ui.label(name).classes("stop-name")
            ui.label(what).classes("stop-what")
            return _Stop(ui.label(NOTHING).classes("stop-figure"), ui.label("").classes("stop-what"))

    def _arrow(self, number: int) -> _Arrow:
        box = ui.element("button").classes("arrow").props('type="button" aria-expanded="false"')
        box.on("click", lambda _: self._open(number))
        with box:
            above = tag("span", "")
            ui.element("span").classes("arrow-line").props('aria-hidden="true"')
            below = tag("span", "")
            proof = tag("span", "", classes="arrow-proof")
            tag("span", f"What is {_ARROWS[number]} made of?", classes="hidden-text")
        return _Arrow(above, below, proof, box)

    def _open(self, number: int) -> None:
        self._opened = -1 if self._opened == number else number
        for place, arrow in enumerate((self._produced, self._consumed, self._inserted, self._read)):
            arrow.box.props(f'aria-expanded="{str(place == self._opened).lower()}"')
        self._inside.set_visibility(self._opened >= 0)
        self._show_inside(read_status(self._context.home, self._context.topic) or {})

    async def _count_rows(self) -> None:
        if not self._state.is_hidden:
            self._rows = await run.io_bound(_count_rows, self._context)

    async def _count_statements(self) -> None:
        if not self._state.is_hidden:
            running = await run.io_bound(count_running, self._context) or 0
            self._flink.set_text(
                f"Flink: {quantity(running, 'statement')} running" if running else "Flink: no statement runs"
            )

    def _tick(self) -> None:
        if self._state.is_hidden:
            return
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
        self._show_newest()
        status = read_status(self._context.home, self._context.topic) or {}
        self._show_path(self._tail, status, self._rows)
        self._show_stats(status)
        if self._opened >= 0:
            self._show_inside(status)

    def _show_newest(self) -> None:
        records = self._tail.frame(None, limit=_NEWEST).records
        rows = []
        for record in sorted(records, key=lambda one: -one.timestamp_ms)[:_NEWEST]:
            cells = event_cells(record, _NEWEST_FIELDS) or [printable(record.value or b"", 40), "", "", "", ""]
            rows.append([format_instant(record.timestamp_ms)[11:] if record.timestamp_ms >= 0 else NOTHING, *cells])
        self._quiet.set_visibility(not rows)
        self._newest.set_visibility(bool(rows))
        if rows:
            self._newest.set(["UTC", *_NEWEST_FIELDS], [False, False, False, True, False, False], rows)

    def _show_path(self, tail: LiveTail, status: dict[str, Any], rows: int | None) -> None:
        latest = list_runs(self._context.home, self._context.topic)
        self._simulator.figure.set_text(printable(latest[0].run) if latest else NOTHING)
        self._simulator.more.set_text("the run that was produced last" if latest else "no run was produced from here")
        self._produced.above.set_text(f"{tail.rate_per_s():,.0f} messages/s")
        self._produced.below.set_text(_mega(tail.bytes_per_s()))
        if tail.seconds:
            second = tail.seconds[-1]
            held = sum(high - low for high, low in zip(second.highs, second.lows, strict=True))
            self._topic.figure.set_text(f"{held:,}")
            self._topic.more.set_text(f"messages in {quantity(len(second.highs), 'partition')}")
            behind = count_behind(second.highs, status)
            self._consumed.above.set_text("" if behind is None else f"{behind:,} behind")
        running = bool(status.get("running"))
        for arrow in (self._consumed, self._inserted):
            arrow.box.classes(add="" if running else "arrow-stalled", remove="arrow-stalled" if running else "")
        self._ingest.figure.set_text("running" if running else "not running")
        self._ingest.more.set_text(
            f"{quantity(status.get('rows', 0), 'row')} since its start" if status else "clickreel ingest"
        )
        if "p99_ms" in status:
            self._inserted.above.set_text(f"p50 {format_duration(status['p50_ms'])}")
            self._inserted.below.set_text(f"p99 {format_duration(status['p99_ms'])} to query")
        proof = self._context.proof()
        self._produced.proof.set_text(proof.into_topic())
        self._consumed.proof.set_text("proven with the next arrow" if proof.into_table() else "")
        self._inserted.proof.set_text(proof.into_table())
        self._table.figure.set_text(NOTHING if rows is None else f"{rows:,}")
        self._table.more.set_text("rows" if rows is not None else "ClickHouse does not answer: clickreel up")
        self._read.above.set_text("read at each query" if rows else "")
        self._read.proof.set_text("counted from the proven rows" if rows and proof.into_table() else "")
        self._answers.figure.set_text("live" if rows else NOTHING)
        self._answers.more.set_text("dashboard" if rows else "wait for the first rows")

    def _show_stats(self, status: dict[str, Any]) -> None:
        last = self._tail.seconds[-1] if self._tail.seconds else None
        behind = None if last is None else count_behind(last.highs, status)
        values = (
            f"{self._tail.rate_per_s():,.0f}",
            NOTHING if last is None else _mega(self._tail.bytes_per_s()),
            NOTHING if behind is None else f"{behind:,}",
            format_duration(status["p50_ms"]) if "p50_ms" in status else NOTHING,
            f"{sum(one['rows'] for one in status.get('dead', ()) if one['error'] != 'gap'):,}",
        )
        for (figure, _), value in zip(self._stats.values(), values, strict=True):
            figure.set_text(value)

    def _show_inside(self, status: dict[str, Any]) -> None:
        """What the opened arrow is made of, by partition."""
        if self._opened < 0:
            return
        build = (self._inside_produced, partial(self._inside_consumed, status), partial(self._inside_inserted, status))
        self._inside.clear()
        with self._inside:
            tag("h2", _ARROWS[self._opened], classes="card-title")
            if self._opened < len(build):
                head, rows = build[self._opened]()
                table(head, rows, numeric=frozenset(range(len(head))))
                if not rows:
                    ui.label("Nothing is known yet: the first figures come within seconds.").classes("note")
            else:
                ui.label(
                    "Each answer is one statement over the landed rows, run at each look; nothing is kept beside them."
                )
                link("See each chart with its SQL", "/dashboard", classes="link")

    def _inside_produced(self) -> tuple[tuple[str, ...], list[list[str]]]:
        head = ("partition", "messages/s", "kB/s", "expected", "in Kafka", "lost", "doubled", "out of place")
        report = self._context.proof().report
        last = self._tail.seconds[-1] if self._tail.seconds else None
        if last is None:
            return head, []
        proven = {one.partition: one for one in (report.partitions if report else ())}
        rows = []
        for p, count in enumerate(last.messages):
            one = proven.get(p)
            figures = [NOTHING] * 5
            if one is not None:
                lost, doubled = one.missing - one.rows_missing, one.doubled - one.rows_doubled
                figures = [f"{value:,}" for value in (one.expected, one.kafka, lost, doubled, one.out_of_place)]
            rows.append(
                [str(p), f"{count / last.seconds:,.0f}", f"{last.bytes[p] / last.seconds / 1e3:,.1f}", *figures]
            )
        return head, rows

    def _inside_consumed(self, status: dict[str, Any]) -> tuple[tuple[str, ...], list[list[str]]]:
        last = self._tail.seconds[-1] if self._tail.seconds else None
        nexts = {int(one["partition"]): int(one["next"]) for one in status.get("partitions", ())}
        rows = [
            [str(p), f"{high:,}", f"{nexts[p]:,}", f"{max(0, high - nexts[p]):,}"]
            for p, high in enumerate(last.highs if last else ())
            if p in nexts
        ]
        return ("partition", "next offset in Kafka", "next offset of ingest", "behind"), rows

    def _inside_inserted(self, status: dict[str, Any]) -> tuple[tuple[str, ...], list[list[str]]]:
        report = self._context.proof().report
        quick = {int(one["partition"]): one for one in status.get("partitions", ())}
        rows = []
        for one in report.partitions if report else ():
            times = (quick.get(one.partition, {}).get(name) for name in ("p50_ms", "p99_ms"))
            counts = (one.landed, one.rows_missing, one.rows_doubled, one.wrong, one.dead)
            shown = [NOTHING if value is None else format_duration(value) for value in times]
            rows.append([str(one.partition), *(f"{value:,}" for value in counts), *shown])
        return ("partition", "rows", "lost", "doubled", "wrong", "dead letters", "to query p50", "p99"), rows


def _count_rows(context: ConsoleContext) -> int | None:
    try:
        found = context.clickhouse().rows("SELECT count() FROM dvd_clicks_landing WHERE error = ''")
    except ClickreelError:
        return None
    return int(found[0][0])


def _mega(size: float) -> str:
    return f"{size / 1e6:,.1f} MB/s" if size >= 1e6 else f"{size / 1e3:,.1f} kB/s"
