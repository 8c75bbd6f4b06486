"""Determinants and their logarithms."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import det, inv, logdet, pinv, power, tr
from jmc.catalogue.inner import regular
from jmc.catalogue.rule import entry
from jmc.linear.build import zeros

Y = regular
K = 3
"""The power in rules about Xᵏ."""


def cofactors(X: jax.Array) -> jax.Array:
    """The matrix of cofactors, adj(X)ᵀ: det(X) X⁻ᵀ, and its limit where X is singular.

    With X = U diag(s) Vᵀ it is det(UVᵀ) U diag(Π_{j≠i} s_j) Vᵀ.
    """
    U, s, Vt = jnp.linalg.svd(X)
    others = jnp.prod(jnp.where(jnp.eye(len(s), dtype=bool), 1, s), axis=1)
    return det(U @ Vt) * (U * others[None, :]) @ Vt


def _second(value: jax.Array, dY: jax.Array, ddY: jax.Array) -> jax.Array:
    """∂² det Y/∂x∂x from Y⁻¹Y′ and Y⁻¹Y″."""
    return value * (tr(ddY) + tr(dY) ** 2 - tr(dY @ dY))


entry("determinant", "K-41 K-42 K-49 W-D-2 W-SM-27 G-4", "X: n n", lambda X: det(X), cofactors)
entry(
    "expansion of the determinant",
    "K-47 K-50",
    "t: zero, X: n n invertible, W: n n",
    lambda t, X, W: det(X + t * W @ X),
    lambda t, X, W: tr(W) * det(X),
    conditions="t = 0, where it is Σ_ij W_ij Σ_k ∂ det X/∂X_ik X_jk: for any W, Σ_k ∂ det X/∂X_ik X_jk = δ_ij det X",
)
entry(
    "determinant of a matrix of a scalar",
    "K-46 W-SS-3",
    "x:, A: n n",
    lambda x, A: det(Y(x, A)),
    lambda x, A: det(Y(x, A)) * tr(inv(Y(x, A)) @ Y.D(x, A)),
    second=lambda x, A: _second(det(Y(x, A)), inv(Y(x, A)) @ Y.D(x, A), inv(Y(x, A)) @ Y.D2(x, A)),
    second_ids="K-48 W-SS-5",
    conditions="Y(x) is invertible",
)
entry(
    "determinant of AXB",
    "K-51 W-SM-29",
    "X: n n invertible, A: n n, B: n n",
    lambda X, A, B: det(A @ X @ B),
    lambda X, A, B: det(A @ X @ B) * inv(X).T,
)
entry(
    "determinant of XᵀAX, X square",
    "K-52 W-SM-33",
    "X: n n invertible, A: n n",
    lambda X, A: det(X.T @ A @ X),
    lambda X, A: 2 * det(X.T @ A @ X) * inv(X).T,
)
entry(
    "determinant of XᵀAX, A symmetric",
    "K-53 W-SM-34",
    "X: n m full_rank, A: n n spd",
    lambda X, A: det(X.T @ A @ X),
    lambda X, A: 2 * det(X.T @ A @ X) * A @ X @ inv(X.T @ A @ X),
    conditions="A is symmetric, XᵀAX invertible",
    decreasing=("n", "m"),
)
entry(
    "determinant of XᵀAX",
    "K-54 W-SM-35",
    "X: n m full_rank, A: n n real_eigenvalues",
    lambda X, A: det(X.T @ A @ X),
    lambda X, A: det(X.T @ A @ X) * (A @ X @ inv(X.T @ A @ X) + A.T @ X @ inv(X.T @ A.T @ X)),
    conditions="XᵀAX is invertible",
    decreasing=("n", "m"),
)
entry(
    "determinant of a power",
    "K-58 W-SM-30",
    "X: n n invertible",
    lambda X: det(power(X, K)),
    lambda X: K * det(power(X, K)) * inv(X).T,
)
entry(
    "log determinant", "K-43 K-57 W-D-3", "X: n n invertible", lambda X: logdet(X), lambda X: inv(X).T, analytic=False
)
entry(
    "log determinant of aX",
    "W-SM-28",
    "X: n n invertible, a: nonzero",
    lambda X, a: logdet(a * X),
    lambda X, a: inv(X).T,
    analytic=False,
)
entry(
    "log determinant of XᵀX",
    "K-55 W-SM-31",
    "X: n m full_rank",
    lambda X: logdet(X.T @ X),
    lambda X: 2 * pinv(X).T,
    conditions="X has full column rank",
    analytic=False,
    decreasing=("n", "m"),
)
entry(
    "log determinant of XᵀX by the pseudo-inverse",
    "K-56 W-SM-32",
    "P: m n full_rank",
    lambda P: logdet(pinv(P).T @ pinv(P)),
    lambda P: -2 * pinv(P).T,
    conditions="P = X⁺ of a matrix X with full column rank: X = P⁺",
    analytic=False,
    decreasing=("n", "m"),
)
entry(
    "sign and log determinant",
    "G+3",
    "A: n n invertible",
    lambda A: tuple(jnp.linalg.slogdet(A)),
    lambda A: (zeros((), A.shape), inv(A).T),
    source="det A = sign · exp(ln |det A|); the sign is constant, ∂ ln |det A|/∂A = A⁻ᵀ",
    analytic=False,
)
