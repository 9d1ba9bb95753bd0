"""``clickreel jars``: the programs of the local stack, fetched ahead of time or for a machine without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(
        cls=CommandGroup,
        help="Fetch the programs that the local stack runs.",
    )
    group.command()(fetch)
    app.add_typer(group, name="jars")


def fetch(
    groups: Annotated[
        list[str] | None,
        typer.Argument(help="kafka, registry, flink or kafka-tools. [default: the first three]"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Also copy them here, for CLICKREEL_JARS on a machine without a network."),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch what is missing or corrupt, check every byte, and copy it where it is wanted.

    Example: `clickreel jars fetch --to /media/stick/jars`
    """
    from clickreel.cli.checklist import Checklist
    from clickreel.errors import UsageError
    from clickreel.local import jars
    from clickreel.local.task_graph import Step, StepEvent, run

    known = jars.lock()
    wanted = groups or ["kafka", "registry", "flink"]
    unknown = [group for group in wanted if group not in known]
    if unknown:
        raise UsageError(f"there is no group {unknown[0]!r}", hint=f"one of: {', '.join(known)}")
    for artifact in jars.corrupt(wanted):
        (jars.folder() / artifact.path).unlink()
    with Checklist() as checklist:

        def progress(done: int, total: int) -> None:
            checklist(StepEvent("jars", "fetch", done=done, total=total))

        fetched = 0

        def bring() -> str:
            nonlocal fetched
            fetched = jars.fetch(wanted, progress)
            return f"{fetched / 1e6:,.0f} MB fetched, the rest was there"

        run([Step("jars", bring)], checklist)
    copied = jars.copy(wanted, to) if to else 0
    if json:
        print_json(
            {"groups": list(wanted), "fetched_bytes": fetched, "copied_bytes": copied, "folder": str(jars.folder())}
        )
    elif to:
        print_err(f"{copied / 1e6:,.0f} MB copied to {to}; there: CLICKREEL_JARS={to}")
