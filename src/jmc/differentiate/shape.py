"""Rules for what only moves, repeats or drops entries: labels and positions, no arithmetic."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives as p

from jmc.differentiate.operation import SEVERAL, linear, traced
from jmc.linear.term import Axis, Label, Term, fresh, plain, plains


def _kept(labels, axes=None):
    return [Term(1, (), plains(labels), plains(labels) if axes is None else tuple(axes))]


@linear(p.broadcast_in_dim_p)
def _broadcast_in_dim(op, k):
    labels = fresh(op.out_shapes[0])
    dims, shape = op.params["broadcast_dimensions"], op.in_shapes[0]
    axes = [plain(labels[d]) if n == labels[d].size else Axis(1, ()) for d, n in zip(dims, shape, strict=True)]
    return _kept(labels, axes)


@linear(p.transpose_p)
def _transpose(op, k):
    labels = fresh(op.in_shapes[0])
    return [Term(1, (), plains(labels[d] for d in op.params["permutation"]), plains(labels))]


@linear(p.reshape_p, p.squeeze_p)
def _reshape(op, k):
    if k or 0 in op.in_shapes[0]:
        return []
    order = range(len(op.in_shapes[0]))
    if "new_sizes" in op.params and op.params["dimensions"] is not None:
        order = op.params["dimensions"]  # the axes are transposed first
    out, in_ = [], []
    for new, old in _blocks(op.out_shapes[0], [op.in_shapes[0][d] for d in order]):
        for axes, part in zip((out, in_), _regrouped(new, old), strict=True):
            axes += part
    return [Term(1, (), tuple(out), tuple(in_[d] for d in np.argsort(order)))]


def _blocks(new, old):
    """Pairs of groups of axes with the same number of entries, as small as can be."""
    i = j = 0
    while i < len(new) or j < len(old):
        a, b = i, j
        left, right = 1, 1
        while left != right or (a, b) == (i, j):
            if (left <= right and i < len(new)) or j == len(old):
                left *= new[i]
                i += 1
            else:
                right *= old[j]
                j += 1
        yield new[a:i], old[b:j]


def _regrouped(new, old):
    """The axes of both groups over labels that number the same entries."""
    sides = (new, old)
    bounds = [[math.prod(side[k:]) for k in range(len(side) + 1)] for side in sides]
    cuts = sorted({*bounds[0], *bounds[1]}, reverse=True)
    if all(high % low == 0 for high, low in itertools.pairwise(cuts)):
        digits = [(Label(high // low), low) for high, low in itertools.pairwise(cuts)]
        return [
            [
                Axis(n, tuple((label, weight // low) for label, weight in digits if low <= weight < high))
                for n, (high, low) in zip(side, itertools.pairwise(ends), strict=True)
            ]
            for side, ends in zip(sides, bounds, strict=True)
        ]
    labels = [Label(n) for n in new if n != 1]
    places = np.unravel_index(np.arange(math.prod(new)).reshape([label.size for label in labels]), old)
    indexed = [
        Axis(n, tuple((label, 0) for label in labels), 0, jnp.asarray(place, "int32"))
        for n, place in zip(old, places, strict=True)
    ]
    own = iter(labels)
    return [[plain(next(own)) if n != 1 else Axis(1, ()) for n in new], indexed]


@linear(p.rev_p)
def _rev(op, k):
    labels = fresh(op.in_shapes[0])
    flipped = op.params["dimensions"]
    return _kept(
        labels, [Axis(m.size, ((m, -1),), m.size - 1) if d in flipped else plain(m) for d, m in enumerate(labels)]
    )


@linear(p.slice_p)
def _slice(op, k):
    labels = fresh(op.out_shapes[0])
    steps = op.params["strides"] or (1,) * len(labels)
    zipped = zip(op.in_shapes[0], labels, steps, op.params["start_indices"], strict=True)
    return _kept(labels, [Axis(n, ((label, int(step)),), int(start)) for n, label, step, start in zipped])


@linear(p.pad_p)
def _pad(op, k):
    out, in_ = [], []
    for n, size, (low, _, interior) in zip(op.in_shapes[0], op.out_shapes[0], op.params["padding_config"], strict=True):
        low, step = int(low), int(interior) + 1
        first = max(0, -(low // step))  # the entries before it are cropped
        count = max(0, min(n, (size - 1 - low) // step + 1) - first)
        label = Label(count)
        out.append(Axis(size, ((label, step),), low + step * first))
        in_.append(Axis(n, ((label, 1),), first))
    if k == 0:
        return [Term(1, (), tuple(out), tuple(in_))]
    everywhere = Term(1, (), plains(fresh(op.out_shapes[0])), ())
    return [everywhere, Term(-1, (), tuple(out), ())]


@linear(p.concatenate_p)
def _concatenate(op, k):
    axis = op.params["dimension"]
    labels = fresh(op.in_shapes[k])
    before = sum(shape[axis] for shape in op.in_shapes[:k])
    size = op.out_shapes[0][axis]
    out = [Axis(size, ((m, 1),), before) if d == axis else plain(m) for d, m in enumerate(labels)]
    return [Term(1, (), tuple(out), plains(labels))]


@linear(traced(lambda x: jnp.stack([x, x]), 0.0, name="stack"))
def _stack(op, k):
    labels = fresh(op.in_shapes[k])
    axes = list(plains(labels))
    axes.insert(op.params["axis"], Axis(len(op.in_shapes), (), k))
    return [Term(1, (), tuple(axes), plains(labels))]


_PAIR = jax.ShapeDtypeStruct((2,), "float32")


@linear(traced(lambda x: list(x), _PAIR, name="unstack"), table=SEVERAL)
def _unstack(op, k):
    axis, size = op.params["axis"], len(op.out_shapes)
    for j, shape in enumerate(op.out_shapes):
        labels = fresh(shape)
        axes = list(plains(labels))
        axes.insert(axis, Axis(size, (), j))
        yield j, Term(1, (), plains(labels), tuple(axes))


@linear(traced(lambda x: jnp.split(x, 2), _PAIR, name="split"), table=SEVERAL)
def _split(op, k):
    axis, before = op.params["axis"], 0
    for j, shape in enumerate(op.out_shapes):
        labels = fresh(shape)
        size = op.in_shapes[0][axis]
        axes = [Axis(size, ((m, 1),), before) if d == axis else plain(m) for d, m in enumerate(labels)]
        before += shape[axis]
        yield j, Term(1, (), plains(labels), tuple(axes))


@linear(p.device_put_p, traced(jax.lax.optimization_barrier, 0.0, name="optimization_barrier"), table=SEVERAL)
def _passed(op, k):
    labels = fresh(op.in_shapes[k])
    yield k, Term(1, (), plains(labels), plains(labels))


@linear(traced(lambda x: jnp.tile(x, 2), _PAIR, name="tile"))
def _tile(op, k):
    out, in_ = [], []
    for n, repeats in zip(op.in_shapes[0], op.params["reps"], strict=True):
        label, copy = Label(n), Label(repeats)
        out.append(plain(label) if repeats == 1 else Axis(n * repeats, ((copy, n), (label, 1))))
        in_.append(plain(label))
    return [Term(1, (), tuple(out), tuple(in_))]
