"""What the parts wrote: the last lines, and what comes after them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickreel.errors import UsageError
from clickreel.local import child
from clickreel.local.home import Home
from clickreel.local.services import NAMES


@dataclass(frozen=True)
class LogLine:
    """One line of a log.

    Args:
        part: Who wrote it.
        text: What it says, without its end of line.
    """

    part: str
    text: str


def names(home: Home, part: str | None = None) -> list[str]:
    """The parts that have a log, or the one that was asked for.

    Raises:
        UsageError: There is no such part, or it wrote nothing yet.
    """
    known = [*NAMES, "supervisor"]
    if part is not None and part not in known:
        raise UsageError(f"there is no part {part!r}", hint=f"one of: {', '.join(known)}")
    found = [name for name in known if home.log(name).exists()]
    if part is None:
        return found
    if part not in found:
        raise UsageError(f"{part} has written no log in {home.path}", hint="clickreel up --detach")
    return [part]


def read(
    home: Home, parts: Sequence[str], lines: int, *, go_on: bool = False, every_s: float = 0.2
) -> Iterator[LogLine]:
    """The last lines of each log.

    Args:
        home: Whose logs.
        parts: The parts.
        lines: How many lines of each.
        go_on: Then what is written from there on, for ever, without a gap; a log that is begun anew is read from its start.
        every_s: How often it is looked.
    """
    places = {part: _size(home.log(part)) for part in parts}
    for part in parts:
        for text in child.tail(home.log(part), lines, end=places[part]):
            yield LogLine(part, text)
    rest = dict.fromkeys(parts, b"")
    while go_on:
        for part in parts:
            size = _size(home.log(part))
            if size == places[part]:
                continue
            if size < places[part]:
                places[part], rest[part] = 0, b""
            with home.log(part).open("rb") as file:
                file.seek(places[part])
                data = rest[part] + file.read(size - places[part])
            places[part] = size
            *whole, rest[part] = data.split(b"\n")
            for line in whole:
                yield LogLine(part, line.decode("utf-8", "replace"))
        time.sleep(every_s)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
