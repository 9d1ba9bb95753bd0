"""Watches for a second writer: records of the same run between our own.

Offsets of a partition are given one after the other, so as long as we write alone each acknowledged offset is the one expected. Where
it is not, somebody has written in between: another run, which is harmless; copies of our records, as anybody makes who tries a client on
the topic, which are harmless too; or another producer of this run, for which this one must stop. The lock (:mod:`.producer_lease`) keeps
writers apart; what it cannot keep out is a request that a paused or dying predecessor had on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from clickreel.quantities import quantity
from clickreel.simulate.world import World
from clickreel.stream.broker import Broker
from clickreel.stream.partition import partitions
from clickreel.stream.producer_lease import SecondWriterError
from clickreel.stream.record_batch import Record
from clickreel.stream.tail import event_ids, read_tails

log = logging.getLogger(__name__)

# So long after the start every gap is read at once, because a killed predecessor may be the cause; afterwards one now and then.
_SUSPICION_MS = 30_000
_SELDOM_MS = 10_000
_OFTEN_MS = 1_000
_RECORDS_MAX = 20_000


class Span(NamedTuple):
    """Offsets to look at, and how many records we had written before them and at their end."""

    first: int
    last: int
    before: int
    upto: int


class ForeignWriteDetector:
    """Checks the offsets of acknowledged records.

    Args:
        broker: The cluster.
        topic: The topic.
        world: The run.
        next_offsets: By partition: the offset that our first record should get.
        since_ms: The clock at the start.
    """

    def __init__(self, broker: Broker, topic: str, world: World, next_offsets: Sequence[int], since_ms: int) -> None:
        self._broker, self._topic, self._run, self._run_tag = broker, topic, world.run, world.run_tag
        self.next_offsets = list(next_offsets)
        self._counts = [0] * len(self.next_offsets)
        self._spans: dict[int, Span] = {}
        self._since_ms = self._looked_ms = since_ms

    def on_acknowledged(self, partition: int, count: int, offset: int) -> None:
        """CommitMetadata an acknowledgement (see :data:`clickreel.stream.broker.Acked`)."""
        before, expected = self._counts[partition], self.next_offsets[partition]
        self._counts[partition], self.next_offsets[partition] = count, offset + 1
        if offset == expected + count - before - 1:
            return
        # From the first gap to the last one everything counts, what we wrote between them included.
        span = self._spans.get(partition, Span(expected, 0, before, 0))
        if offset + 1 - span.first > _RECORDS_MAX:
            span = Span(expected, 0, before, 0)
        self._spans[partition] = span._replace(last=offset, upto=count)

    def check(self, now_ms: int) -> None:
        """Look into the gaps, as often as there is reason to.

        Raises:
            SecondWriterError: Somebody else writes this run.
        """
        often = now_ms - self._since_ms < _SUSPICION_MS
        if not self._spans or now_ms - self._looked_ms < (_OFTEN_MS if often else _SELDOM_MS):
            return
        self._looked_ms = now_ms
        spans, self._spans = self._spans, {}
        wanted = {p: (span.first, span.last + 1) for p, span in spans.items()}
        for partition, seen in read_tails(self._broker, self._topic, wanted, self._run_tag).items():
            span = spans[partition]
            own = [seen.records[i] for i in seen.own()]
            extra = len(own) - (span.upto - span.before)
            if extra > 0:
                extra -= self._copies(partition, own, span, extra)
            if extra > 0:
                raise SecondWriterError(
                    f"another program writes run {self._run} too: partition {partition} of {self._topic} holds {quantity(extra, 'record')} "
                    f"of it between offsets {span.first:,} and {span.last:,} that this one has not written",
                    hint="stop the other one; clickreel verify tells what is there twice",
                )

    def _copies(self, partition: int, own: list[Record], span: Span, most: int) -> int:
        """How many of the run's records in a span are copies that somebody has made of earlier ones, up to ``most``.

        A copy stands in a partition that is not its key's, or its event was there before the span, in these words or others; a second
        writer's records come as ours do, each for the first time. Our own deliveries that come twice count as copies too, so it is no exact number.
        """
        keys = pa.array([record.key for record in own], pa.binary())
        values = pa.array([record.value for record in own], pa.binary())
        placed = partitions(keys, values, len(self.next_offsets)) == partition
        before = {partition: (max(0, span.first - _RECORDS_MAX), span.first)}
        earlier = read_tails(self._broker, self._topic, before, self._run_tag)[partition].records
        known = set(_identities(earlier))
        found = sum(
            not is_placed or identity in known
            for identity, is_placed in zip(_identities(own), placed.tolist(), strict=True)
        )
        copies = min(found, most)
        if copies:
            log.warning(
                "another program has written copies of the run's records",
                extra={"run": self._run, "topic": self._topic, "partition": partition, "copies": copies},
            )
        return copies


def _identities(records: Sequence[Record]) -> list[tuple[int, int]]:
    _, hi, lo = event_ids([record.value for record in records])
    return list(zip(hi.tolist(), lo.tolist(), strict=True))
