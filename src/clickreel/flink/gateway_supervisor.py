"""The supervisor of a local gateway: the process that owns Java, which :mod:`clickreel.local.flink_service` starts.

It does what nobody else lives long enough to do:

1. It starts the gateway's Java process and ends it.
2. It submits the *keep-alive job*. Flink's local mode starts a whole cluster for each statement (1 s on two cores) and ends it with the
   statement. The keep-alive job is one statement in that mode that never ends and does nothing; its cluster stays, and all other
   statements are sent to it. Their slots can then be counted, and their metrics read, at one address.
3. It stops queries whose process is gone (``kill -9`` of a command), and keeps the keep-alive session from expiring.
4. It starts the cluster again should a fault in a statement end it.
5. It ends itself, and Java with it, once no statement ran for a while.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink.flink_cluster import FlinkCluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_control import update_state
from clickreel.flink.statement_store import LOST, STOPPED, StatementRecord, StatementStore

WATCH_S = 0.5
HEARTBEAT_S = 60.0
# Java needs less than a second to leave; what it holds is worth nothing.
GRACE_S = 5.0
# Whoever starts this process has a deadline of its own; a machine with ten times more to do than processors needs minutes.
START_S = 600.0
# A query whose process is gone before it became a job is left alone for so long.
_PLANS_S = 10.0

_KEEP_ALIVE_JOB = (
    "CREATE TEMPORARY TABLE keep_alive_source (x BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')",
    "CREATE TEMPORARY TABLE keep_alive_sink (x BIGINT) WITH ('connector' = 'blackhole')",
    "INSERT INTO keep_alive_sink SELECT x FROM keep_alive_source",
)


class GatewaySupervisor:
    """Runs a local gateway: starts it, keeps its cluster up, ends what nobody owns, and ends when idle.

    Args:
        gateway: The gateway's address, before it listens there.
        cluster: The address of the cluster behind it, before it listens there.
        statements: The statements that this gateway runs.
        settings: How many statements, and how long it may be idle.
        start_java: Starts the gateway's Java process.
        on_ready: Called once statements can run.
        on_idle: Called when it ends because it was idle, before it ends.
    """

    def __init__(
        self,
        gateway: RestGateway,
        cluster: FlinkCluster,
        statements: StatementStore,
        settings: FlinkSettings,
        *,
        start_java: Callable[[], subprocess.Popen[bytes]],
        on_ready: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.gateway, self.cluster, self.statements, self.settings = gateway, cluster, statements, settings
        self._start_java, self._on_ready, self._on_idle = start_java, on_ready, on_idle
        self._java: subprocess.Popen[bytes] | None = None
        self._keep_alive_session = ""
        self._stop_requested = False

    def run(self) -> int:
        """Start, serve until asked to end or until idle, end; returns the exit code."""
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._java = self._start_java()
            self._mark_lost()
            self._start_keep_alive_job()
            self.statements.touch()
            self._on_ready()
            return self._serve()
        except _StopRequestedError:
            return 0
        except ClickreelError as exc:
            _log(f"{exc.message} ({exc.hint})")
            return exc.exit_code
        finally:
            self._end()

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_requested = True

    def _start_keep_alive_job(self) -> None:
        deadline = time.monotonic() + START_S
        self._wait_until(self._gateway_answers, deadline)
        self._keep_alive_session = self.gateway.open_session({"execution.target": "local"})
        for sql in _KEEP_ALIVE_JOB:
            operation = self.gateway.submit(self._keep_alive_session, sql)
            self._wait_until(partial(self._is_done, operation), deadline)
            self.gateway.close_operation(self._keep_alive_session, operation)
        self._wait_until(self._cluster_serves, deadline)

    def _wait_until(self, done: Callable[[], bool], deadline: float) -> None:
        while not done():
            self._check_java()
            if time.monotonic() > deadline:
                raise UnreachableError("Flink does not come up", hint="clickreel logs flink")
            time.sleep(0.03)

    def _check_java(self) -> None:
        if self._stop_requested:
            raise _StopRequestedError
        assert self._java is not None
        code = self._java.poll()
        if code is not None:
            raise UnreachableError(f"Flink's Java process ended with code {code}", hint="clickreel logs flink")

    def _gateway_answers(self) -> bool:
        try:
            return bool(self.gateway.version())
        except UnreachableError:
            return False

    def _is_done(self, operation: str) -> bool:
        return self.gateway.fetch(self._keep_alive_session, operation, 0).ready

    def _cluster_serves(self) -> bool:
        """Whether the cluster that the keep-alive job holds up serves."""
        try:
            return any(state == "RUNNING" for state in self.cluster.jobs().values()) and self.cluster.slots().total > 0
        except UnreachableError:
            return False

    def _serve(self) -> int:
        beat = time.monotonic()
        while True:
            self._restore_cluster()
            running = [entry for entry in self.statements.running() if entry.gateway == self.gateway.url]
            for entry in running:
                if entry.is_orphaned:
                    self._stop_orphan(entry)
            self._update_inserts(running)
            if running:
                self.statements.touch()
            elif self.statements.idle_s() > self.settings.idle_stop_s:
                _log(f"no statement for {self.settings.idle_stop_s:.0f} s: ending")
                self._on_idle()
                return 0
            if time.monotonic() - beat > HEARTBEAT_S:
                beat = time.monotonic()
                self.gateway.heartbeat(self._keep_alive_session)
            time.sleep(WATCH_S)

    def _stop_orphan(self, entry: StatementRecord) -> None:
        """Stop a query whose process is gone."""
        if entry.job:
            self.cluster.wait_until_started(entry.job)
        elif time.time() - entry.started < _PLANS_S:
            return  # not before it has become a job: see FlinkCluster.wait_until_started
        _log(f"{entry.name}: its process is gone, so it is stopped")
        self.gateway.close_session(entry.session)
        self.statements.end(entry.name, STOPPED, error="the command that ran it was killed")

    def _restore_cluster(self) -> None:
        """Start the cluster again when it is gone: a fault in one statement can end a cluster, and must not end the service."""
        self._check_java()
        if self._cluster_serves():
            return
        _log("the cluster is gone: starting it again")
        self._mark_lost()
        self.gateway.close_session(self._keep_alive_session)
        self._start_keep_alive_job()

    def _update_inserts(self, running: list[StatementRecord]) -> None:
        """Bring inserts that ended by themselves up to date, so that they do not keep the gateway up."""
        inserts = [entry for entry in running if entry.kind == "insert" and entry.job]
        if inserts:
            with contextlib.suppress(UnreachableError):
                states = self.cluster.jobs()
                for entry in inserts:
                    update_state(self.statements, entry, states, self.cluster)

    def _mark_lost(self) -> None:
        """Whatever an earlier gateway of this home ran is gone with it."""
        for entry in self.statements.running():
            if entry.gateway == self.gateway.url:
                self.statements.end(entry.name, LOST, error="the gateway ended while it ran")
        self.statements.tidy()

    def _end(self) -> None:
        java = self._java
        if java is None:
            return
        if java.poll() is None:
            java.terminate()
            try:
                java.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                java.kill()
                java.wait()
        for entry in self.statements.running():
            if entry.gateway == self.gateway.url:
                self.statements.end(entry.name, LOST, error="the gateway ended while it ran")


class _StopRequestedError(Exception):
    """Somebody asked this process to end while it started."""


def _log(text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} gateway supervisor: {text}\n")
    sys.stderr.flush()
