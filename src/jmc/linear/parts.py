"""A term without its arrays, for names: which labels lie on which axes, and which are connected by factors."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jmc.linear.term import Axis, Label


class Part(NamedTuple):
    """A term without its arrays: ``scaled`` if its coefficient is not 1, and the labels of each factor."""

    scaled: bool
    factors: tuple[frozenset[Label], ...]
    out: tuple[Axis, ...]
    in_: tuple[Axis, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.out + self.in_

    @property
    def pure(self) -> bool:
        return not (self.scaled or self.factors)

    def without(self, gone: set[Label]) -> "Part":
        """The part for one value of these labels."""
        out, in_ = ([axis for axis in axes if axis.label not in gone] for axes in (self.out, self.in_))
        return self._replace(factors=tuple(f - gone for f in self.factors), out=tuple(out), in_=tuple(in_))


def extent(axes: Iterable[Axis]) -> int:
    return math.prod(axis.size for axis in axes)


def labels_of(axes: Iterable[Axis]) -> list[Label]:
    return [label for axis in axes for label in axis.labels]


def m_by_n(part: Part) -> str:
    return f"({extent(part.out)}×{extent(part.in_)})"


def split(parts: Sequence[Part]) -> list[Part]:
    """An axis that is a product of labels becomes several axes, where it is the same product in all parts."""
    columns: list[list[list[Axis]]] = []
    for axes in zip(*(part.axes for part in parts), strict=True):
        radices = [axis.radix for axis in axes]
        if axes[0].size == 1 and [] in radices and any(radices):
            radices = [radix if radix != [] else [Label(1)] for radix in radices]
        sizes = {None if r is None else tuple(label.size for label in r) for r in radices}
        if len(sizes) == 1 and None not in sizes:
            columns.append([[Axis(m.size, ((m, 1),)) for m in radix or ()] for radix in radices])
        else:
            columns.append([[axis] for axis in axes])
    rank = len(parts[0].out)
    return [
        part._replace(
            out=tuple(itertools.chain(*(column[k] for column in columns[:rank]))),
            in_=tuple(itertools.chain(*(column[k] for column in columns[rank:]))),
        )
        for k, part in enumerate(parts)
    ]


def shared_axes(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """Pairs of an output and an input axis that have the same label, and share it with no other axis, in all parts."""
    found = []
    for p, q in itertools.product(range(len(parts[0].out)), range(len(parts[0].in_))):
        labels = [(part.out[p].label, part) for part in parts if part.out[p].label is part.in_[q].label]
        if len(labels) == len(parts) and all(
            m is not None and labels_of(part.axes).count(m) == 2 for m, part in labels
        ):
            found.append((p, q))
    return found


def components(part: Part) -> list[Part]:
    """The part as a Kronecker product of those that share no label; a coefficient goes to one that is no identity."""
    groups: list[set[Label]] = []
    for labels in [*(set(axis.labels) for axis in part.axes), *map(set, part.factors)]:
        touched = [group for group in groups if group & labels]
        groups = [group for group in groups if not group & labels]
        if labels:
            groups.append(labels.union(*touched))
    found = []
    for group in groups:
        out, in_ = (tuple(a for a in axes if not group.isdisjoint(a.labels)) for axes in (part.out, part.in_))
        if out or in_:
            found.append(Part(False, tuple(f for f in part.factors if f & group), out, in_))
    unlabelled = [tuple(a for a in axes if not a.strides) for axes in (part.out, part.in_)]
    if any(unlabelled):
        found.append(Part(False, (), *unlabelled))
    lone = part.scaled or any(not f or all(f.isdisjoint(axis.labels) for axis in part.axes) for f in part.factors)
    if lone and not any(c.factors for c in found):
        k = next((k for k, c in enumerate(found) if not (c.out and c.in_)), 0)
        found[k : k + 1] = [c._replace(scaled=True) for c in found[k : k + 1]]
    return ordered(found, part)


def ordered(factors: Sequence[Part], whole: Part) -> list[Part]:
    """Factors of a Kronecker product in the order of the output axes of ``whole``, and rows in that of its input."""
    out, in_ = ({id(axis): k for k, axis in enumerate(axes)} for axes in (whole.out, whole.in_))
    found = sorted((c for c in factors if c.out), key=lambda c: out[id(c.out[0])])
    for c in sorted((c for c in factors if not c.out), key=lambda c: in_[id(c.in_[0])]):
        later = (k for k, d in enumerate(found) if d.in_ and in_[id(d.in_[0])] > in_[id(c.in_[0])])
        found.insert(next(later, len(found)), c)
    return found


def distinct(axes: Sequence[Axis]) -> bool:
    labels = labels_of(axes)
    return len(set(labels)) == len(labels)


def whole_axis(axis: Axis) -> bool:
    """Whether its labels run through every position once, a single one in either direction."""
    if axis.radix is not None:
        return True
    if len(axis.strides) != 1 or axis.index is not None:
        return False
    ((label, stride),) = axis.strides
    return label.size == axis.size and (stride, axis.offset) in ((1, 0), (-1, axis.size - 1))


def digits(axes: Sequence[Axis]) -> list[Label] | None:
    """The labels whose mixed-radix number is the flattened position, if there are such."""
    found: list[Label] = []
    for radix in (axis.radix for axis in axes):
        if radix is None:
            return None
        found += radix
    return found


def least_rank(part: Part) -> int | None:
    """The least number of values of summed labels without which output and input are not connected; None if dense."""
    out, in_ = set(labels_of(part.out)), set(labels_of(part.in_))
    summed = list(set().union(*part.factors) - out - in_)

    def cut(gone: Iterable[Label]) -> bool:
        reached, grown = set(out), True
        links = [factor.difference(gone) for factor in part.factors]
        while grown:
            before = len(reached)
            reached.update(*(link for link in links if link & reached))
            grown = len(reached) > before
        return reached.isdisjoint(in_)

    if cut(()):
        return 1
    most = 4 if len(summed) <= 12 else 1  # labels cut at once: products are rarely wider, and long ones are chains
    sets = itertools.chain(*(itertools.combinations(summed, k) for k in range(1, most + 1)))
    ranks = [math.prod(label.size for label in gone) for gone in sets if cut(gone)]
    best = min(ranks, default=None)
    return best if best is not None and best < min(extent(part.out), extent(part.in_)) else None


def distances(part: Part) -> tuple[tuple[int, int], ...] | None:
    """For each pair of axes the least and the largest input minus output position, if their common labels cancel."""
    if len(part.out) != len(part.in_) or any(axis.index is not None for axis in part.axes):
        return None
    found = []
    for here, there in zip(part.out, part.in_, strict=True):
        strides = dict(there.strides)
        for label, stride in here.strides:
            strides[label] = strides.get(label, 0) - stride
        if any(strides[label] for label in here.labels):
            return None
        reach = [stride * (label.size - 1) for label, stride in strides.items()]
        gap = there.offset - here.offset
        found.append((gap + sum(r for r in reach if r < 0), gap + sum(r for r in reach if r > 0)))
    return tuple(found)


def span(axis: Axis) -> tuple[int, int] | None:
    """The positions that the axis goes through, if they are contiguous."""
    if axis.index is not None:
        return None
    size = math.prod(label.size for label in axis.labels)
    moved = axis._replace(size=size, offset=0)
    return (axis.offset, axis.offset + size) if not axis.strides or moved.radix is not None else None


def cropped(part: Part, p: int) -> Part:
    low, high = span(part.out[p]) or (0, 0)
    axis = part.out[p]
    kept = () if not axis.strides else (axis._replace(size=high - low, offset=0),)
    return part._replace(out=(*part.out[:p], *kept, *part.out[p + 1 :]))


def tiled(ranges: Sequence[tuple[int, int] | None], size: int) -> bool:
    """Whether the ranges cover the positions up to ``size``, each once."""
    known = sorted(found for found in ranges if found is not None)
    ends = [0, *(high for _, high in known)]
    return (
        len(known) == len(ranges)
        and ends[-1] == size
        and all(low == end for (low, _), end in zip(known, ends, strict=False))
    )
