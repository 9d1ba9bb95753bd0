"""Children of the supervisor: start a service's process, know it again later from its record, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clickreel.errors import ClickreelError
from clickreel.json_files import read_json, write_json
from clickreel.process import Process

# A log larger than this is rotated; the one before is kept beside it.
LOG_BYTES = 8 << 20
_TAIL_BYTES = 1 << 20
# Kafka needs about two seconds to close its logs; a loaded machine may need several times that.
GRACE_S = 15.0


@dataclass(frozen=True)
class ServiceRecord:
    """What stands in ``<home>/services/<name>.json``. Only the supervisor writes it.

    Attributes:
        name: The service.
        pid: Its process id (the service's own, not its shim's).
        start_time: Of that process, see :class:`clickreel.process.Process`.
        started: Wall clock of the start, seconds since 1970.
        address: Where it serves; empty for a service without an address.
        log: Its log file.
        shim_pid: Process id of its shim.
        shim_start_time: Of the shim.
        version: Of the program, empty where it has none of its own.
        phase: ``up``, ``restarting`` (it ended by itself and is started again at ``retry_at``), or ``failed`` (the supervisor gave up).
        confirmed: Whether it was ready at least once; before that whoever starts it waits for it and decides.
        restarts: How often the supervisor has started it again since ``up``.
        exit_code: How it ended last (128 + signal); ``None`` when it never did.
        ended: When it ended last by itself, seconds since 1970; 0 when it never did.
        reason: Why it ended last, in words.
        retry_at: When it is started again, seconds since 1970.
    """

    name: str
    pid: int
    start_time: str
    started: float
    address: str
    log: str
    shim_pid: int
    shim_start_time: str
    version: str = ""
    phase: str = "up"
    confirmed: bool = False
    restarts: int = 0
    exit_code: int | None = None
    ended: float = 0.0
    reason: str = ""
    retry_at: float = 0.0

    @property
    def process(self) -> Process:
        """The service's process."""
        return Process(self.pid, self.start_time)

    @property
    def shim(self) -> Process:
        """Its shim's process."""
        return Process(self.shim_pid, self.shim_start_time)

    def alive(self) -> bool:
        """Whether the service's process still runs."""
        return self.process.alive()

    def write(self, path: Path) -> None:
        """Replace the record on disk."""
        write_json(path, asdict(self))


def read_record(path: Path) -> ServiceRecord | None:
    """Read a service's record; ``None`` when there is none or it is not one of ours."""
    try:
        return ServiceRecord(**read_json(path))
    except TypeError:
        return None


@dataclass
class Child:
    """A service that this process started; it ends when this process ends.

    Args:
        record: What is known of it.
        shim: The shim; its exit code is the service's.
        lifeline_pipe: Writing end of the shim's pipe. A plain number, so that no garbage collection closes it.
    """

    record: ServiceRecord
    shim: subprocess.Popen[str]
    lifeline_pipe: int

    def exit_code(self) -> int | None:
        """The exit code (128 + signal for a killed service), or ``None`` while it runs."""
        return self.shim.poll()

    def close(self) -> int:
        """Give back what this process holds of an ended service; returns its exit code."""
        os.close(self.lifeline_pipe)
        return self.shim.wait()


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    address: str = "",
    env: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    version: str = "",
    grace_s: float = GRACE_S,
) -> Child:
    """Start a service under a shim (see :mod:`clickreel.local.shim`).

    Args:
        name: The service.
        argv: The program's full path, and its arguments.
        log: Where its output goes.
        address: Where it will serve.
        env: Its whole environment; by default this process's own.
        folder: Its working directory; by default this process's own.
        version: Recorded as it is.
        grace_s: Between the request to end and the kill.

    Raises:
        ClickreelError: The shim itself could not be started.
    """
    reading, writing = os.pipe()  # not inherited by other children: Python closes them on exec
    program = [sys.executable, "-I", "-S", str(Path(__file__).with_name("shim.py"))]
    shim = subprocess.Popen(
        [*program, str(reading), str(grace_s), str(log), str(LOG_BYTES), *map(str, argv)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[reading],
        # A session of its own: Ctrl-C in the terminal reaches the command alone, which ends the services in their order.
        start_new_session=True,
        env=env,
        cwd=folder,
        text=True,
    )
    os.close(reading)
    assert shim.stdout is not None
    with shim.stdout:
        line = shim.stdout.readline()
    if not line.strip().isdigit():
        os.close(writing)
        raise ClickreelError(f"cannot start {name}: its shim ended with code {shim.wait()}", hint=f"look at {log}")
    pid = int(line)
    # The service may have ended already; an empty start time then says "not alive", which is true.
    start_time, shim_start_time = (
        found.start_time if (found := Process.from_pid(number)) else "" for number in (pid, shim.pid)
    )
    record = ServiceRecord(name, pid, start_time, time.time(), address, str(log), shim.pid, shim_start_time, version)
    return Child(record, shim, writing)


def end(record: ServiceRecord, grace_s: float = GRACE_S) -> bool:
    """End a recorded service and its shim, politely first; returns whether nothing of them is left."""
    if record.shim.signal(signal.SIGTERM):
        record.shim.signal(signal.SIGCONT)  # a paused shim could not take the request
        # The shim asks the service, waits its own grace time, kills, and exits.
        record.shim.wait(grace_s + 2)
    if record.process.signal(signal.SIGTERM):
        record.process.signal(signal.SIGCONT)
        if not record.process.wait(grace_s):
            record.process.signal(signal.SIGKILL)
            record.process.wait(5)
    if record.shim.signal(signal.SIGKILL):
        record.shim.wait(5)
    return not record.alive() and not record.shim.alive()


def tail(log: Path, lines: int = 20, *, end: int | None = None) -> list[str]:
    """The last lines of a log, of at most 1 MB; empty when there is none.

    Args:
        log: The file.
        lines: How many.
        end: Where the reading ends, in bytes; by default the end of the file.
    """
    if lines == 0:
        return []
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END) if end is None else end
            begin = file.seek(max(0, end - _TAIL_BYTES))
            return file.read(end - begin).decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
