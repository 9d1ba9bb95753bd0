"""Reading a topic up to a cut, all partitions side by side, none much ahead of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from clickreel.stream.broker import Broker
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.record_batch import RecordBatch

Held = Callable[[], set[int]]
"""The partitions that are ahead of the others and should not be read for now."""

Read = Callable[[Mapping[int, int], Mapping[int, int], Held], Iterator[RecordBatch]]
"""``read(starts, stops, held)``: the records of each partition from its start on, below its stop."""


def of_broker(broker: Broker, topic: str) -> Read:
    """A reader of a topic."""

    def read(starts: Mapping[int, int], stops: Mapping[int, int], held: Held) -> Iterator[RecordBatch]:
        ranges = {partition: (start, stops[partition]) for partition, start in starts.items()}
        return read_ranges(broker, topic, ranges, paused=held)

    return read
