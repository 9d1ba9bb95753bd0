"""The topic second by second: messages, bytes, how evenly over the partitions, how far behind."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.stream.broker import Broker
from clickreel.stream.record_batch import Record
from clickreel.stream.topic_follower import TopicFollower

_BATCH = 20_000
# Ages of offsets are known for an hour of seconds.
_HISTORY_INTERVALS = 3_600


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
        lag_s: The age of the oldest of them, s; None where it was written before the watching began. Empty likewise.
        highs: By partition, the offset that the next message will get.
        ages: How old the message at an offset is; what :attr:`lag_s` was found with.
    """

    at_ms: int
    seconds: float
    messages: list[int]
    bytes: list[int]
    skew: float
    freshness_ms: int | None
    behind: list[int]
    lag: list[int]
    lag_s: list[float | None]
    highs: list[int]
    ages: HighHistory


class HighHistory:
    """How the ends of the partitions moved, so that the age of an offset is known without reading its record."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, list[int]]] = deque(maxlen=_HISTORY_INTERVALS)

    def add(self, now_s: float, highs: list[int]) -> None:
        """Note the ends of all partitions."""
        self._ends.append((now_s, highs))

    def age_s(self, partition: int, offset: int) -> float | None:
        """How long ago the message at an offset was written, s; 0 for one that is yet to come, None for one before the first note."""
        newest_s, highs = self._ends[-1]
        if offset >= highs[partition]:
            return 0.0
        for at_s, ends in reversed(self._ends):
            if partition < len(ends) and ends[partition] <= offset:
                return newest_s - at_s
        return None


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
        group: A consumer group whose lag to measure.
        interval_s: Length of an interval.
        stop: Ends it.
        clock: Seconds since 1970.

    Yields:
        One figure an interval.
    """
    highs = [b.high for b in broker.bounds(topic)]
    follower = TopicFollower(broker, topic, dict(enumerate(highs)))
    ages = HighHistory()
    newest: str | None = None
    begun = clock()
    ages.add(begun, highs)
    try:
        while not (stop and stop.is_set()):
            messages, sizes = Counter[int](), Counter[int]()
            while (left := begun + interval_s - clock()) > 0 and not (stop and stop.is_set()):
                for batch in follower.poll(_BATCH, min(left, 0.2)):
                    messages[batch.partition] += len(batch)
                    sizes[batch.partition] += sum(map(_size, batch.records()))
                    newest = max(newest or "", *map(_event_ts, batch.values.to_pylist())) or None
            now = clock()
            highs = [b.high for b in broker.bounds(topic)]
            ages.add(now, highs)
            # Partitions that were added since are among them from now on, and read from their beginning.
            follower.add_partitions(len(highs))
            lag = _lag(broker, topic, group, highs)
            counts = [messages[p] for p in range(len(highs))]
            mean = sum(counts) / len(counts)
            yield IntervalStats(
                at_ms=round(now * 1000),
                seconds=now - begun,
                messages=counts,
                bytes=[sizes[p] for p in range(len(highs))],
                skew=max(counts) / mean if mean else 0.0,
                freshness_ms=_age(newest, now),
                behind=[max(0, high - follower.positions.get(p, 0)) for p, high in enumerate(highs)],
                lag=lag,
                lag_s=[ages.age_s(p, highs[p] - behind) for p, behind in enumerate(lag)],
                highs=highs,
                ages=ages,
            )
            begun = now
    finally:
        follower.close()


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")


def _event_ts(value: bytes | None) -> str:
    # As text: its form sorts as time does, and to parse each message would halve the rate that can be watched.
    value = value or b""
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


@dataclass(frozen=True)
class LandingLag:
    """How far ingest is behind the topic.

    Attributes:
        messages: Messages that have not landed, by partition.
        seconds: The age of the oldest of them, s; None where it was written before the watching began.
    """

    messages: list[int]
    seconds: list[float | None]

    @property
    def oldest_s(self) -> float | None:
        """The greatest age; None when one of them is not known."""
        return None if None in self.seconds else max((age for age in self.seconds if age is not None), default=0.0)


def landing_lag(second: IntervalStats, landed: Mapping[str, Any] | None) -> LandingLag | None:
    """How far ingest is behind; None when no ingest runs here, or it has no partition yet.

    Args:
        second: The figure.
        landed: What ingest says of the topic, see :func:`clickreel.ingest.ingest_status.read_status`.
    """
    nexts = {one["partition"]: one["next"] for one in (landed or {}).get("partitions", ())}
    if not nexts:
        return None
    # A partition that ingest does not have yet has not landed at all.
    offsets = [min(nexts.get(p, 0), high) for p, high in enumerate(second.highs)]
    return LandingLag(
        [high - offset for high, offset in zip(second.highs, offsets, strict=True)],
        [second.ages.age_s(p, offset) for p, offset in enumerate(offsets)],
    )


def as_json(second: IntervalStats, landed: Mapping[str, Any] | None = None) -> dict[str, object]:
    """A figure as ``--json`` prints it.

    Args:
        second: The figure.
        landed: What ingest says of the topic, see :func:`clickreel.ingest.ingest_status.read_status`; its quantiles are shown.
    """
    by_partition = {one["partition"]: one for one in (landed or {}).get("partitions", ())}
    behind = landing_lag(second, landed)
    per_s = 1 / second.seconds
    return {
        "at": timespec.format_instant(second.at_ms),
        "messages_per_s": round(sum(second.messages) * per_s, 1),
        "bytes_per_s": round(sum(second.bytes) * per_s),
        "skew": round(second.skew, 3),
        "freshness_ms": second.freshness_ms,
        "behind": sum(second.behind),
        "lag": sum(second.lag) if second.lag else None,
        "lag_s": _rounded(max((age or 0.0 for age in second.lag_s), default=0.0)) if all_known(second.lag_s) else None,
        "landing_lag": sum(behind.messages) if behind else None,
        "landing_lag_s": _rounded(behind.oldest_s) if behind else None,
        **_queryable(landed or {}),
        "partitions": [
            {
                "partition": p,
                "messages_per_s": round(messages * per_s, 1),
                "bytes_per_s": round(size * per_s),
                "behind": second.behind[p],
                "lag": second.lag[p] if second.lag else None,
                "lag_s": _rounded(second.lag_s[p]) if second.lag else None,
                "landing_lag": behind.messages[p] if behind else None,
                "landing_lag_s": _rounded(behind.seconds[p]) if behind else None,
                **_queryable(by_partition.get(p, {})),
            }
            for p, (messages, size) in enumerate(zip(second.messages, second.bytes, strict=True))
        ],
    }


def all_known(ages: list[float | None]) -> bool:
    """Whether there are ages, and every one is known."""
    return bool(ages) and None not in ages


def _rounded(age_s: float | None) -> float | None:
    return None if age_s is None else round(age_s, 1)


def _queryable(quantiles: Mapping[str, Any]) -> dict[str, object]:
    return {f"queryable_{name}": quantiles.get(name) for name in ("p50_ms", "p99_ms")}


def as_ndjson(second: IntervalStats, landed: Mapping[str, Any] | None = None) -> bytes:
    """A figure as one line of NDJSON."""
    return orjson.dumps(as_json(second, landed), option=orjson.OPT_APPEND_NEWLINE)
