"""``clickreel export clickpipes|kafka-engine|connect-sink|flink|superset|grafana``."""

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
    kind: Annotated[str, typer.Argument(help="clickpipes, kafka-engine, connect-sink, flink, superset or grafana.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file instead of stdout.")] = None,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Write the configuration for another engine to land the topic, or the charts as a Superset or Grafana dashboard.

    Example: `clickreel export kafka-engine --out dvd_clicks.sql`
    """
    from typing import cast

    from clickreel.cli.target_options import topic_name
    from clickreel.errors import UsageError
    from clickreel.insight import dashboard_exports
    from clickreel.profile import Profile
    from clickreel.stream.kafka_clients import read_profile
    from clickreel.warehouse import exports

    kinds = (*exports.KINDS, *dashboard_exports.KINDS)
    if kind not in kinds:
        raise UsageError(f"no export {kind!r}", hint=f"one of: {', '.join(kinds)}")
    # No service is asked: without a profile the addresses are left to be filled in.
    profile = read_profile(profile_file) if profile_file else Profile({"bootstrap.servers": "HOST:9092"})
    if kind in dashboard_exports.KINDS:
        _write_dashboard(kind, dashboard_exports.export_dashboard(kind, profile), out, json=json)
        return
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


def _write_dashboard(kind: str, content: bytes, out: Path | None, *, json: bool) -> None:
    """A zip goes into a file only."""
    from clickreel.errors import UsageError

    if out is None and kind == "superset":
        raise UsageError("a zip is not printed", hint="clickreel export superset --out clickreel.zip")
    if out is not None:
        out.write_bytes(content)
        print_err(f"{out}: {len(content):,} bytes")
    if json:
        text = content.decode() if kind == "grafana" else None
        print_json({"kind": kind, "text": text, "guarantees": [], "file": str(out) if out else None})
    elif out is None:
        typer.echo(content.decode())
