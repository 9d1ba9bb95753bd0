"""Why a query gives no rows: what Kafka, the cluster and the statement say together."""

from __future__ import annotations

import contextlib
import time

from clickreel.errors import ClickreelError
from clickreel.flink.flink_cluster import Vertex
from clickreel.flink.workspace import Query, Workspace
from clickreel.quantities import quantity
from clickreel.stream.cluster import Cluster


def find_reasons(workspace: Workspace, query: Query) -> list[str]:
    """The reasons why nothing came so far, most likely first; never empty.

    Args:
        workspace: Where the query runs.
        query: A query without rows.
    """
    topics = workspace.named(query.statement)
    found: list[str] = []
    for topic in topics:
        found += _of_topic(workspace, topic)
    if not found:
        found += _of_job(workspace, query)
    return found or ["the statement is still starting; the machine may be busy"]


def _of_topic(workspace: Workspace, topic: str) -> list[str]:
    """What the topic alone explains."""
    kafka = Cluster(workspace.profile)
    try:
        if kafka.topic(topic) is None:
            return [f"the topic {topic} does not exist (make it: clickreel topic create)"]
        marks = kafka.bounds(topic)
    except ClickreelError as exc:
        return [exc.message]
    finally:
        kafka.close()
    if not any(high > low for low, high in marks):
        past = sum(high for _, high in marks)
        gone = f"; the {past:,} that were there were deleted by its retention" if past else ""
        return [
            f"the topic {topic} is empty: no record in its {quantity(len(marks), 'partition')}{gone} (stream: clickreel up)"
        ]
    if workspace.settings.start_from == "latest":
        return [f"the statement reads {topic} from its end, and nothing new has arrived (all of it: --from earliest)"]
    return []


def _of_job(workspace: Workspace, query: Query) -> list[str]:
    """What the running job shows: how far records come, and where time stands."""
    cluster = workspace.cluster()
    if cluster is None or not query.entry.job:
        return []
    vertices: list[Vertex] = []
    with contextlib.suppress(ClickreelError):
        vertices = cluster.vertices(query.entry.job)
    sources = [vertex for vertex in vertices if vertex.is_source]
    read = sum(vertex.read for vertex in sources)
    passed = sum(vertex.written for vertex in sources)
    if not sources:
        return []
    if read == 0:
        return ["no record was read yet: the statement is still starting, or Kafka answers slowly"]
    where = "WHERE" in {token.upper for token in query.statement.tokens}
    waits = any("Window" in vertex.name or "Match" in vertex.name for vertex in vertices)
    found = []
    if waits:
        found.append(_time([v for v in vertices if not v.is_source], read, workspace.settings.idle_partition_s))
    if passed == 0 and where:
        # A window may begin in the source's own chain and hold back what the WHERE let through: then both are possible.
        found.insert(0 if not waits else 1, f"read {quantity(read, 'record')}, and the WHERE let none through")
    return found or [
        f"read {quantity(read, 'record')}, {passed:,} went on, and the rest of the query has given none of them"
    ]


def _time(waiting: list[Vertex], read: int, idle_s: float) -> str:
    marks = [vertex.watermark_ms for vertex in waiting if vertex.watermark_ms is not None]
    if not marks:
        remedy = (
            f"idle ones are left out after {idle_s:g} s"
            if idle_s > 0
            else "SET 'table.exec.source.idle-timeout' = '5 s'"
        )
        return f"read {quantity(read, 'record')}, but there is no watermark yet: a partition without records holds it back ({remedy})"
    stands = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(min(marks) / 1000))
    return (
        f"read {quantity(read, 'record')}, and the watermark stands at {stands}: no window has ended by then."
        " A window closes once a later event arrives (or read to the present end only: --until-now)"
    )
