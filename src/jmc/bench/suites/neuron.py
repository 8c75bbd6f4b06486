"""The mean squared error of one ReLU neuron, as each contender writes it; ``params`` are w: (d,) and b."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jmc


def ours(params: Any, X: Any, y: Any) -> Any:
    w, b = params
    return jmc.neuron_loss(w, b, X, y)


def plain(params: Any, X: Any, y: Any) -> Any:
    w, b = params
    return jnp.mean((y - jax.nn.relu(X @ w + b)) ** 2)


def gradient_in_numpy(params: Any, X: Any, y: Any) -> Any:
    w, b = params
    a = np.maximum(X @ w + b, 0)
    e = np.where(a > 0, a - y, 0) * X.dtype.type(2 / len(X))
    return e @ X, e.sum()


def in_torch(params: Any, X: Any, y: Any) -> Any:
    w, b = params
    return ((y - (X @ w + b).relu()) ** 2).mean()
