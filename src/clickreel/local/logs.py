"""What the services wrote: the last lines, what comes after them, and which of them are wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.errors import UsageError
from clickreel.local import child
from clickreel.local.home import Home
from clickreel.local.log_lines import LEVELS, LogEntry, parse_line
from clickreel.local.service import NAMES
from clickreel.log_setup import utc

# With a filter this many lines are looked through, so that `--lines 20` gives twenty that pass.
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class LogLine:
    """One line of a log.

    Attributes:
        service: Who wrote it.
        entry: What it says.
    """

    service: str
    entry: LogEntry


@dataclass(frozen=True)
class LogFilter:
    """Which lines are wanted. A line without a level or time of its own (the rest of a traceback) goes with the line before it.

    Attributes:
        level: Least level, in any case; ``None`` for all.
        since: Oldest time, seconds since 1970; ``None`` for all.
    """

    level: str | None = None
    since: float | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown level."""
        if self.level is not None and self.level.upper() not in LEVELS:
            raise UsageError(
                f"--level is {self.level!r}", hint=f"one of: {', '.join(level.lower() for level in LEVELS)}"
            )

    @property
    def keeps_all(self) -> bool:
        """Whether every line is wanted."""
        return self.level is None and self.since is None

    def passes(self, entry: LogEntry) -> bool:
        """Whether a line that has a level and a time is wanted."""
        if self.level is not None and LEVELS.index(entry.level) < LEVELS.index(self.level.upper()):
            return False
        return self.since is None or entry.time is None or entry.time >= self.since


def as_json(line: LogLine) -> dict[str, Any]:
    """A line as ``logs --json`` prints it."""
    entry = line.entry
    return {
        "part": line.service,
        "text": entry.text,
        "time": None if entry.time is None else utc(entry.time),
        "level": entry.level or None,
        "logger": entry.logger or None,
        "message": entry.message,
        "fields": dict(entry.fields),
    }


def names(home: Home, service: str | None = None) -> list[str]:
    """The services that have a log, or the one that was asked for.

    Raises:
        UsageError: There is no such service, or it wrote nothing yet.
    """
    known = [*NAMES, "supervisor"]
    if service is not None and service not in known:
        raise UsageError(f"there is no service {service!r}", hint=f"one of: {', '.join(known)}")
    found = [name for name in known if home.log(name).exists()]
    if service is None:
        return found
    if service not in found:
        raise UsageError(f"{service} has written no log in {home.path}", hint="clickreel up --detach")
    return [service]


def read(
    home: Home,
    services: Sequence[str],
    lines: int,
    keep: LogFilter | None = None,
    *,
    go_on: bool = False,
    every_s: float = 0.2,
) -> Iterator[LogLine]:
    """The last lines of each log.

    Args:
        home: Whose logs.
        services: The services.
        lines: How many lines of each.
        keep: Which lines are wanted; by default all.
        go_on: Then what is written from there on, for ever, without a gap; a log that is begun anew is read from its start.
        every_s: How often it is looked.
    """
    keep = keep or LogFilter()
    offsets = {service: _size(home.log(service)) for service in services}
    passing = {service: _Passing(keep) for service in services}
    for service in services:
        looked_at = lines if keep.keeps_all else _LOOKED_AT * bool(lines)
        entries = map(parse_line, child.tail(home.log(service), looked_at, end=offsets[service]))
        wanted = [entry for entry in entries if passing[service].passes(entry)]
        for entry in wanted[len(wanted) - min(lines, len(wanted)) :]:
            yield LogLine(service, entry)
    rest = dict.fromkeys(services, b"")
    while go_on:
        for service in services:
            size = _size(home.log(service))
            if size == offsets[service]:
                continue
            if size < offsets[service]:
                offsets[service], rest[service] = 0, b""
            with home.log(service).open("rb") as file:
                file.seek(offsets[service])
                data = rest[service] + file.read(size - offsets[service])
            offsets[service] = size
            *whole, rest[service] = data.split(b"\n")
            for text in whole:
                entry = parse_line(text.decode("utf-8", "replace"))
                if passing[service].passes(entry):
                    yield LogLine(service, entry)
        time.sleep(every_s)


class _Passing:
    """The filter over the lines of one log, in their order."""

    def __init__(self, keep: LogFilter) -> None:
        self._keep = keep
        self._last = keep.keeps_all

    def passes(self, entry: LogEntry) -> bool:
        if entry.level:
            self._last = self._keep.passes(entry)
        return self._last


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
