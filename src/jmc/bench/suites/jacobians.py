"""Jacobians, dense and with their structure: element-wise, affine, softmax, normalisation, attention, networks."""

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

import jmc
from jmc.bench.case import Case, Contender, Draw, Series
from jmc.bench.suites.derivative import dense, put, structured, torch_modes

# ruff: noqa: ARG001, ARG005 - a formula takes the arguments of its function, whichever of them it needs


def elementwise(n: int, draw: Draw, *, whole: bool) -> Case:
    """relu(x) exp(−x): n numbers on a diagonal."""

    def f(x: Any) -> Any:
        return jax.nn.relu(x) * jnp.exp(-x)

    def diagonal(x: Any) -> Any:
        return jnp.where(x > 0, (1 - x) * jnp.exp(-x), 0)

    def in_torch(x: Any) -> Any:
        return x.relu() * (-x).exp()

    args = (draw(n),)
    if whole:
        return dense(f, args, lambda x: jnp.diag(diagonal(x)), others=torch_modes(in_torch))
    return structured(f, args, diagonal, lambda d, x: jnp.diag(d), flops=4 * n)


def tangent_of_ones(n: int, draw: Draw) -> Case:
    """The diagonal alone, where the dense array has no room: one jvp, if one knows that it is diagonal."""

    def f(x: Any) -> Any:
        return jax.nn.relu(x) * jnp.exp(-x)

    contenders = {
        "jmc": Contender(lambda x: jmc.jacobian(f)(x).diagonal(), "jmc"),
        "by hand": Contender(lambda x: jnp.where(x > 0, (1 - x) * jnp.exp(-x), 0), "hand"),
        "jvp of ones": Contender(lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1]),
    }
    return Case((draw(n),), contenders, contenders["by hand"].run, 4 * n)


def affine_in_weights(n: int, draw: Draw) -> Case:
    """∂(W x + b)/∂W = I ⊗ xᵀ, n³ numbers of which n are not zero or copies."""

    def by_hand(W: Any, x: Any, b: Any) -> Any:
        return jnp.eye(n, dtype=x.dtype)[:, :, None] * x

    return dense(lambda W, x, b: W @ x + b, (draw(n, n), draw(n), draw(n, seed=1)), by_hand)


def affine_in_input(n: int, draw: Draw) -> Case:
    """∂(W x + b)/∂x = W: nothing to compute."""
    args = (draw(n), draw(n, n, seed=1), draw(n, seed=1))
    others = torch_modes(lambda x, W, b: W @ x + b)
    return dense(lambda x, W, b: W @ x + b, args, lambda x, W, b: W, others=others)


def relu_layer(n: int, draw: Draw, *, whole: bool) -> Case:
    """A batch of n examples through n units: for each a block diag(1[z > 0]) W."""

    def f(X: Any, W: Any, b: Any) -> Any:
        return jax.nn.relu(X @ W.T + b)

    def mask(X: Any, W: Any, b: Any) -> Any:
        return (X @ W.T + b > 0).astype(X.dtype)

    def expand(mask: Any, X: Any, W: Any, b: Any) -> Any:
        return jnp.einsum("nm,md,np->nmpd", mask, W, jnp.eye(len(X), dtype=W.dtype))

    args = (draw(n, n), draw(n, n, seed=1, scale=n**-0.5), draw(n, scale=0.1))
    if whole:
        return dense(f, args, lambda *args: expand(mask(*args), *args), flops=2 * n**3)
    return structured(f, args, mask, expand, flops=2 * n**3)


def softmax(n: int, draw: Draw, *, whole: bool) -> Case:
    """diag(p) − p pᵀ."""

    def expand(p: Any, x: Any) -> Any:
        return put(-jnp.outer(p, p), p)

    args = (draw(n),)
    if whole:
        others = torch_modes(lambda x: x.softmax(0))
        wanted = {"flops": n * n, "plain": jax.nn.softmax, "others": others}
        return dense(jmc.softmax, args, lambda x: expand(jax.nn.softmax(x), x), **wanted)
    return structured(jmc.softmax, args, jax.nn.softmax, expand, flops=5 * n, plain=jax.nn.softmax)


def layer_norm(n: int, draw: Draw) -> Case:
    """(diag(γ)/σ) (I − 1 1ᵀ/n − x̂ x̂ᵀ/n) for one example of n features."""

    def by_hand(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - x.mean()
        sigma = jnp.sqrt((centred**2).mean() + 1e-5)
        normal = centred / sigma
        return put(-(1 + jnp.outer(normal, normal)) / n, jnp.ones_like(x)) * (gamma / sigma)[:, None]

    def plain(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - x.mean()
        return centred / jnp.sqrt((centred**2).mean() + 1e-5) * gamma + beta

    args = (draw(n), draw(n, seed=1), draw(n, seed=2))
    return dense(jmc.layer_norm, args, by_hand, flops=4 * n * n, plain=plain)


def attention(n: int, draw: Draw) -> Case:
    """n queries of 16 numbers and as many keys, with respect to the queries: a block for each of them."""
    d = 16

    def f(Q: Any, K: Any, V: Any) -> Any:
        return jax.nn.softmax(Q @ K.T / d**0.5, axis=-1) @ V

    def by_hand(Q: Any, K: Any, V: Any) -> Any:
        P = jax.nn.softmax(Q @ K.T / d**0.5, axis=-1)
        out = P @ V
        blocks = jnp.einsum("nk,kv,kd->nvd", P, V, K) - out[:, :, None] * (P @ K)[:, None, :]
        return jnp.einsum("nvd,np->nvpd", blocks / d**0.5, jnp.eye(n, dtype=Q.dtype))

    return dense(f, (draw(n, d), draw(n, d, seed=1), draw(n, d, seed=2)), by_hand, flops=4 * n * n * d * d)


def weights(widths: tuple[int, ...], draw: Draw) -> list[tuple[Any, Any]]:
    """A weight matrix (out, in) and a bias for each layer, of a size that keeps activations near one."""
    pairs = enumerate(pairwise(widths))
    return [(draw(m, d, seed=i, scale=d**-0.5), draw(m, seed=i, scale=0.1)) for i, (d, m) in pairs]


def apply(x: Any, layers: Any) -> Any:
    for W, b in layers:
        x = jnp.tanh(W @ x + b)
    return x


def slopes(x: Any, layers: Any) -> list[Any]:
    """diag(tanh′) W of each layer."""
    found = []
    for W, b in layers:
        x = jnp.tanh(W @ x + b)
        found.append((1 - x * x)[:, None] * W)
    return found


def hourglass(n: int, draw: Draw) -> Case:
    """n-20-n-20-n: the product of four matrices, contracted so that the wide ones meet last."""

    def by_hand(x: Any, layers: Any) -> Any:
        A, B, C, D = slopes(x, layers)
        return D @ ((C @ B) @ A)

    return dense(apply, (draw(n), weights((n, 20, n, 20, n), draw)), by_hand, flops=2 * (20 * 20 * n * 2 + 20 * n * n))


def deep(n: int, draw: Draw) -> Case:
    """Eight layers of n: seven products of square matrices, in whatever order."""

    def by_hand(x: Any, layers: Any) -> Any:
        first, *rest = slopes(x, layers)
        for slope in rest:
            first = slope @ first
        return first

    return dense(apply, (draw(n), weights((n,) * 9, draw)), by_hand, flops=14 * n**3)


def residual(n: int, draw: Draw) -> Case:
    """Sixteen residual blocks x + tanh(W x + b)."""

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

    return dense(f, (draw(n), weights((n,) * 17, draw)), by_hand, flops=30 * n**3)


def stencil(n: int, draw: Draw) -> Case:
    """A step of the heat equation with a source u³: three bands."""

    def f(u: Any) -> Any:
        inner = u[2:] - 2 * u[1:-1] + u[:-2]
        return u[1:-1] + 0.1 * inner + u[1:-1] ** 3

    def band(u: Any) -> Any:
        return 0.8 + 3 * u[1:-1] ** 2

    def expand(middle: Any, u: Any) -> Any:
        J = jnp.zeros((n - 2, n), u.dtype)
        side = jnp.full(n - 2, 0.1, u.dtype)
        return put(put(put(J, middle, 1), side, 0), side, 2)

    return structured(f, (draw(n),), band, expand, flops=3 * n)


def per_example(n: int, draw: Draw) -> Case:
    """n examples through 32-64-64-10: a block for each, as `vmap(jacrev)` gives them."""

    def f(X: Any, layers: Any) -> Any:
        *hidden, (W, b) = layers
        for V, c in hidden:
            X = jnp.tanh(X @ V.T + c)
        return X @ W.T + b

    def by_hand(X: Any, layers: Any) -> Any:
        (W1, b1), (W2, b2), (W3, _) = layers
        h = jnp.tanh(X @ W1.T + b1)
        k = jnp.tanh(h @ W2.T + b2)
        return ((W3 * (1 - k * k)[:, None]) @ W2 * (1 - h * h)[:, None]) @ W1

    def expand(blocks: Any, *_: Any) -> Any:
        return jnp.eye(n, dtype=blocks.dtype)[:, None, :, None] * blocks[:, :, None]

    case = structured(f, (draw(n, 32), weights((32, 64, 64, 10), draw)), by_hand, expand, modes=False)
    vmapped = Contender(lambda X, layers: jax.vmap(jax.jacrev(f), (0, None))(X, layers), read=expand)
    return Case(case.args, {**case.contenders, "vmap(jacrev)": vmapped}, case.reference)


SMALL, MIDDLE = (64, 128, 256, 512), (250, 500, 1000, 2000)
SERIES = {
    "element-wise, dense": Series(partial(elementwise, whole=True), (500, 1000, 2000, 4000), 4000, (16000,)),
    "element-wise, structure": Series(partial(elementwise, whole=False), (500, 1000, 2000, 4000), 4000, (16000,)),
    "element-wise, diagonal": Series(tangent_of_ones, (10**4, 10**5, 10**6), 10**6, (10**8,), lambda n: 16 * n),
    "affine wrt W": Series(affine_in_weights, (32, 64, 128), 128, (512,), lambda n: 8 * n**3),
    "affine wrt x": Series(affine_in_input, MIDDLE, 1000, (8000,)),
    "ReLU layer, dense": Series(partial(relu_layer, whole=True), (16, 32, 64), 64, (128,), lambda n: 8 * n**4),
    "ReLU layer, structure": Series(partial(relu_layer, whole=False), (16, 32, 64), 64, (128,), lambda n: 8 * n**4),
    "softmax, dense": Series(partial(softmax, whole=True), MIDDLE, 1000, (16000,)),
    "softmax, structure": Series(partial(softmax, whole=False), MIDDLE, 1000, (16000,)),
    "layer norm": Series(layer_norm, MIDDLE, 1000, (16000,)),
    "attention wrt Q": Series(attention, (16, 32, 64), 64, (256,), lambda n: 8 * (16 * n) ** 2),
    "hourglass": Series(hourglass, (125, 250, 500, 1000), 500, (8000,)),
    "8 layers": Series(deep, SMALL, 256, (4096,)),
    "16 residual blocks": Series(residual, (32, 64, 128, 256), 128, (2048,)),
    "heat equation": Series(stencil, MIDDLE, 1000, (16000,)),
    "per example": Series(per_example, (16, 32, 64, 128), 64, (4096,), lambda n: 4 * n * 64 * 64 * 10),
}
