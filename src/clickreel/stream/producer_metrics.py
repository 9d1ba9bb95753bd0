"""The metrics of a producer: one typed list, served for Prometheus and written into the home for ``status``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel import metrics as shared
from clickreel.metrics import MetricDefinition, resident_bytes
from clickreel.stream.produce_request import ProduceStats

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


STATE_FILE = "producer.json"
"""The file's name in the home: the metrics' values, the run, and where the metrics are served."""


@dataclass(frozen=True)
class ProducerMetric(MetricDefinition):
    """A figure of a producer; ``read`` takes its value from the figures, ``None`` while there is none."""

    read: Callable[[ProduceStats], float | None] = lambda _: None


def _lag_s(stats: ProduceStats) -> float | None:
    return max(0.0, time.time() - stats.position_ms / 1000) if stats.position_ms else None


def _latency_s(q: float) -> Callable[[ProduceStats], float | None]:
    def read(stats: ProduceStats) -> float | None:
        found = stats.latencies.quantile(q)
        return None if found is None else found / 1000

    return read


_LABELS = ("run", "topic")
METRICS: tuple[ProducerMetric, ...] = (
    ProducerMetric("clickreel_producer_sent", "counter", "Records handed to the client.", _LABELS, lambda s: s.sent),
    ProducerMetric(
        "clickreel_producer_acknowledged",
        "counter",
        "Records that all in-sync replicas have.",
        _LABELS,
        lambda s: s.acknowledged,
    ),
    ProducerMetric("clickreel_producer_bytes", "counter", "Bytes of keys and values sent.", _LABELS, lambda s: s.bytes),
    ProducerMetric(
        "clickreel_producer_in_flight", "gauge", "Records sent and not acknowledged.", _LABELS, lambda s: s.failed
    ),
    ProducerMetric(
        "clickreel_producer_target_rate",
        "gauge",
        "Records a second of the run at the clock's pace.",
        _LABELS,
        lambda s: s.target_per_s,
    ),
    ProducerMetric(
        "clickreel_producer_lag_seconds", "gauge", "How far the timeline is behind the clock, seconds.", _LABELS, _lag_s
    ),
    ProducerMetric(
        "clickreel_producer_acknowledged_p50_seconds",
        "gauge",
        "From sending to acknowledgement, median, seconds.",
        _LABELS,
        _latency_s(0.5),
    ),
    ProducerMetric(
        "clickreel_producer_acknowledged_p99_seconds",
        "gauge",
        "From sending to acknowledgement, 99th percentile, seconds.",
        _LABELS,
        _latency_s(0.99),
    ),
    ProducerMetric(
        "clickreel_producer_restarts",
        "counter",
        "Clients replaced because the cluster acknowledged nothing.",
        _LABELS,
        lambda s: s.restarts,
    ),
    ProducerMetric(
        "clickreel_producer_waiting",
        "gauge",
        "1 while the producer waits for the cluster, else 0.",
        _LABELS,
        lambda s: bool(s.waiting),
    ),
    ProducerMetric(
        "clickreel_producer_resident_bytes",
        "gauge",
        "Resident memory of the process, bytes.",
        _LABELS,
        lambda _: resident_bytes(),
    ),
)


ERRORS = MetricDefinition(
    "clickreel_producer_errors",
    "counter",
    "Errors of the cluster, by kind: unreachable, stalled (nothing was acknowledged, or the lease not renewed, for too long).",
    (*_LABELS, "kind"),
)


class ProducerMetrics:
    """The figures of a running producer; safe to read from another thread.

    Attributes:
        stats: The producer's figures; ``None`` until there are some.
    """

    def __init__(self) -> None:
        self.stats: ProduceStats | None = None

    def values(self) -> dict[str, float]:
        """Each metric's value by its name."""
        stats = self.stats
        if stats is None:
            return {}
        found = ((metric.name, metric.read(stats)) for metric in METRICS)
        return {name: float(value) for name, value in found if value is not None}

    def collect(self) -> Iterable[Metric]:
        """The metrics, as Prometheus' client asks for them."""
        values, stats = self.values(), self.stats
        for metric in METRICS:
            if stats is not None and metric.name in values:
                family = metric.family()
                family.add_metric([stats.run, stats.topic], values[metric.name])
                yield family
        if stats is not None:
            errors = ERRORS.family()
            for kind, count in stats.errors.copy().items():
                errors.add_metric([stats.run, stats.topic, kind], count)
            yield errors


def keep_state(metrics: ProducerMetrics, path: Path | None, address: str) -> AbstractContextManager[None]:
    """Write the figures into a file once a second while the block runs.

    Args:
        metrics: The figures.
        path: The file; ``None`` for none.
        address: Where the metrics are served; empty where they are not.
    """

    def state() -> dict[str, Any] | None:
        stats = metrics.stats
        if stats is None:
            return None
        named = {"run": stats.run, "topic": stats.topic, "waiting": stats.waiting}
        about = {"pid": os.getpid(), "at_ms": time.time_ns() // 1_000_000, "address": address}
        return {**named, **about, "metrics": metrics.values(), "errors": dict(stats.errors)}

    return shared.keep_written(path, state)


def serve_metrics(metrics: ProducerMetrics, port: int) -> AbstractContextManager[str]:
    """Serve the metrics while the block runs, see :func:`clickreel.metrics.serve_metrics`."""
    hint = "set CLICKREEL_PRODUCER_METRICS_PORT to another one, or to 0 for a free one"
    return shared.serve_metrics(metrics, port, hint=hint)
