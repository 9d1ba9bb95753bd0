"""A share of a Kafka topic, as a member of a consumer group."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.profile import Profile
from clickreel.stream.broker import Bounds, LostError
from clickreel.stream.cluster import Cluster
from clickreel.stream.fetch_batches import fetch_batches
from clickreel.stream.kafka_clients import create_client
from clickreel.stream.kafka_errors import LOST, ClientErrors, explain, missing
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.producer_lease import LeaseHolder
from clickreel.stream.record_batch import RecordBatch
from clickreel.stream.source import Assignment, OutOfRangeError

T = TypeVar("T")
log = logging.getLogger(__name__)

# A member that was killed is missed after this; a restart under the same instance name takes its place at once.
_SESSION_MS = 10_000
_ANSWER_S = 10.0
# A member that cannot be seen from here, or that is paused, is alive when it is still in the group after a session and a little more.
_VACANCY_S = _SESSION_MS / 1000 + 2
# Partitions that are added to the topic are noticed after this; by default librdkafka looks every five minutes.
_METADATA_MS = 10_000
# A client that is closed leaves its threads behind when it does not end in this time: with Kafka paused, close waits for it.
_CLOSE_S = 5.0
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
        profile: Where Kafka is.
        topic: The topic.
        group: The consumer group.
        instance: This process's name in the group: a static member, so that a restart takes its predecessor's place at once and the
            broker refuses every later request of the predecessor (KIP-345).

    Raises:
        ClickreelError: A live process has this name in the group. It would be thrown out by joining.
    """

    def __init__(self, profile: Profile, topic: str, group: str, instance: str) -> None:
        self.topic, self.group, self.instance = topic, group, instance
        self._profile = profile
        self._cluster = Cluster(profile)
        self._assignment = Assignment(0, frozenset(), -1)
        self._is_member = self._begun = False
        self._seen_s: float | None = None  # when the topic was last there
        self.at_end: dict[int, int] = {}
        self._holder = LeaseHolder.current()
        self._config = profile.consumer_config(group) | {
            "group.instance.id": f"{group}-{instance}",
            "client.id": f"{self._holder}/{instance}",
            "session.timeout.ms": _SESSION_MS,
            "heartbeat.interval.ms": 1000,
            "partition.assignment.strategy": "range",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.interval.ms": _METADATA_MS,
            **_AHEAD,
        }
        self.topic_id()  # refuses an absent topic before anything is begun
        self._wait_until_free()
        self._connect()

    def _connect(self) -> None:
        """A new client, which has no assignment yet."""
        self._client_errors = ClientErrors()
        self._consumer: Any = create_client(Consumer, self._config | self._client_errors.config(), self._profile)
        self._consumer.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    # The place in the group

    def _holders(self, group: str) -> list[tuple[str, LeaseHolder | None]]:
        """The instance and process of each member of a group, as far as its name tells."""
        found = []
        for member in self._cluster.members(group):
            if member.group == group:
                name, _, instance = member.owner.rpartition("/")
                found.append((instance, LeaseHolder.parse(name)))
        return found

    def _wait_until_free(self) -> None:
        """Wait until no process that may live has this instance's place.

        Raises:
            ClickreelError: One has, and lives.
        """
        deadline = time.monotonic() + _VACANCY_S
        while True:
            others = [
                holder
                for instance, holder in self._holders(self.group)
                if instance == self.instance and holder not in (None, self._holder) and holder.state() != "dead"
            ]
            if not others:
                return
            for holder in others:
                if _is_landing(holder) or time.monotonic() > deadline:
                    raise ClickreelError(
                        f"process {holder.pid} on {holder.host} lands {self.topic} already (group {self.group}, "
                        f"instance {self.instance})",
                        hint="clickreel status; to share its work: clickreel ingest --instance NAME",
                    )
            time.sleep(0.2)

    def is_group_alive(self, group: str) -> bool:
        """Whether a group has a member that is not known to be dead."""
        return any(holder is None or holder.state() != "dead" for _, holder in self._holders(group))

    # The group

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:  # a client that was replaced
            return
        # Nothing is read before ClickHouse has said where to continue: `seek` assigns the offsets. The first assignment of a static
        # member may be its predecessor's, which had subscribed to another topic.
        consumer.assign([])
        self._is_member = True
        self._change(frozenset(one.partition for one in partitions if one.topic == self.topic))

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        consumer.unassign()
        self._is_member = False
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
        if self._is_member and self._assignment.generation < 0:
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

    def reopen(self) -> None:
        """Replace the client."""
        before = self._consumer
        self._is_member = False
        self._change(frozenset())
        self._connect()
        _close(before)

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
        answers: list[KafkaError | None] = []
        consumer = self._consumer

        def ask() -> None:
            try:
                done = consumer.commit(offsets=offsets, asynchronous=False)
                answers.append(next((one.error for one in done or () if one.error is not None), None))
            except KafkaException as exc:
                answers.append(exc.args[0])

        # librdkafka sets no bound to the wait: with Kafka paused in the wrong moment it lasts for ever.
        if not _within(ask, _ANSWER_S):
            self.reopen()
            raise UnreachableError(f"Kafka at {self._profile.bootstrap} does not answer", hint="clickreel status")
        (error,) = answers
        if error is None:
            return
        self._client_errors.record(error)
        self._raise()
        if error.code() in LOST:
            # Nothing is ours, and no token is taken, before the client has joined again, which it does by itself.
            self._is_member = False
            self._change(frozenset())
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
        _close(self._consumer)
        _within(self._cluster.close, _CLOSE_S)


def _is_landing(holder: LeaseHolder) -> bool:
    """Whether a process is a `clickreel ingest` of this machine that is not paused: nothing has to be waited for to know that it lands.

    A paused one loses its place by itself, and so does a program that lives on after it has ended its ingest through the Python API:
    the broker keeps a static member's place until its session is over.
    """
    if holder.state() != "alive":
        return False
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(holder.pid)
        return "ingest" in process.cmdline() and bool(process.status() != psutil.STATUS_STOPPED)
    return False


def _close(consumer: Any) -> None:
    """Close a client in bounded time."""
    if not _within(consumer.close, _CLOSE_S):
        log.warning("a Kafka client does not close; it is left behind")


def _within(call: Callable[[], object], timeout_s: float) -> bool:
    """Whether a call into librdkafka ends in time; else it is left to end on a thread of its own."""
    thread = threading.Thread(target=call, name="bounded", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


def out_of_range(topic: str, partition: int, offset: int) -> OutOfRangeError:
    """The error for an offset that a partition does not hold."""
    return OutOfRangeError(
        f"partition {partition} of {topic} does not hold offset {offset}, at which ingest must go on: Kafka deleted it before it was "
        "landed, or has lost its own data",
        hint="raise retention.ms; to go on without what is gone: clickreel ingest --accept-loss",
    )
