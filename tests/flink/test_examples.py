"""The examples give, on a stream whose truth is known, exactly what a slow and readable Python gives."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import pytest

from clickreel.contract.vocabulary import FLAWS
from clickreel.events import Deliveries
from clickreel.flink import examples
from clickreel.simulate.ledger import derive_ledger
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from tests.flink.conftest import HOUR_MS, START_MS, Open, Topics, instant, rows, written

MINUTE_MS = 60_000
Stream = tuple[str, Deliveries]


def test_each_says_what_it_answers_and_is_named_in_the_help() -> None:
    """The first line is a comment in a sentence; `clickreel sql --help` lists every name."""
    from clickreel.cli.sql_commands import sql

    for name in examples.list_examples():
        assert examples.read_example(name).startswith("-- ")
        assert len(examples.describe_example(name)) > 20
        assert name in (sql.__doc__ or "")


def test_clicks_per_minute_counts_every_minute(open_workspace: Open, stream: Stream) -> None:
    """Clicks, people and sessions of each minute with events, and no other minute."""
    topic, deliveries = stream
    minutes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for place, event in enumerate(written(deliveries)):
        minutes[int(deliveries.deliver_ms[place]) // MINUTE_MS].append(event)
    expected = [
        [
            instant(minute * MINUTE_MS),
            len(events),
            len({e["user_id"] for e in events}),
            len({e["session_id"] for e in events}),
        ]
        for minute, events in sorted(minutes.items())
    ]
    assert sorted(rows(open_workspace(topic), examples.read_example("clicks_per_minute"))) == expected


def test_top_films_ranks_each_quarter_of_an_hour(open_workspace: Open, stream: Stream) -> None:
    """The ten films opened most in each window of 15 minutes that begins every 5, equal ones by their number."""
    topic, deliveries = stream
    hop, size = 5 * MINUTE_MS, 15 * MINUTE_MS
    windows: dict[int, Counter[int]] = defaultdict(Counter)
    for place, event in enumerate(written(deliveries)):
        if event["event_type"] == "detail_view":
            last = int(deliveries.deliver_ms[place]) // hop * hop
            for start in range(last - size + hop, last + 1, hop):
                windows[start][event["film_id"]] += 1
    expected = [
        [instant(start), instant(start + size), place, film, opened]
        for start, films in sorted(windows.items())
        for place, (film, opened) in enumerate(
            sorted(films.items(), key=lambda item: (-item[1], item[0]))[:10], start=1
        )
    ]
    assert sorted(rows(open_workspace(topic), examples.read_example("top_films"))) == expected


def test_session_windows_are_the_simulators_sessions(open_workspace: Open, stream: Stream) -> None:
    """Time alone (30 minutes without an event) finds the sessions that the simulator made: same people, bounds and counts."""
    topic, deliveries = stream
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in written(deliveries):
        sessions[event["session_id"]].append(event)
    expected = sorted(
        [
            min(e["event_ts"] for e in events),
            max(e["event_ts"] for e in events),
            events[0]["user_id"],
            session,
            1,
            len(events),
            len({e["film_id"] for e in events}),
        ]
        for session, events in sessions.items()
    )
    assert sorted(rows(open_workspace(topic), examples.read_example("sessions"))) == expected


def test_the_funnel_finds_what_was_seen_opened_and_saved(open_workspace: Open, stream: Stream) -> None:
    """As a regular expression over each film's steps in each session finds it."""
    topic, deliveries = stream
    letters = {"view": "s", "detail_view": "o", "watch_trailer": "t", "add_to_watchlist": "w"}
    steps: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for event in written(deliveries):
        steps[event["session_id"], event["film_id"]].append(event)
    expected = []
    for (session, film), events in steps.items():
        for match in re.finditer("sot?w", "".join(letters[e["event_type"]] for e in events)):
            found = events[match.start() : match.end()]
            trailer = found[2]["event_ts"] if len(found) == 4 else None
            expected.append([session, film, found[0]["event_ts"], found[1]["event_ts"], trailer, found[-1]["event_ts"]])
    got = rows(open_workspace(topic), examples.read_example("funnel"))
    assert len(got) > 5
    assert sorted(got, key=str) == sorted(expected, key=str)


@dataclass(frozen=True)
class Flawed:
    """Four hours of a flawed run in one partition, and what its ledger says of them.

    Attributes:
        topic: Where they are.
        events: What was written, in order.
        deliveries: The same as deliveries.
        duplicates: Ids of the ledger's duplicates, one for each copy too many.
        late: Ids of the ledger's late events.
    """

    topic: str
    events: list[dict[str, Any]]
    deliveries: Deliveries
    duplicates: Counter[str]
    late: set[str]


@pytest.fixture(scope="module")
def flawed(topics: Topics) -> Flawed:
    """The run; the ledger's duplicates of events that were delivered before its four hours are no duplicates here."""
    own = World(WorldSettings(seed=7, films=60, users=300, flaws="duplicate=5%,late=5%"))
    start, end = START_MS + 16 * HOUR_MS, START_MS + 20 * HOUR_MS
    deliveries = own.deliveries(start, end)
    events = written(deliveries)
    flaws = [row for batch in derive_ledger(own, start, end) for row in batch.to_pylist() if row["kind"] == "flaw"]
    copies = Counter(row["event_id"] for row in flaws if row["name"].startswith("duplicate"))
    originals = {
        event["event_id"]
        for event, flaw in zip(events, deliveries.flaw.tolist(), strict=True)
        if not FLAWS[flaw].startswith("duplicate")
    }
    inside = Counter({name: count for name, count in copies.items() if name in originals})
    assert len(inside) > 20
    late = {row["event_id"] for row in flaws if row["name"].startswith("late")}
    return Flawed(topics.fill(deliveries, partitions=1), events, deliveries, inside, late)


def test_dedup_keeps_each_event_once(open_workspace: Open, flawed: Flawed) -> None:
    """Of copies the first to arrive is kept, whatever the later ones say; what goes is what the ledger calls duplicates."""
    first: dict[str, dict[str, Any]] = {}
    for event in flawed.events:
        first.setdefault(event["event_id"], event)
    got = rows(open_workspace(flawed.topic), examples.read_example("dedup"))
    names = list(next(iter(first.values())))
    assert {row[1]: dict(zip(names, row[1:], strict=True)) for row in got} == first
    assert Counter(event["event_id"] for event in flawed.events) - Counter(row[1] for row in got) == flawed.duplicates


def test_duplicates_are_exactly_those_of_the_ledger(open_workspace: Open, flawed: Flawed) -> None:
    """Their ids, how many copies there are, and whether the copies differ."""
    copies: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in flawed.events:
        copies[event["event_id"]].append(event)
    got = {row[0]: (row[1], row[2]) for row in rows(open_workspace(flawed.topic), examples.read_example("duplicates"))}
    assert {name: count - 1 for name, (count, _) in got.items()} == flawed.duplicates
    for name, (_, contents) in got.items():
        assert contents == len({str({**event, "event_ts": ""}) for event in copies[name]})


def test_late_events_are_those_that_the_watermark_had_passed(open_workspace: Open, flawed: Flawed) -> None:
    """Half a minute behind the newest event so far, in the order of the partition; each is late, or a copy, by the ledger."""
    newest, expected = 0, []
    for place, event in enumerate(flawed.events):
        moment = int(flawed.deliveries.events.ts_ms[place])
        if newest and moment <= newest - 30_000:
            expected.append((event["event_id"], instant(newest - 30_000)))
        newest = max(newest, moment)
    got = [(row[0], row[5]) for row in rows(open_workspace(flawed.topic), examples.read_example("late"))]
    assert sorted(got) == sorted(expected)
    found = {name for name, _ in got}
    assert len(found & flawed.late) > 2
    assert found <= flawed.late | set(flawed.duplicates)


def test_enrich_gives_the_film_of_each_click(open_workspace: Open, stream: Stream, world: World) -> None:
    """Title, year and categories of the catalogue, for every event that is more than a view."""
    topic, deliveries = stream
    place = {int(film): at for at, film in enumerate(world.catalogue.film_id)}
    expected = sorted(
        [
            event["event_ts"],
            event["user_id"],
            event["event_type"],
            event["film_id"],
            world.catalogue.title[place[event["film_id"]]],
            int(world.catalogue.year[place[event["film_id"]]]),
            ", ".join(world.catalogue.categories[place[event["film_id"]]]),
        ]
        for event in written(deliveries)
        if event["event_type"] != "view"
    )
    assert sorted(rows(open_workspace(topic), examples.read_example("enrich"))) == expected


def test_trending_is_written_to_a_topic_of_its_own(open_workspace: Open, stream: Stream) -> None:
    """The statement makes the topic, fills it, ends with the bounded stream, and its rows read back are the ranking."""
    import time

    from clickreel.flink import statement_control
    from clickreel.flink.statement_splitter import split_statements

    topic, deliveries = stream
    target = f"trending-{topic}"
    workspace = open_workspace(topic)
    create, insert = split_statements(examples.read_example("trending").replace("dvd_trending", f"`{target}`"))
    assert workspace.execute(create).started is None
    started = workspace.execute(insert).started
    assert started is not None
    deadline = time.monotonic() + 30
    while statement_control.read_statement(workspace.statements, started.name).state != "FINISHED":
        assert time.monotonic() < deadline, statement_control.read_statement(workspace.statements, started.name)
        time.sleep(0.1)
    hop, size = MINUTE_MS, 10 * MINUTE_MS
    opened: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for place, event in enumerate(written(deliveries)):
        if event["event_type"] == "detail_view":
            last = int(deliveries.deliver_ms[place]) // hop * hop
            for start in range(last - size + hop, last + 1, hop):
                opened[start][event["film_id"]].append(event["user_id"])
    expected = []
    for start, films in opened.items():
        ranked = sorted((-len(set(users)), -len(users), film) for film, users in films.items())[:10]
        expected += [
            [instant(start + size), place, film, -people, -count]
            for place, (people, count, film) in enumerate(ranked, start=1)
        ]
    got = rows(workspace, f"select window_end, place, film_id, people, opened from `{target}`", limit=len(expected))
    assert sorted(got) == sorted(expected)
