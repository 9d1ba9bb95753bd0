"""Reads partitions of a real cluster, by librdkafka: the one place where records come in that belong to no group."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from clickreel.errors import UsageError
from clickreel.profile import Profile
from clickreel.stream.fetch_batches import fetch_batches
from clickreel.stream.kafka_clients import close_consumer, create_client
from clickreel.stream.kafka_errors import ClientErrors, explain
from clickreel.stream.record_batch import Record, RecordBatch

# A broker that has just come back, or a new leader: librdkafka tries again, and whoever reads notices a lasting silence.
_TRANSIENT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}


class ClusterReader:
    """See :class:`~clickreel.stream.broker.Reader`.

    Args:
        profile: Where Kafka is.
        topic: The topic.
        starts: First offset by partition.
        check_cluster: Raises when the cluster cannot be reached; called when the client has lost all brokers.
    """

    def __init__(
        self, profile: Profile, topic: str, starts: Mapping[int, int], check_cluster: Callable[[], object]
    ) -> None:
        self._profile, self._topic, self._check_cluster = profile, topic, check_cluster
        self._client_errors = ClientErrors()
        self.ended: set[int] = set()
        self._paused: frozenset[int] = frozenset()
        config = profile.consumer_config("clickreel-reader") | {
            "enable.partition.eof": True,
            # A tail must not wait for half a megabyte to fill, and a far-away broker must not be asked a thousand times a second.
            "fetch.wait.max.ms": 100,
            # Past a full local queue librdkafka pauses fetching, by default for a whole second.
            "fetch.queue.backoff.ms": 20,
            "queued.max.messages.kbytes": 32_768,
            **self._client_errors.config(),
        }
        self._consumer = create_client(Consumer, config, profile)
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])

    def poll(self, limit: int, timeout_s: float) -> list[Record]:
        """The next records, up to ``limit``; fewer, or none, when the time is up.

        Raises:
            UsageError: A start lies outside of what the partition holds.
            UnreachableError: The broker refuses or has gone.
        """
        records = [_record(message) for message in self._keep_records(self._consumer.consume(limit, timeout_s))]
        self._check_silence(heard=bool(records))
        return records

    def poll_batches(self, limit: int, timeout_s: float) -> list[RecordBatch]:
        """The same as columns, at most one batch a partition; raises likewise."""
        batches = fetch_batches(self._consumer, limit, timeout_s, self._keep_records)
        self._check_silence(heard=bool(batches))
        return batches

    def pause(self, partitions: AbstractSet[int]) -> None:
        """Read none of these partitions until the next call."""
        wanted = frozenset(partitions)
        if wanted - self._paused:
            self._consumer.pause([TopicPartition(self._topic, partition) for partition in wanted - self._paused])
        if self._paused - wanted:
            self._consumer.resume([TopicPartition(self._topic, partition) for partition in self._paused - wanted])
        self._paused = wanted

    def seek(self, starts: Mapping[int, int]) -> None:
        """Go on from other offsets, of partitions that it reads already."""
        for partition, offset in starts.items():
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset))
            except KafkaException as exc:
                raise explain(exc.args[0], self._profile, self._client_errors, self._topic) from exc

    def close(self) -> None:
        """Stop reading."""
        close_consumer(self._consumer)

    def _keep_records(self, messages: list[Message]) -> list[Message]:
        """Leave out librdkafka's events, and act on them."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                if self.ended:  # a record behind an end says that the end has moved
                    self.ended.discard(message.partition() or 0)
                records.append(message)
            else:
                self._handle(error, message)
        return records

    def _handle(self, error: KafkaError, message: Message) -> None:
        partition = message.partition() or 0
        if error.code() == KafkaError._PARTITION_EOF:
            self.ended.add(partition)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise UsageError(
                f"partition {partition} of {self._topic} does not hold offset {message.offset()} any more or yet",
                hint=f"clickreel topic describe --topic {self._topic}",
            )
        elif error.code() not in _TRANSIENT:
            raise explain(error, self._profile, self._client_errors, self._topic)

    def _check_silence(self, *, heard: bool) -> None:
        if not heard and KafkaError._ALL_BROKERS_DOWN in self._client_errors.codes():
            self._client_errors.errors.clear()
            self._check_cluster()  # either it answers and the reader goes on, or this says what is wrong


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    headers: Any = message.headers() or ()
    return Record(
        message.partition() or 0,
        message.offset() or 0,
        timestamp if kind else -1,
        message.key(),
        message.value(),
        tuple((name, data.encode() if isinstance(data, str) else data) for name, data in headers),
    )
