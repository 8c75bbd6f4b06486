"""Contractions against einsum, and the plans behind them: the cheapest order, safe in single precision."""

import itertools
import string

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.linear import contract as room
from jmc.linear.contract import TooLarge, check_size, contract, multiplied
from jmc.linear.term import Factor, fresh

i, j, k, m = fresh((3, 4, 5, 2))


def compiled(f):
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def array(*labels, seed=0, dtype="float64"):
    return Factor(normal(*(label.size for label in labels), seed=seed, dtype=dtype), labels)


def einsum(factors, keep):
    labels = list(dict.fromkeys(itertools.chain(*(f.labels for f in factors))))
    letter = dict(zip(labels, string.ascii_letters, strict=False))
    spec = ",".join("".join(letter[label] for label in f.labels) for f in factors)
    kept = "".join(letter[label] for label in keep)
    return np.einsum(f"{spec}->{kept}", *(np.asarray(f.array) for f in factors))


@st.composite
def contractions(draw):
    labels = fresh(draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    factors = [
        array(*draw(st.lists(st.sampled_from(labels), max_size=3, unique=True)), seed=seed)
        for seed in range(draw(st.integers(1, 7)))
    ]
    held = list(dict.fromkeys(itertools.chain(*(f.labels for f in factors))))
    return factors, [label for label in held if draw(st.booleans())]


@settings(max_examples=4, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(contractions(), min_size=10, max_size=10))
@pytest.mark.usefixtures("x64")
def test_contractions_are_those_of_einsum(drawn):
    labels = []

    def everything(arrays):
        found = []
        for own, (factors, keep) in zip(arrays, drawn, strict=True):
            result, order = contract([f._replace(array=a) for f, a in zip(factors, own, strict=True)], keep, "float64")
            found.append(result)
            labels.append(order)
        return found

    found = compiled(everything)([[f.array for f in factors] for factors, _ in drawn])
    for (factors, keep), result, order in zip(drawn, found, labels, strict=True):
        assert set(order) == set(keep)
        np.testing.assert_allclose(result, einsum(factors, order), rtol=1e-10, atol=1e-12)


def test_labels_of_no_factor_are_not_in_the_result():
    result, labels = contract([], [], "float32")
    assert (result.shape, labels) == ((), ())
    _, labels = contract([array(i, dtype="float32")], [i, j], "float32")
    assert labels == (i,)


# numbers


def test_factors_on_the_same_labels_are_multiplied_first():
    """A row of 1e30, a matrix and a row of 1e-30: no product with the matrix alone."""
    big, small = (Factor(jnp.full(3, value, "float32"), (i,)) for value in (1e30, 1e-30))
    A = array(i, j, dtype="float32")
    result, _ = contract([big, A._replace(array=A.array * 1e30), small, small], [j], "float32")
    np.testing.assert_allclose(result, normal(3, 4).sum(0), rtol=1e-4)


def test_scalars_do_not_meet_before_their_neighbours():
    big, small = (Factor(jnp.float32(value), ()) for value in (1e30, 1e-30))
    x = array(i, dtype="float32")
    result, _ = contract([x, big, small, big, small], [i], "float32")
    np.testing.assert_allclose(result, x.array, rtol=1e-5)
    result, _ = contract([big, x, array(i, j, dtype="float32"), small, big, small], [i, j], "float32")
    np.testing.assert_allclose(result, x.array[:, None] * normal(3, 4), rtol=1e-5)


def test_zeros_and_ones_take_the_type_of_the_others():
    mask = Factor(jnp.array([True, False, True]), (i,))
    result, _ = contract([mask, array(i, dtype="float32")], [i], "float32")
    assert result.dtype == "float32"
    np.testing.assert_array_equal(result, np.asarray(normal(3)) * [1, 0, 1])
    count, _ = contract([mask, mask], [], "float32")
    assert count == 2
    product = multiplied(mask, array(i, j, dtype="float32"))
    assert product.array.dtype == "float32"
    assert product.labels == (i, j)
    assert multiplied(mask, mask).array.dtype == bool


def test_a_mask_hides_inf_and_nan():
    mask = Factor(jnp.array([True, False, True]), (i,))
    wild = Factor(jnp.array([1.0, jnp.inf, 2.0]), (i,))
    np.testing.assert_array_equal(multiplied(mask, wild).array, [1, 0, 2])
    np.testing.assert_array_equal(multiplied(Factor(wild.array * jnp.nan, (i,)), mask).array, [np.nan, 0, np.nan])
    result, _ = contract([mask, wild], [], "float32")
    assert result == 3


def test_products_with_axes_in_another_order():
    product = multiplied(array(j, dtype="float32"), array(i, j, k, dtype="float32"))
    np.testing.assert_allclose(product.array, normal(3, 4, 5) * normal(4)[None, :, None], rtol=1e-6)
    product = multiplied(array(k, i, dtype="float32"), array(i, k, seed=1, dtype="float32"))
    np.testing.assert_allclose(product.array, normal(5, 3) * normal(3, 5, seed=1).T, rtol=1e-6)


@pytest.mark.usefixtures("x64")
def test_products_of_two_factors_with_axes_of_every_kind():
    random = np.random.default_rng(0)
    shared, summed, mine, theirs = (fresh(sizes) for sizes in ((2, 3), (4, 1), (2, 3), (3, 5)))
    for _ in range(30):
        a = array(*random.permutation(np.array([*shared, *summed, *mine], object)))
        b = array(*random.permutation(np.array([*shared, *summed, *theirs], object)), seed=1)
        keep = list(random.permutation(np.array([*shared, *mine, *theirs], object)))
        result, order = contract([a, b], keep, "float64")
        np.testing.assert_allclose(result, einsum([a, b], order), rtol=1e-12)


# limits


def test_too_large_names_the_shape_and_the_sizes():
    check_size((1024, 256), "float32", 2**20, "a matrix")
    with pytest.raises(
        TooLarge, match=r"a matrix of shape \(1024, 257\) would need 1.004 MiB, but `max_bytes` allows 1 MiB"
    ):
        check_size((1024, 257), "float32", 2**20, "a matrix")
    with pytest.raises(TooLarge, match=r"would need 3\.638 TiB"):
        check_size((10**6, 10**6), "float32", 2**32, "a matrix")
    with pytest.raises(TooLarge, match="an intermediate array"):
        contract([array(i, m, dtype="float32"), array(m, k, dtype="float32")], [i, k], "float32", max_bytes=59)
    assert TooLarge is room.TooLarge
