"""Common factors of a sum taken out, and how long a formula is to read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from jmc.symbolic.algebra import ONE, add, power, product, scale, split, split_power
from jmc.symbolic.tensor import Argument, Labels, Map, Number, Op, Opaque, Product, Size, Sum, Tensor, constant


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
        first = group[0]
        if (scalars and first.labels) or sum(map(len, _axes_left(group))) > max(2, len(set(first.term.out))):
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
    """Fractions that differ in the power of one denominator over the highest, if their numerators are shorter then."""
    for group in _groups([_as_product(term) for term in tensor.terms]).values():
        exponents = {o.exponent for o in group}
        each = len(group) == len(tensor.terms) == len(exponents) and not isinstance(group[0].base, Size)
        if each and max(exponents) < 0:
            found = _taken_out(group, min(exponents))
            parts = found.children if isinstance(found, Product) else ()
            several = any(isinstance(part, Sum) and len(part.terms) >= len(tensor.terms) for part in parts)
            return None if several else found
    return None


def over_square(tensor: Sum, wanted: Callable[[Tensor], bool]) -> Tensor:
    """The sum with 1/s² in front if every term has it, for an s that is wanted."""
    for group in _groups([_as_product(term) for term in tensor.terms]).values():
        if len(group) == len(tensor.terms) and all(o.exponent == -2 for o in group) and wanted(group[0].base):
            return _taken_out(group)
    return tensor


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
    kept, summed = _axes_left(group)
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


def _axes_left(group: Sequence[_Occurrence]) -> tuple[list[int], list[int]]:
    """The axes of what is left of each term: which of the value, and which of the factor that are summed."""
    first, labels = group[0].term, group[0].labels
    classes = list(dict.fromkeys(first.out))
    positions = [first.out.index(label) for label in classes]
    kept = [k for k in positions if first.out[k] not in labels or any(o.term.out[k] in _labels_left(o) for o in group)]
    left = [any(o.labels[a] in _labels_left(o) for o in group) for a in range(len(labels))]
    summed = [a for a, label in enumerate(labels) if label not in first.out and left[a]]
    return kept, summed


def _labels_left(o: _Occurrence) -> set[int]:
    """The labels of the other factors of the term."""
    found = {label for k, (_, labels) in enumerate(o.term.factors) if k != o.index for label in labels}
    return found | (set(o.labels) if abs(o.exponent) != 1 else set())
