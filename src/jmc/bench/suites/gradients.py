"""Gradients of what people train: jmc's closed forms, `jax.grad` of plain JAX, NumPy by hand, torch."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jmc
from jmc.bench.case import Case, Contender, Draw, Series
from jmc.bench.suites import neuron as one
from jmc.bench.suites.derivative import in_torch
from jmc.bench.suites.jacobians import weights


def gradient(
    ours: Callable[..., Any],
    plain: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    in_numpy: Callable[..., Any] | None = None,
    torch_loss: Callable[..., Any] | None = None,
    flops: float = 0.0,
) -> Case:
    """The gradient with respect to the first argument of one loss: written with jmc's functions, and in plain JAX."""
    contenders = {"jmc": Contender(jmc.grad(ours), "jmc"), "jax.grad": Contender(jax.grad(plain))}
    if in_numpy is not None:
        contenders["NumPy by hand"] = Contender(in_numpy, "numpy", compiled=False, prepare=_to_numpy)
    if torch_loss is not None:
        contenders |= _torch_gradients(torch_loss)
    return Case(args, contenders, jax.grad(plain), flops)


def _to_numpy(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return jax.tree.map(np.array, args)


def _torch_gradients(loss: Callable[..., Any]) -> Mapping[str, Contender]:
    return {
        "torch": in_torch(lambda torch: torch.func.grad(loss)),
        "torch, compiled": in_torch(lambda torch: torch.compile(torch.func.grad(loss))),
    }


def neuron(n: int, draw: Draw) -> Case:
    """n examples of 16 features through one ReLU neuron, mean squared error."""
    args = ((draw(16), draw(1)[0]), draw(n, 16), draw(n))
    forms = {"in_numpy": one.gradient_in_numpy, "torch_loss": one.in_torch}
    return gradient(one.ours, one.plain, args, **forms, flops=4 * 16 * n)


def layer(n: int, draw: Draw) -> Case:
    """n examples through a 64×64 ReLU layer, mean squared error."""

    def ours(params: Any, X: Any, Y: Any) -> Any:
        W, b = params
        return jmc.mean_squared_error(jmc.layer(W, b, X), Y)

    def plain(params: Any, X: Any, Y: Any) -> Any:
        W, b = params
        return jnp.mean((Y - jax.nn.relu(X @ W.T + b)) ** 2)

    def in_numpy(params: Any, X: Any, Y: Any) -> Any:
        W, b = params
        A = np.maximum(X @ W.T + b, 0)
        E = np.where(A > 0, A - Y, 0) * (2 / Y.size)
        return E.T @ X, E.sum(axis=0)

    def in_torch(params: Any, X: Any, Y: Any) -> Any:
        W, b = params
        return ((Y - (X @ W.T + b).relu()) ** 2).mean()

    args = ((draw(64, 64, scale=0.125), draw(64, scale=0.1)), draw(n, 64), draw(n, 64, seed=1))
    return gradient(ours, plain, args, in_numpy=in_numpy, torch_loss=in_torch, flops=4 * 64 * 64 * n)


def network(n: int, draw: Draw) -> Case:
    """n examples through 64-64-64-10, softmax cross-entropy."""
    Y = jax.nn.one_hot(jnp.arange(n) % 10, 10, dtype=draw.dtype)

    def ours(params: Any, X: Any, Y: Any) -> Any:
        return jmc.softmax_cross_entropy(jmc.network(params, X), Y)

    def plain(params: Any, X: Any, Y: Any) -> Any:
        *hidden, (W, b) = params
        for V, c in hidden:
            X = jax.nn.relu(X @ V.T + c)
        return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(X @ W.T + b), axis=-1))

    def in_numpy(params: Any, X: Any, Y: Any) -> Any:
        inputs = [X]
        for W, b in params[:-1]:
            inputs.append(np.maximum(inputs[-1] @ W.T + b, 0))
        W, b = params[-1]
        Z = inputs[-1] @ W.T + b
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        E = (P / P.sum(axis=1, keepdims=True) - Y) / len(X)
        found = []
        for (W, _), A in zip(reversed(params), reversed(inputs), strict=True):
            found.append((E.T @ A, E.sum(axis=0)))
            E = (E @ W) * (A > 0)
        return found[::-1]

    def in_torch(params: Any, X: Any, Y: Any) -> Any:
        *hidden, (W, b) = params
        for V, c in hidden:
            X = (X @ V.T + c).relu()
        return -(Y * (X @ W.T + b).log_softmax(1)).sum(1).mean()

    flops = 6 * n * (2 * 64 * 64 + 640)
    args = (weights((64, 64, 64, 10), draw), draw(n, 64), Y)
    return gradient(ours, plain, args, in_numpy=in_numpy, torch_loss=in_torch, flops=flops)


def attention(n: int, draw: Draw) -> Case:
    """n queries and keys of 32 numbers: the gradient with respect to all three of ½ ‖attention‖²."""

    def ours(qkv: Any) -> Any:
        return 0.5 * jnp.sum(jmc.attention(*qkv) ** 2)

    def plain(qkv: Any) -> Any:
        Q, K, V = qkv
        return 0.5 * jnp.sum((jax.nn.softmax(Q @ K.T / 32**0.5, axis=-1) @ V) ** 2)

    def in_torch(qkv: Any) -> Any:
        Q, K, V = qkv
        return 0.5 * (((Q @ K.T / 32**0.5).softmax(-1) @ V) ** 2).sum()

    args = (tuple(draw(n, 32, seed=i) for i in range(3)),)
    return gradient(ours, plain, args, torch_loss=in_torch, flops=12 * n * n * 32)


def layer_norm(n: int, draw: Draw) -> Case:
    """n examples of 256 features, with respect to input, scale and shift."""

    def ours(params: Any, Y: Any) -> Any:
        x, gamma, beta = params
        return jmc.mean_squared_error(jmc.layer_norm(x, gamma, beta), Y)

    def normalized(params: Any, sqrt: Any) -> Any:
        x, gamma, beta = params
        centred = x - x.mean(-1, keepdims=True)
        return centred / sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta

    def plain(params: Any, Y: Any) -> Any:
        return jnp.mean((normalized(params, jnp.sqrt) - Y) ** 2)

    def in_torch(params: Any, Y: Any) -> Any:
        return ((normalized(params, lambda x: x.sqrt()) - Y) ** 2).mean()

    args = ((draw(n, 256), draw(256, seed=1), draw(256, seed=2)), draw(n, 256, seed=3))
    return gradient(ours, plain, args, torch_loss=in_torch, flops=20 * n * 256)


def cross_entropy(n: int, draw: Draw) -> Case:
    """The mean over n examples with 1000 classes: (softmax − one-hot)/n."""
    Y = jax.nn.one_hot(jnp.arange(n) % 1000, 1000, dtype=draw.dtype)

    def plain(Z: Any, Y: Any) -> Any:
        return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(Z), axis=-1))

    def in_numpy(Z: Any, Y: Any) -> Any:
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        return (P / P.sum(axis=1, keepdims=True) - Y) / len(Z)

    def in_torch(Z: Any, Y: Any) -> Any:
        return -(Y * Z.log_softmax(1)).sum(1).mean()

    args = (draw(n, 1000), Y)
    return gradient(jmc.softmax_cross_entropy, plain, args, in_numpy=in_numpy, torch_loss=in_torch, flops=5000 * n)


EXAMPLES = (32, 128, 512, 2048)
SERIES = {
    "neuron": Series(neuron, EXAMPLES, 512, (10**7,), lambda n: 256 * n),
    "layer": Series(layer, EXAMPLES, 512, (10**6,), lambda n: 2048 * n),
    "network": Series(network, EXAMPLES, 512, (10**6,), lambda n: 4096 * n),
    "attention": Series(attention, (32, 128, 512), 512, (8192,)),
    "layer norm": Series(layer_norm, EXAMPLES, 512, (10**5,), lambda n: 8192 * n),
    "cross-entropy": Series(cross_entropy, (8, 32, 128, 512), 128, (10**5,), lambda n: 24000 * n),
}
