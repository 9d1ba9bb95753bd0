"""``clickreel warehouse migrate|films|ttl``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile, TopicName, profile
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.simulate.films import Catalogue


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    group = typer.Typer(cls=CommandGroup, help="Manage the tables and views in ClickHouse.")
    for command in (migrate, films, ttl):
        group.command()(command)
    app.add_typer(group, name="warehouse")


def migrate(
    dry: Annotated[bool, typer.Option("--dry-run", help="Only report what would be applied.")] = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Make or upgrade the tables and views.

    Example: `clickreel warehouse migrate --profile cloud.properties`
    """
    from clickreel.ingest.run_ingest import credentials
    from clickreel.warehouse import migrate as migrations
    from clickreel.warehouse.client import connect

    found = profile(profile_file)
    client = connect(found, create=not dry)
    report = migrations.migrate(client, credentials=credentials(found), dry=dry)
    unfinished = migrations.unfinished_parts(client)
    if json:
        listed = [dataclasses.asdict(one) for one in report]
        print_json({"database": client.database, "migrations": listed, "unfinished_parts": unfinished})
        return
    print_table(["version>", "name", "state"], [(one.version, one.name, one.state) for one in report])
    if unfinished:
        print_err(
            f"counts by minute and hour of {unfinished} parts are being written in the background: answers are right at once, and fast when "
            "system.mutations shows the last of them done"
        )


def films(
    file: Annotated[Path | None, typer.Argument(help="The same as --films.")] = None,
    csv: Annotated[
        Path | None, typer.Option("--films", help="CSV of your own films. [default: the films of the last run]")
    ] = None,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Fill ref_dim_film and the dictionary dvd_films.

    Example: `clickreel warehouse films --films films.csv`
    """
    from clickreel.cli.target_options import topic_name
    from clickreel.ingest.run_ingest import credentials
    from clickreel.warehouse import film_dimension as dimension
    from clickreel.warehouse.client import connect

    found = profile(profile_file)
    client = connect(found)
    catalogue = dimension.catalogue(csv or file) if csv or file else _catalogue(topic_name(topic))
    count = dimension.load(client, catalogue, credentials=credentials(found))
    if json:
        print_json({"database": client.database, "films": count})
        return
    print_err(f"{quantity(count, 'film')} in {client.database}.ref_dim_film")


def _catalogue(topic: str) -> Catalogue:
    """The films of the run that was produced last from here into the topic; without one, the invented ones."""
    from clickreel.local.home import Home
    from clickreel.stream.saved_runs import list_runs
    from clickreel.warehouse import film_dimension as dimension

    saved = list_runs(Home.default().path, topic)
    return saved[0].films() if saved else dimension.catalogue()


def ttl(
    days: Annotated[int | None, typer.Option("--days", min=0, help="Days to keep rows; 0 for ever.")] = None,
    raw_days: Annotated[
        int | None, typer.Option("--raw-days", min=0, help="Days to keep the bytes of dead letters; 0 for ever.")
    ] = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Set how long rows and the bytes of dead letters are kept; for ever by default.

    Example: `clickreel warehouse ttl --days 400 --raw-days 30`
    """
    from clickreel.errors import UsageError
    from clickreel.warehouse import migrate as migrations
    from clickreel.warehouse.client import connect

    if days is None and raw_days is None:
        raise UsageError("nothing to set", hint="give --days or --raw-days")
    client = connect(profile(profile_file))
    migrations.check(client)
    done = migrations.set_ttl(client, rows_days=days, raw_days=raw_days)
    if json:
        print_json({"database": client.database, "statements": done})
        return
    for statement in done:
        print_err(statement)
