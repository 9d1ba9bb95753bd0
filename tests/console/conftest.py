"""A console of its own on a topic of its own, and a real browser."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clickreel.console.context import ConsoleContext
from clickreel.console.serve import build_app
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from tests.conftest import Kafka

CHROMIUM = "/usr/bin/chromium"


@dataclass(frozen=True)
class Console:
    """A console that is served by this process."""

    address: str
    topic: str
    cluster: Cluster

    def write(self, *values: bytes, key: bytes = b'"u_10"', partition: int = 0) -> None:
        """Put records into its topic."""
        writer = self.cluster.writer(self.topic, lambda *_: None)
        now_ms = round(time.time() * 1000)
        assert writer.send(partition, [key] * len(values), list(values), [now_ms] * len(values)) == len(values)
        assert writer.flush(30) == 0
        writer.close()


@pytest.fixture(scope="session")
def console(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console."""
    profile = Profile(kafka={"bootstrap.servers": kafka.bootstrap})
    cluster = Cluster(profile)
    topic = f"console-{uuid.uuid4().hex[:8]}"
    cluster.create(topic, 2, 1, {})
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    context = ConsoleContext(profile, topic, Path(tmp_path_factory.mktemp("home")))
    server = uvicorn.Server(uvicorn.Config(build_app(context, port=port), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield Console(f"http://127.0.0.1:{port}/", topic, cluster)
    server.should_exit = True
    thread.join(20)
    cluster.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    if shutil.which(CHROMIUM) is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a browser without history, whose faults fail the test."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    foreign: list[str] = []
    opened.on("request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else None)
    yield opened
    context.close()
    assert faults == []
    assert [url for url in foreign if not url.startswith(("data:", "blob:"))] == []
