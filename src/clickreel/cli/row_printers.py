"""How rows of SQL are printed: lines of a table, a live table, CSV, JSON."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from clickreel.cli.output import json_line, print_out
from clickreel.flink.changelog import ChangelogView
from clickreel.flink.workspace import Row
from clickreel.foreign_text import printable
from clickreel.quantities import quantity

# Rows that are looked at before the widths of columns are chosen; a query that gives fewer is not waited for.
_LOOK = 20
_WIDEST = 60
_LIVE_ROWS_MAX = 200


class RowPrinter(Protocol):
    """Takes the rows of one result, in the order in which they come."""

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """Take the columns' names, and which of them hold numbers."""

    def rows(self, rows: Sequence[Row]) -> None:
        """Take rows; an empty batch says that time has passed."""

    def end(self) -> None:
        """The result has ended."""


class JsonRows:
    """One object a line; ``op`` names the change where rows change.

    Args:
        changes: Whether to print what each row does (``+I``, ``-U``, ``+U``, ``-D``).
    """

    def __init__(self, *, changes: bool = False) -> None:
        self._changes = changes
        self._columns: Sequence[str] = ()

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """See :class:`RowPrinter`."""
        del numbers
        self._columns = columns

    def rows(self, rows: Sequence[Row]) -> None:
        """See :class:`RowPrinter`."""
        if not rows:
            return
        first = {"op": ""} if self._changes else {}
        out = []
        for kind, cells in rows:
            if self._changes:
                first["op"] = kind
            out.append(json_line({**first, **dict(zip(self._columns, cells, strict=True))}))
        sys.stdout.write("".join(out))
        sys.stdout.flush()

    def end(self) -> None:
        """See :class:`RowPrinter`."""


class CsvRows:
    """A header, then a line a row; NULL is empty.

    Args:
        changes: Whether the first column is what each row does.
    """

    def __init__(self, *, changes: bool = False) -> None:
        self._changes = changes
        self._out = csv.writer(sys.stdout, lineterminator="\n")
        self._terminal = sys.stdout.isatty()

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """See :class:`RowPrinter`."""
        del numbers
        self._out.writerow(["op", *columns] if self._changes else columns)

    def rows(self, rows: Sequence[Row]) -> None:
        """See :class:`RowPrinter`."""
        for kind, cells in rows:
            written = [_text(cell, "") for cell in cells]
            if self._terminal:
                written = [printable(cell, lines=True) for cell in written]
            self._out.writerow([kind, *written] if self._changes else written)
        if rows:
            sys.stdout.flush()

    def end(self) -> None:
        """See :class:`RowPrinter`."""


class TextTable:
    """A table line by line: widths are chosen by the first rows and kept, so that rows can be printed as they come.

    Args:
        changes: Whether the first column is what each row does.
    """

    def __init__(self, *, changes: bool = False) -> None:
        self._changes = changes
        self._columns: list[str] = []
        self._numbers: list[bool] = []
        self._widths: list[int] = []
        self._held: list[list[str]] = []

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """See :class:`RowPrinter`."""
        self._columns = [*(["op"] if self._changes else ()), *map(printable, columns)]
        self._numbers = [False, *numbers] if self._changes else list(numbers)

    def rows(self, rows: Sequence[Row]) -> None:
        """See :class:`RowPrinter`."""
        for kind, cells in rows:
            texts = [printable(_text(cell)) for cell in cells]
            self._held.append([kind, *texts] if self._changes else texts)
        if self._held and (self._widths or len(self._held) >= _LOOK or not rows):
            self._print()

    def end(self) -> None:
        """See :class:`RowPrinter`."""
        self._print()

    def _print(self) -> None:
        if not self._widths and self._columns:
            wanted = [max(map(len, cells)) for cells in zip(self._columns, *self._held, strict=True)]
            self._widths = [min(width, _WIDEST) for width in wanted]
            self._line(self._columns)
            self._line(["-" * width for width in self._widths])
        for cells in self._held:
            self._line(cells)
        self._held.clear()
        sys.stdout.flush()

    def _line(self, cells: Sequence[str]) -> None:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, self._widths, self._numbers, strict=True)
        )
        print_out("  ".join(padded).rstrip())


def printer_for(form: str, *, changes: bool = False) -> RowPrinter:
    """The printer of a form (``json``, ``csv``, anything else is a table) for rows that are final.

    Args:
        form: The form.
        changes: Whether to print what each row does.
    """
    if form == "json":
        return JsonRows(changes=changes)
    return CsvRows(changes=changes) if form == "csv" else TextTable(changes=changes)


class FinalRows:
    """The rows that hold, printed by another printer once the result has ended.

    Args:
        inner: Who prints them.
        limit: Largest number to show.
    """

    def __init__(self, inner: RowPrinter, limit: int | None = None) -> None:
        self._inner, self._limit = inner, limit
        self.fold = ChangelogView()

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """See :class:`RowPrinter`."""
        self._inner.begin(columns, numbers)

    def rows(self, rows: Sequence[Row]) -> None:
        """See :class:`RowPrinter`."""
        self.fold.add(rows)

    def end(self) -> None:
        """See :class:`RowPrinter`."""
        self._inner.rows([("+I", cells) for cells in self.fold.rows()[: self._limit]])
        self._inner.end()


class LiveTable:
    """A table on the terminal that changes as its rows change; four frames a second, the newest rows that fit.

    Args:
        limit: At most so many rows.
    """

    def __init__(self, limit: int | None = None) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        self._console = Console(highlight=False)
        self._screen = Screen(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._limit = limit
        self._fold = ChangelogView()
        self._columns: Sequence[str] = ()
        self._numbers: Sequence[bool] = ()
        self._drawn_at = 0.0

    def begin(self, columns: Sequence[str], numbers: Sequence[bool]) -> None:
        """See :class:`RowPrinter`."""
        self._columns, self._numbers = columns, numbers
        self._screen.start()

    def rows(self, rows: Sequence[Row]) -> None:
        """See :class:`RowPrinter`."""
        self._fold.add(rows)
        if time.monotonic() - self._drawn_at > 0.25:
            self._draw(max(3, self._console.height - 4))

    def end(self) -> None:
        """See :class:`RowPrinter`."""
        self._draw(_LIVE_ROWS_MAX)
        self._screen.stop()

    def _draw(self, height: int) -> None:
        from rich.table import Table
        from rich.text import Text

        self._drawn_at = time.monotonic()
        every = self._fold.rows()[: self._limit]
        shown = every[-height:]
        caption = f"{quantity(len(every), 'row')}" + (
            f", the last {len(shown):,} shown" if len(shown) < len(every) else ""
        )
        drawn = Table(box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
        for name, number in zip(self._columns, self._numbers, strict=True):
            drawn.add_column(Text(printable(name)), justify="right" if number else "left", overflow="fold")
        for cells in shown:
            drawn.add_row(*(Text(printable(_text(cell))) for cell in cells))
        self._screen.update(drawn, refresh=True)


def _text(cell: Any, null: str = "NULL") -> str:
    if cell is None:
        return null
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    return orjson.dumps(cell, default=str).decode() if isinstance(cell, dict | list) else str(cell)
