"""One gateway for the whole suite, and streams with known answers in topics of their own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from clickreel.contract.encode import encode
from clickreel.events import Deliveries
from clickreel.flink import catalog
from clickreel.flink.changelog import ChangelogView
from clickreel.flink.flink_cluster import FlinkCluster, TaskSlots
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_splitter import Statement, split_statements
from clickreel.flink.statement_store import StatementStore
from clickreel.flink.workspace import StatementResult, Workspace
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from tests.conftest import Kafka

START_MS = 1_767_225_600_000  # 2026-01-01
HOUR_MS = 3_600_000


@pytest.fixture(scope="session")
def gateway(stack: Stack) -> Iterator[RestGateway]:
    """The local gateway, started at first use."""
    stack.ensure(["flink"])
    found = RestGateway(stack.address("flink"), auth=stack.home.login())
    yield found
    found.disconnect()


@pytest.fixture(scope="session")
def profile(kafka: Kafka) -> Profile:
    """The stack's Kafka alone: no registry, so that no other suite's subjects become tables here."""
    return Profile({"bootstrap.servers": kafka.bootstrap})


@dataclass(frozen=True)
class Topics:
    """Makes topics and fills them."""

    profile: Profile

    def make(self, partitions: int = 3) -> str:
        """A new topic that keeps records of any age."""
        name = f"flink-{uuid.uuid4().hex[:12]}"
        topic = NewTopic(name, partitions, 1, config={"retention.ms": "-1"})
        admin = AdminClient(self.profile.admin())
        admin.create_topics([topic])[name].result()
        return name

    def fill(self, deliveries: Deliveries, topic: str | None = None, partitions: int = 3) -> str:
        """A topic with these deliveries, in their order, stamped with their time of delivery."""
        encoded = encode(deliveries)
        return self.put(
            zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), deliveries.deliver_ms.tolist(), strict=True),
            topic or self.make(partitions),
        )

    def put(self, records: Any, topic: str) -> str:
        """Write ``(key, value, timestamp)``."""
        producer = Producer({**self.profile.producer_config(), "partitioner": "murmur2_random", "linger.ms": 20})
        for count, (key, value, stamp) in enumerate(records):
            producer.produce(topic, key=key, value=value, timestamp=stamp)
            if count % 10_000 == 0:
                producer.poll(0)
        assert producer.flush(30) == 0
        return topic


@pytest.fixture(scope="session")
def topics(profile: Profile) -> Topics:
    """Topics of the suite."""
    return Topics(profile)


@pytest.fixture(scope="session")
def world() -> World:
    """A small world; every expectation of the suite is computed from its events."""
    return World(WorldSettings(seed=7, films=60, users=300))


@pytest.fixture(scope="session")
def stream(world: World, topics: Topics) -> tuple[str, Deliveries]:
    """A topic with twelve hours of that world without flaws, and what was written."""
    deliveries = world.deliveries(START_MS + 8 * HOUR_MS, START_MS + 20 * HOUR_MS)
    return topics.fill(deliveries), deliveries


Open = Callable[..., Workspace]


@pytest.fixture
def open_workspace(gateway: RestGateway, stack: Stack, profile: Profile, home: Home, world: World) -> Iterator[Open]:
    """Open workspaces in which `dvd_clicks` is the given topic; they are closed after the test."""
    stack.ensure(["flink"])  # a test may have ended it; its address stays
    opened: list[Workspace] = []

    def open_(
        topic: str, *, known: Profile | None = None, extra: Sequence[catalog.TopicTable] = (), **settings: Any
    ) -> Workspace:
        own = catalog.contract_table()
        table = replace(own, topic=topic)
        workspace = Workspace(
            gateway,
            known or profile,
            FlinkSettings(**{"until_now": True, **settings}),
            StatementStore(home.data("flink")),
            tables=[table, *extra],
            catalogue=lambda: world.catalogue,
        )
        opened.append(workspace)
        return workspace

    yield open_
    for workspace in opened:
        workspace.close()


def one(sql: str) -> Statement:
    """The only statement of a text."""
    (statement,) = split_statements(sql)
    return statement


def rows(workspace: Workspace, sql: str, limit: int | None = None) -> list[list[Any]]:
    """Run statements; the rows that the last one left, changes folded."""
    fold = ChangelogView()
    for statement in split_statements(sql):
        fold = ChangelogView()
        if not statement.is_query:
            answer: StatementResult = workspace.execute(statement)
            fold.add([("+I", cells) for cells in answer.rows])
            continue
        with workspace.query(statement) as query:
            for batch in query:
                fold.add(batch)
                if limit is not None and len(fold) >= limit:
                    break
    return list(fold.rows())


def at_rest(cluster: FlinkCluster) -> TaskSlots:
    """Wait until only the keep-alive job holds a slot; what a test before this one stopped may still be leaving."""
    deadline = time.monotonic() + 60
    while (slots := cluster.slots()).free < slots.total - 1:
        assert time.monotonic() < deadline, slots
        time.sleep(0.02)
    return slots


def written(deliveries: Deliveries) -> list[dict[str, Any]]:
    """What was written, as events; only for deliveries without malformed ones."""
    return [orjson.loads(value) for value in encode(deliveries).values.to_pylist()]


def instant(ms: int) -> str:
    """Milliseconds since 1970 as Flink's answers write them."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03}"
