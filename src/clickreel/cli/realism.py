"""``clickreel realism``: score a stream against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, emit, say, table

if TYPE_CHECKING:
    from clickreel.audit.realism import Report, Result


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(realism)


def realism(
    source: Annotated[Path, typer.Argument(help="A file of events: .parquet, .csv or .jsonl.", metavar="SOURCE")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Score a stream that is too small to be judged.")] = False,
    json: Json = False,
) -> None:
    """Score how much the stream looks like people: thirteen figures against published ones.

    Example: [bold]clickreel realism events.parquet[/bold]

    Exits with 6 when a figure falls out of its band. A stream under 1 M events, 14 days or 1,000 films is refused.
    """
    from clickreel.audit.realism import Floor, score
    from clickreel.audit.realism.read import read
    from clickreel.errors import VerificationError

    columns = read(source)
    report = score(columns, floor=Floor(0, 0, 0) if anyway else None)
    if json:
        emit(report.as_json())
    else:
        show(report)
    if not report.ok:
        out = ", ".join(result.test.id for result in report.results if result.ok is False)
        raise VerificationError(f"outside the band: {out}", hint="look at the figures marked with !")


def show(report: Report) -> None:
    """Print the table: one line a figure, the notes below."""
    say(
        f"{report.events:,} events of {report.users:,} users in {report.sessions:,} sessions, "
        f"{report.films:,} films, {report.days:.1f} days"
    )
    rows = [row for result in report.results for row in _rows(result)]
    table(("test", "figure", "value>", "band", "verdict", "source"), rows)
    say("[A] an assumption: no published figure stands behind the band")
    for result in report.results:
        if result.found.note:
            say(f"{result.test.id}: {result.found.note}".replace("[", r"\["))


def _rows(result: Result) -> list[tuple[Any, ...]]:
    rows = []
    for place, band in enumerate(result.test.bands):
        value = result.found.values.get(band.name)
        mark = "-" if value is None or not band.judged else "ok" if band.holds(value) else "! out"
        rows.append(
            (
                result.test.id if place == 0 else "",
                f"{result.test.name}: {band.name}",
                "not measured" if value is None else f"{value:.4g}",
                band.text(),
                mark,
                result.test.source if place == 0 else "",
            )
        )
    return rows
