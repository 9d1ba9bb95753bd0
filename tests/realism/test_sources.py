import uuid

import numpy as np
import pytest

from clickreel.audit.realism import Columns
from clickreel.audit.realism.topic_columns import read_topic
from clickreel.audit.realism.warehouse_columns import read_warehouse
from clickreel.audit.realism.world_columns import columns_of_world
from clickreel.errors import UsageError
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.cluster import Cluster
from clickreel.stream.encoded_batch import encode_batch
from clickreel.stream.memory import MemoryBroker
from clickreel.warehouse.client import Client
from tests.audit.worlds import SPAN_MS, START_MS, Streamed
from tests.conftest import Kafka
from tests.ingest.messages import NAME

NAMES = ("ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer", "id_hi", "id_lo")


@pytest.fixture
def streamed(client: Client) -> Streamed:
    """A run that is in a topic and in the warehouse."""
    made = Streamed(client)
    made.land()
    return made


def _rows(columns: Columns) -> np.ndarray:
    """All values, in the order of the ids."""
    values = np.stack([np.asarray(getattr(columns, name)).astype(np.uint64) for name in NAMES])
    return values[:, np.lexsort(values[-2:])]


def test_topic_warehouse_and_world_give_the_same_columns(streamed: Streamed) -> None:
    """Whichever way the stream is read."""
    world = _rows(columns_of_world(streamed.world, START_MS, START_MS + SPAN_MS))
    topic = read_topic(streamed.topic.broker, NAME)
    warehouse = read_warehouse(streamed.client, NAME)
    assert world.shape[1] > 3000
    assert (_rows(topic) == world).all()
    assert (_rows(warehouse) == world).all()
    assert topic.partition is not None
    assert warehouse.partition is not None
    assert np.bincount(topic.partition).tolist() == np.bincount(warehouse.partition).tolist()


@pytest.mark.stack
def test_a_topic_of_a_real_kafka_gives_what_was_produced(kafka: Kafka) -> None:
    """Records that break the contract are counted."""
    world = World(WorldSettings(rate=10.0, films=50))
    made = encode_batch(world.deliveries(START_MS, START_MS + SPAN_MS), START_MS, START_MS + SPAN_MS, 3)
    name = f"realism-{uuid.uuid4().hex[:8]}"
    cluster = Cluster(Profile({"bootstrap.servers": kafka.bootstrap}))
    cluster.create(name, 3, 1, {})
    writer = cluster.writer(name, lambda *_: None)
    for partition in range(3):
        keys, values = made.take(made.rows(partition))
        assert (
            writer.send(partition, [*keys, b"no key"], [*values, b"no event"], [START_MS] * (len(keys) + 1))
            == len(keys) + 1
        )
    assert writer.flush(30) == 0
    columns = read_topic(cluster, name)
    cluster.close()
    assert (_rows(columns) == _rows(columns_of_world(world, START_MS, START_MS + SPAN_MS))).all()
    assert columns.malformed == 3


def test_order_within_a_partition_is_that_of_delivery(streamed: Streamed) -> None:
    """Topic and warehouse alike: the rows of partition 0 in offset order."""
    topic, warehouse = read_topic(streamed.topic.broker, NAME), read_warehouse(streamed.client, NAME)
    assert topic.partition is not None
    assert warehouse.partition is not None
    first, second = topic.ts_ms[topic.partition == 0], warehouse.ts_ms[warehouse.partition == 0]
    assert first.tolist() == second.tolist() == sorted(first.tolist())


def test_dead_rows_are_counted_as_malformed(streamed: Streamed) -> None:
    """And left out."""
    before = len(read_warehouse(streamed.client, NAME))
    streamed.client.command(
        "ALTER TABLE dvd_clicks_landing UPDATE error = 'contract' WHERE _partition = 1 AND _offset < 5 SETTINGS mutations_sync = 2"
    )
    after = read_warehouse(streamed.client, NAME)
    assert (before - len(after), after.malformed) == (5, 5)


def test_a_topic_that_is_not_there_is_named() -> None:
    """With the command that creates it."""
    with pytest.raises(UsageError, match="no topic nowhere") as caught:
        read_topic(MemoryBroker(), "nowhere")
    assert caught.value.hint == "clickreel topic create"


def test_an_empty_topic_has_no_columns() -> None:
    """Which the score then refuses."""
    broker = MemoryBroker()
    broker.create("empty", 2, 1, {})
    assert len(read_topic(broker, "empty")) == 0


def test_a_topic_that_has_not_landed_is_named(client: Client) -> None:
    """With the command that lands it."""
    with pytest.raises(UsageError, match="nothing of elsewhere has landed"):
        read_warehouse(client, "elsewhere")
