"""What the command line prints, and where: answers on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout (one object; NDJSON for streams).")]


def emit(answer: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    import orjson

    line = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.write(line.decode())
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Print a line for a person on stderr."""
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str | None = None) -> None:
    """Print a table on stdout; a column whose name ends in ``>`` is aligned right (numbers)."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        drawn.add_column(name.removesuffix(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell if isinstance(cell, str) else str(cell)) for cell in row))
    Console(highlight=False, width=_width()).print(drawn)


def _width() -> int | None:
    """The terminal's width; in a file or a pipe wide enough that an address is not broken into two lines."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200


def fail(message: str, hint: str) -> None:
    """Print an error in two lines on stderr: what, and the hint that mends it."""
    sys.stderr.write(f"error: {message}\n" + (f"hint: {hint}\n" if hint else ""))
