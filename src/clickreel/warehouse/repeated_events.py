"""Repeated deliveries in the landing table: which rows are of an event that another row holds already, and marking them.

An event is known by its id and its time. Of all rows of an event one is good (``error = ''``) and the others say ``error = 'repeated'``.
Ingest writes them so from the beginning (:mod:`clickreel.ingest.landed_events`); here is what marks those that came in another way: two
writers that landed one event at the same time, a dead letter that was replayed, and rows of before the mark existed.

Marking is safe at any time and by several at once. The rows of an event have an order (when they were inserted, topic, partition, offset).
A row is marked only when the event has a smaller good row, and the smallest is never marked by anybody, so one good row remains whatever
crashes in between, and to mark again changes nothing.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clickreel.warehouse.client import Client

REPEATED = "repeated"
Identity = tuple[int, int]
"""An event: the 128 bits of its id, and its time in milliseconds since 1970."""
TABLE = "dvd_clicks_landing"
_MS = "toUnixTimestamp64Milli(event_ts)"
# Ids of one statement: 200 kB, which every server takes.
_IDS = 5_000
# Offsets of one mutation.
_OFFSETS = 10_000
_HOUR_MS = 3_600_000
_READ: dict[str, Any] = {"select_sequential_consistency": 1}


def landed(client: Client, events: Iterable[Identity]) -> set[Identity]:
    """Which of some events have a good row."""
    found: set[Identity] = set()
    for chunk in _chunks(events):
        rows = client.rows(f"SELECT DISTINCT event_id, {_MS} {_of(chunk)}", **_READ)
        found.update((event_id.int, int(ts_ms)) for event_id, ts_ms in rows)
    return found & set(events)


def mark(client: Client, instants_ms: Iterable[int]) -> int:
    """Mark all good rows but the first of each event that happened at one of some instants; how many there were."""
    marked, instants = 0, sorted(set(instants_ms))
    for at in range(0, len(instants), _IDS):
        chunk = instants[at : at + _IDS]
        marked += _mark_where(client, f"{_between(chunk[0], chunk[-1])} AND {_MS} IN ({', '.join(map(str, chunk))})")
    return marked


def mark_all(client: Client) -> int:
    """Mark all repeated rows of the table, an hour of event time after the other; how many there were."""
    hours = client.rows(
        f"SELECT intDiv({_MS}, {_HOUR_MS}) AS hour FROM {TABLE} WHERE error = '' GROUP BY hour ORDER BY hour", **_READ
    )
    return sum(_mark_where(client, _between(hour * _HOUR_MS, (hour + 1) * _HOUR_MS - 1)) for (hour,) in hours)


def _mark_where(client: Client, condition: str) -> int:
    rows = client.rows(
        "SELECT arrayPopFront(arraySort(groupArray((_inserted_at, _topic_id::String, _partition, _offset)))) "
        f"FROM {TABLE} WHERE error = '' AND {condition} GROUP BY event_id, event_ts HAVING count() > 1",
        **_READ,
    )
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (later,) in rows:
        for _, topic_id, partition, offset in later:
            places[topic_id, int(partition)].append(int(offset))
    for (topic_id, partition), offsets in places.items():
        for at in range(0, len(offsets), _OFFSETS):
            client.command(
                f"ALTER TABLE {TABLE} UPDATE error = '{REPEATED}' WHERE _topic_id = {{id:String}} "
                f"AND _partition = {{partition:Int32}} AND _offset IN ({', '.join(map(str, offsets[at : at + _OFFSETS]))}) AND error = ''",
                {"id": topic_id, "partition": partition},
                mutations_sync=2,
            )
    return sum(map(len, places.values()))


def _chunks(events: Iterable[Identity]) -> Iterator[Sequence[Identity]]:
    """In order of time: the rows of a chunk lie near one another."""
    ordered = sorted(set(events), key=lambda one: one[1])
    for at in range(0, len(ordered), _IDS):
        yield ordered[at : at + _IDS]


def _of(chunk: Sequence[Identity]) -> str:
    ids = ", ".join(f"'{uuid.UUID(int=event_id)}'" for event_id, _ in chunk)
    return f"FROM {TABLE} WHERE error = '' AND {_between(chunk[0][1], chunk[-1][1])} AND event_id IN ({ids})"


def _between(first_ms: int, last_ms: int) -> str:
    first, last = (f"fromUnixTimestamp64Milli({ms}, 'UTC')" for ms in (first_ms, last_ms))
    return f"event_ts BETWEEN {first} AND {last}"
