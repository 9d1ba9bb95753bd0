"""Look after the statements of a home from outside: which still run, and stop them."""

from __future__ import annotations

import contextlib
import time

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink.flink_cluster import FlinkCluster, find_cluster
from clickreel.flink.gateway_client import RestGateway, SessionLostError
from clickreel.flink.sql_errors import FlinkError, explain_trace
from clickreel.flink.statement_store import FAILED, FINISHED, LOST, STOPPED, StatementRecord, StatementStore
from clickreel.local.home import Home

# How long a statement that is stopped at once may take to be planned.
_STARTS_S = 10.0
# States of a Flink job, as we call them.
_ENDED = {"FINISHED": FINISHED, "CANCELED": STOPPED, "FAILED": FAILED}


def list_statements(home: Home | None = None) -> list[StatementRecord]:
    """All statements of a home, those that began last first, each asked for where it runs.

    Args:
        home: By default :meth:`Home.default`.
    """
    statements = StatementStore(home or Home.default())
    by_gateway: dict[str, list[StatementRecord]] = {}
    for entry in statements.running():
        by_gateway.setdefault(entry.gateway, []).append(entry)
    for url, entries in by_gateway.items():
        _ask(statements, url, entries)
    return list(statements)


def read_statement(name: str, home: Home | None = None) -> StatementRecord:
    """One statement, asked for where it runs.

    Raises:
        UsageError: There is none of this name.
    """
    statements = StatementStore(home or Home.default())
    entry = statements.named(name)
    if entry.is_running:
        _ask(statements, entry.gateway, [entry])
    return statements.named(name)


def stop_statement(name: str, home: Home | None = None) -> StatementRecord:
    """Stop a statement; its slots are free when this returns. One that is over is left as it is.

    Args:
        name: Its name.
        home: By default :meth:`Home.default`.

    Raises:
        UsageError: There is none of this name.
        UnreachableError: The gateway does not answer.
    """
    statements = StatementStore(home or Home.default())
    entry = statements.named(name)
    if not entry.is_running:
        return entry
    gateway = RestGateway(entry.gateway)
    try:
        session = gateway.open_session({})
        cluster = find_cluster(gateway, session)
        entry = _started(statements, entry, cluster)
        # Recorded first: whoever prints its rows then knows that the end was wanted.
        statements.end(name, STOPPED)
        if entry.kind == "query":
            gateway.cancel(entry.session, entry.operation)
        elif entry.job:
            _finish(gateway, session, f"STOP JOB '{entry.job}'")
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


def _finish(gateway: RestGateway, session: str, sql: str) -> None:
    operation = gateway.submit(session, sql)
    while not gateway.fetch(session, operation, 0).ready:
        time.sleep(0.02)


def _ask(statements: StatementStore, url: str, entries: list[StatementRecord]) -> None:
    """Bring the records of one gateway's statements up to date."""
    gateway = RestGateway(url, timeout_s=5)
    try:
        session = gateway.open_session({})
    except ClickreelError:
        for entry in entries:
            statements.end(entry.name, LOST, error="the gateway that ran it does not answer")
        gateway.disconnect()
        return
    try:
        states, cluster = _jobs(gateway, session), find_cluster(gateway, session)
        for entry in entries:
            update_state(statements, entry, states, cluster)
        if cluster is not None:
            cluster.disconnect()
    except ClickreelError:
        return  # what cannot be asked now stays as it was
    finally:
        gateway.close_session(session)
        gateway.disconnect()


def _jobs(gateway: RestGateway, session: str) -> dict[str, str]:
    operation = gateway.submit(session, "SHOW JOBS")
    number: int | None = 0
    states: dict[str, str] = {}
    while number is not None:
        page = gateway.fetch(session, operation, number)
        if page.ready:
            number = page.next
            states |= {str(cells[0]): str(cells[2]) for _, cells in page.rows}
    return states


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
