"""Structure that the entries of a Jacobian have, and the map that states it does not show."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from jmc.linear.linear_map import LinearMap

RELATIVE = 1e-11


def hidden(J: LinearMap, entries: np.ndarray) -> str:
    """What a dense map could have said: ``"shares axis 0 with axis 1"`` or ``"an outer product"``; else empty.

    Args:
        J: the map, which may be abstract.
        entries: of it, shape out + in, at a generic point.

    A map of a scalar, or by a scalar, is a row or a column and has nothing to show; an axis of size 1 neither.
    """
    out_rank = len(J.out_shape)
    m, n = math.prod(J.out_shape), math.prod(J.in_shape)
    if min(m, n) < 2 or J.structure != f"dense({m}×{n})":
        return ""
    largest = np.max(np.abs(entries))
    for a, b in itertools.product(range(out_rank), range(out_rank, entries.ndim)):
        if entries.shape[a] == entries.shape[b] > 1 and _off(entries, a, b) <= RELATIVE * largest:
            return f"it is zero off the diagonal of axes {a} and {b}, so it is diagonal or block-diagonal"
    axes = [k for k in range(entries.ndim) if entries.shape[k] > 1]
    for group in _bipartitions(axes):
        if _is_outer(entries, group):
            return f"it is the product of an array on axes {group} and one on the others: rank 1 or Kronecker"
    return ""


def _off(entries: np.ndarray, a: int, b: int) -> float:
    """The largest entry off the diagonal of two axes."""
    moved = np.moveaxis(entries, (a, b), (0, 1))
    same = np.eye(moved.shape[0], dtype=bool)
    return float(np.max(np.abs(moved[~same]), initial=0))


def _bipartitions(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """One side of every way to part the axes in two."""
    first, *rest = axes
    return [(first, *some) for size in range(len(rest)) for some in itertools.combinations(rest, size)]


def _is_outer(entries: np.ndarray, group: Sequence[int]) -> bool:
    others = [k for k in range(entries.ndim) if k not in group]
    table = entries.transpose(*group, *others).reshape(math.prod(entries.shape[k] for k in group), -1)
    # of rank 1, every 2 × 2 minor with the largest entry vanishes
    i, j = np.unravel_index(np.argmax(np.abs(table)), table.shape)
    largest = table[i, j]
    return min(table.shape) > 1 and bool(
        largest and np.max(np.abs(table - np.outer(table[:, j], table[i]) / largest)) <= RELATIVE * abs(largest)
    )
