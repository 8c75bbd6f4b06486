"""Functions of matrices with a structure, by their free entries: symmetric, diagonal, Toeplitz.

A symmetric matrix is given by the lower triangle of X, a Toeplitz matrix by its first column and row. The derivative by
a free entry a_ij is Σ_kl ∂f/∂A_kl ∂A_kl/∂a_ij: the gradient at A, composed with the structure's own Jacobian.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.algebra import det, eye, inv, logdet, tr, transposition
from jmc.catalogue.inner import TANH, scalar
from jmc.catalogue.rule import entry
from jmc.linear.build import diagonal, einsum, identity
from jmc.linear.linear_map import LinearMap

g = scalar(*TANH)


# Symmetric.


def symmetric(X: jax.Array) -> jax.Array:
    """The symmetric matrix whose lower triangle is that of X."""
    return jnp.tril(X) + jnp.tril(X, -1).T


def _structure(X: jax.Array) -> LinearMap:
    """S^ij = J^ij + J^ji − J^ij J^ij for i ≥ j: a free entry stands at ij and at ji, on the diagonal once."""
    return (identity(X.shape) + transposition(*X.shape) - diagonal(eye(X))) @ diagonal(jnp.tril(jnp.ones_like(X)))


entry("symmetric matrix by its free entries", "K-134", "X: n n", lambda X: symmetric(X), _structure)
entry(
    "function of a structured matrix",
    "K-133",
    "X: n n, P: n n",
    lambda X, P: g(symmetric(X), P),
    lambda X, P: g.D(symmetric(X), P) @ _structure(X),
)


def _by_lower(G: jax.Array) -> jax.Array:
    """G + Gᵀ − diag(G), read at the free entries, from the gradient G that takes no notice of the symmetry."""
    return jnp.tril(G + G.T - G * eye(G))


entry(
    "function of a symmetric matrix",
    "K-138",
    "X: n n, P: n n",
    lambda X, P: g(symmetric(X), P),
    lambda X, P: _by_lower(g.D(symmetric(X), P)),
)
entry(
    "trace of a product with a symmetric matrix",
    "K-139",
    "X: n n, A: n n",
    lambda X, A: tr(A @ symmetric(X)),
    lambda X, A: jnp.tril(A + A.T - A * eye(A)),
)
entry(
    "determinant of a symmetric matrix",
    "K-140",
    "X: n n spd",
    lambda X: det(symmetric(X)),
    lambda X: jnp.tril(det(symmetric(X)) * (2 * inv(symmetric(X)) - inv(symmetric(X)) * eye(X))),
)
entry(
    "log determinant of a symmetric matrix",
    "K-141",
    "X: n n spd",
    lambda X: logdet(symmetric(X)),
    lambda X: jnp.tril(2 * inv(symmetric(X)) - inv(symmetric(X)) * eye(X)),
    analytic=False,
)

# Diagonal: the free entries are x, or those on the diagonal of X.

entry(
    "diagonal matrix by its free entries",
    "",
    "x: n",
    lambda x: jnp.diag(x),
    lambda x: einsum("->ii,i", sizes={"i": len(x)}),
    source="∂ diag(x)/∂x_i = J^ii",
)
entry(
    "trace of a product with a diagonal matrix",
    "K-142",
    "X: n n, A: n n",
    lambda X, A: tr(A @ (X * eye(X))),
    lambda X, A: A * eye(A),
)

# Toeplitz.


def toeplitz(column: jax.Array, row: jax.Array) -> jax.Array:
    """The matrix with this first column, and this first row but for its first entry."""
    i = np.arange(len(column))
    return jnp.concatenate([row[:0:-1], column])[i[:, None] - i[None, :] + len(column) - 1]


def _sums(A: jax.Array) -> jax.Array:
    """α(A): at ij the sum of the entries A_lk with k − l = i − j, along a diagonal of Aᵀ."""
    below, above = ([jnp.trace(A, d) for d in range(0, sign * len(A), sign)] for sign in (1, -1))
    return toeplitz(jnp.stack(below), jnp.stack(above))


entry(
    "trace of a product with a Toeplitz matrix",
    "K-143",
    "c: n, r: n, A: n n",
    lambda c, r, A: tr(A @ toeplitz(c, r)),
    {"c": lambda c, r, A: _sums(A)[:, 0], "r": lambda c, r, A: _sums(A)[0].at[0].set(0)},
    conditions="the first column is c, the first row r but for its first entry",
)
entry(
    "trace of a product with a symmetric Toeplitz matrix",
    "K-144",
    "c: n, A: n n",
    lambda c, A: tr(A @ toeplitz(c, c)),
    lambda c, A: (_sums(A) + _sums(A).T - _sums(A) * eye(A))[:, 0],
    conditions="the first column and row are c",
)
