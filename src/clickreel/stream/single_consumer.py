"""The whole of a topic, read from any :class:`~clickreel.stream.broker.Broker`: the real cluster, or its twin in memory.

There is no group to share the work with; the broker's one-member group stands for the generation. What needs no sharing (a test, a
notebook, a one-off load) can use it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clickreel.errors import UsageError
from clickreel.stream.broker import Bounds, Broker, Commit, Reader
from clickreel.stream.kafka_errors import missing
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.source import Assignment, OutOfRangeError


class SingleConsumerSource:
    """See :class:`~clickreel.stream.source.Source`.

    Args:
        broker: The broker.
        topic: The topic, all of it.
        group: The group whose one member this is.
        instance: What the member calls itself.
    """

    def __init__(self, broker: Broker, topic: str, group: str = "clickreel-ingest", instance: str = "1") -> None:
        self.topic, self.group, self.instance = topic, group, instance
        self._broker = broker
        self._reader: Reader | None = None
        self._positions: dict[int, int] = {}
        self.at_end: dict[int, int] = {}
        self.topic_id()
        self._member = broker.join(group, topic, instance)
        self._assignment = Assignment(1, frozenset(self.bounds()), 1)

    def topic_id(self) -> str:
        """The topic's id now."""
        found = self._broker.topic(self.topic)
        if found is None:
            raise missing(self.topic, self._broker.address)
        return found.topic_id

    def assignment(self, timeout_s: float) -> Assignment:  # noqa: ARG002 - nothing is waited for
        """All partitions."""
        return self._assignment

    def bounds(self) -> dict[int, Bounds]:
        """First and next offset of each partition."""
        return dict(enumerate(self._broker.bounds(self.topic)))

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self.pause()
        self._reader = self._broker.reader(self.topic, starts)
        self._positions = dict(starts)

    def pause(self) -> None:
        """Leave off reading."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self.at_end = {}

    def reopen(self) -> None:
        """Read with a new reader; the share is assigned anew."""
        self.pause()
        self._assignment = Assignment(self._assignment.number + 1, frozenset(self.bounds()), 1)

    def is_group_alive(self, group: str) -> bool:
        """Whether a group has a member."""
        return any(member.group == group for member in self._broker.members(group))

    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """What has come."""
        if self._reader is None:
            return []
        try:
            found = self._reader.poll_batches(limit, timeout_s)
        except UsageError as exc:
            raise OutOfRangeError(exc.message, hint=exc.hint) from exc
        self._positions.update({batch.partition: int(batch.offsets[-1]) + 1 for batch in found})
        self.at_end = {partition: self._positions[partition] for partition in self._reader.ended}
        return found

    def fetch(self, partition: int, first: int, last: int) -> Iterator[RecordBatch]:
        """The messages of a run of offsets."""
        try:
            yield from read_ranges(self._broker, self.topic, {partition: (first, last + 1)})
        except UsageError as exc:
            raise OutOfRangeError(exc.message, hint=exc.hint) from exc

    def confirm_generation(self, landed: Mapping[int, int]) -> None:
        """Commit; the broker takes it only from the newest member."""
        self._member.check()
        self._member.commit({partition: Commit(offset, "") for partition, offset in landed.items()})

    def commit(self, landed: Mapping[int, int]) -> None:
        """Commit."""
        self.confirm_generation(landed)

    def close(self) -> None:
        """Stop reading and leave the group."""
        self.pause()
        self._member.leave()
