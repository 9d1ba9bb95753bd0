"""What the commands that answer have in common: the warehouse, the window, and the proof of an answer (``--prove``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import print_err, print_json, print_table
from clickreel.cli.target_options import profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clickreel.insight.window import Window
    from clickreel.warehouse.client import Client

DAY_MS = 86_400_000

Prove = Annotated[
    bool,
    typer.Option(
        "--prove",
        help="The same numbers from the run simulated again, from raw rows and as answered; 6 when they differ.",
    ),
]


def open_warehouse(path: Path | None, since: str, until: str | None) -> tuple[Client, Window]:
    """The warehouse of a profile, and the window that the options mean."""
    import time

    from clickreel import timespec
    from clickreel.insight.window import window
    from clickreel.warehouse.client import connect

    length_ms = timespec.span_ms(since, "--since")
    now_ms = int(time.time() * 1000)
    end_ms = None if until is None else timespec.instant_ms(until, now_ms, "--until")
    client = connect(profile(path))
    return client, window(client, length_ms, now_ms=now_ms, end_ms=end_ms)


def show_proof(
    path: Path | None,
    since: str,
    until: str | None,
    ask: Callable[[Client, Window], Mapping[str, Any]],
    *,
    before_ms: int,
    json: bool,
) -> None:
    """Prove an answer and end with 6 unless it holds. Without --until the last minute, which may be on its way, is left out."""
    import time

    from clickreel import timespec
    from clickreel.audit.answer_proof import prove
    from clickreel.cli.target_options import topic_name
    from clickreel.cli.verify_commands import find_run
    from clickreel.ingest.run_ingest import credentials
    from clickreel.insight.window import window

    client, newest = open_warehouse(path, since, None)
    now_ms = int(time.time() * 1000)
    end_ms = newest.end_ms - 60_000 if until is None else timespec.instant_ms(until, now_ms, "--until")
    asked = window(client, timespec.span_ms(since, "--since"), now_ms=now_ms, end_ms=end_ms)
    found_profile = profile(path)
    proof = prove(
        found_profile,
        find_run(topic_name(None), None, {}, (None, None, None)),
        lambda one: ask(one, asked),
        begin_ms=asked.begin_ms - before_ms,
        end_ms=asked.end_ms,
        delivered_ms=newest.end_ms,
        credentials=credentials(found_profile),
    )
    if json:
        print_json(proof.as_json())
    else:
        print_err(f"{told(asked)}, run {proof.run}: {proof.simulated:,} events simulated again")
        print_table(
            ("number", "truth>", "raw rows>", "answer>", ""),
            [
                (one.name, cell(one.truth), cell(one.raw), cell(one.answer), "equal" if one.ok else "differs")
                for one in proof.numbers
            ],
        )
        if proof.foreign:
            print_err(f"{proof.foreign:,} rows are not of this run: the truth cannot know them")
        differing = sum(not one.ok for one in proof.numbers)
        print_err("proved" if proof.ok else f"{differing} of {len(proof.numbers)} numbers differ")
    if not proof.ok:
        raise typer.Exit(6)


def told(window: Window) -> str:
    """A window in words."""
    names = window.as_json()
    return f"{names['from'][:19]} to {names['until'][:19]} UTC"


def cell(value: object) -> str:
    """A value of an answer in a table."""
    if value is None:
        return "not known"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)
