"""Softmax and its kin where they are hard: huge, tied and saturated logits, no classes, and their structures."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc
from jmc.catalogue import stable
from jmc.catalogue.registry import rules


def test_softmax_of_huge_and_tied_logits():
    x = jnp.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]])
    np.testing.assert_allclose(jmc.softmax(x), [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    u = jnp.array([1.0, 0, 0])
    gradient = jmc.grad(lambda x: jnp.sum(jmc.softmax(x)[0] * u))(x)
    np.testing.assert_allclose(gradient, [[0.25, -0.25, 0], [0, 0, 0]])


def test_softmax_vjp_is_exact_in_the_tails(x64):
    for x in ([40.0, 0.0], [-40.0, 0.0], [1e3, -1e3]):
        gradient = jmc.grad(lambda x: jnp.sum(jmc.softmax(x) * jnp.array([1.0, 2.0])))(jnp.array(x))
        with mpmath.workdps(60):
            tail = mpmath.exp(-abs(mpmath.mpf(x[0]) - x[1]))
            p = float(tail / (1 + tail) ** 2)
        np.testing.assert_allclose(gradient, [-p, p], rtol=1e-14, atol=1e-300)


def test_log_softmax_keeps_what_is_near_0(x64):
    found = jmc.log_softmax(jnp.array([40.0, 0.0]))
    np.testing.assert_allclose(found, [-np.log1p(np.exp(-40)), -40 - np.exp(-40)], rtol=1e-15)
    assert jmc.logsumexp(jnp.array([1e300, -1e300])) == 1e300


def test_the_remainder_is_exact_alone_and_at_ties(x64):
    for x, rest in (
        ([40.0, 0.0, 0.0], 2 * np.exp(-40)),
        ([3.0, 3.0, -50.0], 1 + np.exp(-53)),
        ([1.0, np.nextafter(1, 0)], 1),
        ([2.0], 0),
        ([5.0, 5.0, 5.0], 2),
    ):
        m, e, r = jax.jit(stable.exponentials)(jnp.array(x))
        np.testing.assert_allclose([m[0], r[0]], [max(x), rest], rtol=1e-15)
        np.testing.assert_allclose(e, np.exp(np.array(x) - max(x)), rtol=1e-15)
        np.testing.assert_allclose(jax.grad(stable.logsumexp)(jnp.array(x)), e / (1 + r), rtol=1e-15)


def test_infinite_entries_have_limits():
    for x, limit in (([-np.inf, -np.inf], -np.inf), ([np.inf, 0.0], np.inf), ([-np.inf, 2.0], 2.0)):
        assert jmc.logsumexp(jnp.array(x)) == limit


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    x = jnp.array([[0.5, 0.5, -1.0], [3.0, 0.0, 1.0], [0.3, 0.2, 0.1], [1e30, 1e30, 0.0], [0.0, 1.0, 2.0]])
    p = [[0.5, 0.5, 0], [1, 0, 0], [13 / 30, 1 / 3, 7 / 30], [0.5, 0.5, 0], [0, 0, 1]]
    value, J = jax.jit(lambda x: (jmc.sparsemax(x), jmc.jacobian(jmc.sparsemax)(x).dense()))(x)
    np.testing.assert_allclose(value, p, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(J[0, :, 0], [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]])
    # the entry 1 of the last row is just at the threshold, and counts as outside
    assert not np.any(J[4, :, 4])


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4), (2, 1)])
def test_no_class_no_example_and_one_class(shape):
    x = jnp.ones(shape)
    each = (jmc.softmax, jmc.log_softmax, jmc.sparsemax)
    values, jacobians, total = jax.jit(
        lambda x: ([f(x) for f in each], [jmc.jacobian(f)(x).dense() for f in each], jmc.logsumexp(x))
    )(x)
    assert [value.shape for value in values] == [shape] * 3
    assert not any(map(np.any, jacobians))
    assert total.shape == shape[:-1]
    assert np.all(total == (1 if shape[-1] else -np.inf))


def test_structures():
    sizes = {"*n": (2, 3), "k": 5}
    expected = {
        "softmax": "block_diagonal(6 × (diagonal(5) + rank 1))",
        "softmax with temperature": "block_diagonal(6 × (diagonal(5) + rank 1))",
        "log_softmax": "block_diagonal(6 × (identity(5) + rank 1))",
        "logsumexp": "block_diagonal(6 × row(5))",
        "sparsemax": "block_diagonal(6 × (diagonal(5) + rank 1))",
    }
    for name, structure in expected.items():
        args = rules[name].sample(0, np.float32, sizes)
        assert jax.eval_shape(functools.partial(rules[name].map, "x"), *args).structure == structure


def test_hessians_of_more_axes_of_examples(x64):
    x = rules["softmax"].sample(0, np.float64, {"*n": (2, 3), "k": 2})[0]
    for name in ("softmax", "log_softmax", "logsumexp"):
        hessian = jax.jit(lambda x, name=name: rules[name].hessian(x).dense())(x)
        np.testing.assert_allclose(hessian, jax.jit(jax.jacfwd(jax.jacrev(rules[name].f)))(x), atol=1e-14)
