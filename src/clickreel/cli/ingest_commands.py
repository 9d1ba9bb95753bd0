"""``clickreel ingest`` and ``clickreel dead-letters list|show|replay``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_out, print_table
from clickreel.cli.target_options import ProfileFile, TopicName, profile
from clickreel.foreign_text import printable
from clickreel.quantities import quantity

if TYPE_CHECKING:
    import threading

    from clickreel.ingest.dead_letters import DeadLetter, DeadLetterFilter
    from clickreel.ingest.loop import IngestReport
    from clickreel.ingest.run_ingest import IngestOptions
    from clickreel.ingest.settings import IngestSettings

# Ends an ingest that was told to stop and waits for an answer that does not come. An insert under way takes some seconds.
_GRACE_S = 15.0

Field = Annotated[str | None, typer.Option("--field", help="Only letters with a violation in this field.")]
Rule = Annotated[str | None, typer.Option("--rule", help="Only letters that broke this rule.")]
Partition = Annotated[int | None, typer.Option("--partition", help="Only letters of this partition.")]
Offset = Annotated[int | None, typer.Option("--offset", help="Only the letter at this offset.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(ingest)
    group = typer.Typer(cls=CommandGroup, help="List, show and replay the messages that broke the contract.")
    group.command(name="list")(list_letters)
    group.command()(show)
    group.command()(replay)
    app.add_typer(group, name="dead-letters")


def ingest(  # noqa: PLR0917 - one parameter an option
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop once everything that Kafka held at the start has landed.")
    ] = False,
    topic: TopicName = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Consumer group. [default: one per topic and home]")
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Name of this process in the group. [default: 1]")
    ] = None,
    flush_ms: Annotated[
        int | None,
        typer.Option("--flush-ms", help="Longest wait for more messages, slow topic, ms. [default: 80]"),
    ] = None,
    flush_rows: Annotated[
        int | None, typer.Option("--flush-rows", help="Largest number of messages per insert. [default: 500000]")
    ] = None,
    keep_raw: Annotated[
        bool | None, typer.Option("--keep-raw/--no-keep-raw", help="Keep the raw bytes of valid messages too.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", help="Port for Prometheus: 0 for a free one, -1 for none. [default: 0]"),
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Continue even though Kafka has deleted events that had not landed.")
    ] = False,
    accept_new_topic: Annotated[
        bool, typer.Option("--accept-new-topic", help="Land a topic that was deleted and created again.")
    ] = False,
    failpoint: Annotated[str | None, typer.Option("--failpoint", hidden=True)] = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Land the topic in ClickHouse, each event exactly once.

    Example: `clickreel ingest --until-caught-up`
    """
    import dataclasses

    from clickreel import settings as stage_settings
    from clickreel.ingest.ingest_status import status_file
    from clickreel.ingest.run_ingest import IngestOptions
    from clickreel.ingest.settings import IngestSettings
    from clickreel.local.home import Home

    flags = {
        "topic": topic,
        "group": group,
        "instance": instance,
        "flush_ms": flush_ms,
        "flush_rows": flush_rows,
        "keep_raw": keep_raw,
        "metrics_port": metrics_port,
        "failpoint": failpoint,
    }
    settings = stage_settings.load(IngestSettings, "ingest", flags=flags)
    home = Home.default()
    home.make()
    options = IngestOptions(
        until_caught_up, accept_loss, accept_new_topic, home.path, status_file(home.path, settings.topic)
    )
    report = _land(settings, options, profile_file)
    if json:
        print_json(dataclasses.asdict(report))
        return
    print_err(
        f"{quantity(report.rows, 'row')} landed in {quantity(report.inserts, 'insert')}, {quantity(report.dead, 'dead letter')}"
    )


def _land(settings: IngestSettings, options: IngestOptions, profile_file: Path | None) -> IngestReport:
    import threading

    from clickreel.heartbeat import Heartbeat
    from clickreel.ingest.run_ingest import run_ingest

    stop = threading.Event()

    def work() -> IngestReport:
        target = profile(profile_file)
        with Heartbeat.from_environment() as beats:
            return run_ingest(
                target, settings, options, stop=stop, heartbeat=beats, find_profile=lambda: profile(profile_file)
            )

    return _run_until_stopped(work, stop)


def _run_until_stopped(work: Callable[[], IngestReport], stop: threading.Event) -> IngestReport:
    """Run on a thread of its own, so that a signal is heard whatever a library call waits for; leave when it does not end in time."""
    import os
    import signal
    import time
    from concurrent.futures import Future
    from threading import Thread

    from clickreel.interrupts import end_requests

    done: Future[IngestReport] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - raised again below, on the main thread
            done.set_exception(exc)

    with end_requests(lambda _: stop.set(), signal.SIGINT, signal.SIGTERM):
        Thread(target=run, name="ingest", daemon=True).start()
        asked_s = 0.0
        while not done.done():
            with contextlib.suppress(TimeoutError):
                done.exception(0.2)
            if stop.is_set():
                asked_s = asked_s or time.monotonic()
                if time.monotonic() > asked_s + _GRACE_S:
                    print_err(
                        f"ingest did not stop within {_GRACE_S:.0f} s: exiting anyway; the blocks that landed are complete"
                    )
                    os._exit(1)
        return done.result()


def _where(
    topic: str | None, partition: int | None, offset: int | None, field: str | None, rule: str | None
) -> DeadLetterFilter:
    from clickreel.cli.target_options import topic_name
    from clickreel.ingest.dead_letters import DeadLetterFilter

    return DeadLetterFilter(topic_name(topic), partition, offset, field, rule)


def _client(file: Path | None) -> Any:
    from clickreel.warehouse import migrate
    from clickreel.warehouse.client import connect

    client = connect(profile(file))
    migrate.check(client)
    return client


def list_letters(  # noqa: PLR0917 - one parameter an option
    field: Field = None,
    rule: Rule = None,
    partition: Partition = None,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Count the dead letters by reason.

    Example: `clickreel dead-letters list`
    """
    from clickreel.ingest import dead_letters

    found = dead_letters.count_dead_letters(_client(profile_file), _where(topic, partition, None, field, rule))
    if json:
        print_json({"dead_letters": sum(one["count"] for one in found), "reasons": found})
        return
    print_table(
        ["error", "field", "rule", "count>", "first", "last"],
        [(one["error"], one["field"], one["rule"], f"{one['count']:,}", one["first"], one["last"]) for one in found],
    )
    if not found:
        print_err("no dead letters")


def show(  # noqa: PLR0917 - one parameter an option
    field: Field = None,
    rule: Rule = None,
    partition: Partition = None,
    offset: Offset = None,
    limit: Annotated[int, typer.Option("--limit", help="Largest number to show.")] = 10,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show dead letters with their bytes and what is wrong with them.

    Example: `clickreel dead-letters show --field device --limit 3`
    """
    from clickreel.ingest import dead_letters

    where = _where(topic, partition, offset, field, rule)
    for letter in dead_letters.list_dead_letters(_client(profile_file), where, limit=limit):
        if json:
            print_json(_plain(letter))
            continue
        print_out(
            f"partition {letter.partition} offset {letter.offset}  {letter.timestamp}  {letter.field}/{letter.rule}"
        )
        print_out(f"  {printable(letter.reason)}")
        for name, data in (("key", letter.key), ("value", letter.value)):
            print_out(f"  {name:5}  {'null' if data is None else printable(data)}")


def _plain(letter: DeadLetter) -> dict[str, Any]:
    def text(data: bytes | None) -> str | None:
        return None if data is None else data.decode(errors="backslashreplace")

    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp.isoformat(),
        "error": letter.error,
        "field": letter.field,
        "rule": letter.rule,
        "reason": letter.reason,
        "key": text(letter.key),
        "value": text(letter.value),
        "value_hex": None if letter.value is None else letter.value.hex(),
        "headers": {name: text(data) for name, data in letter.headers},
    }


def replay(  # noqa: PLR0917 - one parameter an option
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema", help="Validate against this value schema (a file), whatever schema the messages name."
        ),
    ] = None,
    field: Field = None,
    rule: Rule = None,
    partition: Partition = None,
    offset: Offset = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only report how many would land.")] = False,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """After a fix, land dead letters that are good now, each at its own place, once.

    Example: `clickreel dead-letters replay --schema value-v6.json`

    A fix is a schema that was registered since (for messages that name one), a newer clickreel, or the schema given.
    """
    from clickreel.contract import schema_files, schema_registry
    from clickreel.contract.schema_lookup import SchemaLookup
    from clickreel.ingest import dead_letters

    found = profile(profile_file)
    where = _where(topic, partition, offset, field, rule)
    ask = schema_registry.connect(found).by_id if found.registry_url else None
    report = dead_letters.replay(
        _client(profile_file),
        where,
        SchemaLookup(ask, where.topic),
        schema=schema_files.read(schema) if schema else None,
        dry=dry,
    )
    dead = [{"field": name, "rule": rule, "count": count} for (name, rule), count in report.still_dead.most_common()]
    if json:
        print_json({"looked": report.looked, "landed": report.landed, "still_dead": dead, "dry": dry})
        return
    print_err(
        f"{quantity(report.looked, 'dead letter')} validated again: {report.landed:,} {'would land' if dry else 'landed'}"
    )
    if dead:
        print_table(
            ["still dead: field", "rule", "count>"], [(one["field"], one["rule"], one["count"]) for one in dead]
        )
