"""Contrastive losses: a representation should be more like its own partner than like those of the others."""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.batch import share
from jmc.catalogue.classification import softmax_minus_label
from jmc.catalogue.rule import rule
from jmc.catalogue.softmax import probabilities
from jmc.catalogue.stable import log_softmax
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


def _similarity(Z: jax.Array, K: jax.Array, tau: jax.Array) -> jax.Array:
    return Z @ K.T / tau


def _error(Z: jax.Array, K: jax.Array, tau: jax.Array) -> jax.Array:
    """(P − I)/N with P = softmax(Z Kᵀ/τ)."""
    S = _similarity(Z, K, tau)
    return share(Z, 1) * softmax_minus_label(S, jnp.arange(len(Z))) if len(Z) else S


def _hessian(Z: jax.Array, K: jax.Array, tau: jax.Array) -> LinearMap:
    """Kᵀ (diag(p_i) − p_i p_iᵀ) K/(N τ²) for each example i."""
    P = probabilities(_similarity(Z, K, tau))
    centre = P @ K
    weight = share(Z, 1) / tau**2
    return einsum("ij,jd,je->id,ie", weight * P, K, K) - einsum("id,ie->id,ie", weight * centre, centre)


@rule(
    vjp={
        "Z": lambda u, _, Z, K, tau: u * _error(Z, K, tau) @ K / tau,
        "K": lambda u, _, Z, K, tau: u * _error(Z, K, tau).T @ Z / tau,
        "tau": lambda u, _, Z, K, tau: -u * jnp.sum(_error(Z, K, tau) * _similarity(Z, K, tau)) / tau,
    },
    second=_hessian,
    source="van den Oord et al., arXiv 1807.03748: ∂/∂Z = (P − I)K/(N τ) with P = softmax(Z Kᵀ/τ)",
    ids={"Z": "L-infonce"},
    analytic=True,
    domain={"tau": "positive"},
)
def info_nce(Z: Float[Array, "N d"], K: Float[Array, "N d"], tau: Float[Array, ""] = 1.0) -> Float[Array, ""]:
    """−(1/N) Σ_i ln softmax(Z Kᵀ/τ)_ii: row i of Z should be most like row i of K.

    ∂/∂Z = (P − I)K/(N τ), ∂/∂K = (P − I)ᵀZ/(N τ) with P = softmax(Z Kᵀ/τ). ``Z`` and ``K`` have shape (N, d) and one
    dtype, ``tau`` τ > 0 is a scalar; else ValueError or TypeError.
    """
    if len(Z) == 0:
        return jnp.full((), jnp.nan, Z.dtype)
    return -jnp.mean(jnp.diagonal(log_softmax(_similarity(Z, K, tau))))
