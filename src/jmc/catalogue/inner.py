"""Functions for rules about any function, each nonlinear, with its derivative ``D`` (and ``D2``) beside it.

``u(x, P)`` is the value, ``u.D(x, P)`` the derivative with respect to ``x``; of a function without parameters, ``f(x)``
and ``f.D(x)``.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.record import Formula
from jmc.linear.build import dense, einsum, gradient


@dataclass(frozen=True)
class Function:
    """``f`` with its derivatives in closed form, all of the same arguments; ``D2`` only where a rule asks for it."""

    f: Formula
    D: Formula
    D2: Any = None
    about: str = ""

    def __call__(self, *args: jax.Array) -> jax.Array:
        return self.f(*args)


def vector(phi: Formula, slope: Formula) -> Function:
    """x ↦ φ(Px) of vectors, with ∂/∂x = diag(φ′(Px)) P as a LinearMap."""
    return Function(lambda x, P: phi(P @ x), lambda x, P: einsum("i,ij->i,j", slope(P @ x), P))


def scalar(phi: Formula, slope: Formula) -> Function:
    """x ↦ φ(Σ p∘x) of arrays of any shape, with the gradient φ′(Σ p∘x) p."""
    return Function(lambda x, p: phi(jnp.sum(p * x)), lambda x, p: slope(jnp.sum(p * x)) * p)


def curve(phi: Formula, slope: Formula) -> Function:
    """x ↦ φ(xp) of a scalar, with values of any shape; ∂/∂x = φ′(xp)∘p."""
    return Function(lambda x, p: phi(x * p), lambda x, p: slope(x * p) * p)


SIN = (jnp.sin, jnp.cos)
EXP = (jnp.exp, jnp.exp)
TANH = (jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)

regular = Function(
    lambda x, A: jnp.sin(x * A) + (len(A) + 1) * jnp.eye(len(A), dtype=A.dtype),
    lambda x, A: A * jnp.cos(x * A),
    lambda x, A: -A * A * jnp.sin(x * A),
    "sin(xA) + (n + 1) I: diagonally dominant, with a positive determinant, for every x and A: n n.",
)

transformed = Function(
    lambda X, A, B: jnp.sin(A @ X @ B),
    lambda X, A, B: einsum("kl,ki,jl->kl,ij", jnp.cos(A @ X @ B), A, B),
    about="X ↦ sin(AXB), of matrices.",
)


def _series(X: jax.Array, c: jax.Array) -> jax.Array:
    total = jnp.zeros_like(X)
    for a in c[::-1]:
        total = total @ X + a * jnp.eye(len(X), dtype=X.dtype)
    return total


series = Function(
    _series,
    lambda X, c: _series(X, c[1:] * jnp.arange(1, len(c), dtype=c.dtype)),
    about="g(X) = Σ_k c_k X^k, a matrix function; its ``D`` is the matrix function g′(X), not ∂g(X)/∂X.",
)


class Shapes(NamedTuple):
    """φ(x), φ(a·x), φ(xa) and φ(Ax) with fixed weights: ``vs`` is a vector by a scalar. Each ``D`` is a LinearMap."""

    ss: Function
    sv: Function
    vs: Function
    vv: Function


def shapes(phi: Formula, slope: Formula, m: int) -> Shapes:
    """The functions of each shape, with m outputs where there are several."""
    row, column, matrix = scalar(phi, slope), curve(phi, slope), vector(phi, slope)

    def weights(x: jax.Array, *shape: int) -> jax.Array:
        return jnp.asarray(np.cos(1.0 + np.arange(np.prod(shape))).reshape(shape), x.dtype)

    return Shapes(
        ss=Function(phi, lambda x: dense(slope(x), 0)),
        sv=Function(lambda x: row(x, weights(x, x.size)), lambda x: gradient(row.D(x, weights(x, x.size)))),
        vs=Function(lambda x: column(x, weights(x, m)), lambda x: dense(column.D(x, weights(x, m)), 1)),
        vv=Function(lambda x: matrix(x, weights(x, m, x.size)), lambda x: matrix.D(x, weights(x, m, x.size))),
    )
