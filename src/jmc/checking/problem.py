"""A user's function and hand-derived rule as functions of flat lists of arrays.

Whatever is claimed of a derivative is asked as a cotangent for each argument, given a cotangent of the value: a
Jacobian is contracted with it, a Hessian is the Jacobian of the gradient, a jvp is asked for every direction.
"""

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.linear.linear_map import LinearMap

MOST_DIRECTIONS = 4096
MODES = ("grad", "jacobian", "hessian", "vjp", "jvp")


class BadClaim(Exception):  # noqa: N818 - it is caught here, and told as a finding
    """The rule did not return what it must, or raised; the message says so in one line."""


@dataclass(frozen=True)
class Leaf:
    """An array among the arguments: its name, and the argument that it is (part of)."""

    name: str
    argnum: int


@dataclass(frozen=True, eq=False)
class Problem:
    """What is checked.

    Attributes:
        f: from flat lists of arrays to flat lists of arrays; of ``hessian`` it is the gradient.
        claim: the rule, ``(leaves, us) -> cotangents`` of the moving leaves; None where nothing is claimed.
        mode: what the rule claims to be.
        leaves: the arrays in the arguments.
        moving: which of them are differentiated.
        name: of the function.
        tangents: of a jvp, the rule itself, ``(leaves, vs) -> tangents of the value``.
    """

    f: Callable[[Sequence[Any]], list[Any]]
    claim: Callable[[Sequence[Any], Sequence[Any]], list[Any]]
    mode: str
    leaves: list[Leaf]
    moving: list[int]
    name: str
    tangents: Callable[[Sequence[Any], Sequence[Any]], list[Any]] | None = None

    def named(self, k: int) -> tuple[str, int]:
        """The name of the k-th moving leaf, and the argument that it belongs to."""
        leaf = self.leaves[self.moving[k]]
        return leaf.name, leaf.argnum


def problem(
    f: Callable[..., Any], args: Sequence[Any], mode: str, rule: Any, argnums: Any, denominator: bool = False
) -> Problem:
    """The flat form of ``f``, differentiated by ``argnums``, and of ``rule``, which is of this mode.

    ``denominator`` reads the rule's Jacobians in denominator layout: the argument's axes before the value's.

    Raises TypeError or ValueError for arguments that do not fit.
    """
    flat, tree = jax.tree.flatten(tuple(args))
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(tuple(args))[0]]
    names = _names(f, len(args))
    leaves = [Leaf(names[path[0].idx] + jax.tree_util.keystr(path[1:]), path[0].idx) for path in paths]
    numbers = range(len(args)) if mode in ("vjp", "jvp") else _numbers(argnums, len(args))
    moving = [
        k
        for number in numbers
        for k, (leaf, x) in enumerate(zip(leaves, flat, strict=True))
        if leaf.argnum == number and jnp.issubdtype(x.dtype, jnp.inexact)
    ]
    if not moving:
        raise TypeError(
            f"`args` must have a floating-point array to differentiate, but got {[str(x.dtype) for x in flat]}"
        )

    def primal(leaves: Sequence[Any]) -> list[Any]:
        return jax.tree.leaves(f(*jax.tree.unflatten(tree, leaves)))

    def gradient(leaves: Sequence[Any]) -> list[Any]:
        return [leaf for row in _pulled_back(primal, leaves, moving) for leaf in row]

    wanted = gradient if mode == "hessian" else primal
    adapted: dict[str, Any] = {
        "grad": lambda leaves, us: _grad(rule, jax.tree.unflatten(tree, leaves), us, numbers, leaves, moving),
        "vjp": lambda leaves, us: _vjp(f, rule, jax.tree.unflatten(tree, leaves), us, moving),
        "jvp": lambda leaves, us: _every_direction(tangents, leaves, us, moving),
    }

    def tangents(leaves: Sequence[Any], vs: Sequence[Any]) -> list[Any]:
        return _jvp(f, rule, tree, leaves, vs, moving)

    if mode in ("jacobian", "hessian"):

        def entries(leaves: Sequence[Any]) -> list[list[Any]]:
            found = _entries(rule(*jax.tree.unflatten(tree, leaves)), len(moving), wanted, leaves)
            return _turned(found, [leaves[k] for k in moving]) if denominator else found

        adapted[mode] = lambda leaves, us: _contracted(entries(leaves), us, [leaves[k] for k in moving])
    return Problem(
        wanted, adapted[mode], mode, leaves, moving, getattr(f, "__name__", "f"), tangents if mode == "jvp" else None
    )


def _pulled_back(primal: Any, leaves: Sequence[Any], moving: Sequence[int]) -> list[list[Any]]:
    """The gradient of each output by each moving leaf; of outputs that are no scalars, the Jacobian."""

    def at(*moved: Any) -> list[Any]:
        return primal(replaced(leaves, moving, moved))

    found = jax.jacrev(at, tuple(range(len(moving))))(*[leaves[k] for k in moving])
    return [list(row) for row in found]


def replaced(leaves: Sequence[Any], moving: Sequence[int], moved: Sequence[Any]) -> list[Any]:
    """The leaves, those at ``moving`` replaced."""
    filled = list(leaves)
    for k, array in zip(moving, moved, strict=True):
        filled[k] = array
    return filled


def _grad(rule: Any, args: Any, us: Any, numbers: Any, leaves: Any, moving: Any) -> list[Any]:
    found = rule(*args)
    many = found if isinstance(found, (tuple, list)) and len(numbers) > 1 else (found,)
    del us  # the value is one number, and its cotangent 1
    return _matched(jax.tree.leaves(many), [leaves[k] for k in moving], "grad")


def _vjp(f: Any, rule: Any, args: Any, us: Any, moving: Any) -> list[Any]:
    out = jax.tree.structure(jax.eval_shape(f, *args))
    found = rule(args, jax.tree.unflatten(out, us))
    if not isinstance(found, (tuple, list)) or len(found) != len(args):
        got = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        raise BadClaim(f"`vjp` must return a tuple of {len(args)} cotangents, one per argument, but got {got}")
    claimed: list[Any] = []
    for part, arg in zip(found, args, strict=True):
        inner = jax.tree.leaves(arg)
        if part is None:
            claimed += [None] * len(inner)
        else:
            own = jax.tree.leaves(part, is_leaf=lambda leaf: leaf is None)
            if len(own) != len(inner):
                raise BadClaim(
                    "`vjp` must return cotangents that nest as the arguments do, "
                    f"but got {len(own)} arrays for {len(inner)}"
                )
            claimed += own
    return [_plain(claimed[k]) for k in moving]


def _jvp(f: Any, rule: Any, tree: Any, leaves: Any, vs: Any, moving: Any) -> list[Any]:
    zeros = [
        jnp.zeros_like(x) if jnp.issubdtype(x.dtype, jnp.inexact) else np.zeros(x.shape, jax.dtypes.float0)
        for x in leaves
    ]
    args = jax.tree.unflatten(tree, leaves)
    found = jax.tree.leaves(rule(args, jax.tree.unflatten(tree, replaced(zeros, moving, vs))))
    outs = jax.tree.leaves(jax.eval_shape(f, *args))
    if len(found) != len(outs):
        raise BadClaim(f"`jvp` must return {len(outs)} tangents, as the value has, but got {len(found)}")
    return found


def _every_direction(tangents: Any, leaves: Any, us: Any, moving: Any) -> list[Any]:
    """uᵀ J from a jvp: its answer along every direction, contracted with u."""
    moved = [leaves[k] for k in moving]
    sizes = [math.prod(np.shape(x)) for x in moved]
    if sum(sizes) > MOST_DIRECTIONS:
        raise BadClaim(f"`jvp` is asked along every direction, up to {MOST_DIRECTIONS}, but got {sum(sizes)} entries")
    found: list[Any] = []
    for k, (x, size) in enumerate(zip(moved, sizes, strict=True)):
        basis = jnp.eye(size, dtype=x.dtype).reshape(size, *np.shape(x))
        turned = jnp.issubdtype(x.dtype, jnp.complexfloating)
        zeros = [jnp.zeros_like(y) for y in moved]

        def along(v: Any, k: int = k, zeros: Any = zeros) -> Any:
            outs = tangents(leaves, replaced(zeros, [k], [v]))
            return sum(jnp.sum(u.astype(out.dtype) * out) for u, out in zip(us, outs, strict=True))

        def all_along(basis: Any, along: Any = along, x: Any = x) -> Any:
            try:
                return jax.vmap(along)(basis)
            except BadClaim:
                raise
            except Exception:  # NumPy inside, or branches on values
                return jnp.stack([along(v) for v in basis]) if len(basis) else jnp.zeros(0, x.dtype)

        rows = all_along(basis)
        if turned:  # c with Re(c v) = Re Σ u ∂f, whether or not the rule is linear over complex numbers
            rows = rows.real - 1j * all_along(1j * basis).real
        found.append(jnp.reshape(rows, np.shape(x)))
    return found


def _entries(found: Any, columns: int, f: Any, leaves: Any) -> list[list[Any]]:
    arrays = [
        part.dense() if isinstance(part, LinearMap) else part
        for part in jax.tree.leaves(found, is_leaf=lambda part: isinstance(part, LinearMap))
    ]
    rows = len(jax.eval_shape(f, list(leaves)))
    if len(arrays) != rows * columns:
        raise BadClaim(
            f"the rule must return {rows * columns} arrays, one for each output and argument, but got {len(arrays)}"
        )
    return [arrays[j * columns : (j + 1) * columns] for j in range(rows)]


def _turned(entries: list[list[Any]], moved: Sequence[Any]) -> list[list[Any]]:
    """From denominator layout to numerator layout."""
    return [
        [
            jnp.moveaxis(array, range(min(np.ndim(x), np.ndim(array))), range(-min(np.ndim(x), np.ndim(array)), 0))
            for array, x in zip(row, moved, strict=True)
        ]
        for row in entries
    ]


def _contracted(entries: Any, us: Any, moved: Any) -> list[Any]:
    found: list[Any] = []
    for k, x in enumerate(moved):
        parts = []
        for u, row in zip(us, entries, strict=True):
            if np.shape(row[k]) != np.shape(u) + np.shape(x):
                raise BadClaim(f"must have shape {np.shape(u) + np.shape(x)}, but got {np.shape(row[k])}")
            parts.append(jnp.tensordot(u.astype(row[k].dtype), row[k], np.ndim(u)))
        found.append(sum(parts[1:], parts[0]))
    return found


def _matched(found: list[Any], moved: list[Any], mode: str) -> list[Any]:
    if len(found) != len(moved):
        raise BadClaim(
            f"`{mode}` must return {len(moved)} arrays, one for each that is differentiated, but got {len(found)}"
        )
    return [_plain(array) for array in found]


def _plain(array: Any) -> Any:
    """Dense, and None where it claims nothing."""
    if isinstance(array, LinearMap):
        return array.dense()
    return None if array is None or getattr(array, "dtype", None) == jax.dtypes.float0 else array


def _numbers(argnums: Any, count: int) -> list[int]:
    try:
        numbers = [operator.index(n) for n in (argnums if isinstance(argnums, Sequence) else [argnums])]  # pyright: ignore[reportArgumentType] - what is no integer raises here
    except TypeError:
        raise TypeError(f"`argnums` must be an integer or a sequence of integers, but got {argnums!r}") from None
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(f"`argnums` must be below the number of arguments, {count}, but got {number}")
    return [number % count for number in numbers]


def _names(f: Any, count: int) -> list[str]:
    try:
        names = [
            name
            for name, x in inspect.signature(f).parameters.items()
            if x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    return [names[k] if k < len(names) else f"args[{k}]" for k in range(count)]
