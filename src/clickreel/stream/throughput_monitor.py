"""The topic second by second: messages, bytes, how evenly over the partitions, how far behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.stream.broker import Broker
from clickreel.stream.record_batch import Record

_BATCH = 20_000


@dataclass(frozen=True)
class IntervalStats:
    """What happened in one interval.

    Attributes:
        at_ms: Its end, milliseconds since 1970.
        seconds: Its length.
        messages: Messages written, by partition.
        bytes: Bytes of keys and values, by partition.
        skew: The busiest partition's messages over the mean; 1.0 is even, 0.0 when nothing was written.
        freshness_ms: The present less the event time of the newest event; ``None`` when none was seen.
        behind: Messages written but not yet seen here, by partition.
        lag: By partition, messages that the watched group has not committed; empty when none is watched.
    """

    at_ms: int
    seconds: float
    messages: list[int]
    bytes: list[int]
    skew: float
    freshness_ms: int | None
    behind: list[int]
    lag: list[int]


def watch(
    broker: Broker,
    topic: str,
    *,
    group: str | None = None,
    interval_s: float = 1.0,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[IntervalStats]:
    """Watch the topic from now on.

    Args:
        broker: The cluster.
        topic: The topic.
        group: A consumer group whose lag is to be told.
        interval_s: Length of an interval.
        stop: Ends it.
        clock: Seconds since 1970.

    Yields:
        One figure an interval.
    """
    bounds = broker.bounds(topic)
    nexts = [b.high for b in bounds]
    reader = broker.reader(topic, dict(enumerate(nexts)))
    newest: str | None = None
    begun = clock()
    try:
        while not (stop and stop.is_set()):
            messages, sizes = [0] * len(bounds), [0] * len(bounds)
            while (left := begun + interval_s - clock()) > 0 and not (stop and stop.is_set()):
                for record in reader.poll(_BATCH, min(left, 0.2)):
                    messages[record.partition] += 1
                    sizes[record.partition] += len(record.key or b"") + len(record.value or b"")
                    nexts[record.partition] = record.offset + 1
                    newest = max(newest or "", _event_ts(record)) or None
            now = clock()
            highs = [b.high for b in broker.bounds(topic)]
            mean = sum(messages) / len(messages)
            yield IntervalStats(
                at_ms=round(now * 1000),
                seconds=now - begun,
                messages=messages,
                bytes=sizes,
                skew=max(messages) / mean if mean else 0.0,
                freshness_ms=_age(newest, now),
                behind=[max(0, high - at) for high, at in zip(highs, nexts, strict=True)],
                lag=_lag(broker, topic, group, highs),
            )
            begun = now
    finally:
        reader.close()


def _event_ts(record: Record) -> str:
    # As text: its form sorts as time does, and to parse each message would halve the rate that can be watched.
    value = record.value or b""
    at = value.find(b'"event_ts":"')
    return value[at + 12 : at + 35].decode("ascii", "replace") if at >= 0 else ""


def _age(newest: str | None, now: float) -> int | None:
    if newest is None:
        return None
    try:
        return round(now * 1000) - timespec.instant_ms(newest, 0)
    except UsageError:  # a broken event's time is none
        return None


def _lag(broker: Broker, topic: str, group: str | None, highs: list[int]) -> list[int]:
    if group is None:
        return []
    committed = broker.committed(group, topic)
    return [high - committed[p].offset if p in committed else high for p, high in enumerate(highs)]


def as_json(second: IntervalStats, landed: Mapping[str, Any] | None = None) -> dict[str, object]:
    """A figure as ``--json`` prints it.

    Args:
        second: The figure.
        landed: What ingest says of the topic, see :func:`clickreel.ingest.freshness.standing`; its quantiles are shown.
    """
    landed = landed or {}
    by_partition = {one["partition"]: one for one in landed.get("partitions", ())}
    per_s = 1 / second.seconds
    return {
        "at": timespec.format_instant(second.at_ms),
        "messages_per_s": round(sum(second.messages) * per_s, 1),
        "bytes_per_s": round(sum(second.bytes) * per_s),
        "skew": round(second.skew, 3),
        "freshness_ms": second.freshness_ms,
        "behind": sum(second.behind),
        "lag": sum(second.lag) if second.lag else None,
        **_queryable(landed),
        "partitions": [
            {
                "partition": p,
                "messages_per_s": round(messages * per_s, 1),
                "bytes_per_s": round(size * per_s),
                "behind": second.behind[p],
                "lag": second.lag[p] if second.lag else None,
                **_queryable(by_partition.get(p, {})),
            }
            for p, (messages, size) in enumerate(zip(second.messages, second.bytes, strict=True))
        ],
    }


def _queryable(quantiles: Mapping[str, Any]) -> dict[str, object]:
    return {f"queryable_{name}": quantiles.get(name) for name in ("p50_ms", "p99_ms")}


def as_ndjson(second: IntervalStats, landed: Mapping[str, Any] | None = None) -> bytes:
    """A figure as one line of NDJSON."""
    return orjson.dumps(as_json(second, landed), option=orjson.OPT_APPEND_NEWLINE)
