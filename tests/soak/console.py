"""The page under load: how soon a message is painted, whether input is ever blocked, whether memory stays flat, what ten viewers cost.

``make soak-console ARGS="--minutes 20"``, or ``python -m tests.soak.console``. The whole stack is real, and so is the browser (Debian's chromium,
driven by Playwright; memory by its devtools protocol after a collection). Three phases:

1. one page at 1,000 events/s: its first contentful paint (must: 1.5 s), and from each record's timestamp to its row on the page (must: 300 ms
   at the 95th percentile; four frames a second alone are 238 ms),
2. one page that tails 5,000 events/s for most of the time: the longest time that input was blocked (must: 100 ms), the browser's heap and the
   server's memory at the beginning and at the end,
3. ten pages: processor time of the server (must: under one core).

Processor time stands beside each time, because it hardly depends on who else uses the machine.

The figures are printed as one JSON object. It ends with 1 when memory grows by more than a quarter; times depend on the machine and
are printed with its load, not judged.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

import clickreel
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.profile import Profile
from clickreel.stream import topic_admin
from clickreel.stream.cluster import Cluster
from clickreel.stream.encoded_batch import encode_batch
from clickreel.stream.topic_settings import TopicSettings

CHROMIUM = "/usr/bin/chromium"
SERVICES = ("kafka", "console")
TOPIC = "dvd_clicks"
GROWTH_MAX = 1.25
# The page gives the ages of the rows of every frame; they count as painted with the next picture. Blocked input is what a timer of 20 ms comes
# late by.
WATCH = """
window.late = 0; window.painted = [];
let before = performance.now();
setInterval(() => { const now = performance.now(); window.late = Math.max(window.late, now - before - 20); before = now; }, 20);
new MutationObserver(() => {
  const [ages, put] = [document.querySelector(".mt").dataset.ages.split(" ").map(Number), performance.now()];
  requestAnimationFrame(() => setTimeout(() => window.painted.push(ages.map((age) => Math.round(age + performance.now() - put)))));
}).observe(document.querySelector(".mt"), { attributes: true, attributeFilter: ["data-ages"] });
"""


def main() -> int:
    """Run the phases and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--browsers", type=int, default=10)
    given = parser.parse_args()
    # A short path: a socket's path must stay under 104 characters on macOS.
    with tempfile.TemporaryDirectory(prefix="clickreel-soak-") as folder:
        stack = Stack(Home(Path(folder)))
        try:
            with sync_playwright() as play:
                flags = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
                browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
                figures = _phases(stack, browser, given.minutes * 60, given.browsers)
                browser.close()
        finally:
            stack.down()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    grown = [name for name in ("browser_heap_mb", "server_mb") if figures[name][1] > GROWTH_MAX * figures[name][0]]
    if grown:
        sys.stderr.write(f"grows: {', '.join(grown)}\n")
    return 1 if grown else 0


def _phases(stack: Stack, browser: Browser, seconds: float, viewers: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"minutes": round(seconds / 60, 1), "processors": os.cpu_count()}
    stack.ensure(SERVICES, attached=True)
    pump = _EventPump(stack.address("kafka"), 1_000)
    page = _open(stack, browser)
    figures["first_screen_ms"] = _first_screens(page, _server(stack))
    page.evaluate(WATCH)
    time.sleep(5)
    page.evaluate("window.painted = []")
    time.sleep(max(20.0, 0.15 * seconds))
    frames = page.evaluate("window.painted")
    ages = sorted(itertools.chain.from_iterable(frames))
    quantiles = {f"p{q}": ages[len(ages) * q // 100] for q in (5, 50, 95, 99)}
    figures["painted_ms"] = {"frames": len(frames), "messages": len(ages), **quantiles}
    sys.stderr.write(f"{json.dumps(figures)}\n")
    figures["load"] = round(os.getloadavg()[0], 1)
    pump.rate = 5_000
    time.sleep(max(15.0, 0.05 * seconds))  # caches and rings are full
    figures |= _tail(page, stack, max(30.0, 0.65 * seconds))
    sys.stderr.write(f"{json.dumps(figures)}\n")
    others = [_open(stack, browser) for _ in range(viewers - 1)]
    server = _server(stack)
    began, used = time.monotonic(), sum(server.cpu_times()[:2])
    time.sleep(max(15.0, 0.15 * seconds))
    cores = (sum(server.cpu_times()[:2]) - used) / (time.monotonic() - began)
    figures["server_cores"] = {"viewers": 1 + len(others), "cores": round(cores, 2)}
    pump.close()
    return figures


class _EventPump:
    """Writes events of a run over and over, evenly, on a thread of its own: what is measured is the page and not the simulator.

    Attributes:
        rate: Events a second; may be changed at any time.
    """

    def __init__(self, address: str, rate: int) -> None:
        self.rate = rate
        self._cluster = Cluster(Profile({"bootstrap.servers": address}))
        topic_admin.ensure_topic(self._cluster, TopicSettings(name=TOPIC))
        world, start_ms = clickreel.make_world(seed=11, rate=20.0), 1_790_000_000_000
        deliveries = world.cursor(start_ms).advance(start_ms + 1_000_000)
        encoded = encode_batch(deliveries, start_ms, start_ms + 1_000_000, 1).encoded
        self._events = itertools.cycle(zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop writing."""
        self._stop.set()
        self._thread.join()
        self._cluster.close()

    def _run(self) -> None:
        writer = self._cluster.writer(TOPIC, lambda *_: None)
        partitions, before, owed = len(self._cluster.bounds(TOPIC)), time.monotonic(), 0.0
        while not self._stop.wait(0.01):
            now = time.monotonic()
            owed, before = owed + self.rate * (now - before), now
            for partition in range(partitions):
                chosen = list(itertools.islice(self._events, int(owed) // partitions))
                keys, values = [key for key, _ in chosen], [value for _, value in chosen]
                writer.send(partition, keys, values, [round(time.time() * 1000)] * len(chosen))
            owed -= int(owed) // partitions * partitions
            writer.poll(0)
        writer.flush(10)
        writer.close()


def _open(stack: Stack, browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
    page.goto(f"{stack.address('console')}/messages", timeout=120_000)
    page.wait_for_selector(".mt-table tbody tr", timeout=120_000)
    page.evaluate(WATCH)
    return page


def _first_screens(page: Page, server: psutil.Process) -> dict[str, float]:
    """First contentful paint, and the first row, of the warm page, ms: the median of five loads; and what a load takes of a processor."""
    protocol = page.context.new_cdp_session(page)
    protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
    loads: list[tuple[float, ...]] = []
    for _ in range(5):
        used = sum(server.cpu_times()[:2])
        page.reload()
        page.wait_for_selector(".mt-table tbody tr", timeout=120_000)
        row = page.evaluate("performance.now()")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        answer = page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd")
        loads.append(
            (answer, paint, row, 1000 * _metrics(protocol)["TaskDuration"], 1000 * (sum(server.cpu_times()[:2]) - used))
        )
    names = ("answer", "contentful", "row", "browser_cpu", "server_cpu")
    return dict(zip(names, (round(statistics.median(figures)) for figures in zip(*loads, strict=True)), strict=True))


def _tail(page: Page, stack: Stack, seconds: float) -> dict[str, Any]:
    """Tail for so long, and measure in between."""
    protocol = page.context.new_cdp_session(page)
    protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
    frame_ms = _frame_ms(page, protocol)
    heaps: list[float] = []
    servers: list[float] = []
    page.evaluate("window.late = 0")
    blocked: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(10.0, seconds / 12))
        blocked.append(page.evaluate("window.late"))  # before the collection, which blocks
        protocol.send("HeapProfiler.collectGarbage")
        heaps.append(_metrics(protocol)["JSHeapUsedSize"] / 1e6)
        servers.append(_server(stack).memory_info().rss / 1e6)
        page.evaluate("window.late = 0; window.painted = []")
    third = max(1, len(heaps) // 3)
    return {
        "frame_cpu_ms": frame_ms,
        "input_blocked_ms": {"median": round(statistics.median(blocked)), "max": round(max(blocked))},
        "rows_in_page": page.locator(".mt-table tbody tr").count(),
        "browser_heap_mb": [round(statistics.median(part), 1) for part in (heaps[:third], heaps[-third:])],
        "server_mb": [round(statistics.median(part), 1) for part in (servers[:third], servers[-third:])],
    }


def _metrics(protocol: CDPSession) -> dict[str, float]:
    return {one["name"]: one["value"] for one in protocol.send("Performance.getMetrics")["metrics"]}


def _frame_ms(page: Page, protocol: CDPSession) -> float:
    """Processor time of the page's main thread a frame: other than the times, it hardly depends on the machine's load."""
    page.evaluate("window.painted = []")
    before = _metrics(protocol)["TaskDuration"]
    time.sleep(15)
    frames: int = page.evaluate("window.painted.length")
    return round(1000 * (_metrics(protocol)["TaskDuration"] - before) / max(1, frames), 1)


def _server(stack: Stack) -> psutil.Process:
    record = stack.record("console")
    assert record is not None, "the console does not run"
    return psutil.Process(record.pid)


if __name__ == "__main__":
    raise SystemExit(main())
