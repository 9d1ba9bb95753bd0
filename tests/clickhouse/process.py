"""A server process of its own for a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ADDRESS = re.compile(r"ClickHouse (\S+) on (http://127\.0\.0\.1:(\d+))")


@dataclass(frozen=True)
class ClickHouse:
    """A running server.

    Attributes:
        url: Its address.
        port: Its port.
        version: The engine's version.
        data: Its data folder.
        process: The process.
    """

    url: str
    port: int
    version: str
    data: Path
    process: subprocess.Popen[str]


def start(data: Path, *, port: int = 0, environ: Mapping[str, str] | None = None) -> ClickHouse:
    """Start a server and wait until it listens.

    Raises:
        AssertionError: It ended instead; its words are in the message.
    """
    log = data.parent / f"{data.name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "clickreel.local.clickhouse", "--data", str(data), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **(environ or {})},
        )
    assert process.stdout is not None
    found = _ADDRESS.match(process.stdout.readline())
    process.stdout.close()
    if found is None:
        process.wait()
        raise AssertionError(log.read_text())
    return ClickHouse(found[2], int(found[3]), found[1], data, process)


@contextmanager
def running(data: Path, *, environ: Mapping[str, str] | None = None) -> Iterator[ClickHouse]:
    """A server for the length of a block."""
    server = start(data, environ=environ)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)
