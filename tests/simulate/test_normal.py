"""The normal quantile against the standard library's scalar one, and against the distribution itself."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clickreel.simulate.normal import normal_quantile


@given(st.lists(st.floats(min_value=1e-300, max_value=1 - 2**-53), min_size=1, max_size=20))
def test_quantiles_are_those_of_the_standard_library(shares: list[float]) -> None:
    """Any shares, far tails included, value by value."""
    expected = [NormalDist().inv_cdf(share) for share in shares]
    np.testing.assert_allclose(normal_quantile(np.array(shares)), expected, rtol=1e-14, atol=1e-15)


def test_quantiles_of_an_even_grid_have_mean_0_and_variance_1() -> None:
    """A grid of any shape keeps its shape."""
    values = normal_quantile(((np.arange(1 << 16) + 0.5) / (1 << 16)).reshape(256, 256))
    assert values.shape == (256, 256)
    assert abs(values.mean()) < 1e-12
    assert abs(values.var() - 1) < 1e-3
