"""What all pages share: where the services are, one live tail a topic, one ClickHouse client a thread."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel.console.ingest_history import IngestHistory
from clickreel.console.live_ledger import LiveLedger
from clickreel.console.live_proof import LiveProof
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from clickreel.stream.live_tail import LiveTail
from clickreel.stream.topic_contract import OURS, TopicContract, find_contract

if TYPE_CHECKING:
    from clickreel.warehouse.client import Client


# A topic that nobody has looked at for so long is no longer counted; the console's own always is.
_TAIL_KEPT_S = 600.0


@dataclass
class ConsoleContext:
    """What the pages read from.

    Attributes:
        profile: The services.
        topic: The topic that the console opens with.
        home: The home of the local stack: runs, heartbeats, status of ingest.
        is_local: Whether the services are this machine's own stack.
        allow_writes: Whether the page may act: produce, start, stop, inject.
    """

    profile: Profile
    topic: str
    home: Path
    is_local: bool = True
    allow_writes: bool = True
    _tails: dict[str, LiveTail] = field(default_factory=dict)
    _histories: dict[str, IngestHistory] = field(default_factory=dict)
    _asked_s: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _proof: LiveProof | None = None
    _ledger: LiveLedger | None = None
    _clients: threading.local = field(default_factory=threading.local)

    def broker(self) -> Cluster:
        """A Kafka client of its own."""
        return Cluster(self.profile)

    def tail(self, topic: str | None = None) -> LiveTail:
        """The live tail of a topic, shared by all viewers; a page asks again whenever it looks."""
        name, now_s = topic or self.topic, time.monotonic()
        with self._lock:
            self._asked_s[name] = now_s
            for other in [one for one in self._tails if now_s - self._asked_s[one] > _TAIL_KEPT_S]:
                if other != self.topic:
                    self._histories.pop(other).close()
                    threading.Thread(target=self._tails.pop(other).close, daemon=True).start()
            if name not in self._tails:
                self._tails[name] = LiveTail(self.broker, name)
                self._histories[name] = IngestHistory(self._tails[name], self.home)
            return self._tails[name]

    def contract(self, topic: str) -> TopicContract:
        """What judges the messages of a topic: ours for the console's own."""
        return OURS if topic == self.topic else find_contract(self.profile, self.home, topic)

    def ingest_history(self, topic: str) -> IngestHistory:
        """What ingest said of itself while the topic has been tailed."""
        self.tail(topic)
        with self._lock:
            return self._histories[topic]

    def clickhouse(self) -> Client:
        """A ClickHouse client of this thread.

        Raises:
            UnreachableError: ClickHouse does not answer.
        """
        from clickreel.warehouse.client import connect

        if not hasattr(self._clients, "client"):
            self._clients.client = connect(self.profile)
        client: Client = self._clients.client
        return client

    def reader(self) -> tuple[Client, dict[str, Any]]:
        """A ClickHouse client of this thread that can only read, and the limits to send with each statement.

        The local ClickHouse has a user that is limited by itself and may change no setting.

        Raises:
            UnreachableError: ClickHouse does not answer.
        """
        from clickreel.warehouse.client import connect

        if not hasattr(self._clients, "reader"):
            is_embedded = self.profile.clickhouse_embedded
            profile = dataclasses.replace(self.profile, clickhouse_user="reader") if is_embedded else self.profile
            self._clients.reader = connect(profile)
        client: Client = self._clients.reader
        limits = {"readonly": 2, "max_execution_time": 60, "max_result_rows": 100_000, "result_overflow_mode": "break"}
        return client, {} if self.profile.clickhouse_embedded else limits

    def proof(self) -> LiveProof:
        """The proof of the topic, shared by all viewers."""
        with self._lock:
            if self._proof is None:
                self._proof = LiveProof(self.profile, self.topic, self.home)
            return self._proof

    def ledger(self) -> LiveLedger:
        """The ledger of the run that is streamed, shared by all viewers."""
        with self._lock:
            if self._ledger is None:
                self._ledger = LiveLedger(self.home, self.topic)
            return self._ledger

    def close(self) -> None:
        """Stop the tails and the proof."""
        if self._proof is not None:
            self._proof.close()
        for history in self._histories.values():
            history.close()
        for tail in self._tails.values():
            tail.close()
