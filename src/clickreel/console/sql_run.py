"""One statement that runs for a page: on its own thread, stopped at once, with a bounded result."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

from clickreel import settings as stage_settings
from clickreel.console.context import ConsoleContext
from clickreel.errors import ClickreelError, UsageError
from clickreel.flink import bad_records, no_rows
from clickreel.flink.changelog import ChangelogView
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.gateway_lookup import connect_gateway
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.sql_errors import SqlError
from clickreel.flink.statement_splitter import Statement, split_statements
from clickreel.flink.statement_store import StatementStore
from clickreel.flink.workspace import Query, StoppedError, Workspace
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.simulate import films

# A page shows some hundred rows and hands out so many; what comes beyond is counted only.
ROWS_KEPT = 10_000
# After so long without a row a person wonders.
_WONDER_S = 5.0
# Statements that change nothing beyond their own session.
_READING = {"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "SET", "RESET", "USE"}
_POSITION = re.compile(r"\(line (\d+), col (\d+)\)")
_OFFSET = re.compile(r"failed at position (\d+)")
_NAMED = re.compile(r"(?:identifier|name|column) [`']([^`']+)[`']")
# What the server and its client put around the message.
_FRAME = re.compile(r"^.*?DB::Exception: |\s*\(version [^)]*\).*$", re.DOTALL)
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"}


def statement_store(home: Home) -> StatementStore:
    """The statements of a home."""
    return StatementStore(home.data("flink"))


def connect_recorded(home: Home, url: str) -> RestGateway:
    """Connect to the gateway of a recorded statement."""
    return RestGateway(url, auth=home.login() if url == Stack(home).addresses().get("flink") else "")


def count_running(context: ConsoleContext) -> int:
    """How many statements of this home run, by its own records: nobody is asked."""
    try:
        return len(statement_store(Home(context.home)).running())
    except ClickreelError:
        return 0


def locate_clickhouse_error(message: str, source: str, statement: str) -> tuple[int, int]:
    """Line and column that an error of ClickHouse speaks of, from 1; zeros when it names no place.

    Args:
        message: What ClickHouse said.
        source: All that stands in the editor.
        statement: The statement at fault, as it stands in the source.
    """
    if found := _POSITION.search(message):
        begin = source.count("\n", 0, max(0, source.find(statement)))
        return begin + int(found[1]), int(found[2])
    at = -1
    if found := _OFFSET.search(message):
        at = max(0, source.find(statement)) + int(found[1]) - 1
    elif (found := _NAMED.search(message)) and (word := re.search(rf"(?<!\w){re.escape(found[1])}(?!\w)", source)):
        at = word.start()
    if at < 0:
        return 0, 0
    return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)


class SqlRun:
    """Statements that run one after the other.

    Attributes:
        columns: The columns of the result.
        numeric: Which of them are numbers.
        count: How many rows came.
        state: What happens, in words.
        notes: What a person should know: why no row comes, records that were left out.
        error: What went wrong; empty while nothing did.
        done: Whether it has ended.
        version: Rises with every change of the result.
    """

    def __init__(self, context: ConsoleContext, engine: str, source: str) -> None:
        self.columns: tuple[str, ...] = ()
        self.numeric: tuple[bool, ...] = ()
        self.count = self.version = 0
        self.state, self.error = "starting", ""
        self.notes: list[str] = []
        self.done = False
        self._context, self._engine, self._source = context, engine, source
        self._statement = ""
        self._rows: list[Sequence[Any]] = []
        self._view: ChangelogView | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._query_id = uuid.uuid4().hex
        self._begun = time.monotonic()
        threading.Thread(target=self._run, name=f"sql-{engine}", daemon=True).start()

    def rows(self, limit: int) -> list[Sequence[Any]]:
        """The first rows of the result as it is now."""
        with self._lock:
            return list((self._rows if self._view is None else self._view.rows())[:limit])

    def stop(self) -> None:
        """Stop it; the result so far stays."""
        if self.done or self._stopped.is_set():
            return
        self._stopped.set()
        self.state = "stopping"
        if self._engine == "clickhouse":
            threading.Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> None:
        with contextlib.suppress(ClickreelError):
            self._context.clickhouse().command("KILL QUERY WHERE query_id = {id:String}", {"id": self._query_id})

    def _run(self) -> None:
        try:
            (self._run_clickhouse if self._engine == "clickhouse" else self._run_flink)()
        except StoppedError:
            self._stopped.set()
        except ClickreelError as exc:
            if not self._stopped.is_set():
                self.error = self._explained(exc)
        finally:
            seconds = time.monotonic() - self._begun
            what = "failed" if self.error else "stopped" if self._stopped.is_set() else "finished"
            self.state = f"{what} after {seconds:.1f} s"
            self.done = True
            self.version += 1

    def _explained(self, exc: ClickreelError) -> str:
        """The error, with the line and column at fault and a mark under the place."""
        line, column = (exc.line, exc.column) if isinstance(exc, SqlError) else (0, 0)
        message = exc.message
        if self._engine == "clickhouse":
            line, column = locate_clickhouse_error(message, self._source, self._statement)
            message = _FRAME.sub("", message)
        lines = self._source.splitlines()
        hint = f"\nhint: {exc.hint}" if exc.hint and self._engine == "flink" else ""
        if not 1 <= line <= len(lines):
            return message + hint
        begin = max(0, column - 60)
        shown = lines[line - 1][begin : begin + 120]
        return (
            f"line {line}, column {column}: {message}\n{line:>4} | {shown}\n     | {' ' * (column - 1 - begin)}^{hint}"
        )

    # ClickHouse

    def _run_clickhouse(self) -> None:
        client, limits = self._context.reader()
        for statement in split_statements(self._source, backslash=True):
            self.state, self._statement = "running", statement.text
            for names, block in client.row_blocks(statement.text, query_id=self._query_id, **limits):
                with self._lock:
                    if names != self.columns:
                        self.columns, self._rows = names, []
                    self._rows += block[: ROWS_KEPT - len(self._rows)]
                if block:
                    self.numeric = tuple(isinstance(cell, int | float) for cell in block[0])
                self.count += len(block)
                self.version += 1
                if self._stopped.is_set():
                    return
                if self.count >= ROWS_KEPT:
                    self.notes = [
                        f"more than {ROWS_KEPT:,} rows: the first are shown; clickreel sql or export gives all"
                    ]
                    return

    # Flink

    def _run_flink(self) -> None:
        self.state = "looking for Flink; the local one takes a moment to start"
        home, profile = Home(self._context.home), self._context.profile
        stack = Stack(home)
        settings = stage_settings.load(FlinkSettings, "flink", flags={"bad_records": "skip"})

        def start() -> str:
            stack.ensure(["flink"])
            return stack.address("flink")

        named = settings.gateway_url or profile.flink_gateway_url
        gateway = connect_gateway(
            named, stack.addresses().get("flink", ""), start, auth=profile.flink_gateway_auth, local_auth=home.login()
        )
        try:
            with Workspace(gateway, profile, settings, statement_store(home), catalogue=films.invent) as workspace:
                for statement in split_statements(self._source):
                    if self._stopped.is_set():
                        return
                    self._run_statement(workspace, statement)
        finally:
            gateway.disconnect()

    def _run_statement(self, workspace: Workspace, statement: Statement) -> None:
        self.state = "running"
        if not statement.is_query:
            if statement.verb not in _READING and not self._context.allow_writes:
                raise UsageError(
                    f"this page only reads: {statement.verb} is refused", hint="clickreel console --allow-writes"
                )
            answer = workspace.execute(statement)
            self._begin([column.name for column in answer.columns], [column.type for column in answer.columns])
            self._take(answer.rows, None)
            if answer.started is not None:
                self.notes.append(f"{answer.started.name} runs on; stop it in the list of statements")
            return
        shape = workspace.shape(statement)
        view = None if shape.append_only else ChangelogView()
        with workspace.query(statement) as query:
            self._follow(workspace, query, view, shape.row_limit)

    def _follow(self, workspace: Workspace, query: Query, view: ChangelogView | None, row_limit: int | None) -> None:
        wonders_at = time.monotonic() + _WONDER_S
        for batch in query:
            if query.columns and not self.columns:
                self._begin([column.name for column in query.columns], [column.type for column in query.columns])
            if batch:
                if view is not None:
                    with self._lock:
                        view.add(batch)
                        self._view = view
                self._take([cells for _, cells in batch], view)
                self.notes = []
            elif not self.count and time.monotonic() > wonders_at:
                wonders_at = time.monotonic() + 6 * _WONDER_S
                self.notes = [f"no rows yet: {reason}" for reason in no_rows.find_reasons(workspace, query)]
            if self._stopped.is_set() or (view is None and row_limit is not None and self.count >= row_limit):
                break
        if not self._stopped.is_set():
            self._report_bad_records(workspace, query)

    def _report_bad_records(self, workspace: Workspace, query: Query) -> None:
        named = [table for table in workspace.tables.values() if table.name in query.statement.names()]
        skips = workspace.settings.bad_records == "skip"
        self.notes += bad_records.report_bad_records(workspace.profile, query, named, skips=skips)

    def _begin(self, names: Sequence[str], types: Sequence[str]) -> None:
        with self._lock:
            self.columns, self.numeric = tuple(names), tuple(one in _NUMBERS for one in types)
            self._rows, self._view, self.count = [], None, 0
            self.version += 1

    def _take(self, rows: Sequence[Sequence[Any]], view: ChangelogView | None) -> None:
        with self._lock:
            if view is None:
                self._rows += rows[: max(0, ROWS_KEPT - len(self._rows))]
            self.count += len(rows)
            self.version += 1
