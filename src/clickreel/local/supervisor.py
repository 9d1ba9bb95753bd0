"""The supervisor of a home: the one process whose children its services are.

``python -m clickreel.local.supervisor HOME [LIFELINE_PIPE]``, started by the first ``up``. Everybody else asks it, over a socket of the
home, one JSON object a line each way (:mod:`clickreel.local.supervisor_client`):

=============================== ==============================================================================================
``{"do": "start", "spec": {}}`` start this service, or answer with its record when it runs
``{"do": "confirm", "name": s}`` it was ready: from now on a death of it is answered with a restart
``{"do": "stop", "name": s}``    end it on purpose
``{"do": "shutdown"}``           end all of them in reverse order, then itself
=============================== ==============================================================================================

1. It holds a lock for as long as it lives, so a home never has two.
2. A service that ended by itself is started again with the same command, address and environment, after pauses that grow
   (:data:`PAUSES_S`); after the last one it gives up and says why. One that fails at its very first start is not, unless it could only
   not reach another service (exit code 4), which on a busy machine means that it came too early. Exit code, time, reason and number of restarts stay in the record.
3. When it dies itself, ``kill -9`` included, the shims end all services (:mod:`clickreel.local.shim`); with ``LIFELINE_PIPE`` it ends in
   order when the process at the other end is gone.
4. It prepares nothing and waits for nothing: ``up`` does that. So it imports little, and no fault in a start can end it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import selectors
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clickreel import log_setup
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.heartbeat import reset_heartbeat
from clickreel.interrupts import end_requests
from clickreel.json_files import write_json
from clickreel.local import child, class_data_sharing
from clickreel.local.child import Child, ServiceRecord
from clickreel.local.home import Home
from clickreel.local.startup_diagnosis import explain_exit
from clickreel.process import Process
from clickreel.quantities import quantity

# The pauses before the restarts of a service that does not stay up; two minutes in all. The sum is longer than a broker's session
# time-outs, so that a writer whose predecessor still holds the lease is let in before this gives up.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)
# A service that ran for so long was well: its next death begins with the first pause.
WELL_S = 120.0
# Children are looked at this often.
TICK_S = 0.2
# Without a service that runs or is to be started again it ends by itself; long enough for an `up` that is still preparing the first one.
IDLE_S = 30.0
_LINE_BYTES = 1 << 20
_LOG = logging.getLogger("clickreel.local.supervisor")  # this module runs as __main__


@dataclass(frozen=True)
class ServiceSpec:
    """All that is needed to start a service, the second time as the first.

    Attributes:
        name: The service.
        argv: Full path of the program, and its arguments.
        env: Its whole environment.
        folder: Its working directory, where it finds the project file.
        log: Its log file.
        address: Where it will serve; empty for a service without an address.
        version: Of the program.
        rank: Services end in the reverse order of their ranks.
        restart_after_success: Whether exit code 0 is answered with a restart too.
        runs_in_java: Whether Java may be the reason when it does not start.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    log: str
    address: str = ""
    version: str = ""
    rank: int = 0
    restart_after_success: bool = True
    runs_in_java: bool = False


@dataclass
class _Supervised:
    spec: ServiceSpec
    record: ServiceRecord
    child: Child | None
    tries: int = field(default=0)


class Supervisor:
    """Starts, watches and ends the services of a home.

    Args:
        home: Whose.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.services: dict[str, _Supervised] = {}
        self.ending = False

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what was asked and return the answer."""
        action, name = request.get("do"), str(request.get("name", ""))
        if action == "start":
            spec = request["spec"]
            return {"record": asdict(self.start(ServiceSpec(**{**spec, "argv": tuple(spec["argv"])})))}
        if action == "confirm":
            self.confirm(name)
        elif action == "stop":
            return {"lived": self.stop(name)}
        elif action == "shutdown":
            self.ending = True
            return {"ended": self.stop_all()}
        return {}

    def start(self, spec: ServiceSpec) -> ServiceRecord:
        """Start a service unless it runs; one that waits for its restart is started now, and its pauses begin anew."""
        known = self.services.get(spec.name)
        if known is not None and known.child is not None and known.child.exit_code() is None:
            return known.record
        if known is not None and known.child is not None:
            known.child.close()
        supervised = _Supervised(spec, _nothing(spec), None)
        self._spawn(supervised)
        self.services[spec.name] = supervised
        return supervised.record

    def confirm(self, name: str) -> None:
        """Note that a service was ready."""
        supervised = self.services.get(name)
        if supervised is None or supervised.child is None or supervised.record.confirmed:
            return
        self._note(supervised, confirmed=True)
        class_data_sharing.dump_archive(supervised.spec.argv, supervised.record.pid)

    def stop(self, name: str) -> bool:
        """End a service on purpose; returns whether it ran."""
        supervised = self.services.pop(name, None)
        if supervised is None:
            return False
        lived = supervised.child is not None and supervised.child.exit_code() is None
        if supervised.child is not None:
            child.end(supervised.record)
            supervised.child.close()
        self.home.record(name).unlink(missing_ok=True)
        _LOG.info("stopped", extra={"service": name})
        return lived

    def stop_all(self) -> list[str]:
        """End all services in the reverse order of their ranks; returns the names of those that ran."""
        order = sorted(self.services.values(), key=lambda one: one.spec.rank, reverse=True)
        return [one.spec.name for one in order if self.stop(one.spec.name)]

    def tick(self) -> None:
        """Look at every service once: note what ended, start again what is due."""
        for supervised in list(self.services.values()):
            code = supervised.child.exit_code() if supervised.child is not None else None
            if code is not None:
                self._ended(supervised, code)
            elif supervised.child is None and supervised.record.phase == "restarting":
                if time.time() >= supervised.record.retry_at:
                    self._restart(supervised)
            elif supervised.tries and time.time() - supervised.record.started > WELL_S:
                supervised.tries = 0

    def is_idle(self) -> bool:
        """Whether nothing runs and nothing is to be started again."""
        return all(one.child is None and one.record.phase != "restarting" for one in self.services.values())

    def _ended(self, supervised: _Supervised, code: int) -> None:
        assert supervised.child is not None
        supervised.child.close()
        supervised.child = None
        spec, record = supervised.spec, supervised.record
        if code == 0 and not spec.restart_after_success:
            del self.services[spec.name]
            self.home.record(spec.name).unlink(missing_ok=True)
            _LOG.info("ended by itself, as it should when idle", extra={"service": spec.name})
            return
        error = explain_exit(spec.name, Path(spec.log), code, runs_in_java=spec.runs_in_java)
        last = {"exit_code": code, "ended": time.time(), "reason": error.message}
        _LOG.warning("ended by itself", extra={"service": spec.name, "code": code, "reason": error.message})
        first = not record.confirmed and record.restarts == 0
        if first and code != UnreachableError.exit_code:
            # Whoever starts it waits for it and says what to do.
            class_data_sharing.discard_archive(spec.argv)
            self._note(supervised, phase="failed", **last)
        elif supervised.tries >= len(PAUSES_S):
            reason = f"gave up after {quantity(supervised.tries, 'restart')} in a row: {error.message}"
            _LOG.error("gave up", extra={"service": spec.name, "restarts": supervised.tries})
            self._note(supervised, phase="failed", **{**last, "reason": reason})
        else:
            self._note(supervised, phase="restarting", retry_at=time.time() + PAUSES_S[supervised.tries], **last)
            supervised.tries += 1

    def _restart(self, supervised: _Supervised) -> None:
        before = supervised.record
        try:
            self._spawn(supervised)
        except (ClickreelError, OSError) as exc:  # no memory, no process ids, no disk: tried again later
            _LOG.exception("cannot start", extra={"service": before.name})
            pause_s = PAUSES_S[min(supervised.tries, len(PAUSES_S) - 1)]
            supervised.tries += 1
            phase = "restarting" if supervised.tries <= len(PAUSES_S) else "failed"
            self._note(supervised, phase=phase, retry_at=time.time() + pause_s, reason=str(exc))
            return
        _LOG.info("started again", extra={"service": before.name, "restarts": before.restarts + 1})
        self._note(
            supervised,
            restarts=before.restarts + 1,
            exit_code=before.exit_code,
            ended=before.ended,
            reason=before.reason,
        )

    def _spawn(self, supervised: _Supervised) -> None:
        spec = supervised.spec
        reset_heartbeat(self.home.heartbeat(spec.name))
        supervised.child = child.spawn(
            spec.name,
            spec.argv,
            log=Path(spec.log),
            address=spec.address,
            env=spec.env,
            folder=spec.folder if Path(spec.folder).is_dir() else "/",
            version=spec.version,
        )
        supervised.record = supervised.child.record
        self._note(supervised)

    def _note(self, supervised: _Supervised, **changes: Any) -> None:
        supervised.record = replace(supervised.record, **changes)
        if supervised.child is not None:
            supervised.child.record = supervised.record
        try:
            supervised.record.write(self.home.record(supervised.spec.name))
        except OSError as exc:  # a full disk must not end the supervision of what runs
            _LOG.warning("cannot write a record", extra={"service": supervised.spec.name, "error": exc})


def _nothing(spec: ServiceSpec) -> ServiceRecord:
    return ServiceRecord(spec.name, 0, "", 0.0, spec.address, spec.log, 0, "")


def serve(home: Home, lifeline_pipe: int | None) -> int:
    """Be the supervisor of a home until asked to end; returns the exit code.

    Args:
        home: The home.
        lifeline_pipe: Reading end of a pipe; its end is taken as a request to end.
    """
    guard = (home.path / "supervisor.lock").open("w")
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another one was faster; whoever started this one will find that one
    own = Process.from_pid(os.getpid())
    assert own is not None
    supervisor = Supervisor(home)
    home.socket.unlink(missing_ok=True)
    asked: list[int] = []
    with (
        end_requests(asked.append),
        socket.socket(socket.AF_UNIX) as listener,
        selectors.DefaultSelector() as selector,
    ):
        listener.bind(str(home.socket))
        home.socket.chmod(0o600)
        listener.listen(64)
        write_json(
            home.path / "supervisor.json",
            {**asdict(own), "attached": lifeline_pipe is not None, "started": time.time()},
        )
        selector.register(listener, selectors.EVENT_READ)
        if lifeline_pipe is not None:
            selector.register(lifeline_pipe, selectors.EVENT_READ)
        sys.stdout.write("ready\n")
        sys.stdout.close()
        os.chdir("/")  # no folder is kept busy
        busy = time.monotonic()
        while not (supervisor.ending or asked):
            for key, _ in selector.select(TICK_S):
                if key.fileobj is listener:
                    busy = time.monotonic()
                    _answer(supervisor, listener)
                elif not os.read(lifeline_pipe or 0, 512):
                    asked.append(0)
            supervisor.tick()
            if not supervisor.is_idle():
                busy = time.monotonic()
            elif lifeline_pipe is None and time.monotonic() - busy > IDLE_S:
                break
        supervisor.stop_all()
        home.socket.unlink(missing_ok=True)
        (home.path / "supervisor.json").unlink(missing_ok=True)
    return 0


def _answer(supervisor: Supervisor, listener: socket.socket) -> None:
    """Take one connection, do what it asks, answer, close."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        connection.settimeout(5)  # whoever connects and says nothing must not stop the supervision
        try:
            request = json.loads(stream.readline(_LINE_BYTES))
            answer = supervisor.handle(request)
        except ClickreelError as exc:
            answer = {"error": type(exc).__name__, "message": exc.message, "hint": exc.hint}
        except Exception as exc:  # noqa: BLE001 - logged with its traceback, see the comment
            # No request may end the process that all services live and die with.
            _LOG.exception("a request failed")
            answer = {"error": "ClickreelError", "message": f"the supervisor could not do that: {exc}", "hint": ""}
        try:
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
        except OSError:
            _LOG.info("whoever asked has left before the answer")


def main(arguments: list[str]) -> int:
    """Supervise the named home."""
    os.environ[log_setup.SERVICE_VARIABLE] = "supervisor"
    log_setup.configure()
    return serve(Home(Path(arguments[0])), int(arguments[1]) if len(arguments) > 1 else None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
