"""What people and films do: lists, funnel, trends, the ledger's account of them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from clickreel.contract.vocabulary import EVENT_TYPES, PAGES
from clickreel.events import Events
from clickreel.simulate.ledger import derive_ledger
from clickreel.simulate.world import World
from tests.simulate.worlds import DAY_MS, HOUR_MS, MONDAY_MS, world

VIEW, DETAIL, TRAILER, WATCHLIST = range(4)
FILM_DETAIL = PAGES.index("film_detail")


@pytest.fixture(scope="module")
def made() -> World:
    """A world of some size."""
    return world(users=8000, seed=51)


@pytest.fixture(scope="module")
def day(made: World) -> Events:
    """A day of it, by session and time."""
    events = made.events(MONDAY_MS, MONDAY_MS + DAY_MS)
    return events.take(np.lexsort((events.ts_ms, events.session)))


def test_the_funnel_is_in_order(day: Events) -> None:
    """A trailer or a save on a film's page follows something of the same film; nothing is opened faster than a hand can."""
    assert EVENT_TYPES == ("view", "detail_view", "watch_trailer", "add_to_watchlist")
    same = day.session[1:] == day.session[:-1]
    gap, before, after = np.diff(day.ts_ms), day.event_type[:-1], day.event_type[1:]
    deeper = same & ((after == TRAILER) | ((after == WATCHLIST) & (day.page[1:] == FILM_DETAIL)))
    assert (day.film[1:][deeper] == day.film[:-1][deeper]).all()
    assert (day.position[1:][deeper] == day.position[:-1][deeper]).all()
    assert (before[same & (after == TRAILER)] == DETAIL).all()
    opened = same & (before == VIEW) & (after == DETAIL)
    assert gap[opened].min() >= 300


def test_the_films_of_a_screen_appear_together(day: Events) -> None:
    """Most views follow the one before within a few hundredths of a second, on several kinds of screen; some people come back up."""
    same = day.session[1:] == day.session[:-1]
    views = same & (day.event_type[1:] == VIEW) & (day.event_type[:-1] == VIEW)
    assert 0.6 < (np.diff(day.ts_ms)[views] < 50).mean() < 0.95
    opened = np.flatnonzero(same & (day.event_type[1:] == DETAIL) & (day.event_type[:-1] == VIEW)) + 1
    assert (day.position[opened] < day.position[opened - 1]).mean() > 0.2
    step = np.diff(day.position.astype(np.int64))[views]
    assert 0.005 < (step[step > 0] > 1).mean() < 0.1


def test_the_referrer_is_the_session_s_entry_source_and_the_page_is_free(day: Events) -> None:
    """One referrer a session, any referrer on any list page, and a tenth of the sessions land on a film's page."""
    same = day.session[1:] == day.session[:-1]
    assert (day.referrer[1:][same] == day.referrer[:-1][same]).all()
    table = np.bincount(day.referrer.astype(np.int64) * len(PAGES) + day.page, minlength=3 * len(PAGES)).reshape(3, -1)
    assert (table > 0).all()
    first = np.flatnonzero(np.diff(day.session.astype(np.int64), prepend=-1))
    assert 0.08 < (day.page[first] == FILM_DETAIL).mean() < 0.2


def test_people_return_soonest_after_half_an_hour(made: World) -> None:
    """Sessions end by 30 minutes of silence alone: returns are densest just after it, and no later quarter of an hour stands out."""
    events = made.events(MONDAY_MS, MONDAY_MS + 7 * DAY_MS)
    events = events.take(np.lexsort((events.ts_ms, events.user)))
    new = (events.user[1:] == events.user[:-1]) & (events.session[1:] != events.session[:-1])
    gap_min = np.diff(events.ts_ms)[new] / 60_000
    assert gap_min.min() > 30
    assert ((gap_min >= 30) & (gap_min < 60)).mean() > 0.03
    halves = np.histogram(gap_min, np.arange(30, 331, 60))[0]
    assert (np.diff(halves) < 0).all()


def test_lists_are_somebody_s_and_are_renewed_at_any_hour(made: World) -> None:
    """Hardly two people see the same five films at home; one person sees the same within their day."""
    episodes = made.timeline.episodes(MONDAY_MS + 18 * HOUR_MS, MONDAY_MS + 21 * HOUR_MS)
    heads: dict[int, tuple[int, ...]] = {}
    for part in made.model.expand(episodes):
        home = (
            (part.events.page == PAGES.index("home")) & (part.events.event_type == VIEW) & (part.events.position <= 5)
        )
        plain = home & ~part.visits.random[part.visit] & (part.visits.put[part.visit] < 0)
        for user in np.unique(part.events.user[plain]).tolist():
            rows = np.flatnonzero(plain & (part.events.user == user))
            rows = rows[part.visit[rows] == part.visit[rows[0]]]
            if len(rows) == 5:
                heads[user] = tuple(part.events.film[rows].tolist())
    assert len(heads) > 50
    assert len(set(heads.values())) > 0.95 * len(heads)


def test_members_are_numbered_in_the_order_of_joining(made: World) -> None:
    """The largest number is at most three times the number of people, and ``u_10`` is somebody."""
    events = made.events(MONDAY_MS, MONDAY_MS + 14 * DAY_MS)
    assert events.user.max() <= 3 * made.users
    assert events.user.min() < 10
    assert 10 in made.population.members(MONDAY_MS // DAY_MS).user


def test_pages_fit_what_happens(day: Events) -> None:
    """Views on list pages, the deeper events on the film's page, a save sometimes straight from a list."""
    assert FILM_DETAIL not in day.page[day.event_type == VIEW]
    for kind in (DETAIL, TRAILER):
        assert set(day.page[day.event_type == kind].tolist()) == {FILM_DETAIL}
    straight = (day.page[day.event_type == WATCHLIST] != FILM_DETAIL).mean()
    assert 0.01 < straight < 0.4


def test_a_list_shows_each_film_once_from_the_top(made: World) -> None:
    """Ranks rise, and no film stands twice in a list, put-in and random ones included."""
    for part in made.model.expand(made.timeline.episodes(MONDAY_MS, MONDAY_MS + 6 * HOUR_MS)):
        views = np.flatnonzero(part.events.event_type == VIEW)
        visit = part.visit[views]
        pairs = np.unique(np.stack([visit, part.events.film[views].astype(np.int64)]), axis=1)
        assert pairs.shape[1] == len(views)
        same = visit[1:] == visit[:-1]
        assert (np.diff(part.events.position[views])[same] > 0).all()


def entries(made: World, days: int, kind: str) -> list[dict[str, Any]]:
    """The ledger's entries of a kind."""
    table = pa.Table.from_batches(list(derive_ledger(made, MONDAY_MS, MONDAY_MS + days * DAY_MS)))
    return list(table.filter(pc.equal(table["kind"], kind)).to_pylist())


def bits(entry: dict[str, Any]) -> int:
    """The 32 bits of an entry's session."""
    return int.from_bytes(bytes.fromhex(entry["session_id"].removeprefix("s_")), "big")


def test_the_ledger_tells_run_rankers_and_random_lists(made: World, day: Events) -> None:
    """A random list is one span of one session; some 3 % of the lists are."""
    assert [entry["name"] for entry in entries(made, 1, "run")] == [made.run]
    assert len(entries(made, 14, "ranker")) in {3, 4}  # a model goes live each week, at any hour
    lists = entries(made, 1, "random_list")
    looks_per_list = 7
    assert 0.015 < len(lists) / ((day.event_type == VIEW).sum() / looks_per_list) < 0.06
    some = lists[len(lists) // 2]
    inside = (day.session == bits(some)) & (day.ts_ms >= some["start_ms"]) & (day.ts_ms <= some["end_ms"])
    ranks = day.position[inside & (day.event_type == VIEW)]
    assert (np.diff(ranks) > 0).all()


def test_random_lists_of_a_flat_world_are_told_by_their_moved_times() -> None:
    """The ledger's times are those of the events that are streamed, also where a flat rate moves them."""
    flat = world(rate=1.0, seed=52)
    events = flat.events(MONDAY_MS, MONDAY_MS + DAY_MS // 4)
    lists = [e for e in entries(flat, 1, "random_list") if e["end_ms"] < MONDAY_MS + DAY_MS // 4]
    assert len(lists) > 10
    times = {(session, ts) for session, ts in zip(events.session.tolist(), events.ts_ms.tolist(), strict=True)}
    for entry in lists:
        session = bits(entry)
        assert (session, entry["start_ms"]) in times
        assert (session, entry["end_ms"]) in times


def test_a_launched_film_is_not_seen_before_and_a_removed_one_not_after() -> None:
    """Launches and removals hold to the minute; a session under way keeps the lists it has."""
    made = world(users=1500, seed=53, launches_per_week=5.0, removals_per_week=5.0, bursts_per_week=0.0)
    events = made.events(MONDAY_MS, MONDAY_MS + 14 * DAY_MS)
    launched = [e for e in entries(made, 14, "launch") if e["name"] == "launch" and e["start_ms"] > MONDAY_MS]
    removed = [e for e in entries(made, 14, "removal") if e["start_ms"] < MONDAY_MS + 14 * DAY_MS]
    assert launched
    assert removed
    for entry in launched:
        seen = events.ts_ms[events.film == entry["film_id"]]
        assert (seen >= entry["start_ms"]).all()
        assert len(seen)
    for entry in removed:
        seen = events.ts_ms[events.film == entry["film_id"]]
        assert not ((seen > entry["start_ms"] + 14 * HOUR_MS) & (seen < entry["end_ms"])).any()


def test_a_burst_lifts_its_film_many_times_and_fades() -> None:
    """In its first three hours a viral film draws over ten times what it drew before."""
    made = world(users=20_000, seed=54, bursts_per_week=9.0, small_bursts=0.0)
    bursts = [e for e in entries(made, 6, "burst") if MONDAY_MS + 2 * DAY_MS < e["start_ms"] < MONDAY_MS + 5 * DAY_MS]
    events = made.events(MONDAY_MS, MONDAY_MS + 6 * DAY_MS)
    assert bursts
    for entry in bursts:
        opened = events.ts_ms[(events.film == entry["film_id"]) & (events.event_type == DETAIL)]
        start = entry["start_ms"]
        before = max(1, ((opened >= start - 48 * HOUR_MS) & (opened < start)).sum()) / 48
        first = ((opened >= start) & (opened < start + 3 * HOUR_MS)).sum() / 3
        assert first > 6 * before
        assert 0.3 < entry["exponent"] < 1.4


def test_bots_and_endless_sessions_are_in_the_ledger() -> None:
    """Who they are, and that they do what bots and endless sessions do."""
    made = world(users=1500, mean_rate=1.0, seed=55, bots=0.6, monsters=0.1, session_cap_min=240)
    events = made.events(MONDAY_MS, MONDAY_MS + DAY_MS)
    bots = {int(e["user_id"][2:]) for e in entries(made, 1, "bot")}
    assert bots
    mine = np.isin(events.user, list(bots))
    assert set(events.event_type[mine].tolist()) <= {VIEW, DETAIL}
    assert len({e["name"] for e in entries(made, 1, "bot")}) > 1
    monsters = {bits(e) for e in entries(made, 1, "monster")}
    sizes = [int((events.session == s).sum()) for s in monsters]
    assert np.median(sizes) > 150


def test_a_large_catalogue_is_shown_down_to_its_tail() -> None:
    """With 3,000 films most are seen within some days."""
    made = world(users=10_000, films=3000, seed=56)
    seen = np.unique(made.events(MONDAY_MS, MONDAY_MS + 3 * DAY_MS).film)
    assert len(seen) > 2700
