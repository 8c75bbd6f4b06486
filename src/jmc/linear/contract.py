"""One contraction: Σ Π factors over the labels that are not kept, in the order that costs the fewest operations."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jmc.linear.plan import groups, steps
from jmc.linear.term import Factor, Label, Labels


class TooLarge(ValueError):  # noqa: N818 - it reads as what it says, as StopIteration does
    """An array would need more memory than is allowed."""


def check_size(shape: Sequence[int], dtype: Any, max_bytes: int, what: str) -> None:
    """Raise TooLarge if an array of this shape has more than ``max_bytes``."""
    needed = math.prod(shape) * jnp.dtype(dtype).itemsize
    if needed > max_bytes:
        raise TooLarge(
            f"{what} of shape {tuple(shape)} would need {_readable(needed)}, "
            f"but `max_bytes` allows {_readable(max_bytes)}"
        )


def _readable(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def multiplied(a: Factor, b: Factor) -> Factor:
    """a ⊙ b, where the labels of one are among the other's; beside the zeros of a mask (bool) inf and nan are zero."""
    if not set(b.labels) <= set(a.labels):
        a, b = b, a
    x, y = jnp.asarray(a.array), aligned(jnp.asarray(b.array), b.labels, a.labels)
    return Factor(product(x, y), a.labels, True, finer(a, b))


def product(x: Any, y: Any) -> Any:
    """x ⊙ y, where one that holds zeros and ones (bool) is a mask."""
    if x.dtype == bool or y.dtype == bool:
        if x.dtype == y.dtype:
            return x & y
        mask, array = (x, y) if x.dtype == bool else (y, x)
        return jnp.where(mask, array, jnp.zeros((), array.dtype))
    x, y = common(x, y)
    return x * y


def finer(a: Factor, b: Factor) -> Any:
    """The higher of two precisions."""
    if a.precision is None or b.precision is None:
        return b.precision if a.precision is None else a.precision
    return max(a.precision, b.precision, key=lambda p: (isinstance(p, lax.Precision), getattr(p, "value", 0)))


def common(x: Any, y: Any) -> tuple[Any, Any]:
    """Both arrays in the type of their product; zeros and ones (bool) take the other's."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.dtype == y.dtype:
        return x, y
    with jax.numpy_dtype_promotion("standard"):
        wide = jnp.promote_types(x.dtype, y.dtype)
    return x.astype(wide), y.astype(wide)


def aligned(array: Any, labels: Sequence[Label], order: Sequence[Label]) -> Any:
    """``array`` with its axes in the ``order`` of labels, of size 1 for those that it lacks."""
    place = {label: k for k, label in enumerate(order)}
    permutation = sorted(range(len(labels)), key=lambda k: place[labels[k]])
    if permutation != list(range(len(labels))):
        array = lax.transpose(array, permutation)
    if len(labels) == len(order):
        return array
    return lax.expand_dims(array, [k for k, label in enumerate(order) if label not in labels])


def contract(
    factors: Sequence[Factor], keep: Sequence[Label], dtype: Any, max_bytes: int | None = None
) -> tuple[Any, Labels]:
    """Σ Π factors over the labels not in ``keep``; the array and its labels, those of ``keep`` that occur.

    The products are accumulated in ``dtype``. Raises TooLarge if an intermediate array exceeds ``max_bytes``.
    """
    if not factors:
        return jnp.ones((), dtype), ()
    kept, place = set(keep), {label: k for k, label in enumerate(keep)}
    operands = [f._replace(array=_cast(f.array, dtype, masks=True)) for f in factors]
    operands = [functools.reduce(multiplied, [operands[k] for k in group]) for group in groups(operands)]
    operands = [f._replace(array=_cast(f.array, dtype)) for f in operands]
    for step in steps([f.labels for f in operands], kept):
        pair = [operands.pop(k) for k in sorted(step, reverse=True)][::-1]
        needed = kept.union(*(f.labels for f in operands))
        operands.append(_pairwise(pair, needed, place, dtype, max_bytes, last=not operands))
    (result,) = operands
    return result.array, result.labels


def _cast(array: Any, dtype: Any, masks: bool = False) -> Any:
    array = array if isinstance(array, jax.Array) else jnp.asarray(array)
    return array if array.dtype == dtype or (masks and array.dtype == bool) else array.astype(dtype)


def _pairwise(
    pair: Sequence[Factor], needed: set[Label], place: dict[Label, int], dtype: Any, max_bytes: int | None, last: bool
) -> Factor:
    if len(pair) == 1:
        return _summed(pair[0], needed)
    a, b = pair
    a, b = _summed(a, needed | set(b.labels)), _summed(b, needed | set(a.labels))
    shared = [label for label in a.labels if label in b.labels]
    summed = [label for label in shared if label not in needed]
    batch = [label for label in shared if label in needed]
    mine = [label for label in a.labels if label not in shared]
    theirs = [label for label in b.labels if label not in shared]
    earlier = _first(theirs, place) < _first(mine, place)
    if summed and (earlier if last else _turned(a.labels, b.labels, summed, earlier)):
        a, b, mine, theirs = b, a, theirs, mine
    labels = (*batch, *mine, *theirs)
    if max_bytes is not None:
        check_size([label.size for label in labels], dtype, max_bytes, "an intermediate array")
    if not summed:  # in the order in which the axes are wanted, those to sum last: a transposition is dear
        order = sorted(labels, key=lambda label: place.get(label, len(place)))
        product = aligned(a.array, a.labels, order) * aligned(b.array, b.labels, order)
        return Factor(product, tuple(order), True, finer(a, b))
    precision = finer(a, b)
    return Factor(_matrix_product(a, b, summed, labels, precision), labels, True, precision)


def _matrix_product(a: Factor, b: Factor, summed: list[Label], labels: Labels, precision: Any) -> Any:
    """Σ a·b over ``summed``, on ``labels``: those of both, of a, and of b; XLA copies what has more than three axes.

    So axes that lie side by side are one.
    """
    batch = [label for label in labels if label in a.labels and label in b.labels]
    alone = [tuple(label for label in f.labels if label in labels and label not in batch) for f in (a, b)]
    runs = [_runs(f.labels, [*alone, tuple(summed)]) for f in (a, b)]
    if any(tuple(summed) not in own for own in runs):
        runs = [_runs(f.labels, alone) for f in (a, b)]
    x, y = (
        lax.reshape(f.array, [math.prod(label.size for label in run) for run in own])
        for f, own in zip((a, b), runs, strict=True)
    )
    left, right = runs
    contracted, shared = [run for run in left if run[0] in summed], [(label,) for label in batch]
    numbers = (
        ([left.index(run) for run in contracted], [right.index(run) for run in contracted]),
        ([left.index(run) for run in shared], [right.index(run) for run in shared]),
    )
    product = lax.dot_general(x, y, numbers, precision=precision)
    return lax.reshape(product, [label.size for label in labels])


def _runs(labels: Labels, groups: Sequence[Labels]) -> list[Labels]:
    """The labels one by one, but each group whose labels stand side by side in their order as one."""
    runs: list[Labels] = []
    while labels:
        runs.append(next((own for own in groups if own and labels[: len(own)] == own), labels[:1]))
        labels = labels[len(runs[-1]) :]
    return runs


def _first(labels: Sequence[Label], place: dict[Label, int]) -> int:
    """The first place that one of the labels has in what is wanted."""
    return min((place.get(label, len(place)) for label in labels), default=len(place))


def _turned(a: Labels, b: Labels, summed: list[Label], otherwise: bool) -> bool:
    """Whether b·a, more than a·b, contracts the last axis of the left and the first of the right factor: matrices
    are multiplied fastest as they lie in memory. If both do, ``otherwise``.
    """

    def good(left: Labels, right: Labels) -> int:
        return (left[-1] in summed) + (right[len(right) - 1] not in summed)

    return otherwise if good(b, a) == good(a, b) else good(b, a) > good(a, b)


def _summed(factor: Factor, needed: set[Label]) -> Factor:
    gone = [k for k, label in enumerate(factor.labels) if label not in needed]
    if not gone:
        return factor
    labels = tuple(label for label in factor.labels if label in needed)
    return Factor(jnp.sum(factor.array, axis=tuple(gone)), labels, True, factor.precision)
