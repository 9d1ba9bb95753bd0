"""``clickreel verify`` as a function."""

from __future__ import annotations

import dataclasses
from typing import Any

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.topic_reader import of_broker
from clickreel.audit.verification import Verification, VerificationReport
from clickreel.contract import schema_registry
from clickreel.contract.schema_lookup import SchemaLookup
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
        of_broker(cluster, topic),
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
