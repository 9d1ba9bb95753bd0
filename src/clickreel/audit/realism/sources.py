"""Where a stream comes from: a file, the topic or the warehouse, by one word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clickreel.audit.realism.columns import Columns
from clickreel.audit.realism.file_columns import read

if TYPE_CHECKING:
    from clickreel.profile import Profile

TOPIC, WAREHOUSE = "topic", "warehouse"


def columns_of(source: str, profile: Profile | None, topic: str) -> Columns:
    """The stream behind a word.

    Args:
        source: ``topic``, ``warehouse``, or a file.
        profile: Where Kafka and ClickHouse are; not needed for a file.
        topic: The topic's name.
    """
    if source not in (TOPIC, WAREHOUSE):
        return read(Path(source))
    assert profile is not None, "a topic and a warehouse need a profile"
    if source == WAREHOUSE:
        from clickreel.audit.realism.warehouse_columns import read_warehouse
        from clickreel.warehouse.client import connect

        client = connect(profile)
        try:
            return read_warehouse(client, topic)
        finally:
            client.close()
    from clickreel.audit.realism.topic_columns import read_topic
    from clickreel.stream.cluster import Cluster

    broker = Cluster(profile)
    try:
        return read_topic(broker, topic)
    finally:
        broker.close()
