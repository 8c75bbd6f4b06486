"""Scalars by a matrix X: the sums, products and chains of any functions of X.

u and v stand for any scalar functions, U and V for matrix functions, ``u.D`` for their derivatives (``inner.py``).
"""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import tr, trace_row
from jmc.catalogue.inner import SIN, TANH, scalar, transformed
from jmc.catalogue.rule import entry
from jmc.linear.build import zeros
from jmc.linear.linear_map import LinearMap

u, v = scalar(*SIN), scalar(*TANH)
U = transformed


def trace_of_u(X: jax.Array, A: jax.Array, B: jax.Array) -> LinearMap:
    """∂ tr U/∂X."""
    return trace_row(len(A)) @ U.D(X, A, B)


entry(
    "constant by a matrix",
    "W-SM-1",
    "X: n m, a:",
    lambda X, a: a,
    lambda X, a: zeros((), X.shape),
    analytic=False,
)
entry(
    "number times scalar of a matrix",
    "W-SM-2",
    "X: n m, a:, P: n m",
    lambda X, a, P: a * u(X, P),
    lambda X, a, P: a * u.D(X, P),
)
entry(
    "sum of scalars of a matrix",
    "W-SM-3",
    "X: n m, P: n m, Q: n m",
    lambda X, P, Q: u(X, P) + v(X, Q),
    lambda X, P, Q: u.D(X, P) + v.D(X, Q),
)
entry(
    "product of scalars of a matrix",
    "W-SM-4",
    "X: n m, P: n m, Q: n m",
    lambda X, P, Q: u(X, P) * v(X, Q),
    lambda X, P, Q: u(X, P) * v.D(X, Q) + v(X, Q) * u.D(X, P),
)
entry(
    "chain rule of a scalar by a matrix",
    "W-SM-5",
    "X: n m, P: n m",
    lambda X, P: jnp.exp(u(X, P)),
    lambda X, P: jnp.exp(u(X, P)) * u.D(X, P),
    conditions="g(u), here with g = exp",
)
entry(
    "chain rule of two functions by a matrix",
    "W-SM-6",
    "X: n m, P: n m",
    lambda X, P: jnp.sin(jnp.exp(u(X, P))),
    lambda X, P: jnp.cos(jnp.exp(u(X, P))) * jnp.exp(u(X, P)) * u.D(X, P),
    conditions="f(g(u)), here with g = exp and f = sin",
)
entry(
    "chain rule through a matrix",
    "K-136 K-137 W-SM-7",
    "X: n m, A: p n, B: m q, P: p q",
    lambda X, A, B, P: v(U(X, A, B), P),
    lambda X, A, B, P: v.D(U(X, A, B), P) @ U.D(X, A, B),
    conditions="g(U): entry ij is tr((∂g/∂U)ᵀ ∂U/∂X_ij)",
)
entry(
    "trace of a sum",
    "W-SM-14",
    "X: n m, A: k n, B: m k, C: k n, D: m k",
    lambda X, A, B, C, D: tr(U(X, A, B) + U(X, C, D)),
    lambda X, A, B, C, D: trace_of_u(X, A, B) + trace_of_u(X, C, D),
)
entry(
    "trace of a multiple",
    "W-SM-15",
    "X: n m, a:, A: k n, B: m k",
    lambda X, a, A, B: tr(a * U(X, A, B)),
    lambda X, a, A, B: a * trace_of_u(X, A, B),
)
