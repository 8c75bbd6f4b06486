"""Eigenvalues and eigenvectors."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import between, eye, inv, left, symmetric_part, trace_row
from jmc.catalogue.determinant import cofactors
from jmc.catalogue.rule import entry
from jmc.linear.build import diagonal, einsum
from jmc.linear.linear_map import LinearMap

Pair = tuple[jax.Array, jax.Array]
SIGNS = (
    "the eigenvalues are distinct; the components of each eigenvector sum to a positive number, which fixes its sign"
)
READS = "the symmetric part of A is read, so that each entry may vary by itself; "


def gaps(d: jax.Array) -> jax.Array:
    """F_ij = 1/(d_j − d_i), on the diagonal 0."""
    same = jnp.eye(len(d), dtype=bool)
    return jnp.where(same, 0, 1 / jnp.where(same, 1, d[None, :] - d[:, None]))


def positive_sum(V: jax.Array) -> jax.Array:
    """The columns of V, with the signs that make their sums positive."""
    return V * jnp.where(V.sum(axis=0, keepdims=True) < 0, -1, 1).astype(V.dtype)


def eigh(A: jax.Array) -> Pair:
    """The eigenvalues, ascending, and eigenvectors of the symmetric part of A."""
    d, V = jnp.linalg.eigh((A + A.T) / 2)
    return d, positive_sum(V)


def eig(A: jax.Array) -> Pair:
    """The eigenvalues, ascending, and eigenvectors, of length 1, of a matrix all of whose eigenvalues are real.

    JAX differentiates its eigenvalues only. Each eigenvector is the solution of (A − d I + 1 1ᵀ) u = 1, of sum 1.
    """
    d = jnp.sort(jnp.linalg.eigvals(A).real)
    u = jax.vmap(lambda d: jnp.linalg.solve(A - d * eye(A) + 1, jnp.ones(len(A), A.dtype)), out_axes=1)(d)
    return d, u / jnp.sqrt((u * u).sum(axis=0, keepdims=True))


def _of_eigenvectors(A: jax.Array) -> LinearMap:
    """∂vₖ = (λₖ I − A)⁺ ∂A vₖ, where (λₖ I − A)⁺ = Σ_{j≠k} vⱼ vⱼᵀ/(λₖ − λⱼ)."""
    d, V = eigh(A)
    inverses = jnp.einsum("aj,jk,ij->kai", V, gaps(d), V)
    return einsum("kai,jk->ak,ij", inverses, V) @ symmetric_part(len(A))


def _of_eigh(A: jax.Array) -> tuple[LinearMap, LinearMap]:
    """∂d = I ∘ (Vᵀ ∂A V), ∂V = V (F ∘ (Vᵀ ∂A V))."""
    d, V = eigh(A)
    along = between(V.T, V) @ symmetric_part(len(A))
    return einsum("ik,jk->k,ij", V, V), left(V, len(A)) @ diagonal(gaps(d)) @ along


def _of_eig(A: jax.Array) -> tuple[LinearMap, LinearMap]:
    """∂d = I ∘ (U⁻¹ ∂A U), ∂U = U (G − I ∘ (UᵀU G)) with G = F ∘ (U⁻¹ ∂A U): every column keeps its length."""
    d, U = eig(A)
    G = diagonal(gaps(d)) @ between(inv(U), U)
    return einsum("ki,jk->k,ij", inv(U), U), (left(U, len(A)) - einsum("ak,kb->ak,bk", U, U.T @ U)) @ G


entry(
    "sum of the eigenvalues",
    "K-65",
    "X: n n real_eigenvalues",
    lambda X: jnp.linalg.eigvals(X).sum().real,
    lambda X: trace_row(len(X)),
    analytic=False,
)
entry(
    "product of the eigenvalues",
    "K-66",
    "X: n n real_eigenvalues",
    lambda X: jnp.linalg.eigvals(X).prod().real,
    lambda X: cofactors(X),
    analytic=False,
)
entry(
    "eigenvalues of a symmetric matrix",
    "K-67",
    "A: n n symmetric",
    lambda A: jnp.linalg.eigvalsh((A + A.T) / 2),
    lambda A: _of_eigh(A)[0],
    conditions=READS + "the eigenvalues are distinct",
    analytic=False,
)
entry(
    "eigenvectors of a symmetric matrix",
    "K-68",
    "A: n n symmetric",
    lambda A: eigh(A)[1],
    _of_eigenvectors,
    conditions=READS + SIGNS,
    analytic=False,
)
entry(
    "decomposition of a symmetric matrix, A = VDVᵀ",
    "G-11",
    "A: n n symmetric",
    lambda A: eigh(A),
    _of_eigh,
    conditions=READS + SIGNS,
    analytic=False,
)
entry(
    "eigenvalues and eigenvectors, AU = UD",
    "G-10",
    "A: n n real_eigenvalues",
    lambda A: eig(A),
    _of_eig,
    conditions=f"all eigenvalues are real; {SIGNS}; it has length 1. Without I ∘ (UᵀUG), which keeps that length, this"
    " is Giles's ∂U, whose derivative of a function that no scaling of eigenvectors changes is the same",
    analytic=False,
    small={"n": 3},
)
