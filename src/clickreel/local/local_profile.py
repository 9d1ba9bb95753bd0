"""The local stack's own profile: what every command talks to when no other profile is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from clickreel.errors import UnreachableError
from clickreel.local.child import ServiceRecord, read_record
from clickreel.local.home import Home
from clickreel.local.run_options import given_profile
from clickreel.local.service import NAMES
from clickreel.local.supervisor_client import find_supervisor
from clickreel.profile import Profile

# By this name our clients log in at the registry and at Flink's gateway; ClickHouse knows `default`.
USER = "clickreel"


def profile(home: Home | None = None) -> Profile:
    """Addresses and credentials of the running stack, with the services of ``up --profile`` if one was given.

    Raises:
        UnreachableError: Its Kafka does not run.
    """
    from clickreel.stream.kafka_clients import read_profile

    home = home or Home.default()
    running = addresses(home)
    named = given_profile(home)
    base = read_profile(Path(named)) if named else Profile({"bootstrap.servers": address(home, "kafka")})
    # Read, not made: a command that only looks must not begin a home.
    token = home.token() if home.token_file.exists() else ""
    if not base.registry_url and running.get("registry"):
        base = dataclasses.replace(base, registry_url=running["registry"], registry_auth=f"{USER}:{token}")
    if not base.clickhouse_url and running.get("clickhouse"):
        base = dataclasses.replace(
            base,
            clickhouse_url=running["clickhouse"],
            clickhouse_user="default",
            clickhouse_password=token,
            clickhouse_embedded=True,
        )
    if not base.flink_gateway_url and running.get("flink"):
        base = dataclasses.replace(base, flink_gateway_url=running["flink"], flink_gateway_auth=f"{USER}:{token}")
    return base


def addresses(home: Home) -> dict[str, str]:
    """Addresses of the services that run or are being started again: a restart keeps the address."""
    supervised = find_supervisor(home) is not None

    def serves(record: ServiceRecord) -> bool:
        return bool(record.address) and (record.alive() or (supervised and record.phase == "restarting"))

    records = (read_record(home.record(name)) for name in NAMES)
    return {record.name: record.address for record in records if record and serves(record)}


def address(home: Home, name: str) -> str:
    """The address of a service that must run.

    Raises:
        UnreachableError: It does not.
    """
    found = addresses(home).get(name)
    if not found:
        raise UnreachableError(f"{name} does not run in {home.path}", hint="clickreel up --detach")
    return found
