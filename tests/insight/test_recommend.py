"""Recommendations and their evaluation against slow twins, and against the other implementation of the same measure."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from clickreel.audit.realism import learnable
from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.errors import UsageError
from clickreel.insight import recommend
from clickreel.insight.recommenders.click_sessions import ClickSessions, SessionSoFar
from clickreel.insight.recommenders.item_pairs import PersonalRules, SequentialRules
from clickreel.insight.recommenders.next_item_evaluation import clicks_of_warehouse, clicks_of_world
from clickreel.insight.recommenders.people_evaluation import compare_people
from clickreel.insight.window import Window, window
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import DAY_MS, HOUR_MS, land, told

DETAIL = EVENT_TYPES.index("detail_view")


@pytest.fixture
def span(landed: Landed) -> Window:
    """All days."""
    return window(landed.client, DAYS * DAY_MS, now_ms=END_MS, end_ms=END_MS)


def _sessions(landed: Landed) -> dict[int, set[int]]:
    """Films opened by session."""
    events, films = landed.events, defaultdict[int, set[int]](set)
    for session, film, kind in zip(events.session, events.film, events.event_type, strict=True):
        if kind == DETAIL:
            films[int(session)].add(int(film))
    return films


def _together(landed: Landed) -> dict[int, Counter[int]]:
    met: dict[int, Counter[int]] = defaultdict(Counter)
    for films in _sessions(landed).values():
        for one in films:
            met[one].update(films)
    return met


def test_films_of_a_film(landed: Landed, span: Window) -> None:
    """The neighbours of every tenth film, in order, with their probabilities."""
    met = _together(landed)
    for film in sorted(met)[::10]:
        answer = recommend.for_film(landed.client, film, span, limit=20)
        wanted = sorted(((-count, other) for other, count in met[film].items() if other != film))[:20]
        if wanted:
            assert answer.basis == "together"
            assert [one.film_id for one in answer.films] == [other for _, other in wanted]
            assert [one.score for one in answer.films] == pytest.approx(
                [-count / met[film][film] for count, _ in wanted]
            )


@pytest.fixture
def clicks(landed: Landed) -> ClickSessions:
    """What was opened, with who did."""
    opened = landed.events.take(landed.events.event_type == DETAIL)
    columns = (opened.session, opened.film, opened.ts_ms, opened.user)
    session, film, ts_ms, user = (column.astype(np.int64) for column in columns)
    return ClickSessions.from_columns(session, film, ts_ms, user=user)


def test_films_of_a_person(landed: Landed, span: Window, clicks: ClickSessions) -> None:
    """The list of every fiftieth person is what the rules say in NumPy, and holds nothing they have opened."""
    rules = PersonalRules().fit(clicks)
    for user in np.unique(clicks.user)[::50].tolist():
        rows = np.flatnonzero(clicks.user == user)
        opened = clicks.item[rows[np.lexsort((-clicks.item[rows], clicks.ts_ms[rows]))]]
        answer = recommend.for_user(landed.client, user, span, limit=10)
        score = rules.score(SessionSoFar.from_items(opened))
        assert answer.basis == "rules"
        assert [one.score for one in answer.films] == pytest.approx(np.sort(score)[::-1][:10].tolist(), abs=1e-6)
        seen = set(clicks.ids[opened].tolist())
        assert not {one.film_id for one in answer.films} & seen
        assert all(one.because_id in seen and one.because for one in answer.films if one.because_id)


def test_what_comes_next_in_a_session(landed: Landed, span: Window, clicks: ClickSessions) -> None:
    """The statement and the sequential rules in NumPy give the same films for the same session, each with the film that speaks for it most."""
    rules = SequentialRules().fit(clicks)
    for row in np.flatnonzero(np.diff(clicks.session) > 0)[::400]:
        session = clicks.so_far(int(row))
        given = clicks.ids[session.opened].tolist()
        answer = recommend.for_session(landed.client, given, span, limit=5)
        score = rules.score(session)
        assert answer.basis == "rules"
        assert [one.score for one in answer.films] == pytest.approx(np.sort(score)[::-1][:5].tolist(), abs=1e-5)
        assert all(one.because_id in given for one in answer.films if one.because_id)


def test_a_film_for_which_popularity_alone_speaks_has_no_reason(landed: Landed, span: Window) -> None:
    """The list of one film goes on where no session says anything: with the popular ones."""
    answer = recommend.for_session(landed.client, [3], span, limit=190)
    reasons = [(one.because_id, bool(one.because)) for one in answer.films]
    assert (None, False) in reasons
    assert set(reasons) <= {(3, True), (None, False)}


def test_strangers_get_the_popular_films(landed: Landed, span: Window) -> None:
    """Of whom nothing is known, the films opened in most sessions are recommended."""
    counts = Counter(film for films in _sessions(landed).values() for film in films)
    wanted = [film for film, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:10]
    for answer in (
        recommend.for_user(landed.client, 10**9, span),
        recommend.for_film(landed.client, 10**6, span),
        recommend.for_session(landed.client, [10**6], span),
        recommend.for_new_user(landed.client, span),
    ):
        assert answer.basis == "popular"
        assert [one.film_id for one in answer.films] == wanted


def test_evaluation_agrees_with_the_realism_scores(landed: Landed, span: Window, clicks: ClickSessions) -> None:
    """Item-kNN and popularity reach in SQL what they reach in NumPy, ties apart."""
    answer = recommend.evaluate(landed.client, span, clicks)
    opened = landed.events.take(landed.events.event_type == DETAIL)
    opened = opened.take(np.lexsort((opened.ts_ms, opened.session)))
    first, last = int(landed.events.ts_ms.min()), int(landed.events.ts_ms.max())
    train = opened.ts_ms < first + int(recommend.TRAIN_PART * (last - first))
    seen = learnable.Clicks(opened.session.astype(np.int64), opened.film.astype(np.int64), train, 201)
    popular, _, neighbours = learnable.compete(seen)
    assert answer.next_questions == pytest.approx(len(learnable.questions(seen)), rel=0.01)
    assert answer.next_hit_rate_10 == pytest.approx(neighbours.hr10, abs=0.02)
    assert answer.next_hit_rate_20 == pytest.approx(neighbours.hr20, abs=0.02)
    assert answer.next_mrr_20 == pytest.approx(neighbours.mrr20, abs=0.02)
    assert answer.popular_next_hit_rate_10 == pytest.approx(popular.hr10, abs=0.02)
    assert answer.popular_next_hit_rate_20 == pytest.approx(popular.hr20, abs=0.02)
    assert answer.next_hit_rate_10 > 1.2 * answer.popular_next_hit_rate_10
    assert answer.people > 100


def test_lists_for_people_beat_popularity_by_a_tenth() -> None:
    """Over enough people to tell: one standard error of either hit rate is .013, and they are of the same people."""
    found = []
    for seed in (1, 2):
        clicks = clicks_of_world(World(WorldSettings(seed=seed, users=2_000, bots=0.0)), days=14)
        first, last = int(clicks.ts_ms.min()), int(clicks.ts_ms.max())
        found.append(compare_people(clicks, first + int(0.8 * (last - first))))
    assert sum(one.asked for one in found) > 1_000
    assert sum(one.hit_rate_10 for one in found) > 1.1 * sum(one.popular_hit_rate_10 for one in found)


def test_evaluation_of_a_world_without_structure_finds_none(empty: Client) -> None:
    """When everybody opens films by chance, co-visitation is no better than popularity."""
    import random

    chance = random.Random(1)
    rows = [
        (
            END_MS - DAY_MS * 10 + visit * 60_000 + click * 1000,
            visit % 300,
            visit,
            1 + int(50 * chance.random() ** 2),
            "detail_view",
        )
        for visit in range(12_000)
        for click in range(3)
    ]
    land(empty, told(*rows))
    span = window(empty, DAYS * DAY_MS, now_ms=END_MS)
    answer = recommend.evaluate(empty, span, clicks_of_warehouse(empty, span))
    assert answer.next_questions > 2000
    assert answer.next_hit_rate_10 == pytest.approx(answer.popular_next_hit_rate_10, abs=0.04)


def test_films_and_people_are_found_by_what_one_types(landed: Landed) -> None:
    """An id, a title in any case, a part of one title; what fits several films or none is told."""
    film, title = int(landed.world.catalogue.film_id[3]), landed.world.catalogue.title[3]
    assert recommend.film_of(landed.client, str(film)) == film
    assert recommend.film_of(landed.client, title.upper()) == film
    with pytest.raises(UsageError, match="no film is called"):
        recommend.film_of(landed.client, "xyzzy")
    with pytest.raises(UsageError, match="several films are called"):
        recommend.film_of(landed.client, "e")
    assert (recommend.user_of("u_10"), recommend.user_of("10")) == (10, 10)
    with pytest.raises(UsageError, match="the user is 'ten'"):
        recommend.user_of("ten")


def test_a_long_history_is_learnt_from_its_newest_hours(empty: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many whole hours as hold the openings that are allowed, the newest at least; a window with no more stays as it is."""
    hours = [END_MS - back * HOUR_MS for back in (9, 7, 4, 2)]  # two openings in each but the newest, which has three
    rows = [(at + place, 1, at % 1_000 + 1, 7 + place, "detail_view") for at in hours for place in (0, 1)]
    land(empty, told(*rows, (hours[-1] + 5, 2, 5, 9, "detail_view")))
    asked = Window(END_MS - 12 * HOUR_MS, END_MS, hours[0])
    for most, begin in ((9, asked.begin_ms), (8, hours[1]), (7, hours[1]), (6, hours[2]), (3, hours[3]), (2, hours[3])):
        monkeypatch.setattr("clickreel.insight.recommend.OPENINGS_MAX", most)
        expected = begin if begin == asked.begin_ms else begin // HOUR_MS * HOUR_MS
        for answer in (
            recommend.for_film(empty, 7, asked),
            recommend.for_user(empty, 3, asked),
            recommend.for_session(empty, [7], asked),
        ):
            assert answer.window.begin_ms == expected, most
