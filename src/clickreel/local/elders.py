"""Which processes supervise a home: each has a record in ``supervisors/``; the one that lived first leads, the others end with it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from clickreel.json_files import read_json, write_json
from clickreel.local.home import Home
from clickreel.process import Process

_LAST_STEPS_S = 1.0


@dataclass(frozen=True)
class Supervisor:
    """A process whose children are parts of the home.

    Args:
        pid: Process id.
        start_time: Its start_time, see :class:`clickreel.local.child.Process`.
        ends_with_parts: It has nothing else to do and ends once its parts have ended. A test run or a console is not like that.
    """

    pid: int
    start_time: str
    ends_with_parts: bool

    @property
    def process(self) -> Process:
        """Its process."""
        return Process(self.pid, self.start_time)


def others(home: Home) -> list[Supervisor]:
    """The supervisors of a home that live, oldest first, without this process."""
    found = []
    for path in sorted((home.path / "supervisors").glob("*.json"), key=_written):
        try:
            one = Supervisor(**read_json(path))
        except TypeError:
            one = Supervisor(0, "", ends_with_parts=False)
        if not one.process.alive():
            path.unlink(missing_ok=True)
        elif one.pid != os.getpid():
            found.append(one)
    return found


def register(home: Home, *, ends_with_parts: bool) -> Process | None:
    """Be known as a supervisor of this home; gives the one to follow, or ``None`` when this one leads."""
    own = home.path / "supervisors" / f"{os.getpid()}.json"
    elders = others(home)
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        process = Process.from_pid(os.getpid())
        assert process is not None
        write_json(own, asdict(Supervisor(process.pid, process.start_time, ends_with_parts)))
    return elders[0].process if elders else None


def withdraw(home: Home) -> None:
    """Be no supervisor any more."""
    (home.path / "supervisors" / f"{os.getpid()}.json").unlink(missing_ok=True)


def ending(home: Home) -> list[Process]:
    """The supervisors that end once their parts have ended."""
    return [one.process for one in others(home) if one.ends_with_parts]


def await_end(home: Home, known: list[Process], seconds: float) -> bool:
    """Wait until the supervisors that have nothing left to do are gone; those that hang are killed at the end of the time.

    Args:
        home: The home.
        known: Those that were ending before. A supervisor withdraws its record shortly before it is gone, or long before when it waits for
            this very process: such a one is given a moment and no more.
        seconds: How long to wait.
    """
    deadline = time.monotonic() + seconds
    while left := ending(home):
        if time.monotonic() > deadline:
            for process in left:
                process.signal(signal.SIGKILL)
            return all(process.wait(2) for process in left)
        time.sleep(0.05)
    for process in known:
        process.wait(_LAST_STEPS_S)
    return True


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
