"""SQL: Flink on the topic, ClickHouse on the warehouse."""

from __future__ import annotations

import csv
import functools
import io
from typing import Any

import orjson
from nicegui import run, ui

from clickreel import settings as stage_settings
from clickreel.console.components.bar_chart import BarChart
from clickreel.console.components.result_table import ResultTable
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import page_frame
from clickreel.console.markup import button, card, explain, link, remember, table, tag, text_field
from clickreel.console.sql_run import ROWS_KEPT, SqlRun, connect_recorded, statement_store
from clickreel.errors import ClickreelError
from clickreel.flink import catalog
from clickreel.flink.examples import describe_example, list_examples, read_example
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_control import list_statements, stop_statement
from clickreel.flink.statement_store import StatementRecord
from clickreel.foreign_text import printable
from clickreel.local.home import Home
from clickreel.quantities import quantity

_ENGINES = {"flink": "Flink, on the topic", "clickhouse": "ClickHouse, on the tables"}
_FIRST_EXAMPLE = "sample"
_LINES = (9, 18)
_ROWS_SHOWN = 200
_CELL_MAX = 400
_CLICKHOUSE_EXAMPLES = {
    "newest": ("The newest events", "SELECT * FROM dvd_clicks ORDER BY event_ts DESC LIMIT 20"),
    "per_minute": (
        "Clicks a minute",
        "SELECT toStartOfMinute(event_ts) AS minute, count() AS clicks\nFROM dvd_clicks\nGROUP BY minute\nORDER BY minute DESC\nLIMIT 30",
    ),
    "films": (
        "Films that are opened most",
        "SELECT film_id, count() AS opened\nFROM dvd_clicks\nWHERE event_type = 'detail_view'\nGROUP BY film_id\nORDER BY opened DESC\nLIMIT 20",
    ),
    "dead": (
        "Dead letters by reason",
        "SELECT field, rule, count() AS messages\nFROM dvd_clicks_dead_letters\nGROUP BY field, rule\nORDER BY messages DESC",
    ),
}


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/sql")
    def sql(engine: str = "flink", example: str = "", q: str = "") -> None:
        chosen = engine if engine in _ENGINES else "flink"
        with page_frame(context, "/sql"):
            screen = _SqlScreen(context, chosen, q or _example(chosen, example))
            ui.context.client.on_delete(screen.close)


def _example(engine: str, name: str) -> str:
    if engine == "clickhouse":
        return _CLICKHOUSE_EXAMPLES.get(name, _CLICKHOUSE_EXAMPLES["newest"])[1]
    return read_example(name if name in list_examples() else _FIRST_EXAMPLE)


class _SqlScreen:
    def __init__(self, context: ConsoleContext, engine: str, source: str) -> None:
        self._context, self._engine, self._source = context, engine, source
        self._run: SqlRun | None = None
        self._shown = -1
        with ui.element("div").classes("row-of"):
            for name, words in _ENGINES.items():
                link(words, f"/sql?engine={name}", props='aria-current="true"' if name == engine else "")
        with ui.element("div").classes("sql-columns"):
            with ui.element("div").classes("stack"):
                self._show_editor()
                self._show_result()
            with ui.element("div").classes("stack"):
                self._show_examples()
                with card("Tables"):
                    with ui.element("div").classes("stack tables") as self._tables:
                        ui.label("reading …").classes("note")
                    ui.timer(0.05, self._load_tables, once=True)
        if engine == "flink":
            with card("Statements"):
                self._statements = ui.element("div").classes("stack")
                ui.timer(0.1, self._load_statements, once=True)
                button("Refresh", self._load_statements)
        ui.timer(0.25, self._tick)

    def _show_editor(self) -> None:
        with card("Statement"):
            text_field(
                "SQL",
                self._set_source,
                value=self._source,
                classes="editor",
                name="textarea",
                props=f'spellcheck="false" rows="{min(max(_LINES[0], len(self._source.splitlines())), _LINES[1])}"',
            )
            with ui.element("div").classes("row-of"):
                self._start = button("Run", self._begin, classes="btn btn-main")
                self._stop = button("Stop", self._end, props="disabled")
                self._said = ui.label("").classes("note").props('aria-live="polite"')
                ui.element("div").classes("spacer")
                button("CSV", lambda: self._download("csv"))
                button("JSON", lambda: self._download("json"))
                button("Chart", self._toggle_chart)
            self._notes = ui.label("").classes("warn pre")
            self._error = ui.label("").classes("bad mono pre").props('role="alert"')

    def _show_result(self) -> None:
        with card("Result"):
            self._empty = ui.label("Run a statement to see its rows.").classes("note")
            self._table = ResultTable("Result")
            self._chart = BarChart("Result")
            self._chart.set_visibility(False)

    def _show_examples(self) -> None:
        if self._engine == "clickhouse":
            examples = [(name, words, "") for name, (words, _) in _CLICKHOUSE_EXAMPLES.items()]
        else:
            names = sorted(list_examples(), key=lambda name: (name != _FIRST_EXAMPLE, name))
            examples = [(name, name.replace("_", " ").capitalize(), describe_example(name)) for name in names]
        with card("Examples"), ui.element("ul").classes("examples"):
            for name, words, meaning in examples:
                with ui.element("li"):
                    link(words, f"/sql?engine={self._engine}&example={name}", classes="link")
                    if meaning:
                        ui.label(meaning).classes("note")

    def _set_source(self, value: str) -> None:
        self._source = value
        if len(value) < 1_500:  # an address that browsers and logs take
            remember("q", value)

    def _begin(self) -> None:
        if self._run is not None:
            self._run.stop()
        self._run, self._shown = SqlRun(self._context, self._engine, self._source), -1
        self._stop.props(remove="disabled")

    def _end(self) -> None:
        if self._run is not None:
            self._run.stop()

    def close(self) -> None:
        """Stop what runs when the page is closed."""
        self._end()

    def _tick(self) -> None:
        current = self._run
        if current is None:
            return
        shown = min(current.count, _ROWS_SHOWN)
        beyond = f", the first {shown:,} shown" if current.count > _ROWS_SHOWN else ""
        self._said.set_text(f"{current.state}; {quantity(current.count, 'row')}{beyond}")
        self._notes.set_text(printable("\n".join(current.notes), lines=True))
        self._error.set_text(printable(current.error, lines=True))
        if current.version == self._shown:
            return
        self._shown = current.version
        self._draw(current)
        if current.done:
            self._stop.props("disabled")
            if self._engine == "flink":
                ui.timer(0.1, self._load_statements, once=True)

    def _draw(self, current: SqlRun) -> None:
        rows = [[_cell(cell) for cell in row] for row in current.rows(_ROWS_SHOWN)]
        numeric = current.numeric or (False,) * len(current.columns)
        self._empty.set_text("" if rows else "No row came." if current.done else "Waiting for the first row …")
        self._table.set([printable(name) for name in current.columns], numeric, rows)
        places = [at for at, is_number in enumerate(numeric) if is_number]
        value = places[-1] if places else None
        name = next((at for at in range(len(numeric)) if at != value), None)
        if value is not None and name is not None:
            self._chart.set([(row[name], _number(row[value]), row[value]) for row in rows[:40]])

    def _toggle_chart(self) -> None:
        self._chart.set_visibility(not self._chart.visible)
        self._table.set_visibility(not self._chart.visible)

    def _download(self, form: str) -> None:
        if self._run is None or not self._run.columns:
            return
        rows = self._run.rows(ROWS_KEPT)
        if form == "json":
            held = [dict(zip(self._run.columns, row, strict=True)) for row in rows]
            ui.download(orjson.dumps(held, default=str), "result.json")
            return
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self._run.columns)
        writer.writerows(rows)
        ui.download(text.getvalue().encode(), "result.csv")

    async def _load_tables(self) -> None:
        list_tables = _clickhouse_tables if self._engine == "clickhouse" else _flink_tables
        found = await run.io_bound(list_tables, self._context)
        self._tables.clear()
        with self._tables:
            for name, ddl in found or ():
                if not ddl:
                    ui.label(printable(name)).classes("note")
                    continue
                with ui.element("details"):
                    tag("summary", printable(name), classes="mono")
                    ui.label(printable(ddl, lines=True)).classes("mono pre")

    async def _load_statements(self) -> None:
        entries = await run.io_bound(_list, self._context)
        self._statements.clear()
        with self._statements:
            if not entries:
                ui.label("No statement has run yet.").classes("note")
            running = [one for one in entries or () if one.is_running]
            with ui.element("div").classes("row-of"):
                for entry in running if self._context.allow_writes else ():
                    button(f"Stop {entry.name}", functools.partial(self._stop_statement, entry.name))
            if entries:
                table(
                    ("name", "state", "rows", "statement"),
                    [
                        (one.name, one.state, f"{one.rows:,}", printable(" ".join(one.sql.split())[:120]))
                        for one in entries[:20]
                    ],
                    numeric=frozenset({2}),
                )

    async def _stop_statement(self, name: str) -> None:
        home = Home(self._context.home)
        try:
            await run.io_bound(stop_statement, statement_store(home), name, lambda url: connect_recorded(home, url))
        except ClickreelError as exc:
            self._error.set_text(explain(exc))
        await self._load_statements()


def _list(context: ConsoleContext) -> list[StatementRecord]:
    home = Home(context.home)
    try:
        found = list_statements(statement_store(home), lambda url: connect_recorded(home, url))
    except ClickreelError:
        found = []
    return sorted(found, key=lambda one: -one.started)


def _flink_tables(context: ConsoleContext) -> list[tuple[str, str]]:
    """The tables that a statement finds, with their DDL: made of the contract and the registry, so Flink need not run."""
    settings = stage_settings.load(FlinkSettings, "flink")
    try:
        tables = catalog.profile_tables(context.profile)
    except ClickreelError as exc:
        return [(explain(exc), "")]
    return [(one.name, catalog.readable_create_table_sql(one, context.profile, settings)) for one in tables]


def _clickhouse_tables(context: ConsoleContext) -> list[tuple[str, str]]:
    try:
        client, _ = context.reader()
        sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND engine != 'Dictionary' ORDER BY name"
        return [(str(name), str(ddl)) for name, ddl in client.rows(sql)]
    except ClickreelError as exc:
        return [(explain(exc), "")]


def _cell(cell: Any) -> str:
    if cell is None:
        return "NULL"
    text = printable(str(cell)[: _CELL_MAX + 1])
    return text if len(text) <= _CELL_MAX else text[:_CELL_MAX] + "…"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
