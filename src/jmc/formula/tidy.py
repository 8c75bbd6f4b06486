"""A formula the way a mathematician would leave it: common factors taken out, multiplied out where that is shorter.

Every step is an equality; of several ways to write the same the one with the fewest parts is taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from jmc.formula.algebra import ONE, add, full, negated, power, product, scale, split, split_power
from jmc.formula.functions import apply
from jmc.formula.rewrites import chosen, split_inverses, straightened
from jmc.formula.tensor import Argument, Labels, Map, Number, Op, Opaque, Product, Size, Sum, Tensor, constant

MOST_TERMS = 64


def tidy(tensor: Tensor) -> Tensor:
    """The shortest way to write it that is found."""
    return _oriented(min((_shortest(one, 6) for one in (tensor, *split_inverses(tensor))), key=cost))


def cost(tensor: Tensor) -> int:
    """How long it is to read."""
    match tensor:
        case Argument() | Size():
            return 2
        case Sum():
            sign = max(len(tensor.shape), 1) if len(tensor.shape) < 3 else 30  # which no matrix notation has
            return sum(map(cost, tensor.terms)) + (len(tensor.terms) - 1) * sign
        case Product():
            own = (tensor.coefficient not in (1, -1)) + max(len(tensor.factors) - 1, 0)
            bare = set(tensor.out) - {label for _, labels in tensor.factors for label in labels}
            labels = [label for _, ls in tensor.factors for label in ls]
            loose = [label for label in labels if label not in tensor.out and labels.count(label) == 1]
            weights = sum(len(ls) == 1 for _, ls in tensor.factors) if len(tensor.out) == 2 and labels else 0
            turned = sum(map(_outer, tensor.children)) if len(tensor.out) == 1 else 0
            return (
                own
                + len(bare)
                + 2 * len(loose)
                + weights
                + 6 * turned
                + sum(cost(factor) for factor, _ in tensor.factors)
            )
        case Map() if tensor.function == "power":
            return 2 + cost(tensor.args[0])
        case Map() | Op() | Opaque():
            return 2 + sum(map(cost, tensor.children))
    return 1


def _outer(tensor: Tensor) -> bool:
    """Whether it is a sum of matrices with an outer product among them, of which a vector makes a number."""
    return isinstance(tensor, Sum) and len(tensor.shape) == 2 and any(_apart(term) for term in tensor.terms)


def _apart(term: Tensor) -> bool:
    """Whether nothing joins the row with the column of a product."""
    if not isinstance(term, Product) or len(set(term.out)) < 2:
        return False
    reached, left = {term.out[0]}, [set(labels) for _, labels in term.factors if len(labels) > 1]
    while joined := [labels for labels in left if labels & reached]:
        reached |= set().union(*joined)
        left = [labels for labels in left if not labels & reached]
    return term.out[1] not in reached


@lru_cache(4096)
def _shortest(tensor: Tensor, depth: int) -> Tensor:
    if not isinstance(tensor, (Sum, Product)) or not _has_sum(tensor):
        return tensor
    if isinstance(tensor, Sum) and (known := _complement_of(tensor)) is not None:
        return known
    if isinstance(tensor, Sum) and (known := chosen(tensor) or straightened(tensor)) is not None:
        return _shortest(known, depth)
    found: list[Tensor] = [tensor]
    multiplied = expanded(tensor)
    if multiplied is not None and multiplied != tensor:
        found.append(multiplied)
    found += _distributed(tensor)
    sums = [one for one in found if isinstance(one, Sum)]
    found += [factored(one, scalars) for one in sums for scalars in (False, True)]
    found += [below for one in sums if (below := over_one(one)) is not None]
    if depth:
        found = [_inside(one, depth) for one in found]
    return min(found, key=cost)


def _distributed(tensor: Tensor) -> list[Tensor]:
    """Σ_k (a + b)_k as the sum of two."""
    if not isinstance(tensor, Product) or len(tensor.factors) != 1 or not isinstance(tensor.children[0], Sum):
        return []
    ((total, labels),) = tensor.factors
    dims = dict(enumerate(tensor.dims))
    return [add([product(tensor.coefficient, [(term, labels)], tensor.out, dims) for term in total.children])]


def _has_sum(tensor: Tensor) -> bool:
    return isinstance(tensor, Sum) or any(isinstance(split_power(child)[0], Sum) for child in tensor.children)


def _inside(tensor: Tensor, depth: int) -> Tensor:
    """The same with shorter parts."""
    if isinstance(tensor, Sum):
        return add([_shortest(term, depth - 1) for term in tensor.terms])
    if isinstance(tensor, Product) and any(isinstance(factor, Sum) for factor, _ in tensor.factors):
        parts = [(_shortest(f, depth - 1), labels) for f, labels in tensor.factors]
        return product(tensor.coefficient, parts, tensor.out, dict(enumerate(tensor.dims)))
    return tensor


def expanded(tensor: Tensor) -> Tensor | None:
    """Multiplied out; None if that has too many terms."""
    terms = _terms(tensor)
    return None if terms is None else add(terms)


def _terms(tensor: Tensor) -> list[Tensor] | None:
    if isinstance(tensor, Sum):
        found: list[Tensor] = []
        for term in tensor.terms:
            more = _terms(term)
            if more is None or len(found) + len(more) > MOST_TERMS:
                return None
            found += more
        return found
    if isinstance(tensor, Map) and tensor.function in ("cosigmoid", "sech2"):
        return [full(1, tensor.shape), scale(-1, _complement(tensor))]
    if not isinstance(tensor, Product):
        return [tensor]
    for k, (factor, labels) in enumerate(tensor.factors):
        base, exponent = split_power(factor)
        several = isinstance(base, Sum) or (isinstance(base, Map) and base.function in ("cosigmoid", "sech2"))
        if several and exponent in (1, 2):
            inner = base.terms if isinstance(base, Sum) else _terms(base) or []
            rest = [*tensor.factors[:k], *tensor.factors[k + 1 :]]
            rest += [(base, labels)] if exponent == 2 else []
            dims = dict(enumerate(tensor.dims))
            terms = [product(tensor.coefficient, [*rest, (term, labels)], tensor.out, dims) for term in inner]
            found = []
            for term in terms:
                more = _terms(term)
                if more is None or len(found) + len(more) > MOST_TERMS:
                    return None
                found += more
            return found
    return [tensor]


def _complement(tensor: Map) -> Tensor:
    """σ of 1 − σ, tanh² of 1 − tanh²."""
    if tensor.function == "cosigmoid":
        return apply("sigmoid", *tensor.args)
    return power(apply("tanh", *tensor.args), 2)


def _complement_of(tensor: Sum) -> Tensor | None:
    """1 − σ and 1 − tanh², which are functions of their own."""
    if len(tensor.terms) != 2:
        return None
    for one, other in (tensor.terms, tensor.terms[::-1]):
        inner, exponent = split_power(negated(other))
        if constant(one) == 1 and isinstance(inner, Map):
            if inner.function == "sigmoid" and exponent == 1:
                return apply("cosigmoid", *inner.args)
            if inner.function == "tanh" and exponent == 2:
                return apply("sech2", *inner.args)
    return None


@dataclass(frozen=True)
class _Occurrence:
    """A factor in a term of a sum: where it stands, and with which labels."""

    term: Product
    index: int
    base: Tensor
    exponent: Fraction
    labels: Labels

    @property
    def pattern(self) -> tuple:
        """Its labels by what they are to the term: positions of its value, or summed."""
        out = self.term.out
        return tuple(tuple(k for k, o in enumerate(out) if o == label) for label in self.labels)


def factored(tensor: Sum, scalars: bool = False) -> Tensor:
    """The sum with common factors taken out, as long as there are any; or only those that are scalars."""
    content = _content(tensor)
    if content != 1:
        rest = add([scale(1 / content, term) for term in tensor.terms])
        return scale(content, factored(rest, scalars) if isinstance(rest, Sum) else rest)
    terms = [_as_product(term) for term in tensor.terms]
    best: list[_Occurrence] = []
    for group in _groups(terms).values():
        if scalars and group[0].labels:
            continue
        if len(group) > 1 and (not best or _score(group) > _score(best)) and _worthwhile(group):
            best = group
    if not best:
        return tensor
    members = [occurrence.term for occurrence in best]
    rest = [term for term in terms if not any(term is member for member in members)]
    out = _taken_out(best)
    if not rest:
        return out
    found = add([out, *map(_plain, rest)])
    return factored(found, scalars) if isinstance(found, Sum) and len(found.terms) < len(terms) else found


def over_one(tensor: Sum) -> Tensor | None:
    """Two fractions that differ in the power of one denominator over the higher power."""
    for group in _groups([_as_product(term) for term in tensor.terms]).values():
        exponents = {o.exponent for o in group}
        each = len(group) == len(tensor.terms) == len(exponents) and not isinstance(group[0].base, Size)
        if each and max(exponents) < 0:
            found = _taken_out(group, min(exponents))
            return found if isinstance(found, Sum) or cost(found) < cost(tensor) else None
    return None


def _score(group: Sequence[_Occurrence]) -> tuple[int, int, int]:
    return len(group), len(group[0].labels), cost(group[0].base)


def _as_product(term: Tensor) -> Product:
    if isinstance(term, Product):
        return term
    labels = tuple(range(len(term.shape)))
    return Product(term.shape, ONE, ((term, labels),), labels, term.shape)


def _plain(term: Product) -> Tensor:
    return product(term.coefficient, term.factors, term.out, dict(enumerate(term.dims)))


def _groups(terms: Sequence[Product]) -> dict[tuple, list[_Occurrence]]:
    """Occurrences of one factor in the same place of several terms, one of each term."""
    found: dict[tuple, list[_Occurrence]] = {}
    for term in terms:
        shape = tuple(term.out.index(label) for label in term.out)
        for index, (factor, labels) in enumerate(term.factors):
            base, exponent = split_power(factor)
            if len(set(labels)) < len(labels):
                continue
            one = _Occurrence(term, index, base, exponent, labels)
            key = (base.key, labels == (), one.pattern, shape, exponent > 0)
            group = found.setdefault(key, [])
            if not any(other.term is term for other in group):
                group.append(one)
    return found


def _worthwhile(group: Sequence[_Occurrence]) -> bool:
    """Not x (x + 3): what is left of each term must be more than a number, if it is an argument that is taken out."""
    return not isinstance(group[0].base, Argument) or all(len(o.term.factors) > 1 or _bare(o.term) for o in group)


def _bare(term: Product) -> bool:
    """Whether it is the same along an axis."""
    return bool(set(term.out) - {label for _, labels in term.factors for label in labels})


def _content(tensor: Sum) -> Fraction:
    """The number that all terms have in front."""
    found = [split(term)[0] for term in tensor.terms]
    if not all(isinstance(c, Fraction) for c in found):
        return ONE
    numerators = [abs(c.numerator) for c in found if isinstance(c, Fraction)]
    denominators = {c.denominator for c in found if isinstance(c, Fraction)}
    if any(constant(term) is not None for term in tensor.terms):  # 3 x² + 3 stays, x/2 + 1/2 does not
        below = set(denominators)
        return Fraction(1, below.pop()) if len(below) == 1 and set(numerators) == {1} else ONE
    sign = -1 if all(c < 0 for c in found) else 1
    return sign * Fraction(math.gcd(*numerators), denominators.pop() if len(denominators) == 1 else 1)


def _taken_out(group: Sequence[_Occurrence], least: Number | None = None) -> Tensor:
    base, labels = group[0].base, group[0].labels
    least = min((o.exponent for o in group), key=abs) if least is None else least
    first = group[0].term
    classes = list(dict.fromkeys(first.out))
    positions = [first.out.index(label) for label in classes]
    kept = [k for k in positions if first.out[k] not in labels or any(o.term.out[k] in _labels_left(o) for o in group)]
    left = [any(o.labels[a] in _labels_left(o) for o in group) for a in range(len(labels))]
    summed = [a for a, label in enumerate(labels) if label not in first.out and left[a]]
    remainders = []
    for o in group:
        rest = [part for k, part in enumerate(o.term.factors) if k != o.index]
        if o.exponent != least:
            rest.append((power(base, o.exponent - least), o.labels))
        out = [*(o.term.out[k] for k in kept), *(o.labels[a] for a in summed)]
        remainders.append(product(o.term.coefficient, rest, out, dict(enumerate(o.term.dims))))
    names = (*(first.out[k] for k in kept), *(labels[a] for a in summed))
    parts = [(power(base, least), labels), (add(remainders), names)]
    return product(ONE, parts, first.out, dict(enumerate(first.dims)))


def _labels_left(o: _Occurrence) -> set[int]:
    """The labels of the other factors of the term."""
    found = {label for k, (_, labels) in enumerate(o.term.factors) if k != o.index for label in labels}
    return found | (set(o.labels) if abs(o.exponent) != 1 else set())


def _oriented(tensor: Tensor) -> Tensor:
    """No minus in front of a difference, and none in front of a sum that has a plus in it."""
    if isinstance(tensor, Sum):
        terms = [_oriented(term) for term in tensor.terms]
        ahead = [term for term in terms if split(term)[0] > 0]
        behind = [term for term in terms if split(term)[0] <= 0]
        return Sum(tensor.shape, tuple(ahead + behind))
    if isinstance(tensor, Product):
        coefficient = tensor.coefficient
        factors = []
        for factor, labels in tensor.factors:
            factor = _oriented(factor)
            alone = sum(isinstance(split_power(other)[0], Sum) for other, _ in tensor.factors) == 1
            if isinstance(factor, Sum) and coefficient < 0 and alone and _turns(factor):
                coefficient, factor = -coefficient, _oriented(negated(factor))
            factors.append((factor, labels))
        return Product(tensor.shape, coefficient, tuple(factors), tensor.out, tensor.dims)
    return tensor


def _turns(total: Sum) -> bool:
    """Whether it reads as well with all signs changed."""
    signs = [split(term)[0] < 0 for term in total.terms]
    return any(signs) and 2 * sum(signs) >= len(signs)
