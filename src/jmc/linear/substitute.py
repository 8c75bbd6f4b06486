"""Writing a label in terms of others: in an axis by arithmetic on strides, in a factor by indexing its array."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jmc.linear.term import NOWHERE, Axis, Factor, Label


def positions(axis: Axis) -> tuple[Any, list[Label]]:
    """The position as an integer array over the axis' labels; a NumPy array unless there is an index."""
    labels = axis.labels
    if axis.index is not None:
        return axis.index, labels
    shape = [label.size for label in labels]
    where = np.full(shape, axis.offset, np.int32)
    for k, (label, stride) in enumerate(axis.strides):
        where += (stride * np.arange(label.size, dtype=np.int32)).reshape(
            [-1 if m == k else 1 for m in range(len(shape))]
        )
    return where, labels


def substituted_axis(axis: Axis, label: Label | None = None, expression: Axis | None = None) -> Axis:
    """``axis`` with ``label`` replaced; a label that occurs twice after that is brought together."""
    if label is not None and label not in axis.labels:
        return axis
    if axis.index is None and (expression is None or expression.index is None):
        strides: dict[Label, int] = {}
        offset = axis.offset
        for old, stride in axis.strides:
            if expression is not None and old is label:
                offset += stride * expression.offset
                for new, inner in expression.strides:
                    strides[new] = strides.get(new, 0) + stride * inner
            else:
                strides[old] = strides.get(old, 0) + stride
        return Axis(axis.size, tuple([pair for pair in strides.items() if pair[1]]), offset)
    where, labels = positions(axis)
    if axis.index is None and label is not None and expression is not None:
        return _indexed(axis, label, expression)
    moved = substituted_factor(Factor(where, tuple(labels)), label, expression, outside=NOWHERE)
    return Axis(axis.size, tuple((other, 0) for other in moved.labels), 0, moved.array)


def _indexed(axis: Axis, label: Label, expression: Axis) -> Axis:
    """offset + Σ stride·label, of which one label is an index."""
    rest = Axis(axis.size, tuple(pair for pair in axis.strides if pair[0] is not label), axis.offset)
    (stride,) = [stride for old, stride in axis.strides if old is label]
    where, others = positions(rest)
    index, own = positions(expression)
    labels = list(dict.fromkeys([*own, *others]))
    index, where = spread(index, own, labels), spread(where.astype(np.int32), others, labels)
    valid = (index >= 0) & (index < label.size)
    found = where + stride * jnp.where(valid, index, 0)
    found = jnp.where(valid & (found >= 0) & (found < axis.size), found, NOWHERE)
    found = jnp.broadcast_to(found, [other.size for other in labels])
    return Axis(axis.size, tuple((other, 0) for other in labels), 0, found.astype("int32"))


def spread(array: Any, own: list[Label], labels: list[Label]) -> Any:
    """``array`` over ``own`` as one that broadcasts over ``labels``."""
    order = sorted(range(len(own)), key=lambda k: labels.index(own[k]))
    return array.transpose(order).reshape([label.size if label in own else 1 for label in labels])


def substituted_factor(
    factor: Factor, label: Label | None = None, expression: Axis | None = None, outside: int = 0
) -> Factor:
    """``factor`` with ``label`` replaced; a label that occurs twice after that takes the diagonal."""
    array, labels, computed, precision = factor
    while label is not None and expression is not None and label in labels:
        k = labels.index(label)
        array = _take(array, k, expression, outside)
        computed = computed or not _renames(expression, label)
        labels = (*labels[:k], *(_order(expression)), *labels[k + 1 :])
    while len(set(labels)) < len(labels):
        label_twice = next(m for m in labels if labels.count(m) > 1)
        i, j = [k for k, m in enumerate(labels) if m is label_twice][:2]
        array = jnp.diagonal(array, axis1=i, axis2=j)
        labels = (*(m for k, m in enumerate(labels) if k not in (i, j)), label_twice)
        computed = True
    return Factor(array, labels, computed, precision)


def _renames(expression: Axis, label: Label) -> bool:
    new = expression.label
    return new is not None and new.size == label.size


def _order(expression: Axis) -> list[Label]:
    return expression.radix or expression.labels


def _take(array: Any, axis: int, expression: Axis, outside: int) -> Any:
    """``array`` with its ``axis`` replaced by the labels of ``expression``, which says the place on it."""
    size = array.shape[axis]
    if expression.index is None:
        new = expression.label
        if new is not None and new.size == size:
            return array
        radix = expression.radix
        if radix is not None and expression.size == size:
            return lax.reshape(array, (*array.shape[:axis], *[m.size for m in radix], *array.shape[axis + 1 :]))
        if expression.inside and len(expression.strides) <= 1:
            return _strided(array, axis, expression)
    where, labels = positions(expression)
    if isinstance(where, np.ndarray):
        where = np.where((where >= 0) & (where < size), where, NOWHERE)
    where = jnp.asarray(where, "int32")
    if size == 0:
        shape = (*array.shape[:axis], *where.shape, *array.shape[axis + 1 :])
        return jnp.full(shape, outside, array.dtype)
    moved = jnp.moveaxis(array, axis, 0)
    taken = moved.at[where].get(mode="fill", fill_value=outside)
    order = list(range(len(labels), taken.ndim))
    order[axis:axis] = range(len(labels))
    return taken.transpose(order)


def _strided(array: Any, axis: int, expression: Axis) -> Any:
    if not expression.strides:
        return lax.index_in_dim(array, expression.offset, axis, keepdims=False)
    ((label, stride),) = expression.strides
    last = expression.offset + stride * (label.size - 1)
    if label.size == 0:
        return lax.slice_in_dim(array, 0, 0, axis=axis)
    low, high = sorted((expression.offset, last))
    found = lax.slice_in_dim(array, low, high + 1, abs(stride) or 1, axis=axis)
    if stride == 0:
        found = jnp.repeat(found, label.size, axis=axis)
    return lax.rev(found, (axis,)) if stride < 0 else found
