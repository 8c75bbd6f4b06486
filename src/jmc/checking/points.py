"""Points to check at: the given one, fresh generic ones, other sizes, and edges; arrays keep what makes them valid.

An argument that is symmetric, triangular, a distribution, one-hot or a mask, and one that is not differentiated and
positive, is drawn as such again. Anything else is drawn normal; where the function is not finite there, positive, or
(square matrices) positive definite, or as a small move of what was given.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.domain import draw

PRIMES = (3, 5, 7, 2, 11, 13, 17, 19, 23)
EDGES = (40.0, -40.0, 1e-3, -1e-3)
TRIES = 5
SQUARE = ("spd", "symmetric", "lower")


@dataclass(frozen=True, eq=False)
class Point:
    """Arguments to check at: NumPy arrays in the precision of the user's, and what is special about them."""

    kind: str  # given, generic, sizes, zeros, large
    leaves: list[np.ndarray]


def kind_of(x: np.ndarray, moving: bool) -> str | None:
    """The kind of ``domain.KINDS`` that an array visibly is; None where it may be anything."""
    if not np.issubdtype(x.dtype, np.floating) or x.size == 0 or not np.all(np.isfinite(x)):
        return None
    if x.ndim and x.shape[-1] > 1 and np.all(x >= 0) and np.allclose(x.sum(axis=-1), 1, atol=1e-3):
        return "one_hot" if np.all((x == 0) | (x == 1)) else "distribution"
    if x.size > 2 and np.all((x == 0) | (x == 1)) and 0 < x.sum() < x.size:
        return "mask"
    if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
        if np.allclose(x, x.T, rtol=1e-5, atol=1e-6):
            return "spd" if np.all(np.linalg.eigvalsh(x.astype(float)) > 1e-9) else "symmetric"
        if np.array_equal(x, np.tril(x)):
            return "lower"
    if x.size > 2 and np.all((x == 1) | (x == -1)) and not np.all(x == x.flat[0]):
        return "signs"
    return "positive" if not moving and np.all(x > 0) else None


def redrawn(
    given: Sequence[Any], shapes: Sequence[tuple[int, ...]], moving: Sequence[int], seed: int, attempt: int
) -> list[np.ndarray] | None:
    """Arrays of these shapes, of the kinds that the given ones have; ``attempt`` says what the others are.

    None where a matrix whose kind is a square one's would not be square.
    """
    rng = np.random.default_rng([seed, attempt])
    changed = any(tuple(x.shape) != shape for x, shape in zip(given, shapes, strict=True))
    # labels stay below every size that has changed
    below = min((n for shape in shapes for n in shape if n > 1), default=None) if changed else None
    found = []
    for k, (x, shape) in enumerate(zip(given, shapes, strict=True)):
        real = x if isinstance(x, np.ndarray) else None
        dtype = np.dtype(x.dtype)
        if not jnp.issubdtype(dtype, jnp.inexact):
            found.append(_integers(real, shape, dtype, below, rng))
            continue
        kind = (
            None if real is None else kind_of(real.astype(float) if real.dtype.kind not in "fc" else real, k in moving)
        )
        if kind in SQUARE and shape[0] != shape[1]:
            return None
        if kind is None and attempt == TRIES - 1 and real is not None and real.shape == shape:
            noise = rng.normal(size=shape)
            found.append(np.asarray(real * (1 + 0.1 * noise)).astype(dtype))
            continue
        found.append(_drawn(kind or _guess(attempt, shape), rng, shape, dtype))
    return found


def _guess(attempt: int, shape: tuple[int, ...]) -> str | None:
    square = len(shape) == 2 and shape[0] == shape[1]
    return (None, "spd" if square else None, "positive", "unit", "spd" if square else "unit")[attempt]


def _drawn(kind: str | None, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = draw(kind, rng, shape, {})
    if jnp.issubdtype(dtype, jnp.complexfloating):
        array = array + 1j * rng.normal(size=shape)
    return np.asarray(array).astype(dtype)


def _integers(
    given: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype, below: int | None, rng: Any
) -> np.ndarray:
    if given is None or not given.size:
        return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    if given.size == 1:
        return np.broadcast_to(given.reshape(()), shape).astype(dtype)  # a number that counts or chooses
    found = rng.permutation(np.resize(given.ravel(), int(np.prod(shape)))).reshape(shape)
    return (found if below is None or dtype.kind == "b" else np.minimum(found, below - 1)).astype(dtype)


def edges(point: Sequence[np.ndarray], given: Sequence[Any], moving: Sequence[int], seed: int) -> Iterator[Point]:
    """The point with zeros and equal entries here and there, and with large and small entries.

    Of what was given positive, entries stay positive; what has to be of a kind stays as it is.
    """
    for kind in ("zeros", "large"):
        rng = np.random.default_rng([seed, len(kind)])
        moved = list(point)
        for k in moving:
            x = np.array(point[k])
            like = given[k] if isinstance(given[k], np.ndarray) else x
            if (
                x.size == 0
                or not jnp.issubdtype(x.dtype, jnp.floating)
                or kind_of(like.astype(float), True) is not None
            ):
                continue
            positive = bool(np.all(like > 0))
            flat = np.abs(x.reshape(-1)) if positive else x.reshape(-1)
            which = rng.permutation(flat.size)[: (2 * flat.size + 2) // 3]
            if kind == "zeros":
                flat[which] = flat[which[0]] if positive else 0
                if x.ndim and x.shape[-1] > 1:  # the largest of the last axis twice, and once more with the other sign
                    n, rows = x.shape[-1], flat.reshape(-1, x.shape[-1])
                    top, each = np.argmax(rows, axis=-1), np.arange(len(rows))
                    rows[each, (top + 1) % n] = rows[each, top]
                    if n > 3 and not positive:
                        rows[each, (top - 1) % n] = -np.max(np.abs(rows), axis=-1)
            else:
                flat[which] = np.resize(np.abs(EDGES) if positive else EDGES, which.size)
            moved[k] = flat.reshape(x.shape)
        yield Point(kind, moved)


def other_shapes(f: Callable[..., Any], leaves: Sequence[Any]) -> list[tuple[int, ...]] | None:
    """Shapes with other sizes, distinct primes where the function lets them differ; None if it takes no others.

    Axes of one size are taken for the same axis unless the function accepts that some of them differ.
    """
    axes = [(k, d) for k, x in enumerate(leaves) for d in range(len(x.shape)) if x.shape[d] > 1]
    groups: dict[Any, list[tuple[int, int]]] = {}
    for axis in axes:
        groups.setdefault(leaves[axis[0]].shape[axis[1]], []).append(axis)
    open_, parts = list(groups.values()), []
    while open_:
        group = open_.pop()
        apart = next((some for some in _subsets(group) if _accepts(f, leaves, [some])), None)
        if apart is None:
            continue  # this size is built into the function
        parts.append(apart)
        if rest := [axis for axis in group if axis not in apart]:
            open_.append(rest)
    parts = [part for part in parts if part]
    for chosen in (parts, *([part] for part in parts)):
        if chosen and (shapes := _accepts(f, leaves, chosen)):
            return shapes
    return None


def _subsets(group: Sequence[Any]) -> Iterator[list[Any]]:
    """The smallest first, all with the first member; of large groups, the whole alone."""
    first, *rest = group
    sizes = range(len(rest) + 1) if len(rest) <= 6 else [len(rest)]
    for size in sizes:
        yield from ([first, *some] for some in itertools.combinations(rest, size))


def _accepts(
    f: Callable[..., Any], leaves: Sequence[Any], parts: Sequence[Sequence[tuple[int, int]]]
) -> list[tuple[int, ...]] | None:
    shapes = [list(x.shape) for x in leaves]
    fixed = {
        x.shape[d] for k, x in enumerate(leaves) for d in range(len(x.shape)) if not any((k, d) in p for p in parts)
    }
    open_ = [prime for prime in PRIMES if prime not in fixed]
    for part in parts:
        size = next(prime for prime in open_ if prime != leaves[part[0][0]].shape[part[0][1]])
        open_.remove(size)
        for k, d in part:
            shapes[k][d] = size
    try:
        outs = jax.eval_shape(f, [jax.ShapeDtypeStruct(s, x.dtype) for s, x in zip(shapes, leaves, strict=True)])
    except Exception:  # whatever the user's function says to sizes that it does not take
        return None
    if any(0 in out.shape for out in outs):
        return None
    return [tuple(shape) for shape in shapes]
