"""Norms of vectors and matrices."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import outer, tr
from jmc.catalogue.rule import entry
from jmc.linear.build import einsum, identity
from jmc.linear.linear_map import LinearMap


def distance(x: jax.Array, a: jax.Array) -> jax.Array:
    """‖x − a‖₂."""
    return jnp.sqrt((x - a) @ (x - a))


def _of_direction(x: jax.Array, a: jax.Array) -> LinearMap:
    """I/‖x − a‖ − (x − a)(x − a)ᵀ/‖x − a‖³."""
    r = distance(x, a)
    u = (x - a) / r
    return (identity(x.shape, dtype=x.dtype) - einsum("i,j->i,j", u, u)) / r


def _p_norm(x: jax.Array, p: jax.Array) -> jax.Array:
    return jnp.sum(jnp.abs(x) ** p) ** (1 / p)


def _of_nuclear(A: jax.Array) -> jax.Array:
    """U Vᵀ of A = U diag(s) Vᵀ."""
    U, _, Vt = jnp.linalg.svd(A, full_matrices=False)
    return U @ Vt


def _of_spectral(A: jax.Array) -> jax.Array:
    """u₁ v₁ᵀ."""
    U, _, Vt = jnp.linalg.svd(A, full_matrices=False)
    return outer(U[:, 0], Vt[0])


entry(
    "distance",
    "K-129 W-SV-20",
    "x: n, a: n",
    lambda x, a: distance(x, a),
    lambda x, a: (x - a) / distance(x, a),
    second=_of_direction,
    second_ids="K-130",
    conditions="x ≠ a",
)
entry("squared norm", "K-131 W-SV-16", "x: n", lambda x: x @ x, lambda x: 2 * x, second=lambda x: 2 * identity(x.shape))
entry(
    "squared Frobenius norm",
    "K-115 K-132",
    "X: n m",
    lambda X: tr(X @ X.T),
    lambda X: 2 * X,
    second=lambda X: 2 * identity(X.shape),
)
entry(
    "Frobenius norm",
    "G-14",
    "A: n m",
    lambda A: jnp.sqrt(tr(A.T @ A)),
    lambda A: A / jnp.sqrt(tr(A.T @ A)),
    conditions="A ≠ 0",
)
entry(
    "spectral norm",
    "G-15",
    "A: n m full_rank",
    lambda A: jnp.linalg.norm(A, 2),
    _of_spectral,
    conditions="the largest singular value is simple",
    analytic=False,
)
entry(
    "nuclear norm",
    "G+1",
    "A: n m full_rank",
    lambda A: jnp.linalg.norm(A, "nuc"),
    _of_nuclear,
    source="the sum of the singular values: ∂/∂A = UVᵀ",
    conditions="A has full rank",
    analytic=False,
)
entry(
    "p-norm",
    "G+2",
    "x: n nonzero, p: positive",
    lambda x, p: _p_norm(x, p),
    lambda x, p: jnp.sign(x) * (jnp.abs(x) / _p_norm(x, p)) ** (p - 1),
    source="∂‖x‖_p/∂x_i = x_i |x_i|ᵖ⁻² / ‖x‖_pᵖ⁻¹",
    conditions="x ≠ 0; for p ≤ 1 no entry of x is 0",
    analytic=False,
)
