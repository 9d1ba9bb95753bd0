"""Run Flink SQL and print what it gives: files, ``-e`` and the prompt share this."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from clickreel.cli.output import print_err, print_out
from clickreel.cli.row_printers import FinalRows, LiveTable, RowPrinter, printer_for
from clickreel.cli.sql_runner import SqlOptions
from clickreel.errors import ClickreelError
from clickreel.flink.sql_errors import FlinkError, RefusedRecordError, SqlError, UnreadableError
from clickreel.flink.statement_splitter import Statement, split_statements
from clickreel.flink.workspace import Query, Row, StatementResult, StoppedError, Workspace
from clickreel.foreign_text import printable
from clickreel.quantities import quantity

# After so long without a row a person wonders.
_WONDER_S = 5.0
# Behind a full limit the last rows come within a moment.
_QUIET_S = 1.0
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"}


class _QueryLimits:
    """Counts rows and seconds of one query, and knows when it is enough.

    Args:
        limits: Rows after which it is, by each reason.
        timeout_s: Seconds after which it is.
        inner_limits: What the limits inside of the query let in before they are full, where all rows come through limits.
    """

    def __init__(self, limits: Sequence[int], timeout_s: float | None, inner_limits: Sequence[int]) -> None:
        self._limit, self._timeout_s = min(limits, default=None), timeout_s
        self._inner_limits = inner_limits if self._limit is None else ()
        self._begun = self._row_at = self._full_asked_at = time.monotonic()
        self._asks_at = self._begun + _WONDER_S
        self._rows, self._first_s = 0, 0.0
        self.why = ""

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows that are still wanted."""
        if rows:
            self._row_at = time.monotonic()
            self._first_s = self._first_s or self._row_at - self._begun
        taken = rows if self._limit is None else rows[: self._limit - self._rows]
        self._rows += len(taken)
        return taken

    def enough(self, query: Query) -> bool:
        """Whether the query should be stopped."""
        now = time.monotonic()
        if self._timeout_s is not None and now - self._begun > self._timeout_s:
            self.why = f", stopped after {self._timeout_s:g} s"
            return True
        if self._limit is not None:
            return self._rows >= self._limit
        if not self._inner_limits or now - max(self._row_at, self._full_asked_at) < _QUIET_S:
            return False
        self._full_asked_at = now
        return query.limits_are_full(self._inner_limits)

    def wonders(self) -> bool:
        """Whether it is time to say why nothing comes: after five seconds, then every thirty."""
        if self._rows or time.monotonic() < self._asks_at:
            return False
        self._asks_at = time.monotonic() + 6 * _WONDER_S
        return True

    def summary(self) -> None:
        """Say on a terminal how much came, and how fast."""
        if sys.stderr.isatty():
            first = f", the first after {self._first_s:.2f} s" if self._rows else ""
            print_err(
                (f"{quantity(self._rows, 'row')} in {time.monotonic() - self._begun:.2f} s{first}{self.why}", "dim")
            )


class FlinkRunner:
    """Runs statements in a workspace."""

    backslash = False

    def __init__(self, workspace: Workspace, options: SqlOptions) -> None:
        self.workspace, self.options = workspace, options

    def words(self) -> list[str]:
        """See :class:`SqlRunner`."""
        tables = self.workspace.tables.values()
        return sorted({name for table in tables for name in (table.name, *table.names)})

    def run(self, source: str) -> int:
        """See :class:`SqlRunner`."""
        for statement in split_statements(source):
            try:
                self._one(statement)
            except StoppedError as exc:
                print_err((exc.message, "yellow"))
            except SqlError as exc:
                debug(exc)
                _point(exc, source)
                raise
            except (UnreadableError, RefusedRecordError) as exc:
                debug(exc)
                raise self._named(exc, statement) from exc
            except FlinkError as exc:
                debug(exc)
                raise
        return 0

    def _one(self, statement: Statement) -> None:
        if not statement.is_query:
            self._answer(self.workspace.execute(statement, name=self.options.name))
            self._explain_lifetime(statement)
            return
        shape = self.workspace.shape(statement)
        printer = self._printer(changing=not self.options.changelog and not shape.append_only, ends=bool(shape.limits))
        limits = (
            [] if isinstance(printer, FinalRows | LiveTable) or self.options.limit is None else [self.options.limit]
        )
        if shape.append_only and shape.row_limit is not None:
            limits.append(shape.row_limit)
        with self.workspace.query(statement, name=self.options.name) as query:
            self._print(query, printer, _QueryLimits(limits, self.options.timeout_s, shape.limits))

    def _printer(self, *, changing: bool, ends: bool) -> RowPrinter:
        form, limit = self.options.form, self.options.limit
        changes = self.options.changelog
        if changing and not form and sys.stdout.isatty():
            return LiveTable(limit)
        # A result that changes is printed once it stands still; where nothing makes it end, as the changes that it is.
        ends = ends or self.workspace.settings.until_now or self.options.timeout_s is not None
        changes = changes or (changing and not ends)
        inner = printer_for(form, changes=changes)
        return FinalRows(inner, limit) if changing and ends else inner

    def _print(self, query: Query, printer: RowPrinter, watch: _QueryLimits) -> None:
        begun = False
        try:
            for batch in query:
                if query.columns and not begun:
                    begun = True
                    printer.begin([c.name for c in query.columns], [c.type in _NUMBERS for c in query.columns])
                taken = watch.take(batch)
                if begun:
                    printer.rows(taken)
                if watch.enough(query):
                    break
                if watch.wonders():
                    self._wonder(query)
            self._report_bad_records(query)
        except KeyboardInterrupt:
            query.close()
            watch.why = ", stopped by Ctrl-C"
            raise
        finally:
            if begun:
                printer.end()
            watch.summary()

    def _wonder(self, query: Query) -> None:
        from clickreel.flink import no_rows

        for reason in no_rows.find_reasons(self.workspace, query):
            print_err(("no rows yet:", "yellow"), f" {reason}")

    def _report_bad_records(self, query: Query) -> None:
        """Say which records were left out, where they do not end the query."""
        from clickreel.flink import bad_records

        workspace = self.workspace
        skips = workspace.settings.bad_records == "skip"
        named = [table for table in workspace.tables.values() if table.name in query.statement.names()]
        for line in bad_records.report_bad_records(workspace.profile, query, named, skips=skips):
            print_err(("bad records:", "yellow"), f" {line}")

    def _named(self, exc: UnreadableError | RefusedRecordError, statement: Statement) -> ClickreelError:
        """The error with the record's place in Kafka."""
        from clickreel.flink import bad_records

        tables, profile = self.workspace.read_tables(statement), self.workspace.profile
        if isinstance(exc, RefusedRecordError):
            judged = [table for table in tables if table.accepted is not None]
            places = [bad_records.read_record(profile, table, exc.partition, exc.offset) for table in judged]
            place = next((place for place in places if place is not None and place.why), None)
        else:
            place = bad_records.find_record(profile, tables, exc.text)
        exc.hint = "leave such records out and count them: --bad-records skip"
        if place is not None:
            exc.message = f"a record breaks the contract: {place}"
        return exc

    def _explain_lifetime(self, statement: Statement) -> None:
        """Say what a later session will not know, and what it will know all the same: a topic's table alone outlives its session."""
        words = [token.upper for token in statement.tokens]
        if words[0] == "CREATE" and words[1] in {"TABLE", "VIEW", "FUNCTION", "CATALOG", "DATABASE"}:
            if not any(token.identifier in self.workspace.tables for token in statement.tokens[2:6]) or "LIKE" in words:
                print_err(
                    (f"this {words[1].lower()} is known to this session only: no other command will find it", "dim")
                )
        elif words[:2] == ["DROP", "TABLE"] and statement.tokens[-1].identifier in self.workspace.tables:
            print_err(("dropped in this session only: the topic and its schemas stay, and so does the table", "dim"))

    def _answer(self, answer: StatementResult) -> None:
        if answer.started is not None:
            print_err(f"{answer.started.name} runs; stop it: clickreel statement stop {answer.started.name}")
            return
        if [c.name for c in answer.columns] == ["result"] and all(cells == ["OK"] for cells in answer.rows):
            if sys.stderr.isatty():
                print_err(("OK", "dim"))
            return
        if len(answer.columns) == 1 and len(answer.rows) == 1 and self.options.form != "json":
            print_out(str(answer.rows[0][0]))  # EXPLAIN and SHOW CREATE: text of many lines
            return
        printer = printer_for(self.options.form)
        printer.begin([c.name for c in answer.columns], [c.type in _NUMBERS for c in answer.columns])
        printer.rows([("+I", cells) for cells in answer.rows])
        printer.end()


def _point(exc: SqlError, source: str) -> None:
    """Show the line that is wrong, with a mark under the place."""
    lines = source.splitlines()
    if not 1 <= exc.line <= len(lines):
        return
    line = lines[exc.line - 1]
    start = max(0, exc.column - 60)
    shown = printable(line[start : start + 100])
    mark = "^" * max(1, min(len(exc.token), len(shown)))
    sys.stderr.write(f"{exc.line:>5} | {shown}\n      | {' ' * (exc.column - 1 - start)}{mark}\n")
    exc.message = f"line {exc.line}, column {exc.column}: {exc.message}"


def debug(exc: FlinkError) -> None:
    """Print Flink's own trace where the user asked for it."""
    if os.environ.get("CLICKREEL_DEBUG") and exc.trace:
        sys.stderr.write(printable(exc.trace, lines=True) + "\n")
