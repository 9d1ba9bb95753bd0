"""A share of a Kafka topic, as a member of a consumer group."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.profile import Profile
from clickreel.stream.broker import Bounds, LostError
from clickreel.stream.cluster import Cluster
from clickreel.stream.fetch_batches import fetch_batches
from clickreel.stream.kafka_clients import create_client
from clickreel.stream.kafka_errors import LOST, ClientErrors, explain, missing
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.source import Assignment, OutOfRangeError

T = TypeVar("T")

# A member that was killed is missed after this; a restart under the same instance name takes its place at once.
_SESSION_MS = 10_000
# A topic that was there and is not any more is believed to be deleted after this.
_GONE_S = 30.0
# Two poll's worth of messages are fetched ahead. Past that librdkafka pauses fetching, by default for a whole second.
_AHEAD = {"queued.min.messages": 100_000, "queued.max.messages.kbytes": 65_536, "fetch.queue.backoff.ms": 20}
_METADATA_MAGIC = b"CGMDv2:"
# A broker's refusal of a static member whose name another has taken, and what librdkafka makes of it.
_TAKEN = {KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL}
_UNKNOWN = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_RETRYABLE = {
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
}


class ConsumerGroupSource:
    """See :class:`~clickreel.stream.source.Source`.

    Args:
        profile: DeadLetterFilter Kafka is.
        topic: The topic.
        group: The consumer group.
        instance: This process's name in the group: a static member, so that a restart takes its predecessor's place at once and the
            broker refuses every later request of the predecessor (KIP-345).
    """

    def __init__(self, profile: Profile, topic: str, group: str, instance: str) -> None:
        self.topic, self.group, self.instance = topic, group, instance
        self._profile = profile
        self._cluster = Cluster(profile)
        self._client_errors = ClientErrors()
        self._assignment = Assignment(0, frozenset(), -1)
        self._begun = False
        self._seen_s: float | None = None  # when the topic was last there
        self.at_end: dict[int, int] = {}
        self._config = profile.consumer_config(group) | {
            "group.instance.id": f"{group}-{instance}",
            "client.id": f"clickreel-ingest-{instance}",
            "session.timeout.ms": _SESSION_MS,
            "heartbeat.interval.ms": 1000,
            "partition.assignment.strategy": "range",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            **_AHEAD,
            **self._client_errors.config(),
        }
        self.topic_id()  # refuses an absent topic before anything is begun
        self._consumer = create_client(Consumer, self._config, profile)
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    # The group

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Nothing is read before ClickHouse has said where to go on: `begin` assigns the offsets.
        consumer.assign([])
        self._change(frozenset(one.partition for one in partitions))

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        consumer.unassign()
        self._change(frozenset())

    def _change(self, partitions: frozenset[int]) -> None:
        self._begun = False
        # The generation is not asked for here: inside a callback of `close` librdkafka waits for the answer for ever.
        self._assignment = Assignment(self._assignment.number + 1, partitions, -1)

    def _generation(self) -> int:
        """The group's generation out of librdkafka's description of this member; -1 where its form is not known."""
        try:
            data = self._consumer.consumer_group_metadata()
        except (KafkaException, RuntimeError):  # not known before the first assignment and after the last
            return -1
        raw = bytes(data) if not isinstance(data, bytes) else data
        if not raw.startswith(_METADATA_MAGIC):
            return -1
        return int(struct.unpack_from("<i", raw, len(_METADATA_MAGIC))[0])

    def assignment(self, timeout_s: float) -> Assignment:
        """The share as it is now."""
        if not self._begun:
            # Nothing is assigned yet, so a poll serves the group and brings no message.
            message = self._consumer.poll(timeout_s)
            error = message.error() if message is not None else None
            if error is not None:
                self._client_errors.record(error)
        self._raise()
        if self._assignment.partitions and self._assignment.generation < 0:
            self._assignment = self._assignment._replace(generation=self._generation())
        return self._assignment

    def _raise(self) -> None:
        for error in (self._client_errors.fatal, *self._client_errors.errors):
            if error is not None and (error.fatal() or error.code() in _TAKEN):
                raise LostError(
                    f"another process has taken the place of instance {self.instance} in the group {self.group}",
                    hint="give each process its own --instance",
                )
        self._client_errors.errors.clear()

    # The topic

    def topic_id(self) -> str:
        """The topic's id now."""
        found = self._asked(lambda: self._cluster.topic(self.topic))
        if found is not None:
            self._seen_s = time.monotonic()
            return found.topic_id
        if self._seen_s is not None and time.monotonic() < self._seen_s + _GONE_S:
            # A broker that has just started may not know its topics yet.
            raise UnreachableError(
                f"the topic {self.topic} is not there at the moment", hint="clickreel topic describe"
            )
        raise missing(self.topic, self._profile.bootstrap)

    def bounds(self) -> dict[int, Bounds]:
        """First and next offset of each partition."""
        return dict(enumerate(self._asked(lambda: self._cluster.bounds(self.topic))))

    def _asked(self, ask: Callable[[], T]) -> T:
        """An answer of the cluster. One that has served before and refuses now is starting, or moving its leaders: it is waited for."""
        try:
            return ask()
        except (UnreachableError, UsageError):
            raise
        except ClickreelError as exc:
            if self._seen_s is None:
                raise
            raise UnreachableError(exc.message, hint=exc.hint) from exc

    # Reading

    def seek(self, starts: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self._consumer.assign([TopicPartition(self.topic, partition, offset) for partition, offset in starts.items()])
        self._begun = True
        self.at_end = {}

    def pause(self) -> None:
        """Leave off reading."""
        self._consumer.assign([])
        self._begun = False

    def poll(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """What has come."""
        number = self._assignment.number
        found = fetch_batches(self._consumer, limit, timeout_s, self._good)
        self._raise()
        return found if number == self._assignment.number else []

    def _good(self, messages: list[Message]) -> list[Message]:
        """The messages that are none of librdkafka's remarks, which have no key and mostly stand at the end."""
        if None not in map(Message.key, messages):
            return messages
        return [message for message in messages if not self._failed(message)]

    def _failed(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self.at_end[message.partition() or 0] = message.offset() or 0
            return True
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise out_of_range(self.topic, message.partition() or 0, message.offset() or 0)
        if error.code() in _UNKNOWN:
            self.topic_id()  # raises when the topic is gone, or not known yet after a broker's start
        self._client_errors.record(error)
        return True

    def fetch(self, partition: int, first: int, last: int) -> Iterator[RecordBatch]:
        """The messages of a run of offsets."""
        try:
            yield from read_ranges(self._cluster, self.topic, {partition: (first, last + 1)})
        except UsageError as exc:
            raise out_of_range(self.topic, partition, first) from exc

    # Committing

    def confirm_generation(self, landed: Mapping[int, int]) -> None:
        """Commit and wait for the broker's word."""
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in landed.items()]
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False)
            error = next((one.error for one in done or () if one.error is not None), None)
        except KafkaException as exc:
            error = exc.args[0]
        if error is None:
            return
        self._client_errors.record(error)
        self._raise()
        if error.code() in LOST:
            self._change(
                frozenset()
            )  # nothing is ours, and nothing is claimed, before the client has joined again, by itself
        if error.code() in _RETRYABLE | LOST | _UNKNOWN or error.retriable():
            raise UnreachableError(
                f"the group {self.group} has gone on without this process ({error.name()})", hint="clickreel status"
            )
        raise explain(error, self._profile, self._client_errors, self.topic)

    def commit(self, landed: Mapping[int, int]) -> None:
        """Commit, without waiting for the answer."""
        offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in landed.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as exc:
            self._client_errors.record(exc.args[0])

    def close(self) -> None:
        """Leave off reading; a static member's place is kept for its restart."""
        self._consumer.close()
        self._cluster.close()


def out_of_range(topic: str, partition: int, offset: int) -> OutOfRangeError:
    """The error for an offset that a partition does not hold."""
    return OutOfRangeError(
        f"partition {partition} of {topic} does not hold offset {offset}, at which ingest must go on: Kafka deleted it before it was "
        "landed, or has lost its own data",
        hint="raise retention.ms; to go on without what is gone: clickreel ingest --accept-loss",
    )
