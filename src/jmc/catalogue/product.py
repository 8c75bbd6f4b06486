"""Sums, products, quotients and polynomials of matrices."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import between, expm, inv, left, power, right, tr, transposition
from jmc.catalogue.inner import series
from jmc.catalogue.rule import entry
from jmc.linear.build import dense, einsum, zeros
from jmc.linear.linear_map import LinearMap

entry(
    "adjoint identity, of a product",
    "G-0",
    "A: m n, B: n p, C: m p",
    lambda A, B, C: tr(C.T @ (A @ B)),
    {"A": lambda A, B, C: C @ B.T, "B": lambda A, B, C: A.T @ C},
    conditions="C is the cotangent of AB: tr(Cᵀ ∂(AB)) = tr(Āᵀ ∂A) + tr(B̄ᵀ ∂B)",
)
entry(
    "quotient A⁻¹B",
    "G-5",
    "A: n n invertible, B: n m",
    lambda A, B: jnp.linalg.solve(A, B),
    {"A": lambda A, B: -between(inv(A), inv(A) @ B), "B": lambda A, B: left(inv(A), B.shape[1])},
)
entry(
    "quotient AB⁻¹",
    "G-5b",
    "A: m n, B: n n invertible",
    lambda A, B: jnp.linalg.solve(B.T, A.T).T,
    {"A": lambda A, B: right(inv(B), len(A)), "B": lambda A, B: -between(A @ inv(B), inv(B))},
    source="Carpenter, The automatic differentiation handbook: ∂C = (∂A − C ∂B) B⁻¹",
)
entry(
    "product BᵀAB",
    "G-6",
    "A: n n, B: n m",
    lambda A, B: B.T @ A @ B,
    {
        "A": lambda A, B: between(B.T, B),
        "B": lambda A, B: right(A @ B, B.shape[1]) @ transposition(*B.shape) + left(B.T @ A, B.shape[1]),
    },
)
entry(
    "product BᵀA⁻¹B",
    "G-7",
    "A: n n invertible, B: n m",
    lambda A, B: B.T @ inv(A) @ B,
    {
        "A": lambda A, B: -between(B.T @ inv(A), inv(A) @ B),
        "B": lambda A, B: right(inv(A) @ B, B.shape[1]) @ transposition(*B.shape) + left(B.T @ inv(A), B.shape[1]),
    },
    erratum="Carpenter's handbook of automatic differentiation prints + for the tangent's middle term, −BᵀA⁻¹ ∂A A⁻¹B",
    printed=lambda A, B: between(B.T @ inv(A), inv(A) @ B),
)


def _of_polynomial(A: jax.Array, a: jax.Array) -> LinearMap:
    """∂p = Σ_n a_n Σ_{i<n} Aⁱ ∂A Aⁿ⁻¹⁻ⁱ, the sum over n taken first."""
    terms = [between(power(A, i), series(A, a[i + 1 :])) for i in range(len(a) - 1)]
    return sum(terms, zeros(A.shape, A.shape))


def _of_exponential(A: jax.Array) -> LinearMap:
    """∂(exp A) = ∫ exp(sA) ∂A exp((1 − s)A) ds over 0 ≤ s ≤ 1, which is the corner of exp [[A, ∂A], [0, A]]."""
    n = len(A)
    basis = jnp.eye(n * n, dtype=A.dtype).reshape(n, n, n, n)
    at = jax.vmap(jax.vmap(lambda dA: expm(jnp.block([[A, dA], [0 * A, A]]))[:n, n:], out_axes=-1), out_axes=-1)
    return dense(at(basis).swapaxes(-1, -2), 2)


entry("polynomial of a matrix", "G-8", "A: n n full_rank, a: k", lambda A, a: series(A, a), _of_polynomial)
entry("exponential of a matrix", "G-9", "A: n n full_rank", lambda A: expm(A), _of_exponential)
entry(
    "vec of AXB",
    "G+10",
    "X: n m, A: p n, B: m q",
    lambda X, A, B: (A @ X @ B).T.ravel(),
    lambda X, A, B: einsum("ki,jl->(lk),ij", A, B),
    source="vec(AXB) = (Bᵀ ⊗ A) vec X, where vec puts columns below one another; for rows, A ⊗ Bᵀ",
)
entry(
    "product AXB",
    "",
    "X: n m, A: p n, B: m q",
    lambda X, A, B: A @ X @ B,
    lambda X, A, B: between(A, B),
    source="∂(AXB) = A ∂X B: in row-major order, A ⊗ Bᵀ",
)
