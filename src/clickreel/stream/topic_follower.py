"""Follows a topic at its end, for as long as somebody watches; partitions that are added are noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from clickreel.errors import UnreachableError
from clickreel.stream.broker import Broker, Reader
from clickreel.stream.record_batch import RecordBatch

# Whoever adds partitions to a topic sees their records here after this time at the latest.
PARTITIONS_CHECK_S = 10.0


class TopicFollower:
    """Reads the records that come to a topic.

    Args:
        broker: The cluster.
        topic: The topic.
        begin: First offset by partition; other partitions are left out.
        all_partitions: Whether partitions that are added later are read too, from their beginning.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        begin: Mapping[int, int],
        *,
        all_partitions: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker, self._topic, self._clock = broker, topic, clock
        self._all_partitions = all_partitions
        self._known = max(begin, default=-1) + 1
        self.positions = dict(begin)
        self._reader: Reader = broker.reader(topic, begin)
        self._checked_s = clock()

    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """The records that have come; none when the time is up. Raises as a reader does."""
        if self._all_partitions and self._clock() >= self._checked_s + PARTITIONS_CHECK_S:
            self._look_for_partitions()
        batches = self._reader.poll_batches(limit, timeout_s)
        for batch in batches:
            self.positions[batch.partition] = int(batch.offsets[-1]) + 1
        return batches

    def skip_ahead(self, keep: int) -> int:
        """Go near the end of the partitions that are far behind it, for a viewer who cannot see more; returns how many are left out.

        Args:
            keep: Records of each partition that are still read; twice as many are no reason to skip.
        """
        try:
            bounds = self._broker.bounds(self._topic)
        except UnreachableError:
            return 0
        ahead = {p: bounds[p].high - keep for p, at in self.positions.items() if bounds[p].high - at > 2 * keep}
        left_out = sum(target - self.positions[p] for p, target in ahead.items())
        if ahead:
            self.positions |= ahead
            self._reader.close()  # and with it what it has fetched ahead
            self._reader = self._broker.reader(self._topic, self.positions)
        return left_out

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def add_partitions(self, count: int) -> None:
        """Read the partitions that were added, where there are more of them than are known."""
        if count > self._known:
            self._look_for_partitions()

    def _look_for_partitions(self) -> None:
        """Begin anew with the partitions that there are by now, if there are more."""
        self._checked_s = self._clock()
        try:
            bounds = self._broker.bounds(self._topic)
        except UnreachableError:
            return  # the reader says it when it lasts
        added = {p: bounds[p].low for p in range(self._known, len(bounds))}
        if not added:
            return
        self._known = len(bounds)
        self.positions |= added
        self._reader.close()
        self._reader = self._broker.reader(self._topic, self.positions)
