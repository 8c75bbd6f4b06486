"""Mistakes that are found by making or by undoing them, beyond one of each kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def poisson(w, X, y):
    return jnp.mean(jnp.exp(X @ w) - y * (X @ w))


def blend(x, k):
    """Exponential smoothing: y_t = k x_t + (1 − k) y_{t−1}."""

    def step(before, entry):
        now = k * entry + (1 - k) * before
        return now, now

    return jax.lax.scan(step, jnp.zeros((), x.dtype), x)[1]


def distances(X, Y):
    return (X**2).sum(1)[:, None] + (Y**2).sum(1) - 2 * X @ Y.T


w, X, y, s = normal(3), normal(7, 3), np.abs(normal(7)), np.float32(1.7)
FOUND = {
    "a factor of the rule's own that is too many": ("extra_factor", poisson, (w, X, y), {"grad": lambda w, X, y: X.T @ ((jnp.exp(X @ w) - y) * jnp.exp(X @ w)) / len(y)}),
    "an exponent that is too large": ("extra_factor", lambda z, s: s * s * jnp.sum(jnp.tanh(z / s)), (w, s), {"grad": lambda z, s: s**2 * (1 - jnp.tanh(z / s) ** 2)}),
    "one over a size": ("missing_factor", lambda a, b: jnp.mean(jnp.abs((b - a) / b)), (normal(7), normal(7)), {"grad": lambda a, b: jnp.sign(a - b) / a.size}),
    "a recursion that runs the wrong way": ("transposed_operand", blend, (normal(11), np.float32(0.3)), {"vjp": lambda args, u: (blend(u, args[1]), None)}),
    "sums along the other axis": ("wrong_axis", distances, (normal(5, 3), normal(5, 3)), {"vjp": lambda args, u: (2 * (u.sum(1)[:, None] * args[0] - u @ args[1]), 2 * (u.sum(1)[:, None] * args[1] - u.T @ args[0]))}),
    "a constant term": ("missing_term", lambda z: -jnp.mean(jnp.sum((0.9 * jax.nn.one_hot(jnp.arange(7) % 5, 5) + 0.02) * jax.nn.log_softmax(z), 1)), (normal(7, 5),), {"grad": lambda z: (jax.nn.softmax(z) - 0.9 * jax.nn.one_hot(jnp.arange(7) % 5, 5)) / 7}),
    "a sum within a table": ("missing_sum", lambda S, m: S + m[:, None, None] * jnp.arange(5.0), (normal(2, 3, 4, 5), normal(3)), {"vjp": lambda args, u: (None, (u * jnp.arange(5.0)).sum(-1))}),
    "each share through its own event": ("diagonal_only", lambda z: jnp.sum(jnp.log(jnp.cumsum(jnp.exp(z)))), (normal(7),), {"grad": lambda z: jnp.exp(z) / jnp.cumsum(jnp.exp(z))}),
    "the slope at the value": ("wrong_point", lambda x: x / (1 + jnp.abs(x)), (normal(7),), {"vjp": lambda args, u: (u / (1 + jnp.abs(args[0] / (1 + jnp.abs(args[0])))) ** 2,)}),
    "two at once": ("missing_term", lambda x, g: g * x * (x @ x), (normal(7), normal(7)), {"vjp": lambda args, u: (-2 * args[0] * jnp.sum(u * args[1] * args[0]), None)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_the_mistake_is_named_first(name):
    kind, f, args, rule = FOUND[name]
    report = jmc.check(f, *args, **rule)
    assert report.verdict == "wrong", str(report)
    assert report.findings[0].kind == kind, str(report)


def test_at_ties_both_cannot_have_the_whole_cotangent():
    ties = np.zeros(3, np.float32)
    report = jmc.check(
        jnp.minimum, ties, ties, vjp=lambda args, u: (u * (args[0] <= args[1]), u * (args[1] <= args[0]))
    )
    assert report.verdict == "wrong"
    assert {finding.kind for finding in report.findings} == {"region"}
    one = jmc.check(jnp.minimum, ties, ties, vjp=lambda args, u: (u * (args[0] <= args[1]), u * (args[1] < args[0])))
    assert one.verdict == "convention"
