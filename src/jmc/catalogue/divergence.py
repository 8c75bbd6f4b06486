"""Divergences and entropies of distributions over the last axis, as a mean over the N examples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.batch import mean, share
from jmc.catalogue.classification import softmax_minus_target, weighted_covariance
from jmc.catalogue.rule import entry, rule
from jmc.catalogue.stable import log_softmax
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


@rule(
    vjp={
        "p": mean(lambda p, q: jnp.log(p / q) + 1, class_axes=1),
        "q": mean(lambda p, q: jnp.where(p == 0, 0, -p / q), class_axes=1),
    },
    second=lambda p, q: build.diagonal(share(p, 1) / p),
    source="ℓ = Σ p ln(p/q), ∂ℓ/∂p = ln(p/q) + 1, ∂ℓ/∂q = −p/q, ∂²ℓ/∂p² = 1/p",
    ids={"p": "L-kl-p", "q": "L-kl-q"},
    conditions="p and q have free entries: neither is held to the sum 1",
    analytic=True,
    domain={"p": "distribution", "q": "distribution"},
)
def kl_divergence(p: Float[Array, "*n k"], q: Float[Array, "*n k"]) -> Float[Array, ""]:
    """(1/N) Σ_i Σ_k p ln(p/q), KL(p‖q) of distributions over the last axis, with 0 ln 0 = 0.

    ∂/∂q = −p/(q N), 0 where p = 0; ∂/∂p = (ln(p/q) + 1)/N, −∞ where p = 0. Both have shape (*n, k) and one dtype;
    else ValueError or TypeError.
    """
    nothing = p == 0
    return jnp.mean(jnp.sum(p * jnp.log(jnp.where(nothing, 1, p) / jnp.where(nothing, 1, q)), axis=-1))


entry(
    "kl divergence to a softmax",
    {"x": "L-kl-qlogits"},
    "x: *n k, p: *n k distribution",
    lambda x, p: jnp.sum(p * (jnp.log(p) - log_softmax(x)), axis=-1).mean(),
    lambda x, p: share(x, 1) * softmax_minus_target(x, p),
    second=weighted_covariance,
    source="∂/∂x = softmax(x) − p, the Hessian diag(s) − s sᵀ",
)


def _centred(x: jax.Array, log_q: jax.Array | float) -> tuple[jax.Array, jax.Array]:
    """s = softmax(x) and s ⊙ (ln(s/q) − Σ s ln(s/q)), for each example."""
    log_s = log_softmax(x)
    s, ratio = jnp.exp(log_s), log_s - log_q
    return s, s * (ratio - jnp.sum(s * ratio, axis=-1, keepdims=True))


def _bent(s: jax.Array, g: jax.Array) -> LinearMap:
    """diag(g + s) − g sᵀ − s gᵀ − s sᵀ, over N, for each example: with g as above, its derivative."""
    weight = share(s, 1)
    pairs = einsum("...i,...j->...i,...j", g, s) + einsum("...i,...j->...i,...j", s, g + s)
    return weight * (build.diagonal(g + s) - pairs)


entry(
    "kl divergence of a softmax",
    {"x": "L-kl-plogits"},
    "x: *n k, q: *n k distribution",
    lambda x, q: jnp.sum(jnp.exp(log_softmax(x)) * (log_softmax(x) - jnp.log(q)), axis=-1).mean(),
    lambda x, q: share(x, 1) * _centred(x, jnp.log(q))[1],
    second=lambda x, q: _bent(*_centred(x, jnp.log(q))),
    source="∂/∂x = s ⊙ (ln(s/q) − KL) =: g, the Hessian diag(g + s) − g sᵀ − s gᵀ − s sᵀ",
)

entry(
    "entropy of a softmax",
    "L-entropy-logits",
    "x: *n k",
    lambda x: -jnp.sum(jnp.exp(log_softmax(x)) * log_softmax(x), axis=-1).mean(),
    lambda x: -share(x, 1) * _centred(x, 0.0)[1],
    second=lambda x: -_bent(*_centred(x, 0.0)),
    source="∂/∂x = −s ⊙ (ln s + H) =: −g, the Hessian −(diag(g + s) − g sᵀ − s gᵀ − s sᵀ)",
)
