"""The warehouse behind the prompt of ``clickreel sql --engine clickhouse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clickreel.cli.row_printers import printer_for
from clickreel.cli.sql_runner import SqlOptions
from clickreel.flink.statement_splitter import Statement, split_statements
from clickreel.profile import Profile

if TYPE_CHECKING:
    import pyarrow as pa

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
        shown = answer.slice(0, self.options.limit) if self.options.limit else answer
        columns = [_values(column) for column in shown.columns]
        printer.rows([("+I", [_cell(cell) for cell in cells]) for cells in zip(*columns, strict=True)])
        printer.end()


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values; ClickHouse's texts may be no UTF-8, and its times beyond Python's calendar."""
    try:
        return list(column.to_pylist())
    except (UnicodeDecodeError, ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes() if hasattr(scalar, "as_buffer") else _parts(scalar)
    except (ValueError, OverflowError):
        return str(scalar.cast(pa.string()).as_py()) if pa.types.is_temporal(scalar.type) else _parts(scalar)


def _parts(scalar: Any) -> Any:
    """A nested value, part by part."""
    if hasattr(scalar, "items"):
        return {str(name): _cell(_value(part)) for name, part in scalar.items()}
    return [_cell(_value(part)) for part in scalar.values]


def _cell(cell: Any) -> Any:
    """A cell as JSON can hold it; Arrow gives ClickHouse's text as bytes."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return cell if cell is None or isinstance(cell, bool | int | float | str | list | dict) else str(cell)
