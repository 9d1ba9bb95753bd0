"""The messages screen in a real browser, on a real topic."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from clickreel.console import messages_page
from tests.console.conftest import Console, wait_for
from tests.sample_event import SAMPLE_EVENT

pytestmark = pytest.mark.stack


def event(**changes: Any) -> bytes:
    """The seed's example, changed."""
    return json.dumps(SAMPLE_EVENT | changes).encode()


def rows(page: Any) -> Any:
    """The rows of the table."""
    return page.locator(".mt-table tbody tr")


def test_a_message_appears_by_itself_with_the_contracts_verdict(console: Console, page: Any) -> None:
    """A good one with a tick, a bad one with a cross that names the field."""
    page.goto(f"{console.address}messages")
    page.wait_for_selector(".mt-table thead th")
    console.write(event(film_id=990004711), event(position=2.5, film_id=990004712))
    page.wait_for_selector(".mt-table tbody tr:has-text('990004711')")
    bad = page.wait_for_selector(".mt-table tbody tr:has-text('990004712')")
    assert bad.query_selector(".mt-no").get_attribute("title").startswith("position")
    assert page.locator("tr:has-text('990004711') .mt-ok").count() == 1


def test_bytes_of_messages_are_text_and_never_markup(console: Console, page: Any) -> None:
    """Neither in the table nor in the opened message."""
    page.goto(f"{console.address}messages")
    page.wait_for_selector(".mt-table thead th")
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>{{7*7}}"
    console.write(event(film_id=990004713, session_id=attack), b"\x1b[2J" + attack.encode())
    page.wait_for_selector(".mt-table tbody tr:has-text('990004713')")
    page.locator("tr:has-text('990004713')").first.click()
    page.wait_for_selector(".drawer .pre:has-text('{{7*7}}')")
    for name in ("tree", "raw", "hex"):
        page.locator(".drawer .tab", has_text=name).click()
    assert page.title() != "owned"
    assert page.locator("img, .mt-table script").count() == 0
    assert "\x1b" not in page.inner_text("body")


def test_pause_holds_messages_back_and_resume_shows_them(console: Console, page: Any) -> None:
    """Nothing is lost meanwhile, and the button counts."""
    page.goto(f"{console.address}messages")
    page.wait_for_selector(".mt-table thead th")
    console.write(event(film_id=990004714))
    page.wait_for_selector(".mt-table tbody tr:has-text('990004714')")
    page.keyboard.press("Space")
    page.wait_for_selector("button:has-text('Resume')")
    console.write(*(event(film_id=990004800 + number) for number in range(20)))
    page.wait_for_selector("button:has-text('+20 new')")
    assert page.locator("tr:has-text('990004819')").count() == 0
    page.keyboard.press("Space")
    page.wait_for_selector(".mt-table tbody tr:has-text('990004819')")
    assert page.locator("tr:has-text('990004800')").count() == 1


def test_a_link_reproduces_the_view(console: Console, page: Any) -> None:
    """Start, filter and hidden columns stand in the address."""
    console.write(event(film_id=990004901, event_type="detail_view", page="film_detail"), event(film_id=990004902))
    page.goto(
        f"{console.address}messages?start=earliest&where=film_id >= 990004901 and event_type == 'detail_view'&hide=device"
    )
    page.wait_for_selector(".mt-table tbody tr:has-text('990004901')")
    assert page.locator("tr:has-text('990004902')").count() == 0
    assert "device" not in page.locator(".mt-table thead").inner_text()


def test_what_is_downloaded_is_what_the_topic_holds(console: Console, page: Any) -> None:
    """As JSON lines."""
    console.write(event(film_id=990004950))
    page.goto(f"{console.address}messages?start=earliest&where=film_id == 990004950")
    page.wait_for_selector(".mt-table tbody tr:has-text('990004950')")
    with page.expect_download() as download:
        page.locator("button", has_text="JSON").click()
    lines = [json.loads(line) for line in Path(download.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [json.loads(line["value"])["film_id"] for line in lines] == [990004950]


@pytest.mark.parametrize("path", ["", "monitor"])
def test_the_other_screens_show_the_stream(console: Console, page: Any, path: str) -> None:
    """Rates and counts arrive by themselves."""
    page.goto(f"{console.address}{path}")
    console.write(event())
    page.wait_for_selector("text=/[1-9][0-9,]*/")
    assert page.locator("[role=alert]:visible").count() == 0


def test_a_message_is_opened_and_closed_by_keys(console: Console, page: Any) -> None:
    """Enter opens what has the focus, Escape closes it and gives the focus back."""
    console.write(event(film_id=990004955))
    page.goto(f"{console.address}messages?start=earliest&where=film_id == 990004955")
    page.wait_for_selector(".mt-table tbody tr:has-text('990004955')").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".drawer .pre:has-text('990004955')")
    page.wait_for_function("() => document.activeElement.innerText === 'Close'")
    page.keyboard.press("Escape")
    page.wait_for_selector(".drawer", state="hidden")
    page.wait_for_function("() => document.activeElement.className === 'mt-scroll'")
    assert "open=" not in page.url


def test_a_value_of_a_megabyte_is_cut_in_the_table_and_opens(console: Console, page: Any) -> None:
    """The table carries its beginning only."""
    console.write(b'{"film_id":990004960,"text":"' + b"x" * 900_000 + b'"}')
    page.goto(f"{console.address}messages?start=earliest&where=film_id == 990004960")
    row = page.wait_for_selector(".mt-table tbody tr")
    assert len(row.inner_text()) < 5_000
    row.click()
    page.wait_for_selector(".drawer .pre")
    page.locator(".drawer .tab", has_text="hex").click()
    page.wait_for_selector("text=bytes more")


def test_a_stretch_of_the_histogram_is_read_from_the_topic(console: Console, page: Any) -> None:
    """Dragging over it reads from there, and the address says so."""
    page.goto(f"{console.address}messages")
    page.wait_for_selector(".mt-table thead th")
    console.write(event(film_id=990004970))
    page.wait_for_selector(".mt-table tbody tr:has-text('990004970')")
    box = page.locator(".tc canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url("**start=1*")
    page.wait_for_selector("text=newest first")
    assert page.locator("tr:has-text('990004970')").count() == 1


HIDE = "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden }); document.dispatchEvent(new Event('visibilitychange')); }"


def test_a_tab_that_nobody_sees_reads_nothing_and_comes_back_with_the_newest(console: Console, page: Any) -> None:
    """Its rows then follow each other without a hole; a paused one goes on to collect."""
    page.goto(f"{console.address}messages")
    console.write(event(film_id=990005001))
    page.wait_for_selector(".mt-table tbody tr:has-text('990005001')")
    page.evaluate(HIDE, True)
    wait_for(lambda: not console.tail.is_reading, 60)
    console.write(*(event(film_id=990005100 + number) for number in range(100)))
    page.evaluate(HIDE, False)
    page.wait_for_selector(".mt-table tbody tr:has-text('990005199')")
    assert page.locator("tr:has-text('990005001')").count() == 0
    page.keyboard.press("Space")
    page.wait_for_selector("button:has-text('Resume')")
    page.evaluate(HIDE, True)
    console.write(*(event(film_id=990005200 + number) for number in range(20)))
    page.wait_for_selector("button:has-text('+20 new')")


def test_a_search_says_where_it_stopped_and_goes_on_when_asked(
    console: Console, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out without a word; the rows that were found stay."""
    monkeypatch.setattr(messages_page, "_SEARCHED_MAX", 100)
    console.write(event(film_id=990006001))
    page.goto(f"{console.address}messages?start=earliest&where=film_id == 990006001")
    said = page.wait_for_selector("text=/0 messages of [0-9,]+ searched from oldest.*; [0-9,]+ are not searched yet/")
    assert "990006001" not in page.inner_text(".mt-table")
    page.get_by_role("button", name="Search on").click()
    page.wait_for_selector(".mt-table tbody tr:has-text('990006001')")
    page.wait_for_function("said => !said.textContent.includes('not searched')", arg=said)
    assert said.inner_text().startswith("1 message of ")
    assert not page.get_by_role("button", name="Search on").is_visible()


def test_a_page_that_is_full_is_turned(console: Console, page: Any) -> None:
    """The oldest 500 first, then the next ones, each message once."""
    console.write(*(event(film_id=990007000 + number) for number in range(600)))
    page.goto(f"{console.address}messages?start=earliest&where=film_id >= 990007000 and film_id < 990007600")
    page.wait_for_selector("text=/500 messages of/")
    page.get_by_role("button", name="Next 500").click()
    page.wait_for_selector("text=/100 messages of/")
    assert "990007599" in page.inner_text(".mt-table")


def test_messages_of_a_topic_without_a_contract_have_no_verdict(console: Console, page: Any) -> None:
    """Bytes, arrays, nothing at all and nesting without end are shown and opened, and none gets a cross for not being events."""
    topic = f"foreign-{uuid.uuid4().hex[:8]}"
    console.cluster.create(topic, 1, 1, {})
    values = [b"\x00\xff\x80" * 40, b'[1, {"order": 7}]', b"", b"[" * 60_000, json.dumps(list(range(50_000))).encode()]
    writer = console.cluster.writer(topic, lambda *_: None)
    writer.send(0, [b"", b"k", b"k", b"k", None], values, [round(time.time() * 1000) + place for place in range(5)])
    assert writer.flush(30) == 0
    writer.close()
    page.goto(f"{console.address}messages?topic={topic}&start=earliest")
    page.wait_for_selector("text=no schema is registered")
    page.wait_for_function("() => document.querySelectorAll('.mt-table tbody tr').length === 5")
    assert page.locator(".mt-no").count() == page.locator(".mt-bad").count() == 0
    assert page.locator(".mt-table thead th").all_inner_texts()[-1] == "value"
    for row in range(5):
        rows(page).nth(row).click(position={"x": 60, "y": 10})
        page.wait_for_selector(f".drawer .card-title:has-text('offset {4 - row}')")
        for name in ("tree", "raw", "hex"):
            page.locator(".drawer .tab", has_text=name).click()
            page.wait_for_selector(f".drawer .tab[aria-selected=true]:has-text('{name}')")
        assert page.locator(".drawer .badge-bad").count() == 0
        page.keyboard.press("Escape")
        page.wait_for_selector(".drawer", state="hidden")
    page.goto(f"{console.address}messages?topic={topic}&start=earliest&where=offset >= 3 and order is None")
    page.wait_for_selector("text=/2 messages of 5 searched/")
