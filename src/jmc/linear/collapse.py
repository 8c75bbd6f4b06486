"""Sums of terms contracted: where they are many, where they are used twice, and before they are handed out."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmc.linear.contract import aligned, contract, multiplied
from jmc.linear.place import placed, total
from jmc.linear.simplify import added, corresponding, matched, signature, tidy
from jmc.linear.term import Factor, Label, Term, dense, itemsize, labels_on, plain

# So many terms at single positions stay apart.
FEW_POINTS = 3
# Beyond so many terms a sum is collapsed: one factor for all terms with the same axes.
MOST_TERMS = 12


def points_gathered(terms: tuple[Term, ...], dtype: Any) -> tuple[Term, ...]:
    """Terms at single positions of an axis, if they are many, as one term with a factor along the axis."""
    if len(terms) <= FEW_POINTS:
        return terms
    groups: dict[tuple[Any, ...], list[Term]] = {}
    for term in terms:
        shape = signature(term)
        key = tuple((size, offset if strides else None, index, strides) for size, offset, index, strides in shape)
        groups.setdefault(key if _points(term) else (id(term),), []).append(term)
    result: list[Term] = []
    for group in groups.values():
        points = _points(group[0])
        room = math.prod(group[0].axes[k].size for k in points)
        if len(group) > FEW_POINTS and room <= max(16 * len(group), 1024):
            result.append(_gathered(group, points, dtype))
        else:
            result += group
    return tuple(result)


def _points(term: Term) -> list[int]:
    """The axes of which the term is at one position that is known."""
    return [k for k, axis in enumerate(term.axes) if not axis.strides and axis.index is None and axis.size > 1]


def _gathered(group: Sequence[Term], points: Sequence[int], dtype: Any) -> Term:
    labels = labels_on(group[0].axes)
    sizes = [label.size for label in labels]
    arrays = []
    for term in group:
        own = labels_on(term.axes)
        array, order = contract(term.factors, own, dtype)
        array = array if term.coefficient == 1 else array * jnp.asarray(term.coefficient, dtype)
        arrays.append(jnp.broadcast_to(aligned(array, order, own), sizes))
    places = tuple(np.array([term.axes[k].offset for term in group], np.int32) for k in points)
    along = [Label(group[0].axes[k].size) for k in points]
    total = jnp.zeros([*(label.size for label in along), *sizes], dtype).at[places].add(jnp.stack(arrays))
    axes = list(group[0].axes)
    for k, label in zip(points, along, strict=True):
        axes[k] = plain(label)
    rank = len(group[0].out)
    return Term(1, (Factor(total, (*along, *labels)),), tuple(axes[:rank]), tuple(axes[rank:]))


def limited(terms: tuple[Term, ...], dtype: Any, max_bytes: int) -> tuple[Term, ...]:
    """The same sum with few terms: single positions gathered, and if it has too many, collapsed.

    Into one on all axes, where those that are left have as many entries as that.
    """
    terms = points_gathered(terms, dtype)
    if len(terms) > MOST_TERMS:
        terms = collapsed(terms, dtype, max_bytes)
    if len(terms) > MOST_TERMS:
        out, in_ = ([axis.size for axis in side] for side in (terms[0].out, terms[0].in_))
        entries = sum(math.prod(label.size for label in labels_on(term.axes)) for term in terms)
        if entries >= math.prod((*out, *in_)):
            return (dense(total(terms, (*out, *in_), dtype, max_bytes), len(out)),)
    return terms


def collapsed(terms: Sequence[Term], dtype: Any, max_bytes: int | None = None) -> tuple[Term, ...]:
    """One term with one factor for all terms with the same axes, into which terms with more structure are taken.

    So as many numbers are stored as the least structured of the terms takes.
    """
    found = [_collapsed(group, dtype, max_bytes) for group in _groups(terms)]
    found.sort(key=lambda term: -math.prod(label.size for label in labels_on(term.axes)))
    result: list[Term] = []
    for term in found:
        for k, wide in enumerate(result):
            both = _taken_in(wide, term, dtype)
            if both is not None:
                result[k] = both
                break
        else:
            result.append(term)
    return tuple(result)


def _groups(terms: Sequence[Term]) -> list[list[Term]]:
    groups: dict[tuple[Any, ...], list[Term]] = {}
    for term in terms:
        groups.setdefault(signature(term), []).append(term)
    return list(groups.values())


def _collapsed(group: Sequence[Term], dtype: Any, max_bytes: int | None = None) -> Term:
    """The sum of terms with the same axes as one with one factor."""
    first = group[0]
    if len(group) == 1 and len(first.factors) <= 1:
        return first
    return Term(1, (_contracted_sum(group, labels_on(first.axes), (), dtype, max_bytes),), first.out, first.in_)


def _contracted_sum(
    group: Sequence[Term], keep: Sequence[Label], without: Sequence[Factor], dtype: Any, max_bytes: int | None
) -> Factor:
    """Σ over the group of coefficient · Σ Π factors, on the labels of its first term that are to be kept."""
    total: Factor | None = None
    for term in group:
        names = corresponding(group[0], term)
        assert names is not None
        factors = term.factors
        if without:
            _, factors, _ = matched(Term(1, tuple(without), group[0].out, group[0].in_), term, names)
        own = {old: new for old, new in names.items() if new in keep}
        array, labels = contract(factors, list(own), dtype, max_bytes)
        if term.coefficient != 1:
            array = array * jnp.asarray(term.coefficient, dtype)
        part = Factor(array, tuple(own[label] for label in labels))
        total = part if total is None else _plus(total, part)
    assert total is not None
    order = [label for label in keep if label in total.labels]
    return Factor(aligned(total.array, total.labels, order), tuple(order))


def _plus(a: Factor, b: Factor) -> Factor:
    order = tuple(dict.fromkeys([*a.labels, *b.labels]))
    array = aligned(a.array, a.labels, order) + aligned(b.array, b.labels, order)
    return Factor(jnp.broadcast_to(array, [label.size for label in order]), order)


def _taken_in(wide: Term, term: Term, dtype: Any) -> Term | None:
    """wide + term, where ``wide`` has one factor and its axes are equal only where those of ``term`` are."""
    labels = [axis.label for axis in wide.axes]
    if len(wide.factors) != 1 or any(label is None for label in labels):
        return None
    first: dict[Label, int] = {}
    for k, label in enumerate(labels):
        assert label is not None
        if first.setdefault(label, k) != k and (
            term.axes[k].label is None or term.axes[k].label is not term.axes[first[label]].label
        ):
            return None
    (factor,) = wide.factors
    order = tuple(first)
    array = aligned(factor.array, factor.labels, order)
    more = placed(term, [term.axes[k] for k in first.values()], dtype)
    array = jnp.asarray(wide.coefficient, dtype) * array.astype(dtype) if wide.coefficient != 1 else array.astype(dtype)
    return Term(1, (Factor(array + more, order),), wide.out, wide.in_)


def factored(terms: Sequence[Term], dtype: Any, max_bytes: int | None = None) -> tuple[Term, ...]:
    """Σ common · rest as common · Σ rest, where Σ rest is smaller than what comes out: one contraction, not many."""
    result: list[Term] = []
    for group in _groups(terms):
        first = group[0]
        if len(group) > 1:
            shared = _common(group)
            keep = list(dict.fromkeys([*labels_on(first.axes), *(label for f in shared for label in f.labels)]))
            rest = _rest_labels(group, shared, keep)
            size = math.prod(label.size for label in labels_on(first.axes))
            if rest is not None and 2 * math.prod(label.size for label in rest) <= size:
                factor = _contracted_sum(group, keep, shared, dtype, max_bytes)
                group = [Term(1, (*shared, factor), first.out, first.in_)]
        result += group
    return tuple(result)


def _common(group: Sequence[Term]) -> list[Factor]:
    """The factors of the first term that all others have, at the same labels."""
    factors = list(group[0].factors)
    for term in group[1:]:
        names = corresponding(group[0], term)
        if names is None or not factors:
            return []
        base = Term(1, tuple(factors), group[0].out, group[0].in_)
        _, _, factors = matched(base, term, names)
    return factors


def _rest_labels(group: Sequence[Term], common_factors: Sequence[Factor], keep: Sequence[Label]) -> set[Label] | None:
    """The labels that the rest of the terms has in common with what is kept."""
    labels: set[Label] = set()
    for term in group:
        names = corresponding(group[0], term)
        if names is None:
            return None
        base = Term(1, tuple(common_factors), group[0].out, group[0].in_)
        unmatched, rest, _ = matched(base, term, names)
        if unmatched:
            return None
        labels.update(names[m] for f in rest for m in f.labels if names.get(m) in keep)
    return labels


def finished(terms: Sequence[Term], dtype: Any) -> tuple[Term, ...]:
    """Terms to hand out: contracted where that stores fewer numbers, and taken in by a factor on all axes."""
    return _joined(_absorbed(tuple(_shrunk(term, dtype) for term in terms), dtype))


def _joined(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The same sum, where two factors that stand beside each other, and occur only together, are one array.

    As p = e/s of softmax, diag(p) - p pᵀ.
    """
    for term in terms:
        for one, other in itertools.pairwise(term.factors):
            large, small = (one, other) if set(other.labels) < set(one.labels) else (other, one)
            masks = bool in (large.array.dtype, small.array.dtype)  # which hide inf and nan, as their products do not
            if large.computed and set(small.labels) < set(large.labels) and not masks:
                both = multiplied(large, small)
                found = [_with_pairs(own, large, small, both) for own in terms]
                if None not in found:
                    return _joined(tuple(own for own in found if own is not None))
    return terms


def _with_pairs(term: Term, large: Factor, small: Factor, both: Factor) -> Term | None:
    """The term with ``both`` for each pair, placed to each other as they are; None if one of them is left alone."""
    factors = [f for f in term.factors if f.array is not small.array]
    left = [f.labels for f in term.factors if f.array is small.array]
    for k, factor in enumerate(factors):
        if factor.array is large.array:
            names = dict(zip(large.labels, factor.labels, strict=True))
            wanted = tuple(names[label] for label in small.labels)
            if wanted not in left:
                return None
            left.remove(wanted)
            factors[k] = both._replace(labels=tuple(names[label] for label in both.labels))
    return None if left else Term(term.coefficient, tuple(factors), term.out, term.in_)


def _shrunk(term: Term, dtype: Any) -> Term:
    labels = labels_on(term.axes)
    stored = sum(itemsize(f) for f in term.factors if f.computed)
    if stored <= math.prod(label.size for label in labels) or all(m in labels for f in term.factors for m in f.labels):
        return term
    return _collapsed([term], dtype)


def _absorbed(terms: tuple[Term, ...], dtype: Any) -> tuple[Term, ...]:
    """The same sum, where a computed factor on all axes takes in the terms of one factor or none: nothing is lost."""
    for k, wide in enumerate(terms):
        if len(terms) > 1 and len(wide.factors) == 1 and wide.factors[0].computed and _on_all_axes(wide):
            rest = []
            for term in (*terms[:k], *terms[k + 1 :]):
                both = _taken_in(wide, term, dtype) if len(term.factors) <= 1 else None
                wide, rest = (wide, [*rest, term]) if both is None else (both, rest)
            return (wide, *rest)
    return terms


def _on_all_axes(term: Term) -> bool:
    labels = [axis.label for axis in term.axes]
    return None not in labels and len(set(labels)) == len(labels) and set(term.factors[0].labels) == set(labels)


def settled(terms: Sequence[Term], dtype: Any, size: int = 0) -> tuple[Term, ...]:
    """Each term with its summed labels contracted, where the result is no larger than its factors or ``size``."""
    return added((_settled(term, dtype, size) for term in terms), dtype)


def _settled(term: Term, dtype: Any, size: int) -> Term:
    on_axes = labels_on(term.axes)
    kept = set(on_axes)
    summing = [k for k, f in enumerate(term.factors) if not kept.issuperset(f.labels)]
    if not summing:
        return term
    part = [term.factors[k] for k in summing]
    labels = {label for f in part for label in f.labels if label in kept}
    if math.prod(label.size for label in labels) > max(size, sum(itemsize(f) for f in part)):
        return term
    array, order = contract(part, on_axes, dtype)
    rest = [f for k, f in enumerate(term.factors) if k not in summing]
    return tidy(Term(term.coefficient, (*rest, Factor(array, order)), term.out, term.in_))
