"""Layers made of layers, by the chain rule, and what is defined by an equation.

The inner functions are h = tanh(Wx + b), with ∂h/∂x = diag(s) W and s = sech²(Wx + b), one after another or in a loss.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import inv
from jmc.catalogue.rule import entry
from jmc.catalogue.stable import sech2
from jmc.linear.build import dense, diagonal, einsum, identity
from jmc.linear.linear_map import LinearMap

entry(
    "residual block, x + tanh(Wx + b)",
    {"x": "L-residual"},
    "x: n, W: n n mild, b: n",
    lambda x, W, b: x + jnp.tanh(W @ x + b),
    {
        "x": lambda x, W, b: identity(x.shape) + einsum("i,ij->i,j", sech2(W @ x + b), W),
        "W": lambda x, W, b: einsum("i,j->i,ij", sech2(W @ x + b), x),
        "b": lambda x, W, b: diagonal(sech2(W @ x + b)),
    },
    source="He et al., arXiv 1512.03385, eq. 1",
)

entry(
    "perceptron of two layers, V tanh(Wx + b)",
    {"x W": "L-mlp"},
    "x: n, W: k n mild, b: k, V: m k",
    lambda x, W, b, V: V @ jnp.tanh(W @ x + b),
    {
        "x": lambda x, W, b, V: einsum("mk,k,kn->m,n", V, sech2(W @ x + b), W),
        "W": lambda x, W, b, V: einsum("mk,n->m,kn", V * sech2(W @ x + b)[None, :], x),
        "b": lambda x, W, b, V: einsum("mk,k->m,k", V, sech2(W @ x + b)),
        "V": lambda x, W, b, V: einsum("k->m,mk", jnp.tanh(W @ x + b), sizes={"m": V.shape[0]}),
    },
)

entry(
    "low-rank adaptation, (W + BA)x",
    {"A B": "L-lora"},
    "x: n, W: m n, B: m r, A: r n",
    lambda x, W, B, A: W @ x + B @ (A @ x),
    {
        "x": lambda x, W, B, A: einsum("mn->m,n", W) + einsum("mr,rn->m,n", B, A),
        "W": lambda x, W, B, A: einsum("n->m,mn", x, sizes={"m": W.shape[0]}),
        "B": lambda x, W, B, A: einsum("r->m,mr", A @ x, sizes={"m": W.shape[0]}),
        "A": lambda x, W, B, A: einsum("mr,n->m,rn", B, x),
    },
    source="Hu et al., arXiv 2106.09685, eq. 3",
)


# the curvature of a loss of a network: ℓ(f(w)) with ℓ(f) = Σ exp(f − y), f = tanh(Xw)


def _gauss_newton(w: jax.Array, X: jax.Array, y: jax.Array) -> LinearMap:
    """JᵀH_ℓ J + Σ ∂ℓ/∂f_i ∇²f_i; the first term alone is the Gauss-Newton matrix."""
    f, s = jnp.tanh(X @ w), sech2(X @ w)
    slope = curvature = jnp.exp(f - y)
    J = einsum("i,ij->i,j", s, X)
    return J.T @ diagonal(curvature) @ J + einsum("i,ij,ik->j,k", slope * -2 * f * s, X, X)


entry(
    "loss of a network, Σ exp(tanh(Xw) − y)",
    "",
    "w: n, X: m n mild, y: m",
    lambda w, X, y: jnp.exp(jnp.tanh(X @ w) - y).sum(),
    lambda w, X, y: (jnp.exp(jnp.tanh(X @ w) - y) * sech2(X @ w)) @ X,
    second=_gauss_newton,
    second_ids="L-gaussnewton",
    source="the chain rule, ∂ℓ/∂w = ∂ℓ/∂f J",
)


# what is defined by an equation: F(z, x) = z − tanh(Wz/2 + x) = 0 with an orthogonal W, so that there is one z


def _fixed_point(x: jax.Array, W: jax.Array) -> jax.Array:
    """z, by Newton's method, of which each step doubles the digits."""

    def step(_: int, z: jax.Array) -> jax.Array:
        return z - inv(_by_z(z, x, W)) @ (z - jnp.tanh(W @ z / 2 + x))

    return jax.lax.fori_loop(0, 6, step, jnp.zeros_like(x))


def _by_z(z: jax.Array, x: jax.Array, W: jax.Array) -> jax.Array:
    """∂F/∂z."""
    return jnp.eye(z.size, dtype=z.dtype) - sech2(W @ z / 2 + x)[:, None] * W / 2


def _implicit(x: jax.Array, W: jax.Array, direct: Callable[[jax.Array, jax.Array], LinearMap]) -> LinearMap:
    """−(∂F/∂z)⁻¹ ∂F/∂argument, from z and s = sech²(Wz/2 + x)."""
    z = _fixed_point(x, W)
    return -dense(inv(_by_z(z, x, W)), 1) @ direct(z, sech2(W @ z / 2 + x))


entry(
    "solution of z = tanh(Wz/2 + x)",
    {"x": "L-implicit"},
    "x: n, W: n n orthogonal",
    lambda x, W: _fixed_point(x, W),
    {
        "x": lambda x, W: _implicit(x, W, lambda z, s: -diagonal(s)),
        "W": lambda x, W: _implicit(x, W, lambda z, s: -einsum("i,j->i,ij", s, z / 2)),
    },
    source="the implicit function theorem, ∂z/∂x = −(∂F/∂z)⁻¹ ∂F/∂x for F(z, x) = z − tanh(Wz/2 + x) = 0",
    conditions="∂F/∂z is invertible",
    small={"n": 3},
)
