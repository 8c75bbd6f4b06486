"""A term: one einsum of a linear map, J[o…, i…] = coefficient · Σ Π factor[labels] over all values of the labels.

Each axis of the output and of the input has a position, which is a function of the labels: a label itself, an affine
form ``offset + Σ stride·label`` (slices, bands, reshapes, convolutions) or an integer array at labels (gathers). An
entry of J collects every assignment of the labels that arrives at its positions; what falls outside an axis is
dropped. So the same label on two axes is a δ, a label on no axis is summed, and an axis whose label is in no factor and
on no other axis is all ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

# An index that lies outside every axis.
NOWHERE = 2**31 - 1


class Label:
    """What is summed over: a number of values, and an identity."""

    __slots__ = ("size",)

    def __init__(self, size: int):
        self.size = size

    def __repr__(self) -> str:
        return f"{id(self) // 16 % 10000:04d}:{self.size}"


Labels = tuple[Label, ...]


class Axis(NamedTuple):
    """One axis of the output or the input: its size, and its position as a function of labels.

    Attributes:
        size: the number of positions.
        strides: pairs (label, stride).
        offset: the position is ``offset + Σ stride·label``; it lies on the axis if there is one label or none.
        index: if not None, an int32 array over ``strides``' labels that holds the position instead; positions
            outside the axis are NOWHERE.
    """

    size: int
    strides: tuple[tuple[Label, int], ...]
    offset: int = 0
    index: jax.Array | None = None  # pyright: ignore[reportIncompatibleMethodOverride] - what tuple.index finds is of no use here

    @property
    def labels(self) -> list[Label]:
        """The labels on which the position depends."""
        return [label for label, _ in self.strides]

    @property
    def label(self) -> Label | None:
        """The label that is the position, if one is, along the whole axis."""
        if len(self.strides) == 1 and self.offset == 0 and self.index is None:
            label, stride = self.strides[0]
            if stride == 1 and label.size == self.size:
                return label
        return None

    @property
    def radix(self) -> list[Label] | None:
        """The labels whose mixed-radix number is the position, most significant first, if there are such."""
        if self.index is not None or self.offset:
            return None
        ordered = sorted(self.strides, key=lambda pair: (pair[1], pair[0].size), reverse=True)
        expected = self.size
        for label, stride in ordered:
            if stride < 1 or stride * label.size != expected:
                return None
            expected = stride
        return [label for label, _ in ordered] if expected == 1 else None

    @property
    def inside(self) -> bool:
        """Whether every assignment of the labels is known to lie on the axis."""
        if self.index is not None:
            return False
        reach = [stride * (label.size - 1) for label, stride in self.strides]
        low = self.offset + sum(r for r in reach if r < 0)
        high = self.offset + sum(r for r in reach if r > 0)
        return (low >= 0 and high < self.size) or any(label.size == 0 for label, _ in self.strides)


class Factor(NamedTuple):
    """An array and a label for each of its axes.

    Attributes:
        array, labels: the array, and a label for each axis.
        computed: False if it is an input or a constant of the function.
        precision: of the matrix product in the function that it comes from; None is the default.
    """

    array: Any
    labels: tuple[Label, ...]
    computed: bool = True
    precision: Any = None


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """One einsum: see the module's docstring."""

    coefficient: float | complex
    factors: tuple[Factor, ...]
    out: tuple[Axis, ...]
    in_: tuple[Axis, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes, the output's first."""
        return self.out + self.in_

    def labels(self) -> dict[Label, None]:
        """All labels, in the order of the axes and then the factors."""
        found = {label: None for axis in self.axes for label, _ in axis.strides}
        found.update((label, None) for factor in self.factors for label in factor.labels)
        return found

    @property
    def T(self) -> "Term":  # noqa: N802 - the name that arrays have for it
        """The transpose: input and output change places."""
        return replace(self, out=self.in_, in_=self.out)


def labels_on(axes: Iterable[Axis]) -> list[Label]:
    """The labels of these axes, each once, in the order in which they occur."""
    return list(dict.fromkeys(label for axis in axes for label, _ in axis.strides))


def plain(label: Label) -> Axis:
    """The axis along which ``label`` is the position."""
    return Axis(label.size, ((label, 1),))


def fresh(shape: Sequence[int]) -> list[Label]:
    """New labels for the axes of an array."""
    return [Label(n) for n in shape]


def plains(labels: Iterable[Label]) -> tuple[Axis, ...]:
    """A plain axis for each label."""
    return tuple([Axis(label.size, ((label, 1),)) for label in labels])


def identity(shape: Sequence[int]) -> Term:
    """The identity on arrays of this shape: each output axis shares its label with an input axis."""
    axes = plains(fresh(shape))
    return Term(1, (), axes, axes)


def row(array: Any, computed: bool = True) -> Term:
    """The map v ↦ Σ array · v, on arrays of the same shape."""
    labels = fresh(array.shape)
    return Term(1, (Factor(array, tuple(labels), computed),), (), plains(labels))


def dense(array: Any, out_rank: int, computed: bool = True) -> Term:
    """One factor on all labels: the first ``out_rank`` axes of ``array`` are the output's."""
    labels = fresh(array.shape)
    factor = Factor(array, tuple(labels), computed)
    return Term(1, (factor,), plains(labels[:out_rank]), plains(labels[out_rank:]))


def renamed(term: Term, names: Mapping[Label, Label]) -> Term:
    """The term with labels renamed, each to one of the same size."""
    axes = [_renamed_axis(axis, names) for axis in term.axes]
    factors = tuple(f._replace(labels=tuple([names.get(label, label) for label in f.labels])) for f in term.factors)
    return Term(term.coefficient, factors, tuple(axes[: len(term.out)]), tuple(axes[len(term.out) :]))


def _renamed_axis(axis: Axis, names: Mapping[Label, Label]) -> Axis:
    return axis._replace(strides=tuple([(names.get(label, label), stride) for label, stride in axis.strides]))


def copied(term: Term) -> Term:
    """The same term with labels of its own."""
    return renamed(term, {label: Label(label.size) for label in term.labels()})


def itemsize(factor: Factor) -> int:
    """How many numbers the factor holds."""
    return int(np.prod(factor.array.shape, dtype=np.int64))
