import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc

LOGITS = [-1000.0, -40.0, -3.0, 0.25, 37.0, 40.0, 1000.0]


def both(d, *args):
    """What the code for JAX and that for NumPy give."""
    space = {}
    exec(d.numpy, space)
    name = next(
        line for line in d.numpy.splitlines() if line.startswith(f"def d{'' if d.order == 1 else d.order}{d.f}(")
    )
    with np.errstate(over="raise", invalid="raise"):
        return np.asarray(d.function(*args)), np.asarray(space[name[4 : name.index("(")]](*args))


def logistic(z):
    return 1 / (1 + mpmath.exp(-mpmath.mpf(z)))


def probabilities(z):
    powers = [mpmath.exp(mpmath.mpf(x) - max(z)) for x in z]
    return [x / sum(powers) for x in powers]


LOSSES = [
    lambda z, y: jnp.sum(jnp.log(1 + jnp.exp(z)) - y * z),
    lambda z, y: jnp.sum(jnp.logaddexp(z, 0) - y * z),
    lambda z, y: -jnp.sum(y * jnp.log(jax.nn.sigmoid(z)) + (1 - y) * jnp.log(1 - jax.nn.sigmoid(z))),
]


@pytest.mark.parametrize("f", LOSSES)
def test_logistic_losses_keep_their_digits(f, x64):
    mpmath.mp.dps = 50
    z = np.array(LOGITS)
    first, second = jmc.derive(f)("n", "n"), jmc.derive(f, order=2)("n", "n")
    assert first.formula == "σ(z) − y"
    for y in (0.0, 1.0, 0.25):
        exact = np.array([float(logistic(x) - y) for x in LOGITS])
        for found in both(first, z, np.full(len(z), y)):
            np.testing.assert_allclose(found, exact, rtol=1e-12)
        exact = np.diag([float(logistic(x) * logistic(-x)) for x in LOGITS])
        for found in both(second, z, np.full(len(z), y)):
            np.testing.assert_allclose(found, exact, rtol=1e-12)


@pytest.mark.parametrize("z", [(1000.0, 960.0, -1000.0, 3.0), (40.0, 0.0, 1.0, 1.0), (1000.0, 1000.0, 5.0, -1000.0)])
def test_softmax_losses_keep_their_digits(z, x64):
    mpmath.mp.dps = 50
    p, x = probabilities(z), np.array(z)
    rest = [sum(p[:k] + p[k + 1 :]) for k in range(4)]
    shown = {
        "softmax(x) − y": (jmc.derive(lambda x, y: -jnp.sum(y * jax.nn.log_softmax(x)))("k", "k one-hot"), True),
        "softmax(x) − onehot(y)": (jmc.derive(lambda x, y: -jax.nn.log_softmax(x)[y])("k", "integer"), False),
    }
    for formula, (d, dense) in shown.items():
        assert d.formula == formula
        for label in range(4):
            exact = [float(-rest[k] if k == label else p[k]) for k in range(4)]
            for found in both(d, x, np.eye(4)[label] if dense else label):
                np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-300)
    d = jmc.derive(lambda x: jax.nn.log_softmax(x))("k")
    exact = [[float(rest[j] if i == j else -p[j]) for j in range(4)] for i in range(4)]
    for found in both(d, x):
        np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-300)
