"""What the command line prints, and where: answers on stdout, everything else on stderr.

Nothing printed here is interpreted as markup, and control characters are escaped
(:func:`clickreel.foreign_text.printable`): text of messages, schemas, servers and users can be passed as it is.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clickreel.foreign_text import printable, printable_json
from clickreel.log_setup import is_service

_LOG = logging.getLogger("clickreel.cli")

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout (one object; NDJSON for streams).")]


def tolerate_encodings() -> None:
    """Let stdout and stderr escape what their encoding does not have (``PYTHONIOENCODING=ascii``), instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout."""
    sys.stdout.write(json_line(answer))
    sys.stdout.flush()


def json_line(answer: Mapping[str, Any]) -> str:
    """One JSON object and a line feed, for stdout: integers of any length, text of any kind."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    try:
        text = orjson.dumps(answer, default=str, option=options).decode()
    except TypeError:  # an integer of more than 64 bits, half of a surrogate pair
        import json

        text = json.dumps(answer, default=lambda value: json.loads(orjson.dumps(value, default=str, option=options)))
    return printable_json(text, ascii_only=not is_utf8(sys.stdout.encoding)) + "\n"


def is_utf8(encoding: str | None) -> bool:
    """Whether an output carries every character."""
    return codecs.lookup(encoding or "utf-8").name == "utf-8"


def print_out(text: str = "") -> None:
    """Print text on stdout, with its line feeds; every other control character is escaped."""
    sys.stdout.write(printable(text, lines=True) + "\n")


def print_err(*parts: str | tuple[str, str]) -> None:
    """Print a line for a person on stderr; in a service it becomes a record of its log.

    Args:
        parts: Texts, joined as they are; a pair is a text and its style (``("warning:", "yellow")``).
    """
    if is_service():
        _LOG.info("".join(part if isinstance(part, str) else part[0] for part in parts))
        return
    from rich.console import Console
    from rich.text import Text

    safe = [
        (printable(part, lines=True), "") if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts
    ]
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(*safe))


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str | None = None) -> None:
    """Print a table on stdout; a column whose name ends in ``>`` is aligned right (numbers)."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = [printable(name) for name in columns]
    texts = [[printable(cell if isinstance(cell, str) else str(cell), lines=True) for cell in row] for row in rows]
    drawn = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    # A sentence is folded between its words; a number or an address broken in two can be neither read nor copied.
    needed = 0
    for name, *cells in zip(names, *texts, strict=True):
        heading = name.removesuffix(">")
        words = [cell.split() for cell in (heading, *cells)]
        longest = max((cell_len(word) for found in words for word in found), default=1)
        drawn.add_column(
            Text(heading),
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


def print_error(message: str, hint: str) -> None:
    """Print an error in two lines on stderr: what, and the hint that fixes it; in a service it becomes a record of its log."""
    if is_service():
        _LOG.error(message, extra={"hint": hint})
        return
    lines = f"error: {printable(message)}\n" + (f"hint: {as_typed(printable(hint))}\n" if hint else "")
    sys.stderr.write(lines)


def as_typed(line: str) -> str:
    """A command line as it can be typed here: ``make up`` leaves ``clickreel`` in ``.venv/bin``, which is not on the PATH."""
    begun_as = Path(sys.argv[0])
    if not line.startswith("clickreel ") or begun_as.name != "clickreel" or shutil.which("clickreel"):
        return line
    here = Path(os.path.relpath(begun_as.absolute()))
    return f"{here if '..' not in here.parts else begun_as.absolute()} {line.removeprefix('clickreel ')}"
