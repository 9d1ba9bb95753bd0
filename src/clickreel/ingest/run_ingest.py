"""``clickreel ingest`` as a function: source, table and metrics put together from a profile."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from clickreel.contract import schema_registry
from clickreel.contract.schema_lookup import Ask, SchemaLookup
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.heartbeat import Heartbeat
from clickreel.ingest.dead_letters import UNDECIDED_VIEW, DeadLetterFilter, replay
from clickreel.ingest.freshness import Freshness
from clickreel.ingest.loop import WATCHDOG_S, IngestLoop, IngestReport
from clickreel.ingest.settings import IngestSettings
from clickreel.metrics import keep_written, serve_metrics
from clickreel.profile import Profile
from clickreel.stream.consumer_group import ConsumerGroupSource
from clickreel.warehouse import migrate as migrations
from clickreel.warehouse.client import Client, connect

T = TypeVar("T")
log = logging.getLogger(__name__)

# How often it is looked whether undecided rows can be validated now; the registry itself is asked every 30 s while it is away.
_UNDECIDED_EVERY_S = 5.0


@dataclasses.dataclass(frozen=True)
class IngestOptions:
    """How one run of ingest differs from another.

    Attributes:
        until_caught_up: End when everything is landed that Kafka held at the start.
        accept_loss: Continue where Kafka has deleted events before they were landed.
        accept_new_topic: Land a topic that was deleted and made again.
        home: The folder of the stack or user that this ingest belongs to: the default group is named by it; None for none.
        status_file: Where the status is written every second (:func:`~clickreel.ingest.ingest_status.status_file`); None for nowhere.
        watchdog_s: See :data:`~clickreel.ingest.loop.WATCHDOG_S`.
    """

    until_caught_up: bool = False
    accept_loss: bool = False
    accept_new_topic: bool = False
    home: Path | None = None
    status_file: Path | None = None
    watchdog_s: float = WATCHDOG_S


def group_name(settings: IngestSettings, home: Path | None) -> str:
    """The consumer group: the setting, else one by topic and home.

    Two topics in one group would hand each other partitions that they do not have; two homes land in databases of their own, and each
    of them needs every message.
    """
    if settings.group:
        return settings.group
    place = (
        ""
        if home is None
        else f".{hashlib.sha256(f'{socket.gethostname()}:{home.resolve()}'.encode()).hexdigest()[:8]}"
    )
    return f"clickreel-ingest.{settings.topic}{place}"


def run_ingest(
    profile: Profile,
    settings: IngestSettings,
    options: IngestOptions,
    *,
    stop: threading.Event,
    freshness: Freshness | None = None,
    heartbeat: Heartbeat | None = None,
    find_profile: Callable[[], Profile] | None = None,
) -> IngestReport:
    """Land the topic; see :mod:`clickreel.ingest.loop`.

    Tables are made when they are absent. A Kafka or ClickHouse that is away is waited for.

    Args:
        profile: Where Kafka, ClickHouse and the registry are.
        settings: The settings.
        options: How this run differs from others.
        stop: Ends it.
        freshness: Takes note of what is landed when.
        heartbeat: Tells whoever started this process how it is doing.
        find_profile: Reads the profile again: where it names no registry now, it may later.

    Raises:
        ClickreelError: What waiting cannot change.
    """
    profile.require_read_committed()
    freshness, heartbeat = freshness or Freshness(), heartbeat or Heartbeat(None)
    group = group_name(settings, options.home)

    def retry(make: Callable[[], T]) -> T | None:
        return _retry_until_reachable(make, settings, stop, heartbeat, freshness)

    client = retry(lambda: _tables(profile))
    source = retry(lambda: ConsumerGroupSource(profile, settings.topic, group, settings.instance)) if client else None
    if client is None or source is None:
        return IngestReport()

    def find_registry() -> Ask | None:
        found = profile if profile.registry_url or find_profile is None else find_profile()
        return schema_registry.connect(found).by_id if found.registry_url else None

    lookup = SchemaLookup(find_registry(), settings.topic, find_registry=find_registry if find_profile else None)
    try:
        with (
            _serve_metrics(freshness, settings, options.status_file),
            _validate_undecided(client, lookup, settings.topic, freshness),
        ):
            return IngestLoop(
                source,
                client,
                settings,
                lookup=lookup,
                freshness=freshness,
                heartbeat=heartbeat,
                accept_loss=options.accept_loss,
                accept_new_topic=options.accept_new_topic,
                watchdog_s=options.watchdog_s,
            ).run(stop, until_caught_up=options.until_caught_up)
    finally:
        source.close()
        client.close()


@contextmanager
def _validate_undecided(client: Client, lookup: SchemaLookup, topic: str, freshness: Freshness) -> Iterator[None]:
    """While the block runs, and once more at its end: validate the rows again whose schema could not be read from the registry."""
    ended = threading.Event()
    where = DeadLetterFilter(topic)

    def validate() -> None:
        counted, is_pending, is_last = 0, True, False  # the first look finds what an earlier process has left
        while not is_last:
            if freshness.undecided > counted:
                counted, is_pending = freshness.undecided, True
            if is_pending and not lookup.is_away:
                try:
                    is_pending = replay(client, where, lookup, view=UNDECIDED_VIEW).undecided > 0
                except ClickreelError as exc:  # a database that is away: asked again
                    freshness.count_error(exc.kind)
                    log.warning("%s", exc.message, extra={"topic": topic})
            is_last = ended.wait(_UNDECIDED_EVERY_S)
        if freshness.undecided > counted or (is_pending and counted):
            log.warning(
                "messages wait for the schema registry: the next ingest validates them",
                extra={"topic": topic, "rows": freshness.undecided},
            )

    thread = threading.Thread(target=validate, name="undecided", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


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
    make: Callable[[], T],
    settings: IngestSettings,
    stop: threading.Event,
    heartbeat: Heartbeat,
    freshness: Freshness,
) -> T | None:
    """Make something that needs a service, as often as it takes; None when told to stop."""
    wait_s = 0.1
    while not stop.is_set():
        try:
            return make()
        except UnreachableError as exc:
            freshness.count_error(exc.kind)
            log.warning("%s; trying again", exc.message, extra={"topic": settings.topic})
            heartbeat.waiting(exc.message)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, settings.backoff_s_max)
    return None


@contextmanager
def _serve_metrics(freshness: Freshness, settings: IngestSettings, state: Path | None) -> Iterator[None]:
    """Serve the metrics and keep the state file while the block runs."""
    hint = "give another --metrics-port, or 0 for a free one"
    with serve_metrics(freshness, settings.metrics_port, hint=hint) as address:
        extra = {"metrics": address} if address else {}
        with keep_written(state, lambda: {**freshness.state(), **extra}):
            yield
