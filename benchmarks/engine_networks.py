"""The networks among the functions that `engine.py` differentiates, and their derivatives by hand."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from engine_cases import Case, draw

from jmc.bench.suites.jacobians import apply, slopes, weights


def mlp_hessian() -> Case:
    """Σₙ Mₙ ⊗ xₙxₙᵀ with Mₙ = diag(tanh′) G diag(tanh′) + diag(q) at example n."""

    def loss(W: Any, b: Any, W2: Any, b2: Any, X: Any, Y: Any) -> Any:
        return jnp.mean((jnp.tanh(X @ W.T + b) @ W2.T + b2 - Y) ** 2)

    def factors(W: Any, b: Any, W2: Any, b2: Any, X: Any, Y: Any) -> Any:
        h = jnp.tanh(X @ W.T + b)
        slope, scale = 1 - h * h, 2 / Y.size
        return slope, -2 * scale * h * slope * ((h @ W2.T + b2 - Y) @ W2), scale * W2.T @ W2

    def expand(factors: Any, *args: Any) -> Any:
        (slope, q, G), X = factors, args[4]
        M = slope[:, :, None] * G * slope[:, None, :] + q[:, :, None] * jnp.eye(len(G), dtype=G.dtype)
        pairs = X[:, :, None] * X[:, None, :]
        return jnp.einsum("nik,njl->ijkl", M, pairs)

    (W, b), (W2, b2) = weights((32, 32, 4), draw)
    args = (W, b, W2, b2, draw(256, 32), draw(256, 4))
    return Case(loss, args, factors, expand, {"dense": 4.5, "structured": 150}, hessian=True)


def bottleneck() -> Case:
    """The product of four matrices, contracted so that the wide ones meet last."""

    def by_hand(x: Any, layers: Any) -> Any:
        A, B, C, D = slopes(x, layers)
        return D @ ((C @ B) @ A)

    args = (draw(500), weights((500, 20, 500, 20, 500), draw))
    return Case(apply, args, by_hand, lambda J, *_: J, {"dense": 1.5})


def deep_tanh() -> Case:
    def by_hand(x: Any, layers: Any) -> Any:
        first, *rest = slopes(x, layers)
        for slope in rest:
            first = slope @ first
        return first

    return Case(apply, (draw(256), weights((256,) * 9, draw)), by_hand, lambda J, *_: J, {"dense": 0.95})


def residual() -> Case:
    def f(x: Any, layers: Any) -> Any:
        for W, b in layers:
            x = x + jnp.tanh(W @ x + b)
        return x

    def by_hand(x: Any, layers: Any) -> Any:
        J = jnp.eye(len(x), dtype=x.dtype)
        for i, (W, b) in enumerate(layers):
            h = jnp.tanh(W @ x + b)
            x, slope = x + h, (1 - h * h)[:, None]
            J = J + slope * (W @ J if i else W)
        return J

    return Case(f, (draw(128), weights((128,) * 17, draw)), by_hand, lambda J, *_: J, {"dense": 0.95})


def predict(X: Any, layers: Any) -> Any:
    """tanh between the layers, none after the last."""
    *hidden, (W, b) = layers
    for V, c in hidden:
        X = jnp.tanh(X @ V.T + c)
    return X @ W.T + b


def per_example() -> Case:
    """One block for each example, as `vmap(jacrev)` gives them."""

    def vmapped(X: Any, layers: Any) -> Any:
        return jax.vmap(jax.jacrev(predict), (0, None))(X, layers)

    def by_hand(X: Any, layers: Any) -> Any:
        (W1, b1), (W2, b2), (W3, _) = layers
        h = jnp.tanh(X @ W1.T + b1)
        k = jnp.tanh(h @ W2.T + b2)
        return ((W3 * (1 - k * k)[:, None]) @ W2 * (1 - h * h)[:, None]) @ W1

    def expand(blocks: Any, *_: Any) -> Any:
        return jnp.eye(64, dtype=blocks.dtype)[:, None, :, None] * blocks[:, :, None]

    args, wanted = (draw(64, 32), weights((32, 64, 64, 10), draw)), {"structured": 0.9}
    ad = {"vmap(jacrev)": vmapped}
    return Case(predict, args, by_hand, expand, wanted, ad=ad, reference=jax.jacrev(predict))


def squared_errors(layers: Any, X: Any, Y: Any) -> Any:
    return jnp.sum((predict(X, layers) - Y) ** 2, axis=-1)


def gradient_norms(first_only: bool) -> Case:
    """The gradient with respect to a weight matrix is an outer product: its norm is the product of two norms."""

    def f(params: Any, others: Any, X: Any, Y: Any) -> Any:
        return squared_errors([(params, others[0]), *others[1:]] if first_only else params, X, Y)

    def vmapped(params: Any, others: Any, X: Any, Y: Any) -> Any:
        gradient = jax.grad(lambda *args: f(args[0], args[1], args[2][None], args[3][None])[0])
        squares = jax.tree.map(
            lambda g: jnp.sum(g * g, axis=tuple(range(1, g.ndim))),
            jax.vmap(gradient, (None, None, 0, 0))(params, others, X, Y),
        )
        return jnp.sqrt(sum(jax.tree.leaves(squares)))

    def by_hand(params: Any, others: Any, X: Any, Y: Any) -> Any:
        (W1, b1), (W2, b2) = [(params, others[0]), *others[1:]] if first_only else params
        h = jnp.tanh(X @ W1.T + b1)
        second = 2 * (h @ W2.T + b2 - Y)
        first = (second @ W2) * (1 - h * h)
        inputs, hidden, one, two = (jnp.sum(a * a, axis=-1) for a in (X, h, first, second))
        return jnp.sqrt(one * inputs if first_only else one * (inputs + 1) + two * (hidden + 1))

    layers = weights((256, 256, 256), draw)
    (W1, b1), *rest = layers
    args = (W1, (b1, *rest)) if first_only else (layers, ())
    wanted = {"row_norms": 4 if first_only else 6}
    data = (draw(256, 256), draw(256, 256, seed=1))
    ad = {"vmap(grad)": vmapped}
    return Case(f, (*args, *data), by_hand, None, wanted, read="row_norms", ad=ad)


def tangent_kernel() -> Case:
    """J Jᵀ over all parameters: for every layer, (inputs inputsᵀ + 1) times (back-propagated back-propagatedᵀ)."""

    def f(layers: Any, X: Any) -> Any:
        return predict(X, layers)

    def gram(jacobian: Any) -> Any:
        return sum(jnp.tensordot(j, j, (axes := list(range(2, j.ndim)), axes)) for j in jax.tree.leaves(jacobian))

    def vmapped(layers: Any, X: Any) -> Any:
        return gram(jax.vmap(jax.jacrev(lambda layers, x: predict(x, layers)), (None, 0))(layers, X))

    def by_hand(layers: Any, X: Any) -> Any:
        (W1, b1), (W2, _) = layers
        h = jnp.tanh(X @ W1.T + b1)
        back = ((1 - h * h)[:, None] * W2).reshape(-1, W2.shape[1])
        sizes = (len(X), len(W2)) * 2
        first = (back @ back.T).reshape(sizes) * (X @ X.T + 1)[:, None, :, None]
        return first + (h @ h.T + 1)[:, None, :, None] * jnp.eye(len(W2), dtype=h.dtype)[:, None]

    args, wanted = (weights((128, 128, 10), draw), draw(32, 128)), {"row_gram": 45}
    ad = {"jacrev": lambda *args: gram(jax.jacrev(f)(*args)), "vmap(jacrev)": vmapped}
    return Case(f, args, by_hand, None, wanted, read="row_gram", ad=ad)


CASES: dict[str, Callable[[], Case]] = {
    "mlp_hessian": mlp_hessian,
    "bottleneck": bottleneck,
    "deep_tanh": deep_tanh,
    "residual": residual,
    "per_example": per_example,
    "norms_W1": lambda: gradient_norms(True),
    "norms_all": lambda: gradient_norms(False),
    "tangent_kernel": tangent_kernel,
}
