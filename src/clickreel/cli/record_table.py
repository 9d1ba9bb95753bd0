"""Records as a person likes to look at them: a line each, in columns that do not move, wrong ones with every reason."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.foreign_text import printable
from clickreel.stream.record_view import RecordView

_GREEN, _RED, _DIM, _BOLD, _END = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_GAP = "  "
_UNLIMITED = 10_000


@dataclass(frozen=True)
class _TableColumn:
    """A column: its heading, its width, and how much it is missed where the terminal is narrow (0 least)."""

    name: str
    heading: str
    width: int
    rank: int
    right: bool = False


def _longest(words: tuple[str, ...]) -> int:
    return max(map(len, words))


# A view of a catalogue of a million films by a hundred million users still fits.
_COLUMNS = (
    _TableColumn("user_id", "user", 9, 8),
    _TableColumn("event_type", "event", _longest(EVENT_TYPES), 9),
    _TableColumn("film_id", "film", 6, 7, right=True),
    _TableColumn("page", "page", _longest(PAGES), 6),
    _TableColumn("position", "pos", 4, 4, right=True),
    _TableColumn("device", "device", _longest(DEVICES), 3),
    _TableColumn("referrer", "referrer", _longest(REFERRERS), 2),
    _TableColumn("session_id", "session", 10, 1),
)


class RecordTable:
    """Formats records for stdout.

    Args:
        raw: The record's own bytes instead of columns.
        colour: Whether to use colour; by default on a terminal.
        width: Characters in a line; by default the terminal's, elsewhere no limit.
    """

    def __init__(self, *, raw: bool = False, colour: bool | None = None, width: int | None = None) -> None:
        terminal = sys.stdout.isatty()
        self._raw = raw
        self._colour = terminal if colour is None else colour
        self._width = width or (shutil.get_terminal_size().columns if terminal else _UNLIMITED)
        self._good, self._bad = _ticks(sys.stdout.encoding)
        self._columns = self._fitting()
        self._today = f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m-%d}"

    @property
    def heading(self) -> str:
        """The line above the columns; empty with raw records."""
        if self._raw:
            return ""
        cells = [" " * len(self._good), "time".ljust(14), "place".ljust(10)]
        cells += [_aligned(column.heading, column) for column in self._columns]
        return self._styled(_GAP.join(cells).rstrip(), _BOLD)

    def line(self, view: RecordView) -> str:
        """A record, and a line for each reason why it breaks the contract."""
        text = self._raw_line(view) if self._raw else self._columns_of(view)
        indent = " " * (len(self._good) + len(_GAP))
        for error in view.verdict.errors:
            text += "\n" + self._styled(f"{indent}breaks the contract: {printable(error['text'])}", _RED)
        return text

    def _raw_line(self, view: RecordView) -> str:
        one = view.record
        parts = [f"{one.partition}:{one.offset}", view.timestamp or "-", _shown(one.key), _shown(one.value)]
        parts += [f"{printable(name)}={_shown(data)}" for name, data in one.headers]
        return _GAP.join(parts)

    def _columns_of(self, view: RecordView) -> str:
        one = view.record
        good = view.verdict.is_valid
        tick = self._styled(self._good, _GREEN) if good else self._styled(self._bad, _RED)
        head = [self._short_time(view).ljust(14), f"{one.partition}:{one.offset}".ljust(10)]
        if view.fields:
            cells = [
                _aligned(_cell(view.fields.get(column.name), column.width, cut=self._width < _UNLIMITED), column)
                for column in self._columns
            ]
        else:
            room = max(20, self._width - len(self._good) - 30)
            cells = [_shown(one.value, room)]
        headers = " ".join(f"{printable(name)}={_shown(data, 40)}" for name, data in one.headers)
        cells += [self._styled(headers, _DIM)] if headers else []
        return _GAP.join([tick, self._styled(head[0], _DIM), self._styled(head[1], _DIM), *cells]).rstrip()

    def _short_time(self, view: RecordView) -> str:
        """The event's own time, else the record's: the time of day today, day and time otherwise."""
        text = view.fields.get("event_ts") if view.verdict.is_valid else view.timestamp
        text = text if isinstance(text, str) else view.timestamp or "-"
        if text.startswith(self._today):
            return text[11:23]
        return text[5:19] if text[4:5] == "-" and text[:4] == self._today[:4] else text[2:16]

    def _fitting(self) -> tuple[_TableColumn, ...]:
        """The columns that fit; the least missed ones are left out first."""
        columns = list(_COLUMNS)
        fixed = len(self._good) + 14 + 10 + 2 * len(_GAP)
        while len(columns) > 2 and fixed + sum(len(_GAP) + column.width for column in columns) > self._width:
            columns.remove(min(columns, key=lambda column: column.rank))
        return tuple(columns)

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_END}" if self._colour and text.strip() else text


def _ticks(encoding: str | None) -> tuple[str, str]:
    """Tick and cross, as far as the output has them."""
    try:
        "✓✗".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "ok", "!!"
    return "✓", "✗"


def _aligned(text: str, column: _TableColumn) -> str:
    return text.rjust(column.width) if column.right else text.ljust(column.width)


def _cell(value: object, width: int, *, cut: bool) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else repr(value) if not isinstance(value, bool) else str(value).lower()
    text = printable(text, 200)
    return f"{text[: width - 1]}+" if cut and len(text) > width else text


def _shown(data: bytes | None, limit: int | None = None) -> str:
    return "null" if data is None else printable(data, limit)
