"""An answer is proved by the run simulated again, and refuted by one row too few or too many."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from clickreel.audit.answer_proof import AnswerProof, Ask, prove
from clickreel.audit.regenerate import ExpectedRun
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.insight import recommend
from clickreel.insight.activity import activity
from clickreel.insight.charts import CHARTS
from clickreel.insight.film_trends import trends
from clickreel.insight.funnel import funnel
from clickreel.insight.window import window
from clickreel.profile import Profile
from clickreel.simulate.ledger import event_ids
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.timespec import format_instant
from clickreel.warehouse import repeated_events
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import DAY_MS, HOUR_MS


def _proof(landed: Landed, ask: Ask, begin_ms: int) -> AnswerProof:
    run = ExpectedRun(landed.world, END_MS - DAYS * DAY_MS)
    return prove(landed.profile, run, ask, begin_ms=begin_ms, end_ms=END_MS, delivered_ms=END_MS)


def test_every_answer_of_a_run_is_proved(landed: Landed) -> None:
    """Trending, funnel, activity and each chart: truth, raw rows and answer have the same numbers, and there are some."""
    asked = window(landed.client, 6 * HOUR_MS, now_ms=END_MS, end_ms=END_MS)

    def ask(client: Client) -> Mapping[str, Any]:
        found = {chart.name: chart.answer(client, asked).as_json() for chart in CHARTS}
        found["funnel"] = funnel(client, asked, steps=EVENT_TYPES, by="device").as_json()
        found["activity"] = activity(client, asked).as_json()
        found["trending"] = trends(client, asked).as_json()
        return found

    proof = _proof(landed, ask, END_MS - 12 * DAY_MS)
    assert [one for one in proof.numbers if not one.ok] == []
    assert {one.name.split(".")[0] for one in proof.numbers} >= {
        chart.name for chart in CHARTS if chart.name != "retention"
    } | {
        "funnel",
        "trending",
    }
    landed_rows = (landed.events.ts_ms >= END_MS - 12 * DAY_MS).sum()
    assert proof.simulated == landed_rows
    databases = landed.client.rows("SELECT name FROM system.databases")
    assert not [name for (name,) in databases if name.startswith(f"{landed.client.database}_proof")]


def test_lists_of_films_are_proved(landed: Landed) -> None:
    """For a person, beside a film, in a session and for somebody new."""
    asked = window(landed.client, 7 * DAY_MS, now_ms=END_MS, end_ms=END_MS)
    user, film = int(landed.events.user[-1]), int(landed.events.film[-1])

    def ask(client: Client) -> Mapping[str, Any]:
        return {
            "person": recommend.for_user(client, user, asked).as_json(),
            "film": recommend.for_film(client, film, asked).as_json(),
            "session": recommend.for_session(client, [film], asked).as_json(),
            "new": recommend.for_new_user(client, asked).as_json(),
        }

    proof = _proof(landed, ask, END_MS - DAYS * DAY_MS)
    assert proof.ok, [one for one in proof.numbers if not one.ok]
    assert {one.name.split(".")[0] for one in proof.numbers} == {"person", "film", "session", "new"}
    assert len(proof.numbers) >= 40


def _insert(client: Client, world: World, begin_ms: int, end_ms: int) -> int:
    """Land what a run delivers; how many events that is, each counted once."""
    made = world.deliveries(begin_ms, end_ms)
    events = made.events
    rows = zip(
        range(len(made)),
        event_ids(made.id_hi, made.id_lo),
        map(format_instant, events.ts_ms.tolist()),
        events.user.tolist(),
        events.session.tolist(),
        events.film.tolist(),
        [EVENT_TYPES[code] for code in events.event_type],
        [PAGES[code] for code in events.page],
        events.position.tolist(),
        [DEVICES[code] for code in events.device],
        [REFERRERS[code] for code in events.referrer],
        strict=True,
    )
    client.insert("dvd_clicks_landing", COLUMNS, list(rows))
    # As ingest writes them.
    repeated = repeated_events.mark_all(client)
    assert repeated > 0
    return len(made) - repeated


COLUMNS = (
    "_offset", "event_id", "event_ts", "user", "session", "film_id", "event_type", "page", "position", "device", "referrer",
)  # fmt: skip


def test_a_lost_row_and_a_foreign_one_are_found(empty: Client, landed: Landed) -> None:
    """Equal as long as the rows are the run's; a foreign row is counted as such, and the numbers it changes differ; so does a lost one."""
    world = World(WorldSettings(users=300, films=50, seed=3, flaws="duplicate=5%,malformed=0%"))
    begin = END_MS - 6 * HOUR_MS
    count = _insert(empty, world, begin, END_MS)
    profile: Profile = dataclasses.replace(landed.profile, clickhouse_database=empty.database)
    asked = window(empty, 6 * HOUR_MS, now_ms=END_MS, end_ms=END_MS)

    def proof() -> AnswerProof:
        return prove(
            profile,
            ExpectedRun(world, begin),
            lambda client: activity(client, asked).total.as_json(),
            begin_ms=begin,
            end_ms=END_MS,
            delivered_ms=END_MS,
        )

    right = proof()
    assert right.ok
    assert (right.simulated, right.foreign) == (count, 0)
    row = (10**6, str(uuid.uuid4()), format_instant(END_MS - HOUR_MS), 7, 7, 1, "view", "home", 1, "web", "homepage")
    empty.insert("dvd_clicks_landing", COLUMNS, [row])
    more = proof()
    assert more.foreign == 1
    (events,) = [one for one in more.numbers if one.name == "events"]
    assert (events.truth, events.raw, events.answer, events.ok) == (count, count + 1, count + 1, False)
    empty.command("ALTER TABLE dvd_clicks_landing DELETE WHERE 1 SETTINGS mutations_sync = 2")
    _insert(empty, world, begin, END_MS - HOUR_MS)
    assert not proof().ok
