"""The shim: a tiny parent of one part, so that the part cannot outlive whoever started it.

Run by path as ``python -I -S shim.py LIFELINE_PIPE GRACE_S LOG PROGRAM ARGUMENT...``; it imports nothing of clickreel, so it starts in 20 ms.

1. ``LIFELINE_PIPE`` is the reading end of a pipe whose writing end only the starter holds. When the starter dies, however it dies
   (``kill -9`` included), the system closes the pipe, and the shim reads its end.
2. The shim then asks the part to end (SIGTERM), and after ``GRACE_S`` seconds ends its whole process group (SIGKILL).
3. On Linux the part also asks the system to be killed when its shim dies, so ``kill -9`` of the shim leaves nothing either.

It prints the part's process id and leaves with the part's exit code (128 + signal, as shells do).
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


def main(arguments: list[str]) -> int:
    """Start the part, wait for its end or for the starter's."""
    lifeline_pipe, grace_s, log, argv = int(arguments[0]), float(arguments[1]), arguments[2], arguments[3:]
    # A signal writes a byte here, so that one select() waits for the starter's death, the part's death and SIGTERM alike.
    wake_out, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    asked: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    shim = os.getpid()
    # Held back over the fork: a request to end that reaches the child before it has given up the handlers above would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    part = os.fork()
    if part == 0:
        _become(argv, log, shim)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    sys.stdout.write(f"{part}\n")
    sys.stdout.flush()
    os.close(1)

    kill_at: float | None = None
    while True:
        done, status = os.waitpid(part, os.WNOHANG)
        if done:
            _end_group(part, signal.SIGKILL)  # what the part itself may have started
            return os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        wait_s = 60.0 if kill_at is None else max(0.0, kill_at - time.monotonic())
        watched = [wake_out] if kill_at is not None else [wake_out, lifeline_pipe]
        ready = select.select(watched, [], [], wait_s)[0]
        if wake_out in ready:
            os.read(wake_out, 512)
        if kill_at is None and (asked or lifeline_pipe in ready):
            kill_at = time.monotonic() + grace_s
            with contextlib.suppress(ProcessLookupError):
                os.kill(part, signal.SIGTERM)
        elif kill_at is not None and time.monotonic() >= kill_at:
            _end_group(part, signal.SIGKILL)


def _become(argv: list[str], log: str, shim: int) -> None:
    """Turn the forked child into the part; never returns."""
    try:
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != shim:  # it died before the line above
                os._exit(1)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execv(argv[0], argv)  # noqa: S606 - our own list, no shell
    except OSError as exc:
        os.write(2, f"cannot start {argv[0]}: {exc}\n".encode())
    finally:
        os._exit(127)


def _end_group(part: int, number: int) -> None:
    # The group is the part's own (setpgid above), so nobody else is in it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(part, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
