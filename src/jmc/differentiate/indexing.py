"""Rules for reading and writing at indices that do not depend on the argument: positions are index arrays."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives as p

from jmc.differentiate.operation import linear
from jmc.linear.term import NOWHERE, Axis, Factor, Term, fresh, plain, plains


def _indexed(n, labels, index):
    return Axis(n, tuple((label, 0) for label in labels), 0, index.astype("int32"))


def _starts(op, first, sizes, shape):
    """Where a dynamic slice starts along each axis, clamped as JAX does: a number if it is known, or an array."""
    for v, n, size in zip(op.values[first:], shape, sizes, strict=True):
        if n == size:
            yield 0
        elif v.literal is not None or isinstance(v.array, (int, np.integer, np.ndarray)):
            start = int(v.literal if v.literal is not None else v.array)
            yield min(max(start + (n if start < 0 else 0), 0), n - size)
        else:
            yield jnp.clip(jnp.asarray(v.array), 0, n - size)


def _sliced(n, label, start):
    if isinstance(start, int):
        return Axis(n, ((label, 1),), start)
    return _indexed(n, [label], start.astype("int32") + lax.iota("int32", label.size))


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
        here = lax.broadcasted_iota("int32", [n if i == d else 1 for i in range(len(shape))], d)
        low = jnp.asarray(start, "int32")
        kept = kept | (here < low) | (here >= low + size)
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
    axes = _places(
        op, op.values[1].array, op.in_shapes[0], sizes, batch, offsets,
        (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims), numbers.start_index_map,
        dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)),
    )  # fmt: skip
    return [Term(1, (), plains(out), axes)]


@linear(p.scatter_add_p)
def _scatter_add(op, k):
    if k == 1:
        return []
    if k == 0:
        labels = fresh(op.in_shapes[0])
        return [Term(1, (), plains(labels), plains(labels))]
    numbers = op.params["dimension_numbers"]
    shape = op.in_shapes[0]
    updates = fresh(op.in_shapes[2])
    windows = [updates[d] for d in numbers.update_window_dims]
    batch = [label for d, label in enumerate(updates) if d not in numbers.update_window_dims]
    inserted = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    own = iter(windows)
    sizes = [1 if d in inserted else next(own).size for d in range(len(shape))]
    axes = _places(
        op, op.values[1].array, shape, sizes, batch, windows, inserted, numbers.scatter_dims_to_operand_dims,
        dict(zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True)),
    )  # fmt: skip
    return [Term(1, (), axes, plains(updates))]


def _places(op, indices, shape, sizes, batch, offsets, dropped, index_map, batching):
    """The operand's axes, positions start + offset; an assignment that leaves the operand is nowhere, or clamped."""
    indices = jnp.asarray(indices)
    clamp = op.params["mode"] in (lax.GatherScatterMode.CLIP, lax.GatherScatterMode.PROMISE_IN_BOUNDS)
    starts = {d: indices[..., i].astype("int32") for i, d in enumerate(index_map)}
    valid = None
    for d, start in starts.items():
        room = shape[d] - sizes[d]
        if clamp:
            starts[d] = jnp.clip(start, 0, room)
        else:
            inside = (start >= 0) & (start <= room)
            valid = inside if valid is None else valid & inside
    axes, own = [], iter(offsets)
    for d, n in enumerate(shape):
        offset = None if d in dropped else next(own)
        if d in batching:
            axes.append(plain(batch[batching[d]]))
        elif d not in starts:
            axes.append(plain(offset) if offset is not None and offset.size == n else _first(n, offset))
        else:
            where, labels = starts[d], list(batch)
            if offset is not None and offset.size > 1:
                where = where[..., None] + np.arange(offset.size, dtype=np.int32).reshape([1] * where.ndim + [-1])
                labels.append(offset)
            if valid is not None:
                where = jnp.where(jnp.expand_dims(valid, range(len(batch), len(labels))), where, NOWHERE)
            if offset is not None and offset.size == 1:
                where, labels = where[..., None], [*labels, offset]
            axes.append(_indexed(n, labels, where))
    return tuple(axes)


def _first(n, offset):
    return Axis(n, ((offset, 1),)) if offset is not None else Axis(n, (), 0)
