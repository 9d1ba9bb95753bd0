"""How fresh the table is, per partition, and how far ingest has come.

Two instants of a row are told, both from its record's timestamp on, which is when it was produced (or, where the topic says
``LogAppendTime``, when the broker took it): when its block was sent to ClickHouse, and when the answer said that it can be queried.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clickreel.ingest.validate_batch import UNDECIDED
from clickreel.metrics import MetricDefinition, resident_bytes

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from clickreel.ingest.insert_block import InsertBlock

# Upper bounds of the histogram, ms. Live traffic lies between 50 and 500; the rest is catching up.
BOUNDS_MS = (25, 50, 100, 150, 200, 250, 350, 500, 750, 1000, 2000, 5000, 15_000, 60_000, 600_000)
# Records this much older than their landing were not waited for by anybody: a backfill, or ingest after an outage. How long that took is
# no freshness, and would be days.
_CATCHING_UP_MS = BOUNDS_MS[-1]
# The quantiles are those of the last minute, of at most so many records a block: evenly chosen ones do.
_WINDOW_S = 60.0
_SAMPLE = 256
# The clocks of producers, brokers and this machine differ by less.
_CLOCKS_APART_MS = 5000


METRICS = (
    MetricDefinition("clickreel_ingest_rows", "counter", "Rows landed, dead ones included."),
    MetricDefinition(
        "clickreel_ingest_backlog_rows",
        "counter",
        "Landed records that waited before ingest came, or of a backfill; not in the latencies.",
    ),
    MetricDefinition("clickreel_ingest_lag_records", "gauge", "Records of Kafka that are not landed.", ("partition",)),
    MetricDefinition(
        "clickreel_ingest_lag_seconds",
        "gauge",
        "Age of the newest record landed while others wait, seconds; 0 when none waits.",
        ("partition",),
    ),
    MetricDefinition("clickreel_ingest_inserts", "counter", "Blocks landed."),
    MetricDefinition(
        "clickreel_ingest_errors",
        "counter",
        "Errors after which ingest went on from what is landed: unreachable, fenced, refused, uncertain (an insert without an answer), "
        "stalled (a Kafka client that brought nothing).",
        ("kind",),
    ),
    MetricDefinition("clickreel_ingest_dead_letters", "counter", "Dead letters landed.", ("error", "field", "rule")),
    MetricDefinition(
        "clickreel_ingest_freshness_seconds",
        "histogram",
        "From a record's timestamp to its row's visibility, seconds.",
        ("partition",),
    ),
    MetricDefinition(
        "clickreel_ingest_freshness_quantile_seconds",
        "gauge",
        "The same for the last minute: to the insert (`sent`) and to the query (`queryable`), seconds.",
        ("partition", "stage", "quantile"),
    ),
    MetricDefinition("clickreel_ingest_next_offset", "gauge", "The offset that lands next.", ("partition",)),
    MetricDefinition("clickreel_ingest_resident_bytes", "gauge", "Resident memory of the process, bytes."),
)
"""The metrics that ingest serves."""


class _Block(NamedTuple):
    """A part of a block: when it could be queried, how long its insert took, its rows, and the latencies of some of them."""

    at_ms: int
    insert_ms: int
    rows: int
    sample_ms: NDArray[np.int64]


class Freshness:
    """Counts and latencies of one ingest process; safe to read from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_ms = time.time_ns() // 1_000_000
        self.topic = ""
        self._next: dict[int, int] = {}
        self._high: dict[int, int] = {}
        self._counts: dict[int, NDArray[np.int64]] = {}
        self._sum_ms: dict[int, float] = {}
        self._recent: dict[int, deque[_Block]] = {}
        self._newest_ms: dict[int, int] = {}
        self._dead: dict[tuple[str, str, str], int] = {}
        # Those that are expected begin at 0: Prometheus sees no increase in a counter that begins at 1.
        self._errors = Counter(dict.fromkeys(("unreachable", "fenced", "refused", "uncertain", "stalled"), 0))
        self.rows = self.inserts = self.backlog_rows = 0
        self._last_ms = 0

    def assigned(self, topic: str, starts: Mapping[int, int], highs: Mapping[int, int]) -> None:
        """Partitions were assigned; each goes on at its start, and holds records below its high end."""
        with self._lock:
            self.topic = topic
            self._next, self._high = dict(starts), dict(highs)

    def reach(self, highs: Mapping[int, int]) -> None:
        """Kafka holds records below these offsets."""
        with self._lock:
            self._high.update(highs)

    def landed(
        self, made: InsertBlock, now_ms: int, sent_ms: int, *, live_since_ms: Mapping[int, int] | None = None
    ) -> None:
        """A block was sent at one instant and can be queried since another.

        Args:
            made: The block.
            now_ms: When it could be queried, ms since 1970.
            sent_ms: When it was sent.
            live_since_ms: By partition: an instant before which no record of the block was appended, because the partition had been
                read to its end then. A record with an older timestamp is of a backfill, where the timestamp says when something
                happened and not when it was produced, or was waiting before ingest came: neither says how fresh the table is.
        """
        with self._lock:
            self.rows += made.rows
            self.inserts += 1
            self._last_ms = now_ms
            for mark, count in made.dead.items():
                self._dead[mark] = self._dead.get(mark, 0) + count
            for partition, (_, last) in made.ends.items():
                self._next[partition] = last + 1
            for partition, timestamps in made.timestamps_ms.items():
                if len(timestamps):
                    self._newest_ms[partition] = max(self._newest_ms.get(partition, 0), int(timestamps.max()))
                oldest_ms = max(0, (live_since_ms or {}).get(partition, 0) - _CLOCKS_APART_MS)
                live = timestamps[timestamps >= oldest_ms]
                self.backlog_rows += len(timestamps) - len(live)
                self._note(partition, now_ms - live, now_ms, sent_ms)

    def _note(self, partition: int, latency_ms: NDArray[np.int64], now_ms: int, sent_ms: int) -> None:
        if not len(latency_ms):
            return
        latency_ms = np.maximum(latency_ms, 0)  # the broker's clock may be ahead of ours
        places = np.searchsorted(BOUNDS_MS, latency_ms)
        counts = self._counts.setdefault(partition, np.zeros(len(BOUNDS_MS) + 1, np.int64))
        counts += np.bincount(places, minlength=len(BOUNDS_MS) + 1)
        self._sum_ms[partition] = self._sum_ms.get(partition, 0.0) + float(latency_ms.sum())
        recent = self._recent.setdefault(partition, deque())
        chosen = np.linspace(0, len(latency_ms) - 1, min(_SAMPLE, len(latency_ms))).astype(np.intp)
        recent.append(_Block(now_ms, now_ms - sent_ms, len(latency_ms), latency_ms[chosen]))
        while recent and recent[0].at_ms < now_ms - 1000 * _WINDOW_S:
            recent.popleft()

    def count_error(self, kind: str) -> None:
        """An error interrupted the work.

        Args:
            kind: :attr:`clickreel.errors.ClickreelError.kind`, or ``stalled``.
        """
        with self._lock:
            self._errors[kind] += 1

    @property
    def undecided(self) -> int:
        """How many landed rows wait for the schema registry; those that were validated since are among them."""
        with self._lock:
            return sum(count for (error, _, _), count in self._dead.items() if error == UNDECIDED)

    def quantiles_ms(self) -> dict[int, dict[str, float]]:
        """By partition: median and 99th percentile of the last minute's records, and how many they were.

        ``p50_ms`` and ``p99_ms`` are to the query, ``sent_p50_ms`` and ``sent_p99_ms`` to the insert.
        """
        return {partition: _quantiles(blocks) for partition, blocks in self._last_minute().items()}

    def _last_minute(self) -> dict[int, list[_Block]]:
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            kept = {
                partition: [block for block in recent if block.at_ms >= now_ms - 1000 * _WINDOW_S]
                for partition, recent in sorted(self._recent.items())
            }
        return {partition: blocks for partition, blocks in kept.items() if blocks}

    def state(self) -> dict[str, Any]:
        """Everything as one JSON object: what ``status`` and ``monitor`` show."""
        blocks = self._last_minute()
        quantiles = {
            partition: found for partition, mine in blocks.items() if not _is_catching_up(found := _quantiles(mine))
        }
        overall = _quantiles(list(chain.from_iterable(blocks.values()))) if blocks else {}
        catching_up = _is_catching_up(overall)
        with self._lock:
            dead = [
                {"error": error, "field": field, "rule": rule, "rows": rows}
                for (error, field, rule), rows in sorted(self._dead.items())
            ]
            return {
                "topic": self.topic,
                "pid": os.getpid(),
                "began_ms": self._began_ms,
                "at_ms": time.time_ns() // 1_000_000,
                "landed_ms": self._last_ms,
                "rows": self.rows,
                "backlog_rows": self.backlog_rows,
                "lag": sum(max(0, high - self._next.get(p, high)) for p, high in self._high.items()),
                "inserts": self.inserts,
                "errors": dict(self._errors),
                "dead": dead,
                "catching_up": catching_up,
                **({} if catching_up else overall),
                "partitions": [
                    {
                        "partition": partition,
                        "next": offset,
                        "high": max(offset, self._high.get(partition, offset)),
                        **quantiles.get(partition, {}),
                    }
                    for partition, offset in sorted(self._next.items())
                ],
            }

    def collect(self) -> Iterable[Metric]:
        """The metrics, as Prometheus' client asks for them."""
        families = {metric.name.removeprefix("clickreel_ingest_"): metric.family() for metric in METRICS}
        for partition, found in self.quantiles_ms().items():
            for stage, prefix in (("sent", "sent_"), ("queryable", "")):
                for name, key in (("0.5", "p50_ms"), ("0.99", "p99_ms")):
                    labels = [str(partition), stage, name]
                    families["freshness_quantile_seconds"].add_metric(labels, found[prefix + key] / 1000)
        families["resident_bytes"].add_metric([], resident_bytes())
        with self._lock:
            families["rows"].add_metric([], self.rows)
            families["backlog_rows"].add_metric([], self.backlog_rows)
            families["inserts"].add_metric([], self.inserts)
            for kind, count in self._errors.items():
                families["errors"].add_metric([kind], count)
            for mark, count in self._dead.items():
                families["dead_letters"].add_metric(mark, count)
            for partition, counts in self._counts.items():
                bounds = [*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf"]
                buckets = list(zip(bounds, np.cumsum(counts).tolist(), strict=True))
                families["freshness_seconds"].add_metric([str(partition)], buckets, self._sum_ms[partition] / 1000)
            now_ms = time.time_ns() // 1_000_000
            for partition, following in self._next.items():
                lag = max(0, self._high.get(partition, following) - following)
                newest_ms = self._newest_ms.get(partition, self._began_ms)
                families["next_offset"].add_metric([str(partition)], following)
                families["lag_records"].add_metric([str(partition)], lag)
                families["lag_seconds"].add_metric([str(partition)], max(0, now_ms - newest_ms) / 1000 if lag else 0)
        return families.values()


def _is_catching_up(quantiles: Mapping[str, float]) -> bool:
    """Whether most records were old when they landed, so that their latencies are no freshness."""
    return quantiles.get("p50_ms", 0.0) > _CATCHING_UP_MS


def _quantiles(blocks: list[_Block]) -> dict[str, float]:
    """Quantiles of samples that stand for blocks of different sizes."""
    weights = np.concatenate([np.full(len(one.sample_ms), one.rows / len(one.sample_ms)) for one in blocks])
    queryable = np.concatenate([one.sample_ms for one in blocks])
    sent = np.maximum(np.concatenate([one.sample_ms - one.insert_ms for one in blocks]), 0)
    out: dict[str, float] = {}
    for prefix, values in (("", queryable), ("sent_", sent)):
        order = np.argsort(values)
        share = np.cumsum(weights[order]) / weights.sum()
        for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99)):
            out[prefix + name] = float(values[order][min(int(np.searchsorted(share, q)), len(values) - 1)])
    return {**out, "records": sum(one.rows for one in blocks)}
