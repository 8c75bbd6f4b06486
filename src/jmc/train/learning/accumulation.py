"""Gradient accumulation: the gradient over a batch from those over equal parts of it, one after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def accumulated(value_and_gradient: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """``(params, X: (B, …), y: (B, …))`` as ``value_and_gradient`` takes them, B a multiple of ``parts``.

    A mean over the batch is the mean of those over equal parts, and so is its gradient; a penalty is the same in
    each. Only one part's activations are held at a time; sums are kept in float32 at least.
    """
    if parts == 1:
        return value_and_gradient

    def mean_over_parts(params: Any, X: jax.Array, y: jax.Array) -> Any:
        split = [array.reshape(parts, array.shape[0] // parts, *array.shape[1:]) for array in (X, y)]
        result = jax.eval_shape(value_and_gradient, params, *(array[0] for array in split))

        def add(total: Any, part: list[jax.Array]) -> tuple[Any, None]:
            found = value_and_gradient(params, *part)
            return jax.tree.map(lambda t, f: t + f.astype(t.dtype), total, found), None

        def zero(leaf: Any) -> jax.Array:
            return jnp.zeros(leaf.shape, jnp.float64 if leaf.dtype == jnp.float64 else jnp.float32)

        total, _ = jax.lax.scan(add, jax.tree.map(zero, result), split)
        return jax.tree.map(lambda t, leaf: (t / parts).astype(leaf.dtype), total, result)

    return mean_over_parts
