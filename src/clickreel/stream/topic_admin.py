"""The topic: how large it should be, making it, and how far the real one has drifted from what is wanted. Nothing is changed in silence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clickreel import timespec
from clickreel.errors import ClickreelError
from clickreel.stream.broker import Broker, TopicState
from clickreel.stream.kafka_errors import missing
from clickreel.stream.topic_settings import TopicSettings

# What the plan reckons with. An event is 237 bytes of compact JSON, 8 of key and some 10 of record; lz4 over full batches leaves 0.31.
EVENT_BYTES = 255
STORED_RATIO = 0.31
# Confluent's planning figure for one partition's writes is 10 MB/s; half of it leaves room for bursts and for catching up.
_PARTITION_BYTES_PER_S = 5_000_000
# One consumer process lands this many events a second with room to catch up (the ingester does several times that).
_CONSUMER_EVENTS_PER_S = 50_000
_PARTITIONS_LEAST = 6  # divides by 1, 2, 3 and 6 consumers; a run cannot be moved to more partitions later
_HEADROOM = 1.25
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class TopicPlan:
    """A topic's size, derived.

    Attributes:
        partitions: Partitions.
        replication: Copies of each.
        min_insync: Copies that must have a record before it is acknowledged.
        retention_ms: How long records are kept.
        retention_bytes: The size limit of a partition that goes with it.
        disk_bytes: Disk that all copies take on the whole cluster when full.
        rules: How each number came about, one sentence each.
    """

    partitions: int
    replication: int
    min_insync: int
    retention_ms: int
    retention_bytes: int
    disk_bytes: int
    rules: tuple[str, ...]


def plan_topic(events_per_s: float, consumers: int, *, retention_ms: int = 7 * _DAY_MS, brokers: int = 1) -> TopicPlan:
    """Derive a topic's size from its load.

    Args:
        events_per_s: Events a second at the peak.
        consumers: Consumer processes that will share the topic.
        retention_ms: How long records should stay.
        brokers: Brokers of the cluster.
    """
    by_bytes = math.ceil(events_per_s * EVENT_BYTES / _PARTITION_BYTES_PER_S)
    by_consumers = math.ceil(events_per_s / _CONSUMER_EVENTS_PER_S)
    least = max(by_bytes, by_consumers, consumers, _PARTITIONS_LEAST)
    partitions = math.ceil(least / consumers) * consumers
    replication = min(3, brokers)
    min_insync = max(1, replication - 1)
    stored = events_per_s * EVENT_BYTES * STORED_RATIO * retention_ms / 1000
    retention_bytes = math.ceil(stored * _HEADROOM / partitions)
    disk = retention_bytes * partitions * replication
    kept, limit = timespec.format_duration(retention_ms), _PARTITION_BYTES_PER_S / 1e6
    rules = (
        f"{_partitions(by_bytes, 'carries', 'carry')} {events_per_s:g} events/s x {EVENT_BYTES} B at {limit:g} MB/s each",
        f"{_partitions(by_consumers, 'keeps', 'keep')} a consumer of one under {_CONSUMER_EVENTS_PER_S:,} events/s",
        f"{partitions} is the largest of these, of {consumers} consumers and of {_PARTITIONS_LEAST}, rounded up to a multiple of {consumers}",
        f"replication {replication} is the smaller of 3 and {brokers} brokers; {min_insync} must be in sync, so one may fail"
        if replication > 1
        else "replication 1 is the smaller of 3 and 1 broker; a lost disk loses the topic",
        f"{retention_bytes:,} B a partition hold {kept} of it as stored by lz4 (x {STORED_RATIO}), and {_HEADROOM - 1:.0%} more",
        f"{disk / 1e9:,.2f} GB of disk on the whole cluster: bytes x partitions x replication",
    )
    return TopicPlan(partitions, replication, min_insync, retention_ms, retention_bytes, disk, rules)


def _partitions(count: int, one: str, more: str) -> str:
    return f"{count} partition {one}" if count == 1 else f"{count} partitions {more}"


@dataclass(frozen=True)
class TopicDrift:
    """One difference between the wanted and the real topic.

    Attributes:
        setting: Its name.
        wanted: What was asked for.
        real: What is.
        fix: The command that brings the real one to what is wanted, or why none can.
    """

    setting: str
    wanted: str
    real: str
    fix: str


def require_topic(broker: Broker, name: str) -> TopicState:
    """The topic, which must be there.

    Raises:
        ClickreelError: It is not.
    """
    found = broker.topic(name)
    if found is None:
        raise missing(name, broker.address)
    return found


def find_drift(wanted: TopicSettings, real: TopicState) -> list[TopicDrift]:
    """What differs; what was not asked for does not count."""
    out = []
    if real.partitions != wanted.partitions:
        fix = "a new topic: adding partitions moves users to other partitions and ends every run in it"
        out.append(TopicDrift("partitions", str(wanted.partitions), str(real.partitions), fix))
    if wanted.replication is not None and real.replication != wanted.replication:
        fix = "Kafka's own kafka-reassign-partitions"
        out.append(TopicDrift("replication", str(wanted.replication), str(real.replication), fix))
    flags = {
        "retention.ms": f"--retention {wanted.retention}",
        "retention.bytes": f"--retention-bytes {wanted.retention_bytes}",
    }
    for name, value in wanted.configs().items():
        found = real.configs.get(name, "")
        if found != value and not _keeps_longer(name, found, value):
            fix = (
                f"clickreel topic alter {flags[name]}"
                if name in flags
                else f"Kafka's own kafka-configs, {name}={value}"
            )
            out.append(TopicDrift(name, value, found, fix))
    return out


def _keeps_longer(name: str, found: str, value: str) -> bool:
    """Whether the topic keeps its records for longer than wanted: a backfill has raised it, and lowering it would delete them."""
    if name != "retention.ms" or not found or int(value) < 0:
        return False
    return int(found) < 0 or int(found) > int(value)


def ensure_topic(broker: Broker, wanted: TopicSettings) -> tuple[TopicState, bool, list[TopicDrift]]:
    """Create the topic unless it is there.

    Returns:
        The topic as it is now, whether this call made it, and what differs from what is wanted (nothing was done about it).

    Raises:
        UsageError: The cluster cannot have it so.
    """
    found = broker.topic(wanted.name)
    if found is not None:
        return found, False, find_drift(wanted, found)
    broker.create(wanted.name, wanted.partitions, wanted.replication or -1, wanted.configs())
    return require_topic(broker, wanted.name), True, []


def alter_topic(broker: Broker, name: str, configs: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Change settings of a topic.

    Returns:
        By setting: what it was and what it is. Settings that were so already are left out.

    Raises:
        ClickreelError: There is no such topic, or the cluster refuses the value.
    """
    before = require_topic(broker, name).configs
    changed = {key: (before.get(key, ""), value) for key, value in configs.items() if before.get(key) != value}
    if changed:
        broker.alter(name, {key: value for key, (_, value) in changed.items()})
    return changed


def require_plain_cleanup(state: TopicState) -> None:
    """Refuse a compacted topic, which would keep the last event of each user only.

    Raises:
        ClickreelError: The topic is compacted.
    """
    policy = state.configs.get("cleanup.policy", "delete")
    if "compact" in policy:
        raise ClickreelError(
            f"topic {state.name} has cleanup.policy={policy}: it would keep the last event of each user only",
            hint="use another topic: clickreel topic create --topic NAME",
        )
