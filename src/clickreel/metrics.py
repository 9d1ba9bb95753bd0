"""What a metric is: the parts list theirs with it, Prometheus is served from it, and the reference page is written from it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from clickreel.errors import MissingError
from clickreel.json_files import write_json

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

_WRITE_EVERY_S = 1.0


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


@contextmanager
def serve_metrics(collector: Collector, port: int, *, hint: str) -> Iterator[str]:
    """Serve metrics for Prometheus on 127.0.0.1 while the block runs; gives their address, empty where none are served.

    Args:
        collector: Gives the metrics.
        port: The port; 0 for a free one, -1 for none.
        hint: What to do when the port is taken.

    Raises:
        MissingError: The port cannot be had.
    """
    if port < 0:
        yield ""
        return
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as exc:
        raise MissingError(f"port {port} for the metrics cannot be had: {exc.strerror}", hint=hint) from exc
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def keep_written(path: Path | None, state: Callable[[], Mapping[str, Any] | None]) -> Iterator[None]:
    """Write a part's figures into a file once a second while the block runs, and once more at its end.

    The key ``running`` is added: whether more will follow.

    Args:
        path: The file; its folder is made. ``None`` for none.
        state: The figures; ``None`` while there are none.
    """
    if path is None:
        yield
        return
    ended = threading.Event()
    with contextlib.suppress(OSError):  # as below
        path.parent.mkdir(exist_ok=True)

    def write() -> None:
        last = False
        while not last:
            last = ended.wait(_WRITE_EVERY_S)
            values = state()
            if values is not None:
                with contextlib.suppress(OSError):  # a full disk or a deleted home must not stop the stream
                    write_json(path, {**values, "running": not last})

    thread = threading.Thread(target=write, name="state", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
