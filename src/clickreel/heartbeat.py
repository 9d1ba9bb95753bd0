"""How a process of the stack without an address says that it is ready and that it makes progress.

Whoever starts such a process names a file in ``CLICKREEL_HEARTBEAT_FILE``. The process replaces that file once a second, from a thread
of its own, so that three things can be told apart from outside:

* ``written`` is old: the process itself does not run (paused, swapped out, the machine asleep).
* ``written`` is new and ``progress`` is old: the process runs and its work stands still.
* both are new: it works, or has nothing to do and knows that.

A process that nobody started this way writes no file; all calls are then free.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from clickreel.json_files import read_json, write_json

VARIABLE = "CLICKREEL_HEARTBEAT_FILE"
# How often the file is replaced. A reader allows for many missed ones before it calls a process hung.
EVERY_S = 1.0


@dataclass(frozen=True)
class Pulse:
    """One heartbeat, as it stands in the file.

    Attributes:
        written: When it was written, seconds since 1970.
        ready: Whether the process has begun to do its work: a consumer has its first assignment, a producer its first acknowledgement.
        progress: When something was last landed or acknowledged, or was known not to be due; seconds since 1970.
        message: What it waits for, or how far a long work is, in words; empty while it works as usual.
        run: The run that it streams; empty where that means nothing.
    """

    written: float = 0.0
    ready: bool = False
    progress: float = 0.0
    message: str = ""
    run: str = ""


class Heartbeat:
    """Writes the heartbeats of this process. Thread-safe; use it as a context manager around the work.

    Args:
        path: The file; ``None`` writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._guard = threading.Lock()
        # The run of the process before stands until this one says its own: `status` must not lose it over a restart.
        self._now = Pulse(progress=time.time(), run=read_pulse(path).run if path else "")
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """The heartbeat that whoever started this process asked for."""
        # Taken out of the environment: a process that this one starts must not write the same file.
        named = os.environ.pop(VARIABLE, "")
        return cls(Path(named) if named else None)

    def __enter__(self) -> Self:
        """Begin to write."""
        if self._path is not None:
            self._thread = threading.Thread(target=self._write_regularly, name="heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write no more; the last heartbeat stays, for whoever looks at what the process did."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5)

    def ready(self, run: str = "", message: str = "") -> None:
        """Say that the work has begun; calling it again changes nothing but the run and the message.

        Args:
            run: The run that this process streams.
            message: As for :meth:`progress`.
        """
        self._update(ready=True, run=run or self._now.run, progress=time.time(), message=message)
        self._write()

    def progress(self, message: str = "") -> None:
        """Say that something was landed or acknowledged, or that nothing is due. Cheap enough for every turn of a loop.

        Args:
            message: What it is about, one line; empty for its usual work.
        """
        self._update(progress=time.time(), message=message)

    def waiting(self, message: str) -> None:
        """Say what this process waits for; the next :meth:`progress` takes it back.

        Args:
            message: One line, such as ``Kafka at 127.0.0.1:9092 does not answer``.
        """
        self._update(message=message)

    def _update(self, **changes: object) -> None:
        with self._guard:
            self._now = Pulse(**{**asdict(self._now), **changes})

    def _write_regularly(self) -> None:
        while not self._ended.is_set():
            self._write()
            self._ended.wait(EVERY_S)

    def _write(self) -> None:
        if self._path is None:
            return
        with self._guard, contextlib.suppress(OSError):  # a full disk or a deleted home must not stop the work
            write_json(self._path, asdict(self._now) | {"written": time.time()})


def read_pulse(path: Path) -> Pulse:
    """The last heartbeat in a file; an empty one when there is none."""
    try:
        return Pulse(**read_json(path))
    except TypeError:
        return Pulse()


def reset_heartbeat(path: Path) -> None:
    """Forget what an ended process said of itself, but for the run that it streamed; for whoever starts the next one."""
    before = read_pulse(path)
    if before.run:
        write_json(path, asdict(Pulse(run=before.run)))
    else:
        path.unlink(missing_ok=True)
