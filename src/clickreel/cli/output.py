"""What the command line prints, and where: answers on stdout, everything else on stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
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
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = list(columns)
    texts = [[cell if isinstance(cell, str) else str(cell) for cell in row] for row in rows]
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    # A sentence is folded between its words; a number or an address broken in two can be neither read nor copied.
    needed = 0
    for name, *cells in zip(names, *texts, strict=True):
        heading = name.removesuffix(">")
        words = [cell.split() for cell in (heading, *cells)]
        longest = max((cell_len(word) for found in words for word in found), default=1)
        drawn.add_column(
            heading,
            justify="right" if name.endswith(">") else "left",
            overflow="fold",
            no_wrap=all(len(found) < 2 for found in words),
            min_width=longest,
        )
        needed += longest + 2
    for row in texts:
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False, width=_width())
    console.width = max(console.width, needed)
    console.print(drawn)


def _width() -> int | None:
    """The terminal's width; in a file or a pipe wide enough that an address is not broken into two lines."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200


def fail(message: str, hint: str) -> None:
    """Print an error in two lines on stderr: what, and the hint that mends it."""
    sys.stderr.write(f"error: {message}\n" + (f"hint: {typed(hint)}\n" if hint else ""))


def typed(line: str) -> str:
    """A command line as it can be typed here: ``make up`` leaves ``clickreel`` in ``.venv/bin``, which is not on the PATH."""
    begun_as = Path(sys.argv[0])
    if not line.startswith("clickreel ") or begun_as.name != "clickreel" or shutil.which("clickreel"):
        return line
    here = Path(os.path.relpath(begun_as.absolute()))
    return f"{here if '..' not in here.parts else begun_as.absolute()} {line.removeprefix('clickreel ')}"
