"""What a metric is: the parts list theirs with it, Prometheus is served from it, and the reference page is written from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psutil

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


@dataclass(frozen=True)
class MetricDefinition:
    """One figure of a part.

    Attributes:
        name: Its name for Prometheus; a counter's gets ``_total`` appended there.
        kind: What kind of figure it is.
        doc: What it counts or measures, and its unit.
        labels: Names of its labels.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    doc: str
    labels: tuple[str, ...] = ()

    def family(self) -> Any:
        """An empty family of this metric, to which samples are added."""
        from prometheus_client import core

        kinds: dict[str, type[Metric]] = {
            "counter": core.CounterMetricFamily,
            "gauge": core.GaugeMetricFamily,
            "histogram": core.HistogramMetricFamily,
        }
        return kinds[self.kind](self.name, self.doc, labels=self.labels)  # type: ignore[call-arg]


def resident_bytes() -> float:
    """Resident memory of this process, bytes."""
    return float(psutil.Process().memory_info().rss)
