"""A run in a topic in memory, landed in a real ClickHouse engine, and the verification of both."""

from __future__ import annotations

from typing import Any

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.topic_reader import of_broker
from clickreel.audit.verification import Verification, VerificationReport
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.encoded_batch import encode_batch
from clickreel.stream.memory import MemoryBroker
from clickreel.warehouse.client import Client
from tests.ingest.messages import NAME, Topic, land, nobody

START_MS = 1_766_830_000_000
SPAN_MS = 400_000


class Streamed:
    """A run of some 4,000 events in three partitions."""

    def __init__(self, client: Client, **settings: Any) -> None:
        self.client = client
        self.topic = Topic(MemoryBroker(queue_records=100_000, stored_per_poll=10_000))
        self.world = World(WorldSettings(rate=10.0, films=50, **settings))
        self.run = ExpectedRun(self.world, START_MS, START_MS + SPAN_MS)
        self.produced_ms = START_MS
        self.produce(SPAN_MS)
        self.landed = 0

    def produce(self, span_ms: int) -> None:
        """Produce the run up to so many milliseconds after its start."""
        start_ms, end_ms = self.produced_ms, START_MS + span_ms
        made = encode_batch(self.world.deliveries(start_ms, end_ms), start_ms, end_ms, self.topic.partitions)
        writer = self.topic.broker.writer(NAME, lambda *_: None)
        for partition in range(self.topic.partitions):
            rows = made.rows(partition)
            keys, values = made.take(rows)
            assert writer.send(partition, keys, values, made.deliver_ms[rows].tolist()) == len(rows)
        writer.flush(10)
        self.produced_ms = end_ms

    def land(self) -> None:
        """Land all of it."""
        self.landed += land(self.topic, self.client).rows

    @property
    def logs(self) -> list[list[Any]]:
        """The records of each partition, to be tampered with."""
        return self.topic.broker._topics[NAME].logs

    def renumber(self) -> None:
        """Give the records of each partition their offsets anew after tampering."""
        for log in self.logs:
            log[:] = [record._replace(offset=offset) for offset, record in enumerate(log)]

    def verification(self, *, foreign: bool = False) -> Verification:
        """A verification of it."""
        state = self.topic.broker.topic(NAME)
        assert state is not None
        return Verification(
            of_broker(self.topic.broker, NAME),
            lambda: dict(enumerate(self.topic.broker.bounds(NAME))),
            self.client,
            topic=NAME,
            topic_id=state.topic_id,
            lookup=nobody,
            run=None if foreign else self.run,
        )

    def verify(self, *, complete: bool = True, foreign: bool = False) -> VerificationReport:
        """Verify it."""
        return self.verification(foreign=foreign).advance(complete=complete, wait_s=0.2)
