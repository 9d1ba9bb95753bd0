"""The last hour of ingest, a point a second, for any number of viewers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.ingest.ingest_status import read_status
from clickreel.stream.live_tail import LiveTail

_SECONDS_KEPT = 3_600


@dataclass(frozen=True, slots=True)
class IngestSecond:
    """One second of ingest.

    Attributes:
        at_ms: Its end, milliseconds since the Unix epoch.
        behind: Records of Kafka that are not landed; None while no ingest runs.
        p50_ms: Median time from a record's timestamp to the query, over the last minute; None where nothing landed.
        p99_ms: Its 99th percentile.
    """

    at_ms: int
    behind: int | None
    p50_ms: float | None
    p99_ms: float | None


class IngestHistory:
    """What ingest says of itself, noted once a second beside the topic's own seconds, until :meth:`close`.

    Attributes:
        seconds: The last hour, oldest first.

    Args:
        tail: The topic's tail.
        home: Where ingest writes its status.
    """

    def __init__(self, tail: LiveTail, home: Path) -> None:
        self.seconds: deque[IngestSecond] = deque(maxlen=_SECONDS_KEPT)
        self._tail, self._home = tail, home
        self._stop = threading.Event()
        threading.Thread(target=self._run, name=f"ingest-of-{tail.topic}", daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(1):
            if not self._tail.seconds:
                continue
            second = self._tail.seconds[-1]
            if self.seconds and self.seconds[-1].at_ms >= second.at_ms:
                continue
            status = read_status(self._home, self._tail.topic) or {}
            behind = count_behind(second.highs, status)
            self.seconds.append(IngestSecond(second.at_ms, behind, status.get("p50_ms"), status.get("p99_ms")))


def count_behind(highs: Sequence[int], status: Mapping[str, Any]) -> int | None:
    """Records of Kafka that are not landed; None when ingest says nothing.

    Args:
        highs: By partition, the offset that the next record will get.
        status: What :func:`~clickreel.ingest.ingest_status.read_status` gives.
    """
    nexts = {int(one["partition"]): int(one["next"]) for one in status.get("partitions", ())}
    return sum(max(0, high - nexts[p]) for p, high in enumerate(highs) if p in nexts) if nexts else None
