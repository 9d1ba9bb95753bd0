"""Counter-based draws: uniform, independent of neighbours, and equal to their scalar twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clickreel.simulate import draws

KEY = draws.root(7, draws.Purpose.USER)
N = 100_000


@given(st.integers(0, draws.MASK), st.integers(0, 2**40))
def test_the_vector_form_equals_the_scalar_form(key: int, n: int) -> None:
    """One step down the path gives the same bits for arrays and for Python integers."""
    expected = draws.child1(key, n)
    assert int(draws.child(np.array([key], np.uint64), n)[0]) == expected
    assert int(draws.child(np.array([key], np.uint64), np.array([n]))[0]) == expected
    assert int(draws.child(key, np.array([n]))[0]) == expected
    assert draws.uniform(np.array([expected], np.uint64))[0] == draws.uniform1(expected)


@given(st.integers(0, draws.MASK))
def test_a_uniform_is_never_0_or_1(key: int) -> None:
    """Logarithms and inverse distribution functions are safe."""
    assert 0.0 < draws.uniform1(key) < 1.0
    assert np.isfinite(draws.gumbel(np.array([key], np.uint64)))[0]


@pytest.mark.parametrize("key", [0, draws.MASK])
def test_the_extreme_keys_are_finite(key: int) -> None:
    """All bits 0 and all bits 1 give finite noise and a uniform inside."""
    keys = np.array([key], np.uint64)
    assert np.isfinite(draws.gumbel(keys))[0]
    assert 0.0 < draws.uniform(keys)[0] < 1.0


@pytest.mark.parametrize("n", range(4))
def test_draws_of_consecutive_addresses_are_uniform_and_uncorrelated(n: int) -> None:
    """Neighbouring users, and neighbouring purposes of one user, look independent."""
    keys = draws.child(KEY, np.arange(N))
    u = draws.draw(keys, n)
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.015
    assert abs(np.corrcoef(u, draws.draw(keys, n + 1))[0, 1]) < 0.015
    cells = np.histogram2d(u[1:], u[:-1], bins=16, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > 1e-4


def test_one_changed_bit_of_an_address_changes_half_of_the_draw() -> None:
    """Avalanche: each input bit flips each output bit with a chance of one half."""
    keys = draws.child(KEY, np.arange(2000))
    for bit in range(64):
        flipped = draws.mix(keys.copy()) ^ draws.mix(keys ^ np.uint64(1 << bit))
        ones = np.unpackbits(flipped.view(np.uint8)).mean()
        assert abs(ones - 0.5) < 0.01, f"bit {bit}"


@pytest.mark.parametrize("mean", [0.01, 0.4, 3.0])
def test_poisson_counts_follow_their_law(mean: float) -> None:
    """By inversion, cut at the most."""
    u = draws.draw(draws.child(KEY, np.arange(N)), 9)
    counts = draws.poisson(u, np.full(N, mean), 8)
    expected = stats.poisson.pmf(np.arange(9), mean)
    expected[8] += stats.poisson.sf(8, mean)
    seen = np.bincount(counts, minlength=9)
    enough = expected * N > 5
    assert np.abs(seen - expected * N)[enough].max() < 5 * np.sqrt(expected[enough] * N).max()
    assert counts.max() <= 8


def test_the_weibull_table_has_mean_1_and_its_shape() -> None:
    """The table of quantiles gives back the shape it was made with."""
    table = draws.weibull_ms(0.75)
    assert table.mean() == pytest.approx(1.0, rel=1e-4)
    shape, _, _ = stats.weibull_min.fit(table[::16], floc=0)
    assert shape == pytest.approx(0.75, abs=0.02)


def test_gumbel_noise_draws_the_best_by_weight() -> None:
    """Adding it to log weights and taking the highest picks each by its share."""
    weights = np.array([0.5, 0.3, 0.2])
    noise = draws.gumbel(draws.child(KEY, np.arange(3 * N))).reshape(N, 3)
    picked = np.bincount((np.log(weights) + noise).argmax(axis=1), minlength=3) / N
    assert np.abs(picked - weights).max() < 0.01
