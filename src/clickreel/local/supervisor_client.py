"""Ask the supervisor of a home, and start it when it does not run; see :mod:`clickreel.local.supervisor` for the protocol."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from clickreel import errors
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.local.child import ServiceRecord
from clickreel.local.home import Home
from clickreel.local.supervisor import ServiceSpec
from clickreel.process import Process

# It answers between two services that it ends, each of which may take a quarter of a minute on a loaded machine.
_ANSWER_S = 60.0
_SHUTDOWN_S = 180.0
_START_S = 60.0


class NotSupervisedError(ClickreelError):
    """No supervisor runs in this home."""


def find_supervisor(home: Home) -> Process | None:
    """The supervisor's process, or ``None`` when the home has none."""
    known = home.read("supervisor.json")
    process = Process(int(known.get("pid") or 0), str(known.get("start_time") or ""))
    return process if process.alive() else None


def ensure_supervisor(home: Home, *, attached: bool) -> int | None:
    """Start the supervisor of a home unless it runs.

    Args:
        home: The home.
        attached: Let it end, with all services, when this process ends.

    Returns:
        The writing end of its lifeline pipe, to be kept open; ``None`` when it is not attached or ran already.

    Raises:
        UnreachableError: It does not start, or the one that runs does not answer.
    """
    if find_supervisor(home) is not None:
        _ask(home, {"do": "ping"}, _ANSWER_S)
        return None
    reading, writing = os.pipe() if attached else (None, None)
    log = home.log("supervisor")
    with log.open("ab") as errors_go:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "clickreel.local.supervisor",
                str(home.path),
                *([str(reading)] if reading is not None else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors_go,
            pass_fds=[reading] if reading is not None else [],
            start_new_session=True,
        )
    if reading is not None:
        os.close(reading)
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    if not line and process.wait() != 0:
        raise UnreachableError(
            f"the supervisor ended with code {process.returncode} while it started", hint=f"read its log: {log}"
        )
    # It goes on by itself: this object must not wait for it, nor warn that nobody did.
    process.returncode = 0
    if not line:  # another one was faster, and perhaps is not ready yet
        if writing is not None:
            os.close(writing)
        _until_it_answers(home)
        return None
    return writing


def start(home: Home, spec: ServiceSpec) -> ServiceRecord:
    """Have a service started; one that runs is left alone."""
    return ServiceRecord(**_ask(home, {"do": "start", "spec": asdict(spec)}, _ANSWER_S)["record"])


def confirm(home: Home, name: str) -> None:
    """Say that a service was ready."""
    _ask(home, {"do": "confirm", "name": name}, _ANSWER_S)


def stop(home: Home, name: str) -> bool:
    """Have a service ended on purpose; returns whether it ran."""
    return bool(_ask(home, {"do": "stop", "name": name}, _ANSWER_S)["lived"])


def shut_down(home: Home) -> list[str]:
    """End all services and the supervisor, by force when it does not answer; returns the names of the services that it ended."""
    process = find_supervisor(home)
    if process is None:
        return []
    ended: list[str] = []
    process.signal(signal.SIGCONT)  # a paused one could not take the request
    try:
        ended = list(_ask(home, {"do": "shutdown"}, _SHUTDOWN_S)["ended"])
    except ClickreelError:
        process.signal(signal.SIGTERM)
    if not process.wait(10):
        process.signal(signal.SIGKILL)  # its shims end the services
        process.wait(5)
    return ended


def _until_it_answers(home: Home) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            _ask(home, {"do": "ping"}, _ANSWER_S)
        except NotSupervisedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _ask(home: Home, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(home.socket))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                answer: dict[str, Any] = json.loads(stream.readline() or b"{}")
    except TimeoutError:
        process = find_supervisor(home)
        number = process.pid if process else 0
        state = "is paused" if process and process.is_paused() else f"does not answer within {timeout_s:.0f} s"
        raise UnreachableError(
            f"the supervisor of {home.path} (process {number}) {state}",
            hint=f"kill -CONT {number}" if process and process.is_paused() else "clickreel down, then clickreel up",
        ) from None
    except (OSError, ValueError) as exc:
        raise NotSupervisedError(f"no supervisor runs in {home.path}: {exc}", hint="clickreel up --detach") from exc
    if "error" in answer:
        raise getattr(errors, answer["error"], ClickreelError)(answer["message"], hint=answer["hint"])
    return answer
