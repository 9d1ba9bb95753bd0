"""Heartbeats: what a process of the stack says of itself once a second."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from clickreel import heartbeat
from clickreel.heartbeat import Heartbeat, read_pulse


def _until_written_after(path: Path, moment: float) -> heartbeat.Pulse:
    deadline = time.monotonic() + 30
    while (pulse := read_pulse(path)).written <= moment:
        assert time.monotonic() < deadline, "no heartbeat was written"
        time.sleep(0.02)
    return pulse


def test_a_heartbeat_is_written_again_and_again_without_a_call(tmp_path: Path) -> None:
    """A loop that stands still leaves `progress` old while `written` goes on: that is how a stall is told from a pause."""
    path = tmp_path / "heartbeat.json"
    with Heartbeat(path) as beats:
        beats.ready("run-1")
        first = read_pulse(path)
        later = _until_written_after(path, _until_written_after(path, first.written).written)
    assert (first.ready, first.run) == (True, "run-1")
    assert (later.progress, later.run) == (first.progress, "run-1")


def test_progress_takes_back_what_was_waited_for(tmp_path: Path) -> None:
    """The message is about now."""
    path = tmp_path / "heartbeat.json"
    with Heartbeat(path) as beats:
        beats.waiting("Kafka does not answer")
        waited = _until_written_after(path, time.time())
        beats.progress()
        worked = _until_written_after(path, time.time())
    assert (waited.message, waited.ready) == ("Kafka does not answer", False)
    assert worked.message == ""
    assert worked.progress > waited.progress


def test_the_file_is_asked_for_by_the_environment_and_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that this one starts must not write the same file."""
    path = tmp_path / "heartbeat.json"
    monkeypatch.setenv(heartbeat.VARIABLE, str(path))
    with Heartbeat.from_environment() as beats:
        beats.ready()
    assert read_pulse(path).ready
    assert heartbeat.VARIABLE not in os.environ


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    """A command that nobody supervises."""
    with Heartbeat.from_environment() as beats:
        beats.ready()
        beats.progress()
    assert read_pulse(tmp_path / "absent.json") == heartbeat.Pulse()
