"""A formula the way a mathematician would leave it: common factors taken out, multiplied out where that is shorter.

Every step is an equality; of several ways to write the same the one with the fewest parts is taken.
"""

from functools import lru_cache

from jmc.symbolic.algebra import add, full, negated, power, product, scale, split, split_power
from jmc.symbolic.cases import choice, decided, merged
from jmc.symbolic.factoring import cost, factored, over_one
from jmc.symbolic.functions import apply
from jmc.symbolic.rewrites import chosen, split_inverses, straightened
from jmc.symbolic.tensor import Map, Product, Sum, Tensor, constant

MOST_TERMS = 64


def tidy(tensor: Tensor) -> Tensor:
    """The shortest way to write it that is found."""
    tensor = decided(tensor)
    return _oriented(min((_shortest(one, 6) for one in (tensor, *split_inverses(tensor))), key=cost))


@lru_cache(4096)
def _shortest(tensor: Tensor, depth: int) -> Tensor:
    if isinstance(tensor, Map) and tensor.function == "where" and depth:
        return choice(tensor.args[0], *(_shortest(arg, depth - 1) for arg in tensor.args[1:]))
    if not isinstance(tensor, (Sum, Product)) or not _has_sum(tensor):
        return tensor
    if isinstance(tensor, Sum) and (known := _complement_of(tensor)) is not None:
        return known
    if isinstance(tensor, Sum) and (known := chosen(tensor) or straightened(tensor) or merged(tensor)) is not None:
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
