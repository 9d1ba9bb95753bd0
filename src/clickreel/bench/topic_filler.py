"""A topic full of the events of a run, for the benchmarks that read one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickreel.profile import Profile

START_MS = 1_767_225_600_000
PARTITIONS = 6
# Made and sent at once.
_EVENTS_AT_ONCE = 60_000


def fill(
    profile: Profile,
    events: int,
    *,
    rate: float,
    dated: bool = False,
    taken: Callable[[list[bytes]], object] = lambda _: None,
) -> tuple[str, int]:
    """Make a topic and fill it.

    Args:
        profile: Where.
        events: How many events, at least.
        rate: Events a second of the run's own time.
        dated: Whether records are stamped with their time of delivery in the run, or with the present.
        taken: Told the values, a few at a time, in order.

    Returns:
        The topic's name and the number of its events.
    """
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.encoded_batch import encode_batch

    topic = f"bench_{uuid.uuid4().hex[:8]}"
    Cluster(profile).create(topic, PARTITIONS, 1, {"retention.ms": "-1"})
    producer = Cluster(profile).plain_producer(
        profile.producer_config() | {"linger.ms": 50, "queue.buffering.max.messages": 500_000}
    )
    cursor, at, sent = World(WorldSettings(rate=rate)).cursor(START_MS), START_MS, 0
    step_ms = int(_EVENTS_AT_ONCE / rate * 1000)
    while sent < events:
        made = encode_batch(cursor.advance(at + step_ms), at, at + step_ms, PARTITIONS)
        keys, values = made.encoded.keys.to_pylist(), made.encoded.values.to_pylist()
        stamps = made.deliver_ms.tolist() if dated else [0] * len(values)  # 0 is the present
        for value, key, partition, stamp in zip(values, keys, made.partition.tolist(), stamps, strict=True):
            while True:
                try:
                    producer.produce(topic, value, key, partition, timestamp=stamp)
                    break
                except BufferError:
                    producer.poll(0.1)
        taken(values)
        at += step_ms
        sent += len(values)
    assert producer.flush(60) == 0, "records were not stored within a minute"
    return topic, sent
