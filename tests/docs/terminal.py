"""A terminal of a test: types commands into a shell, follows its ``cd`` and its environment, and presses Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# On a machine that does ten things at once a start takes minutes; a test that waits longer than this waits for nothing.
PATIENCE_S = 400
# Of a command that prints without end only the beginning and what it has printed last is looked at while one waits.
_WHOLE_PIECES, _HEAD_PIECES, _TAIL_PIECES = 2000, 4, 16
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


class Running:
    """A command that runs, with what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self._process, self._screen = process, screen
        self._printed: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # A pseudo-terminal that nobody writes to any more ends with EIO on Linux, and with no bytes elsewhere.
        with contextlib.suppress(OSError):
            while piece := os.read(self._screen, 65_536):
                self._printed.append(piece)
        os.close(self._screen)

    @property
    def printed(self) -> str:
        """What it has printed on both streams, in order, without colours and other control sequences."""
        return _readable(b"".join(self._printed))

    @property
    def latest(self) -> str:
        """The beginning and the end of it, for commands that print without end."""
        if len(self._printed) <= _WHOLE_PIECES:
            return self.printed
        return _readable(b"".join([*self._printed[:_HEAD_PIECES], b"\n", *self._printed[-_TAIL_PIECES:]]))

    def wait_for(self, is_enough: Callable[[str], bool]) -> None:
        """Wait until what it has printed is enough; an early end is a failure."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            begun = time.monotonic()
            ended = self._process.poll()
            if is_enough(self.latest):
                return
            assert ended is None, f"ended with {ended} after printing:\n{self.printed}"
            assert time.monotonic() < deadline, f"printed only:\n{self.printed}"
            # A command that prints without end must still find its reader at work.
            time.sleep(0.05 + 3 * (time.monotonic() - begun))

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise AssertionError(f"did not end; it had printed:\n{self.printed}") from None
        self._reader.join(10)
        return code


def _readable(screen: bytes) -> str:
    text = screen.decode(errors="replace")
    return _CONTROL_SEQUENCE.sub("", text).replace("\r", "\n").replace("\n\n", "\n")


def _heed_interrupts() -> None:
    """Where the tests run in the background of a shell, Ctrl-C is ignored, and their children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A shell whose folder and environment go from command to command, as in a terminal."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)

    def start(self, command: str) -> Running:
        """Type a command."""
        # The shell itself outlives Ctrl-C, to say how the command ended; the command gets the signal as ever.
        screen, end = pty.openpty()
        process = subprocess.Popen(
            ["bash", "-c", f"trap : INT\n{command}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=end,
            stderr=end,
            start_new_session=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one system call
        )
        os.close(end)
        return Running(process, screen)

    def type(self, command: str) -> tuple[int, str]:
        """Type a command, wait for its end, and return its exit code and what it printed."""
        with tempfile.NamedTemporaryFile("r", prefix="clickreel-terminal-") as state:
            after = f'{{ code=$?; pwd; env -0; }} > {shlex.quote(state.name)}; exit "$code"'
            running = self.start(f"{command}\n{after}")
            code = running.wait()
            folder, _, environment = state.read().partition("\n")
        self.folder = Path(folder)
        self.environment = dict(entry.split("=", 1) for entry in environment.split("\0") if "=" in entry)
        return code, running.printed
