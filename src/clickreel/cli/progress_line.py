"""One line on stderr for what takes longer than two seconds: rewritten on a terminal, repeated every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

_SILENT_S = 2.0
_TERMINAL_S = 0.2
_ELSEWHERE_S = 10.0


class ProgressLine:
    """Says how far a command is; a context manager that removes its line at the end.

    Args:
        text: What to say, asked each time it is said.
        terminal_only: Say nothing elsewhere: somebody else reads stderr there.
    """

    def __init__(self, text: Callable[[], str], *, terminal_only: bool = False) -> None:
        self._text = text
        self._terminal = sys.stderr.isatty()
        self._silent = terminal_only and not self._terminal
        self._next_s = time.monotonic() + (_SILENT_S if self._terminal else _ELSEWHERE_S)
        self._shown = False

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        self.clear()

    def update(self) -> None:
        """Say it when it is time."""
        now = time.monotonic()
        if self._silent or now < self._next_s:
            return
        self._next_s = now + (_TERMINAL_S if self._terminal else _ELSEWHERE_S)
        self._shown = True
        sys.stderr.write(f"\r\x1b[K{self._text()}" if self._terminal else f"{self._text()}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        if self._shown and self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._shown = False
