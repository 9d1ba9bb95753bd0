"""Children: start a part's process, know it again later, end it."""

from __future__ import annotations

import contextlib
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

# A log is started anew at a start once it is larger; the one before is kept beside it.
LOG_BYTES = 8 << 20
_TAIL_BYTES = 1 << 20
# Kafka needs about two seconds to close its logs; a loaded machine may need several times that.
GRACE_S = 15.0


@dataclass(frozen=True)
class ProcessRecord:
    """What stands in ``<home>/parts/<name>.json``.

    Args:
        name: The part.
        pid: Its process id (the part's own, not its shim's).
        start_time: Its start_time, see :class:`Process`.
        started: Wall clock of the start, seconds since 1970.
        address: Where it serves; empty for a part that serves nothing.
        log: Its log file.
        shim_pid: Process id of its shim.
        shim_start_time: The shim's start_time.
        version: Of the program, empty where it has none of its own.
        stopping: Set before it is ended on purpose, so that its supervisor does not call that a crash.
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
    stopping: bool = False

    @property
    def process(self) -> Process:
        """The part's process."""
        return Process(self.pid, self.start_time)

    @property
    def shim(self) -> Process:
        """Its shim's process."""
        return Process(self.shim_pid, self.shim_start_time)

    def alive(self) -> bool:
        """Whether the part still runs."""
        return self.process.alive()


def recorded(path: Path) -> ProcessRecord | None:
    """Read a part's record; ``None`` when there is none or it is not one of ours."""
    try:
        return ProcessRecord(**read_json(path))
    except TypeError:
        return None


@dataclass
class Child:
    """A part that this process started; it ends when this process ends.

    Args:
        record: What was recorded.
        shim: The shim; its exit code is the part's.
        lifeline_pipe: Writing end of the shim's pipe. A plain number, so that no garbage collection closes it.
    """

    record: ProcessRecord
    shim: subprocess.Popen[str]
    lifeline_pipe: int

    def exit_code(self) -> int | None:
        """The exit code (128 + signal for a killed part), or ``None`` while it runs."""
        return self.shim.poll()

    def close(self) -> int:
        """Give back what this process holds of an ended part; its exit code."""
        os.close(self.lifeline_pipe)
        return self.shim.wait()


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    record: Path,
    log: Path,
    address: str = "",
    env: Mapping[str, str] | None = None,
    version: str = "",
    grace_s: float = GRACE_S,
) -> Child:
    """Start a part under a shim (see :mod:`clickreel.local.shim`) and record it.

    Args:
        name: The part.
        argv: The program's full path, and its arguments.
        record: Where to record it.
        log: Where its output goes.
        address: Where it will serve.
        env: Variables on top of this process's own.
        version: Recorded as it is.
        grace_s: Between the request to end and the kill.

    Raises:
        ClickreelError: The shim itself could not be started.
    """
    _turn(log)
    reading, writing = os.pipe()  # not inherited by other children: Python closes them on exec
    shim = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("shim.py")),
            str(reading),
            str(grace_s),
            str(log),
            *map(str, argv),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[reading],
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the parts in their order.
        start_new_session=True,
        env={**os.environ, **(env or {})},
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
    # The part may have ended already; an empty start time then says "not alive", which is true.
    start_time, shim_start_time = (
        found.start_time if (found := Process.from_pid(number)) else "" for number in (pid, shim.pid)
    )
    entry = ProcessRecord(name, pid, start_time, time.time(), address, str(log), shim.pid, shim_start_time, version)
    write_json(record, asdict(entry))
    return Child(entry, shim, writing)


def end(record: ProcessRecord, grace_s: float = GRACE_S) -> bool:
    """End a recorded part and its shim, politely first; whether nothing of them is left."""
    if record.shim.signal(signal.SIGTERM):
        # The shim asks the part, waits its own grace time, kills, and leaves.
        record.shim.wait(grace_s + 2)
    if record.process.signal(signal.SIGTERM) and not record.process.wait(grace_s):
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


def _turn(log: Path) -> None:
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))
