"""Fixtures for pytest; see :mod:`clickreel.testing`."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest

from clickreel.api.stacks import LocalStack, local_stack
from clickreel.api.streams import produce
from clickreel.api.worlds import make_world, simulate_events
from clickreel.profile import Profile
from clickreel.simulate.world import World
from clickreel.stream.cluster import Cluster

EVENTS = 1_000
START_MS = 1_767_225_600_000  # 2026-01-01: the same events in every run


@dataclass(frozen=True)
class ClickTopic:
    """A topic of one test's own.

    Attributes:
        name: Its name.
        bootstrap: Where any Kafka client finds it.
        profile: The same for clickreel.
    """

    name: str
    bootstrap: str
    profile: Profile


@dataclass(frozen=True)
class ClickStream:
    """A topic with a stream whose truth is known.

    Attributes:
        topic: The topic.
        world: The world it comes from.
        expected: Its events in the order of delivery, as an Arrow table.
    """

    topic: ClickTopic
    world: World
    expected: pa.Table


@pytest.fixture(scope="session")
def click_stack() -> Iterator[LocalStack]:
    """A local Kafka for the whole test run, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="clickreel-") as folder, local_stack(folder) as stack:
        yield stack


@pytest.fixture
def click_topic(click_stack: LocalStack) -> Iterator[ClickTopic]:
    """An empty topic with three partitions that keeps records of any age."""
    name = f"clicks-{uuid.uuid4().hex[:12]}"
    cluster = Cluster(click_stack.profile)
    cluster.create(name, 3, 1, {"retention.ms": "-1"})
    yield ClickTopic(name, click_stack.profile.bootstrap, click_stack.profile)
    cluster.close()


@pytest.fixture
def click_stream(click_topic: ClickTopic) -> ClickStream:
    """The topic with the first 1,000 events of seed 7."""
    world = make_world(seed=7, run=click_topic.name)
    produce(world, profile=click_topic.profile, topic=click_topic.name, start=START_MS, count=EVENTS)
    return ClickStream(click_topic, world, simulate_events(world, start=START_MS, count=EVENTS))
