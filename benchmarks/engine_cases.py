"""The functions that `engine.py` differentiates, with what someone who knows their structure writes by hand.

A case's `expert` computes the numbers of the derivative that are not already arguments of the function, and
`expand` makes the array that `jax.jacobian` gives of them. Both take everything as arguments, so that XLA can fold
nothing away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jmc.bench.case import Draw
from jmc.bench.suites.derivative import put

# ruff: noqa: ARG001, ARG005 - an expert takes the arguments of its function, whichever of them it needs


@dataclass(frozen=True)
class Case:
    """A function of `args`, differentiated with respect to the first.

    `read` names what is asked of the derivative. `wanted` says how many times as long automatic differentiation shall
    take as what it names. `ad` replaces the modes of JAX (only what is wanted is then held against them), `reference`
    the derivative in float64 that the first of them gives.
    """

    f: Callable[..., Any]
    args: tuple[Any, ...]
    expert: Callable[..., Any]
    expand: Callable[..., Any] | None = None
    wanted: Mapping[str, float] = field(default_factory=dict)
    read: str = "dense"
    hessian: bool = False
    ad: Mapping[str, Callable[..., Any]] | None = None
    reference: Callable[..., Any] | None = None


draw = Draw("float32")


def elementwise(n: int) -> Case:
    def f(x: Any) -> Any:
        return jax.nn.relu(x) * jnp.exp(-x)

    def ones(x: Any) -> Any:
        return jax.jvp(f, (x,), (jnp.ones_like(x),))[1]

    def by_hand(x: Any) -> Any:
        return jnp.where(x > 0, (1 - x) * jnp.exp(-x), 0)

    if n > 10_000:
        return Case(f, (draw(n),), ones, ad={}, read="diagonal", reference=by_hand)
    return Case(f, (draw(n),), ones, lambda d, x: jnp.diag(d), {"dense": 0.95, "structured": 14})


def affine_in_weights(n: int) -> Case:
    """I ⊗ xᵀ: nothing to compute."""

    def expand(x: Any, *_: Any) -> Any:
        return jnp.eye(n, dtype=x.dtype)[:, :, None] * x

    wanted = {"dense": 0.95} | ({"structured": 25} if n == 128 else {})
    args = (draw(n, n), draw(n), draw(n, seed=1))
    return Case(lambda W, x, b: W @ x + b, args, lambda W, x, b: x, expand, wanted)


def affine_in_input() -> Case:
    args = (draw(1000), draw(1000, 1000), draw(1000, seed=1))
    wanted = {"dense": 40, "structured": 40}
    return Case(lambda x, W, b: W @ x + b, args, lambda x, W, b: W, lambda W, *_: W, wanted)


def relu_layer() -> Case:
    """A block diag(mask) W for each example: the mask is all there is to compute."""

    def mask(X: Any, W: Any, b: Any) -> Any:
        return (X @ W.T + b > 0).astype(X.dtype)

    def expand(mask: Any, X: Any, W: Any, b: Any) -> Any:
        return jnp.einsum("nm,md,np->nmpd", mask, W, jnp.eye(64, dtype=W.dtype))

    args = (draw(64, 64), draw(64, 64, seed=1, scale=0.125), draw(64, scale=0.1))
    return Case(lambda X, W, b: jax.nn.relu(X @ W.T + b), args, mask, expand, {"dense": 5, "structured": 300})


def softmax() -> Case:
    def expand(p: Any, x: Any) -> Any:
        return put(-jnp.outer(p, p), p)

    return Case(jax.nn.softmax, (draw(1000),), jax.nn.softmax, expand, {"dense": 2, "structured": 7})


def logistic() -> Case:
    """Xᵀ D X, where X is an argument."""

    def loss(w: Any, X: Any, y: Any) -> Any:
        z = X @ w
        return jnp.mean(jax.nn.softplus(z) - y * z)

    def diagonal(w: Any, X: Any, y: Any) -> Any:
        p = jax.nn.sigmoid(X @ w)
        return p * (1 - p) / len(X)

    args = (draw(500, scale=0.04), draw(4000, 500), (draw(4000) > 0).astype(jnp.float32))
    wanted = {"dense": 1.5, "computed": 70}
    return Case(loss, args, diagonal, lambda d, w, X, y: X.T @ (d[:, None] * X), wanted, hessian=True)


def quadratic() -> Case:
    args, wanted = (draw(1000), draw(1000, 1000)), {"dense": 4.5, "structured": 4.5}
    return Case(lambda x, A: x @ A @ x, args, lambda x, A: A + A.T, lambda H, *_: H, wanted, hessian=True)


def factorization() -> Case:
    """2 I ⊗ VᵀV."""

    def expand(G: Any, U: Any, *_: Any) -> Any:
        return jnp.eye(len(U), dtype=G.dtype)[:, None, :, None] * G[:, None, :]

    def loss(U: Any, V: Any, T: Any) -> Any:
        return jnp.sum((T - U @ V.T) ** 2)

    args, wanted = (draw(200, 5), draw(200, 5, seed=1), draw(200, 200)), {"dense": 50, "structured": 320}
    return Case(loss, args, lambda U, V, T: 2 * V.T @ V, expand, wanted, hessian=True)


def rosenbrock() -> Case:
    def f(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def bands(x: Any) -> Any:
        first = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        diagonal = jnp.pad(first, (0, 1)) + jnp.pad(jnp.full_like(first, 200), (1, 0))
        return diagonal, -400 * x[:-1]

    def expand(bands: Any, x: Any) -> Any:
        diagonal, beside = bands
        return put(put(put(jnp.zeros((len(x), len(x)), x.dtype), diagonal), beside, 1), beside, -1)

    return Case(f, (draw(1000),), bands, expand, {"dense": 2, "structured": 11}, hessian=True)


CASES: dict[str, Callable[[], Case]] = {
    "elementwise_4000": lambda: elementwise(4000),
    "elementwise_1e6": lambda: elementwise(10**6),
    "affine_W_64": lambda: affine_in_weights(64),
    "affine_W_128": lambda: affine_in_weights(128),
    "affine_x_1000": affine_in_input,
    "relu_layer": relu_layer,
    "softmax_1000": softmax,
    "logistic_hessian": logistic,
    "quadratic_hessian": quadratic,
    "factorization_hessian": factorization,
    "rosenbrock_hessian": rosenbrock,
}
