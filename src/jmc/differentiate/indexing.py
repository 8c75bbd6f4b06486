"""Rules for reading and writing at indices that do not move: positions are strides, or index arrays."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives as p

from jmc.differentiate.operation import linear
from jmc.linear.contract import aligned
from jmc.linear.substitute import positions
from jmc.linear.term import NOWHERE, Axis, Factor, Term, fresh, plain, plains


def _axis(n, labels, index):
    """The axis at ``index``, an array over ``labels``; by offset and strides if it is known to be affine."""
    if isinstance(index, np.ndarray) and index.size:
        offset = int(index.flat[0])
        strides = [int(index.take(1, k).flat[0]) - offset if size > 1 else 0 for k, size in enumerate(index.shape)]
        steps = np.meshgrid(*(np.arange(size) * s for size, s in zip(index.shape, strides, strict=True)), indexing="ij")
        inside = index.min() >= 0 and index.max() < n
        if (
            inside
            and np.array_equal(index, offset + sum(steps))
            and all(stride or label.size == 1 for label, stride in zip(labels, strides, strict=True))
        ):
            pairs = zip(labels, strides, strict=True)
            return Axis(n, tuple((label, stride or 1) for label, stride in pairs), offset)
    return Axis(n, tuple((label, 0) for label in labels), 0, jnp.asarray(index, "int32"))


def _starts(op, first, sizes, shape):
    """Where a dynamic slice starts along each axis, clamped as JAX does."""
    for v, n, size in zip(op.values[first:], shape, sizes, strict=True):
        if n == size:
            yield np.int32(0)
        elif isinstance(v.array, (int, np.generic, np.ndarray)):
            yield np.int32(np.clip(int(v.array), 0, n - size))
        else:
            yield jnp.clip(jnp.asarray(v.array), 0, n - size).astype("int32")


def _sliced(n, label, start):
    return _axis(n, [label], start + np.arange(label.size, dtype=np.int32))


@linear(p.dynamic_slice_p)
def _dynamic_slice(op, k):
    if k:
        return []
    labels = fresh(op.out_shapes[0])
    starts = _starts(op, 1, op.out_shapes[0], op.in_shapes[0])
    zipped = zip(op.in_shapes[0], labels, starts, strict=True)
    return [Term(1, (), plains(labels), tuple(_sliced(n, label, start) for n, label, start in zipped))]


@linear(p.dynamic_update_slice_p)
def _dynamic_update_slice(op, k):
    if k > 1:
        return []
    shape, window = op.in_shapes[0], op.in_shapes[1]
    starts = list(_starts(op, 2, window, shape))
    if k == 1:
        labels = fresh(window)
        out = tuple(_sliced(n, label, start) for n, label, start in zip(shape, labels, starts, strict=True))
        return [Term(1, (), out, plains(labels))]
    labels = fresh(shape)
    kept = jnp.zeros(shape, bool)
    for d, (n, size, start) in enumerate(zip(shape, window, starts, strict=True)):
        if size < n:
            here = lax.broadcasted_iota("int32", [n if i == d else 1 for i in range(len(shape))], d)
            kept = kept | (here < start) | (here >= start + np.int32(size))
    return [Term(1, (Factor(kept, tuple(labels)),), plains(labels), plains(labels))]


@linear(p.gather_p)
def _gather(op, k):
    """out[batch…, offset…] = operand[start(batch) + offset]."""
    if k:
        return []
    numbers, sizes = op.params["dimension_numbers"], op.params["slice_sizes"]
    out = fresh(op.out_shapes[0])
    offsets = [out[d] for d in numbers.offset_dims]
    batch = [label for d, label in enumerate(out) if d not in numbers.offset_dims]
    dropped = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    batching = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    clamped = (lax.GatherScatterMode.CLIP, lax.GatherScatterMode.PROMISE_IN_BOUNDS)
    axes = _places(op, op.in_shapes[0], sizes, batch, offsets, dropped, numbers.start_index_map, batching, clamped)
    return [Term(1, (), plains(out), axes)]


@linear(p.scatter_add_p, p.scatter_p, p.scatter_mul_p)
def _scatter(op, k):
    """Updates go to operand[start(batch) + window]: added, put in place of what was there, or multiplied into it."""
    if k == 1:
        return []
    if op.primitive is p.scatter_p and op.params["update_jaxpr"] is not None:
        return None  # a function is applied there
    labels = fresh(op.in_shapes[0])
    diagonal = plains(labels)
    if op.primitive is p.scatter_mul_p:
        if k == 2:
            return None
        scale = op.bind(jnp.ones(op.in_shapes[0], op.dtype), *(v.array for v in op.values[1:]))
        return [Term(1, (Factor(scale, tuple(labels)),), diagonal, diagonal)]
    updates, axes = _written(op)
    if op.primitive is p.scatter_add_p:
        return [Term(1, (), diagonal, diagonal) if k == 0 else Term(1, (), axes, plains(updates))]
    # Each update by its number: what is there in the end is what was written last.
    order = np.arange(1, 1 + int(np.prod(op.in_shapes[2])), dtype=np.int32).reshape(op.in_shapes[2])
    last = op.bind(jnp.zeros(op.in_shapes[0], "int32"), op.values[1].array, jnp.asarray(order))
    if k == 0:
        return [Term(1, (Factor(last == 0, tuple(labels)),), diagonal, diagonal)]
    if all(axis.index is None for axis in axes) and _distinct(axes):
        return [Term(1, (), axes, plains(updates))]
    where = tuple(_positions(axis, updates) for axis in axes)
    won = last.at[where].get(mode="fill", fill_value=0) == order
    return [Term(1, (Factor(won, tuple(updates)),), axes, plains(updates))]


def _distinct(axes):
    """Whether no two updates go to the same place: each label is the only one on an axis."""
    alone = {axis.strides[0][0] for axis in axes if len(axis.strides) == 1}
    return all(label in alone or label.size == 1 for axis in axes for label, _ in axis.strides)


def _positions(axis, labels):
    where, own = positions(axis)
    return jnp.broadcast_to(aligned(jnp.asarray(where, "int32"), own, labels), [label.size for label in labels])


def _written(op):
    """The labels of the updates, and the axes of the operand over them."""
    numbers, shape = op.params["dimension_numbers"], op.in_shapes[0]
    updates = fresh(op.in_shapes[2])
    windows = [updates[d] for d in numbers.update_window_dims]
    batch = [label for d, label in enumerate(updates) if d not in numbers.update_window_dims]
    dropped = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    own = iter(windows)
    sizes = [1 if d in dropped else next(own).size for d in range(len(shape))]
    batching = dict(zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True))
    # a promise that is broken: XLA clamps where it reads, and drops where it writes
    clamped = (lax.GatherScatterMode.CLIP,)
    index_map = numbers.scatter_dims_to_operand_dims
    axes = _places(op, shape, sizes, batch, windows, dropped, index_map, batching, clamped)
    return updates, axes


def _places(op, shape, sizes, batch, offsets, dropped, index_map, batching, clamped):
    """The operand's axes, positions start + offset; an assignment that leaves the operand is nowhere, or clamped."""
    indices = op.values[1].array
    xp = np if isinstance(indices, np.ndarray) else jnp
    indices = xp.asarray(indices)
    clamp = op.params["mode"] in clamped
    starts = {d: indices[..., i].astype("int32") for i, d in enumerate(index_map)}
    valid = None
    for d, start in starts.items():
        room = shape[d] - sizes[d]
        if clamp:
            starts[d] = xp.clip(start, 0, room)
        else:
            inside = (start >= 0) & (start <= room)
            valid = inside if valid is None else valid & inside
    axes, own = [], iter(offsets)
    for d, n in enumerate(shape):
        offset = None if d in dropped else next(own)
        if d in batching:
            axes.append(plain(batch[batching[d]]))
        elif d not in starts:
            axes.append(Axis(n, ((offset, 1),)) if offset is not None else Axis(n, ()))
        else:
            where, labels = starts[d], list(batch)
            if offset is not None:
                where = where[..., None] + np.arange(offset.size, dtype=np.int32).reshape([1] * where.ndim + [-1])
                labels.append(offset)
            if valid is not None:
                where = xp.where(xp.expand_dims(valid, tuple(range(len(batch), len(labels)))), where, np.int32(NOWHERE))
            axes.append(_axis(n, labels, where))
    return tuple(axes)
