"""Fewer factors in a term, and fewer terms in a sum, wherever that stores fewer numbers or costs next to nothing."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp

from jmc.linear.contract import aligned, common, contract, multiplied, product
from jmc.linear.plan import flops
from jmc.linear.term import Factor, Label, Term, itemsize, labels_on
from jmc.linear.unify import compose

# A contraction is done at once if it shrinks its factors and costs at most so many operations per number it reads.
CHEAP = 16


def products(left: Sequence[Term], right: Sequence[Term]) -> list[Term]:
    """The terms of a product of two sums."""
    found = (compose(a, b) for a in left for b in right)
    return [tidy(term) for term in found if term is not None]


def tidy(term: Term) -> Term:
    """The same term, with factors on the same labels multiplied and labels summed where that is cheap."""
    factors: list[Factor] = []
    for factor in term.factors:
        _multiply_in(factors, factor)
    factors = _cheap_sums(factors, set(labels_on(term.axes)))
    return Term(term.coefficient, tuple(factors), term.out, term.in_)


def _multiply_in(factors: list[Factor], factor: Factor) -> None:
    """Append ``factor``, or multiply it into one on the same labels."""
    own = set(factor.labels)
    for k in reversed(range(len(factors))):
        other = factors[k]
        # scalars only with their neighbour, so that no product is larger than it is in the function; one and the same
        # array stays apart from itself where each may join a larger one
        apart = other.array is factor.array and any(own < set(f.labels) for f in factors)
        if own == set(other.labels) and (own or k == len(factors) - 1) and not apart:
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
            if dtype == jnp.dtype(bool):
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


def _one(a: Term, b: Term, dtype: Any) -> Term | None:
    """a + b as one term, if that takes no more numbers."""
    names = corresponding(a, b)
    if names is None:
        return None
    alone_a, alone_b, common_factors = matched(a, b, names)
    if not alone_a and not alone_b:
        return Term(a.coefficient + b.coefficient, a.factors, a.out, a.in_)
    if any(label not in names for f in alone_b for label in f.labels):
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
    array = functools.reduce(product, [aligned(jnp.asarray(f.array), f.labels, labels) for f in factors])
    if isinstance(coefficient, complex) or array.dtype == bool:
        array = array.astype(dtype)
    return array if coefficient == 1 else coefficient * array


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


def matched(a: Term, b: Term, names: dict[Label, Label]) -> tuple[list[Factor], list[Factor], list[Factor]]:
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
