"""The Flink cluster's own REST interface: jobs, slots and metrics. Statements go through the gateway; this only looks and stops."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink import gateway_results
from clickreel.flink.gateway_client import Gateway

_TIMEOUT_S = 5.0
# How long a statement that is to be stopped may take to start, and how often it is looked at.
_STARTS_S, _LOOK_S = 5.0, 0.02
# An option of ours in the configuration of a gateway that serves its cluster's REST interface too: below which path.
CLUSTER_PATH_OPTION = "clickreel.cluster.path"
# Flink's states of a job that is over.
ENDED = frozenset({"FINISHED", "CANCELED", "FAILED", "SUSPENDED"})
# States of a vertex that is neither about to start nor starting.
_SETTLED = ENDED | {"RUNNING", "CANCELING"}


@dataclass(frozen=True)
class TaskSlots:
    """The cluster's slots.

    Attributes:
        total: All.
        free: Those that nothing occupies.
    """

    total: int
    free: int


@dataclass(frozen=True)
class Vertex:
    """A chained operator of a running job.

    Attributes:
        name: What it does, as Flink writes it.
        id: Its id in the job.
        read: Records that it took in: for a source, from the topic.
        written: Records that it gave on.
        watermark_ms: Lowest watermark of its inputs, milliseconds since 1970; None when it has none yet.
    """

    name: str
    id: str
    read: int
    written: int
    watermark_ms: int | None

    @property
    def is_source(self) -> bool:
        """Whether it reads a topic."""
        return self.name.startswith("Source:")


class FlinkCluster:
    """A cluster's REST interface.

    Args:
        url: Its address, such as ``http://127.0.0.1:8081``.
        auth: ``user:password``, or empty.
    """

    def __init__(self, url: str, *, auth: str = "") -> None:
        self.url = url.rstrip("/")
        user, _, password = auth.partition(":")
        self._http = httpx.Client(
            base_url=self.url, auth=(user, password) if user else None, timeout=_TIMEOUT_S, trust_env=False
        )

    def disconnect(self) -> None:
        """Close the connections."""
        self._http.close()

    def slots(self) -> TaskSlots:
        """How many slots there are and how many are free."""
        seen = self._get("/overview")
        return TaskSlots(int(seen["slots-total"]), int(seen["slots-available"]))

    def jobs(self) -> dict[str, str]:
        """State of each job that the cluster remembers, by its id."""
        return {job["jid"]: job["state"] for job in self._get("/jobs/overview")["jobs"]}

    def is_running(self, job: str) -> bool:
        """Whether every operator of a job runs or has finished its work."""
        return all(vertex["status"] in {"RUNNING", "FINISHED"} for vertex in self._get(f"/jobs/{job}")["vertices"])

    def failure(self, job: str) -> str:
        """The Java trace with which a job failed, or empty; it is there a moment after the state."""
        deadline = time.monotonic() + _STARTS_S
        while True:
            entries = self._get(f"/jobs/{job}/exceptions").get("exceptionHistory", {}).get("entries", [])
            trace = str(entries[0].get("stacktrace", "")) if entries else ""
            if trace or time.monotonic() > deadline:
                return trace
            time.sleep(_LOOK_S)

    def wait_until_started(self, job: str) -> None:
        """Wait until a job may be cancelled.

        Flink's result sink cannot be cancelled while it is being opened: it fails with a NullPointerException in the task's own
        exception handler, which Flink answers by ending the TaskManager, and with it every statement of the cluster. So nothing is
        cancelled between its deployment and its first moment of running.
        """
        deadline = time.monotonic() + _STARTS_S
        with contextlib.suppress(UnreachableError):
            while time.monotonic() < deadline:
                seen = self._get(f"/jobs/{job}")
                if seen["state"] in ENDED or all(vertex["status"] in _SETTLED for vertex in seen["vertices"]):
                    return
                time.sleep(_LOOK_S)

    def cancel(self, job: str) -> None:
        """Stop a job; one that is over is left alone."""
        try:
            answer = self._http.patch(f"/jobs/{job}", params={"mode": "cancel"})
        except httpx.HTTPError as exc:
            raise self._away(exc) from exc
        if answer.status_code not in {202, 404, 409}:
            raise UnreachableError(
                f"the cluster at {self.url} answers {answer.status_code}", hint="clickreel logs flink"
            )

    def vertices(self, job: str) -> list[Vertex]:
        """The job's operators with what has passed through them."""
        return [self._vertex(job, vertex) for vertex in self._get(f"/jobs/{job}")["vertices"]]

    def offsets(self, job: str) -> dict[tuple[str, int], int]:
        """The next offset that each Kafka source of a job will read, by topic and partition, as far as it says so."""
        found: dict[tuple[str, int], int] = {}
        for vertex in self._get(f"/jobs/{job}")["vertices"]:
            for name, value in self._metrics(job, vertex["id"], ".currentOffset").items():
                words = name.rpartition("KafkaSourceReader.topic.")[2].removesuffix(".currentOffset")
                topic, _, partition = words.rpartition(".partition.")
                if topic:
                    # The metric is the last offset that was given on, -1 before the first.
                    found[topic, int(partition)] = int(value) + 1
        return found

    def _vertex(self, job: str, vertex: Mapping[str, Any]) -> Vertex:
        metrics = vertex["metrics"]
        read, name = int(metrics["read-records"]), str(vertex["name"])
        if name.startswith("Source:"):
            # A source's own count of what it took from the topic; the vertex counts only what came from other vertices.
            counts = self._metrics(job, vertex["id"], ".numRecordsIn", own="Source__")
            read = int(max(counts.values(), default=0))
        marks = self._get(f"/jobs/{job}/vertices/{vertex['id']}/watermarks")
        values = (
            [int(float(mark["value"])) for mark in marks if isinstance(mark, dict)] if isinstance(marks, list) else []
        )
        # The lowest number stands for "none yet".
        known = [value for value in values if value > -(1 << 62)]
        return Vertex(
            name,
            vertex["id"],
            read,
            int(metrics["write-records"]),
            min(known) if known and len(known) == len(values) else None,
        )

    def _metrics(self, job: str, vertex: str, ending: str, own: str = "") -> dict[str, float]:
        path = f"/jobs/{job}/vertices/{vertex}/metrics"
        names = [m["id"] for m in self._get(path) if m["id"].endswith(ending) and own in m["id"]]
        if not names:
            return {}
        return {m["id"]: float(m["value"]) for m in self._get(path, get=",".join(names)) if "value" in m}

    def _get(self, path: str, **params: str) -> Any:
        try:
            answer = self._http.get(path, params=params)
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise self._away(exc) from exc

    def _away(self, exc: Exception) -> UnreachableError:
        return UnreachableError(f"Flink's cluster at {self.url} does not answer: {exc}", hint="clickreel logs flink")


def find_cluster(gateway: Gateway, session: str) -> FlinkCluster | None:
    """The cluster that a gateway sends its statements to, where the gateway says its address.

    Args:
        gateway: The gateway.
        session: A session of it.
    """
    options: dict[str, str] = {}
    with contextlib.suppress(ClickreelError):
        rows = gateway_results.run(gateway, session, "SET").rows
        options = {str(cells[0]).strip("'"): str(cells[1]).strip("'") for cells in rows}
    if path := options.get(CLUSTER_PATH_OPTION, ""):
        return FlinkCluster(f"{gateway.url}{path}", auth=gateway.auth)
    host = options.get("rest.address", "")
    return FlinkCluster(f"http://{host}:{options.get('rest.port', '8081')}") if host else None
