"""Fewer factors in a term, and fewer terms in a sum, wherever that stores fewer numbers or costs next to nothing."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmc.linear.contract import aligned, common, contract, flops, multiplied
from jmc.linear.place import placed
from jmc.linear.term import Factor, Label, Term, itemsize, plain

# A contraction is done at once if it shrinks its factors and costs at most so many operations per number it reads.
CHEAP = 16
# So many terms at single positions stay apart.
FEW_POINTS = 3


def tidy(term: Term) -> Term:
    """The same term, with factors on the same labels multiplied and labels summed where that is cheap."""
    factors: list[Factor] = []
    for factor in term.factors:
        _multiply_in(factors, factor)
    on_axes = {label for axis in term.axes for label, _ in axis.strides}
    factors = _cheap_sums(factors, on_axes)
    return Term(term.coefficient, tuple(factors), term.out, term.in_)


def _multiply_in(factors: list[Factor], factor: Factor) -> None:
    """Append ``factor``, or multiply it into one on the same labels."""
    own = set(factor.labels)
    for k in reversed(range(len(factors))):
        other = factors[k]
        # scalars only with their neighbour, so that no product is larger than it is in the function
        if own == set(other.labels) and (own or k == len(factors) - 1):
            factors[k] = multiplied(other, factor)
            return
    factors.append(factor)


def _cheap_sums(factors: list[Factor], on_axes: set[Label]) -> list[Factor]:
    holders: dict[Label, list[Factor]] = {}
    for factor in factors:
        for label in factor.labels:
            if label not in on_axes:
                holders.setdefault(label, []).append(factor)
    for held in holders.values():
        if len(held) > 2:
            continue
        rest = [factor for factor in factors if all(factor is not h for h in held)]
        keep = on_axes.union(*(f.labels for f in rest))
        labels = tuple(m for m in dict.fromkeys(itertools.chain(*(f.labels for f in held))) if m in keep)
        size = sum(itemsize(f) for f in held)
        result = math.prod(m.size for m in labels)
        if len(held) == 1 or (result <= size and flops(held, labels) <= CHEAP * size):
            dtype = jnp.result_type(*common(held[0].array, held[-1].array))
            if dtype == bool:
                continue  # a count, whose type the map knows
            array, order = contract(held, labels, dtype)
            _multiply_in(rest, Factor(array, order))
            return _cheap_sums(rest, on_axes)
    return factors


def added(terms: Iterable[Term], dtype: Any) -> tuple[Term, ...]:
    """The sum with equal terms counted, and terms that differ in their factors on the same labels made one."""
    groups: dict[tuple[Any, ...], list[Term]] = {}
    for term in terms:
        if term.coefficient == 0:
            continue
        result = groups.setdefault(signature(term), [])
        for k, other in enumerate(result):
            both = _one(other, term, dtype)
            if both is not None:
                result.pop(k) if both.coefficient == 0 else result.__setitem__(k, both)
                break
        else:
            result.append(term)
    return tuple(term for group in groups.values() for term in group)


def points_gathered(terms: tuple[Term, ...], dtype: Any) -> tuple[Term, ...]:
    """Terms at single positions of an axis, if they are many, as one term with a factor along the axis."""
    if len(terms) <= FEW_POINTS:
        return terms
    groups: dict[tuple[Any, ...], list[Term]] = {}
    for term in terms:
        points = [k for k, axis in enumerate(term.axes) if not axis.strides and axis.index is None and axis.size > 1]
        shape = signature(term)
        key = tuple((size, offset if strides else None, index, strides) for size, offset, index, strides in shape)
        groups.setdefault(key if points else (id(term),), []).append(term)
    result: list[Term] = []
    for group in groups.values():
        points = [k for k, axis in enumerate(group[0].axes) if not axis.strides and axis.size > 1]
        room = math.prod(group[0].axes[k].size for k in points)
        if len(group) > FEW_POINTS and room <= max(16 * len(group), 1024):
            result.append(_gathered(group, points, dtype))
        else:
            result += group
    return tuple(result)


def _gathered(group: Sequence[Term], points: Sequence[int], dtype: Any) -> Term:
    labels = _axis_labels(group[0])
    sizes = [label.size for label in labels]
    arrays = []
    for term in group:
        own = _axis_labels(term)
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


def _one(a: Term, b: Term, dtype: Any) -> Term | None:
    """a + b as one term, if that takes no more numbers."""
    names = corresponding(a, b)
    if names is None:
        return None
    alone_a, alone_b, common_factors = _matched(a, b, names)
    if not alone_a and not alone_b:
        return Term(a.coefficient + b.coefficient, a.factors, a.out, a.in_)
    alone_b_labels = [f.labels for f in alone_b]
    if any(label not in names for labels in alone_b_labels for label in labels):
        return None
    known = set(names.values())
    if any(label not in known for f in alone_a for label in f.labels):
        return None
    alone_b = [f._replace(labels=tuple(names[label] for label in f.labels)) for f in alone_b]
    labels = tuple(dict.fromkeys(itertools.chain(*(f.labels for f in (*alone_a, *alone_b)))))
    # sizes do not decide, so that structure is the same for small arrays
    if not any(f.computed and set(f.labels) >= set(labels) for f in (*alone_a, *alone_b)):
        return None
    x, y = _weighted(a.coefficient, alone_a, labels, dtype), _weighted(b.coefficient, alone_b, labels, dtype)
    if alone_a and alone_b:
        x, y = common(x, y)
    total = jnp.broadcast_to(x + y, [label.size for label in labels])
    return tidy(Term(1, (*common_factors, Factor(total, labels)), a.out, a.in_))


def _weighted(coefficient: Any, factors: Sequence[Factor], labels: tuple[Label, ...], dtype: Any) -> Any:
    if not factors:
        return coefficient
    arrays = [aligned(f.array, f.labels, labels) for f in factors]
    array = functools.reduce(_times, [array.astype(dtype) if array.dtype == bool else array for array in arrays])
    if isinstance(coefficient, complex):
        array = array.astype(dtype)
    return array if coefficient == 1 else coefficient * array


def _times(x: Any, y: Any) -> Any:
    x, y = common(x, y)
    return x * y


def corresponding(a: Term, b: Term) -> dict[Label, Label] | None:
    """For each label of b's axes the one of a, if their axes are the same functions of labels."""
    names: dict[Label, Label] = {}
    taken: set[Label] = set()
    for one, other in zip(a.axes, b.axes, strict=True):
        if one.offset != other.offset or len(one.strides) != len(other.strides) or one.index is not other.index:
            return None
        for (label_a, stride_a), (label_b, stride_b) in zip(one.strides, other.strides, strict=True):
            if stride_a != stride_b or label_a.size != label_b.size:
                return None
            if names.setdefault(label_b, label_a) is not label_a:
                return None
            taken.add(label_a)
    return names if len(taken) == len(names) else None


def _matched(a: Term, b: Term, names: dict[Label, Label]) -> tuple[list[Factor], list[Factor], list[Factor]]:
    """Factors of a alone, of b alone and of both; ``names`` grows by the summed labels of what they share."""
    alone_a, alone_b, common_factors = list(a.factors), list(b.factors), []
    taken = set(names.values())
    found = True
    while found:
        found = False
        for i, j in itertools.product(range(len(alone_a)), range(len(alone_b))):
            one, other = alone_a[i], alone_b[j]
            if one.array is not other.array:
                continue
            new = [(q, p) for p, q in zip(one.labels, other.labels, strict=True) if q not in names]
            fits = all(names.get(q, p) is p for p, q in zip(one.labels, other.labels, strict=True))
            if not fits or any(p in taken for _, p in new):
                continue
            # a factor that shares no label yet could belong to any of several: only the surest goes first
            if new and len(new) == len(one.labels) and any(set(f.labels) & set(names) for f in alone_b):
                continue
            names.update(new)
            taken.update(p for _, p in new)
            common_factors.append(one)
            del alone_a[i], alone_b[j]
            found = True
            break
    return alone_a, alone_b, common_factors


def signature(term: Term) -> tuple[Any, ...]:
    """What two terms have in common whose axes are the same functions of labels."""
    number: dict[Label, int] = {}
    return tuple(
        (
            axis.size,
            axis.offset,
            id(axis.index) if axis.index is not None else None,
            tuple((number.setdefault(label, len(number)), label.size, stride) for label, stride in axis.strides),
        )
        for axis in term.axes
    )


def collapsed(terms: Sequence[Term], dtype: Any, max_bytes: int | None = None) -> tuple[Term, ...]:
    """One term with one factor for all terms with the same axes, into which terms with more structure are taken.

    So as many numbers are stored as the least structured of the terms takes.
    """
    found = [_collapsed(group, dtype, max_bytes) for group in _groups(terms)]
    found.sort(key=lambda term: -math.prod(label.size for label in _axis_labels(term)))
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


def _axis_labels(term: Term) -> list[Label]:
    return list(dict.fromkeys(label for axis in term.axes for label, _ in axis.strides))


def _collapsed(group: Sequence[Term], dtype: Any, max_bytes: int | None = None) -> Term:
    """The sum of terms with the same axes as one with one factor."""
    first = group[0]
    if len(group) == 1 and len(first.factors) <= 1:
        return first
    return Term(1, (_contracted_sum(group, _axis_labels(first), (), dtype, max_bytes),), first.out, first.in_)


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
            _, factors, _ = _matched(Term(1, tuple(without), group[0].out, group[0].in_), term, names)
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
            keep = list(dict.fromkeys([*_axis_labels(first), *(label for f in shared for label in f.labels)]))
            rest = _rest_labels(group, shared, keep)
            size = math.prod(label.size for label in _axis_labels(first))
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
        _, _, factors = _matched(base, term, names)
    return factors


def _rest_labels(group: Sequence[Term], common_factors: Sequence[Factor], keep: Sequence[Label]) -> set[Label] | None:
    """The labels that the rest of the terms has in common with what is kept."""
    labels: set[Label] = set()
    for term in group:
        names = corresponding(group[0], term)
        if names is None:
            return None
        base = Term(1, tuple(common_factors), group[0].out, group[0].in_)
        unmatched, rest, _ = _matched(base, term, names)
        if unmatched:
            return None
        labels.update(names[m] for f in rest for m in f.labels if names.get(m) in keep)
    return labels


def finished(terms: Sequence[Term], dtype: Any) -> tuple[Term, ...]:
    """Terms to hand out: contracted where that stores fewer numbers, and taken in by a factor on all axes."""
    return _absorbed(tuple(_shrunk(term, dtype) for term in terms), dtype)


def _shrunk(term: Term, dtype: Any) -> Term:
    labels = _axis_labels(term)
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
    on_axes = [label for axis in term.axes for label, _ in axis.strides]
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
