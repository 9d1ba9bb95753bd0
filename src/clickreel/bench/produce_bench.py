"""``clickreel bench produce``: records into Kafka, beside a loop over ``confluent_kafka.Producer.produce`` and Kafka's own ProducerPerformance.

All send the same bytes to the same broker with the same settings (acks=all, idempotent, lz4, batch size, linger), turn by turn, each for at
least eight seconds after a warm-up, and count until the last acknowledgement. ``whole`` is ``clickreel produce``'s own path, which also
makes and encodes the events it sends.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel.bench.machine import machine
from clickreel.bench.turns import take_turns

if TYPE_CHECKING:
    from clickreel.simulate.world import World
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.encoded_batch import EncodedBatch
    from clickreel.stream.produce_request import ProduceStats

_PARTITIONS = 6
_T0 = 1_764_000_000_000
# Different records, sent again and again: enough that compression finds no more than in a stream, few enough for every side's memory.
_PAYLOADS = 20_000
# The settings that every side is given.
_SETTINGS = {"acks": "all", "compression.type": "lz4", "batch.size": 1_000_000, "linger.ms": 5}
_QUEUE = {"enable.idempotence": True, "queue.buffering.max.messages": 200_000, "queue.buffering.max.kbytes": 131_072}
# A virtual machine of Java compiles its hot code within some seconds; its own tool leaves these records out of its steady state.
_JVM_WARMUP_RECORDS = 1_500_000
_OURS = {"send": "our writer, pre-made bytes", "whole": "clickreel produce"}
_THEIRS = {
    "loop": "produce() in a loop",
    "counted": "produce() in a loop, each delivery counted",
    "performance": "ProducerPerformance",
}


def run(seconds: float = 8.0, turns: int = 5, bootstrap: str | None = None) -> dict[str, Any]:
    """Measure.

    Args:
        seconds: How long each side sends in a turn, at least.
        turns: How often each side is measured.
        bootstrap: A Kafka that runs; by default one is started for this.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clickreel-bench-")))
        found = take_turns(_sides(bootstrap or _kafka(stack, folder), folder, seconds), turns)
    ratios = {
        f"{mine}, over {other}": ratio
        for ours, mine in _OURS.items()
        for theirs, other in _THEIRS.items()
        if (ratio := found.ratios(ours, theirs)) is not None
    }
    return {
        "name": "produce",
        "ratios": ratios,
        "figures": {f"{name}_events_per_s": round(statistics.median(rates)) for name, rates in found.rates.items()}
        | {f"{name} failed": reason for name, reason in found.failed.items()}
        | {"seconds_per_turn": seconds, "turns": turns},
        "machine": machine(),
    }


def _kafka(stack: contextlib.ExitStack, folder: Path) -> str:
    from clickreel.local.home import Home
    from clickreel.local.stack import Stack

    local = Stack(Home(folder / "home"))
    stack.callback(local.down)
    local.ensure(["kafka"], attached=True)
    return local.address("kafka")


def _sides(bootstrap: str, folder: Path, seconds: float) -> dict[str, Callable[[], float]]:
    """What is measured: each sends to a new topic for so long and returns records a second."""
    from clickreel.profile import Profile
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.encoded_batch import encode_batch

    world = World(WorldSettings(seed=7, rate=1_000.0))
    span_ms = int(1_000 * _PAYLOADS / world.expected_rate * 1.1) + 1_000
    cluster = Cluster(Profile(kafka={"bootstrap.servers": bootstrap}))
    deliveries = world.deliveries(_T0, _T0 + span_ms).take(slice(0, _PAYLOADS))
    batch = encode_batch(deliveries, _T0, _T0 + span_ms, _PARTITIONS)
    keys, values = batch.encoded.keys.to_pylist(), batch.encoded.values.to_pylist()
    payloads = folder / "payloads"
    payloads.write_bytes(b"\n".join(values))
    return {
        "send": lambda: _send(cluster, batch, seconds),
        "loop": lambda: _loop(cluster, keys, values, seconds, counted=False),
        "counted": lambda: _loop(cluster, keys, values, seconds, counted=True),
        "whole": lambda: _whole(cluster, world, seconds),
        "performance": _Performance(cluster, payloads, seconds),
    }


def _topic(cluster: Cluster) -> str:
    """A topic for one turn. It keeps a gigabyte, so that no turn fills the disk."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    configs = {"retention.ms": "-1", "retention.bytes": str(1 << 28), "segment.bytes": str(1 << 27)}
    cluster.create(name, _PARTITIONS, 1, configs)
    return name


def _send(cluster: Cluster, batch: EncodedBatch, seconds: float) -> float:
    """Our writer, every delivery accounted for, a partition of some thousand records at a time."""
    parts = [
        (p, *batch.take(rows), batch.deliver_ms[rows].tolist()) for p in range(_PARTITIONS) for rows in [batch.rows(p)]
    ]
    topic = _topic(cluster)
    writer = cluster.writer(topic, lambda *_: None)
    begun = time.perf_counter()
    for p, keys, values, stamps in itertools.cycle(parts):
        at = 0
        while at < len(values):
            at += writer.send(p, keys[at:], values[at:], stamps[at:])
            writer.poll(0.01 if at < len(values) else 0)
        if time.perf_counter() - begun > seconds:
            break
    assert writer.flush(60) == 0
    rate = sum(writer.acknowledged) / (time.perf_counter() - begun)
    writer.close()
    return rate


def _loop(cluster: Cluster, keys: list[bytes], values: list[bytes], seconds: float, *, counted: bool) -> float:
    """What one writes by hand: produce() for each record, poll, flush."""
    producer = cluster.plain_producer({"partitioner": "murmur2_random", **_SETTINGS, **_QUEUE})
    sent = acknowledged = 0

    def count(error: object, _message: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    topic = _topic(cluster)
    producer.list_topics(topic, timeout=10)
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for key, value in zip(keys, values, strict=True):
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=count if counted else None)
                    break
                except BufferError:
                    producer.poll(0.01)
            if counted:
                producer.poll(0)
        sent += len(values)
    assert producer.flush(60) == 0
    elapsed = time.perf_counter() - begun
    assert not counted or acknowledged == sent
    return sent / elapsed


def _whole(cluster: Cluster, world: World, seconds: float) -> float:
    """What ``clickreel produce`` does in a backfill: make, encode, send, count."""
    from clickreel.stream.produce_request import ProduceRequest
    from clickreel.stream.producer import Producer
    from clickreel.stream.topic_admin import require_topic

    stop = threading.Event()

    def end(stats: ProduceStats) -> None:
        if stats.seconds > seconds:
            stop.set()

    topic = _topic(cluster)
    request = ProduceRequest(lambda: _T0)
    stats = Producer(cluster, require_topic(cluster, topic), world, request, report=end, stop=stop).run()
    assert stop.is_set(), "the timeline was not long enough"
    return stats.acknowledged / stats.seconds


class _Performance:
    """Kafka's own tool. Its steady state counts: neither the start of its virtual machine nor what runs before its code is compiled."""

    def __init__(self, cluster: Cluster, payloads: Path, seconds: float) -> None:
        self._cluster, self._payloads, self._seconds = cluster, payloads, seconds
        self._per_s = 300_000.0

    def __call__(self) -> float:
        """Measure once; how many records that takes is known from the turn before."""
        from clickreel.local import jars, java

        topic = _topic(self._cluster)
        properties = {"bootstrap.servers": self._cluster.address, "enable.idempotence": "true", **_SETTINGS}
        records = _JVM_WARMUP_RECORDS + round(1.1 * self._seconds * self._per_s)
        command = [
            *(str(java.java()), "-Xmx1g", "-cp", ":".join(map(str, jars.classpath("kafka-tools")))),
            *("org.apache.kafka.tools.ProducerPerformance", "--throughput", "-1", "--topic", topic),
            *("--num-records", str(records), "--warmup-records", str(_JVM_WARMUP_RECORDS)),
            *("--payload-file", str(self._payloads), "--command-property"),
            *(f"{name}={value}" for name, value in properties.items()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rates = re.findall(r"([\d.]+) records/sec", done.stdout)
        if done.returncode or not rates:
            raise RuntimeError((done.stderr or done.stdout).strip() or f"exit code {done.returncode}")
        self._per_s = float(rates[-1])
        return self._per_s
