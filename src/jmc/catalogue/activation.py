"""Activations: element-wise functions a = f(z), each with f′; and softmax.

The derivatives keep their relative accuracy in the tails, where the textbook forms σ(1 − σ) and 1 − tanh² cancel
to zero. With e = exp(−|x|): σ(x)σ(−x) = e/(1 + e)², sech²(x) = 4e²/(1 + e²)².
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import elementwise, rule
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap

ARTICLE = "The Matrix Calculus You Need For Deep Learning"


@elementwise(
    derivative=jnp.ones_like,
    jacobian=lambda x: build.identity(x.shape),
    ids="P-4.1.6 P-8.1.3",
    source=f"{ARTICLE}, §4.1: ∂x/∂x = I",
    analytic=True,
)
def identity(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x, f′(x) = 1. Element-wise on any shape, in the dtype of ``x``."""
    return x


@elementwise(
    derivative=lambda x: jnp.where(x <= 0, 0.0, 1.0).astype(x.dtype),
    ids="P-5.6 P-5.8 P-5.9",
    source=f"{ARTICLE}, §5: ∂max(0, z)/∂z = 0 for z ≤ 0, 1 for z > 0",
    kinks="x = 0, where relu′(0) = 0",
    kinks_at=(0.0,),
    erratum="§5 prints ∂max(0, x)/∂x of a vector as a column; by §4.1 it is the matrix diag(1[x > 0])",
)
def relu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = max(0, x), f′(x) = 1[x > 0], so f′(0) = 0 as in the article. Element-wise on any shape."""
    # Not jnp.maximum, whose derivative at the tie is ½ in JAX; NaN stays NaN.
    return jnp.where(x <= 0, jnp.zeros_like(x), x)


def _sech2(x: jax.Array) -> jax.Array:
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / jnp.square(1 + e)


@elementwise(derivative=_sech2, source="tanh′ = 1 − tanh² = sech²", analytic=True)
def tanh(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = tanh x, f′(x) = sech² x. Element-wise on any shape."""
    return jnp.tanh(x)


def _logistic_density(x: jax.Array) -> jax.Array:
    e = jnp.exp(-jnp.abs(x))
    return e / jnp.square(1 + e)


@elementwise(derivative=_logistic_density, source="σ′ = σ(1 − σ) = σ(x)σ(−x)", analytic=True)
def sigmoid(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = σ(x) = 1/(1 + e⁻ˣ), f′(x) = σ(x)σ(−x). Element-wise on any shape."""
    return jax.lax.logistic(x)


def log1p_exp(x: jax.Array) -> jax.Array:
    """ln(1 + eˣ): no overflow, exact left tail, and smooth branch by branch (jnp.logaddexp drops a complex step)."""
    right = x.real > 0
    return jnp.where(right, x, 0) + jnp.log1p(jnp.exp(jnp.where(right, -x, x)))


@elementwise(derivative=jax.lax.logistic, source="softplus′ = σ", analytic=True)
def softplus(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = ln(1 + eˣ), f′(x) = σ(x). Element-wise on any shape; no overflow, exact left tail."""
    return log1p_exp(x)


@elementwise(
    derivative=lambda x: jax.lax.logistic(x) * (1 + x * jax.lax.logistic(-x)),
    source="silu′ = σ(x)(1 + x σ(−x))",
    analytic=True,
)
def silu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x σ(x), f′(x) = σ(x)(1 + x σ(−x)). Element-wise on any shape."""
    return x * jax.lax.logistic(x)


def _normal_cdf(x: jax.Array) -> jax.Array:
    """Φ(x), by erfc so that the left tail keeps its relative accuracy."""
    return 0.5 * jax.lax.erfc(-x * math.sqrt(0.5))


@elementwise(
    derivative=lambda x: _normal_cdf(x) + x * jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi),
    source="Hendrycks & Gimpel, arXiv 1606.08415: gelu′ = Φ(x) + x φ(x)",
)
def gelu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x Φ(x) with the exact normal distribution function Φ, f′(x) = Φ(x) + x φ(x).

    Element-wise on any shape. This is ``jax.nn.gelu(x, approximate=False)``.
    """
    return x * _normal_cdf(x)


def _softmax_vjp(u: jax.Array, p: jax.Array, _: jax.Array) -> jax.Array:
    # p ⊙ (u − ⟨u, p⟩) takes any constant off u unchanged; u_a, a the largest p, leaves nothing that cancels
    largest = p == jnp.max(p, axis=-1, keepdims=True, initial=0)
    u = u - jnp.max(jnp.where(largest, u, -jnp.inf), axis=-1, keepdims=True, initial=-jnp.inf)
    return p * (u - jnp.sum(u * p, axis=-1, keepdims=True))


def _softmax_jacobian(x: jax.Array) -> LinearMap:
    p = softmax(x)
    return einsum("...i->...i,...i", p) - einsum("...i,...j->...i,...j", p, p)


@rule(vjp={"x": _softmax_vjp}, jacobian={"x": _softmax_jacobian}, source="∂p/∂x = diag(p) − p pᵀ", analytic=True)
def softmax(x: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """p = eˣ / Σ eˣ over the last axis, ∂p/∂x = diag(p) − p pᵀ, as a vjp p ⊙ (u − ⟨u, p⟩).

    Shape (*n, k), any leading axes; shifted by the largest entry, so that no input overflows.
    """
    if x.shape[-1] == 0:
        return x
    largest = jnp.max(x.real, axis=-1, keepdims=True)
    e = jnp.exp(x - jax.lax.stop_gradient(largest).astype(x.dtype))
    return e / jnp.sum(e, axis=-1, keepdims=True)
