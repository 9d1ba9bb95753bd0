"""The supervisor: the process whose children the parts are. It starts them, watches them, and ends them when it ends.

In the foreground ``clickreel up`` is the supervisor itself; detached, and for a part that is started on first use, it is
``python -m clickreel.local.supervisor NAME...``, which reports to whoever started it by one JSON object a line on its stdout.

Several can live in one home: a second ``up`` starts what is missing under a supervisor of its own. The one that lived first leads, and
the others end with it, so that the stack as a whole lives and dies with one process. Nothing is restarted by itself: a part that died is
evidence, ``status`` and the exit of ``up`` name it, and the next ``up`` starts it again where it left off.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from types import FrameType

from clickreel import errors
from clickreel.errors import ClickreelError
from clickreel.local import elders
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.local.task_graph import Report, StepEvent, silent
from clickreel.process import Process

# How often children and the leader are looked at: an `up` in the foreground says within this time that a part died.
WATCH_S = 0.25


@contextlib.contextmanager
def ended_by_signal() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP (the terminal was closed) into ``KeyboardInterrupt``, so that there is one way out."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(stack: Stack, leader: Process | None, died: Callable[[str, int], None]) -> str:
    """Watch the children until there is nothing to watch.

    Args:
        stack: Whose children.
        leader: The supervisor to follow.
        died: Told of each part that ended by itself, and its exit code (128 + signal).

    Returns:
        ``stopped``: every child was ended on purpose. ``died``: all ended, one by itself. ``leader``: the leader is gone.
    """
    why = "stopped"
    while stack.children:
        if leader is not None and not leader.alive():
            return "leader"
        for name, begun in list(stack.children.items()):
            code = begun.exit_code()
            if code is None:
                continue
            del stack.children[name]
            begun.close()
            record = stack.record(name)
            if record is not None and record.process == begun.record.process and not record.stopping:
                why = "died"
                died(name, code)
        time.sleep(WATCH_S)
    return why


def launch(home: Home, names: Sequence[str], report: Report = silent) -> None:
    """Start parts under a detached supervisor and return once they are ready.

    Args:
        home: The home.
        names: Parts and tasks.
        report: Told of every step.

    Raises:
        ClickreelError: A part could not be started; nothing that was begun is left.
    """
    home.make()
    log = home.log("supervisor")
    with log.open("ab") as errors_go:
        process = subprocess.Popen(
            [sys.executable, "-m", "clickreel.local.supervisor", *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors_go,
            start_new_session=True,
            env={**os.environ, "CLICKREEL_HOME": str(home.path)},
            text=True,
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            for line in process.stdout:
                said = json.loads(line)
                if "ready" in said:
                    # It goes on by itself: this object must not wait for it, nor warn that nobody did.
                    process.returncode = 0
                    return
                if "error" in said:
                    process.wait()
                    raise getattr(errors, said["error"])(said["message"], hint=said["hint"])
                report(StepEvent(**said))
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    raise ClickreelError(f"the supervisor ended with code {process.wait()}", hint=f"read its log: {log}")


def main(names: Sequence[str]) -> int:
    """Start the named parts, tell the starter, and watch them until they end."""
    home = Home.default()
    stack = Stack(home)
    starter = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(said: object) -> None:
        # The starter may be gone (Ctrl-C, a closed terminal); the parts are started all the same.
        with contextlib.suppress(BrokenPipeError):
            starter.write(json.dumps(said) + "\n")

    with ended_by_signal():
        try:
            home.make()
            leader = elders.register(home, ends_with_parts=True)
            stack.start(names, report=lambda event: tell(asdict(event)))
            tell({"ready": True})
            with contextlib.suppress(BrokenPipeError):
                starter.close()
            os.chdir("/")  # no folder is kept busy
            watch(stack, leader, lambda name, code: _note(f"{name} ended by itself with code {code}"))
        except ClickreelError as exc:
            tell({"error": type(exc).__name__, "message": exc.message, "hint": exc.hint})
            return exc.exit_code
        except KeyboardInterrupt:
            pass
        finally:
            stack.stop_children()
            elders.withdraw(home)
    return 0


def _note(text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
