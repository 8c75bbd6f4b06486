"""Nests of linear maps, as `jmc.jacobian` returns them for pytrees: the operations that sum over leaves."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jmc.linear.linear_map import MAX_BYTES, LinearMap


def _is_map(node: Any) -> bool:
    return isinstance(node, LinearMap)


def _leaves(J: Any) -> list[LinearMap]:
    leaves = jax.tree.leaves(J, is_leaf=_is_map)
    if not leaves or not all(map(_is_map, leaves)):
        raise TypeError(f"`J` must be a LinearMap or a nest of them, but got {type(J).__name__}")
    return leaves


def dense(J: Any, max_bytes: int = MAX_BYTES) -> Any:
    """The nest with each map as an array, as ``jax.jacobian`` returns it. Raises TooLarge as LinearMap.dense."""
    _leaves(J)
    return jax.tree.map(lambda leaf: leaf.dense(max_bytes), J, is_leaf=_is_map)


def mv(J: Any, v: Any) -> Any:
    """J v: the tangent of each output, summed over the arguments; ``v`` is nested as the arguments are."""
    return _over_outputs(J, v, lambda leaf, part: leaf.mv(part))


def vm(J: Any, u: Any) -> Any:
    """uᵀ J: the cotangent of each argument, summed over the outputs; ``u`` is nested as the outputs are."""
    _leaves(J)
    tree = jax.tree.structure(u)
    inner = [
        jax.tree.map(lambda leaf, part=part: leaf.vm(part), sub, is_leaf=_is_map) for sub, part in _split(J, u, tree)
    ]
    return functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), inner)


def row_norms(J: Any) -> Any:
    """For each output the norms of its rows over all arguments together: per-example gradient norms, for losses.

    ``J`` is the nest over the arguments of one output.
    """
    leaves = _of_one_output(J)
    return jnp.sqrt(functools.reduce(jnp.add, [leaf.row_squares() for leaf in leaves]))


def row_gram(J: Any) -> LinearMap:
    """JJᵀ summed over the arguments; ``J`` is the nest over the arguments of one output."""
    return functools.reduce(lambda a, b: a + b, [leaf.row_gram() for leaf in _of_one_output(J)])


def gram(J: Any) -> Any:
    """JᵀJ summed over the outputs; ``J`` is the nest over the outputs of one argument."""
    leaves = _leaves(J)
    if len({leaf.in_shape for leaf in leaves}) > 1:
        raise ValueError("`J` must be the nest over the outputs of one argument, but its maps have several in_shapes")
    return functools.reduce(lambda a, b: a + b, [leaf.gram() for leaf in leaves])


def _of_one_output(J: Any) -> list[LinearMap]:
    leaves = _leaves(J)
    shapes = {leaf.out_shape for leaf in leaves}
    if len(shapes) > 1:
        raise ValueError(
            f"`J` must be the nest over the arguments of one output, but its maps have out_shapes {shapes}"
        )
    return leaves


def _split(J: Any, u: Any, tree: Any) -> list[tuple[Any, Any]]:
    return list(zip(tree.flatten_up_to(J), jax.tree.leaves(u), strict=True))


def _over_outputs(J: Any, v: Any, apply: Any) -> Any:
    _leaves(J)
    parts = jax.tree.leaves(v)
    tree = jax.tree.structure(v)

    def ends(node: Any) -> bool:
        """Whether this is the nest over the arguments: it has the structure of ``v``."""
        return jax.tree.structure(node, is_leaf=_is_map) == tree

    if any(not ends(node) for node in jax.tree.leaves(J, is_leaf=lambda node: ends(node) or _is_map(node))):
        raise ValueError(f"`v` must be nested as the arguments of `J` are, but got {tree}")

    def total(node: Any) -> Any:
        leaves = jax.tree.leaves(node, is_leaf=_is_map)
        return functools.reduce(jnp.add, [apply(leaf, part) for leaf, part in zip(leaves, parts, strict=True)])

    return jax.tree.map(total, J, is_leaf=ends)
