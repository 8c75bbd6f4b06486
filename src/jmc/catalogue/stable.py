"""Scalar functions written so that no digit cancels, on real and on complex numbers: shared by primals and formulas.

With e = exp(−|x|): σ(x)σ(−x) = e/(1 + e)², and sech²(x) = 4e²/(1 + e²)², where the textbook forms σ(1 − σ) and
1 − tanh² cancel to zero.
"""

import math

import jax
import jax.numpy as jnp

logistic = jax.lax.logistic


def logistic_density(x: jax.Array) -> jax.Array:
    """σ′(x) = σ(x)σ(−x)."""
    e = jnp.exp(-jnp.abs(x))
    return e / jnp.square(1 + e)


def sech2(x: jax.Array) -> jax.Array:
    """sech² x = 1 − tanh² x."""
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / jnp.square(1 + e)


def normal_density(x: jax.Array) -> jax.Array:
    """φ(x) = exp(−x²/2)/√(2π)."""
    return jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def normal_cdf(x: jax.Array) -> jax.Array:
    """Φ(x), by erfc so that the left tail keeps its relative accuracy."""
    return 0.5 * jax.lax.erfc(-x * math.sqrt(0.5))


def magnitude(x: jax.Array) -> jax.Array:
    """|x|, whose derivative is 0 at 0 in JAX too, and which a complex step passes through."""
    return x * jnp.sign(x.real).astype(x.dtype)


def log1p_exp(x: jax.Array) -> jax.Array:
    """ln(1 + eˣ): no overflow, exact left tail, and smooth branch by branch (jnp.logaddexp drops a complex step)."""
    right = x.real > 0
    return jnp.where(right, x, 0) + jnp.log1p(jnp.exp(jnp.where(right, -x, x)))


def log_cosh(x: jax.Array) -> jax.Array:
    """ln cosh x: ½ ln(1 + sinh² x) near 0, where |x| + ln(1 + e^(−2|x|)) − ln 2 cancels."""
    near = jnp.abs(x.real) < 1
    size = magnitude(x)
    far = size + jnp.log1p(jnp.exp(-2 * size)) - math.log(2)
    return jnp.where(near, jnp.log1p(jnp.square(jnp.sinh(jnp.where(near, x, 0)))) / 2, far)


def hypotenuse(x: jax.Array, square: jax.Array) -> jax.Array:
    """√(x² + square) for a square ≥ 0, not both zero, without overflow at large x."""
    scale = jnp.maximum(jnp.abs(x.real), 1)
    return scale * jnp.sqrt(jnp.square(x / scale) + square / scale / scale)


def exponentials(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(m, e, r) over the last axis, which stays: the largest entry m, e = exp(x − m), and r = Σ e − 1.

    The remainder of a confident answer keeps its digits: it is summed without the largest term, and so the complement
    of p = e/(1 + r), which is 1 − p = (r + (1 − e))/(1 + r), does not cancel.
    """
    m = jax.lax.stop_gradient(jnp.max(x.real, axis=-1, keepdims=True))
    e = jnp.exp(x - jnp.where(jnp.isfinite(m), m, 0).astype(x.dtype))
    total = jnp.sum(e, axis=-1, keepdims=True)
    others = jnp.sum(jnp.where(e.real == 1, 0, e.real), axis=-1, keepdims=True)
    # one term was left out, and only one; what a compiler computes twice, e, may differ in its last digit
    alone = (total.real < 2) & (total.real - others > 0.5)
    lost = jnp.where(alone, others - (total.real - 1), 0)
    return m.astype(x.dtype), e, (total - 1) + jax.lax.stop_gradient(lost).astype(x.dtype)


def log_softmax(x: jax.Array) -> jax.Array:
    """ln softmax(x) over the last axis, of one entry at least."""
    m, _, rest = exponentials(x)
    return (x - m) - jnp.log1p(rest)


def logsumexp(x: jax.Array) -> jax.Array:
    """ln Σ eˣ over the last axis, of one entry at least."""
    m, _, rest = exponentials(x)
    return (m + jnp.log1p(rest))[..., 0]


def one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Boolean, (*n, k); no row is true anywhere for a label outside the classes."""
    # int32, since labels of a narrower type could not count the classes
    return labels.astype("int32")[..., None] == jnp.arange(classes, dtype="int32").reshape((1,) * labels.ndim + (-1,))
