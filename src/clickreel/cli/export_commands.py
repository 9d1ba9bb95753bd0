"""``clickreel export clickpipes|kafka-engine|connect-sink|flink``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickreel.cli.output import Json, print_err, print_json
from clickreel.cli.target_options import ProfileFile, TopicName


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(export)


def export(
    kind: Annotated[str, typer.Argument(help="clickpipes, kafka-engine, connect-sink or flink.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file instead of stdout.")] = None,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Write the configuration by which another engine lands the topic, and say what that engine guarantees.

    Example: [bold]clickreel export kafka-engine --out dvd_clicks.sql[/bold]
    """
    from typing import cast

    from clickreel.cli.target_options import topic_name
    from clickreel.errors import UsageError
    from clickreel.profile import Profile
    from clickreel.stream.kafka_clients import read_profile
    from clickreel.warehouse import exports

    if kind not in exports.KINDS:
        raise UsageError(f"no export {kind!r}", hint=f"one of: {', '.join(exports.KINDS)}")
    # No service is asked: without a profile the addresses are left to be filled in.
    profile = read_profile(profile_file) if profile_file else Profile({"bootstrap.servers": "HOST:9092"})
    made = exports.export(cast("exports.Kind", kind), profile, topic_name(topic))
    if out is not None:
        out.write_text(made.text, encoding="utf-8")
    if json:
        print_json(
            {"kind": made.kind, "text": made.text, "guarantees": made.guarantees, "file": str(out) if out else None}
        )
        return
    if out is None:
        typer.echo(made.text, nl=False)
    print_err((made.kind, "bold"), ", what it guarantees:")
    for line in made.guarantees:
        print_err(f"  - {line}")
