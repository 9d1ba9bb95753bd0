"""Look after statements from outside the process that runs them: which still run, and stop them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink import gateway_results
from clickreel.flink.flink_cluster import FlinkCluster, find_cluster
from clickreel.flink.gateway_client import RestGateway, SessionLostError
from clickreel.flink.sql_errors import FlinkError, explain_trace
from clickreel.flink.statement_store import FAILED, FINISHED, LOST, STOPPED, StatementRecord, StatementStore

# Connects to the gateway that a record names; the caller adds what the gateway asks for (a password).
Connect = Callable[[str], RestGateway]
# How long a statement that is stopped at once may take to be planned.
_STARTS_S = 10.0
# States of a Flink job, as we call them.
_ENDED = {"FINISHED": FINISHED, "CANCELED": STOPPED, "FAILED": FAILED}


def list_statements(statements: StatementStore, connect: Connect = RestGateway) -> list[StatementRecord]:
    """List all statements, those that began last first; the state of each that runs is asked of its gateway.

    Args:
        statements: Where they are recorded.
        connect: Connects to a gateway.
    """
    by_gateway: dict[str, list[StatementRecord]] = {}
    for entry in statements.running():
        by_gateway.setdefault(entry.gateway, []).append(entry)
    for url, entries in by_gateway.items():
        _update_states(statements, connect(url), entries)
    return list(statements)


def read_statement(statements: StatementStore, name: str, connect: Connect = RestGateway) -> StatementRecord:
    """Read one statement; its state is asked of its gateway where it runs.

    Raises:
        UsageError: There is none of this name.
    """
    entry = statements.named(name)
    if entry.is_running:
        _update_states(statements, connect(entry.gateway), [entry])
    return statements.named(name)


def stop_statement(statements: StatementStore, name: str, connect: Connect = RestGateway) -> StatementRecord:
    """Stop a statement; its slots are free when this returns. One that is over is left as it is.

    Args:
        statements: Where it is recorded.
        name: Its name.
        connect: Connects to its gateway.

    Raises:
        UsageError: There is none of this name.
        UnreachableError: The gateway does not answer.
    """
    entry = statements.named(name)
    if not entry.is_running:
        return entry
    gateway = connect(entry.gateway)
    try:
        session = gateway.open_session({})
        cluster = find_cluster(gateway, session)
        entry = _started(statements, entry, cluster)
        # Recorded first: whoever prints its rows then knows that the end was wanted.
        statements.end(name, STOPPED)
        if entry.kind == "query":
            gateway.cancel(entry.session, entry.operation)
        elif entry.job:
            gateway_results.run(gateway, session, f"STOP JOB '{entry.job}'")
        gateway.close_session(session)
    except (SessionLostError, FlinkError):
        # It was over already: the gateway forgets what has ended.
        statements.end(name, STOPPED)
    finally:
        gateway.disconnect()
    return statements.named(name)


def _started(statements: StatementStore, entry: StatementRecord, cluster: FlinkCluster | None) -> StatementRecord:
    """Wait until a statement may be cancelled, see :meth:`FlinkCluster.wait_until_started`."""
    deadline = time.monotonic() + _STARTS_S
    while not entry.job and entry.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
        entry = statements.named(entry.name)
    if cluster is not None and entry.job:
        cluster.wait_until_started(entry.job)
    if cluster is not None:
        cluster.disconnect()
    return entry


def _update_states(statements: StatementStore, gateway: RestGateway, entries: list[StatementRecord]) -> None:
    """Update the records of one gateway's statements."""
    session = _open_session(gateway)
    if session is None:
        for entry in entries:
            statements.end(entry.name, LOST, error="the gateway that ran it does not answer")
        gateway.disconnect()
        return
    try:
        jobs = gateway_results.run(gateway, session, "SHOW JOBS").rows
        states, cluster = {str(cells[0]): str(cells[2]) for cells in jobs}, find_cluster(gateway, session)
        for entry in entries:
            update_state(statements, entry, states, cluster)
        if cluster is not None:
            cluster.disconnect()
    except ClickreelError:
        return  # what cannot be asked now stays as it was
    finally:
        gateway.close_session(session)
        gateway.disconnect()


def _open_session(gateway: RestGateway) -> str | None:
    """A session for asking; none when the gateway is gone, which one failed request does not say."""
    for pause_s in (0.5, 1.0, 0.0):
        with contextlib.suppress(ClickreelError):
            return gateway.open_session({})
        time.sleep(pause_s)
    return None


def update_state(
    statements: StatementStore, entry: StatementRecord, states: dict[str, str], cluster: FlinkCluster | None
) -> None:
    """Bring one record up to date.

    Args:
        statements: Where it is.
        entry: What was last known of it.
        states: State of each job that the cluster knows.
        cluster: Asked why a job failed, where it is known.
    """
    if not entry.job:
        return
    state = states.get(entry.job)
    if state is None:
        # A cluster remembers jobs that ended for a while; one that knows nothing of it is another cluster.
        statements.end(entry.name, LOST, error="its cluster was restarted, or has forgotten it")
    elif state in _ENDED:
        error = ""
        if state == "FAILED" and cluster is not None:
            with contextlib.suppress(UnreachableError):
                error = explain_trace(cluster.failure(entry.job)).message
        statements.end(entry.name, _ENDED[state], error=error)
