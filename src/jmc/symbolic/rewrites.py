"""Equalities that need several terms or a whole chain: cases by one condition, softplus, inverses of products."""

import itertools
from collections.abc import Sequence

from jmc.symbolic.algebra import ONE, add, full, negated, power, product, split, times
from jmc.symbolic.functions import apply
from jmc.symbolic.identities import INDICATORS
from jmc.symbolic.operators import inverse
from jmc.symbolic.rebuilt import rebuilt
from jmc.symbolic.tensor import Labels, Map, Op, Product, Sum, Tensor

Part = tuple[Tensor, Labels]


def chosen(total: Sum) -> Tensor | None:
    """c a + (1 − c) b as (a if c, else b), for a condition c; what both have in common stands before it."""
    terms = [_as_product(term) for term in total.terms]
    for one, other in itertools.permutations(terms, 2):
        for k, (condition, labels) in enumerate(one.factors):
            if not (isinstance(condition, Map) and condition.function in INDICATORS and labels):
                continue
            opposite = (apply("not", condition), _places(other, _spots(one, labels)))
            if opposite not in other.factors or _shape(one) != _shape(other):
                continue
            found = _cases(one, k, other, other.factors.index(opposite))
            if found is not None:
                rest = [term for term in terms if term is not one and term is not other]
                return add([found, *(_plain(term) for term in rest)]) if rest else found
    if not total.shape:
        return _chosen_numbers(terms)
    return None


def _chosen_numbers(terms: Sequence[Product]) -> Tensor | None:
    """The same of numbers, whose factors have no labels."""
    for one, other in itertools.permutations(terms, 2):
        for k, (condition, labels) in enumerate(one.factors):
            if labels or not (isinstance(condition, Map) and condition.function in INDICATORS):
                continue
            opposite = (apply("not", condition), ())
            if opposite in other.factors:
                a = _without(one, [k])
                b = _without(other, [other.factors.index(opposite)])
                found = apply("where", condition, a, b)
                rest = [_plain(term) for term in terms if term is not one and term is not other]
                return add([found, *rest]) if rest else found
    return None


def _cases(one: Product, k: int, other: Product, j: int) -> Tensor | None:
    """Two terms, whose factors k and j are a condition and its opposite, as one; None if the rest is of other axes."""
    condition, labels = one.factors[k]
    ours = [part for n, part in enumerate(one.factors) if n != k]
    theirs = [part for n, part in enumerate(other.factors) if n != j]
    common = []
    for factor, at in list(ours):
        same = (factor, _places(other, _spots(one, at)))
        if set(at) <= set(one.out) and same in theirs and not set(at) <= set(labels):
            common.append((factor, at))
            ours.remove((factor, at))
            theirs.remove(same)
    where = _places(other, _spots(one, labels))
    if any(not set(at) <= set(labels) for _, at in ours) or any(not set(at) <= set(where) for _, at in theirs):
        return None
    dims = dict(enumerate(one.dims))
    a = product(one.coefficient, ours, labels, dims)
    b = product(other.coefficient, theirs, where, dict(enumerate(other.dims)))
    return product(ONE, [*common, (apply("where", condition, a, b), labels)], one.out, dims)


def _spots(term: Product, labels: Sequence[int]) -> tuple[int, ...]:
    return tuple(term.out.index(label) if label in term.out else -1 for label in labels)


def _places(term: Product, spots: Sequence[int]) -> Labels:
    return tuple(term.out[spot] if spot >= 0 else -1 for spot in spots)


def _shape(term: Product) -> tuple[int, ...]:
    return tuple(term.out.index(label) for label in term.out)


def _as_product(term: Tensor) -> Product:
    if isinstance(term, Product):
        return term
    labels = tuple(range(len(term.shape)))
    return Product(term.shape, ONE, ((term, labels),), labels, term.shape)


def _without(term: Product, gone: Sequence[int]) -> Tensor:
    parts = [part for k, part in enumerate(term.factors) if k not in gone]
    return product(term.coefficient, parts, term.out, dict(enumerate(term.dims)))


def _plain(term: Product) -> Tensor:
    return _without(term, [])


def straightened(total: Sum) -> Tensor | None:
    """softplus(x) − softplus(−x) as x."""
    for one, other in itertools.permutations(total.terms, 2):
        (a, x), (b, y) = split(one), split(other)
        alike = isinstance(x, Map) and isinstance(y, Map) and x.function == y.function == "softplus"
        if alike and a == -b and x.children[0] == negated(y.children[0]):
            rest = [term for term in total.terms if term is not one and term is not other]
            return add([times(full(a, ()), x.children[0]), *rest])
    return None


def split_inverses(tensor: Tensor) -> list[Tensor]:
    """The formula with the inverse of a product of square matrices as the product of their inverses, if it has one."""
    found = _split(tensor)
    return [] if found == tensor else [found]


def _split(tensor: Tensor) -> Tensor:
    if isinstance(tensor, Op) and tensor.name == "inv" and isinstance(tensor.args[0], Product):
        matrix = tensor.args[0]
        chain = [labels for _, labels in matrix.factors if labels]
        every = [label for labels in chain for label in labels]
        square = len(set(matrix.dims)) == 1 and all(len(set(labels)) == 2 for labels in chain)
        path = all(every.count(label) == (1 if label in matrix.out else 2) for label in set(every))
        if square and path and len(matrix.out) == len(set(matrix.out)) == 2 and chain and matrix.coefficient != 0:
            parts: list[Part] = [
                (inverse(_split(factor)), labels[::-1]) if labels else (power(factor, -1), ())
                for factor, labels in matrix.factors
            ]
            return product(1 / matrix.coefficient, parts, matrix.out[::-1], dict(enumerate(matrix.dims)))
    return rebuilt(tensor, _split)
