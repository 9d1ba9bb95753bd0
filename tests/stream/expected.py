"""What a topic must hold of a run: the oracle of the producer's tests, straight from the simulator."""

from __future__ import annotations

from clickreel.contract.encode import encode
from clickreel.simulate.world import World
from clickreel.stream.broker import Broker
from clickreel.stream.offset_ranges import Ranges, read_ranges
from clickreel.stream.partition import partitions
from clickreel.stream.record_batch import Record

Pairs = list[tuple[bytes | None, bytes | None]]


def expected(world: World, count: int, start_ms: int, end_ms: int) -> list[Pairs]:
    """Keys and values by partition, in order, of the deliveries in [start_ms, end_ms)."""
    encoded = encode(world.deliveries(start_ms, end_ms))
    where = partitions(encoded.keys, encoded.values, count).tolist()
    out: list[Pairs] = [[] for _ in range(count)]
    for partition, key, value in zip(where, encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
        out[partition].append((key, value))
    return out


def first(world: World, count: int, start_ms: int, n: int) -> list[Pairs]:
    """Keys and values by partition, in order, of the first ``n`` deliveries from ``start_ms`` on."""
    span = int(1000 * n / world.expected_rate)
    while len(world.deliveries(start_ms, start_ms + span)) < n:
        span *= 2
    encoded = encode(world.deliveries(start_ms, start_ms + span).take(slice(0, n)))
    where = partitions(encoded.keys, encoded.values, count).tolist()
    out: list[Pairs] = [[] for _ in range(count)]
    for partition, key, value in zip(where, encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
        out[partition].append((key, value))
    return out


def collect_ranges(broker: Broker, topic: str, ranges: Ranges) -> dict[int, list[Record]]:
    """The records of small ranges, by partition; raises as `read_ranges` does."""
    records: dict[int, list[Record]] = {partition: [] for partition in ranges}
    for batch in read_ranges(broker, topic, ranges):
        records[batch.partition] += batch.records()
    return records


def held(broker: Broker, topic: str) -> list[list[Record]]:
    """All records of a topic by partition."""
    bounds = broker.bounds(topic)
    found = collect_ranges(broker, topic, {p: (b.low, b.high) for p, b in enumerate(bounds)})
    return [found[p] for p in range(len(bounds))]


def pairs(broker: Broker, topic: str) -> list[Pairs]:
    """Keys and values of a topic by partition."""
    return [[(record.key, record.value) for record in records] for records in held(broker, topic)]
