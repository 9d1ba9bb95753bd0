"""``clickreel bench startup``: from typing ``up`` to the first event that a consumer can read.

Everything that is fetched or made once (jars, archives of classes) is there before the clock starts: this is the warm start. Two kinds
are measured: a new home, and the home of before with its data. The event is read from Kafka by a consumer of its own, which waits for a
message that was produced after the clock started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread
from clickreel.errors import ClickreelError
from clickreel.local import init_tasks
from clickreel.local.home import Home
from clickreel.local.kafka_service import KAFKA
from clickreel.local.local_profile import profile
from clickreel.local.stack import Stack
from clickreel.stream.cluster import Cluster

# What the product promises; the ratio is this over ours.
BUDGET_S = 15.0
# A start that takes longer is broken rather than slow.
PATIENCE_S = 120.0


def run(repeats: int = 3, rate: float = 50.0) -> dict[str, Any]:
    """Measure warm starts.

    Args:
        repeats: How many starts of each kind.
        rate: Events a second that ``up`` streams; at 50 the wait for the first one is at most 20 ms.
    """
    with tempfile.TemporaryDirectory(prefix="clickreel-bench-") as folder:
        home = Home(Path(folder) / "home")
        _start(home, rate)  # fetches, unpacks, and lets Java write its archives
        _await_archives()
        _stop(home)
        again = [_cycle(home, rate) for _ in range(repeats)]
        new = [_cycle(Home(Path(folder) / f"home-{number}"), rate) for number in range(repeats)]
    kinds = {"home of before": again, "new home": new}
    return {
        "name": "startup",
        "ratios": {
            f"{BUDGET_S:g} s over first event, {kind}": spread(BUDGET_S / s for s, _ in runs)
            for kind, runs in kinds.items()
        },
        "figures": {
            kind: {"first_event_s": spread(s for s, _ in runs), "ready_s": spread(s for _, s in runs)}
            for kind, runs in kinds.items()
        },
        "machine": machine(),
    }


def _cycle(home: Home, rate: float) -> tuple[float, float]:
    try:
        return _start(home, rate)
    finally:
        _stop(home)


def _start(home: Home, rate: float) -> tuple[float, float]:
    """Seconds to the first readable event, and to the end of ``up``."""
    begun_ms, begun = time.time_ns() // 1_000_000, time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "clickreel", "up", "--detach", "--json", f"--rate={rate:g}"],
        env={**os.environ, "CLICKREEL_HOME": str(home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _await_event(home, begun_ms, begun + PATIENCE_S, process)
        first_event_s = time.monotonic() - begun
    finally:
        out, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode != 0:
        raise ClickreelError(f"up ended with code {process.returncode}: {err.strip()}", hint="clickreel doctor")
    return first_event_s, float(json.loads(out)["seconds"])


def _await_event(home: Home, since_ms: int, deadline: float, process: subprocess.Popen[str]) -> None:
    for _ in _patiently(deadline, process):
        address = Stack(home).addresses().get("kafka")
        if address and KAFKA.answers is not None and KAFKA.answers(address):
            break
    cluster = Cluster(profile(home))
    topic = init_tasks.topic_name()
    for _ in _patiently(deadline, process):
        if cluster.topic(topic) is not None:
            break
    reader = cluster.reader(topic, dict(enumerate(cluster.offsets_at(topic, since_ms))))
    try:
        for _ in _patiently(deadline, process):
            if any(record.timestamp_ms >= since_ms for record in reader.poll(100, 0.05)):
                return
    finally:
        reader.close()
        cluster.close()


def _patiently(deadline: float, process: subprocess.Popen[str]) -> Iterator[None]:
    while True:
        yield
        if process.poll() not in (None, 0):
            raise ClickreelError("up failed", hint="clickreel doctor")
        if time.monotonic() > deadline:
            raise ClickreelError(
                f"no event within {PATIENCE_S:g} s", hint="clickreel up, then: clickreel logs producer"
            )
        time.sleep(0.02)


def _await_archives() -> None:
    """Java writes them a little after the first start (:mod:`clickreel.local.class_data_sharing`)."""
    from clickreel.local import class_data_sharing

    deadline = time.monotonic() + 3 * class_data_sharing.CALM_S
    while len(class_data_sharing.present()) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)


def _stop(home: Home) -> None:
    Stack(home).down()
