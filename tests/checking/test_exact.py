import math

import jax
import jax.numpy as jnp
import pytest

from jmc.checking import exact


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (jax.lax.logistic, 40.0, math.exp(-40) / (1 + math.exp(-40)) ** 2),
        (jnp.tanh, -40.0, 4 * math.exp(-80)),
        (jnp.expm1, -40.0, math.exp(-40)),
        (lambda x: x**3, 0.0, 0.0),
        (lambda x: x**3, 1e-3, 3e-6),
        (lambda x: jnp.exp(-x * x), 20.0, -40 * math.exp(-400)),
        (lambda x: jnp.where(x > 0, x * x, -x), -2.0, -1.0),
        (lambda x: jnp.clip(x, -1, 1), 0.5, 1.0),
        (jax.jit(lambda x: jax.nn.softplus(x)), 3.0, 1 / (1 + math.exp(-3))),
        (lambda x: x ** jnp.array(1.5), 4.0, 3.0),
    ],
)
def test_slopes_are_right_to_the_last_digit(f, x, slope):
    with jax.numpy_dtype_promotion("standard"):
        assert exact.slope(f, x) == pytest.approx(slope, rel=4e-16, abs=0)


def test_value():
    assert exact.value(jnp.log1p, 1e-20) == pytest.approx(1e-20, rel=1e-16)


def test_an_operation_without_a_meaning_is_named():
    with pytest.raises(exact.Unreadable, match="the primitive `digamma` has no meaning here"):
        exact.slope(jax.scipy.special.digamma, 1.0)
