"""Producing, reading, landing and verifying, as functions."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clickreel import timespec
from clickreel.contract.vocabulary import FIELDS
from clickreel.local import local_profile
from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.simulate.world import World
from clickreel.stream import record_view, retention, saved_runs, topic_admin
from clickreel.stream.cluster import Cluster
from clickreel.stream.filter_expression import compile_filter
from clickreel.stream.kafka_clients import read_profile
from clickreel.stream.produce_request import ProduceRequest, ProduceStats
from clickreel.stream.producer import Producer
from clickreel.stream.record_view import RecordView
from clickreel.stream.topic_settings import TopicSettings

if TYPE_CHECKING:
    from clickreel.audit.verification import VerificationReport
    from clickreel.ingest.loop import IngestReport

TOPIC = "dvd_clicks"
_RECORD_FIELDS = ("partition", "offset", "timestamp", "key", "value", "valid")


def load_profile(path: str | Path | None = None) -> Profile:
    """Addresses and credentials of the services.

    Args:
        path: A ``client.properties``; None for the local stack of this home, which must run.

    Raises:
        UsageError: The file is no profile.
        UnreachableError: The local stack does not run.
    """
    return local_profile.profile() if path is None else read_profile(Path(path))


def produce(
    world: World,
    *,
    profile: Profile | None = None,
    topic: str = TOPIC,
    start: str | int = "now",
    until: str | int | None = None,
    count: int | None = None,
    stop: threading.Event | None = None,
) -> ProduceStats:
    """Stream a world's clicks into a topic, each event once, also across crashes.

    Args:
        world: The run. One that has records in the topic goes on where it stopped.
        profile: The services; None for the local stack.
        topic: The topic; made with the defaults on the local stack where it is absent.
        start: Where a new run begins; see :func:`clickreel.simulate_events`. Events of the past are written at full speed.
        until: Where it ends; None for no end.
        count: How many records; None for no limit.
        stop: Ends it in order.

    Returns:
        What was sent, acknowledged and refused.

    Raises:
        UsageError: Another process writes the same run, or the topic would delete what is written.
        UnreachableError: Kafka does not answer.
    """
    target = profile or load_profile()
    cluster = Cluster(target)
    if not target.source:
        topic_admin.ensure_topic(cluster, TopicSettings(name=topic))
    state = topic_admin.require_topic(cluster, topic)
    now_ms = round(time.time() * 1000)
    start_ms = start if isinstance(start, int) else timespec.instant_ms(start, now_ms, "start")
    until_ms = timespec.instant_ms(until, now_ms, "until") if isinstance(until, str) else until

    def keep(from_ms: int) -> None:
        if target.source:
            retention.require_retention(state, from_ms, now_ms, world.expected_rate)
        else:
            retention.keep_backfill(cluster, state, from_ms, now_ms, world.expected_rate)

    request = ProduceRequest(lambda: start_ms, until_ms, count, before_first_record=keep)
    producer = Producer(cluster, state, world, request, stop=stop)
    stats = producer.run()
    saved_runs.save_run(Home.default().path, world, stats)
    cluster.close()
    return stats


def read_messages(
    *,
    profile: Profile | None = None,
    topic: str = TOPIC,
    start: str = "earliest",
    where: str = "",
    limit: int | None = None,
) -> Iterator[RecordView]:
    """The records of a topic up to its present end, each with the contract's verdict.

    Args:
        profile: The services; None for the local stack.
        topic: The topic.
        start: ``earliest``, ``latest``, an offset, ``-100`` for the last hundred of each partition, or a time.
        where: A filter as ``clickreel messages --where`` takes it.
        limit: At most so many.

    Yields:
        Records; ``view.record`` is as Kafka holds it, ``view.value`` the parsed event, ``view.verdict`` says whether it keeps the contract.

    Raises:
        UsageError: The start or the filter is not one.
        UnreachableError: Kafka does not answer.
    """
    wanted = compile_filter(where, (*FIELDS, *_RECORD_FIELDS)) if where else None
    cluster = Cluster(profile or load_profile())
    begin = record_view.start_offsets(cluster, topic, start, round(time.time() * 1000))
    yielded = 0
    try:
        for records in record_view.read_records(cluster, topic, begin):
            for record in records:
                view = RecordView(record)
                if wanted is not None and not wanted(view):
                    continue
                if limit is not None and yielded >= limit:
                    return
                yielded += 1
                yield view
    finally:
        cluster.close()


def ingest_topic(
    *,
    profile: Profile | None = None,
    topic: str = TOPIC,
    until_caught_up: bool = True,
    stop: threading.Event | None = None,
) -> IngestReport:
    """Land a topic in ClickHouse, each offset once.

    Args:
        profile: The services; None for the local stack.
        topic: The topic.
        until_caught_up: End when everything is landed that Kafka held at the start.
        stop: Ends it in order.

    Raises:
        UsageError: Another ingest lands the topic.
        UnreachableError: Kafka or ClickHouse refuses.
    """
    from clickreel.ingest.run_ingest import IngestOptions, run_ingest
    from clickreel.ingest.settings import IngestSettings

    options = IngestOptions(until_caught_up=until_caught_up, home=Home.default().path)
    settings = IngestSettings(topic=topic)
    return run_ingest(profile or load_profile(), settings, options, stop=stop or threading.Event())


def verify_run(
    run: str | None = None, *, profile: Profile | None = None, topic: str = TOPIC, wait_s: float = 15.0
) -> VerificationReport:
    """Compare simulator, Kafka and ClickHouse, event by event.

    Args:
        run: A run that was produced from this machine; None for the one that was produced into the topic last.
        profile: The services; None for the local stack.
        topic: The topic.
        wait_s: How long ingest is waited for when it makes no progress, s.

    Raises:
        UsageError: No run was produced from here into the topic.
        VerificationError: The topic does not hold the run at all.
    """
    from clickreel.audit import verify as audit
    from clickreel.audit.regenerate import ExpectedRun

    saved = saved_runs.latest_run(Home.default().path, topic, run)
    expected = ExpectedRun(saved.world(), saved.start_ms, partitions=saved.partitions)
    return audit.verify(profile or load_profile(), topic, expected, wait_s=wait_s)
