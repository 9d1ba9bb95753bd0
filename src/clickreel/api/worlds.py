"""Worlds and their events as Arrow tables."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.simulate import files, scenarios
from clickreel.simulate.films_csv import read_csv
from clickreel.simulate.world import World

# Events of one step: bounds the memory of a table that is cut off by its count.
_STEP_EVENTS = 200_000


def make_world(**settings: Any) -> World:
    """A simulated world.

    The same settings give the same events, here, in ``clickreel simulate`` and in ``clickreel produce``.

    Args:
        **settings: Fields of :class:`clickreel.WorldSettings` (``seed``, ``rate``, ``users``, ``scenario``, ``flaws``, ...); ``films`` is
            how many to invent, or the path of a CSV. What is not given comes from the environment, the project file and the defaults.

    Raises:
        UsageError: The settings are impossible, or the films cannot be read.
    """
    films = settings.pop("films", None)
    if films is not None:
        is_count = isinstance(films, int) or str(films).isdigit()
        settings["films" if is_count else "films_csv"] = int(films) if is_count else str(films)
    found = scenarios.load(settings)
    return World(found, read_csv(Path(found.films_csv)) if found.films_csv else None)


def simulate_events(
    world: World | None = None,
    *,
    start: str | int = "1d",
    until: str | int | None = None,
    count: int | None = None,
    **settings: Any,
) -> pa.Table:
    """The good events of a stretch of a world, in the order of their delivery, with their flaws.

    Args:
        world: The world; by default one of the given settings.
        start: Where the stretch begins: milliseconds since the Unix epoch, or a text as ``--from`` takes it (``"14d"``, ``"2026-01-31"``).
        until: Where it ends, likewise; None for now, or for no end with a count.
        count: At most so many events.
        **settings: See :func:`make_world`.

    Returns:
        A table with the contract's fields; ``event_ts`` is a timestamp of milliseconds in UTC without a zone. ``.to_pandas()`` gives a
        pandas frame, ``polars.from_arrow(table)`` a Polars one.

    Raises:
        UsageError: The settings or the times are impossible.
    """
    now_ms = round(time.time() * 1000)
    world = make_world(**settings) if world is None else world
    start_ms = _instant_ms(start, now_ms, "start")
    end_ms = _instant_ms(until, now_ms, "until") if until is not None else None if count is not None else now_ms
    if end_ms is not None and end_ms <= start_ms:
        raise UsageError("until is not after start", hint="write times as 14d, 2026-01-31 or milliseconds since 1970")
    parts: list[pa.Table] = []
    rows, at_ms = 0, start_ms
    cursor = world.cursor(start_ms)
    step_ms = max(1_000, round(_STEP_EVENTS * 1_000 / world.expected_rate))
    while (end_ms is None or at_ms < end_ms) and (count is None or rows < count):
        at_ms = at_ms + step_ms if end_ms is None else min(end_ms, at_ms + step_ms)
        part = files.table(cursor.advance(at_ms)).data
        parts.append(part if count is None else part.slice(0, count - rows))
        rows += parts[-1].num_rows
    return pa.concat_tables(parts) if parts else files.SCHEMA.empty_table()


def _instant_ms(given: str | int, now_ms: int, what: str) -> int:
    return given if isinstance(given, int) else timespec.instant_ms(given, now_ms, what)
