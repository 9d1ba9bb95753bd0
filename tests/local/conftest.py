"""A command line with a home of its own, for tests of whole commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from clickreel.local.home import Home
from clickreel.local.liveness import ServiceStatus
from clickreel.local.stack import Stack
from clickreel.process import Process


@dataclass
class Cli:
    """Runs `clickreel` with a home of its own."""

    home: Path
    env: dict[str, str]

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "clickreel", *arguments],
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def status(self) -> dict[str, Any]:
        """`status --json`, the parts by name."""
        answer: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return {**answer, "parts": {part["name"]: part for part in answer["parts"]}}

    def service(self, name: str) -> ServiceStatus:
        """How a service is, asked in this process: a wait that starts `status` again and again takes the time of what it waits for."""
        return next(status for status in Stack(Home(self.home)).status() if status.name == name)

    def processes(self) -> list[Process]:
        """All that was recorded: services, their shims, the supervisor."""
        found = []
        for path in [*self.home.glob("services/*.json"), *self.home.glob("supervisor.json")]:
            entry = json.loads(path.read_text())
            found.append(Process(entry["pid"], entry["start_time"]))
            if "shim_pid" in entry:
                found.append(Process(entry["shim_pid"], entry["shim_start_time"]))
        return found


def foreign_addresses(pid: int) -> list[str]:
    """Where a process and its children listen beyond loopback."""
    own = psutil.Process(pid)
    found = [
        connection.laddr.ip
        for process in [own, *own.children(recursive=True)]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    return [address for address in found if not address.removeprefix("::ffff:").startswith("127.")]


def until(done: Callable[[], object], seconds: float = 120) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def cli() -> Iterator[Cli]:
    """A command line with an empty home; whatever it started is ended after the test."""
    # A home as a person may have it: with a blank, and with letters beyond ASCII and beyond Latin-1.
    home = Path(tempfile.mkdtemp(prefix="clickreel ü ż "))
    machine = ("CLICKREEL_CACHE", "CLICKREEL_JARS", "CLICKREEL_JAVA_HOME")  # where things are, not what is tested
    env = {name: value for name, value in os.environ.items() if name in machine or not name.startswith("CLICKREEL_")}
    cli = Cli(home, {**env, "CLICKREEL_HOME": str(home), "COLUMNS": "200"})
    left = cli.processes
    yield cli
    if (home / "services").exists():
        cli("down")
    assert not [process for process in left() if process.alive()]
    shutil.rmtree(home, ignore_errors=True)
