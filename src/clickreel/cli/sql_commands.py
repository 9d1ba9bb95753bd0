"""``clickreel sql`` and ``clickreel statement``: Flink SQL on the topic, or the same prompt on the warehouse."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile, profile

if TYPE_CHECKING:
    from clickreel.flink.statement_store import StatementRecord


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(sql)
    statement = typer.Typer(cls=CommandGroup, help="List, show and stop running and past statements.")
    for command in (list_, show, stop):
        statement.command(command.__name__.rstrip("_"))(command)
    app.add_typer(statement, name="statement")


def sql(  # noqa: PLR0917 - one parameter an option
    file: Annotated[Path | None, typer.Argument(help="File of statements; - is stdin. [default: a prompt]")] = None,
    execute: Annotated[
        str | None, typer.Option("--execute", "-e", help="Run these statements instead of a file.")
    ] = None,
    engine: Annotated[str, typer.Option(help="flink (the topic) or clickhouse (the warehouse).")] = "flink",
    limit: Annotated[int | None, typer.Option(min=1, help="Stop each query after so many rows.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Stop each query after so many seconds.")] = None,
    until_now: Annotated[
        bool, typer.Option("--until-now", help="Read up to the current end of the topic, then finish.")
    ] = False,
    start: Annotated[str | None, typer.Option("--from", help="earliest or latest. [default: earliest]")] = None,
    bad_records: Annotated[
        str | None,
        typer.Option(
            help="What to do with a record that breaks the contract: fail ends the query, skip leaves it out. [default: fail]"
        ),
    ] = None,
    changelog: Annotated[
        bool, typer.Option("--changelog", help="Print every change (+I -U +U -D) instead of the table.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_table: Annotated[bool, typer.Option("--table", help="Print a plain table even on a terminal.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the statement in `statement list`.")] = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> int:
    """Query the topic with Flink SQL.

    Example: `clickreel sql -e 'select * from dvd_clicks limit 20'`, or `clickreel sql sample.sql`

    Without a file a prompt opens; Ctrl-C stops the query that runs. A file may be the name of an example: sample,
    clicks_per_minute, top_films, sessions, funnel, late, dedup, duplicates, enrich, trending (their text: clickreel sql, then help).
    """
    from clickreel.cli import sql_engines, sql_runner
    from clickreel.errors import UsageError

    if file is not None and execute is not None:
        raise UsageError("both a file and -e were given", hint="give one of them")
    if sum((json, as_csv, as_table)) > 1:
        raise UsageError("only one of --json, --csv and --table can be given", hint="give one of them")
    form = "json" if json else "csv" if as_csv else "table" if as_table else ""
    options = sql_runner.SqlOptions(form=form, changelog=changelog, limit=limit, timeout_s=timeout, name=name or "")
    if engine not in {"flink", "clickhouse"}:
        raise UsageError(f"--engine is {engine!r}", hint="one of: flink, clickhouse")
    if start not in {None, "earliest", "latest"}:
        raise UsageError(f"--from is {start!r}", hint="one of: earliest, latest")
    flags: dict[str, Any] = {"start_from": start, "bad_records": bad_records, "until_now": until_now or None}
    source = sql_runner.source(file, execute, backslash=engine == "clickhouse")
    with sql_engines.engine(engine, profile(profile_file), flags, options) as runner:
        if source is None:
            from clickreel.cli.sql_prompt import prompt

            return prompt(runner, sql_engines.home_statements().history)
        return runner.run(source)


def list_(
    every: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False, json: Json = False
) -> None:
    """List the statements that run.

    Example: `clickreel statement list --all`
    """
    from clickreel.cli.sql_engines import connect_recorded, home_statements
    from clickreel.flink import statement_control

    entries = [
        entry
        for entry in statement_control.list_statements(home_statements(), connect_recorded)
        if every or entry.is_running
    ]
    if json:
        print_json({"statements": [_shown(entry) for entry in entries]})
        return
    if not entries:
        print_err("no statement runs" if not every else "no statement has run yet")
        return
    rows = [(e.name, e.state, _span(e), f"{e.rows:,}" if e.kind == "query" else "", _brief(e.sql)) for e in entries]
    print_table(("NAME", "STATE", "FOR>", "ROWS>", "SQL"), rows)


def show(name: Annotated[str, typer.Argument(help="Name of the statement.")], json: Json = False) -> None:
    """Show a statement: its SQL, its state, why it failed.

    Example: `clickreel statement show insert-1`
    """
    from clickreel.cli.sql_engines import connect_recorded, home_statements
    from clickreel.flink import statement_control

    entry = statement_control.read_statement(home_statements(), name, connect_recorded)
    if json:
        print_json(_shown(entry))
        return
    lines = {
        "name": entry.name,
        "state": entry.state,
        "started": _clock(entry.started),
        "ended": _clock(entry.ended) if entry.ended else "",
        "job": entry.job,
        "gateway": entry.gateway,
        "error": entry.error,
        "sql": entry.sql,
    }
    print_table(("", ""), [(label, text) for label, text in lines.items() if text])


def stop(
    names: Annotated[list[str], typer.Argument(help="Names, or `all`.", metavar="NAME...")], json: Json = False
) -> None:
    """Stop statements and free their slots.

    Example: `clickreel statement stop insert-1`
    """
    from clickreel.cli.sql_engines import connect_recorded, home_statements
    from clickreel.flink import statement_control

    wanted = (
        [
            entry.name
            for entry in statement_control.list_statements(home_statements(), connect_recorded)
            if entry.is_running
        ]
        if names == ["all"]
        else names
    )
    begun = time.monotonic()
    stopped = [statement_control.stop_statement(home_statements(), each, connect_recorded) for each in wanted]
    if json:
        print_json({"stopped": [entry.name for entry in stopped], "seconds": round(time.monotonic() - begun, 3)})
        return
    for entry in stopped:
        print_err(f"{entry.name}: {entry.state}")
    if not stopped:
        print_err("no statement runs")


def _shown(entry: StatementRecord) -> dict[str, Any]:
    hidden = {"session", "operation", "owner_pid", "owner_start_time"}
    import dataclasses

    return {name: value for name, value in dataclasses.asdict(entry).items() if name not in hidden}


def _span(entry: StatementRecord) -> str:
    seconds = int((entry.ended or time.time()) - entry.started)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _clock(stamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(stamp))


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
