"""Counts that are stored with the rows: never behind them, whatever becomes of the rows."""

from __future__ import annotations

import re
import time
from typing import Any

import orjson
import pytest

from clickreel.contract.framing import prefix
from clickreel.ingest import dead_letters
from clickreel.ingest.dead_letters import DeadLetterFilter
from clickreel.insight import film_trends
from clickreel.insight.charts import CHARTS, Chart, popular_categories
from clickreel.insight.queries import text
from clickreel.insight.window import Window
from clickreel.simulate import films as catalogues
from clickreel.warehouse import film_dimension, migrate
from clickreel.warehouse.client import Client
from tests.ingest.messages import NAME, Topic, event, land, message
from tests.ingest.test_validate_batch import NEW, registry
from tests.warehouse.projections import PROJECTIONS, check_projections

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NOON_MS = 1_766_836_800_000  # 2025-12-27 12:00, when the messages of tests happen
# Five minutes are few rows.
READ_ROWS = {"active_now"}
KINDS = ("view", "detail_view", "watch_trailer", "add_to_watchlist")


def _varied(topic: Topic, count: int, *, begin_ms: int = NOON_MS - 3 * HOUR_MS, step_ms: int = 61_001) -> None:
    """Messages that differ in all that is counted."""
    for number in range(count):
        at_ms = begin_ms + number * step_ms
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03d}"
        changes = {
            "event_ts": stamp, "user_id": f"u_{number % 17 + 1}", "session_id": f"s_{number // 9:08x}", "film_id": number % 11 + 1,
            "event_type": KINDS[number * 7 % 4], "page": "film_detail" if number * 7 % 4 else "browse",
            "device": ("web", "mobile", "tablet")[number % 3], "referrer": ("homepage", "search")[number % 2],
        }  # fmt: skip
        topic.put(number % 3, *message(topic.sent + number, **changes))
    topic.sent += count


def _same_without_projections(client: Client, chart: Chart[Any], window: Window) -> None:
    values = {**window.parameters, **chart.parameters}
    assert client.rows(chart.sql, values) == client.rows(chart.sql, values, optimize_use_projections=0), chart.name


def _much(client: Client) -> Window:
    """A window of so many events that a projection is less to read than the rows."""
    client.command(
        "INSERT INTO dvd_clicks_landing (_topic, _topic_id, _partition, _offset, event_ts, user, session, film_id, event_type, device, "
        "referrer, position) SELECT 't', 'id', 0, number, fromUnixTimestamp64Milli({begin:Int64} + toInt64(number) * 200, 'UTC'), "
        "number % 90, intDiv(number, 9) % 50, number % 5, ['view', 'detail_view'][1 + number % 2], 'web', 'search', number % 3 "
        "FROM numbers(600000)",
        {"begin": NOON_MS},
    )
    return Window(NOON_MS + HOUR_MS - 1, NOON_MS + 31 * HOUR_MS + 1, 0)


def test_charts_read_projections(client: Client) -> None:
    """ClickHouse recognises the expressions; a change of one letter would make it read all rows."""
    window = _much(client)
    for chart in CHARTS:
        plan = client.rows(f"EXPLAIN {chart.sql}", {**window.parameters, **chart.parameters})
        reads = {name for name in PROJECTIONS if any(f"({name})" in line for (line,) in plan)}
        assert bool(reads) == (chart.name not in READ_ROWS), (chart.name, plan)
        _same_without_projections(client, chart, window)


def _rounded(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """In one order; votes, which are summed in whatever order they come, to nine digits."""
    return sorted(tuple(float(f"{cell:.9g}") if isinstance(cell, float) else cell for cell in row) for row in rows)


_RULES = {"films": [1, 2], "weights": [1.0, 0.5], "lags": 3, "shrink": 10.0, "without": [3]}


@pytest.mark.parametrize(
    ("name", "pieces", "values", "read"),
    [
        ("people_per_minute", {"item": film_trends.ITEMS["film"]}, {}, {"acts", "film_people"}),
        ("people_per_minute", {"item": film_trends.ITEMS["category"]}, {}, {"acts", "film_people"}),
        ("next_by_rules", {}, _RULES, {"acts"}),
        ("similar", {}, {"film": 2}, {"acts"}),
        ("popular", {}, {"user": 7}, {"acts"}),
        ("opened_by", {}, {"user": 7}, {"acts"}),
        ("newest_openings", {}, {"most": 1000}, {"device_hours"}),
    ],
)
def test_openings_are_read_from_projections(
    name: str, pieces: dict[str, str], values: dict[str, Any], read: set[str], client: Client
) -> None:
    """Trending and lists read no rows, and say what the rows say."""
    window = _much(client)
    days = {"baseline_ms": NOON_MS - NOON_MS % DAY_MS, "minutes_ms": NOON_MS - NOON_MS % DAY_MS + DAY_MS}
    sql, values = text(name, **pieces), {**window.parameters, **days, "limit": 20, **values}
    plan = [line for (line,) in client.rows(f"EXPLAIN {sql}", values) if "ReadFromMergeTree" in line]
    assert {re.search(r"\((\w+)\)", line)[1] for line in plan} == read, plan  # type: ignore[index]
    rows = client.rows(sql, values)
    assert len(rows) > 0
    assert _rounded(rows) == _rounded(client.rows(sql, values, optimize_use_projections=0))


def test_late_events_replays_repeats_and_deletes_are_counted_in_their_own_minute(client: Client, topic: Topic) -> None:
    """A late event goes into its minute, a replayed dead letter too; a repeated delivery is at an offset of its own."""
    _varied(topic, 120)
    land(topic, client)
    topic.put(0, *message(5000, event_ts="2025-12-20 07:08:09.010"))
    for number in (100, 101):
        value = orjson.dumps(event(number, campaign="xmas", event_ts="2025-12-21 01:02:03.004"))
        topic.put(1, orjson.dumps(f"u_{number + 1}"), prefix(value, NEW))
    for _ in range(2):
        topic.put(2, *message(6000))
    land(topic, client)
    check_projections(client)
    before = client.command("SELECT count() FROM dvd_clicks")
    assert dead_letters.replay(client, DeadLetterFilter(NAME), registry).landed == 2
    assert client.command("SELECT count() FROM dvd_clicks") == before + 2
    check_projections(client)
    replayed = client.rows(
        "SELECT countMerge(`count()`) FROM mergeTreeProjection(currentDatabase(), 'dvd_clicks_landing', 'device_minutes') "
        "WHERE error = '' AND `intDiv(toUnixTimestamp64Milli(event_ts), 60000)` = {minute:Int64}",
        {"minute": 29_437_982},
    )
    assert replayed == [(2,)]
    client.command("DELETE FROM dvd_clicks_landing WHERE _partition = 1 AND _offset BETWEEN 3 AND 9")
    check_projections(client)
    land(topic, client)  # what was deleted is read again, once
    check_projections(client)
    client.command("OPTIMIZE TABLE dvd_clicks_landing FINAL")
    check_projections(client)


def test_a_reloaded_catalogue_changes_names_and_categories_and_no_count(client: Client, topic: Topic) -> None:
    """Categories are looked up when the question is asked, so there is nothing to repair."""
    _varied(topic, 60)
    land(topic, client)
    window = Window(NOON_MS - 3 * HOUR_MS, NOON_MS + 3 * HOUR_MS, 0)
    for seed in (1, 2):
        catalogue = catalogues.invent(11, seed)
        film_dimension.load(client, catalogue)
        names = {category for film in catalogue.categories for category in film}
        answer = popular_categories(client, window, limit=1000).rows
        assert {row.category for row in answer} == names
        _same_without_projections(client, popular_categories, window)
    check_projections(client)


def test_rows_of_before_get_projections_in_the_background(client: Client, topic: Topic) -> None:
    """A table of an older clickreel: answers are right at once, and the migration says what is still being written."""
    for name in PROJECTIONS:
        client.command(f"ALTER TABLE dvd_clicks_landing DROP PROJECTION {name}", mutations_sync=2)
    _varied(topic, 90)
    land(topic, client)
    client.command("ALTER TABLE clickreel_migrations DELETE WHERE version >= 7", mutations_sync=2)
    report = {one.name: one.state for one in migrate.migrate(client)}
    assert report["projections"] == "applied"
    deadline = time.monotonic() + 60
    while migrate.unfinished_parts(client) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert migrate.unfinished_parts(client) == 0
    rows = client.command(
        "SELECT sum(rows) FROM system.parts WHERE active AND table = 'dvd_clicks_landing' AND database = currentDatabase()"
    )
    written = client.rows(
        "SELECT name, sum(parent_rows) FROM system.projection_parts WHERE active AND table = 'dvd_clicks_landing' "
        "AND database = currentDatabase() GROUP BY name"
    )
    assert {name: count for name, count in written if name in PROJECTIONS} == dict.fromkeys(PROJECTIONS, rows)
    check_projections(client)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_chart_answers_alike_from_rows_and_from_projections(chart: Chart[Any], client: Client, topic: Topic) -> None:
    """For windows that begin and end anywhere, in the middle of an hour and of a minute, and shorter than both."""
    _varied(topic, 400)
    land(topic, client)
    for begin_ms, length_ms in (
        (NOON_MS - 3 * HOUR_MS, 6 * HOUR_MS),
        (NOON_MS - 2 * HOUR_MS - 1_234_567, 4 * HOUR_MS + 77_777),
        (NOON_MS - 1, 2),
        (NOON_MS - 30_001, 45_000),
        (NOON_MS + 5 * MINUTE_MS, 50 * MINUTE_MS),
        (NOON_MS + 5 * MINUTE_MS, HOUR_MS + 1),
    ):
        _same_without_projections(client, chart, Window(begin_ms, begin_ms + length_ms, 0))
