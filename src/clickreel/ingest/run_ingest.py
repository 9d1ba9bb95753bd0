"""``clickreel ingest`` as a function: source, table and metrics put together from a profile."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from clickreel.contract import schema_registry
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.errors import MissingError, UnreachableError
from clickreel.heartbeat import Heartbeat
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.loop import IngestLoop, IngestReport
from clickreel.ingest.settings import IngestSettings
from clickreel.json_files import write_json
from clickreel.profile import Profile
from clickreel.stream.consumer_group import ConsumerGroupSource
from clickreel.warehouse import migrate as migrations
from clickreel.warehouse.client import Client, connect

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class IngestOptions:
    """How one run of ingest differs from another.

    Attributes:
        until_caught_up: End when everything is landed that Kafka held at the start.
        accept_loss: Go on where Kafka has deleted events before they were landed.
        accept_new_topic: Land a topic that was deleted and made again.
        state: File for :data:`~clickreel.ingest.freshness.STATE`; None for none.
    """

    until_caught_up: bool = False
    accept_loss: bool = False
    accept_new_topic: bool = False
    state: Path | None = None


def run_ingest(
    profile: Profile,
    settings: IngestSettings,
    wishes: IngestOptions,
    *,
    stop: threading.Event,
    say: Callable[[str], None] = lambda _: None,
    freshness: Freshness | None = None,
) -> IngestReport:
    """Land the topic; see :mod:`clickreel.ingest.loop`.

    Tables are made when they are absent. A Kafka or ClickHouse that is away is waited for.

    Raises:
        ClickreelError: What waiting cannot mend.
    """
    profile.require_read_committed()
    freshness = freshness or Freshness()
    client = _retry_until_reachable(lambda: _tables(profile), settings, stop, say)
    source = _retry_until_reachable(
        lambda: ConsumerGroupSource(profile, settings.topic, settings.group, settings.instance), settings, stop, say
    )
    if client is None or source is None:
        return IngestReport()
    ask = schema_registry.connect(profile).by_id if profile.registry_url else None
    try:
        with _serve_metrics(freshness, settings, wishes.state), Heartbeat.from_environment() as beats:
            return IngestLoop(
                source,
                client,
                settings,
                lookup=SchemaLookup(ask, settings.topic),
                freshness=freshness,
                accept_loss=wishes.accept_loss,
                accept_new_topic=wishes.accept_new_topic,
                say=say,
                ready=beats.ready,
                progress=beats.progress,
            ).run(stop, until_caught_up=wishes.until_caught_up)
    finally:
        source.close()
        client.close()


def _tables(profile: Profile) -> Client:
    client = connect(profile, create=True)
    migrations.migrate(client, credentials=credentials(profile))
    return client


def credentials(profile: Profile) -> str:
    """How a dictionary of the profile's ClickHouse reads its own server."""
    if not profile.clickhouse_password or profile.clickhouse_embedded:
        return ""
    quoted = profile.clickhouse_password.replace("\\", "\\\\").replace("'", "\\'")
    return f"USER '{profile.clickhouse_user}' PASSWORD '{quoted}'"


def _retry_until_reachable(
    make: Callable[[], T], settings: IngestSettings, stop: threading.Event, say: Callable[[str], None]
) -> T | None:
    """Make something that needs a service, as often as it takes; None when told to stop."""
    wait_s = 0.1
    while not stop.is_set():
        try:
            return make()
        except UnreachableError as exc:
            say(f"{exc.message}; trying again")
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, settings.backoff_s_max)
    return None


@contextmanager
def _serve_metrics(freshness: Freshness, settings: IngestSettings, state: Path | None) -> Iterator[None]:
    """Serve the metrics and keep the state file while the block runs."""
    extra: dict[str, Any] = {}
    server = None
    if settings.metrics_port >= 0:
        from prometheus_client import CollectorRegistry, start_http_server

        metrics = CollectorRegistry()
        metrics.register(freshness)
        try:
            server, _ = start_http_server(settings.metrics_port, "127.0.0.1", metrics)
        except OSError as exc:
            raise MissingError(
                f"port {settings.metrics_port} for the metrics cannot be had: {exc.strerror}",
                hint="give another --metrics-port, or 0 for a free one",
            ) from exc
        extra["metrics"] = f"http://127.0.0.1:{server.server_port}/metrics"
    ended = threading.Event()

    def write() -> None:
        while state is not None:
            last = ended.wait(1.0)
            with suppress(OSError):  # a full disk or a deleted home must not stop the stream
                write_json(state, {**freshness.state(), **extra, "running": not last})
            if last:
                return

    writer = threading.Thread(target=write, name="state", daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join(5)
        if server is not None:
            server.shutdown()
            server.server_close()
