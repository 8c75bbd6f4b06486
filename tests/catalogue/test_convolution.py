"""Windows in two dimensions, with every option; ties of the largest; and the structure of the Jacobians."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules

OPTIONS = {
    "convolution": [{}, {"stride": (2, 1), "padding": (1, 3), "dilation": (1, 2)}, {"stride": 3, "padding": 2, "dilation": 2}],
    "avg_pool": [{"window": 2}, {"window": (3, 2), "stride": (1, 3)}, {"window": 9}],
    "max_pool": [{"window": 2}, {"window": (3, 2), "stride": (1, 3)}, {"window": 9}],
}  # fmt: skip
CASES = [(name, options) for name, every in OPTIONS.items() for options in every]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_two_axes_of_positions_with_options(name, options, x64):
    defaults = {"stride": None} if "pool" in name else {"stride": 1, "padding": 0, "dilation": 1}
    rule = rules[name].at(**defaults | options)
    args = rule.sample(0, sizes={"N": 2, "c": 3, "o": 2, "*w": (5, 7), "*k": (2, 3)})
    argnums = rule.argnums

    def closed(*args):
        value = rule.f(*args)
        u = jnp.cos(jnp.arange(1.0, value.size + 1)).reshape(value.shape)
        pulled = [rule.vjp(k, u, value, *args) for k in argnums]
        found = [rule.map(k, *args) for k in argnums], jmc.jacobian(public, argnums)(*args)
        return [[J.dense() for J in maps] for maps in found], pulled, jax.vjp(rule.f, *args)[1](u)

    public = functools.partial(getattr(jmc, name), **options)
    (stated, walked), pulled, auto = jax.jit(closed)(*args)
    for k in argnums:
        wanted = jax.jit(jax.jacrev(rule.f, k))(*args)
        np.testing.assert_allclose(stated[k], wanted, atol=1e-12)
        np.testing.assert_allclose(walked[k], wanted, atol=1e-12)
        np.testing.assert_allclose(pulled[k], auto[k], atol=1e-12)


def test_structures():
    conv = rules["convolution"]
    plain = conv.at(stride=1, padding=0, dilation=1)
    x, kernel = plain.sample(0)
    by_input, by_kernel = jax.eval_shape(plain.jacobian, x, kernel)
    assert by_input.structure == "kronecker(I₂ ⊗ banded(0…1 of dense(5×3)))"
    assert by_kernel.structure == "kronecker(dense(16×6) ⊗ I₅)"
    pools = [rules[name].at(window=2, stride=2) for name in ("avg_pool", "max_pool")]
    names = [jax.eval_shape(rule.jacobian, jnp.zeros((2, 3, 8))).structure for rule in pools]
    assert names == ["kronecker(I₂₄ ⊗ row(2))", "block_diagonal(24 × row(2))"]


def test_a_tie_goes_to_the_first_place():
    x = jnp.array([[[[2.0, 2.0, 1.0], [2.0, 0.0, 1.0]]]])
    closed = jmc.grad(lambda x: jnp.sum(jmc.max_pool(x, window=2, stride=1)))(x)
    np.testing.assert_array_equal(closed, [[[[1, 1, 0], [0, 0, 0]]]])
    np.testing.assert_array_equal(closed, jax.grad(lambda x: jnp.sum(jmc.max_pool(x, window=2, stride=1)))(x))


def test_where_no_window_fits_nothing_moves():
    x, kernel = jnp.ones((2, 3, 2)), jnp.ones((4, 3, 5))
    gradients = jmc.grad(lambda x, kernel: jnp.sum(jmc.convolution(x, kernel)), (0, 1))(x, kernel)
    pooled = [jmc.grad(lambda x, f=f: jnp.sum(f(x, window=3)))(x) for f in (jmc.max_pool, jmc.avg_pool)]
    for gradient, like in zip([*gradients, *pooled], [x, kernel, x, x], strict=True):
        np.testing.assert_array_equal(gradient, jnp.zeros_like(like))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: jmc.convolution(x, jnp.ones((4, 3, 2, 2))), "`kernel` must have as many axes as `x`, 3, but got shape"),
        (lambda x: jmc.convolution(x, jnp.ones((4, 2, 2))), "`kernel` of convolution must have shape"),
        (lambda x: jmc.convolution(x, jnp.ones((4, 3, 2)), stride=(1, 1)), "`stride` must be a number, or one for each of the 1 axes"),
        (lambda x: jmc.max_pool(x, window=(2, 2)), "`window` must be a number, or one for each of the 1 axes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.ones((2, 3, 7)))
