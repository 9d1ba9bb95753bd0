"""Recommendations and their evaluation against slow twins, and against the other implementation of the same measure."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from clickreel.audit.realism import learnable
from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.errors import UsageError
from clickreel.insight import recommend
from clickreel.insight.recommenders.click_sessions import ClickSessions
from clickreel.insight.recommenders.item_pairs import SequentialRules
from clickreel.insight.window import Window, window
from clickreel.warehouse.client import Client
from tests.insight.conftest import DAYS, END_MS, Landed
from tests.insight.landing import DAY_MS, land, told

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


def test_films_of_a_person(landed: Landed, span: Window) -> None:
    """The list of every fiftieth person is what the definition gives, and holds nothing they have opened."""
    met, events = _together(landed), landed.events
    opened: dict[int, dict[int, int]] = defaultdict(dict)
    for user, film, ts, kind in zip(events.user, events.film, events.ts_ms, events.event_type, strict=True):
        if kind == DETAIL:
            opened[int(user)][int(film)] = int(ts)
    for user in sorted(opened)[::50]:
        latest = sorted(opened[user], key=lambda film: (-opened[user][film], film))[: recommend.MEMORY]
        scores: dict[int, float] = defaultdict(float)
        for place, film in enumerate(latest):
            for other, count in met[film].items():
                if other not in opened[user]:
                    scores[other] += recommend.FADE**place * count / (met[film][film] + recommend.SHRINK)
        answer = recommend.for_user(landed.client, user, span, limit=10)
        if scores:
            assert answer.basis == "together"
            assert [one.score for one in answer.films] == pytest.approx(sorted(scores.values(), reverse=True)[:10])
            assert not {one.film_id for one in answer.films} & set(opened[user])
            assert all(one.because_id in opened[user] and one.because for one in answer.films)


def test_what_comes_next_in_a_session(landed: Landed, span: Window) -> None:
    """The statement and the sequential rules in NumPy give the same films for the same session, each with the film that speaks for it most."""
    opened = landed.events.take(landed.events.event_type == DETAIL)
    clicks = ClickSessions.from_columns(
        opened.session.astype(np.int64), opened.film.astype(np.int64), opened.ts_ms.astype(np.int64)
    )
    rules = SequentialRules().fit(clicks)
    for row in np.flatnonzero(np.diff(clicks.session) > 0)[::400]:
        session = clicks.so_far(int(row))
        given = clicks.ids[session.opened].tolist()
        answer = recommend.for_session(landed.client, given, span, limit=5)
        score = rules.score(session)
        assert answer.basis == "rules"
        assert [one.score for one in answer.films] == pytest.approx(np.sort(score)[::-1][:5].tolist(), abs=1e-5)
        assert all(one.because_id in given for one in answer.films)


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


def test_evaluation_agrees_with_the_realism_scores(landed: Landed, span: Window) -> None:
    """Item-kNN and popularity reach in SQL what they reach in NumPy, ties apart."""
    answer = recommend.evaluate(landed.client, span)
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
    # Two hundred people tell the two apart by no more than this: one standard error of either is 0.037.
    assert answer.people_hit_rate_10 > answer.popular_people_hit_rate_10 - 0.05


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
    answer = recommend.evaluate(empty, window(empty, DAYS * DAY_MS, now_ms=END_MS))
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
