"""Freshness: quantiles of what was landed, as JSON and as Prometheus metrics; and the pace at which blocks are closed."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from clickreel.ingest.flush_policy import FlushPolicy
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.insert_block import InsertBlock
from clickreel.ingest.landing_table import FencedError
from clickreel.ingest.run_ingest import _serve_metrics
from clickreel.ingest.settings import IngestSettings


def block(latencies: list[int], now_ms: int, partition: int = 0, dead: int = 0) -> InsertBlock:
    """A block that was landed now, with records that are so old."""
    stamps = now_ms - np.array(latencies, np.int64)
    marks = {("contract", "device", "enum"): dead} if dead else {}
    return InsertBlock((), b"", len(latencies), {partition: (0, len(latencies) - 1)}, marks, {partition: stamps})


def test_quantiles_are_those_of_the_records_not_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of many quick ones outweighs one of few slow ones."""
    now_ms = 1_800_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: now_ms * 1_000_000)
    freshness = Freshness()
    freshness.landed(block([100] * 9_900, now_ms), now_ms, now_ms - 20)
    freshness.landed(block([900] * 50, now_ms), now_ms, now_ms - 20)
    found = freshness.quantiles_ms()[0]
    assert (found["p50_ms"], found["p99_ms"], found["records"]) == (100, 100, 9_950)
    assert (found["sent_p50_ms"], found["sent_p99_ms"]) == (80, 80)  # the inserts took 20 ms
    freshness.landed(block([900] * 200, now_ms), now_ms, now_ms - 20)
    assert freshness.quantiles_ms()[0]["p99_ms"] == 900


def test_a_broker_whose_clock_is_ahead_makes_no_negative_latency() -> None:
    """Nothing is younger than now; records without a timestamp are left out."""
    freshness = Freshness()
    freshness.landed(block([-500, 20], 1_000), 1_000, 1_000 - 20)
    assert freshness._sum_ms[0] == 20
    made = block([5], 1_000)
    made.timestamps_ms[0][0] = -1
    freshness.landed(made, 1_000, 1_000 - 20)
    assert int(freshness._counts[0].sum()) == 2


def test_the_state_and_the_metrics_are_served(tmp_path: Path) -> None:
    """A file for status and monitor, an endpoint for Prometheus; both say the same."""
    freshness, file = Freshness(), tmp_path / "ingest" / "clicks.json"
    freshness.assigned("clicks", {0: 0, 1: 5}, {0: 10, 1: 5})
    import time

    now_ms = time.time_ns() // 1_000_000
    freshness.landed(block([40, 60, 80], now_ms, dead=1), now_ms, now_ms - 20)
    freshness.count_error(FencedError("another writer").kind)
    with _serve_metrics(freshness, IngestSettings(metrics_port=0), file):
        deadline = time.monotonic() + 10
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        state = json.loads(file.read_text())
        with urllib.request.urlopen(state["metrics"], timeout=5) as answer:
            text = answer.read().decode()
    assert (state["rows"], state["running"], state["partitions"][1]["next"]) == (3, True, 5)
    assert 'clickreel_ingest_freshness_seconds_count{partition="0"} 3.0' in text
    assert 'clickreel_ingest_freshness_seconds_bucket{le="0.05",partition="0"} 1.0' in text
    assert 'quantile_seconds{partition="0",quantile="0.5",stage="queryable"} 0.06' in text
    assert 'quantile_seconds{partition="0",quantile="0.5",stage="sent"} 0.04' in text
    assert 'clickreel_ingest_dead_letters_total{error="contract",field="device",rule="enum"} 1.0' in text
    assert 'clickreel_ingest_errors_total{kind="fenced"} 1.0' in text
    assert 'clickreel_ingest_errors_total{kind="unreachable"} 0.0' in text
    assert state["errors"]["fenced"] == 1
    assert json.loads(file.read_text())["running"] is False


def test_a_slow_stream_is_closed_soon_a_fast_one_seldom_and_a_backlog_is_left_to_fill() -> None:
    """80 ms, 300 ms, a second; the size closes a block at once."""
    pace = FlushPolicy(IngestSettings())
    for tenth in range(30):
        pace.came(100, tenth / 10)
    assert 0.08 <= pace.wait_s < 0.1
    for tenth in range(30, 90):
        pace.came(10_000, tenth / 10)
    assert pace.wait_s == pytest.approx(0.3)
    pace.behind = True
    assert pace.wait_s == 1.0
    assert pace.full(500_000, 0)
    assert pace.full(1, 64 << 20)
    assert not pace.full(499_999, 1)
