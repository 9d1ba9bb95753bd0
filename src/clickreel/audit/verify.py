"""``clickreel verify`` as a function."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.topic_reader import of_cluster
from clickreel.audit.verification import Verification, VerificationReport
from clickreel.contract import schema_registry
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.errors import UsageError
from clickreel.json_files import read_json
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from clickreel.stream.kafka_errors import missing
from clickreel.warehouse import migrate
from clickreel.warehouse.client import connect


def verification(profile: Profile, topic: str, run: ExpectedRun | None) -> Verification:
    """A verification of a topic; see :class:`~clickreel.audit.verification.Verification`.

    Args:
        profile: Where Kafka and ClickHouse are.
        topic: The topic.
        run: The run; None for a foreign stream.
    """
    cluster = Cluster(profile)
    state = cluster.topic(topic)
    if state is None:
        raise missing(topic, profile.bootstrap)
    client = connect(profile)
    migrate.check(client)
    ask = schema_registry.connect(profile).by_id if profile.registry_url else None
    return Verification(
        of_cluster(profile, topic),
        lambda: dict(enumerate(cluster.bounds(topic))),
        client,
        topic=topic,
        topic_id=state.topic_id,
        lookup=SchemaLookup(ask, topic),
        run=run,
    )


def verify(
    profile: Profile, topic: str, run: ExpectedRun | None = None, *, complete: bool = False, wait_s: float = 15.0
) -> VerificationReport:
    """Verify a topic up to now.

    Args:
        profile: Where Kafka and ClickHouse are.
        topic: The topic.
        run: The run; None for a foreign stream.
        complete: The run is over: everything expected must be there.
        wait_s: How long ingest is waited for when it makes no progress, s.
    """
    return verification(profile, topic, run).advance(complete=complete, wait_s=wait_s)


def summary(report: VerificationReport) -> dict[str, Any]:
    """The report as ``--json`` prints it."""
    return dataclasses.asdict(report)


def saved(home: Path, topic: str, run: str | None) -> dict[str, Any]:
    """What the producer wrote down about a run.

    Args:
        home: The home.
        topic: The topic.
        run: The run; None for the one that was produced into the topic last.

    Raises:
        UsageError: Nothing was produced from here.
    """
    entries = [(file.stat().st_mtime, read_json(file)) for file in (home / "runs").glob("*.json")]
    found = [
        (time, entry)
        for time, entry in entries
        if entry.get("topic") == topic and entry.get("start_ms") and run in {None, entry.get("run")}
    ]
    if not found:
        raise UsageError(
            f"no run {run!r} was produced from here into {topic}"
            if run
            else f"no run was produced from here into {topic}",
            hint="give the run's settings and --from, or --foreign to hold Kafka against ClickHouse only",
        )
    return max(found, key=lambda one: one[0])[1]
