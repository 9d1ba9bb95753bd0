"""The stack on real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
    assert (status["registry"].state, status["registry"].address) == ("running", registry.url)
    assert status["kafka"].pid is not None


def test_a_second_ensure_starts_nothing(stack: Stack, kafka: Kafka) -> None:
    """What runs is kept."""
    before = stack.record("kafka")
    assert stack.ensure(["kafka"]) == []
    assert stack.record("kafka") == before
    assert stack.address("kafka") == kafka.bootstrap
