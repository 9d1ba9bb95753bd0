"""The metrics of a producer, as Prometheus reads them and as the home keeps them."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from clickreel.errors import MissingError
from clickreel.json_files import read_json
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.produce_request import ProduceRequest
from clickreel.stream.producer import Producer
from clickreel.stream.producer_metrics import METRICS, ProducerMetrics, keep_state, serve_metrics
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings

T0 = 1_764_000_000_000


def produced() -> ProducerMetrics:
    """The metrics of a producer that has written 500 records."""
    broker = MemoryBroker()
    state, *_ = ensure_topic(broker, TopicSettings(name="t", partitions=2, retention="forever"))
    metrics = ProducerMetrics()
    world = World(WorldSettings(seed=7, rate=10.0, run="r"))
    metrics.stats = Producer(broker, state, world, ProduceRequest(lambda: T0, count=500)).run()
    return metrics


def test_prometheus_reads_every_metric_of_the_list() -> None:
    """With run and topic as labels; the counters are those of the figures."""
    with serve_metrics(produced(), 0) as address:
        text = urllib.request.urlopen(address, timeout=30).read().decode()
    for metric in METRICS:
        suffix = "_total" if metric.kind == "counter" else ""
        assert f'{metric.name}{suffix}{{run="r",topic="t"}} ' in text
        assert f"# HELP {metric.name}{suffix} {metric.doc}" in text
    assert 'clickreel_producer_acknowledged_total{run="r",topic="t"} 500.0' in text
    assert 'clickreel_producer_in_flight{run="r",topic="t"} 0.0' in text
    assert 'clickreel_producer_errors_total{kind="unreachable",run="r",topic="t"} 0.0' in text


def test_the_home_keeps_the_figures_and_says_when_the_producer_has_ended(tmp_path: Path) -> None:
    """The file holds what the metrics say; its last state is that of the end."""
    file = tmp_path / "producer.json"
    with keep_state(produced(), file, "http://127.0.0.1:1/metrics"):
        deadline = time.monotonic() + 60
        while not read_json(file):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert read_json(file)["running"] is True
    found = read_json(file)
    assert (found["run"], found["topic"], found["running"]) == ("r", "t", False)
    assert found["metrics"]["clickreel_producer_sent"] == 500


def test_a_port_that_is_taken_is_said() -> None:
    """With the setting that names another."""
    with (
        serve_metrics(ProducerMetrics(), 0) as address,
        pytest.raises(MissingError, match="for the metrics cannot be had") as refused,
        serve_metrics(ProducerMetrics(), int(address.rsplit(":", 1)[1].split("/")[0])),
    ):
        pass
    assert "CLICKREEL_PRODUCER_METRICS_PORT" in refused.value.hint
