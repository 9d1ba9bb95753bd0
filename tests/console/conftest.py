"""A console of its own on a topic of its own, whose messages land in a database of its own, and a real browser."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

import clickreel
from clickreel.console.context import ConsoleContext
from clickreel.console.serve import build_app
from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.stream.cluster import Cluster
from clickreel.stream.live_tail import LiveTail
from clickreel.warehouse.client import connect
from clickreel.warehouse.migrate import migrate
from tests.clickhouse.process import ClickHouse
from tests.conftest import Kafka

CHROMIUM = "/usr/bin/chromium"
EVENTS = 400
"""So many events of a run stand in the console's topic before a page is opened."""


_STOP_AND_TIME = """() => { const begun = performance.now(); window.stopped = new Promise((done) => {
  new MutationObserver((_, all) => {
    if (document.body.innerText.includes("stopped after")) { all.disconnect(); done(performance.now() - begun); }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}); [...document.querySelectorAll("button")].find((one) => one.innerText === "Stop").click(); }"""
# Presses Stop; ``window.stopped`` becomes the time until the page says so, ms.


def fastest_stop_ms(page: Any, run: Callable[[], None]) -> float:
    """How long Stop takes: the first of five times that is within a second, or else the fastest.

    What a busy machine adds to one of them is no fault of the page; what the page itself adds is in all of them.

    Args:
        page: The SQL screen.
        run: Starts a statement and waits until it runs.
    """
    times: list[float] = []
    while len(times) < 5 and min(times, default=1_000) >= 1_000:
        run()
        page.evaluate(_STOP_AND_TIME)
        times.append(page.evaluate("window.stopped"))
    return min(times)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, so long at most."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain"
        time.sleep(0.05)


@dataclass(frozen=True)
class Console:
    """A console that is served by this process.

    Attributes:
        address: Where.
        topic: The topic that it shows.
        cluster: A client of the topic's cluster.
        profile: Its services.
        run: The run whose events stand in the topic.
        tail: The live tail of the topic, shared by all its pages.
    """

    address: str
    topic: str
    cluster: Cluster
    profile: Profile
    run: str
    tail: LiveTail

    def write(self, *values: bytes, key: bytes = b'"u_10"', partition: int = 0) -> None:
        """Put records into its topic."""
        writer = self.cluster.writer(self.topic, lambda *_: None)
        now_ms = round(time.time() * 1000)
        assert writer.send(partition, [key] * len(values), list(values), [now_ms] * len(values)) == len(values)
        assert writer.flush(30) == 0
        writer.close()


@pytest.fixture(scope="session")
def console(kafka: Kafka, clickhouse: ClickHouse, home: Home) -> Iterator[Console]:
    """A console whose topic holds the first events of a run and is landed as it grows.

    There is one for all tests of a process, because the framework has one app.
    """
    profile = Profile(
        kafka={"bootstrap.servers": kafka.bootstrap},
        clickhouse_url=clickhouse.url,
        clickhouse_database=f"console_{uuid.uuid4().hex[:8]}",
    )
    cluster, topic = Cluster(profile), f"console-{uuid.uuid4().hex[:8]}"
    cluster.create(topic, 2, 1, {})
    client = connect(profile, create=True)
    migrate(client)
    world = clickreel.make_world(seed=14, rate=5.0, films="40")
    clickreel.produce(world, profile=profile, topic=topic, start="5m", count=EVENTS)
    stop = threading.Event()
    options = {"profile": profile, "topic": topic, "until_caught_up": False, "stop": stop}
    ingest = threading.Thread(target=clickreel.ingest_topic, kwargs=options, daemon=True)
    ingest.start()
    context = ConsoleContext(profile, topic, home.path)
    with _serving(context) as address:
        yield Console(address, topic, cluster, profile, world.run, context.tail())
    stop.set()
    ingest.join(60)
    client.command(f"DROP DATABASE {client.database}")
    client.close()
    cluster.close()


@contextmanager
def _serving(context: ConsoleContext) -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build_app(context, port=port), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(20)


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
