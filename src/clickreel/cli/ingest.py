"""``clickreel ingest``."""

from __future__ import annotations

from typing import Annotated

import typer

from clickreel.cli.cluster import ProfileFile, TopicName, profile
from clickreel.cli.output import Json, emit, say


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(ingest)


def ingest(  # noqa: PLR0917 - one parameter an option
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when all is landed that Kafka held at the start.")
    ] = False,
    topic: TopicName = None,
    group: Annotated[str | None, typer.Option("--group", help="Consumer group. [default: clickreel-ingest]")] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Name of this process in the group. [default: 1]")
    ] = None,
    flush_ms: Annotated[
        int | None,
        typer.Option("--flush-ms", help="How long a message waits for others on a slow topic. [default: 80]"),
    ] = None,
    flush_rows: Annotated[
        int | None, typer.Option("--flush-rows", help="Most messages of one insert. [default: 200000]")
    ] = None,
    keep_raw: Annotated[
        bool | None, typer.Option("--keep-raw/--no-keep-raw", help="Keep good messages' bytes too.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Prometheus endpoint: 0 a free port, -1 none. [default: 0]")
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on where Kafka has deleted events that were not landed.")
    ] = False,
    accept_new_topic: Annotated[
        bool, typer.Option("--accept-new-topic", help="Land a topic that was deleted and made again.")
    ] = False,
    fault: Annotated[str | None, typer.Option("--fault", hidden=True)] = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Land the topic in ClickHouse, each event exactly once.

    Example: [bold]clickreel ingest --until-caught-up[/bold]
    """
    import dataclasses
    import signal
    import threading

    from clickreel import settings as stage_settings
    from clickreel.ingest.run import STATE, Wishes
    from clickreel.ingest.run import ingest as run
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
        "fault": fault,
    }
    settings = stage_settings.load(IngestSettings, "ingest", flags=flags)
    home = Home.default()
    home.make()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    wishes = Wishes(until_caught_up, accept_loss, accept_new_topic, home.path / STATE)
    report = run(profile(profile_file), settings, wishes, stop=stop, say=say)
    if json:
        emit(dataclasses.asdict(report))
        return
    say(f"{report.rows:,} rows landed in {report.inserts} inserts, {report.dead:,} dead letters")
