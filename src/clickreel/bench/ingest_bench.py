"""``clickreel bench ingest``: a full topic into ClickHouse, beside ClickHouse reading the same events from a file; and the latency of a slow one.

Theirs: ``INSERT INTO ... SELECT * FROM file(..., 'JSONEachRow')`` into a table of the same types, with the same durability, by the same
engine, with as many threads as it likes. It neither checks a contract, nor keeps offsets, nor reads Kafka. Ours is the whole pipeline:
Kafka, the contract, the block, the fence, the insert. And ours into a landing table without the projections that the answers read, which
says what they cost. All turn by turn, after a turn of each that is not counted.

Latency: a producer sends 1,000 events a second; a reader asks ClickHouse all the time how far each partition is. An event's latency is
from its record's timestamp to the end of the first query that shows it.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clickreel.bench.insight_bench import drop_counts
from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread
from clickreel.bench.topic_filler import PARTITIONS, fill

if TYPE_CHECKING:
    from clickreel.profile import Profile
    from clickreel.warehouse.client import Client

_TYPES = (
    "event_id UUID, event_ts DateTime64(3, 'UTC'), user_id String, session_id String, film_id Int32, "
    "event_type LowCardinality(String), page LowCardinality(String), position Int16, device LowCardinality(String), "
    "referrer LowCardinality(String)"
)


def run(
    events: int = 5_000_000, repeats: int = 3, *, latency_s: float = 20.0, latency_rate: int = 1_000
) -> dict[str, Any]:
    """Measure rate and latency.

    Args:
        events: Events in the topic.
        repeats: How often each side runs.
        latency_s: How long the slow stream runs; 0 leaves it out.
        latency_rate: Its events a second.
    """
    from clickreel.local.home import Home
    from clickreel.local.local_profile import profile as local_profile
    from clickreel.local.stack import Stack
    from clickreel.warehouse.client import connect

    with tempfile.TemporaryDirectory(prefix="clickreel-bench-") as folder:
        stack = Stack(Home(Path(folder)))
        try:
            stack.ensure(["kafka", "clickhouse"], attached=True)
            profile = local_profile(stack.home)
            # The only folder that file() of the local ClickHouse reads.
            file = stack.home.data("clickhouse") / "user_files" / "events.jsonl"
            with file.open("wb") as lines:
                topic, sent = fill(
                    profile, events, rate=2_000.0, taken=lambda values: lines.write(b"\n".join(values) + b"\n")
                )
            client = connect(profile)
            ours: list[float] = []
            theirs: list[float] = []
            uncounted: list[float] = []
            for turn in range(repeats + 1):
                rates = (
                    sent / _theirs(client, file, sent),
                    sent / _ours(profile, topic, sent),
                    sent / _ours(profile, topic, sent, projections=False),
                )
                if turn:
                    for side, rate in zip((theirs, ours, uncounted), rates, strict=True):
                        side.append(rate)
            latency = _latency(profile, latency_rate, latency_s) if latency_s else {}
        finally:
            stack.down()
    return {
        "name": "ingest",
        "ratios": {
            "ingest, over INSERT SELECT FROM file(JSONEachRow)": spread(
                [a / b for a, b in zip(ours, theirs, strict=True)]
            ),
            "ingest, over ingest without the answers' projections": spread(
                [a / b for a, b in zip(ours, uncounted, strict=True)]
            ),
        },
        "figures": {
            "events": sent,
            "ours_events_per_s": [round(rate) for rate in ours],
            "theirs_events_per_s": [round(rate) for rate in theirs],
            "without_projections_events_per_s": [round(rate) for rate in uncounted],
            **latency,
        },
        "machine": machine(),
    }


def _theirs(client: Client, file: Path, events: int) -> float:
    """Seconds that ClickHouse takes to read the file."""
    client.command("DROP TABLE IF EXISTS plain SYNC")
    client.command(
        f"CREATE TABLE plain ({_TYPES}) ENGINE = MergeTree ORDER BY event_ts "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    began = time.perf_counter()
    client.command(
        f"INSERT INTO plain SELECT * FROM file('{file}', 'JSONEachRow', '{_TYPES.replace(chr(39), chr(92) + chr(39))}')"
    )
    seconds = time.perf_counter() - began
    assert client.command("SELECT count() FROM plain") == events, "ClickHouse did not read all events"
    return seconds


def _ours(profile: Profile, topic: str, events: int, *, projections: bool = True) -> float:
    """Seconds that the pipeline takes, from the first request to Kafka to the last insert's answer."""
    from clickreel.ingest.run_ingest import IngestOptions, run_ingest
    from clickreel.ingest.settings import IngestSettings
    from clickreel.warehouse import migrate
    from clickreel.warehouse.client import connect

    name = f"bench_{uuid.uuid4().hex[:8]}"
    profile = replace(profile, clickhouse_database=name)
    client = connect(profile, create=True)
    migrate.migrate(client)
    if not projections:
        drop_counts(client)
    began = time.perf_counter()
    settings = IngestSettings(topic=topic, group=name, metrics_port=-1)
    report = run_ingest(profile, settings, IngestOptions(until_caught_up=True), stop=threading.Event())
    seconds = time.perf_counter() - began
    assert report.rows == events == client.command("SELECT count() FROM dvd_clicks"), "not all events were landed"
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()
    return seconds


def _latency(profile: Profile, rate: int, seconds: float) -> dict[str, Any]:
    """Latencies of a slow stream, from produced to queryable."""
    from clickreel.ingest.run_ingest import IngestOptions, run_ingest
    from clickreel.ingest.settings import IngestSettings
    from clickreel.stream.cluster import Cluster
    from clickreel.warehouse import migrate
    from clickreel.warehouse.client import connect

    name = f"bench_{uuid.uuid4().hex[:8]}"
    profile = replace(profile, clickhouse_database=name)
    client = connect(profile, create=True)
    migrate.migrate(client)
    Cluster(profile).create(name, PARTITIONS, 1, {})
    stop = threading.Event()
    settings = IngestSettings(topic=name, group=name, metrics_port=-1)
    threads = [
        threading.Thread(target=run_ingest, args=(profile, settings, IngestOptions()), kwargs={"stop": stop}),
        threading.Thread(target=_drip, args=(profile, name, rate, seconds, stop)),
    ]
    seen: list[tuple[int, dict[int, int]]] = []
    for thread in threads:
        thread.start()
    with contextlib.suppress(KeyboardInterrupt):
        while threads[1].is_alive():
            ends = client.rows("SELECT _partition, max(_offset) FROM dvd_clicks_landing GROUP BY _topic_id, _partition")
            seen.append((time.time_ns() // 1_000_000, dict(ends)))
            time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    rows = client.columns(
        "SELECT _partition AS p, _offset AS o, toUnixTimestamp64Milli(_timestamp) AS t FROM dvd_clicks_landing ORDER BY t"
    )
    latencies = _seen_ms(rows, seen)
    inserts = client.command("SELECT uniqExact(_inserted_at) FROM dvd_clicks_landing")
    client.command(f"DROP DATABASE {name} SYNC")
    client.close()
    p50, p99 = np.quantile(latencies, [0.5, 0.99])
    return {
        "latency_rate_per_s": rate,
        "latency_ms_p50": round(float(p50)),
        "latency_ms_p99": round(float(p99)),
        "latency_events": len(latencies),
        "inserts_per_s": round(float(inserts) / seconds, 1),
    }


def _drip(profile: Profile, topic: str, rate: int, seconds: float, stop: threading.Event) -> None:
    """Send good messages evenly, from a process of its own would be fairer still; one every millisecond costs little."""
    from clickreel.contract import encode, samples
    from clickreel.stream.cluster import Cluster

    encoded = encode.encode(samples.block(int(rate * seconds)))
    keys, values = encoded.keys.to_pylist(), encoded.values.to_pylist()
    producer = Cluster(profile).plain_producer(profile.producer_config() | {"linger.ms": 0})
    began = time.perf_counter()
    for number, (key, value) in enumerate(zip(keys, values, strict=True)):
        ahead = number / rate - (time.perf_counter() - began)
        if ahead > 0.001:
            stop.wait(ahead)
        producer.produce(topic, value, key, number % PARTITIONS)
        producer.poll(0)
    producer.flush(10)
    stop.wait(1)


def _seen_ms(rows: Any, seen: list[tuple[int, dict[int, int]]]) -> list[int]:
    """From each record's timestamp to the first query that showed its offset; the first two seconds, when all starts, are left out."""
    out: list[int] = []
    partitions, offsets, stamps = (rows[name].to_numpy() for name in ("p", "o", "t"))
    first_ms = int(stamps.min()) + 2_000
    for partition in np.unique(partitions):
        chosen = (partitions == partition) & (stamps >= first_ms)
        ends = np.array([ends.get(int(partition), -1) for _, ends in seen])
        times = np.array([when for when, _ in seen])
        places = np.searchsorted(ends, offsets[chosen])
        inside = places < len(times)
        out += (times[places[inside]] - stamps[chosen][inside]).tolist()
    return out
