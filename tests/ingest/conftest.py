"""A database of its own for each test, and a topic in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from clickreel.profile import Profile
from clickreel.stream.memory import MemoryBroker
from clickreel.warehouse.client import Client, connect
from tests.clickhouse.process import ClickHouse
from tests.ingest.messages import Topic
from tests.warehouse.migrated import MigratedDatabase


@pytest.fixture
def profile(clickhouse: ClickHouse) -> Profile:
    """A profile with a database of its own, not made yet."""
    return Profile(
        {"bootstrap.servers": "127.0.0.1:9"},
        clickhouse_url=clickhouse.url,
        clickhouse_database=f"ingest_{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture
def client(profile: Profile, migrated: MigratedDatabase) -> Iterator[Client]:
    """A client of a migrated database."""
    client = connect(profile, create=True)
    migrated.copy_into(client)
    yield client
    client.command(f"DROP DATABASE {client.database}")
    client.close()


@pytest.fixture
def topic() -> Topic:
    """A topic of three partitions in memory."""
    return Topic(MemoryBroker())
