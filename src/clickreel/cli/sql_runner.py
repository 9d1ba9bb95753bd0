"""What ``clickreel sql`` shares over its engines: the options, the protocol of a runner, the text to run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clickreel.errors import UsageError
from clickreel.flink.statement_splitter import split_statements


@dataclass(frozen=True)
class SqlOptions:
    """How results are printed and when queries stop.

    Attributes:
        form: ``json``, ``csv``, ``table``, or empty: a table, live on a terminal.
        changelog: Whether every change is printed instead of the table that they make.
        limit: Rows after which a query stops.
        timeout_s: Seconds after which a query stops.
        name: Name of the statement in the list.
    """

    form: str = ""
    changelog: bool = False
    limit: int | None = None
    timeout_s: float | None = None
    name: str = ""


class SqlRunner(Protocol):
    """Runs source text on an engine and prints what it gives."""

    backslash: bool
    options: SqlOptions

    def run(self, source: str) -> int:
        """Run all statements; returns the exit code."""

    def words(self) -> list[str]:
        """Names that a completion can offer."""


def source(file: Path | None, execute: str | None, *, backslash: bool = False) -> str | None:
    """The text to run; None asks for the prompt.

    Args:
        file: A file, the name of an example, or ``-``.
        execute: The text itself.
        backslash: Whether a backslash escapes in strings (ClickHouse).

    Raises:
        UsageError: The file cannot be read, or holds no statement.
    """
    if execute is not None:
        text, where = execute, "-e"
    elif file is None and sys.stdin.isatty():
        return None
    elif file is None or str(file) == "-":
        text, where = sys.stdin.read(), "the input"
    else:
        text, where = _read(file), str(file)
    if not split_statements(text, backslash=backslash):
        raise UsageError(f"{where} holds no statement", hint="clickreel sql -e 'select * from dvd_clicks limit 20'")
    return text


def _read(file: Path) -> str:
    from clickreel.flink import examples

    if not file.exists() and str(file) in examples.list_examples():
        return examples.read_example(str(file))
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = ", ".join(examples.list_examples())
        raise UsageError(f"no file {file}", hint=f"a file, or one of the examples: {known}") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file} cannot be read: {exc}", hint="give a text file in UTF-8") from exc
