"""Products and sums of formulas, simplified as they are made: the only way to make a Product or a Sum.

Nothing is multiplied out but what a δ makes simpler: Σ_i y_i (δ_ij − p_j) is y_j − (Σ y) p_j, but Σ_i M_ij (x − b)_i
stays.
"""

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from jmc.symbolic.canonical import ranked
from jmc.symbolic.dims import folded, rational_power
from jmc.symbolic.identities import simpler
from jmc.symbolic.tensor import (
    Argument,
    Dim,
    Labels,
    Map,
    Number,
    Op,
    Product,
    Size,
    Sum,
    Tensor,
    exact,
    is_mask,
    is_zero,
)

Part = tuple[Tensor, Labels]
ONE = Fraction(1)
_counter = itertools.count(1000)


def fresh(count: int) -> Labels:
    """Labels that no other formula has."""
    return tuple(itertools.islice(_counter, count))


def number(value: Number | int) -> Tensor:
    """A scalar; what is a short fraction becomes one."""
    return Product((), exact(value), (), (), ())


_OPERATIONS = {"+": lambda a, b: add([a, b]), "-": lambda a, b: add([a, negated(b)]), "*": lambda a, b: times(a, b)}


def full(value: Number | int, shape: Sequence[Dim]) -> Tensor:
    """An array of one number."""
    labels = tuple(range(len(shape)))
    return product(exact(value), (), labels, dict(enumerate(shape)))


def delta(dim: Dim) -> Tensor:
    """The identity matrix."""
    return product(ONE, (), (0, 0), {0: dim})


def size(dim: Dim) -> Tensor:
    """The number of entries along an axis."""
    return folded(dim, lambda word: number(word) if isinstance(word, int) else Size((), word), _OPERATIONS)


def scale(coefficient: Number | int, tensor: Tensor) -> Tensor:
    """``coefficient`` times ``tensor``."""
    return times(number(coefficient), tensor)


def times(*tensors: Tensor) -> Tensor:
    """The product entry by entry of formulas of one shape, or scalars."""
    shape = max((tensor.shape for tensor in tensors), key=len)
    labels = tuple(range(len(shape)))
    parts = [(tensor, labels if tensor.shape else ()) for tensor in tensors]
    return product(ONE, parts, labels, dict(enumerate(shape)))


def permuted(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """Axis k of the result is axis ``axes[k]`` of ``tensor``."""
    return product(ONE, [(tensor, tuple(range(len(axes))))], tuple(axes), dict(enumerate(tensor.shape)))


def transposed(tensor: Tensor) -> Tensor:
    """The last two axes swapped."""
    *batch, i, j = range(len(tensor.shape))
    return permuted(tensor, (*batch, j, i))


def repeated(tensor: Tensor, shape: Sequence[Dim], axes: Sequence[int]) -> Tensor:
    """Axis k of ``tensor`` as axis ``axes[k]`` of an array of this shape, along whose other axes it is repeated."""
    return product(ONE, [(tensor, tuple(axes))], tuple(range(len(shape))), dict(enumerate(shape)))


def product(coefficient: Number, factors: Sequence[Part], out: Sequence[int], dims: Mapping[int, Dim]) -> Tensor:
    """coefficient · Σ Π factor[labels] with these output labels, simplified."""
    sizes = dict(dims)
    coefficient, parts, out = _flat(coefficient, factors, tuple(out), sizes)
    shape = tuple(sizes[label] for label in out)
    if coefficient == 0:
        labels = tuple(range(len(shape)))
        return Product(shape, Fraction(0), (), labels, shape)
    for i, (tensor, labels) in enumerate(parts):
        if isinstance(tensor, Sum) and _worth(tensor, labels, out, coefficient, parts):
            rest = [*parts[:i], *parts[i + 1 :]]
            known = {label: sizes[label] for label in (*out, *(label for _, ls in parts for label in ls))}
            return add([product(coefficient, [*rest, (term, labels)], out, known) for term in tensor.terms])
    sign, parts = _powers(parts)
    coefficient = coefficient * sign
    sizes = {label: sizes[label] for label in (*out, *(label for _, labels in parts for label in labels))}
    found = simpler(parts, out, sizes)
    if found is not None:
        factor, parts, same = found
        parts, out = [(t, _renamed(labels, same)) for t, labels in parts], _renamed(out, same)
        sizes = {label: sizes[label] for label in (*out, *(label for _, labels in parts for label in labels))}
        return product(coefficient * factor, parts, out, sizes)
    return _canonical(coefficient, parts, out, sizes)


def _flat(
    coefficient: Number, factors: Sequence[Part], out: Labels, sizes: dict[int, Dim]
) -> tuple[Number, list[Part], Labels]:
    """Factors that are Products are written out, their labels unified; summed labels of nothing become sizes."""
    same: dict[int, int] = {}

    def root(label: int) -> int:
        while label in same:
            label = same[label]
        return label

    summed = {label for _, labels in factors for label in labels} - set(out)
    parts: list[Part] = []
    todo = list(reversed(factors))
    while todo:
        tensor, labels = todo.pop()
        if not isinstance(tensor, Product):
            parts.append((tensor, labels))
            continue
        coefficient = coefficient * tensor.coefficient
        names: dict[int, int] = {}
        for inner, label in zip(tensor.out, labels, strict=True):
            if inner in names and root(names[inner]) != root(label):
                one, other = root(names[inner]), root(label)
                keep, drop = (one, other) if one in out or other not in out else (other, one)
                same[drop] = keep
            names.setdefault(inner, label)
        for inner in range(len(tensor.dims)):
            if inner not in names:
                (names[inner],) = fresh(1)
                sizes[names[inner]] = tensor.dims[inner]
                summed.add(names[inner])
        todo += [(factor, tuple(names[label] for label in ls)) for factor, ls in reversed(tensor.factors)]
    parts = [(tensor, tuple(root(label) for label in labels)) for tensor, labels in parts]
    out = tuple(root(label) for label in out)
    used = {label for _, labels in parts for label in labels} | set(out)
    for label in summed:
        if root(label) == label and label not in used:
            dim = size(sizes[label])
            parts += dim.factors if isinstance(dim, Product) else ((dim, ()),)
            coefficient = coefficient * getattr(dim, "coefficient", 1)
    return coefficient, parts, out


def _worth(tensor: Sum, labels: Labels, out: Labels, coefficient: Number, parts: Sequence[Part]) -> bool:
    """Whether multiplying out a sum makes a δ vanish, or does no more than change its sign and move its axes."""
    deltas = [(t.out, t.out.count) for t in tensor.terms if isinstance(t, Product)]
    if any(count(label) > 1 and labels[k] not in out for of, count in deltas for k, label in enumerate(of)):
        return True
    moved = coefficient == -1 or labels != out
    return len(parts) == 1 and abs(coefficient) == 1 and moved and set(labels) <= set(out)


def _renamed(labels: Sequence[int], same: Mapping[int, int]) -> Labels:
    return tuple(same.get(label, label) for label in labels)


def _powers(parts: Sequence[Part]) -> tuple[int, list[Part]]:
    """Equal factors with equal labels as one power; also those that differ in sign alone."""
    groups: dict[tuple[str, Labels], tuple[Tensor, Number]] = {}
    sign = 1
    for tensor, labels in parts:
        base, exponent = split_power(tensor)
        key = (base.key, labels)
        alike = any(of == labels and isinstance(groups[k, of][0], Sum) for k, of in groups)
        if isinstance(base, Sum) and key not in groups and alike and exponent.denominator == 1:
            opposite = (negated(base).key, labels)
            if opposite in groups:
                key, sign = opposite, sign * (-1) ** (exponent.numerator % 2)
        before = groups.get(key)
        same = exponent if before is None or (is_mask(base)) else before[1] + exponent
        groups[key] = (base if before is None else before[0], same)  # entries of rows of I are 0 or 1
    found = [(power(base, exponent), labels) for (_, labels), (base, exponent) in groups.items() if exponent != 0]
    return sign, found


def split_power(tensor: Tensor) -> tuple[Tensor, Fraction]:
    """Base and exponent; the exponent of what is no power is 1."""
    if isinstance(tensor, Map) and tensor.function == "power" and isinstance(tensor.number, Fraction):
        return tensor.args[0], tensor.number
    return tensor, ONE


def power(base: Tensor, exponent: Number) -> Tensor:
    """``base`` to a constant power, entry by entry."""
    exponent = exact(exponent)
    if exponent == 1 or (is_mask(base) and exponent > 0):
        return base
    if exponent == 0:
        return full(1, base.shape)
    whole = isinstance(exponent, Fraction) and exponent.denominator == 1
    inner, before = split_power(base)
    if before == 2 and exponent == Fraction(1, 2):
        return Map(base.shape, "abs", (inner,))
    if whole and before != 1:
        return power(inner, before * exponent)
    if isinstance(base, Product) and isinstance(exponent, Fraction):
        summed = {label for _, labels in base.factors for label in labels} - set(base.out)
        value = rational_power(base.coefficient, exponent)
        if whole and not summed and base.coefficient != 0 and value is not None:
            parts = [(power(t, exponent), labels) for t, labels in base.factors]
            if len(set(base.out)) == len(base.out):
                return product(value, parts, base.out, dict(enumerate(base.dims)))
        elif any(isinstance(split_power(t)[0], Size) for t, _ in base.factors) and base.coefficient > 0:
            counts = [t for t, _ in base.factors if isinstance(split_power(t)[0], Size)]  # which are positive
            parts = [part for part in base.factors if not isinstance(split_power(part[0])[0], Size)]
            rest = product(base.coefficient, parts, base.out, dict(enumerate(base.dims)))
            return times(*(power(t, e * exponent) for t, e in map(split_power, counts)), power(rest, exponent))
        elif value is not None and not base.factors and len(set(base.out)) == len(base.out):
            return full(value, base.shape)
        elif value is not None and base.coefficient not in (0, 1):
            rest = product(ONE, base.factors, base.out, dict(enumerate(base.dims)))
            return scale(value, power(rest, exponent))
    return Map(base.shape, "power", (base,), exponent)


def reciprocal(tensor: Tensor) -> Tensor:
    """1/tensor, entry by entry."""
    return power(tensor, -1)


def split(tensor: Tensor) -> tuple[Number, Tensor]:
    """The coefficient and the rest."""
    if isinstance(tensor, Product) and tensor.coefficient != 1:
        return tensor.coefficient, product(ONE, tensor.factors, tensor.out, dict(enumerate(tensor.dims)))
    return ONE, tensor


@lru_cache(4096)
def negated(tensor: Tensor) -> Tensor:
    """−tensor."""
    return add([scale(-1, term) for term in tensor.terms]) if isinstance(tensor, Sum) else scale(-1, tensor)


def add(terms: Sequence[Tensor]) -> Tensor:
    """The sum of formulas of one shape, like terms collected."""
    shape = terms[0].shape
    flat: list[Tensor] = []
    for term in terms:
        flat += term.terms if isinstance(term, Sum) else [term]
    collected: dict[str, tuple[Number, Tensor]] = {}
    for term in flat:
        if is_zero(term):
            continue
        coefficient, rest = split(term)
        sign, key = _signed_key(rest)
        before = collected.get(key)
        if before is None:
            collected[key] = (coefficient, rest)
        else:
            same = _signed_key(before[1])[0]
            collected[key] = (before[0] + coefficient * sign * same, before[1])
    found = [scale(c, rest) for c, rest in collected.values() if c != 0]
    return Sum(shape, tuple(found)) if len(found) > 1 else found[0] if found else full(0, shape)


@lru_cache(4096)
def _signed_key(tensor: Tensor) -> tuple[int, str]:
    """A key that is the same for a formula in which differences are written the other way round, and the sign."""
    if isinstance(tensor, Sum):
        one, other = tensor.key, Sum(tensor.shape, tuple(scale(-1, t) for t in tensor.terms)).key
        return (1, one) if one <= other else (-1, other)
    if isinstance(tensor, Product) and any(isinstance(t, Sum) for t, _ in tensor.factors):
        sign, factors = 1, []
        for factor, labels in tensor.factors:
            if isinstance(factor, Sum) and _signed_key(factor)[0] < 0:
                sign, factor = -sign, Sum(factor.shape, tuple(scale(-1, t) for t in factor.terms))
            factors.append((factor, labels))
        found = _canonical(tensor.coefficient, factors, tensor.out, dict(enumerate(tensor.dims)))
        return sign, found.key
    return 1, tensor.key


def _canonical(coefficient: Number, parts: Sequence[Part], out: Labels, sizes: Mapping[int, Dim]) -> Tensor:
    """The Product with labels 0, 1, … that depend on nothing but what it says."""
    order = ranked(parts, out, sizes, is_symmetric)
    number_of = {label: k for k, label in enumerate(order)}
    factors = []
    for tensor, labels in parts:
        named = tuple(number_of[label] for label in labels)
        factors.append((tensor, tuple(sorted(named)) if len(named) == 2 and is_symmetric(tensor) else named))
    factors.sort(key=lambda part: (part[0].key, part[1]))
    out = _renamed(out, number_of)
    if coefficient == 1 and len(factors) == 1 and factors[0][1] == out == tuple(range(len(out))):
        return factors[0][0]
    dims = tuple(sizes[label] for label in order)
    return Product(tuple(dims[label] for label in out), coefficient, tuple(factors), out, dims)


@lru_cache(4096)
def is_symmetric(tensor: Tensor) -> bool:
    """Whether a matrix is equal to its transpose, by what is known of it."""
    if len(tensor.shape) != 2 or tensor.shape[0] != tensor.shape[1]:
        return False
    if isinstance(tensor, Argument):
        return bool({"symmetric", "psd", "spd", "diagonal"} & tensor.facts)
    if isinstance(tensor, Op):
        flip = tensor.name.startswith("rows") and tensor.name.endswith("|-1")  # all of them, in reverse
        return flip or tensor.name == "covariance" or (tensor.name in ("inv", "expm") and is_symmetric(tensor.args[0]))
    if isinstance(tensor, (Sum, Product)):
        return transposed(tensor) == tensor
    return isinstance(tensor, Map) and all(is_symmetric(arg) for arg in tensor.args)
