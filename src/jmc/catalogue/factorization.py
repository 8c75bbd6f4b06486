"""Factorisations of matrices, and what is solved with them.

Each derivative is that of its definition (A = LLᵀ, A = QR, XX = A, …), solved for the factors; a dot there is ∂ here.
"""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import between, eye, inv, kron, left, pinv, right, symmetric_part, transposition
from jmc.catalogue.eigenvalue import READS, gaps
from jmc.catalogue.rule import entry
from jmc.linear.build import dense, diagonal, einsum
from jmc.linear.linear_map import LinearMap


def _of_cholesky(A: jax.Array) -> LinearMap:
    """∂L = L Φ(L⁻¹ ∂A L⁻ᵀ), where Φ takes the lower triangle and halves the diagonal."""
    L = jnp.linalg.cholesky(A)
    phi = jnp.tril(jnp.ones_like(A)) - eye(A) / 2
    return left(L, len(A)) @ diagonal(phi) @ between(inv(L), inv(L).T) @ symmetric_part(len(A))


entry(
    "Cholesky factor, A = LLᵀ",
    "G-13",
    "A: n n spd",
    lambda A: jnp.linalg.cholesky((A + A.T) / 2),
    _of_cholesky,
    conditions=READS + "it is positive definite",
    analytic=False,
)


def _of_qr(A: jax.Array) -> tuple[LinearMap, LinearMap]:
    """With M = Qᵀ ∂A R⁻¹ and Ω = its strictly lower triangle minus the transpose of that: ∂Q = QΩ + (I − QQᵀ) ∂A R⁻¹,
    ∂R = (M − Ω) R.
    """
    Q, R = jnp.linalg.qr(A)
    m = len(R)
    M = between(Q.T, inv(R))
    lower = diagonal(jnp.tril(jnp.ones_like(R), -1)) @ M
    omega = lower - transposition(m, m) @ lower
    return left(Q, m) @ omega + between(eye(A.T) - Q @ Q.T, inv(R)), right(R, m) @ (M - omega)


entry(
    "QR factors, A = QR",
    "G+5",
    "A: n m full_rank",
    lambda A: tuple(jnp.linalg.qr(A)),
    _of_qr,
    source="Walter & Lehmann (2010), arXiv 1001.1654: QᵀQ = I and R is upper triangular",
    conditions="A has full column rank; Q is (n, m), with the signs of the routine",
    analytic=False,
    decreasing=("n", "m"),
)


def _of_lu(A: jax.Array) -> tuple[LinearMap, LinearMap]:
    """With F = L⁻¹ Pᵀ ∂A U⁻¹: ∂L = L tril(F, −1), ∂U = triu(F) U."""
    P, L, U = jax.scipy.linalg.lu(A)
    n, F = len(A), between(inv(L) @ P.T, inv(U))
    one = jnp.ones_like(A)
    return left(L, n) @ diagonal(jnp.tril(one, -1)) @ F, right(U, n) @ diagonal(jnp.triu(one)) @ F


entry(
    "LU factors, A = PLU",
    "G+6",
    "A: n n invertible",
    lambda A: jax.scipy.linalg.lu(A)[1:],
    _of_lu,
    source="L⁻¹Pᵀ ∂A U⁻¹ = L⁻¹ ∂L + ∂U U⁻¹: strictly lower plus upper",
    conditions="A is invertible, and the permutation P stays as it is",
    analytic=False,
)


def svd(A: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U, s and V of A = U diag(s) Vᵀ; the components of each column of V sum to a positive number."""
    U, s, Vt = jnp.linalg.svd(A, full_matrices=False)
    sign = jnp.where(Vt.sum(axis=1) < 0, -1, 1).astype(A.dtype)[None, :]
    return U * sign, s, Vt.T * sign


def _of_svd(A: jax.Array) -> tuple[LinearMap, LinearMap, LinearMap]:
    """With P = Uᵀ ∂A V and F_ij = 1/(s_j² − s_i²): ∂s = I ∘ P, ∂V = V (F ∘ (S P + Pᵀ S)) and
    ∂U = U (F ∘ (P S + S Pᵀ)) + (I − UUᵀ) ∂A V S⁻¹.
    """
    (U, s, V), m = svd(A), A.shape[1]
    P, F = between(U.T, V), gaps(s) / (s[None, :] + s[:, None])
    PT = transposition(m, m) @ P
    by_rows, by_columns = diagonal(F * s[:, None]), diagonal(F * s[None, :])
    return (
        left(U, m) @ (by_columns @ P + by_rows @ PT) + between(eye(A.T) - U @ U.T, V / s[None, :]),
        einsum("ik,jk->k,ij", U, V),
        left(V, m) @ (by_rows @ P + by_columns @ PT),
    )


entry(
    "singular value decomposition, A = USVᵀ",
    "G-12",
    "A: n m full_rank",
    lambda A: svd(A),
    _of_svd,
    conditions="n ≥ m, U is (n, m); the singular values are distinct and not 0; the components of each column of V sum"
    " to a positive number, which fixes the signs",
    analytic=False,
    decreasing=("n", "m"),
)


def _of_pinv(A: jax.Array) -> LinearMap:
    """∂P = −P ∂A P + PPᵀ ∂Aᵀ (I − AP) + (I − PA) ∂Aᵀ PᵀP."""
    P = pinv(A)
    along = between(P @ P.T, eye(P) - A @ P) + between(eye(A) - P @ A, P.T @ P)
    return along @ transposition(*A.shape) - between(P, P)


def _of_least_squares(A: jax.Array, b: jax.Array) -> LinearMap:
    """∂x = (AᵀA)⁻¹ ∂Aᵀ (b − Ax) − A⁺ ∂A x."""
    P = pinv(A)
    x = P @ b
    return einsum("kj,i->k,ij", P @ P.T, b - A @ x) - einsum("ki,j->k,ij", P, x)


entry(
    "pseudo-inverse",
    "G+4",
    "A: m n full_rank",
    lambda A: pinv(A),
    _of_pinv,
    source="Golub & Pereyra (1973), The differentiation of pseudo-inverses",
    conditions="the rank of A stays as it is",
    analytic=False,
)
entry(
    "least squares, argmin ‖Ax − b‖",
    "G+8",
    "A: m n full_rank, b: m",
    lambda A, b: jnp.linalg.solve(A.T @ A, A.T @ b),
    {"A": _of_least_squares, "b": lambda A, b: pinv(A)},
    source="AᵀAx = Aᵀb: ∂x = (AᵀA)⁻¹ ∂Aᵀ (b − Ax) − A⁺ ∂A x + A⁺ ∂b",
    conditions="A has full column rank",
    decreasing=("m", "n"),
)


def square_root(A: jax.Array) -> jax.Array:
    """The symmetric X with XX = A and positive eigenvalues, of the symmetric part of A."""
    d, V = jnp.linalg.eigh((A + A.T) / 2)
    return V * jnp.sqrt(d)[None, :] @ V.T


def _of_square_root(A: jax.Array) -> LinearMap:
    """X ∂X + ∂X X = ∂A, solved in the basis of eigenvectors, where X = V diag(r) Vᵀ."""
    d, V = jnp.linalg.eigh((A + A.T) / 2)
    r = jnp.sqrt(d)
    return between(V, V.T) @ diagonal(1 / (r[None, :] + r[:, None])) @ between(V.T, V) @ symmetric_part(len(A))


entry(
    "square root of a matrix",
    "G+7",
    "A: n n spd",
    lambda A: square_root(A),
    _of_square_root,
    source="XX = A: X ∂X + ∂X X = ∂A",
    conditions=READS + "it is positive definite",
    analytic=False,
)


def sylvester(C: jax.Array, A: jax.Array, B: jax.Array) -> jax.Array:
    """The solution X of AX + XB = C."""
    return jnp.linalg.solve(_of_x(A, B), C.ravel()).reshape(C.shape)


def _of_x(A: jax.Array, B: jax.Array) -> jax.Array:
    """The matrix of X ↦ AX + XB, in row-major order."""
    return kron(A, eye(B)) + kron(eye(A), B.T)


def _of_c(C: jax.Array, A: jax.Array, B: jax.Array) -> LinearMap:
    """The map from C to X."""
    return dense(inv(_of_x(A, B)).reshape(C.shape + C.shape), 2)


entry(
    "solution of AX + XB = C",
    {"C": "G+11"},
    "C: m n, A: m m spd, B: n n spd",
    lambda C, A, B: sylvester(C, A, B),
    {
        "C": _of_c,
        "A": lambda C, A, B: -_of_c(C, A, B) @ right(sylvester(C, A, B), len(A)),
        "B": lambda C, A, B: -_of_c(C, A, B) @ left(sylvester(C, A, B), len(B)),
    },
    source="A ∂X + ∂X B = ∂C − ∂A X − X ∂B",
    conditions="no eigenvalue of A is one of −B",
    small={"m": 3, "n": 2},
)
