"""A term as an array: its factors contracted, then every entry put at the position that its labels give."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jmc.linear.contract import aligned, contract
from jmc.linear.substitute import positions, spread
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, labels_on


def placed(term: Term, axes: Sequence[Axis], dtype: Any, max_bytes: int | None = None) -> Any:
    """The array over ``axes``, some or all of the term's; the labels of no such axis are summed.

    Each label is carried by one axis, along which the factors lie as they are; on its other axes it is a mask, which
    the compiler fuses with what is written. Labels that no axis can carry are scattered.
    """
    labels = labels_on(axes)
    array, order = contract(term.factors, labels, dtype, max_bytes)
    factor = Factor(array, order)
    carriers = _carriers(axes)
    carried = {label: k for k in carriers for label, _ in axes[k].strides}
    alone = [label for label in labels if label not in carried]
    if any(axis.index is not None and not _shown(axis, axes, carried) for axis in axes) or alone:
        zeros = jnp.zeros([axis.size for axis in axes], dtype)
        return _scattered(zeros, factor, labels, axes, term.coefficient, unique=False)
    return _masked(factor, axes, carriers, carried, term.coefficient)


def total(terms: Sequence[Term], shape: Sequence[int], dtype: Any, max_bytes: int | None = None) -> Any:
    """The sum of the terms over all their axes: written in one pass, then the few entries of sparse terms added."""
    sparse = [term for term in terms if _sparse(term, dtype)]
    dense = [placed(term, term.axes, dtype, max_bytes) for term in terms if all(term is not other for other in sparse)]
    result = summed(dense, shape, dtype)
    for term in sparse:
        labels = labels_on(term.axes)
        array, order = contract(term.factors, labels, dtype, max_bytes)
        result = _scattered(result, Factor(array, order), labels, term.axes, term.coefficient, unique=True)
    return result


def summed(arrays: Sequence[Any], shape: Sequence[int], dtype: Any) -> Any:
    """The sum; zeros if there is none."""
    return functools.reduce(lambda a, b: a + b, arrays) if arrays else jnp.zeros(shape, dtype)


def _sparse(term: Term, dtype: Any) -> bool:
    """Whether so few entries, or windows of them that lie together, are written that a mask over all costs more.

    Measured: 1 entry of 200, or 1 window for 8192 entries, in up to 16 MiB.
    """
    axes = term.axes
    carriers = _carriers(axes)
    carried = {label for k in carriers for label in axes[k].labels}
    if any(label not in carried for label in labels_on(axes)):
        return False
    entries = math.prod(axis.size for axis in axes)
    writes = math.prod(label.size for label in carried)
    together = itertools.takewhile(set(_windows(axes)).__contains__, reversed(range(len(axes))))
    windows = writes // max(1, math.prod(axes[k].size for k in together))
    return min(200 * writes, 8192 * windows) <= entries <= 2**24 // jnp.dtype(dtype).itemsize


def _windows(axes: Sequence[Axis]) -> list[int]:
    """Plain axes whose label is on no other axis."""
    uses = [label for axis in axes for label, _ in axis.strides]
    return [k for k, axis in enumerate(axes) if axis.label is not None and uses.count(axis.label) == 1]


def _carriers(axes: Sequence[Axis]) -> list[int]:
    """The axes that carry their labels: plain ones first, then products of labels, then strided ones."""
    chosen: list[int] = []
    taken: set[Label] = set()
    kinds = (
        lambda axis: axis.label is not None,
        lambda axis: axis.radix is not None,
        lambda axis: axis.index is None and len(axis.strides) == 1,
    )
    for fits in kinds:
        for k, axis in enumerate(axes):
            if k not in chosen and axis.strides and taken.isdisjoint(axis.labels) and fits(axis):
                chosen.append(k)
                taken.update(axis.labels)
    return chosen


def _shown(axis: Axis, axes: Sequence[Axis], carried: dict[Label, int]) -> bool:
    """Whether all labels of an index have plain axes, so that it can be compared with a position."""
    return all(label in carried and axes[carried[label]].label is label for label in axis.labels)


def _masked(factor: Factor, axes: Sequence[Axis], carriers: list[int], carried: dict[Label, int], weight: Any) -> Any:
    # Every axis becomes one dimension per label (one if it has no or a strided label), and all are merged at the end.
    dims: list[tuple[int, Label | None]] = []  # (axis, the label that is this dimension's own)
    for k, axis in enumerate(axes):
        radix = axis.radix
        dims += [(k, label) for label in radix] if radix else [(k, None)]
    place: dict[Label, int] = {}
    for d, (k, label) in enumerate(dims):
        if k in carriers:
            for own in [label] if label is not None else axes[k].labels:
                place[own] = d
    by_place = sorted(place, key=lambda label: place[label])
    array = aligned(factor.array, factor.labels, by_place)
    array = lax.expand_dims(array, [d for d in range(len(dims)) if d not in place.values()])
    strided = [k for k in carriers if axes[k].radix is None]
    full = [label.size if label is not None else axes[k].size for k, label in dims]
    for k in strided:
        array = _embedded(array, dims.index((k, None)), axes[k])
    masks = []
    for d, (k, label) in enumerate(dims):
        if k in carriers:
            continue
        here = lax.broadcasted_iota(np.int32, [n if i == d else 1 for i, n in enumerate(full)], d)
        if label is not None:
            masks.append(here == _coordinate(place[label], axes[carried[label]], full))
        else:
            masks.append(here == _position(axes[k], place, carried, axes, full))
    if weight != 1:
        array = array * jnp.asarray(weight, array.dtype)
    result = jnp.broadcast_to(array, full)
    if masks:
        mask = masks[0]
        for other in masks[1:]:
            mask = mask & other
        result = jnp.where(jnp.broadcast_to(mask, full), result, jnp.zeros((), array.dtype))
    return lax.reshape(result, [axis.size for axis in axes])


def _embedded(array: Any, d: int, axis: Axis) -> Any:
    """Along dimension ``d``, entry l of the label goes to ``offset + stride·l``; zeros lie between."""
    ((label, stride),) = axis.strides
    if array.shape[d] != label.size:
        array = jnp.broadcast_to(array, [label.size if k == d else n for k, n in enumerate(array.shape)])
    if label.size == 0:
        return jnp.zeros([axis.size if k == d else n for k, n in enumerate(array.shape)], array.dtype)
    low = axis.offset
    if stride < 0:
        array, low = lax.rev(array, (d,)), axis.offset + stride * (label.size - 1)
    width = abs(stride) * (label.size - 1) + 1
    config = [(0, 0, 0)] * array.ndim
    config[d] = (low, axis.size - low - width, max(abs(stride) - 1, 0))
    return lax.pad(array, jnp.zeros((), array.dtype), config)


def _coordinate(d: int, carrier: Axis, full: Sequence[int]) -> Any:
    """The value of a label along the dimension ``d`` that carries it."""
    here = lax.broadcasted_iota(np.int32, [n if i == d else 1 for i, n in enumerate(full)], d)
    if carrier.radix is not None:
        return here
    ((_, stride),) = carrier.strides
    return (here - carrier.offset) // stride


def _position(axis: Axis, place: dict[Label, int], carried: dict[Label, int], axes: Sequence[Axis], full: list) -> Any:
    """Where a term lies on an axis that carries none of its labels."""
    if axis.index is not None:
        where, own = positions(axis)
        order = sorted(place, key=lambda label: place[label])
        dims = [d for d in range(len(full)) if d not in place.values()]
        return lax.expand_dims(spread(where, own, order), dims)
    total: Any = np.int32(axis.offset)
    for label, stride in axis.strides:
        total = total + np.int32(stride) * _coordinate(place[label], axes[carried[label]], full)
    return total


def _scattered(
    target: Any, factor: Factor, labels: list[Label], axes: Sequence[Axis], weight: Any, unique: bool
) -> Any:
    """``target`` with every entry added at its place; what lies outside an axis is dropped."""
    sizes = [label.size for label in labels]
    values = jnp.broadcast_to(aligned(factor.array, factor.labels, labels), sizes)
    if weight != 1:
        values = values * jnp.asarray(weight, values.dtype)
    windows = _windows(axes)
    moved = [k for k in range(len(axes)) if k not in windows]
    inner = [axes[k].labels[0] for k in windows]
    outer = [label for label in labels if label not in inner]
    values = lax.transpose(values, [labels.index(label) for label in (*outer, *inner)])
    shape = [label.size for label in outer]
    places = []
    for k in moved:
        where, own = positions(axes[k])
        where = spread(where, own, outer)
        if not axes[k].inside:
            where = jnp.where((where >= 0) & (where < axes[k].size), where, NOWHERE)
        places.append(jnp.broadcast_to(where, shape))
    if not moved:
        return target + lax.transpose(values, [windows.index(k) for k in range(len(axes))])
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=tuple(range(len(outer), len(labels))),
        inserted_window_dims=tuple(moved),
        scatter_dims_to_operand_dims=tuple(moved),
    )
    indices = jnp.stack(places, axis=-1)
    mode = "promise_in_bounds" if all(axes[k].inside for k in moved) else "drop"
    return lax.scatter_add(target, indices, values, numbers, unique_indices=unique, mode=mode)
