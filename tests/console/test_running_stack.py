"""Every screen's main path in a real browser, on a stack that streams: the one that ``clickreel up`` starts."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from clickreel.local.home import Home
from clickreel.local.stack import Stack
from tests.console.conftest import fastest_stop_ms

pytestmark = [
    pytest.mark.stack,
    # The whole stack starts within the first test's time, and Flink within that of the first statement.
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        "CLICKREEL_SCREENS" not in os.environ, reason="a stack of its own and a browser for ten minutes: make screens"
    ),
]

SCREENS = {
    "overview": "",
    "messages": "messages?start=-40",
    "monitor": "monitor",
    "contract": "contract",
    "sql": "sql?engine=clickhouse",
    "flink": "sql",
    "dashboard": "dashboard?whom=331",
    "quality": "quality",
    "drive": "drive",
    "id": "id?q=331",
}
SHOTS = Path("build") / "console"
"""Where the screenshots of every screen are kept."""


@pytest.fixture(scope="module")
def shop() -> Iterator[Stack]:
    """A stack of its own that streams 50 events/s and has half an hour behind it."""
    # A short path: a socket's path must stay under 104 characters on macOS.
    with tempfile.TemporaryDirectory(prefix="clickreel-page-") as folder:
        stack = Stack(Home(Path(folder)))
        stack.choose_run({"rate": "50", "seed": "7", "from": "30m"})
        stack.ensure(["kafka", "registry", "clickhouse", "ingest", "console", "producer", "films"], attached=True)
        yield stack
        stack.down()


@pytest.fixture(scope="module")
def address(shop: Stack) -> str:
    """Where its console is."""
    return f"{shop.address('console')}/"


def seen(page: Any, text: str, timeout_s: float = 120) -> Any:
    """The element with this text, once it is there."""
    return page.wait_for_selector(f"text={text}", timeout=timeout_s * 1000)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_fits_is_accessible_and_is_kept_as_a_picture(address: str, page: Any, screen: str) -> None:
    """In both themes, at 390 and 1,600 px: nothing is wider than the window, and nothing is serious for axe.

    All four pictures are taken before anything is judged, so that a fault of one is seen beside the other three.
    """
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.goto(f"{address}{SCREENS[screen]}")
    page.wait_for_selector("h1")
    if screen == "sql":
        page.get_by_role("button", name="Run", exact=True).click()
        seen(page, "finished after")
    if screen == "overview":
        seen(page, "lost 0, doubled 0, proven up to")
    faults = _wait_until_read(page)
    page.wait_for_timeout(3_000)  # some seconds of the stream
    for theme, (width, height) in itertools.product(("light", "dark"), ((1600, 1000), (390, 844))):
        page.evaluate(f"localStorage.setItem('clickreel-theme', '{theme}'); clickreel.paint()")
        page.set_viewport_size({"width": width, "height": height})
        faults += [f"{theme} {width}: {fault}" for fault in _overflow(page, width)]
        page.screenshot(path=SHOTS / f"{screen}-{theme}-{width}.png")
        page.screenshot(path=SHOTS / f"{screen}-{theme}-{width}-whole.png", full_page=True)
        # Of the theme only colours depend, of the width only what is there: two of the four hold all.
        if (theme == "light") == (width == 1600):
            faults += [f"{theme} {width}: {fault}" for fault in _accessibility(page)]
    assert faults == []


def _wait_until_read(page: Any) -> list[str]:
    """What is still being read after a while: a fault, but the picture is taken."""
    waiting = "() => [...document.querySelectorAll('main *')].filter(one => !one.children.length && one.checkVisibility() && /^(reading|looking|being)\\b.*…$/.test(one.textContent))"
    try:
        page.wait_for_function(f"() => !({waiting})().length", timeout=240_000, polling=500)
    except PlaywrightTimeoutError:
        return [f"still says: {text}" for text in page.evaluate(f"() => ({waiting})().map(one => one.textContent)")]
    return []


def _overflow(page: Any, width: int) -> list[str]:
    """What is wider than the window, once the charts have followed it."""
    try:
        page.wait_for_function(
            "width => innerWidth === width && document.documentElement.scrollWidth <= width", arg=width, timeout=30_000
        )
    except PlaywrightTimeoutError:
        wide = page.evaluate(
            "width => [...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > width + 1)"
            ".map(one => one.outerHTML.slice(0, 120))",
            width,
        )
        return [f"wider than the window: {html}" for html in wide[:3]] or ["wider than the window"]
    return []


def _accessibility(page: Any) -> list[str]:
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"][:3]
    ]


def test_overview_proves_each_arrow_and_opens_it(address: str, page: Any) -> None:
    """Nothing lost, nothing doubled, up to a time that goes on; a click shows the partitions."""
    page.goto(address)
    arrows = page.locator(".arrow-proof")
    seen(page, "lost 0, doubled 0, proven up to")
    assert arrows.nth(0).inner_text().startswith("✓ lost 0, doubled 0, proven up to ")
    assert arrows.nth(2).inner_text().startswith("✓ lost 0, doubled 0, proven up to ")
    first = arrows.nth(0).inner_text()
    page.wait_for_function(
        "first => document.querySelector('.arrow-proof').innerText > first", arg=first, timeout=120_000
    )
    page.locator("button.arrow").first.click()
    page.wait_for_selector("text=out of place")
    assert page.locator("button.arrow").first.get_attribute("aria-expanded") == "true"


def test_flink_streams_rows_until_it_is_stopped(address: str, page: Any) -> None:
    """The seed's sample is there at once; the count rises while it runs; Stop ends it and the list says so."""
    page.goto(f"{address}sql")
    editor = page.get_by_label("SQL", exact=True)
    assert "from `default`.`cluster_0`.`dvd_clicks`" in editor.input_value()
    page.get_by_role("button", name="Run", exact=True).click()
    seen(page, "/finished after .*; 20 rows/", 240)
    editor.fill("SELECT event_id, event_type FROM dvd_clicks")
    editor.press("Tab")

    def run_until_rows_come() -> None:
        page.get_by_role("button", name="Run", exact=True).click()
        seen(page, "/running; [1-9][0-9,]* rows/", 120)

    run_until_rows_come()
    page.wait_for_function(
        "first => document.body.innerText.match(/running; ([0-9,]+) rows/)?.[1] !== first",
        arg=page.inner_text("body").split("running; ")[1].split(" ")[0],
    )
    assert fastest_stop_ms(page, run_until_rows_come) < 1_000
    page.get_by_role("button", name="Refresh").click()
    seen(page, "/STOPPED/")
    assert "SELECT event_id, event_type FROM dvd_clicks" in page.locator(".tbl").last.inner_text()


def test_flink_shows_an_error_at_its_place(address: str, page: Any) -> None:
    """Line and column, and the line itself."""
    page.goto(f"{address}sql?{urlencode({'q': 'SELECT event_id,' + chr(10) + '  nothing FROM dvd_clicks'})}")
    page.get_by_role("button", name="Run", exact=True).click()
    seen(page, "line 2, column 3", 240)


def test_a_flink_statement_that_runs_on_is_stopped_in_the_list(address: str, page: Any) -> None:
    """An INSERT outlives the page that began it; another page stops it."""
    page.goto(f"{address}sql")
    page.get_by_label("SQL", exact=True).fill(
        "CREATE TABLE nowhere (event_id STRING) WITH ('connector' = 'blackhole'); INSERT INTO nowhere SELECT event_id FROM dvd_clicks"
    )
    page.get_by_label("SQL", exact=True).press("Tab")
    page.get_by_role("button", name="Run", exact=True).click()
    seen(page, "runs on; stop it in the list of statements", 240)
    page.goto(f"{address}sql")
    page.locator("button", has_text="Stop insert-").first.click()
    page.wait_for_function(
        "() => document.querySelector('.tbl') && ![...document.querySelectorAll('button')].some(one => one.innerText.startsWith('Stop insert-'))",
        timeout=120_000,
    )
    assert "STOPPED" in page.locator(".tbl").last.inner_text()


def test_the_stack_is_driven_from_the_page(address: str, page: Any, shop: Stack) -> None:
    """The producer stops and starts; a rate that is none is refused."""
    page.goto(f"{address}drive")
    page.get_by_label("Events a second").fill("many")
    page.get_by_label("Events a second").press("Tab")
    page.get_by_role("button", name="Stream this").click()
    seen(page, "'many' is no rate")
    page.get_by_role("button", name="Stop the producer").click()
    seen(page, "producer: stop: done")
    assert not shop.running("producer")
    page.get_by_role("button", name="Start the producer").click()
    seen(page, "producer: start: done")
    assert shop.running("producer")


def test_an_outage_begun_on_the_page_ends_by_itself(address: str, page: Any, shop: Stack) -> None:
    """Ingest is away for a while and comes back, and says so."""
    page.goto(f"{address}drive")
    page.get_by_role("button", name="Outage of ingest").click()
    seen(page, "ingest is away for 20 s")
    page.wait_for_selector("[aria-label='Start ingest']")
    page.wait_for_selector("[aria-label='Stop ingest']", timeout=180_000)
    assert shop.running("ingest")


def test_an_open_page_outlives_an_outage_of_kafka(address: str, page: Any, shop: Stack) -> None:
    """A banner says what is missing and goes by itself; messages come again without a reload."""
    page.goto(f"{address}messages")
    page.wait_for_selector(".mt-table tbody tr")
    page.evaluate("window.isTheSamePage = true")
    record = shop.record("kafka")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    shop.stop("kafka")  # or its supervisor has it back before anybody looks
    page.wait_for_selector(".banner:visible:has-text('trying again')", timeout=120_000)
    newest = page.locator(".mt-table tbody tr").first.inner_text()
    shop.ensure(["kafka"])
    page.wait_for_selector(".banner", state="hidden", timeout=180_000)
    page.wait_for_function(
        "newest => document.querySelector('.mt-table tbody tr').innerText !== newest", arg=newest, timeout=180_000
    )
    assert page.evaluate("window.isTheSamePage") is True
