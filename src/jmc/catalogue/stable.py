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


def shifted(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x_a, ln Σ e^(x − x_a)) over the last axis, a the (first) largest entry: their sum is logsumexp.

    The largest term is taken out of the sum exactly, so that a confident answer keeps its small remainder.
    """
    largest = one_hot(jnp.argmax(x.real, axis=-1), x.shape[-1])
    x_a = jnp.sum(jnp.where(largest, x, 0), axis=-1)
    e = jnp.where(largest, 0, jnp.exp(x - x_a[..., None]))
    return x_a, jnp.log1p(jnp.sum(e, axis=-1))


def log_softmax(x: jax.Array) -> jax.Array:
    """ln softmax(x) over the last axis, of one entry at least."""
    x_a, rest = shifted(x)
    return (x - x_a[..., None]) - rest[..., None]


def one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Boolean, (*n, k); no row is true anywhere for a label outside the classes."""
    # int32, since labels of a narrower type could not count the classes
    return labels.astype("int32")[..., None] == jnp.arange(classes, dtype="int32").reshape((1,) * labels.ndim + (-1,))
