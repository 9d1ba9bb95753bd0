"""``clickreel realism``: score a stream against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, emit, say, table

if TYPE_CHECKING:
    from clickreel.audit.realism import Columns, Report, Result


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(realism)


def realism(
    source: Annotated[
        str,
        typer.Argument(
            help="A file of events (.parquet, .csv, .jsonl), or [bold]topic[/bold], or [bold]warehouse[/bold]."
        ),
    ],
    *,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="The run's ledger (.parquet, .jsonl): for R11, R13 and a part of R6."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Draw six curves into this file (.png, .svg).")
    ] = None,
    topic: Annotated[str, typer.Option("--topic", help="The topic's name.")] = "dvd_clicks",
    profile: Annotated[
        Path | None, typer.Option("--profile", help="client.properties of another cluster.", envvar="CLICKREEL_PROFILE")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Score a stream that is too small to be judged.")] = False,
    json: Json = False,
) -> None:
    """Score how much a stream looks like people: thirteen figures against published ones.

    Example: [bold]clickreel realism events.parquet --ledger ledger.parquet --picture realism.png[/bold]

    Exits with 6 when a figure falls out of its band. A stream under 1 M events, 14 days or about 1,000 films is refused.
    """
    from clickreel.audit.realism import Evidence, Floor, score, timeline
    from clickreel.audit.realism.ledger import read_ledger
    from clickreel.audit.realism.picture import checked, draw
    from clickreel.errors import VerificationError

    picture = checked(picture) if picture else None
    truth = read_ledger(ledger) if ledger else None
    columns = _columns(source, topic, profile)
    report = score(columns, ledger=truth, floor=Floor(0, 0, 0) if anyway else None)
    if picture:
        draw(Evidence(columns, timeline(columns), truth), picture)
        say(f"picture: {picture}")
    if json:
        emit(report.as_json())
    else:
        show(report)
    if not report.ok:
        out = ", ".join(result.test.id for result in report.results if result.ok is False)
        raise VerificationError(f"outside the band: {out}", hint="the figures marked with ! say by how much")


def _columns(source: str, topic: str, profile: Path | None) -> Columns:
    from clickreel.audit.realism.sources import TOPIC, WAREHOUSE, columns_of

    if source not in (TOPIC, WAREHOUSE):
        return columns_of(source, None, topic)
    from clickreel.local.stack import profile as local_profile
    from clickreel.stream.profile import read

    return columns_of(source, read(profile) if profile else local_profile(), topic)


def show(report: Report) -> None:
    """Print the table: one line a figure; notes and sources below."""
    say(
        f"{report.events:,} events of {report.users:,} users in {report.sessions:,} sessions, "
        f"{report.films:,} films, {report.days:.1f} days"
    )
    rows = [row for result in report.results for row in _rows(result)]
    table(("", "test", "figure", "value>", "band", "verdict"), rows)
    say("[A]: an assumption, no published figure stands behind the band".replace("[", r"\["))
    for result in report.results:
        note = f"; {result.found.note}" if result.found.note else ""
        say(f"{result.test.id}: {result.test.source}{note}".replace("[", r"\["))


def _rows(result: Result) -> list[tuple[Any, ...]]:
    rows = []
    for place, band in enumerate(result.test.bands):
        value = result.found.values.get(band.name)
        verdict = "" if value is None or not band.judged else "ok" if band.holds(value) else "! out"
        rows.append(
            (
                result.test.id if place == 0 else "",
                result.test.name if place == 0 else "",
                band.name,
                "not measured" if value is None else f"{value:.4g}",
                band.text(),
                verdict,
            )
        )
    return rows
