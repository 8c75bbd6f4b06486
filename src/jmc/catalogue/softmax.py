"""Softmax and its kin, over the last axis: softmax, log-softmax, logsumexp, sparsemax.

Their derivatives are made of the covariance diag(p) − p pᵀ of a distribution p, one for each example.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue import stable
from jmc.catalogue.batch import of_examples
from jmc.catalogue.rule import entry, rule
from jmc.linear.build import einsum, identity
from jmc.linear.linear_map import LinearMap


def covariance(p: jax.Array, weight: jax.Array | float = 1.0) -> LinearMap:
    """weight (diag(p) − p pᵀ) for each example; ``weight`` broadcasts to p's shape (*n, k)."""
    q = weight * p
    return einsum("...i->...i,...i", q) - einsum("...i,...j->...i,...j", q, p)


def probabilities(x: jax.Array) -> jax.Array:
    """eˣ / Σ eˣ over the last axis."""
    if x.shape[-1] == 0:
        return x
    largest = jnp.max(x.real, axis=-1, keepdims=True)
    e = jnp.exp(x - jax.lax.stop_gradient(largest).astype(x.dtype))
    return e / jnp.sum(e, axis=-1, keepdims=True)


def softmax_vjp(u: jax.Array, p: jax.Array, _: jax.Array) -> jax.Array:
    """(diag(p) − p pᵀ) u."""
    # p ⊙ (u − ⟨u, p⟩) takes any constant off u unchanged; u_a, a the largest p, leaves nothing that cancels
    largest = p == jnp.max(p, axis=-1, keepdims=True, initial=0)
    u = u - jnp.max(jnp.where(largest, u, -jnp.inf), axis=-1, keepdims=True, initial=-jnp.inf)
    return p * (u - jnp.sum(u * p, axis=-1, keepdims=True))


def _softmax_hessian(x: jax.Array) -> LinearMap:
    """p_i [(δ_ij − p_j)(δ_ik − p_k) − p_j (δ_jk − p_k)], multiplied out."""
    p = probabilities(x)
    return (
        of_examples("{n}i->{n}i{n}i,{n}i", x, p)
        - of_examples("{n}i,{n}k->{n}i{n}i,{n}k", x, p, p)
        - of_examples("{n}i,{n}j->{n}i{n}j,{n}i", x, p, p)
        - of_examples("{n}i,{n}j->{n}i{n}j,{n}j", x, p, p)
        + 2 * of_examples("{n}i,{n}j,{n}k->{n}i{n}j,{n}k", x, p, p, p)
    )


@rule(
    jacobian={"x": lambda x: covariance(probabilities(x))},
    vjp={"x": softmax_vjp},
    second=_softmax_hessian,
    source="∂p/∂x = diag(p) − p pᵀ, ∂²p_i/∂x_j∂x_k = p_i[(δ_ij − p_j)(δ_ik − p_k) − p_j(δ_jk − p_k)]",
    ids="L-softmax-J L-softmax-vjp",
    second_ids="L-softmax-H",
    analytic=True,
)
def softmax(x: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """p = eˣ / Σ eˣ over the last axis, ∂p/∂x = diag(p) − p pᵀ, as a vjp p ⊙ (u − ⟨u, p⟩).

    Shape (*n, k), any leading axes; shifted by the largest entry, so that no input overflows.
    """
    return probabilities(x)


entry(
    "softmax with temperature",
    "L-softmax-T",
    "x: *n k, tau: positive",
    lambda x, tau: probabilities(x / tau),
    {
        "x": lambda x, tau: covariance(probabilities(x / tau), 1 / tau),
        "tau": lambda x, tau: covariance(probabilities(x / tau), -1 / tau**2) @ x,
    },
    source="∂/∂x = (diag(p) − p pᵀ)/τ, ∂/∂τ = −(diag(p) − p pᵀ)x/τ²",
)


@rule(
    jacobian={
        "x": lambda x: (
            identity(x.shape, x.dtype) - einsum("...j->...i,...j", probabilities(x), sizes={"i": x.shape[-1]})
        )
    },
    vjp={"x": lambda u, y, x: u - jnp.sum(u, axis=-1, keepdims=True) * jnp.exp(y)},
    second=lambda x: (
        of_examples("{n}i,{n}k->{n}j{n}i,{n}k", x, probabilities(x), probabilities(x), j=x.shape[-1])
        - of_examples("{n}i->{n}j{n}i,{n}i", x, probabilities(x), j=x.shape[-1])
    ),
    source="∂ ln p/∂x = I − 1 pᵀ; as a vjp u − (Σ u) p",
    ids="L-logsoftmax-J L-logsoftmax-vjp",
    analytic=True,
)
def log_softmax(x: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """ln p = x − ln Σ eˣ over the last axis, ∂ ln p/∂x = I − 1 pᵀ, as a vjp u − (Σ u) p with p = softmax(x).

    Shape (*n, k), any leading axes. Exact for entries of any size: near 0, ln p keeps its relative accuracy.
    """
    return stable.log_softmax(x) if x.shape[-1] else x


@rule(
    jacobian={"x": lambda x: einsum("...k->...,...k", probabilities(x))},
    vjp={"x": lambda u, _, x: u[..., None] * probabilities(x)},
    second=lambda x: (
        of_examples("{n}i->{n}{n}i,{n}i", x, probabilities(x))
        - of_examples("{n}i,{n}j->{n}{n}i,{n}j", x, probabilities(x), probabilities(x))
    ),
    source="∂/∂x = pᵀ, the Hessian diag(p) − p pᵀ, with p = softmax(x)",
    ids="L-lse",
    analytic=True,
)
def logsumexp(x: Float[Array, "*n k"]) -> Float[Array, "*n"]:
    """ln Σ eˣ over the last axis, (*n, k) → (*n); ∂/∂x = pᵀ with p = softmax(x). No input overflows; −∞ for k = 0."""
    if x.shape[-1] == 0:
        return jnp.full(x.shape[:-1], -jnp.inf, x.dtype)
    return stable.logsumexp(x)


def _on_simplex(x: jax.Array) -> jax.Array:
    """max(x − τ, 0) with τ such that it sums to 1: the mean over the support of x, less 1/|S|."""
    if x.shape[-1] == 0:
        return x
    x = x - jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True))  # projects to the same point
    falling = jnp.flip(jnp.sort(x, axis=-1), axis=-1)
    ranks = jnp.broadcast_to(jnp.arange(1, x.shape[-1] + 1, dtype=x.dtype), x.shape)
    support = ranks * falling > jnp.cumsum(falling, axis=-1) - 1
    size = jnp.sum(support, axis=-1, keepdims=True).astype(x.dtype)
    tau = (jnp.sum(jnp.where(support, falling, 0), axis=-1, keepdims=True) - 1) / size
    return jnp.where(x <= tau, 0, x - tau)


def _support(p: jax.Array) -> tuple[jax.Array, jax.Array]:
    """s = 1[p > 0] and |S|, which is never 0."""
    s = (p > 0).astype(p.dtype)
    return s, jnp.maximum(jnp.sum(s, axis=-1, keepdims=True), 1)


def _sparsemax_vjp(u: jax.Array, p: jax.Array, _: jax.Array) -> jax.Array:
    s, size = _support(p)
    return s * (u - jnp.sum(s * u, axis=-1, keepdims=True) / size)


def _sparsemax_jacobian(x: jax.Array) -> LinearMap:
    s, size = _support(_on_simplex(x))
    return einsum("...i->...i,...i", s) - einsum("...i,...j->...i,...j", s / size, s)


@rule(
    jacobian={"x": _sparsemax_jacobian},
    vjp={"x": _sparsemax_vjp},
    source="Martins & Astudillo, arXiv 1602.02068: ∂p/∂x = diag(s) − s sᵀ/|S| with s = 1[p > 0]",
    ids="L-sparsemax-J",
    kinks="where the support changes: an entry that is just 0 counts as outside",
)
def sparsemax(x: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """The point p of the probability simplex that is nearest to x, over the last axis; entries may be exactly 0.

    ∂p/∂x = diag(s) − s sᵀ/|S| with s = 1[p > 0]. Shape (*n, k), any leading axes.
    """
    return _on_simplex(x)
