"""``clickreel topic plan|create|describe|check|alter``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.stream.topic_admin import TopicDrift
    from clickreel.stream.topic_settings import TopicSettings

Partitions = Annotated[int | None, typer.Option("--partitions", help="Partitions. [default: 6]")]
Replication = Annotated[int | None, typer.Option("--replication", help="Replication factor. [default: the cluster's]")]
Retention = Annotated[
    str | None, typer.Option("--retention", help="How long records stay: 7d, 36h, forever. [default: 7d]")
]
RetentionBytes = Annotated[
    int | None, typer.Option("--retention-bytes", help="Bytes kept per partition, -1 for no limit. [default: -1]")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(cls=CommandGroup, help="Plan, create, describe and check the topic.")
    for command in (plan, create, describe, check, alter):
        group.command()(command)
    app.add_typer(group, name="topic")


def plan(
    events_per_second: Annotated[float, typer.Option("--events-per-second", help="Events a second at the peak.")],
    consumers: Annotated[int, typer.Option("--consumers", help="Consumer processes that share the topic.")] = 1,
    retention: Annotated[str, typer.Option("--retention", help="How long records should stay.")] = "7d",
    brokers: Annotated[int, typer.Option("--brokers", help="Brokers of the cluster.")] = 1,
    json: Json = False,
) -> None:
    """Derive partitions, replication and retention from a load, and say how.

    Example: `clickreel topic plan --events-per-second 50000 --consumers 4 --brokers 3`
    """
    from clickreel import timespec
    from clickreel.errors import UsageError
    from clickreel.stream import topic_admin

    for name, value in (("events-per-second", events_per_second), ("consumers", consumers), ("brokers", brokers)):
        if not 0 < value < 1e9:
            raise UsageError(f"--{name} is {value:g}", hint="allowed: above 0")
    found = topic_admin.plan_topic(
        events_per_second, consumers, retention_ms=timespec.span_ms(retention, "--retention"), brokers=brokers
    )
    command = (
        f"clickreel topic create --partitions {found.partitions} --replication {found.replication} "
        f"--retention {retention} --retention-bytes {found.retention_bytes}"
    )
    if json:
        print_json({**dataclasses.asdict(found), "command": command})
        return
    figures = ("partitions", "replication", "min_insync", "retention_ms", "retention_bytes", "disk_bytes")
    print_table(["setting", "value>"], [(name, f"{getattr(found, name):,}") for name in figures])
    for rule in found.rules:
        print_err(f"  {rule}")
    print_err(command)


def _wanted(
    name: str | None,
    partitions: int | None,
    replication: int | None,
    retention: str | None,
    retention_bytes: int | None,
) -> TopicSettings:
    from clickreel import settings
    from clickreel.stream.topic_settings import TopicSettings

    flags = {
        "name": name,
        "partitions": partitions,
        "replication": replication,
        "retention": retention,
        "retention_bytes": retention_bytes,
    }
    wanted = settings.load(TopicSettings, "topic", flags=flags)
    wanted.configs()  # a retention that is no span is said before anything is asked of Kafka
    return wanted


def _drift(found: list[TopicDrift]) -> None:
    print_table(["setting", "wanted>", "real>", "to fix it"], [dataclasses.astuple(one) for one in found])


def create(  # noqa: PLR0917 - one parameter an option
    topic: TopicName = None,
    partitions: Partitions = None,
    replication: Replication = None,
    retention: Retention = None,
    retention_bytes: RetentionBytes = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Create the topic. One that exists is left as it is; where it differs, that is said and the exit code is 5.

    Example: `clickreel topic create --partitions 12 --retention 14d`
    """
    from clickreel.cli.target_options import broker
    from clickreel.stream import topic_admin

    wanted = _wanted(topic, partitions, replication, retention, retention_bytes)
    state, created, drift = topic_admin.ensure_topic(broker(profile), wanted)
    if json:
        print_json(
            {
                "topic": state.name,
                "created": created,
                "drift": drift,
                "partitions": state.partitions,
                "replication": state.replication,
            }
        )
    else:
        size = f"{quantity(state.partitions, 'partition')}, replication {state.replication}"
        print_err(
            f"{state.name}: " + (f"created, {size}" if created else f"exists already, {size}; nothing was changed")
        )
        if drift:
            _drift(drift)
    if drift:
        raise typer.Exit(5)


def describe(topic: TopicName = None, profile: ProfileFile = None, json: Json = False) -> None:
    """Show the topic: its settings, and what each partition holds.

    Example: `clickreel topic describe`
    """
    from clickreel.cli.target_options import broker, topic_name
    from clickreel.stream.topic_admin import require_topic

    cluster, name = broker(profile), topic_name(topic)
    state = require_topic(cluster, name)
    bounds = cluster.bounds(name)
    if json:
        partitions = [
            {"partition": p, "low": b.low, "high": b.high, "records": b.high - b.low} for p, b in enumerate(bounds)
        ]
        head: dict[str, Any] = {"topic": name, "topic_id": state.topic_id, "replication": state.replication}
        print_json(
            {
                **head,
                "records": sum(b.high - b.low for b in bounds),
                "partitions": partitions,
                "configs": dict(state.configs),
            }
        )
        return
    print_err(
        f"{name} at {cluster.address}: {quantity(state.partitions, 'partition')}, replication {state.replication}, id {state.topic_id}"
    )
    shown = (
        "retention.ms",
        "retention.bytes",
        "cleanup.policy",
        "message.timestamp.type",
        "min.insync.replicas",
        "compression.type",
    )
    print_table(["setting", "value"], [(key, state.configs[key]) for key in shown if key in state.configs])
    print_table(
        ["partition>", "first offset>", "next offset>", "records>"],
        [(p, f"{b.low:,}", f"{b.high:,}", f"{b.high - b.low:,}") for p, b in enumerate(bounds)],
    )


def check(  # noqa: PLR0917 - one parameter an option
    topic: TopicName = None,
    partitions: Partitions = None,
    replication: Replication = None,
    retention: Retention = None,
    retention_bytes: RetentionBytes = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Compare the topic with what is wanted; exit code 5 where it has drifted.

    Example: `clickreel topic check --partitions 6 --retention 7d`
    """
    from clickreel.cli.target_options import broker
    from clickreel.stream import topic_admin

    wanted = _wanted(topic, partitions, replication, retention, retention_bytes)
    found = topic_admin.find_drift(wanted, topic_admin.require_topic(broker(profile), wanted.name))
    if json:
        print_json({"ok": not found, "topic": wanted.name, "drift": found})
    elif found:
        _drift(found)
    else:
        print_err(f"{wanted.name} has the wanted settings")
    if found:
        raise typer.Exit(5)


def alter(
    topic: TopicName = None,
    retention: Retention = None,
    retention_bytes: RetentionBytes = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Change how long the topic keeps its records; shows what was and what is.

    Example: `clickreel topic alter --retention 30d`
    """
    from clickreel.cli.target_options import broker
    from clickreel.errors import UsageError
    from clickreel.stream import topic_admin

    if retention is None and retention_bytes is None:
        raise UsageError("nothing to change", hint="clickreel topic alter --retention 30d")
    wanted = _wanted(topic, None, None, retention, retention_bytes).configs()
    given = {"retention.ms": retention, "retention.bytes": retention_bytes}
    name = _wanted(topic, None, None, None, None).name
    configs = {key: wanted[key] for key, value in given.items() if value is not None}
    changed = topic_admin.alter_topic(broker(profile), name, configs)
    if json:
        print_json({"topic": name, "changed": {key: {"before": a, "now": b} for key, (a, b) in changed.items()}})
        return
    print_table(["setting", "before>", "now>"], [(key, *pair) for key, pair in changed.items()])
    if not changed:
        print_err(f"{name} already has these settings; nothing was changed")
