"""Terms as leaves and static data: what a LinearMap hands to JAX's transformations."""

from collections.abc import Sequence
from typing import Any

from jmc.linear.term import Axis, Factor, Label, Term


def pack(terms: Sequence[Term]) -> tuple[tuple[Any, ...], Any]:
    """The arrays, each once, and all the rest as nested tuples, with labels numbered as they occur."""
    leaves: dict[int, Any] = {}
    place: dict[int, int] = {}
    number: dict[Label, int] = {}

    def leaf(array: Any) -> int:
        leaves.setdefault(id(array), array)
        return place.setdefault(id(array), len(place))

    def label(label: Label) -> int:
        return number.setdefault(label, len(number))

    def axes(axes: Sequence[Axis]) -> tuple[Any, ...]:
        return tuple(
            (
                axis.size,
                tuple((label(m), stride) for m, stride in axis.strides),
                axis.offset,
                None if axis.index is None else leaf(axis.index),
            )
            for axis in axes
        )

    spec = tuple(
        (
            term.coefficient,
            tuple((leaf(f.array), tuple(map(label, f.labels)), f.computed, f.precision) for f in term.factors),
            axes(term.out),
            axes(term.in_),
        )
        for term in terms
    )
    return tuple(leaves.values()), (spec, tuple(m.size for m in number))


def unpack(leaves: Sequence[Any], static: Any) -> tuple[Term, ...]:
    """The inverse of :func:`pack`, with labels of their own."""
    spec, sizes = static
    labels = [Label(size) for size in sizes]

    def axes(spec: Any) -> tuple[Axis, ...]:
        return tuple(
            Axis(size, tuple((labels[m], s) for m, s in strides), offset, None if index is None else leaves[index])
            for size, strides, offset, index in spec
        )

    return tuple(
        Term(
            coefficient,
            tuple(
                Factor(leaves[k], tuple(labels[m] for m in own), computed, precision)
                for k, own, computed, precision in factors
            ),
            axes(out),
            axes(in_),
        )
        for coefficient, factors, out, in_ in spec
    )
