"""The stack on real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clickreel.errors import UnreachableError
from clickreel.local.home import Home
from clickreel.local.local_profile import profile
from clickreel.profile import split_login
from tests.local.conftest import foreign_addresses

if TYPE_CHECKING:
    from pathlib import Path

    from clickreel.local.stack import Stack
from tests.conftest import Kafka, Registry

pytestmark = pytest.mark.stack


def test_parts_that_were_started_are_running_and_named_with_their_addresses(
    stack: Stack, kafka: Kafka, registry: Registry
) -> None:
    """`status` lists every part in the fixed order, and those that run with process and address."""
    status = {part.name: part for part in stack.status()}
    assert list(status) == ["kafka", "registry", "clickhouse", "flink", "ingest", "producer", "console"]
    assert (status["kafka"].state, status["kafka"].address) == ("running", kafka.bootstrap)
    assert (status["registry"].state, status["registry"].address) == ("running", split_login(registry.url)[0])
    assert status["kafka"].pid is not None


def test_parts_listen_on_loopback_alone(stack: Stack, kafka: Kafka, registry: Registry) -> None:
    """Also those interfaces that nobody asked for (the registry brings one that is open to the network)."""
    del kafka, registry
    for name in ("kafka", "registry"):
        record = stack.record(name)
        assert record is not None
        assert foreign_addresses(record.pid) == []


def test_a_second_ensure_starts_nothing(stack: Stack, kafka: Kafka) -> None:
    """What runs is kept."""
    before = stack.record("kafka")
    assert stack.ensure(["kafka"]) == []
    assert stack.record("kafka") == before
    assert stack.address("kafka") == kafka.bootstrap


def test_the_profile_of_a_home_names_what_runs(stack: Stack, home: Home, kafka: Kafka, registry: Registry) -> None:
    """Every command without a profile of its own talks to these."""
    found = profile(home)
    assert (found.bootstrap, found.registry_url) == (kafka.bootstrap, split_login(registry.url)[0])
    assert stack.addresses()["kafka"] == kafka.bootstrap


def test_a_home_without_kafka_has_no_profile(tmp_path: Path) -> None:
    """The message says what to type."""
    with pytest.raises(UnreachableError, match="kafka does not run") as caught:
        profile(Home(tmp_path))
    assert caught.value.hint == "clickreel up --detach"
