"""Composition: the positions of two axes are set equal, by writing labels of one in terms of labels of the other.

``compose(A, B)`` is A·B: the labels of both terms, with every input axis of A unified with the output axis of B that it
reads. Mostly that renames a label. Where an axis is a slice, a reshape or a gather, labels are substituted in the
factors (a slice, a reshape or a gather of the array) and in the other axes (arithmetic on offsets and strides); only if
neither side can be solved for its labels the equation itself becomes a factor of zeros and ones.
"""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp

from jmc.linear.substitute import positions, spread, substituted_axis, substituted_factor
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, copied

Equation = tuple[Axis, Axis]


def compose(left: Term, right: Term) -> Term | None:
    """The product left · right, or None if it is zero."""
    if not left.labels().keys().isdisjoint(right.labels()):
        right = copied(right)
    # in the order in which the factors act
    product = Term(left.coefficient * right.coefficient, right.factors + left.factors, left.out, right.in_)
    return unified(product, list(zip(left.in_, right.out, strict=True)))


def unified(term: Term, equations: Sequence[Equation]) -> Term | None:
    """The term with both axes of each equation at the same position, or None if that never happens."""
    system = _System(term, equations)
    while system.equations:
        one, other = system.equations.pop()
        if not system.solve(one, other):
            return None
    return system.term(len(term.out))


class _System:
    """Factors and axes, with equations between positions that are still to be solved."""

    def __init__(self, term: Term, equations: Sequence[Equation]):
        self.coefficient = term.coefficient
        self.factors = list(term.factors)
        self.axes = list(term.axes)
        self.equations: list[Equation] = []
        self.live = term.labels()
        for pair in equations:
            self.live.update((label, None) for axis in pair for label, _ in axis.strides)
        self._rename([(one.label, other.label, one, other) for one, other in equations])

    def _rename(self, pairs: list) -> None:
        """Equations between plain axes, all at once; the others stay."""
        names: dict[Label, Label] = {}
        for a, b, one, other in pairs:
            if a is None or b is None:
                self.equations.append((one, other))
                continue
            while a in names:
                a = names[a]
            while b in names:
                b = names[b]
            if a is not b:
                names[a] = b
                del self.live[a]
        for a in names:
            b = names[a]
            while b in names:
                b = names[b]
            names[a] = b
        if not names:
            return
        moved = names.keys()

        def renamed(axis: Axis) -> Axis:
            if moved.isdisjoint(axis.labels):
                return axis
            return substituted_axis(axis._replace(strides=tuple([(names.get(m, m), s) for m, s in axis.strides])))

        self.axes = [renamed(axis) for axis in self.axes]
        self.equations = [(renamed(one), renamed(other)) for one, other in self.equations]
        self.factors = [
            f
            if moved.isdisjoint(f.labels)
            else substituted_factor(f._replace(labels=tuple([names.get(m, m) for m in f.labels])))
            for f in self.factors
        ]

    def term(self, out_rank: int) -> Term | None:
        """The term, once no equation is left."""
        occurring = {label for axis in self.axes for label, _ in axis.strides}
        occurring.update(label for factor in self.factors for label in factor.labels)
        # a label that was summed over and now occurs nowhere counts its values
        lost = math.prod(label.size for label in self.live if label not in occurring)
        if lost == 0:
            return None
        return Term(
            self.coefficient * lost, tuple(self.factors), tuple(self.axes[:out_rank]), tuple(self.axes[out_rank:])
        )

    def substitute(self, label: Label, expression: Axis) -> None:
        """``label`` is what ``expression`` says; where that lies outside its range, the term vanishes."""
        del self.live[label]
        self.live.update((other, None) for other, _ in expression.strides)
        # a factor has zeros outside, and an axis along which the label lay drops what is outside
        held = any(label in f.labels for f in self.factors) or any(axis.label is label for axis in self.axes)
        self.factors = [substituted_factor(factor, label, expression) for factor in self.factors]
        self.axes = [substituted_axis(axis, label, expression) for axis in self.axes]
        self.equations = [
            (substituted_axis(one, label, expression), substituted_axis(other, label, expression))
            for one, other in self.equations
        ]
        if not held and not expression.inside:
            where, labels = positions(expression)
            inside = (where >= 0) & (where < label.size)
            self.factors.append(Factor(jnp.asarray(inside), tuple(labels)))

    def solve(self, one: Axis, other: Axis) -> bool:
        """Substitute so that both positions are the same; False if they never are."""
        if one.index is None and other.index is None and one == other and one.inside:
            return True
        for axis in (one, other):
            if axis.index is None and len(axis.strides) <= 1 and not axis.inside:
                return self._crop(axis, one, other)
        for axis, target in ((one, other), (other, one)):
            label = axis.label
            if label is not None and label not in target.labels:
                self.substitute(label, target)
                return True
        if one.index is None and other.index is None:
            if len(one.strides) <= 1 and len(other.strides) <= 1:
                return self._solve_linear(one, other)
            refined = _refinement(one, other) or _digits(one, other) or _digits(other, one)
            if refined is not None:
                for label, expression in refined:
                    self.substitute(label, expression)
                return True
        for axis, target in ((one, other), (other, one)):
            if axis.index is None and _injective(axis) and set(axis.labels).isdisjoint(target.labels):
                self._invert(axis, target)
                return True
        self._indicator(one, other)
        return True

    def _crop(self, axis: Axis, one: Axis, other: Axis) -> bool:
        """Solve with the label of ``axis`` restricted to where its position is on the axis."""
        if not axis.strides or axis.size == 0:
            return False
        ((label, stride),) = axis.strides
        ends = sorted((-axis.offset / stride, (axis.size - 1 - axis.offset) / stride))
        first, last = max(0, math.ceil(ends[0])), min(label.size - 1, math.floor(ends[1]))
        if first > last:
            return False
        within = Axis(label.size, ((Label(last - first + 1), 1),), first)
        self.substitute(label, within)
        return self.solve(substituted_axis(one, label, within), substituted_axis(other, label, within))

    def _solve_linear(self, one: Axis, other: Axis) -> bool:
        """o₁ + s₁ l₁ = o₂ + s₂ l₂, where either label may be missing (stride 0) and both may be the same."""
        (l1, s1), (l2, s2) = (axis.strides[0] if axis.strides else (None, 0) for axis in (one, other))
        gap = other.offset - one.offset
        if l1 is l2 or l1 is None or l2 is None:
            label, stride = l1 or l2, s1 - s2
            if label is None or stride == 0:
                return gap == 0
            value, remainder = divmod(gap, stride)
            if remainder or not 0 <= value < label.size:
                return False
            self.substitute(label, Axis(label.size, (), value))
            return True
        # the solutions are l₁ = a + (s₂/g) t, l₂ = b + (s₁/g) t for all integers t that keep both in their range
        g = math.gcd(s1, s2) if s2 > 0 else -math.gcd(s1, s2)
        step1, step2 = s2 // g, s1 // g
        a = next((a for a in range(step1) if (s1 * a - gap) % s2 == 0), None)
        if a is None:
            return False
        b = (s1 * a - gap) // s2
        first, last = -(a // step1), (l1.size - 1 - a) // step1
        bounds = sorted((-b / step2, (l2.size - 1 - b) / step2))
        first, last = max(first, math.ceil(bounds[0])), min(last, math.floor(bounds[1]))
        if first > last or l2.size == 0:
            return False
        t = Label(last - first + 1)
        self.live[t] = None
        self.substitute(l1, Axis(l1.size, ((t, step1),), a + step1 * first))
        self.substitute(l2, Axis(l2.size, ((t, step2),), b + step2 * first))
        return True

    def _invert(self, axis: Axis, target: Axis) -> None:
        """The labels of ``axis``, a number in a mixed radix, from the digits of ``target``'s position."""
        where, labels = positions(target)
        valid = (where >= 0) & (where < axis.size)
        rest = where - axis.offset - sum(min(0, stride * (label.size - 1)) for label, stride in axis.strides)
        digits = {}
        for label, stride in sorted(axis.strides, key=lambda pair: (abs(pair[1]), pair[0].size), reverse=True):
            digit = rest // abs(stride) if label.size > 1 else rest * 0
            valid = valid & (digit >= 0) & (digit < label.size)
            rest = rest - abs(stride) * digit
            digits[label] = digit if stride > 0 else label.size - 1 - digit
        valid = valid & (rest == 0)
        for label, digit in digits.items():
            index = jnp.where(valid, digit, NOWHERE).astype("int32")
            self.substitute(label, Axis(label.size, tuple((m, 0) for m in labels), 0, index))

    def _indicator(self, one: Axis, other: Axis) -> None:
        """A factor that is 1 where the positions are the same, and 0 elsewhere."""
        (here, mine), (there, theirs) = positions(one), positions(other)
        labels = list(dict.fromkeys([*mine, *theirs]))

        a, b = spread(here, mine, labels), spread(there, theirs, labels)
        same = (a == b) & (a >= 0) & (a < one.size)
        same = jnp.broadcast_to(same, [label.size for label in labels])
        self.factors.append(Factor(same, tuple(labels)))
        # what lies outside the axis is masked by itself, so that it may be inf or nan
        for axis, (where, own) in ((one, positions(one)), (other, positions(other))):
            if not axis.inside:
                self.factors.append(Factor(jnp.asarray((where >= 0) & (where < axis.size)), tuple(own)))


def _digits(axis: Axis, target: Axis) -> list[tuple[Label, Axis]] | None:
    """The labels of ``axis``, a number in a mixed radix, from a target that is such a number digit by digit."""
    if not (_injective(axis) and axis.inside) or any(stride < 0 for _, stride in axis.strides):
        return None
    if not set(axis.labels).isdisjoint(target.labels):
        return None
    rest, offset, found = target.strides, target.offset - axis.offset, []
    for label, weight in sorted(axis.strides, key=lambda pair: (pair[1], pair[0].size), reverse=True):
        high = tuple((other, stride // weight) for other, stride in rest if stride % weight == 0)
        rest = tuple(pair for pair in rest if pair[1] % weight)
        digit, offset = divmod(offset, weight)
        found.append((label, Axis(label.size, high, digit)))
        reach = [stride * max(other.size - 1, 0) for other, stride in rest]
        if offset + sum(r for r in reach if r < 0) < 0 or offset + sum(r for r in reach if r > 0) >= weight:
            return None  # a digit would carry
    return found if not rest and not offset else None


def _injective(axis: Axis) -> bool:
    """Whether the position determines the labels: strides that outreach all smaller ones together."""
    reach = 0
    for label, stride in sorted(axis.strides, key=lambda pair: (abs(pair[1]), pair[0].size)):
        if abs(stride) <= reach and label.size > 1:
            return False
        reach += abs(stride) * max(label.size - 1, 0)
    return bool(axis.strides)


def _refinement(one: Axis, other: Axis) -> list[tuple[Label, Axis]] | None:
    """Two mixed-radix numbers of the same size, as numbers in a radix that refines both, if there is one."""
    mine, theirs = one.radix, other.radix
    if mine is None or theirs is None or not set(mine).isdisjoint(theirs) or 0 in (one.size, other.size):
        return None
    ends = [
        [math.prod(label.size for label in labels[k:]) for k in range(len(labels) + 1)] for labels in (mine, theirs)
    ]
    cuts = sorted({*ends[0], *ends[1]}, reverse=True)
    if any(high % low for high, low in itertools.pairwise(cuts)):
        return None
    digits = [(Label(high // low), low) for high, low in itertools.pairwise(cuts)]
    found = []
    for labels, bounds in ((mine, ends[0]), (theirs, ends[1])):
        for label, high, low in zip(labels, bounds, bounds[1:], strict=False):
            parts = tuple((digit, weight // low) for digit, weight in digits if low <= weight < high)
            found.append((label, Axis(label.size, parts)))
    return found
