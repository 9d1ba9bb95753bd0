"""The supervisor: what ends by itself is started again, in growing pauses, and given up with words."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickreel.errors import UnreachableError
from clickreel.local import supervisor as supervisor_module
from clickreel.local import supervisor_client
from clickreel.local.child import ServiceRecord, read_record
from clickreel.local.home import Home
from clickreel.local.supervisor import ServiceSpec, Supervisor
from clickreel.process import Process
from tests.local.conftest import until


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.make()
    return home


@pytest.fixture
def supervisor(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor whose pauses are short, to be ticked by the test."""
    monkeypatch.setattr(supervisor_module, "PAUSES_S", (0.0, 0.1, 0.2))
    supervisor = Supervisor(home)
    yield supervisor
    supervisor.stop_all()


def spec(home: Home, *argv: str, name: str = "ingest", restart_after_success: bool = True) -> ServiceSpec:
    """How to start a program as a service."""
    return ServiceSpec(
        name,
        argv,
        dict(os.environ),
        str(home.path),
        str(home.log(name)),
        address="127.0.0.1:1",
        restart_after_success=restart_after_success,
    )


def record_of(home: Home, name: str = "ingest") -> ServiceRecord:
    """The record on disk."""
    found = read_record(home.record(name))
    assert found is not None
    return found


def ticked_until(supervisor: Supervisor, home: Home, **wanted: object) -> ServiceRecord:
    """Tick until the record says so."""

    def matches() -> bool:
        supervisor.tick()
        return all(getattr(record_of(home), field) == value for field, value in wanted.items())

    until(matches)
    return record_of(home)


def test_a_killed_service_is_started_again_with_the_same_command_and_address(
    supervisor: Supervisor, home: Home
) -> None:
    """The evidence stays in the record."""
    first = supervisor.start(spec(home, "/bin/sleep", "600"))
    supervisor.confirm("ingest")
    first.process.signal(signal.SIGKILL)
    again = ticked_until(supervisor, home, restarts=1, phase="up")
    assert again.pid != first.pid
    assert again.alive()
    assert (again.address, again.exit_code) == (first.address, 128 + signal.SIGKILL)
    assert again.reason == "ingest ended by signal 9: it wrote nothing"
    assert again.ended >= first.started


def test_a_service_that_does_not_stay_up_is_given_up_with_words(supervisor: Supervisor, home: Home) -> None:
    """After the last pause; its last words are the reason."""
    supervisor.start(spec(home, "/bin/sh", "-c", "echo no such table; exit 7"))
    supervisor.confirm("ingest")
    given_up = ticked_until(supervisor, home, phase="failed")
    assert given_up.restarts == len(supervisor_module.PAUSES_S)
    assert given_up.exit_code == 7
    assert given_up.reason == "gave up after 3 restarts in a row: ingest ended with code 7: no such table"
    assert supervisor.is_idle()


def test_up_starts_again_what_was_given_up(supervisor: Supervisor, home: Home) -> None:
    """Its pauses begin anew."""
    supervisor.start(spec(home, "/bin/sh", "-c", "exit 7"))
    supervisor.confirm("ingest")
    ticked_until(supervisor, home, phase="failed")
    supervisor.start(spec(home, "/bin/sleep", "600"))
    assert record_of(home).phase == "up"
    assert record_of(home).alive()


@pytest.mark.parametrize(("code", "phase"), [(1, "failed"), (2, "failed"), (UnreachableError.exit_code, "restarting")])
def test_a_first_start_that_fails_is_tried_again_only_when_it_came_too_early(
    supervisor: Supervisor, home: Home, code: int, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4: another service did not answer, which on a busy machine passes."""
    monkeypatch.setattr(supervisor_module, "PAUSES_S", (600.0,))
    supervisor.start(spec(home, "/bin/sh", "-c", f"exit {code}"))
    assert ticked_until(supervisor, home, exit_code=code).phase == phase


def test_a_service_that_ends_itself_when_idle_is_stopped_and_not_started_again(
    supervisor: Supervisor, home: Home
) -> None:
    """Exit code 0 is its way to say so."""
    supervisor.start(spec(home, "/bin/sh", "-c", "exit 0", name="flink", restart_after_success=False))
    supervisor.confirm("flink")

    def is_gone() -> bool:
        supervisor.tick()
        return not home.record("flink").exists()

    until(is_gone)
    assert supervisor.services == {}


def test_a_service_that_is_stopped_on_purpose_is_not_started_again(supervisor: Supervisor, home: Home) -> None:
    """Nor does a record of it stay."""
    supervisor.start(spec(home, "/bin/sleep", "600"))
    supervisor.confirm("ingest")
    assert supervisor.stop("ingest")
    supervisor.tick()
    assert not home.record("ingest").exists()
    assert not supervisor.stop("ingest")


def test_a_death_of_one_leaves_the_others_alone(supervisor: Supervisor, home: Home) -> None:
    """In any order, the first and the last included."""
    names = ("kafka", "clickhouse", "ingest")
    for rank, name in enumerate(names):
        supervisor.start(spec(home, "/bin/sleep", str(600 + rank), name=name))
        supervisor.confirm(name)
    for victim in (*names, *reversed(names)):
        before = {name: record_of(home, name) for name in names}
        before[victim].process.signal(signal.SIGKILL)

        def is_back(name: str = victim, restarts: int = before[victim].restarts + 1) -> bool:
            supervisor.tick()
            return record_of(home, name).restarts == restarts and record_of(home, name).alive()

        until(is_back)
        for name in names:
            assert (record_of(home, name).pid == before[name].pid) == (name != victim)


def test_a_home_has_one_supervisor_however_many_ask_for_it(home: Home) -> None:
    """They all find the same process."""
    try:
        supervisor_client.ensure_supervisor(home, attached=False)
        first = supervisor_client.find_supervisor(home)
        assert supervisor_client.ensure_supervisor(home, attached=True) is None
        assert supervisor_client.find_supervisor(home) == first
    finally:
        supervisor_client.shut_down(home)
    assert supervisor_client.find_supervisor(home) is None


def test_a_supervisor_that_is_attached_ends_in_order_with_whoever_started_it(home: Home) -> None:
    """The closed pipe is enough, so `kill -9` of the starter is too."""
    lifeline_pipe = supervisor_client.ensure_supervisor(home, attached=True)
    assert lifeline_pipe is not None
    record = supervisor_client.start(home, spec(home, "/bin/sleep", "600"))
    process = supervisor_client.find_supervisor(home)
    assert process is not None
    os.close(lifeline_pipe)
    until(lambda: not process.alive() and not record.alive())
    assert not home.record("ingest").exists()


def test_a_killed_supervisor_takes_its_services_along(home: Home) -> None:
    """Nothing runs that nobody supervises."""
    supervisor_client.ensure_supervisor(home, attached=False)
    record = supervisor_client.start(home, spec(home, "/bin/sleep", "600"))
    process = supervisor_client.find_supervisor(home)
    assert process is not None
    process.signal(signal.SIGKILL)
    until(lambda: not record.alive() and not record.shim.alive())
    with pytest.raises(supervisor_client.NotSupervisedError) as caught:
        supervisor_client.stop(home, "ingest")
    assert caught.value.hint == "clickreel up --detach"


def test_a_supervisor_of_a_home_with_a_long_path_can_be_asked(tmp_path: Path) -> None:
    """The system bounds the path of a socket, not that of a home."""
    home = Home(tmp_path / ("long " * 40).strip())
    home.make()
    try:
        supervisor_client.ensure_supervisor(home, attached=False)
        assert supervisor_client.start(home, spec(home, "/bin/sleep", "600")).alive()
    finally:
        supervisor_client.shut_down(home)


def test_a_request_that_makes_no_sense_does_not_end_the_supervisor(home: Home) -> None:
    """Everything lives and dies with it."""
    import socket

    try:
        supervisor_client.ensure_supervisor(home, attached=False)
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\n", b"[]\n", b'{"do": "start", "spec": {}}\n'):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(home.socket))
                stranger.sendall(words)
                assert b"error" in stranger.recv(4096)
        process = supervisor_client.find_supervisor(home)
        assert process is not None
        assert Process.from_pid(process.pid) == process
        assert supervisor_client.start(home, spec(home, sys.executable, "-c", "input()")).pid > 0
    finally:
        supervisor_client.shut_down(home)
