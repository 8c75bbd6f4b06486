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


def recurrent(W, xs):
    def step(h, x):
        now = jnp.tanh(W @ h + x)
        return now, now

    return jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)[1]


def through_time(args, u, slope_of=lambda hs, before: hs, back=True):
    """The derivatives of ``recurrent``, with slopes of these states."""
    W, xs = args
    hs = recurrent(W, xs)
    before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])
    dh, found = jnp.zeros_like(hs[0]), []
    for v, h in zip(u[::-1], slope_of(hs, before)[::-1], strict=True):
        found.insert(0, (v + dh) * (1 - h**2))
        dh = W.T @ found[0] if back else dh
    return jnp.stack(found).T @ before, None


def newton(a):
    """The square root, by an iteration that has come to rest near 1 and not far out."""
    x = jnp.ones_like(a)
    for _ in range(7):
        x = (x + a / x) / 2
    return x


def settle(a, u):
    return (u / (2 * newton(a)),)


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
    "a slope in each step of a recursion": ("wrong_point", recurrent, (normal(3, 3), normal(4, 3)), {"vjp": lambda args, u: through_time(args, u, lambda hs, before: before)}),
    "nothing from later steps": ("missing_term", recurrent, (normal(3, 3), normal(4, 3)), {"vjp": lambda args, u: through_time(args, u, back=False)}),
    "one of two systems": ("transposed_operand", lambda A, b, c: c @ jnp.linalg.solve(A, b), (normal(4, 4) + 4 * np.eye(4, dtype="float32"), normal(4), normal(4)), {"grad": lambda A, b, c: -jnp.outer(jnp.linalg.solve(A, c), jnp.linalg.solve(A, b))}),
    "a softmax along the other axis": ("wrong_axis", lambda z: jnp.sum(jax.nn.logsumexp(z, 1)), (normal(7, 5),), {"grad": lambda z: jax.nn.softmax(z, 0)}),
    "the Jacobian itself": ("transposed_operand", lambda x: jnp.stack([x[0] * x[1], x[0] ** 2 - x[1] ** 2]), (normal(2),), {"vjp": lambda args, u: (jnp.stack([args[0][1] * u[0] + args[0][0] * u[1], 2 * args[0][0] * u[0] - 2 * args[0][1] * u[1]]),)}),
    "a point before": ("wrong_point", lambda x: jax.nn.sigmoid(x * jnp.abs(x)), (normal(7),), {"vjp": lambda args, u: (2 * jnp.abs(args[0]) * u * jax.nn.sigmoid(args[0]) * (1 - jax.nn.sigmoid(args[0])),)}),
    "exchanged, and a factor": ("swapped_arguments", lambda x, y: jnp.sqrt(x * x + y * y), (normal(7), normal(7)), {"vjp": lambda args, u: (u * args[1], u * args[0])}),
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
    loss = jmc.check(lambda x: jnp.sum(jnp.max(x, 0)), normal(2, 3), grad=lambda x: 1.0 * (x == jnp.max(x, 0)))
    assert loss.verdict == "convention"  # in a loss a tie is an accident, and is told all the same
    assert "moved together" in loss.findings[0].message


RIGHT = {
    "an iteration that has not come to rest everywhere": (newton, (np.float64([0.7, 1.2, 1.9]),), {"vjp": lambda args, u: settle(args[0], u)}),
    "a division by an entry": (lambda x: jnp.prod(x) * jnp.arange(1.0, 3), (normal(5),), {"vjp": lambda args, u: (u @ jnp.arange(1.0, 3) * jnp.prod(args[0]) / args[0],)}),
    "a real function of complex numbers": (jnp.abs, (normal(5) + 1j * normal(5),), {"jvp": lambda args, tangents: jnp.real(args[0].conj() * tangents[0]) / jnp.abs(args[0])}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_there_is_no_alarm(name):
    f, args, rule = RIGHT[name]
    report = jmc.check(f, *args, **rule)
    assert report.verdict == "equal", str(report)
    if "everywhere" in name or "division" in name:
        assert any("come to rest" in note or "divides by 0" in note for note in report.notes)
