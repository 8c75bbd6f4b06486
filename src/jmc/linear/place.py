"""A term as an array: its factors contracted, then every entry put at the position that its labels give."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jmc.linear.contract import aligned, contract
from jmc.linear.substitute import positions, spread
from jmc.linear.term import Axis, Factor, Label, Term


def placed(term: Term, axes: Sequence[Axis], dtype: Any, max_bytes: int | None = None) -> Any:
    """The array over ``axes``, some or all of the term's; the labels of no such axis are summed.

    Each label is carried by one axis, along which the factors lie as they are; on its other axes it is a mask, which
    the compiler fuses with what is written. Labels that no axis can carry are scattered.
    """
    labels = list(dict.fromkeys(label for axis in axes for label, _ in axis.strides))
    array, order = contract(term.factors, labels, dtype, max_bytes)
    factor = Factor(array, order)
    carriers = _carriers(axes)
    carried = {label: k for k in carriers for label, _ in axes[k].strides}
    alone = [label for label in labels if label not in carried]
    if any(axis.index is not None and not _shown(axis, axes, carried) for axis in axes) or alone:
        return _scattered(factor, labels, axes, term.coefficient)
    return _masked(factor, axes, carriers, carried, term.coefficient)


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
            masks.append(here == _coordinate(label, place[label], axes[carried[label]], full))
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


def _coordinate(label: Label, d: int, carrier: Axis, full: Sequence[int]) -> Any:
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
        total = total + np.int32(stride) * _coordinate(label, place[label], axes[carried[label]], full)
    return total


def _scattered(factor: Factor, labels: list[Label], axes: Sequence[Axis], weight: Any) -> Any:
    """Every entry added at its place; what lies outside an axis is dropped."""
    sizes = [label.size for label in labels]
    values = jnp.broadcast_to(aligned(factor.array, factor.labels, labels), sizes)
    if weight != 1:
        values = values * jnp.asarray(weight, values.dtype)
    # plain axes whose label is nowhere else are windows of the scatter, the others are its indices
    uses = [label for axis in axes for label, _ in axis.strides]
    windows = [k for k, axis in enumerate(axes) if axis.label is not None and uses.count(axis.label) == 1]
    moved = [k for k in range(len(axes)) if k not in windows]
    inner = [axes[k].labels[0] for k in windows]
    outer = [label for label in labels if label not in inner]
    values = lax.transpose(values, [labels.index(label) for label in (*outer, *inner)])
    target = jnp.zeros([axes[k].size for k in (*moved, *windows)], values.dtype)
    shape = [label.size for label in outer]
    indices = []
    for k in moved:
        where, own = positions(axes[k])
        where = spread(where, own, outer)
        where = jnp.where((where >= 0) & (where < axes[k].size), where, axes[k].size)
        indices.append(jnp.broadcast_to(where, shape))
    if moved:
        target = target.at[tuple(indices)].add(values, mode="drop")
    else:
        target = values
    order = [*moved, *windows]
    return lax.transpose(target, [order.index(k) for k in range(len(axes))])

