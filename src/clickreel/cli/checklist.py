"""The checklist of a start: one line a step with its seconds, a bar for each download; plain lines where nobody looks on."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clickreel.foreign_text import printable
from clickreel.local.task_graph import StepEvent

_MARKS = {"done": ("✓", "green"), "kept": ("✓", "dim"), "failed": ("✗", "red"), "begun": ("…", "yellow")}
_BAR_CELLS = 24


class Checklist:
    """A live view of the events of a start; call it with each event, from any thread."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[StepEvent, float]] = {}
        self._guard = threading.Lock()
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(
                get_renderable=self._draw, console=Console(stderr=True, highlight=False), refresh_per_second=8
            )

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: StepEvent) -> None:
        """Take an event."""
        with self._guard:
            self._events[event.step] = (event, time.monotonic())
        if self._live is None and event.state in ("done", "failed", "kept"):
            line = _line(event, event.seconds)
            sys.stderr.write(f"{line.plain.rstrip()}\n")
            sys.stderr.flush()

    def _draw(self) -> Table:
        table = Table.grid()
        now = time.monotonic()
        with self._guard:
            for event, seen in self._events.values():
                over = event.state in ("done", "kept", "failed")
                table.add_row(_line(event, event.seconds if over else event.seconds + now - seen))
        return table


def _line(event: StepEvent, seconds: float) -> Text:
    mark, colour = _MARKS.get(event.state, _MARKS["begun"])
    line = Text.assemble((f"{mark} ", colour), f"{event.step:<14}")
    if event.state == "kept":
        return line.append(f"  runs    {printable(event.detail)}", "dim")
    line.append(f"{seconds:5.1f} s  ")
    if event.state == "fetch":
        return line.append(_bar(event.done, event.total, seconds))
    # An error is printed once, in its own two lines, after the list.
    return line.append(
        "failed" if event.state == "failed" else printable(event.detail), "red" if event.state == "failed" else ""
    )


def _bar(done: int, total: int, seconds: float) -> str:
    share = done / total if total else 1.0
    full = int(share * _BAR_CELLS)
    rate = done / seconds if seconds > 0.5 else 0.0
    left = f", {(total - done) / rate:.0f} s left" if rate else ""
    return (
        f"{'━' * full}{'╌' * (_BAR_CELLS - full)} {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        f"{f', {rate / 1e6:,.1f} MB/s' if rate else ''}{left}"
    )
