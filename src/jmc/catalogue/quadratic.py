"""Linear, bilinear and quadratic forms of vectors and matrices, and forms of higher order, with their Hessians."""

import jax
import jax.numpy as jnp
from jax import lax

from jmc.catalogue.algebra import outer, power
from jmc.catalogue.inner import SIN, TANH, scalar, vector
from jmc.catalogue.rule import entry
from jmc.linear.build import dense, einsum, identity
from jmc.linear.linear_map import LinearMap

# First order.

entry("dot product with a vector", "K-69 W-SV-10", "x: n, a: n", lambda x, a: x @ a, lambda x, a: a)
entry(
    "bilinear form by its vector",
    "W-SV-11",
    "x: n, A: m n, b: m",
    lambda x, A, b: b @ A @ x,
    lambda x, A, b: b @ A,
)
entry(
    "bilinear form by its matrix",
    "K-70 W-SM-8",
    "X: n m, a: n, b: m",
    lambda X, a, b: a @ X @ b,
    lambda X, a, b: outer(a, b),
)
entry(
    "bilinear form of the transpose by its matrix",
    "K-71 W-SM-9",
    "X: n m, a: m, b: n",
    lambda X, a, b: a @ X.T @ b,
    lambda X, a, b: outer(b, a),
)
entry(
    "quadratic form by its matrix",
    "K-72",
    "X: n n, a: n",
    lambda X, a: a @ X.T @ a,
    lambda X, a: outer(a, a),
)
entry("matrix by its entries, J^ij", "K-73", "X: n m", lambda X: X, lambda X: identity(X.shape))
entry(
    "transpose of a matrix times a matrix",
    "K-75",
    "X: m n, A: m k",
    lambda X, A: X.T @ A,
    lambda X, A: einsum("mj->nj,mn", A, sizes={"n": X.shape[1]}),
)

# Second order.

entry(
    "square of the sum of all entries",
    "K-76",
    "X: n m",
    lambda X: jnp.einsum("kl,mn->", X, X),
    lambda X: 2 * X.sum() * jnp.ones_like(X),
    second=lambda X: 2 * einsum("->ij,kl", sizes=dict(zip("ijkl", X.shape * 2, strict=True))),
)
entry(
    "bilinear form of XᵀX",
    "K-77",
    "X: n m, b: m, c: m",
    lambda X, b, c: b @ X.T @ X @ c,
    lambda X, b, c: X @ (outer(b, c) + outer(c, b)),
    second=lambda X, b, c: (
        einsum("j,l->ij,il", b, c, sizes={"i": len(X)}) + einsum("j,l->ij,il", c, b, sizes={"i": len(X)})
    ),
)
entry(
    "bilinear form of two affine functions",
    "K-78 W-SV-19",
    "x: n, B: m n, b: m, C: m k, D: k n, d: k",
    lambda x, B, b, C, D, d: (B @ x + b) @ C @ (D @ x + d),
    lambda x, B, b, C, D, d: B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b),
    second=lambda x, B, b, C, D, d: dense(B.T @ C @ D + D.T @ C.T @ B, 1),
)
entry(
    "matrix of quadratic forms, XᵀBX",
    "K-79 K-80",
    "X: n m, B: n n",
    lambda X, B: X.T @ B @ X,
    lambda X, B: (
        einsum("ki->kj,ij", X.T @ B, sizes={"j": X.shape[1]}) + einsum("il->jl,ij", B @ X, sizes={"j": X.shape[1]})
    ),
)
entry(
    "quadratic form",
    "K-81 W-SV-12",
    "x: n, B: n n",
    lambda x, B: x @ B @ x,
    lambda x, B: (B + B.T) @ x,
    second=lambda x, B: dense(B + B.T, 1),
    second_ids="W-SV-14",
)
entry(
    "quadratic form of a symmetric matrix",
    "W-SV-13",
    "x: n, A: n n symmetric",
    lambda x, A: x @ A @ x,
    lambda x, A: 2 * A @ x,
    second=lambda x, A: dense(2 * A, 1),
    second_ids="W-SV-15",
)
entry(
    "product of two linear forms",
    "W-SV-18",
    "x: n, a: n, b: n",
    lambda x, a, b: a @ outer(x, x) @ b,
    lambda x, a, b: (outer(a, b) + outer(b, a)) @ x,
    second=lambda x, a, b: einsum("i,j->i,j", a, b) + einsum("i,j->i,j", b, a),
)
entry(
    "bilinear form of XᵀDX",
    "K-82",
    "X: n m, D: n n, b: m, c: m",
    lambda X, D, b, c: b @ X.T @ D @ X @ c,
    lambda X, D, b, c: D.T @ X @ outer(b, c) + D @ X @ outer(c, b),
    second=lambda X, D, b, c: einsum("ki,j,l->ij,kl", D, c, b) + einsum("ik,j,l->ij,kl", D, b, c),
)
entry(
    "bilinear form of Xa and Xb",
    "W-SM-12",
    "X: m n, C: m m, a: n, b: n",
    lambda X, C, a, b: (X @ a) @ C @ (X @ b),
    lambda X, C, a, b: C @ X @ outer(b, a) + C.T @ X @ outer(a, b),
    second=lambda X, C, a, b: einsum("ik,j,l->ij,kl", C, a, b) + einsum("ki,j,l->ij,kl", C, b, a),
)
entry(
    "quadratic form of Xb + c",
    "K-83 W-SM-11",
    "X: n m, D: n n, b: m, c: n",
    lambda X, D, b, c: (X @ b + c) @ D @ (X @ b + c),
    lambda X, D, b, c: outer((D + D.T) @ (X @ b + c), b),
    second=lambda X, D, b, c: einsum("ik,j,l->ij,kl", D + D.T, b, b),
)

f = scalar(*TANH)
entry(
    "scalar function of Xa + b",
    "W-SM-10",
    "X: m n, a: n, b: m, p: m",
    lambda X, a, b, p: f(X @ a + b, p),
    lambda X, a, b, p: outer(f.D(X @ a + b, p), a),
)
entry(
    "quadratic form of the residual of a linear model",
    {"s": "K-84", "x": "K-87", "A": "K-88"},
    "x: n, A: n m, s: m, W: n n symmetric",
    lambda x, A, s, W: (x - A @ s) @ W @ (x - A @ s),
    {
        "s": lambda x, A, s, W: -2 * A.T @ W @ (x - A @ s),
        "x": lambda x, A, s, W: 2 * W @ (x - A @ s),
        "A": lambda x, A, s, W: -2 * outer(W @ (x - A @ s), s),
    },
)
entry(
    "quadratic form of a difference",
    {"x": "K-85", "s": "K-86"},
    "x: n, s: n, W: n n symmetric",
    lambda x, s, W: (x - s) @ W @ (x - s),
    {"x": lambda x, s, W: 2 * W @ (x - s), "s": lambda x, s, W: -2 * W @ (x - s)},
)


def _gradient(p: jax.Array, q: jax.Array, u: jax.Array, v: jax.Array, c: jax.Array, d: jax.Array) -> jax.Array:
    """−2b (a − xᴴb)*, for a = p + iq, x = u + iv, b = c + id."""
    a, x, b = lax.complex(p, q), lax.complex(u, v), lax.complex(c, d)
    return -2 * b * jnp.conj(a - jnp.conj(x) @ b)


entry(
    "squared modulus of a − xᴴb by the complex vector x = u + iv",
    "K-89",
    "u: n, v: n, p:, q:, c: n, d: n",
    lambda u, v, p, q, c, d: (p - u @ c - v @ d) ** 2 + (q - u @ d + v @ c) ** 2,
    {
        "u": lambda u, v, p, q, c, d: _gradient(p, q, u, v, c, d).real,
        "v": lambda u, v, p, q, c, d: _gradient(p, q, u, v, c, d).imag,
    },
    conditions="a = p + iq, b = c + id; the complex gradient is ∂/∂u + i ∂/∂v = −2b (a − xᴴb)*",
    erratum="(a − xᴴb)² is printed, which is not real: the derivative is that of |a − xᴴb|²",
)

# Higher order, of Xⁿ with n = 4.

N = 4


def _of_power(X: jax.Array) -> LinearMap:
    """∂(Xⁿ)_kl/∂X_ij = Σ_r (X^r)_ki (X^(n−1−r))_jl."""
    powers = jnp.stack([power(X, r) for r in range(N)])
    return einsum("rki,rjl->kl,ij", powers, powers[::-1])


entry(
    "power of a matrix",
    "K-90 W-D-13",
    "X: n n",
    lambda X: power(X, N),
    _of_power,
    conditions="any power, here the fourth",
)
entry(
    "bilinear form of a power",
    "K-91",
    "X: n n, a: n, b: n",
    lambda X, a, b: a @ power(X, N) @ b,
    lambda X, a, b: sum(power(X, r).T @ outer(a, b) @ power(X, N - 1 - r).T for r in range(N)),
    conditions="n = 4",
)
entry(
    "bilinear form of (Xⁿ)ᵀXⁿ",
    "K-92",
    "X: n n, a: n, b: n",
    lambda X, a, b: a @ power(X, N).T @ power(X, N) @ b,
    lambda X, a, b: sum(
        power(X, r).T @ power(X, N) @ (outer(a, b) + outer(b, a)) @ power(X, N - 1 - r).T for r in range(N)
    ),
    conditions="any power, here the fourth",
    erratum="the first term is printed without its transpose: it is (X^(n−1−r) abᵀ (Xⁿ)ᵀ X^r)ᵀ",
    printed=lambda X, a, b: sum(
        power(X, N - 1 - r) @ outer(a, b) @ power(X, N).T @ power(X, r)
        + power(X, r).T @ power(X, N) @ outer(a, b) @ power(X, N - 1 - r).T
        for r in range(N)
    ),
)

s, r = vector(*SIN), vector(*TANH)
entry(
    "bilinear form of vector functions",
    "K-93 W-SV-8",
    "x: n, A: m k, P: m n, Q: k n",
    lambda x, A, P, Q: s(x, P) @ A @ r(x, Q),
    lambda x, A, P, Q: s.D(x, P).T @ (A @ r(x, Q)) + r.D(x, Q).T @ (A.T @ s(x, P)),
)
entry(
    "quotient of quadratic forms",
    "K-94 K-95",
    "x: n, A: m n, B: n n",
    lambda x, A, B: (A @ x) @ (A @ x) / ((B @ x) @ (B @ x)),
    lambda x, A, B: (
        2 * A.T @ A @ x / (x @ B.T @ B @ x) - 2 * (x @ A.T @ A @ x) * (B.T @ B @ x) / (x @ B.T @ B @ x) ** 2
    ),
    erratum="the first denominator is printed as xᵀBBx, without the transpose of xᵀBᵀBx",
    printed=lambda x, A, B: (
        2 * A.T @ A @ x / (x @ B @ B @ x) - 2 * (x @ A.T @ A @ x) * (B.T @ B @ x) / (x @ B.T @ B @ x) ** 2
    ),
)
entry(
    "quadratic function",
    "K-97",
    "x: n, A: n n, b: n",
    lambda x, A, b: x @ A @ x + b @ x,
    lambda x, A, b: (A + A.T) @ x + b,
    second=lambda x, A, b: dense(A + A.T, 1),
    second_ids="K-98",
)
