"""How a service is: by what it answers and what it gets done, not by its process."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from clickreel.heartbeat import Pulse
from clickreel.json_files import write_json
from clickreel.local import child, liveness, ports
from clickreel.local.child import Child, ServiceRecord
from clickreel.local.home import Home
from clickreel.local.liveness import observe
from clickreel.local.service import Launch, Service
from clickreel.process import Process
from tests.local.conftest import until


def _cannot_launch(_: object) -> Launch:
    raise AssertionError("nothing is started here")


ANSWERS = Service("clickhouse", _cannot_launch, lambda address: ports.answers(address, timeout_s=0.2))
BEATS = Service("ingest", _cannot_launch)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.make()
    return home


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    """A process that lives and does nothing."""
    begun = child.spawn("clickhouse", ["/bin/sleep", "600"], log=tmp_path / "log")
    yield begun
    child.end(begun.record)
    begun.close()


@pytest.fixture
def beaten(home: Home) -> Callable[..., None]:
    """Writes a heartbeat that is so many seconds old, with progress so many seconds old."""

    def write(written_s: float, progress_s: float, *, ready: bool = True, message: str = "") -> None:
        now = time.time()
        pulse = Pulse(now - written_s, ready, now - progress_s, message)
        write_json(home.heartbeat("ingest"), asdict(pulse))

    return write


def _runs(process: Process) -> bool:
    return not process.is_paused()


def state(home: Home, service: Service, record: ServiceRecord, *, supervised: bool = True) -> tuple[str, str]:
    """State and reason."""
    seen = observe(home, service, record, supervised=supervised, start_s=300)
    return seen.state, seen.reason


def test_a_service_that_accepts_connections_and_never_answers_is_hung(
    home: Home, sleeper: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open port proves nothing; while it starts for the first time, silence is no fault."""
    monkeypatch.setattr(liveness, "PATIENCE_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        record = replace(sleeper.record, address=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert state(home, ANSWERS, record) == ("starting", "")
        assert state(home, ANSWERS, replace(record, confirmed=True)) == ("hung", "it does not answer any more")


def test_a_paused_process_is_told_from_a_hung_one(home: Home, sleeper: Child) -> None:
    """Also when its shim is the one that is paused."""
    for process in (sleeper.record.process, sleeper.record.shim):
        process.signal(signal.SIGSTOP)
        until(process.is_paused)
        assert state(home, ANSWERS, sleeper.record) == ("paused", f"process {process.pid} is stopped by a signal")
        process.signal(signal.SIGCONT)
        until(partial(_runs, process))


@pytest.mark.parametrize(
    ("ages_s", "wanted"),
    [
        ((0.5, 1), "running"),
        ((0.5, liveness.STALL_S + 1), "stalled"),
        ((liveness.SILENT_S + 1, liveness.SILENT_S + 1), "hung"),
    ],
)
def test_work_that_stands_still_is_a_stall_and_silence_is_a_hang(
    home: Home,
    sleeper: Child,
    beaten: Callable[..., None],
    ages_s: tuple[float, float],
    wanted: str,
) -> None:
    """What was landed or acknowledged counts; that the process lives does not."""
    record = replace(sleeper.record, confirmed=True, started=time.time() - 600)
    beaten(*ages_s)
    assert state(home, BEATS, record)[0] == wanted


def test_a_stall_says_what_is_waited_for(home: Home, sleeper: Child, beaten: Callable[..., None]) -> None:
    """In the words of the service itself."""
    record = replace(sleeper.record, confirmed=True, started=time.time() - 600)
    beaten(0.5, 45, message="Kafka at 127.0.0.1:9092 does not answer")
    assert state(home, BEATS, record) == ("stalled", "Kafka at 127.0.0.1:9092 does not answer")


def test_ready_means_that_the_work_has_begun(home: Home, sleeper: Child, beaten: Callable[..., None]) -> None:
    """A consumer without an assignment is starting; after its time is over it is stalled."""
    beaten(0.1, 0.1, ready=False, message="no assignment yet")
    record = replace(sleeper.record, started=time.time() - 5)
    assert state(home, BEATS, record) == ("starting", "no assignment yet")
    late = replace(record, started=time.time() - 301)
    assert state(home, BEATS, late) == ("stalled", "no assignment yet")


def test_a_heartbeat_of_the_process_before_says_nothing(
    home: Home, sleeper: Child, beaten: Callable[..., None]
) -> None:
    """It was written before this one started."""
    beaten(10, 10)
    assert state(home, BEATS, replace(sleeper.record, started=time.time() - 2))[0] == "starting"


@pytest.mark.parametrize(
    ("phase", "supervised", "wanted"),
    [
        ("failed", True, ("failed", "gave up")),
        ("restarting", True, ("restarting", "gave up")),
        ("up", False, ("failed", "it ended with its supervisor, which was killed")),
    ],
)
def test_an_ended_process_is_restarting_or_failed(
    home: Home, sleeper: Child, phase: str, supervised: bool, wanted: tuple[str, str]
) -> None:
    """By what the supervisor is about to do, if there is one."""
    child.end(sleeper.record)
    record = replace(sleeper.record, phase=phase, reason="gave up")
    assert state(home, ANSWERS, record, supervised=supervised) == wanted
