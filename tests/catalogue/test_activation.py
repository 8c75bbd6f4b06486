"""The activations' derivatives against exact arithmetic, where the textbook forms and JAX's own lose all digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules

for name in jmc.__all__:
    getattr(jmc, name)

# f′ in exact arithmetic, in the form of its definition
EXACT = {
    "identity": lambda x: mpmath.mpf(1),
    "relu": lambda x: mpmath.mpf(x > 0),
    "tanh": lambda x: 1 - mpmath.tanh(x) ** 2,
    "sigmoid": lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2,
    "softplus": lambda x: 1 / (1 + mpmath.exp(-x)),
    "silu": lambda x: (1 + mpmath.exp(-x) + x * mpmath.exp(-x)) / (1 + mpmath.exp(-x)) ** 2,
    "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
}
POINTS = [0.0, 1e-3, 0.5, 1.0, 3.0, 8.5, 16.0, 30.0, 36.7, 38.0, 40.0, 300.0, 1e3]
ELEMENTWISE = [rule for rule in rules.records() if rule.derivative is not None]


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_derivative_is_exact_in_the_tails(rule, x64):
    points = np.array(sorted({*POINTS, *(-p for p in POINTS)}))
    computed = np.asarray(rule.derivative(jnp.asarray(points)))
    with mpmath.workdps(1000):
        exact = np.array([float(EXACT[rule.name](mpmath.mpf(p))) for p in points])
    # relative to the exact value, but for what underflows, and for gelu's φ(x), whose exponent is rounded
    rounding = 4e-15 + (2e-16 * points**2 if rule.name == "gelu" else 0)
    np.testing.assert_array_less(np.abs(computed - exact), rounding * np.abs(exact) + 1e-300)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_low_precision_is_finite_everywhere(rule, dtype):
    points = jnp.asarray([0.0, 40.0, -40.0, 1e3, -1e3, 1e30, -1e30], dtype)
    assert np.all(np.isfinite(np.asarray(rule.derivative(points), np.float32)))
    value = rule.f(points)
    assert value.dtype == dtype
    assert np.all(np.isfinite(np.asarray(value, np.float32)))


def test_kinks_are_the_articles():
    assert jax.tree.map(float, jmc.value_and_grad(jmc.relu)(0.0)) == (0.0, 0.0)
    assert jax.grad(jmc.relu)(0.0) == 0.0
    assert jmc.grad(jmc.relu)(-0.0) == 0.0
    assert jmc.grad(jmc.relu)(1e-30) == 1.0


def test_relu_hands_nan_on():
    assert np.isnan(jmc.relu(np.float32("nan")))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (jmc.relu, jax.nn.relu),
        (jmc.tanh, jnp.tanh),
        (jmc.sigmoid, jax.nn.sigmoid),
        (jmc.softplus, jax.nn.softplus),
        (jmc.silu, jax.nn.silu),
        (jmc.gelu, lambda x: jax.nn.gelu(x, approximate=False)),
        (jmc.softmax, jax.nn.softmax),
    ],
)
def test_values_are_those_of_jax(ours, theirs):
    x = jnp.linspace(-12, 12, 59)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=2e-5, atol=1e-7)


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
