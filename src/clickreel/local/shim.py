"""The shim: a tiny parent of one service, so that the service cannot outlive whoever started it, and its log stays bounded.

Run by path as ``python -I -S shim.py LIFELINE_PIPE GRACE_S LOG LOG_BYTES PROGRAM ARGUMENT...``; it imports nothing of clickreel, so it
starts in 20 ms.

1. ``LIFELINE_PIPE`` is the reading end of a pipe whose writing end only the supervisor holds. When the supervisor dies, however it dies
   (``kill -9`` included), the system closes the pipe, and the shim reads its end.
2. The shim then asks the service to end (SIGTERM), and after ``GRACE_S`` seconds ends its whole process group (SIGKILL).
3. On Linux the service also asks the system to be killed when its shim dies, so ``kill -9`` of the shim leaves nothing either.
4. What the service writes goes through the shim into ``LOG``. A log larger than ``LOG_BYTES`` becomes ``LOG.1`` and a new one is begun.

It prints the service's process id and exits with the service's exit code (128 + signal, as shells do).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_CHUNK = 1 << 16


class Log:
    """A log file that is rotated by size. A disk that is full loses lines, never the service."""

    def __init__(self, path: str, limit: int) -> None:
        self._path, self._limit = path, limit
        self._open()
        if self._size > limit:
            self._rotate()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        with contextlib.suppress(OSError):
            os.replace(self._path, self._path + ".1")  # noqa: PTH105 - pathlib costs a third of this program's start
            os.close(self._file)
            self._open()

    def write(self, data: bytes) -> None:
        """Append; afterwards rotate, at the end of a line where possible."""
        with contextlib.suppress(OSError):
            self._size += os.write(self._file, data)
        if self._size > self._limit and (data.endswith(b"\n") or self._size > 2 * self._limit):
            self._rotate()


def main(arguments: list[str]) -> int:
    """Start the service, wait for its end or for the supervisor's."""
    lifeline_pipe, grace_s, log, argv = int(arguments[0]), float(arguments[1]), arguments[2], arguments[4:]
    # A signal writes a byte here, so that one select() waits for the supervisor's death, the service's death and SIGTERM alike.
    wake_out, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    asked: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    output, service_output = os.pipe()
    os.set_blocking(output, False)
    shim = os.getpid()
    # Held back over the fork: a request to end that reaches the child before it has given up the handlers above would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    service = os.fork()
    if service == 0:
        _become(argv, service_output, shim)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.close(service_output)
    sys.stdout.write(f"{service}\n")
    sys.stdout.flush()
    os.close(1)

    lines = Log(log, int(arguments[3]))
    watched = {wake_out, lifeline_pipe, output}
    kill_at: float | None = None
    while True:
        done, status = os.waitpid(service, os.WNOHANG)
        if done:
            _signal_group(service, signal.SIGKILL)  # what the service itself may have started
            _copy(output, lines)
            return os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        wait_s = 60.0 if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready = select.select(list(watched), [], [], wait_s)[0]
        if wake_out in ready:
            os.read(wake_out, 512)
        if output in ready and not _copy(output, lines):
            watched.discard(output)  # the service closed it; its end comes by SIGCHLD
        if kill_at is None and (asked or lifeline_pipe in ready):
            watched.discard(lifeline_pipe)
            kill_at = time.monotonic() + grace_s
            with contextlib.suppress(ProcessLookupError):
                os.kill(service, signal.SIGTERM)
                os.kill(service, signal.SIGCONT)  # a paused service could not take the request
        elif kill_at is not None and time.monotonic() >= kill_at:
            _signal_group(service, signal.SIGKILL)
            kill_at = time.monotonic() + 1


def _copy(output: int, lines: Log) -> bool:
    """Copy what the service has written so far; returns whether it may write more."""
    while True:
        try:
            data = os.read(output, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        lines.write(data)


def _become(argv: list[str], output: int, shim: int) -> None:
    """Turn the forked child into the service; never returns."""
    try:
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != shim:  # it died before the line above
                os._exit(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execv(argv[0], argv)  # noqa: S606 - our own list, no shell
    except OSError as exc:
        os.write(2, f"cannot start {argv[0]}: {exc}\n".encode())
    finally:
        os._exit(127)


def _signal_group(service: int, number: int) -> None:
    # The group is the service's own (setpgid above), so nobody else is in it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(service, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
