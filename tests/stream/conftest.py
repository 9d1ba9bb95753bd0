"""A broker, real and in memory: what passes on one must pass on the other."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.memory import MemoryBroker

_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _own_home(home: Home) -> None:
    """Nothing is written into the developer's own home."""
    del home


@pytest.fixture(params=["memory", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker of each kind."""
    found: Broker = MemoryBroker()
    if request.param == "kafka":
        found = Cluster(Profile(kafka={"bootstrap.servers": request.getfixturevalue("kafka").bootstrap}))
    yield found
    found.close()


@pytest.fixture
def topic() -> str:
    """The name of a topic that nobody else uses."""
    return f"stream-{os.getpid()}-{next(_NUMBERS)}"
