"""Entries by their places: slices, concatenations, reversals, look-ups and running sums as products with matrices.

The matrices are rows of the identity: ``basis|k`` is its row k as a vector, ``rows|k|s`` every s-th row from k on,
``onehot`` the rows that an array of whole numbers names; and ``tri|k``, ones on and below the diagonal number k.
"""

from collections.abc import Sequence
from typing import Any

from jax.extend.core import primitives as p

from jmc.symbolic.algebra import ONE, add, delta, full, product, repeated, transposed
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.dims import shifted
from jmc.symbolic.functions import apply
from jmc.symbolic.operations import Pair
from jmc.symbolic.patterns import constant_along
from jmc.symbolic.tensor import Dim, Op, Sum, Tensor, constant, is_zero


def rows(start: Dim, step: int, count: Dim, size: Dim) -> Tensor:
    """``count`` rows of the identity of this size, of which ``step`` is the distance; a vector if it is one row."""
    if (start, step, count) == (0, 1, size):
        return delta(size)
    return Op((size,), f"basis|{start}", ()) if count == 1 else Op((count, size), f"rows|{start}|{step}", ())


def iota(pair: Pair) -> Tensor:
    """0, 1, … along an axis."""
    shape, axis = pair.full_shape(), pair.one.params["dimension"]
    if shape[axis] == 1:
        return full(0, pair.shape())
    kept = [k for k, dim in enumerate(shape) if dim != 1]
    counted = Op((shape[axis],), "iota", ())
    return repeated(counted, pair.shape(), (kept.index(axis),))


def equal(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    """a = b, which of places along two axes is a δ, and of places and whole numbers one-hot."""
    a, b = pair.aligned([a, b])
    places = [place(t) for t in (a, b)]
    if len(a.shape) == 2 and a.shape[0] == a.shape[1] and set(places) == {0, 1}:
        return delta(a.shape[0])
    for axis, other in zip(places, (b, a), strict=True):
        named = None if axis is None or not other.shape else constant_along(other, axis)
        if axis is not None and named is not None:
            kept = [k for k in range(len(other.shape)) if k != axis]
            matrix = Op((*named.shape, other.shape[axis]), "onehot", (named,))
            return product(ONE, [(matrix, (*kept, axis))], range(len(other.shape)), dict(enumerate(other.shape)))
    return apply("eq", a, b)


def place(tensor: Tensor) -> int | None:
    """The axis along which it counts 0, 1, …"""
    factors = getattr(tensor, "factors", ((tensor, tuple(range(len(tensor.shape)))),))
    if len(factors) == 1 and getattr(factors[0][0], "name", "") == "iota":
        return getattr(tensor, "out", (0,)).index(factors[0][1][0])
    return None


class _Axes:
    """Axes of an operand that are multiplied by matrices, counted with those of size 1."""

    def __init__(self, shape: Sequence[Dim], x: Tensor):
        self.dims: dict[int, Dim] = dict(enumerate(shape))
        self.out = list(range(len(shape)))
        self.parts = [(x, tuple(k for k, dim in enumerate(shape) if dim != 1))]

    def times(self, axis: int, matrix: Tensor, before: bool = True) -> None:
        """Multiplies an axis by a matrix whose columns it is, or whose rows if not ``before``."""
        new = len(self.dims)
        self.dims[new] = matrix.shape[0 if before else -1]
        if len(matrix.shape) == 1 and before:  # one entry, whose axis is gone
            self.parts.append((matrix, (axis,)))
            self.out[axis] = -1
            return
        labels = (new, axis) if before else (axis, new)
        self.parts.append((matrix, labels if len(matrix.shape) == 2 else (new,)))
        self.out[axis] = new

    def result(self) -> Tensor:
        """The product, without axes of size 1."""
        out = [label for label in self.out if label >= 0 and self.dims[label] != 1]
        return product(ONE, self.parts, out, self.dims)


def _between(pair: Pair, one: int, other: int) -> Dim:
    found = pair.sizes.dim(one, other)
    if found is None:
        raise NoFormula(f"the position {one}, which is {other} at other sizes, has no symbol")
    return found


def slice_(pair: Pair, x: Tensor) -> Tensor:
    """Some rows of the identity times the operand, along each axis that is cut."""
    a, b, shape, after = pair.one.params, pair.other.params, pair.full_shape(0), pair.full_shape()
    strides = a["strides"] or (1,) * len(shape)
    if a["strides"] != b["strides"]:
        raise NoFormula("a slice with other steps at other sizes has no formula")
    axes = _Axes(shape, x)
    for axis, dim in enumerate(shape):
        start = _between(pair, a["start_indices"][axis], b["start_indices"][axis])
        if dim != 1 and (start, strides[axis], after[axis]) != (0, 1, dim):
            axes.times(axis, rows(start, strides[axis], after[axis], dim))
    return axes.result()


def reverse(pair: Pair, x: Tensor) -> Tensor:
    """The rows of the identity from the last to the first, times the operand."""
    axes, shape = _Axes(pair.full_shape(), x), pair.full_shape()
    for axis in pair.one.params["dimensions"]:
        if shape[axis] != 1:
            axes.times(axis, rows(shifted(shape[axis], -1), -1, shape[axis], shape[axis]))
    return axes.result()


def concatenate(pair: Pair, *args: Tensor) -> Tensor:
    """The sum of the operands, each with zeros where the others stand: rows of the identity, transposed."""
    axis, whole = pair.one.params["dimension"], pair.full_shape()
    terms, here, there = [], 0, 0
    for k, arg in enumerate(args):
        shape, start = pair.full_shape(k), _between(pair, here, there)
        axes = _Axes(shape, arg)
        axes.times(axis, rows(start, 1, shape[axis], whole[axis]), before=False)
        terms.append(axes.result())
        here += pair.one.invars[k].aval.shape[axis]
        there += pair.other.invars[k].aval.shape[axis]
    return add(terms)


def stack(pair: Pair, *args: Tensor) -> Tensor:
    """The sum of the operands, each times a vector of the standard basis along the new axis."""
    axis, whole = pair.one.params["axis"], pair.full_shape()
    kept = [k for k, dim in enumerate(whole) if dim != 1]
    rest = tuple(k for k in kept if k != axis)
    if axis not in kept:
        return args[0]
    parts = ([(arg, rest), (rows(k, 1, 1, whole[axis]), (axis,))] for k, arg in enumerate(args))
    return add([product(ONE, part, kept, dict(enumerate(whole))) for part in parts])


def at_least(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    """a ≥ b, which of places along two axes is the triangle of ones."""
    (one, by), (other, less) = (_shifted(t) for t in pair.aligned([a, b]))
    if len(one.shape) == 2 and one.shape[0] == one.shape[1] and {place(one), place(other)} == {0, 1}:
        triangle = Op(one.shape, f"tri|{by - less}", ())
        return triangle if place(one) == 0 else transposed(triangle)
    return pair.map("ge", [a, b])


def _shifted(tensor: Tensor) -> tuple[Tensor, int]:
    """An array without a whole number that is added to it, and that number."""
    if isinstance(tensor, Sum) and len(tensor.terms) == 2:
        for term, other in (tensor.terms, tensor.terms[::-1]):
            by = constant(other)
            if by is not None and by == int(by):
                return term, int(by)
    return tensor, 0


def pad(pair: Pair, x: Tensor, value: Tensor) -> Tensor:
    """Zeros around the operand."""
    a, b, shape, whole = pair.one.params, pair.other.params, pair.full_shape(0), pair.full_shape()
    if not is_zero(value) or any(n < 0 for edges in a["padding_config"] for n in edges):
        raise NoFormula("padding by anything but zeros has no formula")
    axes = _Axes(shape, x)
    for axis, (one, other) in enumerate(zip(a["padding_config"], b["padding_config"], strict=True)):
        if any(one):
            start, step = _between(pair, one[0], other[0]), one[2] + 1
            axes.times(axis, rows(start, step, shape[axis], whole[axis]), before=False)
    return axes.result()


def running_sum(pair: Pair, x: Tensor) -> Tensor:
    """The triangle of ones times the operand."""
    shape, axis = pair.full_shape(), pair.one.params["axis"]
    axes = _Axes(shape, x)
    if shape[axis] != 1:
        axes.times(axis, Op((shape[axis],) * 2, "tri|0", ()), before=not pair.one.params["reverse"])
    return axes.result()


def gather(pair: Pair, x: Tensor, places: Tensor) -> Tensor:
    """Entries that are looked up: the operand times a one-hot matrix for each axis that is looked up in."""
    shape, at, after = pair.full_shape(0), pair.full_shape(1), pair.full_shape()
    numbers, sizes = pair.one.params["dimension_numbers"], pair.one.params["slice_sizes"]
    named, tied = numbers.start_index_map, numbers.operand_batching_dims
    gone = {*named, *tied}
    whole = [n == (1 if k in gone else pair.one.invars[0].aval.shape[k]) for k, n in enumerate(sizes)]
    if {*numbers.collapsed_slice_dims, *tied} != gone or not all(whole):
        raise NoFormula("a look-up of blocks has no formula")
    looked = [100 + k for k in range(len(at) - 1)]
    batch = dict(zip(tied, (looked[k] for k in numbers.start_indices_batching_dims), strict=True))
    labels = [batch.get(k, k) for k in range(len(shape))]
    dims = {**dict(zip(labels, shape, strict=True)), **dict(zip(looked, at[:-1], strict=True))}
    rest = iter(k for k in labels if k not in gone and k not in looked)
    free = iter(looked)
    out = [next(rest) if k in numbers.offset_dims else next(free) for k in range(len(after))]
    kept = [k for k in looked if dims[k] != 1]
    parts = [(x, tuple(k for k in labels if dims[k] != 1))]
    for j, axis in enumerate(named):
        if dims[axis] != 1:
            parts.append((onehot(_column(places, j, at[-1]), dims[axis]), (*kept, axis)))
    return product(ONE, parts, [k for k in out if dims[k] != 1], dims)


def _column(places: Tensor, j: int, count: Dim) -> Tensor:
    """The places along one of the axes that are looked up in."""
    if count == 1:
        return places
    if isinstance(places, Sum):
        return add([_column(term, j, count) for term in places.terms])
    axes = tuple(range(len(places.shape)))
    return product(ONE, [(places, axes), (rows(j, 1, 1, count), axes[-1:])], axes[:-1], dict(enumerate(places.shape)))


def onehot(places: Tensor, size: Dim) -> Tensor:
    """Rows of the identity; all of them in order if the places count 0, 1, …"""
    axis = place(places)
    if axis is not None and places.shape[axis] == size:
        out = (*range(len(places.shape)), axis)
        return product(ONE, [], out, dict(enumerate(places.shape)))
    return Op((*places.shape, size), "onehot", (places,))


def dynamic_slice(pair: Pair, x: Tensor, *starts: Tensor) -> Tensor:
    """One entry along axes in which it is looked up, everything along the others."""
    axes, shape = _Axes(pair.full_shape(0), x), pair.full_shape(0)
    for axis, (n, start) in enumerate(zip(pair.one.params["slice_sizes"], starts, strict=True)):
        if n == 1 and shape[axis] != 1:
            axes.times(axis, onehot(start, shape[axis]))
        elif n != pair.one.invars[0].aval.shape[axis]:
            raise NoFormula("a look-up of blocks has no formula")
    return axes.result()


def reduce_or(pair: Pair, x: Tensor) -> Tensor:
    """Whether any is so: of the rows of the identity that places name, all are."""
    gone = pair.axes(pair.one.params["axes"], 0)
    kept = [k for k in range(len(x.shape)) if k not in gone]
    if len(gone) != 1:
        raise NoFormula("whether any is so along several axes has no formula")
    axes = tuple(range(len(x.shape)))
    ((factor, labels), *others) = getattr(x, "factors", ((x, axes),)) or ((x, axes),)
    if not others and getattr(factor, "name", "") == "onehot" and getattr(x, "out", axes)[gone[0]] == labels[-1]:
        return full(1, [x.shape[k] for k in kept])
    moved = product(ONE, [(x, axes)], (*kept, *gone), dict(enumerate(x.shape)))
    return Op(tuple(x.shape[k] for k in kept), "max", (moved,))


BY_NAME = {"stack": stack}
"""Of primitives that have no public name in every version of JAX."""
INDEXING: dict[Any, Any] = {
    p.eq_p: equal, p.iota_p: iota, p.slice_p: slice_, p.rev_p: reverse, p.concatenate_p: concatenate, p.pad_p: pad,
    p.cumsum_p: running_sum, p.gather_p: gather, p.dynamic_slice_p: dynamic_slice,
    p.ge_p: at_least, p.reduce_or_p: reduce_or,
}  # fmt: skip
