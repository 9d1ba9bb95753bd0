"""The database of tests/ingest, and one without tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickreel.profile import Profile
from clickreel.warehouse.client import Client, connect
from tests.ingest.conftest import client, profile, topic

__all__ = ["client", "profile", "topic"]


@pytest.fixture
def empty(profile: Profile) -> Iterator[Client]:
    """A client of an empty database."""
    client = connect(profile, create=True)
    yield client
    client.command(f"DROP DATABASE {client.database}")
    client.close()
