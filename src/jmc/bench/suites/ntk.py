"""What is asked of all examples at once: gradient norms, the empirical tangent kernel, Gauss-Newton products."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jmc
from jmc.bench.case import Case, Contender, Draw, Series
from jmc.bench.suites.jacobians import weights


def predict(X: Any, layers: Any) -> Any:
    """Two layers, tanh between them."""
    (W1, b1), (W2, b2) = layers
    return jnp.tanh(X @ W1.T + b1) @ W2.T + b2


def squared_errors(layers: Any, X: Any, Y: Any) -> Any:
    return jnp.sum((predict(X, layers) - Y) ** 2, axis=-1)


def gradient_norms(n: int, draw: Draw, *, first_only: bool) -> Case:
    """The norm of each of n examples' gradients, 256-256-256: that of an outer product is a product of two norms."""

    def split(params: Any, others: Any) -> Any:
        return [(params, others[0]), *others[1:]] if first_only else params

    def f(params: Any, others: Any, X: Any, Y: Any) -> Any:
        return squared_errors(split(params, others), X, Y)

    def vmapped(params: Any, others: Any, X: Any, Y: Any) -> Any:
        gradient = jax.grad(lambda *args: f(args[0], args[1], args[2][None], args[3][None])[0])
        gradients = jax.vmap(gradient, (None, None, 0, 0))(params, others, X, Y)
        squares = [jnp.sum(g * g, axis=tuple(range(1, g.ndim))) for g in jax.tree.leaves(gradients)]
        return jnp.sqrt(sum(squares))

    def by_hand(params: Any, others: Any, X: Any, Y: Any) -> Any:
        (W1, b1), (W2, b2) = split(params, others)
        h = jnp.tanh(X @ W1.T + b1)
        second = 2 * (h @ W2.T + b2 - Y)
        first = (second @ W2) * (1 - h * h)
        inputs, hidden, one, two = (jnp.sum(a * a, axis=-1) for a in (X, h, first, second))
        return jnp.sqrt(one * inputs if first_only else one * (inputs + 1) + two * (hidden + 1))

    layers = weights((256, 256, 256), draw)
    (W1, b1), *rest = layers
    args = ((W1, (b1, *rest)) if first_only else (layers, ())) + (draw(n, 256), draw(n, 256, seed=1))
    contenders = {
        "jmc": Contender(lambda *args: jmc.row_norms(jmc.jacobian(f)(*args)), "jmc"),
        "by hand": Contender(by_hand, "hand"),
        "vmap(grad)": Contender(vmapped),
    }
    return Case(args, contenders, by_hand, 6 * n * 256 * 256)


def tangent_kernel(n: int, draw: Draw) -> Case:
    """J Jᵀ over all parameters of 128-128-10, n examples."""

    def gram(jacobian: Any) -> Any:
        return sum(jnp.tensordot(j, j, (axes := list(range(2, j.ndim)), axes)) for j in jax.tree.leaves(jacobian))

    def f(layers: Any, X: Any) -> Any:
        return predict(X, layers)

    def vmapped(layers: Any, X: Any) -> Any:
        return gram(jax.vmap(jax.jacrev(lambda layers, x: predict(x, layers)), (None, 0))(layers, X))

    def by_hand(layers: Any, X: Any) -> Any:
        (W1, b1), (W2, _) = layers
        h = jnp.tanh(X @ W1.T + b1)
        back = ((1 - h * h)[:, None] * W2).reshape(-1, W2.shape[1])
        sizes = (len(X), len(W2)) * 2
        first = (back @ back.T).reshape(sizes) * (X @ X.T + 1)[:, None, :, None]
        return first + (h @ h.T + 1)[:, None, :, None] * jnp.eye(len(W2), dtype=h.dtype)[:, None]

    contenders = {
        "jmc": Contender(lambda *args: jmc.dense(jmc.row_gram(jmc.jacobian(f)(*args))), "jmc"),
        "by hand": Contender(by_hand, "hand"),
        "jacrev": Contender(lambda *args: gram(jax.jacrev(f)(*args))),
        "vmap(jacrev)": Contender(vmapped),
    }
    flops = 2 * (n * 10) ** 2 * 128 + 4 * n * n * 128
    return Case((weights((128, 128, 10), draw), draw(n, 128)), contenders, by_hand, flops)


def gauss_newton(n: int, draw: Draw) -> Case:
    """Jᵀ(J v) for n examples through 128-128-10: one pass forward, one back."""

    def f(layers: Any, X: Any) -> Any:
        return predict(X, layers)

    def product(layers: Any, X: Any, v: Any) -> Any:
        J = jmc.jacobian(f)(layers, X)
        return jmc.vm(J, jmc.mv(J, v))

    def passes(layers: Any, X: Any, v: Any) -> Any:
        _, tangent = jax.jvp(lambda layers: f(layers, X), (layers,), (v,))
        return jax.vjp(lambda layers: f(layers, X), layers)[1](tangent)[0]

    def by_hand(layers: Any, X: Any, v: Any) -> Any:
        (W1, b1), (W2, _) = layers
        (V1, c1), (V2, c2) = v
        h = jnp.tanh(X @ W1.T + b1)
        slope = 1 - h * h
        out = (slope * (X @ V1.T + c1)) @ W2.T + h @ V2.T + c2
        back = (out @ W2) * slope
        return [(back.T @ X, back.sum(0)), (out.T @ h, out.sum(0))]

    layers = weights((128, 128, 10), draw)
    v = jax.tree.map(lambda leaf: draw(*leaf.shape, seed=9), layers)
    contenders = {
        "jmc": Contender(product, "jmc"),
        "by hand": Contender(by_hand, "hand"),
        "vjp(jvp)": Contender(passes),
    }
    return Case((layers, draw(n, 128), v), contenders, by_hand, 8 * n * 128 * 138)


EXAMPLES = (32, 64, 128, 256)
SERIES = {
    "gradient norms, W₁": Series(
        partial(gradient_norms, first_only=True), EXAMPLES, 256, (4096,), lambda n: 4 * n * 256 * 256
    ),
    "gradient norms, all": Series(
        partial(gradient_norms, first_only=False), EXAMPLES, 256, (4096,), lambda n: 8 * n * 256 * 256
    ),
    "tangent kernel": Series(tangent_kernel, (8, 16, 32), 32, (512,), lambda n: 40 * n * n * 128 * 128),
    "Gauss-Newton product": Series(gauss_newton, EXAMPLES, 256, (65536,), lambda n: 64 * n * 138),
}
