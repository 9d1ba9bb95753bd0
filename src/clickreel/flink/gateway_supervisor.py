"""The supervisor of the local gateway: ``python -m clickreel.flink.gateway_supervisor PORT CLUSTER_PORT``, the process of the part ``flink``.

It does what nobody else lives long enough to do:

1. It starts the gateway's Java process and ends it, and deletes every temporary file of it.
2. It submits the *anchor*. Flink's local mode starts a whole cluster for each statement (1 s on two cores) and ends it with the
   statement. The anchor is one statement in that mode that never ends and does nothing; its cluster stays, and all other statements are
   sent to it. Their slots can then be counted, and their metrics read, at one address.
3. It stops queries whose process is gone (``kill -9`` of a command), and keeps the sessions of the living from expiring.
4. It raises the cluster again should a fault in a statement end it.
5. It ends itself, and Java with it, once no statement ran for a while.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from clickreel import settings as stage_settings
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink import part
from clickreel.flink.flink_cluster import FlinkCluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_control import update_state
from clickreel.flink.statement_store import LOST, STOPPED, StatementRecord, StatementStore
from clickreel.local import ports, ready
from clickreel.local.home import Home
from clickreel.local.settings import LocalSettings

WATCH_S = 0.5
HEARTBEAT_S = 60.0
# Java needs less than a second to leave; what it holds is worth nothing.
GRACE_S = 5.0
START_S = 85.0
# A query whose process is gone before it became a job is left alone for so long.
_PLANS_S = 10.0
_PR_SET_PDEATHSIG = 1

_ANCHOR = (
    "CREATE TEMPORARY TABLE anchor_source (x BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1')",
    "CREATE TEMPORARY TABLE anchor_sink (x BIGINT) WITH ('connector' = 'blackhole')",
    "INSERT INTO anchor_sink SELECT x FROM anchor_source",
)


class GatewaySupervisor:
    """Runs the gateway of a home.

    Args:
        home: Whose.
        port: Where the gateway listens.
        cluster_port: Where its cluster listens.
    """

    def __init__(self, home: Home, port: int, cluster_port: int) -> None:
        self.home = home
        self.flink = stage_settings.load(FlinkSettings, "flink")
        self.gateway = RestGateway(f"http://{ports.HOST}:{port}")
        self.watched = FlinkCluster(f"http://{ports.HOST}:{cluster_port}")
        self.statements = StatementStore(home)
        self._ports = (port, cluster_port)
        self._java: subprocess.Popen[bytes] | None = None
        self._anchor = ""
        self._asked = False

    def run(self) -> int:
        """Start, serve until asked to end or until idle, end; returns the exit code."""
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work = self.home.work("flink")
        try:
            self._java = self._start(work)
            self._forget_lost()
            self._raise_anchor()
            self.statements.touch()
            ready.announce()
            return self._serve()
        except _AskedError:
            return 0
        except ClickreelError as exc:
            _note(f"{exc.message} ({exc.hint})")
            return exc.exit_code
        finally:
            self._end()
            for name in ("tmp", "conf"):
                shutil.rmtree(work / name, ignore_errors=True)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def _start(self, work: Path) -> subprocess.Popen[bytes]:
        for name in ("tmp", "conf"):
            # What a killed predecessor left: Java unpacks 60 MB of planner and RPC system at every start.
            shutil.rmtree(work / name, ignore_errors=True)
            (work / name).mkdir(mode=0o700)
        options = part.configuration(
            gateway_port=self._ports[0],
            cluster_port=self._ports[1],
            scratch=work / "tmp",
            slots=self.flink.slots + 1,
        )
        lines = "".join(f'{name}: "{value}"\n' for name, value in options.items())
        (work / "conf" / "config.yaml").write_text(lines, encoding="utf-8")
        command = part.command(self.home, stage_settings.load(LocalSettings, "local"), work / "tmp")
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "FLINK_CONF_DIR": str(work / "conf")},
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread, one system call
        )

    def _raise_anchor(self) -> None:
        deadline = time.monotonic() + START_S
        self._until(self._answers, deadline)
        self._anchor = self.gateway.open_session({"execution.target": "local"})
        for sql in _ANCHOR:
            operation = self.gateway.submit(self._anchor, sql)
            self._until(partial(self._done, operation), deadline)
            self.gateway.close_operation(self._anchor, operation)
        self._until(self._holds, deadline)

    def _until(self, done: Callable[[], bool], deadline: float) -> None:
        while not done():
            self._alive()
            if time.monotonic() > deadline:
                raise UnreachableError("Flink does not come up", hint="clickreel logs flink")
            time.sleep(0.03)

    def _alive(self) -> None:
        if self._asked:
            raise _AskedError
        assert self._java is not None
        code = self._java.poll()
        if code is not None:
            raise UnreachableError(f"Flink's Java process ended with code {code}", hint="clickreel logs flink")

    def _answers(self) -> bool:
        try:
            return bool(self.gateway.version())
        except UnreachableError:
            return False

    def _done(self, operation: str) -> bool:
        return self.gateway.fetch(self._anchor, operation, 0).ready

    def _holds(self) -> bool:
        """Whether the cluster that the anchor keeps up serves."""
        try:
            return any(state == "RUNNING" for state in self.watched.jobs().values()) and self.watched.slots().total > 0
        except UnreachableError:
            return False

    def _serve(self) -> int:
        beat = time.monotonic()
        while True:
            self._mend()
            running = [entry for entry in self.statements.running() if entry.gateway == self.gateway.url]
            for entry in running:
                if entry.is_orphaned:
                    self._reap(entry)
            self._settle(running)
            if running:
                self.statements.touch()
            elif self.statements.idle_s() > self.flink.idle_stop_s:
                _note(f"no statement for {self.flink.idle_stop_s:.0f} s: ending")
                # Without its record the supervisor does not take the end for a crash.
                self.home.record("flink").unlink(missing_ok=True)
                return 0
            if time.monotonic() - beat > HEARTBEAT_S:
                beat = time.monotonic()
                self.gateway.heartbeat(self._anchor)
            time.sleep(WATCH_S)

    def _reap(self, entry: StatementRecord) -> None:
        """Stop a query whose process is gone."""
        if entry.job:
            self.watched.wait_until_started(entry.job)
        elif time.time() - entry.started < _PLANS_S:
            return  # not before it has become a job: see FlinkCluster.wait_until_started
        _note(f"{entry.name}: its process is gone, so it is stopped")
        self.gateway.close_session(entry.session)
        self.statements.end(entry.name, STOPPED, error="the command that ran it was killed")

    def _mend(self) -> None:
        """Raise the anchor again when its cluster is gone: a fault in one statement can end a cluster, and must not end the part."""
        self._alive()
        if self._holds():
            return
        _note("the cluster is gone: raising it again")
        self._forget_lost()
        self.gateway.close_session(self._anchor)
        self._raise_anchor()

    def _settle(self, running: list[StatementRecord]) -> None:
        """Bring inserts that ended by themselves up to date, so that they do not keep the gateway up."""
        inserts = [entry for entry in running if entry.kind == "insert" and entry.job]
        if inserts:
            with contextlib.suppress(UnreachableError):
                states = self.watched.jobs()
                for entry in inserts:
                    update_state(self.statements, entry, states, self.watched)

    def _forget_lost(self) -> None:
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


class _AskedError(Exception):
    """Somebody asked this process to end while it started."""


def _die_with_parent() -> None:
    # `kill -9` of this process must not leave Java behind, even when the shim is gone too.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _note(text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} gateway supervisor: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run the gateway of the home that the environment names."""
    return GatewaySupervisor(Home.default(), int(arguments[0]), int(arguments[1])).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
