"""Topics in memory with messages in them, and short runs of ingest."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import orjson

from clickreel.ingest.loop import IngestLoop, IngestReport
from clickreel.ingest.settings import IngestSettings
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.single_consumer import SingleConsumerSource
from clickreel.warehouse.client import Client

PARTITIONS = 3
NAME = "dvd_clicks"
NOW_MS = 1_766_837_931_766


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A good event; its number is in its id, time and user."""
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012x}",
        "event_ts": f"2025-12-27 12:{number // 60_000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}",
        "user_id": f"u_{number + 1}",
        "session_id": f"s_{number:08x}",
        "film_id": number % 1000 + 1,
        "event_type": "view",
        "page": "browse",
        "position": number % 30 + 1,
        "device": "tablet",
        "referrer": "recommendation",
        **changes,
    }


def message(number: int, **changes: Any) -> tuple[bytes, bytes]:
    """Key and value of :func:`event`."""
    made = event(number, **changes)
    return orjson.dumps(made["user_id"]), orjson.dumps(made)


@dataclass
class Topic:
    """A topic in memory of a broker of its own."""

    broker: MemoryBroker
    name: str = NAME
    sent: int = 0
    partitions: int = field(default=PARTITIONS)

    def __post_init__(self) -> None:
        """Make it."""
        self.broker.create(self.name, self.partitions, 1, {})

    def send(self, count: int) -> None:
        """Send good messages, one after the other to the partitions."""
        for _ in range(count):
            self.put(self.sent % self.partitions, *message(self.sent))
            self.sent += 1

    def put(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Send one message."""
        writer = self.broker.writer(self.name, lambda *_: None)
        assert writer.send(partition, [key], [value], [NOW_MS]) == 1  # type: ignore[list-item]
        writer.flush(1)

    def source(self, **options: Any) -> SingleConsumerSource:
        """A source of it."""
        return SingleConsumerSource(self.broker, self.name, **options)


def nobody(_: int | str) -> None:
    """A registry that knows no schema."""


def settings(**changes: Any) -> IngestSettings:
    """Settings for tests: nothing waits."""
    return IngestSettings(
        **{"topic": NAME, "flush_ms": 1, "flush_ms_max": 1, "backoff_s_max": 0.05, "metrics_port": -1, **changes}
    )


def land(topic: Topic, client: Client, *, source: Any = None, **options: Any) -> IngestReport:
    """Land all that the topic holds."""
    flags = {name: options.pop(name) for name in list(options) if name in IngestSettings.__dataclass_fields__}
    ingest = IngestLoop(
        source or topic.source(), client, settings(**flags), lookup=options.pop("lookup", nobody), **options
    )
    return ingest.run(threading.Event(), until_caught_up=True)


def offsets(client: Client) -> dict[int, list[int]]:
    """The landed offsets of each partition, sorted."""
    return {
        partition: list(found)
        for partition, found in client.rows(
            "SELECT _partition, arraySort(groupArray(_offset)) FROM dvd_clicks_landing GROUP BY _partition ORDER BY _partition"
        )
    }
