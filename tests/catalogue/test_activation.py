"""The activations' derivatives against exact arithmetic, where the textbook forms and JAX's own lose all digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules

mp = mpmath.mp


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def mish(x):
    return x * mp.tanh(mp.log(1 + mp.exp(x)))


# f in exact arithmetic, in the form of its definition
EXACT = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0),
    "tanh": mp.tanh,
    "sigmoid": logistic,
    "log_sigmoid": lambda x: mp.log(logistic(x)),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "silu": lambda x: x * logistic(x),
    "gelu": lambda x: x * mp.ncdf(x),
    "gelu_tanh": lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3))),
    "mish": mish,
    "soft_sign": lambda x: x / (1 + abs(x)),
    "squareplus": lambda x: (x + mp.sqrt(x * x + 4)) / 2,
    "selu": lambda x: 1.0507009873554804934 * (x if x > 0 else 1.6732632423543772848 * (mp.exp(x) - 1)),
    "celu": lambda x: x if x > 0 else mp.exp(x) - 1,
}
POINTS = [1e-3, 0.5, 1.0, 3.5, 8.5, 16.0, 30.0, 36.7, 38.0, 300.0]
EVERYWHERE = [
    rule for rule in rules.records() if rule.derivative is not None and rule.parameters[0].kind in (None, "wide")
]
DEFAULTS = {"squareplus": [4.0], "celu": [1.0]}


@pytest.mark.parametrize("name", EXACT)
def test_derivatives_are_exact_in_the_tails(name, x64):
    rule, f = rules[name], EXACT[name]
    points = np.array(sorted({*POINTS, *(-p for p in POINTS)}))
    stated = [
        np.asarray(slope(jnp.asarray(points), *DEFAULTS.get(name, []))) for slope in (rule.derivative, rule.second)
    ]
    for k, found in enumerate(stated, 1):
        with mpmath.workdps(300):
            exact = np.array([float(mp.diff(f, mp.mpf(p), k, h=mp.mpf(10) ** -100)) for p in points])
        # relative to the exact value, but for what underflows, and for exponents, which are rounded
        rounding = 1e-14 + {"gelu": 2e-16, "gelu_tanh": 1e-15}.get(name, 0) * np.abs(points) ** 3
        assert np.all(np.abs(found - exact) <= rounding * np.abs(exact) + 1e-290), found / exact - 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.name)
def test_low_precision_is_finite_everywhere(rule, dtype):
    points = jnp.asarray([0.0, 40.0, -40.0, 1e3, -1e3, 1e30, -1e30], dtype)
    _, *rest = rule.sample(0, dtype)
    bounded = points[:3] if rule.name == "exponential" else points
    for f in (rule.f, rule.derivative, rule.second, *filter(None, rule.jacobians[1:])):
        value = f(bounded, *rest)
        assert value.dtype == dtype
        assert np.all(np.isfinite(np.asarray(value, np.float32)))


def test_celu_wrt_alpha_does_not_cancel(x64):
    x = -np.array([1e-8, 1e-4, 0.1, 0.4999, 0.5001, 3.0, 100.0])
    found = rules["celu"].map("alpha", jnp.asarray(x), jnp.asarray(1.0)).dense()
    with mpmath.workdps(60):
        exact = [float(mp.exp(z) - 1 - z * mp.exp(z)) for z in map(mp.mpf, x)]
    np.testing.assert_allclose(found, exact, rtol=2e-15)


def test_kinks_are_the_articles():
    assert jax.tree.map(float, jmc.value_and_grad(jmc.relu)(0.0)) == (0.0, 0.0)
    assert jax.grad(jmc.relu)(0.0) == 0.0
    assert jmc.grad(jmc.relu)(-0.0) == 0.0
    assert jmc.grad(jmc.relu)(1e-30) == 1.0


@pytest.mark.parametrize("rule", [rule for rule in EVERYWHERE if rule.kinks], ids=lambda rule: rule.name)
def test_nan_is_handed_on(rule):
    _, *rest = rule.sample(0, np.float32)
    assert np.isnan(rule.f(jnp.float32("nan"), *rest))


def test_parameters_have_derivatives():
    x, alpha = jnp.array([-2.0, -0.5, 0.0, 3.0]), jnp.float32(0.25)
    J = jmc.jacobian(jmc.leaky_relu, (0, 1))(x, alpha)
    assert [part.structure for part in J] == ["diagonal(4)", "column(4)"]
    np.testing.assert_array_equal(J[0].diagonal(), [0.25, 0.25, 0.25, 1])
    np.testing.assert_array_equal(J[1].dense(), [-2, -0.5, 0, 0])
    assert rules["L-act-prelu_alpha"].argnum == 1
    with pytest.raises(TypeError, match="leaky_relu states no second derivative"):
        rules["L-act-prelu_alpha"].hessian(x, alpha)
    slopes = jnp.array([0.1, 0.2])
    both = jax.vmap(lambda x, a: jmc.grad(lambda x, a: jnp.sum(jmc.elu(x, a)), (0, 1))(x, a), (None, 0))(x, slopes)
    np.testing.assert_allclose(
        both[0],
        [[0.1 * np.exp(-2), 0.1 * np.exp(-0.5), 0.1, 1], [0.2 * np.exp(-2), 0.2 * np.exp(-0.5), 0.2, 1]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(both[1], np.full(2, np.expm1(-2) + np.expm1(-0.5)), rtol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (jmc.relu, jax.nn.relu),
        (jmc.tanh, jnp.tanh),
        (jmc.sigmoid, jax.nn.sigmoid),
        (jmc.softplus, jax.nn.softplus),
        (jmc.silu, jax.nn.silu),
        (jmc.gelu, lambda x: jax.nn.gelu(x, approximate=False)),
        (jmc.gelu_tanh, jax.nn.gelu),
        (jmc.celu, jax.nn.celu),
        (jmc.elu, jax.nn.elu),
        (jmc.hard_sigmoid, jax.nn.hard_sigmoid),
        (jmc.hard_swish, jax.nn.hard_swish),
        (jmc.hard_tanh, jax.nn.hard_tanh),
        (jmc.leaky_relu, jax.nn.leaky_relu),
        (jmc.log_sigmoid, jax.nn.log_sigmoid),
        (jmc.mish, jax.nn.mish),
        (jmc.relu6, jax.nn.relu6),
        (jmc.selu, jax.nn.selu),
        (jmc.soft_sign, jax.nn.soft_sign),
        (jmc.squareplus, jax.nn.squareplus),
        (lambda x: jmc.glu(x[::2], x[1::2]), lambda x: jax.nn.glu(jnp.concatenate([x[::2], x[1::2]]))),
        (jmc.log_softmax, jax.nn.log_softmax),
        (jmc.logsumexp, jax.nn.logsumexp),
        (jmc.softmax, jax.nn.softmax),
    ],
)
def test_values_are_those_of_jax(ours, theirs):
    x = jnp.linspace(-12, 12, 60)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        np.testing.assert_allclose(ours(x), theirs(x), rtol=2e-5, atol=1e-6)
