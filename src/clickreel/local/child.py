"""Children: start a part's process, know it again later, end it.

A process is known by its id **and** its birth. An id alone is not enough: the system gives it to another process once the first has
ended, and a record that outlived its process (a crash, a reboot) would make us signal a stranger.
"""

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

import psutil

from clickreel.errors import ClickreelError
from clickreel.local.home import read_json, write_json

# A log is started anew at a start once it is larger; the one before is kept beside it.
LOG_BYTES = 8 << 20
_TAIL_BYTES = 1 << 20
# Kafka needs about two seconds to close its logs; a loaded machine may need several times that.
GRACE_S = 15.0
_LINUX = sys.platform == "linux"


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for another.

    Args:
        pid: Process id.
        birth: When it was born, in the system's own exact terms; compared for equality only.
    """

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this id now, or ``None``."""
        birth = _birth(pid)
        return None if birth is None else cls(pid, birth)

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return _birth(self.pid) == self.birth

    def signal(self, number: int) -> bool:
        """Send a signal to this process and to no other; whether it was there."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it ended in time."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _birth(pid: int) -> str | None:
    if _LINUX:
        try:
            # The command in parentheses may hold blanks and parentheses itself: count from the last one.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, ticks = fields[0], fields[19]
        # Clock ticks since boot: exact, and not moved when the wall clock is set, as psutil's create_time is.
        return None if state in "ZX" else f"{_boot()}:{ticks}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Record:
    """What stands in ``<home>/parts/<name>.json``.

    Args:
        name: The part.
        pid: Its process id (the part's own, not its keeper's).
        birth: Its birth, see :class:`Process`.
        started: Wall clock of the start, seconds since 1970.
        address: Where it serves; empty for a part that serves nothing.
        log: Its log file.
        keeper_pid: Process id of its keeper.
        keeper_birth: The keeper's birth.
        version: Of the program, empty where it has none of its own.
        stopping: Set before it is ended on purpose, so that its supervisor does not call that a crash.
    """

    name: str
    pid: int
    birth: str
    started: float
    address: str
    log: str
    keeper_pid: int
    keeper_birth: str
    version: str = ""
    stopping: bool = False

    @property
    def process(self) -> Process:
        """The part's process."""
        return Process(self.pid, self.birth)

    @property
    def keeper(self) -> Process:
        """Its keeper's process."""
        return Process(self.keeper_pid, self.keeper_birth)

    def alive(self) -> bool:
        """Whether the part still runs."""
        return self.process.alive()


def recorded(path: Path) -> Record | None:
    """Read a part's record; ``None`` when there is none or it is not one of ours."""
    try:
        return Record(**read_json(path))
    except TypeError:
        return None


@dataclass
class Child:
    """A part that this process started; it ends when this process ends.

    Args:
        record: What was recorded.
        keeper: The keeper; its exit code is the part's.
        lifeline: Writing end of the keeper's pipe. A plain number, so that no garbage collection closes it.
    """

    record: Record
    keeper: subprocess.Popen[str]
    lifeline: int

    def exit_code(self) -> int | None:
        """The exit code (128 + signal for a killed part), or ``None`` while it runs."""
        return self.keeper.poll()

    def close(self) -> int:
        """Give back what this process holds of an ended part; its exit code."""
        os.close(self.lifeline)
        return self.keeper.wait()


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
    """Start a part under a keeper (see :mod:`clickreel.local.keeper`) and record it.

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
        ClickreelError: The keeper itself could not be started.
    """
    _turn(log)
    reading, writing = os.pipe()  # not inherited by other children: Python closes them on exec
    keeper = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("keeper.py")),
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
    assert keeper.stdout is not None
    with keeper.stdout:
        line = keeper.stdout.readline()
    if not line.strip().isdigit():
        os.close(writing)
        raise ClickreelError(f"cannot start {name}: its keeper ended with code {keeper.wait()}", hint=f"look at {log}")
    pid = int(line)
    # The part may have ended already; the empty birth then says "not alive", which is true.
    birth, keeper_birth = _birth(pid) or "", _birth(keeper.pid) or ""
    entry = Record(name, pid, birth, time.time(), address, str(log), keeper.pid, keeper_birth, version)
    write_json(record, asdict(entry))
    return Child(entry, keeper, writing)


def end(record: Record, grace_s: float = GRACE_S) -> bool:
    """End a recorded part and its keeper, politely first; whether nothing of them is left."""
    if record.keeper.signal(signal.SIGTERM):
        # The keeper asks the part, waits its own grace time, kills, and leaves.
        record.keeper.wait(grace_s + 2)
    if record.process.signal(signal.SIGTERM) and not record.process.wait(grace_s):
        record.process.signal(signal.SIGKILL)
        record.process.wait(5)
    if record.keeper.signal(signal.SIGKILL):
        record.keeper.wait(5)
    return not record.alive() and not record.keeper.alive()


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
