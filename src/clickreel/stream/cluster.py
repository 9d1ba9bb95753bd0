"""The real Kafka behind :class:`~clickreel.stream.broker.Broker`, by librdkafka."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from clickreel.errors import UnreachableError
from clickreel.profile import Profile
from clickreel.stream.broker import Acked, Bounds, Commit, LostError, Member, TopicState
from clickreel.stream.cluster_reader import ClusterReader
from clickreel.stream.kafka_clients import call_within, close_consumer, create_client
from clickreel.stream.kafka_errors import FATAL_ERRORS, LOST, REFUSED, ClientErrors, explain

# An answer takes milliseconds; a broker that is starting or a lost packet some seconds. Ten are promised to the caller as the most.
_CONNECT_S = 7.0
_DOWN_S = 3.0  # long enough for a broker that is just restarting, when every address has refused
_ANSWER_S = 9.0
_GROUP_SESSION_MS = 10_000
_JOIN_S = (
    45.0  # another member that died without leaving is waited out for its session, at most 30 s in common settings
)
# Outstanding records: enough to fill requests to every partition while acknowledgements are on their way, little enough that a queue
# is never hundreds of megabytes deep.
_QUEUE_RECORDS = 200_000
_QUEUE_KBYTES = 131_072
# One acknowledgement in this many records is asked for when the local queue is busy: a Python call for each costs 0.3 us of 1.1.
_MARK_EVERY = 256
_EARLIEST, _LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]

_UNSETTLED = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._WAIT_CACHE,
    KafkaError._NOENT,
}


class Cluster:
    """A Kafka cluster.

    Args:
        profile: Where it is and how to get in. Nothing is asked of it before the first call of a method.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.address = profile.bootstrap
        self._client_errors = ClientErrors()
        self._client: AdminClient | None = None
        self._askers: dict[str, Consumer] = {}

    # Asking

    def _admin(self) -> AdminClient:
        """The admin client, connected."""
        if self._client is not None:
            return self._client
        config = {**self.profile.admin(), "reconnect.backoff.max.ms": 1000, "socket.connection.setup.timeout.ms": 5000}
        config.pop("session.timeout.ms", None)
        client = create_client(AdminClient, {**config, **self._client_errors.config()}, self.profile)
        since = time.monotonic()
        while True:
            try:
                client.list_topics(timeout=0.5)
                break
            except KafkaException as exc:
                client.poll(0)
                codes = self._client_errors.codes()
                down = KafkaError._ALL_BROKERS_DOWN in codes and time.monotonic() > since + _DOWN_S
                if down or codes & FATAL_ERRORS or time.monotonic() > since + _CONNECT_S:
                    self.fail(exc.args[0])
        self._client_errors.errors.clear()
        self._client = client
        return self._client

    def fail(self, error: KafkaError, topic: str = "", client_errors: ClientErrors | None = None) -> NoReturn:
        """Raise what an error of librdkafka means, in words."""
        raise explain(error, self.profile, client_errors or self._client_errors, topic)

    def _result(self, future: Any, topic: str = "") -> Any:
        try:
            return future.result(timeout=_ANSWER_S)
        except KafkaException as exc:
            raise explain(exc.args[0], self.profile, self._client_errors, topic) from exc
        except TimeoutError as exc:
            raise UnreachableError(f"Kafka at {self.address} does not answer", hint="clickreel doctor") from exc

    # Topics

    def topic(self, name: str) -> TopicState | None:
        """The topic as it is; ``None`` when there is none of that name."""
        admin = self._admin()
        future = admin.describe_topics(TopicCollection([name]), request_timeout=_ANSWER_S)[name]
        try:
            found = future.result(timeout=_ANSWER_S + 1)
        except KafkaException as exc:
            if exc.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise explain(exc.args[0], self.profile, self._client_errors, name) from exc
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = self._result(admin.describe_configs([resource], request_timeout=_ANSWER_S)[resource], name)
        configs = {entry.name: entry.value for entry in entries.values() if entry.value is not None}
        replication = min((len(partition.replicas) for partition in found.partitions), default=0)
        return TopicState(name, str(found.topic_id), len(found.partitions), replication, configs)

    def create(self, name: str, partitions: int, replication: int, configs: Mapping[str, str]) -> None:
        """Create a topic and wait until its partitions can be written.

        Raises:
            UsageError: The topic exists, or the cluster cannot have it so (more replicas than brokers, an unknown setting).
        """
        new = NewTopic(name, partitions, replication, config=dict(configs))
        future = self._admin().create_topics([new], operation_timeout=_ANSWER_S, request_timeout=_ANSWER_S)[name]
        self._result(future, name)
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            found = self._admin().list_topics(name, timeout=_ANSWER_S).topics[name]
            if len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values()):
                return
            time.sleep(0.05)
        raise UnreachableError(
            f"topic {name} was created, but its partitions have no leaders yet", hint="clickreel topic describe"
        )

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's settings and leave the others as they are."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        for key, value in configs.items():
            resource.add_incremental_config(ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET))
        self._result(self._admin().incremental_alter_configs([resource], request_timeout=_ANSWER_S)[resource], name)

    def bounds(self, topic: str) -> list[Bounds]:
        """First and next offset of every partition."""
        low, high = self._offsets(topic, _EARLIEST), self._offsets(topic, _LATEST)
        return [Bounds(*pair) for pair in zip(low, high, strict=True)]

    def stable_offsets(self, topic: str) -> list[int]:
        """By partition: the last stable offset, from which on a transaction is open; the next offset where none is."""
        return self._offsets(topic, _LATEST, IsolationLevel.READ_COMMITTED)

    def offsets_at(self, topic: str, timestamp_ms: int) -> list[int]:
        """By partition: the first offset with that timestamp or a later one; the next offset where there is none."""
        found = self._offsets(topic, OffsetSpec.for_timestamp(timestamp_ms))
        return [
            high if offset < 0 else offset for offset, high in zip(found, self._offsets(topic, _LATEST), strict=True)
        ]

    def _partitions(self, topic: str) -> list[int]:
        try:
            found = self._admin().list_topics(topic, timeout=_ANSWER_S).topics[topic]
        except KafkaException as exc:
            raise explain(exc.args[0], self.profile, self._client_errors, topic) from exc
        if found.error is not None:
            self.fail(found.error, topic)
        return sorted(found.partitions)

    def _offsets(
        self, topic: str, spec: OffsetSpec, isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> list[int]:
        wanted = {TopicPartition(topic, p): spec for p in self._partitions(topic)}
        deadline = time.monotonic() + _ANSWER_S
        while True:
            futures = self._admin().list_offsets(wanted, isolation_level=isolation, request_timeout=_ANSWER_S)
            try:
                return [int(futures[key].result(timeout=_ANSWER_S + 1).offset) for key in wanted]
            except KafkaException as exc:
                # Right after a topic was made, or a leader has moved, the broker does not know itself yet.
                if exc.args[0].code() not in _UNSETTLED or time.monotonic() > deadline:
                    raise explain(exc.args[0], self.profile, self._client_errors, topic) from exc
                time.sleep(0.05)

    # Reading, writing, groups

    def reader(self, topic: str, starts: Mapping[int, int]) -> ClusterReader:
        """A reader from the given offsets on."""
        self._admin()
        return ClusterReader(self.profile, topic, starts, lambda: self.bounds(topic))

    def writer(self, topic: str, acked: Acked) -> ClusterWriter:
        """A writer to a topic that exists."""
        return ClusterWriter(self, topic, len(self.bounds(topic)), acked)

    def plain_producer(self, config: Mapping[str, Any]) -> Producer:
        """A producer of librdkafka as others use it, for comparisons."""
        return create_client(Producer, {"bootstrap.servers": self.address, **config}, self.profile)

    def join(self, group: str, topic: str, owner: str) -> ClusterMembership:
        """Become the one member of a group; an earlier member is replaced."""
        self._admin()
        return ClusterMembership(self, group, topic, owner)

    def members(self, prefix: str) -> list[Member]:
        """The members of all groups whose name starts with the prefix."""
        admin = self._admin()
        listed = self._result(admin.list_consumer_groups(request_timeout=_ANSWER_S))
        groups = sorted(g.group_id for g in listed.valid if g.group_id.startswith(prefix))
        if not groups:
            return []
        described = admin.describe_consumer_groups(groups, request_timeout=_ANSWER_S)
        return [Member(name, m.client_id) for name in groups for m in self._result(described[name]).members]

    def committed(self, group: str, topic: str) -> dict[int, Commit]:
        """What a group has committed for a topic, by partition."""
        self._admin()
        # Not by the admin client: librdkafka 2.15 crashes the process in list_consumer_group_offsets when the coordinator has just
        # started and answers with an error. A consumer that belongs to the group without joining it asks the same.
        if group not in self._askers:
            config = {**self.profile.consumer_config(group), **self._client_errors.config()}
            self._askers[group] = create_client(Consumer, config, self.profile)
        wanted = [TopicPartition(topic, p) for p in range(len(self._partitions(topic)))]
        try:
            found = self._askers[group].committed(wanted, timeout=_ANSWER_S)
        except KafkaException as exc:
            raise explain(exc.args[0], self.profile, self._client_errors, topic) from exc
        return {p.partition: Commit(p.offset, p.metadata or "") for p in found if p.offset >= 0}

    def close(self) -> None:
        """Drop the connections."""
        for asker in self._askers.values():
            close_consumer(asker)
        self._askers.clear()
        self._client = None


class ClusterWriter:
    """See :class:`~clickreel.stream.broker.Writer`.

    How an acknowledgement of one record proves all before it: the producer is idempotent with ``enable.gapless.guarantee`` and no
    time-out of its own, so a record that fails makes the client fail for good; nothing sent after it is ever stored. So only
    every 256th record, and the last one of each call of :meth:`send`, carries a callback.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int, acked: Acked) -> None:
        self._cluster, self._topic, self._acked, self._client_errors = cluster, topic, acked, ClientErrors()
        config = cluster.profile.producer_config()
        # Other names of what is set here, and what would make this another kind of producer.
        for name in ("queue.buffering.max.ms", "delivery.timeout.ms", "transactional.id"):
            config.pop(name, None)
        config |= {
            "enable.gapless.guarantee": True,
            "delivery.report.only.error": False,
            "message.timeout.ms": 0,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": _QUEUE_RECORDS,
            "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            **self._client_errors.config(),
        }
        self._producer: Any = create_client(Producer, config, cluster.profile)
        self.sent = [0] * partitions
        self.acknowledged = [0] * partitions
        self.latencies_ms: list[float] = []
        self._error: KafkaError | None = None
        self._closed = False

    def send(
        self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes], timestamps_ms: Sequence[int]
    ) -> int:
        """Hand records to the local queue; see :class:`~clickreel.stream.broker.Writer`."""
        produce, topic, first = self._producer.produce, self._topic, self.sent[partition]
        last, taken = len(values) - 1, 0
        try:
            for taken, (key, value, timestamp) in enumerate(zip(keys, values, timestamps_ms, strict=True)):
                mark = None
                if taken % _MARK_EVERY == 0 or taken == last:
                    mark = functools.partial(self._marked, partition, first + taken + 1, time.perf_counter())
                produce(topic, value, key, partition, mark, None, timestamp)
            taken = len(values)
        except BufferError:
            pass  # the local queue is full: the record at `taken` was not accepted
        except KafkaException as exc:
            self._error = self._error or exc.args[0]
        self.sent[partition] = first + taken
        return taken

    def _marked(self, partition: int, count: int, since: float, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._error = self._error or error
            return
        self.acknowledged[partition] = count
        self.latencies_ms.append(1000 * (time.perf_counter() - since))
        self._acked(partition, count, message.offset())

    def poll(self, timeout_s: float) -> None:
        """Serve acknowledgements for up to ``timeout_s``.

        Raises:
            ClickreelError: A record could not be stored; nothing sent after it will be.
        """
        self._serve("poll", timeout_s)

    def _serve(self, method: Literal["poll", "flush"], timeout_s: float) -> None:
        """Let the client call back; its fatal error, which it raises out of this, counts only where no record names the cause."""
        if self._closed:
            return
        try:
            getattr(self._producer, method)(timeout_s)
        except KafkaException as exc:
            self._client_errors.fatal = self._client_errors.fatal or exc.args[0]
        error = self._error or self._client_errors.fatal
        if error is not None:
            self._cluster.fail(error, self._topic, self._client_errors)
        for error in self._client_errors.errors:
            if error.code() in FATAL_ERRORS:
                self._cluster.fail(error, self._topic, self._client_errors)

    def flush(self, timeout_s: float) -> int:
        """Wait until all is acknowledged, for up to ``timeout_s``; how many records are not."""
        self._serve("flush", timeout_s)
        return sum(self.sent) - sum(self.acknowledged)

    def close(self) -> None:
        """Drop what is not acknowledged yet."""
        if not self._closed:
            self._closed = True
            # Nothing is served any more: of each record that it drops the client would say "Purged in queue", a consequence and no cause.
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)
            self._producer = None


class ClusterMembership:
    """See :class:`~clickreel.stream.broker.Membership`.

    The member is static (``group.instance.id``): joining replaces an earlier one at once, alive or dead, and the group coordinator
    refuses every later request of the replaced one (KIP-345). It takes part in no assignment and reads nothing.
    """

    def __init__(self, cluster: Cluster, group: str, topic: str, owner: str) -> None:
        self._cluster, self._group, self._topic, self._client_errors = cluster, group, topic, ClientErrors()
        self._joined = self._lost = self._left = False
        config = cluster.profile.consumer_config(group)
        config |= {
            "group.protocol": "classic",
            "group.instance.id": "writer",
            "client.id": owner,
            "session.timeout.ms": _GROUP_SESSION_MS,
            "heartbeat.interval.ms": 1000,
            "max.poll.interval.ms": 24 * 3600 * 1000,
            "on_commit": self._on_commit,
            **self._client_errors.config(),
        }
        self._consumer = create_client(Consumer, config, cluster.profile)
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_gone, on_lost=self._on_gone)
        deadline = time.monotonic() + _JOIN_S
        while not self._joined:
            self.check()
            if time.monotonic() > deadline:
                raise UnreachableError(f"the group {group} cannot be joined", hint="clickreel doctor")

    def _on_assign(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        if self._joined:
            self._lost = True
        self._joined = True
        consumer.assign([])  # a member that reads nothing

    def _on_gone(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        # Silent for longer than the session: the coordinator has forgotten us and somebody may have joined. Left alone, the client
        # would join again by itself and throw that one out.
        self._lost = True
        with contextlib.suppress(KafkaException):  # it may know already that it has no say any more
            consumer.unsubscribe()

    def _on_commit(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._client_errors.record(error)

    def check(self) -> None:
        """Serve the group.

        Raises:
            LostError: Another member has taken this one's place; known a heartbeat (a second) later at the latest.
        """
        self._refuse_lost()
        message = self._consumer.poll(0 if self._joined else 0.05)
        error = message.error() if message is not None else None
        if error is not None:
            self._client_errors.record(error)
        for error in (self._client_errors.fatal, *self._client_errors.errors):
            if error is None:
                continue
            self._lost = self._lost or error.fatal() or error.code() in LOST
            if error.code() in REFUSED:
                about = self._group if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED else self._topic
                self._cluster.fail(error, about, self._client_errors)
        self._refuse_lost()

    def _refuse_lost(self) -> None:
        if self._lost:
            raise LostError(f"another member has taken over the group {self._group}")

    def commit(self, commits: Mapping[int, Commit]) -> None:
        """Commit, and wait for the answer; see :class:`~clickreel.stream.broker.Membership`."""
        self._refuse_lost()
        offsets = [TopicPartition(self._topic, p, commit.offset, commit.metadata) for p, commit in commits.items()]
        try:
            call_within(_ANSWER_S, functools.partial(self._consumer.commit, offsets=offsets, asynchronous=False))
        except TimeoutError as exc:
            raise UnreachableError(
                f"the group coordinator of Kafka at {self._cluster.address} does not answer", hint="clickreel doctor"
            ) from exc
        except KafkaException as exc:
            if exc.args[0].code() in LOST or exc.args[0].fatal():
                self._lost = True
                raise LostError(f"another member has taken over the group {self._group}") from exc
            raise explain(exc.args[0], self._cluster.profile, self._client_errors, self._topic) from exc

    def commit_soon(self, commits: Mapping[int, Commit]) -> None:
        """Commit without waiting; see :class:`~clickreel.stream.broker.Membership`."""
        offsets = [TopicPartition(self._topic, p, commit.offset, commit.metadata) for p, commit in commits.items()]
        if not self._lost:
            with contextlib.suppress(KafkaException):  # of no consequence, or `check` will tell
                self._consumer.commit(offsets=offsets, asynchronous=True)

    def leave(self) -> None:
        """Stop being a member; the group forgets it after its session time."""
        if not self._left:
            self._lost = self._left = True
            close_consumer(self._consumer)
