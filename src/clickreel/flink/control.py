"""Look after the statements of a home from outside: which still run, and stop them."""

from __future__ import annotations

import contextlib
import time

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink.client import RestGateway, SessionLostError
from clickreel.flink.cluster import Cluster, behind
from clickreel.flink.explain import FlinkError, explained
from clickreel.flink.statements import FAILED, FINISHED, LOST, STOPPED, Entry, Statements
from clickreel.local.home import Home

# How long a statement that is stopped at once may take to be planned.
_STARTS_S = 10.0
# States of a Flink job, as we call them.
_ENDED = {"FINISHED": FINISHED, "CANCELED": STOPPED, "FAILED": FAILED}


def refreshed(home: Home | None = None) -> list[Entry]:
    """All statements of a home, those that began last first, each asked for where it runs.

    Args:
        home: By default :meth:`Home.default`.
    """
    statements = Statements(home or Home.default())
    by_gateway: dict[str, list[Entry]] = {}
    for entry in statements.running():
        by_gateway.setdefault(entry.gateway, []).append(entry)
    for url, entries in by_gateway.items():
        _ask(statements, url, entries)
    return list(statements)


def refreshed_one(name: str, home: Home | None = None) -> Entry:
    """One statement, asked for where it runs.

    Raises:
        UsageError: There is none of this name.
    """
    statements = Statements(home or Home.default())
    entry = statements.named(name)
    if entry.runs:
        _ask(statements, entry.gateway, [entry])
    return statements.named(name)


def stop(name: str, home: Home | None = None) -> Entry:
    """Stop a statement; its slots are free when this returns. One that is over is left as it is.

    Args:
        name: Its name.
        home: By default :meth:`Home.default`.

    Raises:
        UsageError: There is none of this name.
        UnreachableError: The gateway does not answer.
    """
    statements = Statements(home or Home.default())
    entry = statements.named(name)
    if not entry.runs:
        return entry
    gateway = RestGateway(entry.gateway)
    try:
        session = gateway.open({})
        cluster = behind(gateway, session)
        entry = _started(statements, entry, cluster)
        # Recorded first: whoever prints its rows then knows that the end was wanted.
        statements.end(name, STOPPED)
        if entry.kind == "query":
            gateway.cancel(entry.session, entry.operation)
        elif entry.job:
            _finish(gateway, session, f"STOP JOB '{entry.job}'")
        gateway.close(session)
    except (SessionLostError, FlinkError):
        # It was over already: the gateway forgets what has ended.
        statements.end(name, STOPPED)
    finally:
        gateway.shut()
    return statements.named(name)


def _started(statements: Statements, entry: Entry, cluster: Cluster | None) -> Entry:
    """Wait until a statement may be cancelled, see :meth:`Cluster.await_started`."""
    deadline = time.monotonic() + _STARTS_S
    while not entry.job and entry.runs and time.monotonic() < deadline:
        time.sleep(0.05)
        entry = statements.named(entry.name)
    if cluster is not None and entry.job:
        cluster.await_started(entry.job)
    if cluster is not None:
        cluster.shut()
    return entry


def _finish(gateway: RestGateway, session: str, sql: str) -> None:
    operation = gateway.submit(session, sql)
    while not gateway.fetch(session, operation, 0).ready:
        time.sleep(0.02)


def _ask(statements: Statements, url: str, entries: list[Entry]) -> None:
    """Bring the records of one gateway's statements up to date."""
    gateway = RestGateway(url, timeout_s=5)
    try:
        session = gateway.open({})
    except ClickreelError:
        for entry in entries:
            statements.end(entry.name, LOST, error="the gateway that ran it does not answer")
        gateway.shut()
        return
    try:
        states, cluster = _jobs(gateway, session), behind(gateway, session)
        for entry in entries:
            settle(statements, entry, states, cluster)
        if cluster is not None:
            cluster.shut()
    except ClickreelError:
        return  # what cannot be asked now stays as it was
    finally:
        gateway.close(session)
        gateway.shut()


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


def settle(statements: Statements, entry: Entry, states: dict[str, str], cluster: Cluster | None) -> None:
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
                error = explained(cluster.failure(entry.job)).message
        statements.end(entry.name, _ENDED[state], error=error)
