import numpy as np
import pytest

from clickreel.audit.realism.learnable import (
    Clicks,
    compete,
    measured,
    neighbour_ranks,
    neighbours,
    permuted,
    pop_ranks,
    questions,
    session_pop_ranks,
)


def _clicks(sessions: list[list[int]], train: int, films: int) -> Clicks:
    """Sessions of films; the first ``train`` sessions are for training."""
    session = np.repeat(np.arange(len(sessions)), [len(s) for s in sessions])
    return Clicks(session, np.concatenate([np.array(s) for s in sessions]), session < train, films)


def _pairs(rng: np.random.Generator, count: int, films: int) -> list[list[int]]:
    """Sessions of two films that always go together: 2k and 2k + 1."""
    return [[int(f), int(f) ^ 1] for f in rng.integers(0, films, count)]


def test_films_that_go_together_are_found_and_popularity_is_not_enough() -> None:
    """Item-kNN is right each time at the first rank; POP knows 20 of 400 films."""
    seen = _clicks(_pairs(np.random.default_rng(6), 20_000, 400), 16_000, 400)
    pop, session_pop, knn = compete(seen)
    assert knn.mrr20 == 1.0
    assert pop.hr20 == pytest.approx(20 / 400, abs=0.02)
    assert session_pop.hr20 < 0.1


def test_the_control_leaves_nothing_to_learn() -> None:
    """Permuted films keep their counts, and item-kNN falls to POP."""
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, 201)
    films = rng.choice(200, 200_000, p=weights / weights.sum())
    seen = Clicks(np.arange(200_000) // 4, films, np.arange(200_000) < 160_000, 200)
    control = permuted(seen)
    assert np.bincount(control.film).tolist() == np.bincount(films).tolist()
    pop, _, knn = compete(control)
    assert knn.mrr20 / pop.mrr20 == pytest.approx(1.0, abs=0.1)


def test_questions_are_rows_of_test_sessions_with_a_successor() -> None:
    """The last film of a session asks nothing."""
    assert questions(_clicks([[1, 2], [3, 4, 5], [6]], 1, 7)).tolist() == [2, 3]


def test_popularity_ranks_count_training_only() -> None:
    """Film 2 leads in training; film 0 only in the test."""
    assert pop_ranks(_clicks([[2, 2, 1], [0, 0, 0, 0]], 1, 3)).tolist() == [3, 2, 1]


def test_session_popularity_puts_the_sessions_own_films_first() -> None:
    """Against a scalar reading: order by times in the session, then by popularity, then the others."""
    rng = np.random.default_rng(8)
    seen = _clicks([rng.integers(0, 12, rng.integers(2, 9)).tolist() for _ in range(300)], 200, 12)
    asked, pop = questions(seen), pop_ranks(seen)
    expected = []
    for row in asked:
        own = [
            int(f) for f, s in zip(seen.film[: row + 1], seen.session[: row + 1], strict=True) if s == seen.session[row]
        ]
        order = sorted(range(12), key=lambda f: (-own.count(f), pop[f]))
        expected.append(order.index(int(seen.film[row + 1])) + 1)
    assert session_pop_ranks(seen, asked, pop).tolist() == expected


def test_a_film_is_not_its_own_neighbour() -> None:
    """Even if a session shows it twice."""
    nearest = neighbours(_clicks([[0, 0, 1], [0, 1], [2, 3]], 3, 4))
    assert nearest[0, 0] == 1
    assert all(film not in row for film, row in enumerate(nearest.tolist()))


def test_a_target_that_is_no_neighbour_ranks_behind_them() -> None:
    """Rank 3 of 2 neighbours."""
    ranks = neighbour_ranks(np.array([[1, 2], [0, 2]]), np.array([0, 0, 1]), np.array([1, 2, 3]))
    assert ranks.tolist() == [1, 2, 3]


def test_hit_rates_and_reciprocal_ranks() -> None:
    """Ranks 1, 4, 15 and 21."""
    score = measured(np.array([1, 4, 15, 21]))
    assert (score.hr10, score.hr20) == (0.5, 0.75)
    assert score.mrr20 == pytest.approx((1 + 1 / 4 + 1 / 15) / 4)
