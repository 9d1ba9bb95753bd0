"""The engines of ``clickreel sql``: Flink on the topic, ClickHouse on the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel.cli.output import print_err
from clickreel.cli.sql_runner import SqlOptions, SqlRunner
from clickreel.profile import Profile

if TYPE_CHECKING:
    from clickreel.flink.gateway_client import RestGateway
    from clickreel.flink.settings import FlinkSettings
    from clickreel.flink.statement_store import StatementStore
    from clickreel.local.home import Home
    from clickreel.simulate.films import Catalogue


def home_statements(home: Home | None = None) -> StatementStore:
    """The statements of a home, by default the one that the environment names."""
    from clickreel.flink.statement_store import StatementStore
    from clickreel.local.home import Home

    return StatementStore((home or Home.default()).data("flink"))


def connect_recorded(url: str) -> RestGateway:
    """Connect to the gateway of a recorded statement; the local one asks for the home's token."""
    from clickreel.flink.gateway_client import RestGateway
    from clickreel.local.home import Home
    from clickreel.local.local_profile import addresses

    home = Home.default()
    return RestGateway(url, auth=home.login() if url == addresses(home).get("flink") else "")


@contextmanager
def engine(name: str, profile: Profile, flags: dict[str, Any], options: SqlOptions) -> Iterator[SqlRunner]:
    """The engine of that name, ready to run."""
    from clickreel import settings as stage_settings
    from clickreel.local.home import Home

    if name == "clickhouse":
        from clickreel.cli.clickhouse_runner import ClickHouseRunner

        yield ClickHouseRunner(profile, options)
        return
    from clickreel.cli.flink_runner import FlinkRunner
    from clickreel.flink.settings import FlinkSettings
    from clickreel.flink.workspace import Workspace

    settings = stage_settings.load(FlinkSettings, "flink", flags=flags)
    home = Home.default()
    gateway = _connect_gateway(settings, profile, home)
    try:
        with Workspace(gateway, profile, settings, home_statements(home), catalogue=_films(home)) as workspace:
            for topic, why in workspace.left_out.items():
                print_err(("left out:", "yellow"), f" the topic {topic} cannot be a table: {why}")
            yield FlinkRunner(workspace, options)
    finally:
        gateway.disconnect()


def _connect_gateway(settings: FlinkSettings, profile: Profile, home: Home) -> RestGateway:
    from clickreel.cli.checklist import Checklist
    from clickreel.flink.gateway_lookup import connect_gateway
    from clickreel.local.stack import Stack

    stack = Stack(home)
    with Checklist() as checklist:

        def start() -> str:
            stack.ensure(["flink"], report=checklist)
            return stack.address("flink")

        named = settings.gateway_url or profile.flink_gateway_url
        local = stack.addresses().get("flink", "")
        return connect_gateway(named, local, start, auth=profile.flink_gateway_auth, local_auth=home.login())


def _films(home: Home) -> Callable[[], Catalogue]:
    """The catalogue of the run that this home streams."""

    def catalogue() -> Catalogue:
        from clickreel.local.run_options import remembered
        from clickreel.simulate import films, films_csv

        options = remembered(home)
        if options.get("films"):
            return films_csv.read_csv(Path(options["films"]))
        return films.invent(seed=int(options.get("seed", 1)))

    return catalogue
