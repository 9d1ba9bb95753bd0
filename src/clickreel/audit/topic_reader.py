"""Reading a topic up to a cut, all partitions side by side, none much ahead of the others."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from clickreel.errors import UnreachableError
from clickreel.profile import Profile
from clickreel.stream.broker import Broker
from clickreel.stream.fetch_batches import fetch_batches
from clickreel.stream.kafka_errors import ClientErrors, explain
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.single_consumer import batches_from_records

_POLL_ROWS = 50_000
_ANSWER_S = 20.0

# A broker that has just come back, or a new leader.
_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}

Held = Callable[[], set[int]]
"""The partitions that are ahead of the others and should not be read for now."""

Read = Callable[[Mapping[int, int], Mapping[int, int], Held], Iterator[RecordBatch]]
"""``read(starts, stops, held)``: the records of each partition from its start on, below its stop."""


def of_cluster(profile: Profile, topic: str) -> Read:
    """A reader of a real topic."""

    def read(starts: Mapping[int, int], stops: Mapping[int, int], held: Held) -> Iterator[RecordBatch]:
        client_errors = ClientErrors()
        consumer = Consumer(
            profile.consumer_config("clickreel-verify")
            | {"enable.partition.eof": True, "queued.max.messages.kbytes": 32_768, "fetch.queue.backoff.ms": 20}
            | {"fetch.wait.max.ms": 100, **client_errors.config()}
        )
        open_ones = {partition for partition, start in starts.items() if start < stops[partition]}
        paused: set[int] = set()
        ended: set[int] = set()

        def good(messages: list[Message]) -> list[Message]:
            """Without librdkafka's remarks; the partitions whose end was met are noted."""
            for error, partition in ((message.error(), message.partition()) for message in messages):
                if error is None or error.code() in _PASSING:  # librdkafka tries again; a lasting silence is told below
                    continue
                if error.code() != KafkaError._PARTITION_EOF:
                    raise explain(error, profile, client_errors, topic)
                ended.add(partition or 0)
            return [message for message in messages if message.error() is None]

        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in sorted(open_ones)])
        heard_s = time.monotonic()
        try:
            while open_ones:
                paused = _pause(consumer, topic, paused, held() & open_ones, open_ones)
                found = fetch_batches(consumer, _POLL_ROWS, 0.2, good)
                yield from _wanted(found, stops, open_ones)
                if found or paused or ended & open_ones:
                    heard_s = time.monotonic()
                elif time.monotonic() > heard_s + _ANSWER_S:
                    raise UnreachableError(f"Kafka at {profile.bootstrap} does not answer", hint="clickreel status")
                open_ones -= ended
        finally:
            consumer.close()

    return read


def _wanted(found: list[RecordBatch], stops: Mapping[int, int], open_ones: set[int]) -> Iterator[RecordBatch]:
    """The records below the stops; a partition that has come to its stop is closed."""
    for batch in found:
        below = batch.below(stops[batch.partition])
        if len(below) < len(batch) or (len(below) and below.offsets[-1] == stops[batch.partition] - 1):
            open_ones.discard(batch.partition)
        if len(below):
            yield below


def _pause(consumer: Consumer, topic: str, paused: set[int], wanted: set[int], open_ones: set[int]) -> set[int]:
    """Pause and resume partitions, never all of them."""
    if wanted >= open_ones:
        wanted = set()
    if wanted - paused:
        consumer.pause([TopicPartition(topic, partition) for partition in wanted - paused])
    if paused - wanted:
        consumer.resume([TopicPartition(topic, partition) for partition in paused - wanted])
    return wanted


def of_broker(broker: Broker, topic: str) -> Read:
    """A reader of a topic of any broker, the one in memory included."""

    def read(starts: Mapping[int, int], stops: Mapping[int, int], held: Held) -> Iterator[RecordBatch]:  # noqa: ARG001 - small topics
        reader = broker.reader(topic, starts)
        open_ones = {partition for partition, start in starts.items() if start < stops[partition]}
        try:
            while open_ones:
                yield from _wanted(batches_from_records(reader.poll(10_000, 0.2)), stops, open_ones)
                open_ones -= reader.ended
        finally:
            reader.close()

    return read
