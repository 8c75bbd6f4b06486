"""Inverses: X⁻¹ and functions of it."""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import det, inv, outer, tr
from jmc.catalogue.rule import entry
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


def _inverse(X: jax.Array) -> LinearMap:
    """∂(X⁻¹)_kl/∂X_ij = −(X⁻¹)_ki (X⁻¹)_jl."""
    return -einsum("ki,jl->kl,ij", inv(X), inv(X))


entry("inverse", "K-40 K-60 W-D-11 G-3", "X: n n invertible", lambda X: inv(X), _inverse)

entry(
    "inverse of a function of a scalar",
    "K-59 W-MS-7",
    "x: unit, Y: n n spd, Z: n n",
    lambda x, Y, Z: inv(Y + x * x * Z),
    lambda x, Y, Z: -inv(Y + x * x * Z) @ (2 * x * Z) @ inv(Y + x * x * Z),
    conditions="Y + x²Z is invertible",
)

entry(
    "bilinear form of the inverse",
    "K-61",
    "X: n n invertible, a: n, b: n",
    lambda X, a, b: a @ inv(X) @ b,
    lambda X, a, b: -inv(X).T @ outer(a, b) @ inv(X).T,
)

entry(
    "determinant of the inverse",
    "K-62",
    "X: n n invertible",
    lambda X: det(inv(X)),
    lambda X: -det(inv(X)) * inv(X).T,
)

entry(
    "trace of AX⁻¹B",
    "K-63 K-124 W-SM-20",
    "X: n n invertible, A: m n, B: n m",
    lambda X, A, B: tr(A @ inv(X) @ B),
    lambda X, A, B: -(inv(X) @ B @ A @ inv(X)).T,
)

entry(
    "trace of the inverse of a sum",
    "K-64",
    "X: n n spd, A: n n spd",
    lambda X, A: tr(inv(X + A)),
    lambda X, A: -(inv(X + A) @ inv(X + A)).T,
)

entry(
    "function of the inverse, J(A⁻¹) = Σ M ∘ exp A⁻¹",
    "K-64a",
    "A: n n invertible, M: n n",
    lambda A, M: (M * jnp.exp(inv(A))).sum(),
    lambda A, M: -inv(A).T @ (M * jnp.exp(inv(A))) @ inv(A).T,
)
