"""The main path of each screen in a real browser: a run in the topic, its rows in the tables, and what a person does there first."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from clickreel.stream.record_view import read_records
from tests.console.conftest import EVENTS, Console, fastest_stop_ms

pytestmark = pytest.mark.stack


def wait_for(page: Any, text: str) -> Any:
    """The visible element with this text, once it is there."""
    return page.wait_for_selector(f"text={text} >> visible=true", timeout=120_000)


def run_sql(page: Any, sql: str) -> None:
    """Put a statement into the editor and run it."""
    page.get_by_label("SQL", exact=True).fill(sql)
    page.get_by_label("SQL", exact=True).press("Tab")
    page.get_by_role("button", name="Run", exact=True).click()


def test_overview_proves_the_arrows_and_opens_them(console: Console, page: Any) -> None:
    """Nothing lost and nothing doubled, by the event; a click shows the partitions."""
    page.goto(console.address)
    arrows = page.locator(".arrow-proof")
    wait_for(page, "✓ lost 0, doubled 0, proven up to")
    assert arrows.nth(0).inner_text().startswith("✓ lost 0, doubled 0, proven up to ")
    assert arrows.nth(2).inner_text().startswith("✓ lost 0, doubled 0, proven up to ")
    page.locator("button.arrow").first.click()
    wait_for(page, "out of place")
    expected = sum(int(row.inner_text().split("\t")[3]) for row in page.locator(".card tbody tr").all()[:2])
    assert expected == EVENTS


def test_live_messages_are_accessible(console: Console, page: Any) -> None:
    """While rows come in: nothing serious for axe."""
    page.goto(f"{console.address}messages")
    console.write(*(b'{"film_id":%d}' % (990005000 + number) for number in range(10)))
    page.wait_for_selector("tr:has-text('990005009')")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


def test_what_somebody_types_stays_while_messages_come(console: Console, page: Any) -> None:
    """The page is drawn again every second, and must not put the old text back."""
    page.goto(f"{console.address}messages?where=valid")
    page.wait_for_selector("text=/messages\\/s, new ones that pass the filter/")
    page.get_by_label("Filter").fill("")
    page.get_by_label("Filter").press_sequentially("film_id == 990005100", delay=200)
    assert page.get_by_label("Filter").input_value() == "film_id == 990005100"
    page.keyboard.press("Enter")
    console.write(b'{"film_id":990005099}', b'{"film_id":990005100}')
    page.wait_for_selector("tr:has-text('990005100')")
    assert page.locator("tr:has-text('990005099')").count() == 0


def test_a_download_holds_the_values_of_the_topic_byte_for_byte(console: Console, page: Any) -> None:
    """What stands in the file at an offset is what Kafka holds there."""
    page.goto(f"{console.address}messages?start=earliest&where=valid")
    page.wait_for_selector(".mt-table tbody tr")
    held = {
        (record.partition, record.offset): (record.value or b"").decode()
        for records in read_records(console.cluster, console.topic, {0: 0, 1: 0})
        for record in records
    }
    for form in ("JSON", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=form, exact=True).click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
        rows = (
            list(csv.DictReader(text.splitlines()))
            if form == "CSV"
            else [json.loads(line) for line in text.splitlines()]
        )
        assert len(rows) >= EVENTS
        assert {row["value"] == held[int(row["partition"]), int(row["offset"])] for row in rows} == {True}


def test_clickhouse_answers_explains_and_stops(console: Console, page: Any) -> None:
    """Rows and a chart, an error at its place, and a statement that would run for years."""
    page.goto(f"{console.address}sql?engine=clickhouse")
    run_sql(page, "SELECT device, count() AS clicks FROM dvd_clicks GROUP BY device ORDER BY clicks DESC")
    wait_for(page, "finished after")
    page.get_by_role("button", name="Chart", exact=True).click()
    page.wait_for_selector(".bars-bar >> visible=true")
    devices = [line.split("\n")[0] for line in page.locator(".bars:visible li").all_inner_texts()]
    assert set(devices) <= {"web", "mobile", "tablet"}
    assert devices
    page.get_by_role("button", name="Chart", exact=True).click()
    run_sql(page, "SELECT 1,\n  nothing FROM dvd_clicks")
    wait_for(page, "line 2, column 3")

    def run_without_end() -> None:
        run_sql(page, "SELECT count() FROM numbers(100000000000000)")
        wait_for(page, "running; 0 rows")

    assert fastest_stop_ms(page, run_without_end) < 1_000


def test_an_id_leads_through_its_whole_life(console: Console, page: Any) -> None:
    """From a message to who made it, each hop, its session and the minute that counts it."""
    page.goto(f"{console.address}messages?start=earliest&where=valid and user_id != 'u_10'")  # those of other tests
    page.locator(".mt-table tbody tr").first.click()
    page.locator(".drawer a.link").first.click()
    wait_for(page, "Its way")
    text = page.inner_text("main")
    for words in ("read out of the id itself", "in Kafka", "in ClickHouse", "Its session on a time line", console.run):
        assert words in text


def test_the_tables_of_flink_stand_beside_the_editor_with_their_ddl(console: Console, page: Any) -> None:
    """Without a Flink that runs: they are made of the contract."""
    page.goto(f"{console.address}sql")
    page.locator("summary", has_text="dvd_clicks").first.click()
    wait_for(page, "/`event_id` STRING/")
    assert "'connector' = 'kafka'" in page.inner_text("main")


def test_the_dashboard_draws_its_charts_with_their_sql(console: Console, page: Any) -> None:
    """Each chart has figures, and the statement behind them is a click away."""
    page.goto(f"{console.address}dashboard")
    page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.bars')]; return all.length >= 6 && all.every(one => one.querySelector('.bars-bar')); }"
    )
    page.wait_for_selector(".poster")
    page.locator("summary[aria-label='SQL of Event funnel']").click()
    wait_for(page, "SELECT")
    page.wait_for_selector("section:has-text('People by device') a.panel-rows[href*='SELECT']")
    assert page.locator("[role=alert]:visible").count() == 0


@pytest.mark.timeout(600)  # a simulation at the lowest priority
def test_a_chart_is_proved_by_the_run_simulated_again(console: Console, page: Any) -> None:
    """A click: the same numbers from the simulator, from the raw rows and on the chart."""
    page.goto(f"{console.address}dashboard?minutes=15")
    page.get_by_role("button", name="Prove Event funnel").click()
    said = page.wait_for_selector("text=numbers, each equal: run", timeout=280_000).inner_text()
    assert said.startswith("✓ ")
    assert f"run {console.run}, " in said
    rows = page.locator("section:has-text('Event funnel') .proof-numbers tbody tr").all_inner_texts()
    views = next(row.split("\t") for row in rows if row.replace("[ ", "[").startswith("steps[view].reached"))
    assert views[1] == views[2] == views[3]
    assert int(views[1]) > 0


@pytest.mark.timeout(600)  # as above
def test_a_recommendation_is_proved_by_the_run_simulated_again(console: Console, page: Any) -> None:
    """The films that go with another, in the simulator's events as in the table's."""
    page.goto(f"{console.address}dashboard?minutes=15")
    film = page.locator("section:has-text('Trending now') a.poster").first.get_attribute("href").partition("q=")[2]
    page.get_by_label("A user or a film").fill(film)
    page.get_by_label("A user or a film").press("Enter")
    page.get_by_role("button", name="Prove Recommendations").click()
    said = page.wait_for_selector("text=numbers, each equal: run", timeout=280_000).inner_text()
    assert said.startswith("✓ ")


@pytest.mark.timeout(600)
def test_the_stream_is_scored_when_somebody_asks(console: Console, page: Any) -> None:
    """A stream this small is refused with the reason; scored anyway, each test has its figures beside the published band."""
    page.goto(f"{console.address}quality")
    page.get_by_role("button", name="Score the tables").click()
    page.get_by_role("button", name="Score them anyway").click(timeout=280_000)
    page.wait_for_selector("text=is an assumption, no published figure", timeout=280_000)
    tests = {
        row.split("\t")[0]
        for row in page.locator("section:has-text('Realism of the stream') tbody tr").all_inner_texts()
    }
    assert {f"R{number}" for number in range(1, 25)} <= tests


def test_a_dead_letter_is_shown_with_its_reason_and_its_message(console: Console, page: Any) -> None:
    """Quality lists it, and its link opens the message in the topic."""
    console.write(b'{"film_id":"dead on arrival"}')
    deadline = time.monotonic() + 60
    page.goto(f"{console.address}quality")
    wait_for(page, f"run {console.run}, ")  # the ledger, made again from the seed
    while not page.locator("text=/^partition 0, offset/").count():
        assert time.monotonic() < deadline
        page.get_by_role("button", name="Refresh").click()
        page.wait_for_timeout(500)
    page.locator("a.link.mono[href*=open]").first.click()
    wait_for(page, "✗ breaks the contract")


def test_a_message_by_hand_is_refused_with_the_field_or_arrives(console: Console, page: Any) -> None:
    """A position of 0 breaks the contract; a sample keeps it and opens at its offset."""
    page.goto(f"{console.address}messages")
    page.locator("summary", has_text="Produce a message").click()
    page.locator(".form").get_by_label("position").fill("0")
    page.locator(".form").get_by_label("position").press("Tab")
    page.get_by_role("button", name="Send").click()
    wait_for(page, "✗ refused, nothing was sent: position")
    page.get_by_role("button", name="Another sample").click()
    page.get_by_role("button", name="Send").click()
    wait_for(page, "✓ acknowledged")
    page.locator(".fold a.link").click()
    wait_for(page, "✓ keeps the contract")


def test_keys_lead_to_the_finder_and_to_the_screens(console: Console, page: Any) -> None:
    """``/`` finds, ``g m`` goes to the messages; a link shows the stretch that it names."""
    page.goto(f"{console.address}monitor?span=60")
    page.wait_for_selector("button[aria-pressed=true]:has-text('1 min')")
    page.keyboard.press("/")
    page.keyboard.type("u_10")
    page.keyboard.press("Enter")
    page.wait_for_url("**/id?q=u_10")
    page.wait_for_selector("h1")
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/messages")
