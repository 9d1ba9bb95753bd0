"""``clickreel bench produce``: records into Kafka, beside a loop over ``confluent_kafka.Producer.produce`` and Kafka's own ProducerPerformance.

All send the same pre-made bytes to the same broker with the same settings (acks=all, idempotent, lz4, batch size, linger), turn by turn, and
count until the last acknowledgement. ``whole`` is ``clickreel produce``'s own path, which also makes and encodes the events it sends.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread

if TYPE_CHECKING:
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.encoded_batch import EncodedBatch

_PARTITIONS = 6
_T0 = 1_764_000_000_000
# The settings that every side is given.
_SETTINGS = {"acks": "all", "compression.type": "lz4", "batch.size": 1_000_000, "linger.ms": 5}
_QUEUE = {"enable.idempotence": True, "queue.buffering.max.messages": 200_000, "queue.buffering.max.kbytes": 131_072}


def run(events: int = 300_000, repeats: int = 3, bootstrap: str | None = None) -> dict[str, Any]:
    """Measure.

    Args:
        events: Records sent by each side in a turn.
        repeats: Turns.
        bootstrap: A Kafka that runs; by default one is started for this.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clickreel-bench-")))
        address = bootstrap or _kafka(stack, folder)
        sides = _sides(address, folder, events)
        for side in sides.values():  # the first turn loads classes, tables and pages
            side()
        rates = {name: [] for name in sides}  # type: dict[str, list[float]]
        for _ in range(repeats):
            for name, side in sides.items():
                rates[name].append(side())
    ours = {"send": rates["send"], "whole": rates["whole"]}
    theirs = {"produce() in a loop": rates["loop"], "produce() in a loop, each delivery counted": rates["counted"]}
    if "performance" in rates:
        theirs["ProducerPerformance"] = rates["performance"]
    return {
        "name": "produce",
        "ratios": {
            f"{mine}, over {other}": spread([a / b for a, b in zip(ours[mine], theirs[other], strict=True)])
            for mine in ours
            for other in theirs
        },
        "figures": {f"{name}_events_per_s": round(statistics.median(values)) for name, values in rates.items()}
        | {"events": events},
        "machine": machine(),
    }


def _kafka(stack: contextlib.ExitStack, folder: Path) -> str:
    from clickreel.local.home import Home
    from clickreel.local.stack import Stack

    local = Stack(Home(folder / "home"))
    stack.callback(local.down)
    local.ensure(["kafka"], attached=True)
    return local.address("kafka")


def _sides(bootstrap: str, folder: Path, events: int) -> dict[str, Callable[[], float]]:
    """What is measured: each sends all events to a new topic and returns events a second."""
    from clickreel.profile import Profile
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.encoded_batch import encode_batch

    world = World(WorldSettings(seed=7, rate=1_000.0))
    span_ms = int(1_000 * events / world.expected_rate * 1.1) + 1_000
    cluster = Cluster(Profile(kafka={"bootstrap.servers": bootstrap}))
    found = encode_batch(world.deliveries(_T0, _T0 + span_ms).take(slice(0, events)), _T0, _T0 + span_ms, _PARTITIONS)
    keys, values = found.encoded.keys.to_pylist(), found.encoded.values.to_pylist()
    payloads = folder / "payloads"
    payloads.write_bytes(b"\n".join(values))
    sides: dict[str, Callable[[], float]] = {
        "send": lambda: _send(cluster, found),
        "loop": lambda: _loop(cluster, keys, values, counted=False),
        "counted": lambda: _loop(cluster, keys, values, counted=True),
        "whole": lambda: _whole(cluster, world, events),
    }
    with contextlib.suppress(
        Exception
    ):  # the tools' jars are fetched for this alone; without them there is one side less
        sides["performance"] = _performance(cluster, payloads, events)
    return sides


def _topic(cluster: Cluster) -> str:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    cluster.create(name, _PARTITIONS, 1, {"retention.ms": "-1"})  # the events are of the past
    return name


def _send(cluster: Cluster, found: EncodedBatch) -> float:
    """Our writer, every delivery accounted for, a partition of a few thousand records at a time."""
    topic = _topic(cluster)
    writer = cluster.writer(topic, lambda *_: None)
    chunk = 40_000
    parts = []
    for start in range(0, len(found), chunk):
        for p in range(_PARTITIONS):
            rows = found.rows(p)
            rows = rows[(rows >= start) & (rows < start + chunk)]
            parts.append((p, *found.take(rows), found.deliver_ms[rows].tolist()))
    begun = time.perf_counter()
    for p, keys, values, stamps in parts:
        at = 0
        while at < len(values):
            at += writer.send(p, keys[at:], values[at:], stamps[at:])
            writer.poll(0.01 if at < len(values) else 0)
    assert writer.flush(60) == 0
    seconds = time.perf_counter() - begun
    assert sum(writer.acknowledged) == len(found)
    return len(found) / seconds


def _loop(cluster: Cluster, keys: list[bytes], values: list[bytes], *, counted: bool) -> float:
    """What one writes by hand: produce() for each record, poll, flush."""
    from confluent_kafka import Producer

    topic, seen = _topic(cluster), 0

    def count(error: object, _message: object) -> None:
        nonlocal seen
        seen += error is None

    producer = Producer({"bootstrap.servers": cluster.address, "partitioner": "murmur2_random", **_SETTINGS, **_QUEUE})
    producer.list_topics(topic, timeout=10)
    begun = time.perf_counter()
    for key, value in zip(keys, values, strict=True):
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=count if counted else None)
                break
            except BufferError:
                producer.poll(0.01)
        if counted:
            producer.poll(0)
    assert producer.flush(60) == 0
    seconds = time.perf_counter() - begun
    assert not counted or seen == len(values)
    return len(values) / seconds


def _whole(cluster: Cluster, world: Any, events: int) -> float:
    """What ``clickreel produce`` does in a backfill: make, encode, send, count."""
    from clickreel.stream.producer import Producer, ProduceRequest
    from clickreel.stream.topic_admin import require_topic

    topic = _topic(cluster)
    stats = Producer(cluster, require_topic(cluster, topic), world, ProduceRequest(lambda: _T0, count=events)).run()
    assert stats.acknowledged == events
    return events / stats.seconds


def _performance(cluster: Cluster, payloads: Path, events: int) -> Callable[[], float]:
    """Kafka's own tool; its own figure counts, so the start of the JVM does not."""
    from clickreel.local import jars, java

    classes = ":".join(str(path) for path in jars.classpath("kafka-tools"))
    properties = [
        f"bootstrap.servers={cluster.address}",
        "enable.idempotence=true",
        *(f"{k}={v}" for k, v in _SETTINGS.items()),
    ]
    command = [
        str(java.java()),
        "-Xmx512m",
        "-cp",
        classes,
        "org.apache.kafka.tools.ProducerPerformance",
        "--throughput",
        "-1",
    ]

    def measure() -> float:
        topic = _topic(cluster)
        options = ["--topic", topic, "--num-records", str(events), "--payload-file", str(payloads)]
        done = subprocess.run(
            [*command, *options, "--producer-props", *properties], capture_output=True, text=True, check=True
        )
        return float(re.findall(r"([\d.]+) records/sec", done.stdout)[-1])

    return measure
