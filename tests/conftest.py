"""What all tests share: one real Kafka and one real registry for the whole run, in a home that is deleted after it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clickreel.local.home import Home
from clickreel.local.stack import Stack
from tests.clickhouse.process import ClickHouse, running
from tests.distribution import LongestFirst, expected_seconds
from tests.warehouse.migrated import MigratedDatabase

# The developer's own stack must be out of reach of every test, those that start processes included.
os.environ.pop("CLICKREEL_PROFILE", None)
os.environ.pop("CLICKREEL_PROJECT", None)
# A run of a test begins where the test says; what `up` does by itself has tests of its own.
os.environ["CLICKREEL_LOCAL_PAST"] = "now"
# A shell ignores Ctrl-C for what it starts in the background, and every process that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    """Share the tests out by `tests.distribution`."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first where several processes share the tests; in one process the order is that of the files."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -expected_seconds(item.nodeid))


@dataclass(frozen=True)
class Kafka:
    """A broker that serves the whole test run; use a topic of your own."""

    bootstrap: str


@dataclass(frozen=True)
class Registry:
    """A schema registry that serves the whole test run; use subjects of your own."""

    url: str


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """The home of the run's stack; also what ``CLICKREEL_HOME`` names, for the processes that tests start."""
    # A short path: a socket's path must stay under 104 characters on macOS.
    with tempfile.TemporaryDirectory(prefix="clickreel-tests-") as folder:
        before = os.environ.get("CLICKREEL_HOME")
        os.environ["CLICKREEL_HOME"] = folder
        yield Home(Path(folder))
        if before is None:
            del os.environ["CLICKREEL_HOME"]
        else:
            os.environ["CLICKREEL_HOME"] = before


@pytest.fixture(scope="session")
def stack(home: Home) -> Iterator[Stack]:
    """The run's stack; empty until somebody needs a part."""
    stack = Stack(home)
    yield stack
    stack.down()


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> Kafka:
    """A real Kafka, started at first use."""
    stack.ensure(["kafka"], attached=True)
    return Kafka(stack.address("kafka"))


@pytest.fixture(scope="session")
def registry(stack: Stack) -> Registry:
    """A real registry, started at first use; ``url`` is what clients take as ``schema.registry.url``."""
    stack.ensure(["registry"], attached=True)
    address = stack.address("registry")
    return Registry(address.replace("://", f"://{stack.home.login()}@"))


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A real ClickHouse engine behind its HTTP interface (`url`, `port`), started at first use; use a database of your own."""
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def migrated(clickhouse: ClickHouse) -> MigratedDatabase:
    """A migrated database of that engine, from which a test's own is copied."""
    return MigratedDatabase(clickhouse)
