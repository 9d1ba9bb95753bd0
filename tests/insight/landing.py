"""Events straight into the landing table: what ingest would have landed, without Kafka."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.events import Events
from clickreel.warehouse.client import Client

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def land(client: Client, events: Events, *, first_offset: int = 0) -> None:
    """Insert events as good rows of one partition."""
    count = len(events)
    client.connection.insert_arrow(
        "dvd_clicks_landing",
        pa.table(
            {
                "_topic": pa.array(["t"] * count),
                "_topic_id": pa.array(["id"] * count),
                "_partition": pa.array(np.zeros(count, np.int32)),
                "_offset": pa.array(np.arange(first_offset, first_offset + count)),
                "_timestamp": pa.array(events.ts_ms, pa.timestamp("ms")),
                "event_ts": pa.array(events.ts_ms, pa.timestamp("ms")),
                "user": pa.array(events.user.astype(np.uint64)),
                "session": pa.array(events.session),
                "film_id": pa.array(events.film),
                "event_type": _words(events.event_type, vocabulary.EVENT_TYPES),
                "page": _words(events.page, vocabulary.PAGES),
                "position": pa.array(events.position),
                "device": _words(events.device, vocabulary.DEVICES),
                "referrer": _words(events.referrer, vocabulary.REFERRERS),
            }
        ),
    )


def _words(codes: NDArray[np.uint8], words: tuple[str, ...]) -> pa.Array:
    return pa.array([words[code] for code in codes])


def told(*rows: tuple[int, int, int, int, str]) -> Events:
    """Events written down as (time ms, user, session, film, event type); the rest is alike for all."""
    rows = tuple(sorted(rows))
    count = len(rows)
    kinds = [vocabulary.EVENT_TYPES.index(row[4]) for row in rows]
    zeros = np.zeros(count, np.uint8)
    return Events(
        ts_ms=np.array([row[0] for row in rows], np.int64),
        user=np.array([row[1] for row in rows], np.uint32),
        ordinal=np.arange(count, dtype=np.uint16),
        session=np.array([row[2] for row in rows], np.uint32),
        film=np.array([row[3] for row in rows], np.int32),
        event_type=np.array(kinds, np.uint8),
        page=zeros,
        position=np.ones(count, np.int16),
        device=zeros,
        referrer=zeros,
    )
