"""The one reader of ranges of offsets: the producer's resume, the proof, a repair of ingest and every command read through it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from clickreel.errors import UnreachableError
from clickreel.stream.broker import Broker
from clickreel.stream.record_batch import RecordBatch

_POLL_S = 0.2
_SILENCE_S = 20.0

Ranges = Mapping[int, tuple[int, int]]
"""By partition: the first offset to read, and the offset to stop before."""


def read_ranges(
    broker: Broker,
    topic: str,
    ranges: Ranges,
    *,
    limit: int = 50_000,
    paused: Callable[[], AbstractSet[int]] = frozenset,
    stop: threading.Event | None = None,
) -> Iterator[RecordBatch]:
    """Read a range of offsets of each partition, all partitions side by side.

    What Kafka does not serve within a range is passed over without a word: control records, records of aborted transactions, records
    that compaction or retention has removed. A transaction that is still open is the end of its partition; whoever has to say so
    compares with :meth:`~clickreel.stream.broker.Broker.stable_offsets`.

    Args:
        broker: The cluster.
        topic: The topic.
        ranges: What to read; the starts must be offsets that the partitions hold.
        limit: Records fetched at once, at most.
        paused: The partitions that should not be read for now; asked before each fetch, never all of them.
        stop: Ends it.

    Yields:
        Batches of one partition each, never empty, in offset order within a partition.

    Raises:
        UsageError: A partition does not hold its start any more.
        UnreachableError: The cluster refuses, or is silent for 20 s.
    """
    stops = {partition: end for partition, (start, end) in ranges.items() if start < end}
    if not stops:
        return
    assigned = frozenset(stops)
    reader = broker.reader(topic, {partition: ranges[partition][0] for partition in sorted(assigned)})
    heard_s = time.monotonic()
    try:
        while stops and not (stop and stop.is_set()):
            held = paused() & stops.keys()
            reader.pause((assigned - stops.keys()) | (held if held < stops.keys() else frozenset()))
            found = reader.poll_batches(limit, _POLL_S)
            for batch in found:
                yield from _within(batch, stops)
            finished = reader.ended & stops.keys()
            for partition in finished:
                del stops[partition]
            if found or finished or held:
                heard_s = time.monotonic()
            elif time.monotonic() > heard_s + _SILENCE_S:
                raise UnreachableError(
                    f"Kafka at {broker.address} sends nothing of {topic} for {_SILENCE_S:g} s", hint="clickreel doctor"
                )
    finally:
        reader.close()


def _within(batch: RecordBatch, stops: dict[int, int]) -> Iterator[RecordBatch]:
    """The records below the stop of their partition, which is closed when they come up to it."""
    end = stops.get(batch.partition)
    if end is None:
        return
    below = batch.below(end)
    if len(below) < len(batch) or int(batch.offsets[-1]) == end - 1:
        del stops[batch.partition]
    if len(below):
        yield below
