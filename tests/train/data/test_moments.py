import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmc.train.data.moments import combined, moments


def in_blocks(values, cuts):
    found = moments(values[:0])
    for block in np.split(values, cuts):
        found = combined(found, moments(block))
    return found


@given(st.lists(st.integers(0, 37), max_size=5), st.integers(0, 9))
def test_any_cut_into_blocks_gives_those_of_the_whole(cuts, seed):
    values = np.random.default_rng(seed).normal([5, -300, 0], [0.1, 40, 1e-9], (37, 3))
    found = in_blocks(values, sorted(cuts))
    assert found.count == 37
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-13, atol=1e-24)
    np.testing.assert_allclose(found.deviation, values.std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.least, values.min(axis=0))
    np.testing.assert_array_equal(found.largest, values.max(axis=0))


def test_a_large_mean_does_not_drown_a_small_spread():
    """Σx² − n x̄² would have no digit left: of 1e9 ± 1e-3 the squares agree to 24 digits."""
    values = 1e9 + 1e-3 * np.random.default_rng(0).normal(size=(100_000, 1))
    found = in_blocks(values, range(1000, 100_000, 1000))
    np.testing.assert_allclose(found.deviation, values.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e300, -3.7e-200, 0.0])
def test_a_constant_column_has_its_value_and_no_spread(value):
    found = in_blocks(np.full((1000, 1), value), [3, 10, 500])
    assert found.constant[0]
    assert (found.mean[0], found.deviation[0]) == (value, 0.0)


def test_nothing_at_all():
    found = combined(moments(np.empty((0, 2))), moments(np.empty((0, 2))))
    assert found.count == 0
    assert found.deviation.shape == (2,)


def test_an_overflow_shows():
    found = in_blocks(np.array([[1e308], [-1e308], [1e308]]), [1, 2])
    assert not np.isfinite(found.squares[0])
