"""Programs in NumPy: the same numbers as JAX's, and again with some of the values changed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jmc.checking.oracles import double_precision
from jmc.checking.program import Program

RNG = np.random.default_rng(0)
x, y = RNG.normal(size=(3, 5)), RNG.normal(size=(3, 5))
v, A, B = RNG.normal(size=5), RNG.normal(size=(5, 2)), RNG.normal(size=(3, 5, 2))
p, S = np.abs(x) + 0.1, np.eye(3) + 0.1 * np.ones((3, 3))
i = np.array([2, 0, 2])

FUNCTIONS = {
    "arithmetic": (lambda x, y: x * y - x / (y**2 + 1) + lax.rem(x, y) - jnp.maximum(x, y) + jnp.minimum(x, -y), x, y),
    "exponentials": (lambda x: jnp.exp(x) + jnp.expm1(x) + jnp.exp2(x) + jnp.tanh(x) + jax.nn.sigmoid(x), x),
    "logarithms": (lambda p: jnp.log(p) + jnp.log1p(p) + jnp.sqrt(p) + lax.rsqrt(p) + jnp.cbrt(p) + p**0.3, p),
    "circle": (lambda x: jnp.sin(x) + jnp.cos(x) + jnp.tan(x) + jnp.arctan2(x, 1 + x**2) + jnp.arctan(x), x),
    "inverse": (lambda x: jnp.arcsin(x / 9) + jnp.arccos(x / 9) + jnp.arctanh(x / 9) + jnp.arcsinh(x), x),
    "hyperbola": (lambda p: jnp.sinh(p) + jnp.cosh(p) + jnp.arccosh(1 + p), p),
    "special": (lambda p: lax.erf(p) + lax.erfc(p) + lax.erf_inv(p / 9) + lax.lgamma(p) + lax.digamma(p), p),
    "powers": (lambda x: lax.integer_pow(x, 3) + lax.integer_pow(x, -2) + jnp.square(x) + jnp.abs(x) + jnp.sign(x), x),
    "choices": (lambda x, y: jnp.where(x > y, x, y) + jnp.clip(x, -0.5, 0.5) + (x <= 0) * (y != 0) * ~(x == y), x, y),
    "several cases": (lambda x, i: lax.select_n(i[:, None] + 0 * jnp.int32(x), x, 2 * x, 3 * x), x, i),
    "rounding": (lambda x: jnp.floor(3 * x) + jnp.ceil(x) + jnp.round(5 * x) + jnp.isfinite(x), x),
    "whole numbers": (lambda i: lax.div(7 - 4 * i, 3) + lax.rem(7 - 4 * i, 3) + (i << 1), i),
    "sums": (lambda x: x.sum(0) + x.prod(0) + x.max(0) + x.min(0) + jnp.any(x > 0, 0) * jnp.all(x > -3, 0), x),
    "places": (lambda x: x.argmax(1) + x.argmin(1), x),
    "cumulated": (lambda x: jnp.cumsum(x, 1) + jnp.cumprod(x, 0) + lax.cummax(x) + lax.cumlogsumexp(x, reverse=True), x),
    "shapes": (lambda x: jnp.flip(x, 1).T.reshape(-1, 3)[:, None].squeeze(1).T, x),
    "pieces": (lambda x: jnp.concatenate([x[1:, ::2], x[:2, 2:]], 0), x),
    "padding": (lambda x: lax.pad(x, 7.0, ((1, 0, 2), (0, 3, 0))) * lax.pad(x, 1.0, ((2, 0, 2), (-1, 4, 0))).sum(), x),
    "windows": (lambda x: lax.dynamic_slice(x, (1, 9), (2, 3)) + lax.dynamic_update_slice(x, x[:1], (1, 0))[1:, 2:], x),
    "reads and writes": (lambda x, i: x[i] + x.at[i, 1].add(3.0) + jnp.sort(x, 1), x, i),
    "products": (lambda x, A: (x @ A, jnp.einsum("ij,ij->i", x, x), jnp.tensordot(x, x, 0)), x, A),
    "many products": (lambda x, B: (jnp.einsum("ij,ijk->ik", x, B), jnp.einsum("ijk,ilk->ilj", B, B)), x, B),
    "systems": (lambda S, x: jnp.linalg.solve(S, x) + jnp.linalg.cholesky(S) @ x + jnp.linalg.det(S), S, x),
    "loops": (lambda x: lax.scan(lambda c, row: (c * 0.5 + row, c.sum()), jnp.zeros(5), x), x),
    "called": (lambda x: jax.jit(jax.nn.silu)(x) + jax.checkpoint(jnp.sin)(x) + jax.nn.relu(x), x),
    "complex": (lambda x, y: jnp.conj(lax.complex(x, y)) * jnp.exp(1j * x) + jnp.real(x) + jnp.imag(1j * y), x, y),
    "counting": (lambda x: x + jnp.arange(5.0) * jnp.eye(3, 5) + jnp.ones((3, 1)), x),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_numbers_are_those_of_jax(name):
    f, *args = FUNCTIONS[name]
    with double_precision(), jax.numpy_rank_promotion("allow"):
        true = jax.jit(f)(*args)
        program = Program(f, *args)
    found = program(*args)
    assert jax.tree.structure(found) == jax.tree.structure(true)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(true), strict=True):
        assert isinstance(a, np.ndarray)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_what_is_computed_twice_is_one_value_and_what_is_not_needed_is_none():
    program = Program(lambda x: (jnp.sin(x) * jnp.sin(x), jnp.cos(x))[0], v)
    assert [e.name for e in program.equations] == ["sin", "mul"]


def test_again_with_changed_values():
    program = Program(lambda x: jnp.sum(jnp.sin(x) * x), v)
    values = program.run(v)
    sine = program.equations[0].outs[0]
    np.testing.assert_allclose(program.again(values, {sine: np.ones(5)}, program.outputs[0]), v.sum())
    np.testing.assert_allclose(values[program.outputs[0]], np.sum(np.sin(v) * v))
    assert program.reached([sine]) == {sine, *(n for e in program.equations[1:] for n in e.outs)}
