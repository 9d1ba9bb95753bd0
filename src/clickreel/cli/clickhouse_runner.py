"""The warehouse behind the prompt of ``clickreel sql --engine clickhouse``."""

from __future__ import annotations

from typing import Any

from clickreel.cli.row_printers import printer_for
from clickreel.cli.sql_runner import SqlOptions
from clickreel.flink.statement_splitter import Statement, split_statements
from clickreel.profile import Profile

# A result larger than this is cut: the prompt is for people, `export` and BI tools for the rest.
_ROWS_MAX = 100_000
_ASKING = {"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "VALUES"}


class ClickHouseRunner:
    """Runs statements on ClickHouse.

    Args:
        profile: Where it is.
        options: How results are printed.
    """

    backslash = True

    def __init__(self, profile: Profile, options: SqlOptions) -> None:
        from clickreel.warehouse.client import connect

        self.options = options
        self._client = connect(profile)

    def words(self) -> list[str]:
        """See :class:`clickreel.cli.sql_runner.SqlRunner`."""
        sql = "SELECT name FROM system.{} WHERE database = currentDatabase()"
        return sorted(
            {str(row[0]) for source in ("tables", "columns") for row in self._client.rows(sql.format(source))}
        )

    def run(self, source: str) -> int:
        """See :class:`clickreel.cli.sql_runner.SqlRunner`."""
        for statement in split_statements(source, backslash=True):
            self._one(statement)
        return 0

    def _one(self, statement: Statement) -> None:
        bounds: dict[str, Any] = {"max_result_rows": self.options.limit or _ROWS_MAX, "result_overflow_mode": "break"}
        if self.options.timeout_s is not None:
            bounds["max_execution_time"] = self.options.timeout_s
        if statement.verb not in _ASKING:
            self._client.command(statement.text)
            return
        import pyarrow as pa

        answer = self._client.columns(statement.text, **bounds)
        numbers = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in answer.schema.types]
        printer = printer_for(self.options.form)
        printer.begin(answer.column_names, numbers)
        rows = answer.slice(0, self.options.limit).to_pylist() if self.options.limit else answer.to_pylist()
        printer.rows([("+I", [_cell(cell) for cell in row.values()]) for row in rows])
        printer.end()


def _cell(cell: Any) -> Any:
    """A cell as JSON can hold it; Arrow gives ClickHouse's text as bytes."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return cell if cell is None or isinstance(cell, bool | int | float | str | list | dict) else str(cell)
