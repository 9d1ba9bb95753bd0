"""Children end when their starter ends, and no stranger is ever signalled."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clickreel.local import child
from clickreel.local.child import Child
from clickreel.process import Process

# Starts a part, says its process id, and waits for ever.
STARTER = """
import sys, time
from pathlib import Path
from clickreel.local import child
folder = Path(sys.argv[1])
begun = child.spawn("part", sys.argv[2:], log=folder / "part.log", grace_s=1)
print(begun.record.pid, begun.record.shim_pid, flush=True)
time.sleep(600)
"""
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
)
# A part that has a child of its own, which it does not look after.
FAMILY = "import subprocess, sys, time\nprint(subprocess.Popen(['/bin/sleep', '600']).pid, flush=True)\ntime.sleep(600)"


def until(done: Callable[[], object], seconds: float = 30) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts parts that are ended after the test."""
    begun: list[Child] = []

    def start(*argv: str, grace_s: float = 5) -> Child:
        log = tmp_path / f"{len(begun)}.log"
        begun.append(child.spawn("part", argv, log=log, address="here", grace_s=grace_s))
        return begun[-1]

    yield start
    for one in begun:
        child.end(one.record, 1)
        if one.shim.poll() is None:
            one.shim.kill()
        one.close()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], Process, Process]]]:
    """Starts a process that starts a part: (starter, part, shim)."""
    begun: list[subprocess.Popen[str]] = []

    def start(*argv: str) -> tuple[subprocess.Popen[str], Process, Process]:
        process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(tmp_path), *argv], stdout=subprocess.PIPE, text=True
        )
        begun.append(process)
        assert process.stdout is not None
        with process.stdout:
            part, shim = (Process.from_pid(int(word)) for word in process.stdout.readline().split())
        assert part is not None
        assert shim is not None
        return process, part, shim

    yield start
    for process in begun:
        process.kill()
        process.wait()


def test_a_part_is_recorded_with_process_address_and_log(spawn: Callable[..., Child], tmp_path: Path) -> None:
    """The record is all that another process needs to find and end it."""
    begun = spawn("/bin/sh", "-c", "echo hello; sleep 600")
    begun.record.write(tmp_path / "0.json")
    found = child.read_record(tmp_path / "0.json")
    assert found == begun.record
    assert found.alive()
    assert found.address == "here"
    until(lambda: child.tail(Path(found.log)) == ["hello"])


def test_ending_leaves_neither_part_nor_shim(spawn: Callable[..., Child]) -> None:
    """And the exit code is the part's, as a shell says it."""
    begun = spawn("/bin/sleep", "600")
    assert child.end(begun.record)
    assert not begun.record.alive()
    assert not begun.record.shim.alive()
    until(lambda: begun.exit_code() == 128 + signal.SIGTERM)


def test_the_exit_code_of_a_part_that_ends_by_itself_is_known(spawn: Callable[..., Child]) -> None:
    """A supervisor can tell a crash from an end."""
    begun = spawn("/bin/sh", "-c", "exit 7")
    until(lambda: begun.exit_code() == 7)


def test_a_program_that_is_not_there_ends_with_127(spawn: Callable[..., Child]) -> None:
    """As in a shell, with the reason in the log."""
    begun = spawn("/no/such/program")
    until(lambda: begun.exit_code() == 127)
    assert "cannot start /no/such/program" in child.tail(Path(begun.record.log))[0]


def test_a_part_that_ignores_the_request_is_killed(spawn: Callable[..., Child]) -> None:
    """After its time of grace."""
    begun = spawn(sys.executable, "-c", STUBBORN, grace_s=0.3)
    until(lambda: child.tail(Path(begun.record.log)) == ["up"])
    assert child.end(begun.record, 0.3)
    until(lambda: begun.exit_code() == 128 + signal.SIGKILL)


def test_what_a_part_started_ends_with_it(spawn: Callable[..., Child]) -> None:
    """Its whole process group goes, worker processes included."""
    begun = spawn(sys.executable, "-c", FAMILY)
    until(lambda: child.tail(Path(begun.record.log)))
    grandchild = Process.from_pid(int(child.tail(Path(begun.record.log))[0]))
    assert grandchild is not None
    assert child.end(begun.record)
    until(lambda: not grandchild.alive())


def test_kill_9_of_the_starter_leaves_nothing(
    starter: Callable[..., tuple[subprocess.Popen[str], Process, Process]],
) -> None:
    """The system closes the pipe, the shim ends the part."""
    process, part, shim = starter("/bin/sleep", "600")
    process.kill()
    until(lambda: not part.alive() and not shim.alive())


def test_kill_9_of_the_starter_ends_a_stubborn_part_too(
    starter: Callable[..., tuple[subprocess.Popen[str], Process, Process]], tmp_path: Path
) -> None:
    """A part that ignores SIGTERM is killed."""
    process, part, shim = starter(sys.executable, "-c", STUBBORN)
    until(lambda: child.tail(tmp_path / "part.log") == ["up"])
    process.kill()
    until(lambda: not part.alive() and not shim.alive())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_kill_9_of_the_shim_leaves_nothing(
    starter: Callable[..., tuple[subprocess.Popen[str], Process, Process]],
) -> None:
    """The system kills the part."""
    _, part, shim = starter("/bin/sleep", "600")
    shim.signal(signal.SIGKILL)
    until(lambda: not part.alive())


def test_a_stranger_with_a_recorded_id_is_not_signalled(spawn: Callable[..., Child]) -> None:
    """An old record whose id went to another process ends nobody."""
    begun = spawn("/bin/sleep", "600")
    stale = dataclasses.replace(begun.record, start_time="another boot:1", shim_start_time="another boot:2")
    assert not stale.alive()
    assert child.end(stale)
    assert begun.record.alive()
    assert begun.record.shim.alive()


def test_a_record_of_something_else_is_no_record(tmp_path: Path) -> None:
    """Half a file, or a file of another version, is as good as none."""
    (tmp_path / "part.json").write_text('{"name": "part", "pid": 1}')
    assert child.read_record(tmp_path / "part.json") is None
    (tmp_path / "part.json").write_text('{"name": ')
    assert child.read_record(tmp_path / "part.json") is None
    assert child.read_record(tmp_path / "absent.json") is None


def test_a_zombie_does_not_live() -> None:
    """A process that ended but was not yet waited for serves nobody."""
    process = subprocess.Popen(["/bin/true"])
    known = Process.from_pid(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Process.from_pid(process.pid) is None
    assert known is None or not known.alive()
    process.wait()


def test_a_large_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are bounded: one old one is kept."""
    monkeypatch.setattr(child, "LOG_BYTES", 10)
    log = tmp_path / "part.log"
    log.write_text("a long text from before\n")
    begun = child.spawn("part", ["/bin/echo", "new"], log=log)
    until(lambda: begun.exit_code() == 0)
    begun.close()
    assert child.tail(log) == ["new"]
    assert child.tail(tmp_path / "part.log.1") == ["a long text from before"]


def test_a_log_is_rotated_while_the_service_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is lost at the seam, and none is torn in two."""
    monkeypatch.setattr(child, "LOG_BYTES", 2000)
    log = tmp_path / "part.log"
    begun = child.spawn("part", ["/bin/sh", "-c", "for i in $(seq 1000 1399); do echo line $i; done"], log=log)
    until(lambda: begun.exit_code() == 0)
    begun.close()
    lines = child.tail(tmp_path / "part.log.1", 1000) + child.tail(log, 1000)
    assert lines[-1] == "line 1399"
    assert lines == [f"line {number}" for number in range(1400 - len(lines), 1400)]
    assert log.stat().st_size <= 4000


def test_a_paused_service_can_be_ended(spawn: Callable[..., Child]) -> None:
    """A stopped process takes no request: it is continued, so that it ends in order and at once."""
    begun = spawn("/bin/sleep", "600", grace_s=60)
    begun.record.process.signal(signal.SIGSTOP)
    until(begun.record.process.is_paused)
    assert child.end(begun.record)
    assert begun.exit_code() == 128 + signal.SIGTERM
