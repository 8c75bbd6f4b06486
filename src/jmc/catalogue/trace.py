"""Traces: tr of products, powers and functions of X."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import expm, inv, kron, power, tr, trace_row
from jmc.catalogue.inner import series
from jmc.catalogue.rule import entry

K = 5
"""The power in rules about Xᵏ."""


# first order
entry("trace", "K-36 K-99 W-D-1 W-SM-13", "X: n n", lambda X: tr(X), lambda X: trace_row(len(X)))
entry("trace of XA", "K-100 W-SM-17", "X: n m, A: m n", lambda X, A: tr(X @ A), lambda X, A: A.T)
entry("trace of XᵀA", "K-103 K-104 W-SM-18", "X: n m, A: n m", lambda X, A: tr(X.T @ A), lambda X, A: A)
entry(
    "trace of AXB",
    "K-101 W-SM-21",
    "X: n m, A: p n, B: m p",
    lambda X, A, B: tr(A @ X @ B),
    lambda X, A, B: A.T @ B.T,
)
entry(
    "trace of AXᵀB",
    "K-102",
    "X: n m, A: p m, B: n p",
    lambda X, A, B: tr(A @ X.T @ B),
    lambda X, A, B: B @ A,
)
entry("trace of A ⊗ X", "K-105", "X: n n, A: m m", lambda X, A: tr(kron(A, X)), lambda X, A: tr(A) * trace_row(len(X)))

# second order
entry("trace of X²", "K-106", "X: n n", lambda X: tr(X @ X), lambda X: 2 * X.T)
entry("trace of X²B", "K-107", "X: n n, B: n n", lambda X, B: tr(X @ X @ B), lambda X, B: (X @ B + B @ X).T)
for name, ids, f in (
    ("XᵀBX", "K-108 W-SM-19", lambda X, B: tr(X.T @ B @ X)),
    ("BXXᵀ", "K-109", lambda X, B: tr(B @ X @ X.T)),
    ("XXᵀB", "K-110", lambda X, B: tr(X @ X.T @ B)),
):
    entry(
        f"trace of {name}",
        ids,
        "X: n m, B: n n",
        f,
        lambda X, B: B @ X + B.T @ X,
    )
for name, ids, f in (
    ("XBXᵀ", "K-111", lambda X, B: tr(X @ B @ X.T)),
    ("BXᵀX", "K-112", lambda X, B: tr(B @ X.T @ X)),
    ("XᵀXB", "K-113", lambda X, B: tr(X.T @ X @ B)),
):
    entry(
        f"trace of {name}",
        ids,
        "X: n m, B: m m",
        f,
        lambda X, B: X @ B.T + X @ B,
    )
entry(
    "trace of AXBX",
    "K-114",
    "X: n m, A: m n, B: m n",
    lambda X, A, B: tr(A @ X @ B @ X),
    lambda X, A, B: A.T @ X.T @ B.T + B.T @ X.T @ A.T,
)
entry(
    "trace of BᵀXᵀCXB",
    "K-116",
    "X: n m, B: m p, C: n n",
    lambda X, B, C: tr(B.T @ X.T @ C @ X @ B),
    lambda X, B, C: C.T @ X @ B @ B.T + C @ X @ B @ B.T,
)
entry(
    "trace of XᵀBXC",
    "K-117",
    "X: n m, B: n n, C: m m",
    lambda X, B, C: tr(X.T @ B @ X @ C),
    lambda X, B, C: B @ X @ C + B.T @ X @ C.T,
)
entry(
    "trace of AXBXᵀC",
    "K-118 W-SM-22",
    "X: n m, A: p n, B: m m, C: n p",
    lambda X, A, B, C: tr(A @ X @ B @ X.T @ C),
    lambda X, A, B, C: A.T @ C.T @ X @ B.T + C @ A @ X @ B,
)
entry(
    "trace of (AXB + C)(AXB + C)ᵀ",
    "K-119",
    "X: n m, A: p n, B: m q, C: p q",
    lambda X, A, B, C: tr((A @ X @ B + C) @ (A @ X @ B + C).T),
    lambda X, A, B, C: 2 * A.T @ (A @ X @ B + C) @ B.T,
)
entry("trace of X ⊗ X", "K-120", "X: n n", lambda X: tr(kron(X, X)), lambda X: 2 * tr(X) * trace_row(len(X)))

# higher order
entry("trace of a power", "K-121 W-SM-23", "X: n n", lambda X: tr(power(X, K)), lambda X: K * power(X, K - 1).T)
entry(
    "trace of A times a power",
    "K-122 W-SM-24",
    "X: n n, A: n n",
    lambda X, A: tr(A @ power(X, K)),
    lambda X, A: sum((power(X, r) @ A @ power(X, K - r - 1)).T for r in range(K)),
)
entry(
    "trace of BᵀXᵀCXXᵀCXB",
    "K-123",
    "X: n m, B: m p, C: n n",
    lambda X, B, C: tr(B.T @ X.T @ C @ X @ X.T @ C @ X @ B),
    lambda X, B, C: (
        C @ X @ X.T @ C @ X @ B @ B.T
        + C.T @ X @ B @ B.T @ X.T @ C.T @ X
        + C @ X @ B @ B.T @ X.T @ C @ X
        + C.T @ X @ X.T @ C.T @ X @ B @ B.T
    ),
)


# matrix functions
def sine_and_cosine(X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The matrix functions sin X and cos X: exp [[0, X], [−X, 0]] = [[cos X, sin X], [−sin X, cos X]]."""
    n = len(X)
    top = expm(jnp.block([[0 * X, X], [-X, 0 * X]]))[:n]
    return top[:, n:], top[:, :n]


entry(
    "trace of a power series",
    "K-98a W-SM-16",
    "X: n n, c: k",
    lambda X, c: tr(series(X, c)),
    lambda X, c: series.D(X, c).T,
    conditions="F(X) = Σ cₖ Xᵏ, a matrix function; the derivative is F′(X)ᵀ",
)
entry("trace of the exponential", "W-SM-25", "X: n n full_rank", lambda X: tr(expm(X)), lambda X: expm(X).T)
entry(
    "trace of the sine",
    "K-128 W-SM-26",
    "X: n n full_rank",
    lambda X: tr(sine_and_cosine(X)[0]),
    lambda X: sine_and_cosine(X)[1].T,
    conditions="sin and cos are matrix functions, not element-wise",
)

# with an inverse; G = (XᵀCX)⁻¹ or (A + XᵀCX)⁻¹
entry(
    "trace of (XᵀCX)⁻¹A",
    "K-125",
    "X: n m full_rank, A: m m, C: n n spd",
    lambda X, A, C: tr(inv(X.T @ C @ X) @ A),
    lambda X, A, C: -C @ X @ inv(X.T @ C @ X) @ (A + A.T) @ inv(X.T @ C @ X),
    conditions="C is symmetric",
    decreasing=("n", "m"),
)
entry(
    "trace of (XᵀCX)⁻¹XᵀBX",
    "K-126",
    "X: n m full_rank, B: n n symmetric, C: n n spd",
    lambda X, B, C: tr(inv(X.T @ C @ X) @ (X.T @ B @ X)),
    lambda X, B, C: _quotient(inv(X.T @ C @ X), X, B, C),
    conditions="B and C are symmetric",
    decreasing=("n", "m"),
)
entry(
    "trace of (A + XᵀCX)⁻¹XᵀBX",
    "K-127",
    "X: n m full_rank, A: m m real_eigenvalues, B: n n symmetric, C: n n spd",
    lambda X, A, B, C: tr(inv(A + X.T @ C @ X) @ (X.T @ B @ X)),
    lambda X, A, B, C: _quotient(inv(A + X.T @ C @ X), X, B, C) / 2 + _quotient(inv(A + X.T @ C @ X).T, X, B, C) / 2,
    conditions="B and C are symmetric",
    decreasing=("n", "m"),
    erratum="−2CXGXᵀBXG + 2BXG is printed for B and C symmetric, but holds only if A is symmetric too: in general it is"
    " the mean of this and of the same with Gᵀ for G = (A + XᵀCX)⁻¹",
    printed=lambda X, A, B, C: _quotient(inv(A + X.T @ C @ X), X, B, C),
)


def _quotient(G: jax.Array, X: jax.Array, B: jax.Array, C: jax.Array) -> jax.Array:
    """−2CXG(XᵀBX)G + 2BXG."""
    return -2 * C @ X @ G @ X.T @ B @ X @ G + 2 * B @ X @ G
