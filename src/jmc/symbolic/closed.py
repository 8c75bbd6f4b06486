"""A linear map as a formula: its terms are products already."""

from collections.abc import Sequence
from typing import Any

from jmc.linear.linear_map import LinearMap
from jmc.linear.term import Axis, Label, Term
from jmc.symbolic.algebra import ONE, Part, add, full, product, repeated, times
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.functions import apply
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.tensor import Dim, Op, Tensor


def entries(one: LinearMap, other: LinearMap, leaves: Sequence[Tensor], sizes: Sizes) -> Tensor:
    """The entries of a map that was traced at two sets of sizes; the arrays in its factors are positions in ``leaves``.

    An axis whose position is no label of its own gets a factor 1[position on the axis = position of the term].
    """
    shape = [_dim(m, n, sizes) for m, n in zip(_shape(one), _shape(other), strict=True)]
    if len(one.terms) != len(other.terms):
        raise NoFormula("the derivative has other terms at other sizes")
    terms = [_product(a, b, leaves, shape, sizes) for a, b in zip(one.terms, other.terms, strict=True)]
    return add(terms) if terms else full(0, [dim for dim in shape if dim != 1])


def _shape(J: LinearMap) -> tuple[int, ...]:
    return (*J.out_shape, *J.in_shape)


def _dim(one: int, other: int, sizes: Sizes) -> Dim:
    found = sizes.dim(one, other)
    if found is None:
        raise NoFormula(f"an axis of {one} entries has no symbol")
    return found


def _product(one: Term, other: Term, leaves: Sequence[Tensor], shape: Sequence[Dim], sizes: Sizes) -> Tensor:
    coefficient = sizes.number(*(complex(term.coefficient).real for term in (one, other)))
    if coefficient is None or len(one.factors) != len(other.factors):
        raise NoFormula("a term of the derivative is another one at other sizes")
    names: dict[Label, int] = {}
    dims: dict[int, Dim] = {}
    pairs = [*zip(one.labels(), other.labels(), strict=True)]
    for k, (a, b) in enumerate(pairs):
        names[a], dims[k] = k, _dim(a.size, b.size, sizes)
    parts: list[Part] = [(coefficient, ())]
    parts += [(leaves[f.array], _long([names[label] for label in f.labels], dims)) for f in one.factors]
    out = []
    for a, b, dim in zip(one.axes, other.axes, shape, strict=True):
        if a.label is not None and dim != 1:
            out.append(names[a.label])
        elif dim != 1 or a.strides or a.index is not None:
            label = len(dims)
            dims[label] = dim
            parts.append(_placed(a, b, label, names, dims, leaves, sizes))
            out.append(label)
    return product(ONE, parts, _long(out, dims), {label: dim for label, dim in dims.items() if dim != 1})


def _long(labels: Sequence[int], dims: dict[int, Dim]) -> tuple[int, ...]:
    return tuple(label for label in labels if dims[label] != 1)


def _placed(
    one: Axis, other: Axis, axis: int, names: dict[Label, int], dims: dict[int, Dim], leaves: Any, sizes: Sizes
) -> tuple[Tensor, tuple[int, ...]]:
    """1[the position on an axis is that of the term], over the axis and the term's labels."""
    labels = _long([axis, *(names[label] for label, _ in one.strides)], dims)
    shape = [dims[label] for label in labels]
    counted = {label: repeated(Op((dims[label],), "iota", ()), shape, (k,)) for k, label in enumerate(labels)}
    here = counted.get(axis, full(0, shape))
    if one.index is not None:
        there = repeated(leaves[one.index], shape, range(len(shape) - len(labels[1:]), len(shape)))
    else:
        terms = [_count(one.offset, other.offset, shape, sizes)]
        for (label, stride), (_, alike) in zip(one.strides, other.strides, strict=True):
            if names[label] in counted:
                terms.append(times(_count(stride, alike, (), sizes), counted[names[label]]))
        there = add(terms)
    return apply("eq", here, there), labels


def _count(one: int, other: int, shape: Sequence[Dim], sizes: Sizes) -> Tensor:
    found = sizes.number(one, other)
    if found is None:
        raise NoFormula(f"the position {one}, which is {other} at other sizes, has no formula")
    return repeated(found, shape, ()) if shape else found
