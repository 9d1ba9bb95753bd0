"""Every screen's main path in a real browser, on a stack that streams: the one that ``clickreel up`` starts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from clickreel.local.home import Home
from clickreel.local.stack import Stack

pytestmark = [
    pytest.mark.stack,
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
    "dashboard": "dashboard",
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
    """In both themes, at 390 and 1,600 px: no sideways scrolling, and nothing serious for axe."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.goto(f"{address}{SCREENS[screen]}")
    page.wait_for_selector("h1")
    page.wait_for_timeout(4_000)  # the first figures
    faults = []
    for theme in ("light", "dark"):
        page.evaluate(f"localStorage.setItem('clickreel-theme', '{theme}'); clickreel.paint()")
        for width, height in ((1600, 1000), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            # Nothing is wider than the window, once the charts have followed it.
            page.wait_for_function(
                "width => innerWidth === width && document.documentElement.scrollWidth <= width", arg=width
            )
            page.screenshot(path=SHOTS / f"{screen}-{theme}-{width}.png")
            found = Axe().run(page).response["violations"]
            faults += [
                f"{theme} {width}: {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
                for one in found
                if one["impact"] in {"serious", "critical"}
                for node in one["nodes"][:3]
            ]
    assert faults == []


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


def test_an_event_is_followed_from_its_message_to_its_row(address: str, page: Any) -> None:
    """A click on a message, a click on its id: who made it, each hop, its session."""
    page.goto(f"{address}messages?start=earliest")
    page.locator(".mt-table tbody tr").first.click()
    page.locator(".drawer a.link").first.click()
    seen(page, "Its way")
    seen(page, "read out of the id itself")
    text = page.inner_text("main")
    for word in ("happened", "in Kafka", "in ClickHouse", "counted", "Its session on a time line"):
        assert word in text


def test_the_dashboard_draws_every_chart_with_its_sql(address: str, page: Any) -> None:
    """The seven charts of the shop and what comes with them."""
    page.goto(f"{address}dashboard")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.bars')].length >= 6 && [...document.querySelectorAll('.bars')].every(one => one.querySelector('.bars-bar'))",
        timeout=120_000,
    )
    page.wait_for_selector(".poster")
    page.locator("summary[aria-label='SQL of Event funnel']").click()
    page.wait_for_selector("text=SELECT >> visible=true", timeout=120_000)
    assert page.locator("[role=alert]:visible").count() == 0


def test_a_message_by_hand_is_refused_with_the_field_or_arrives(address: str, page: Any) -> None:
    """A position of 0 breaks the contract; a sample keeps it and opens at its offset."""
    page.goto(f"{address}messages")
    page.locator("summary", has_text="Produce a message").click()
    page.locator(".form").get_by_label("position").fill("0")
    page.locator(".form").get_by_label("position").press("Tab")
    page.get_by_role("button", name="Send").click()
    seen(page, "✗ refused, nothing was sent: position")
    page.get_by_role("button", name="Another sample").click()
    page.get_by_role("button", name="Send").click()
    seen(page, "✓ acknowledged")
    page.locator(".fold a.link").click()
    seen(page, "✓ keeps the contract")


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


def test_keys_lead_to_the_finder_and_to_the_screens(address: str, page: Any) -> None:
    """``/`` finds, ``g m`` goes to the messages."""
    page.goto(f"{address}monitor")
    page.wait_for_selector("h1")
    page.keyboard.press("/")
    page.keyboard.type("u_10")
    page.keyboard.press("Enter")
    page.wait_for_url("**/id?q=u_10")
    page.wait_for_selector("h1")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/messages")
