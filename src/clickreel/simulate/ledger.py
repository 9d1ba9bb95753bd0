"""The ledger: what is true about a stretch of a world and cannot be read off its events. Derived whenever it is asked for, stored nowhere.

One row an entry, the same columns for every kind, null where a kind has no use for one:

| kind | name | start_ms, end_ms | further |
|---|---|---|---|
| run | the run's name | the stretch | detail: settings, and configured flaw rates |
| burst | viral | begin, and when a twentieth of the peak is left | film_id, value: share of the lists at the peak, exponent |
| launch | launch | the same, of its burst | the same |
| removal | removal | first instant without the film, first one with it again | film_id |
| ranker | week of the model | the week | value: correlation with true taste |
| random_list | page | first and last event of the list | user_id, session_id |
| flaw | which | event time, delivery | event_id, user_id, session_id, film_id |
| bot, monster | the same | start of the session, its end at the latest | user_id, session_id |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.events import Deliveries, Events
from clickreel.simulate.list_visits import session_contexts
from clickreel.simulate.people import BOT_KINDS
from clickreel.simulate.rhythm import DAY_MS, HOUR_MS
from clickreel.simulate.traffic import session_numbers
from clickreel.simulate.trends import WEEK_MS, Burst
from clickreel.simulate.world import World

SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "name": pa.string(),
        "start_ms": pa.int64(),
        "end_ms": pa.int64(),
        "film_id": pa.int32(),
        "user_id": pa.string(),
        "session_id": pa.string(),
        "event_id": pa.string(),
        "value": pa.float64(),
        "exponent": pa.float64(),
        "detail": pa.string(),
    }
)

_STRETCH_MS = 6 * HOUR_MS
_LEFT_OF_BURST = 0.05


def derive_ledger(world: World, start_ms: int, end_ms: int) -> Iterator[pa.RecordBatch]:
    """The entries that touch [start_ms, end_ms): the run first, then what happens to films, then bots, flaws and lists in order of time.

    Within a stretch the lists are the last batch: they take longest.
    """
    yield _batch([_run(world, start_ms, end_ms), *_films(world, start_ms, end_ms), *_rankers(world, start_ms, end_ms)])
    cursor = world.cursor(start_ms) if world.delivery.rates.any() else None
    for first in range(start_ms, end_ms, _STRETCH_MS):
        end = min(first + _STRETCH_MS, end_ms)
        if world.settings.bots or world.settings.monsters:
            yield _anomalies(world, first, end)
        if cursor is not None:
            yield _flaws(cursor.advance(end))
        yield _random_lists(world, first, end)


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def _columns(count: int, **columns: Any) -> pa.RecordBatch:
    """A batch of the given columns; the others are null."""
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _run(world: World, start_ms: int, end_ms: int) -> dict[str, Any]:
    detail = {
        "run_tag": world.run_tag,
        "users": world.users,
        "events_per_s": world.expected_rate,
        "flaws": dataclasses.asdict(world.delivery.rates),
        "settings": dataclasses.asdict(world.settings),
    }
    return {
        "kind": "run",
        "name": world.run,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "detail": orjson.dumps(detail).decode(),
    }


def burst_end_ms(burst: Burst) -> int:
    """When a twentieth of a burst's peak is left, or its cut-off."""
    decayed = burst.start_ms + 2 * burst.ramp_ms + int(burst.scale_ms * (_LEFT_OF_BURST ** (-1 / burst.exponent) - 1))
    return min(decayed, burst.start_ms + 14 * DAY_MS)


def _films(world: World, start_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
    film_id = world.catalogue.film_id
    for burst in world.model.trends.bursts(start_ms, end_ms):
        yield {
            "kind": "launch" if burst.cause == "launch" else "burst",
            "name": burst.cause,
            "start_ms": burst.start_ms,
            "end_ms": burst_end_ms(burst),
            "film_id": int(film_id[burst.film]),
            "value": burst.peak,
            "exponent": burst.exponent,
        }
    for absence in world.model.trends.absences(start_ms, end_ms):
        if absence.cause == "removal":
            if start_ms <= absence.end_ms < end_ms:
                # To whoever counts clicks, a film that comes back is a new one.
                yield {
                    "kind": "launch",
                    "name": "return",
                    "start_ms": absence.end_ms,
                    "end_ms": absence.end_ms + 7 * DAY_MS,
                    "film_id": int(film_id[absence.film]),
                }
            yield {
                "kind": "removal",
                "name": "removal",
                "start_ms": absence.start_ms,
                "end_ms": absence.end_ms,
                "film_id": int(film_id[absence.film]),
            }


def _rankers(world: World, start_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
    live_ms = world.model.trends.model_live_ms
    for week in range(start_ms // WEEK_MS - 1, -(-end_ms // WEEK_MS)):
        if live_ms(week) >= end_ms or live_ms(week + 1) <= start_ms:
            continue
        yield {
            "kind": "ranker",
            "name": f"week {week}",
            "start_ms": live_ms(week),
            "end_ms": live_ms(week + 1),
            "value": world.settings.ranker,
        }


def _random_lists(world: World, start_ms: int, end_ms: int) -> pa.RecordBatch:
    """The lists in random order that begin in [start_ms, end_ms)."""
    episodes = world.timeline.under_way(start_ms - world.shift_ms, end_ms + world.shift_ms)
    parts = []
    for made in world.model.expand(episodes):
        rows = np.flatnonzero(made.visits.random[made.visit])
        if len(rows) == 0:
            continue
        begins = np.ones(len(rows), bool)
        begins[1:] = made.visit[rows[1:]] != made.visit[rows[:-1]]
        first = rows[begins]
        last = rows[np.append(np.flatnonzero(begins)[1:], len(rows)) - 1]
        parts.append((made.events.take(first), made.events.take(last)))
    first_events, last_events = (Events.concat([part[i] for part in parts]) for i in (0, 1))
    # The episodes under way reach back for half a day; to place all their lists would be to make all events of it again.
    near = (first_events.ts_ms >= start_ms - world.shift_ms) & (first_events.ts_ms < end_ms + world.shift_ms)
    first_events, last_events = first_events.take(near), last_events.take(near)
    begin, end = np.split(world.moments(Events.concat([first_events, last_events])), 2)
    inside = (begin >= start_ms) & (begin < end_ms)
    chosen = first_events.take(inside)
    return _columns(
        len(chosen),
        kind=["random_list"] * len(chosen),
        name=[vocabulary.PAGES[page] for page in chosen.page.tolist()],
        start_ms=begin[inside],
        end_ms=end[inside],
        user_id=user_ids(chosen.user),
        session_id=session_ids(chosen.session),
    )


def _anomalies(world: World, start_ms: int, end_ms: int) -> pa.RecordBatch:
    """The sessions of bots, and those that go on and on, whose episodes start in [start_ms, end_ms)."""
    episodes = world.timeline.episodes(start_ms, end_ms)
    chosen = episodes.take((episodes.bot > 0) | episodes.monster)
    context = session_contexts(chosen)
    bot = chosen.bot[context.episode]
    return _columns(
        len(bot),
        kind=np.where(bot > 0, "bot", "monster").tolist(),
        name=[BOT_KINDS[kind] or "monster" for kind in bot.tolist()],
        start_ms=chosen.start_ms[context.episode],
        end_ms=(chosen.start_ms + chosen.bound_ms)[context.episode],
        user_id=user_ids(chosen.user[context.episode]),
        session_id=session_ids(session_numbers(world.settings.seed, chosen.number[context.episode], context.second)),
    )


def _flaws(deliveries: Deliveries) -> pa.RecordBatch:
    flawed = deliveries.take(deliveries.flaw > 0)
    events = flawed.events
    return _columns(
        len(flawed),
        kind=["flaw"] * len(flawed),
        name=[vocabulary.FLAWS[flaw] for flaw in flawed.flaw.tolist()],
        start_ms=events.ts_ms,
        end_ms=flawed.deliver_ms,
        film_id=events.film,
        user_id=user_ids(events.user),
        session_id=session_ids(events.session),
        event_id=event_ids(flawed.id_hi, flawed.id_lo),
    )


def user_ids(user: NDArray[np.uint32]) -> list[str]:
    """User numbers as they stand in an event."""
    return [f"u_{number}" for number in user.tolist()]


def session_ids(session: NDArray[np.uint32]) -> list[str]:
    """Session numbers as they stand in an event."""
    return [f"s_{number:08x}" for number in session.tolist()]


def event_ids(hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> list[str]:
    """Ids as they stand in an event."""
    digits = [f"{a:016x}{b:016x}" for a, b in zip(hi.tolist(), lo.tolist(), strict=True)]
    return [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits]
