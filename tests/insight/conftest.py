from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from clickreel.events import Events
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.warehouse import film_dimension as films
from clickreel.warehouse.client import Client, connect
from tests.clickhouse.process import ClickHouse
from tests.insight.landing import DAY_MS, land
from tests.warehouse.migrated import MigratedDatabase

# A Monday noon, far from now: no answer may depend on the clock.
END_MS = 20_000 * DAY_MS + DAY_MS // 2
DAYS = 16


@dataclass(frozen=True)
class Landed:
    """A simulated world in a database of its own."""

    client: Client
    profile: Profile
    world: World
    events: Events


def _database(clickhouse: ClickHouse) -> Profile:
    return Profile(
        {"bootstrap.servers": "127.0.0.1:9"},
        clickhouse_url=clickhouse.url,
        clickhouse_database=f"insight_{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture(scope="session")
def landed(clickhouse: ClickHouse, migrated: MigratedDatabase) -> Iterator[Landed]:
    """Sixteen days of 800 people and 200 films, for reading only."""
    world = World(WorldSettings(users=800, films=200, seed=5))
    events = world.events(END_MS - DAYS * DAY_MS, END_MS)
    profile = _database(clickhouse)
    client = connect(profile, create=True)
    migrated.copy_into(client)
    films.load(client, world.catalogue)
    land(client, events)
    yield Landed(client, profile, world, events)
    client.close()


@pytest.fixture
def empty(clickhouse: ClickHouse, migrated: MigratedDatabase) -> Iterator[Client]:
    """A migrated database without rows."""
    client = connect(_database(clickhouse), create=True)
    migrated.copy_into(client)
    yield client
    client.command(f"DROP DATABASE {client.database}")
    client.close()
