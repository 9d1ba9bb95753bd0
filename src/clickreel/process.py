"""Processes that cannot be mistaken for one another.

A process is known by its id **and** its start time. An id alone is not enough: the system gives it to another process once the first has
ended, and a record that outlived its process (a crash, a reboot) would make us signal a stranger.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LINUX = sys.platform == "linux"
# States of /proc/PID/stat: zombie and dead; stopped by a signal, and stopped by a debugger.
_ENDED, _PAUSED = "ZX", "Tt"


@dataclass(frozen=True)
class Process:
    """A process of this machine.

    Args:
        pid: Process id.
        start_time: When it started, in the system's own exact terms; compared for equality only.
    """

    pid: int
    start_time: str

    @classmethod
    def from_pid(cls, pid: int) -> Process | None:
        """The process that has this id now, or ``None``."""
        start_time, _ = _look_up(pid)
        return None if start_time is None else cls(pid, start_time)

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not, a paused one does)."""
        return bool(self.start_time) and _look_up(self.pid)[0] == self.start_time

    def is_paused(self) -> bool:
        """Whether this very process is stopped by SIGSTOP or a debugger: alive, and unable to answer."""
        start_time, paused = _look_up(self.pid)
        return paused and start_time == self.start_time

    def signal(self, number: int) -> bool:
        """Send a signal to this process and to no other; returns whether it was there."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for its end; returns whether it ended in time."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def own_beginning() -> tuple[str, float]:
    """When this process was started: a name of the clock, and seconds by it; comparable where the names are equal.

    Not psutil's ``create_time``: on Linux it adds the time of boot, which each process reads anew, rounded to a second.
    """
    if _LINUX:
        start_time, _ = _look_up(os.getpid())
        clock, _, ticks = (start_time or ":0").rpartition(":")
        return clock, int(ticks) / os.sysconf("SC_CLK_TCK")
    import psutil

    return "wall", float(psutil.Process().create_time())


def _look_up(pid: int) -> tuple[str | None, bool]:
    """Start time of the process with this id (``None`` when there is none), and whether it is paused."""
    if pid <= 0:
        return None, False
    if _LINUX:
        try:
            # The command in parentheses may hold blanks and parentheses itself: count from the last one.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None, False
        state, ticks = fields[0], fields[19]
        # Clock ticks since boot: exact, and not moved when the wall clock is set, as psutil's create_time is.
        return (None, False) if state in _ENDED else (f"{_boot_id()}:{ticks}", state in _PAUSED)
    import psutil

    try:
        process = psutil.Process(pid)
        status = process.status()
        gone = status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return (None, False) if gone else (repr(process.create_time()), status == psutil.STATUS_STOPPED)
    except psutil.Error:
        return None, False


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
