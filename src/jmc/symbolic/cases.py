"""Choices by one condition written once: terms with the same condition, and choices within what is chosen by it."""

from collections.abc import Sequence

from jmc.symbolic.algebra import ONE, add, full, negated, power, product, split, times
from jmc.symbolic.factoring import cost
from jmc.symbolic.functions import apply
from jmc.symbolic.identities import INDICATORS
from jmc.symbolic.patterns import positive
from jmc.symbolic.rebuilt import rebuilt
from jmc.symbolic.tensor import Dim, Labels, Map, Product, Sum, Tensor, constant, is_zero

Part = tuple[Tensor, Labels]


def decided(tensor: Tensor) -> Tensor:
    """The formula without choices by a condition where that is known: 1[c] f((a if c, else b)) is (f(a) if c, else 0).

    Only entry by entry: of what is summed each entry may have a condition of its own.
    """
    tensor = rebuilt(tensor, decided)
    if isinstance(tensor, Map) and tensor.function == "where" and _is_condition(tensor.args[0]):
        c, a, b = tensor.args
        return apply("where", c, _under(a, c, True), _under(b, c, False))
    if not isinstance(tensor, Product):
        return tensor
    for condition, labels in tensor.factors:
        alike = [t for t, at in tensor.factors if at == labels and t is not condition]
        if not _is_condition(condition) or len(set(labels)) < len(labels):
            continue
        known = [_under(t, condition, True) for t in alike]
        if known == alike:
            continue
        inside = product(ONE, [(t, labels) for t in known], labels, _dims(tensor))
        rest = [(t, at) for t, at in tensor.factors if at != labels]
        if constant(inside) is not None:
            parts = [(condition, labels), (inside, labels)]
        else:
            parts = [(_where(condition, inside, full(0, inside.shape)), labels)]
        return product(tensor.coefficient, [*parts, *rest], tensor.out, _dims(tensor))
    return tensor


def merged(total: Sum) -> Tensor | None:
    """c f + (a if c, else b) + g as (f + a + g if c, else b + g), where that is shorter."""
    terms = total.terms
    conditions = [t for term in terms for t in _conditions(term)]
    found: list[Tensor] = []
    for condition in dict.fromkeys(conditions):
        cases = [_cases(term, condition) for term in terms]
        if sum(case is not None for case in cases) > 1:
            own = [case for case in cases if case is not None]
            rest = [term for term, case in zip(terms, cases, strict=True) if case is None]
            for more in ([], rest) if rest else ([],):
                a, b = (add([*(case[k] for case in own), *more]) for k in (0, 1))
                one = _where(condition, a, b)
                found.append(one if more else add([one, *rest]))
    best = min(found, key=cost, default=total)
    return best if cost(best) < cost(total) else None


def choice(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """(a if c, else b), numbers that are factors of both in front."""
    shape = condition.shape
    if (known := _clipped(condition, a, b) or _unequal(condition, a, b)) is not None:
        return known
    if is_zero(a) or is_zero(b) or not a.shape == b.shape == shape:
        return apply("where", condition, a, b)
    one, other = split(a)[0], split(b)[0]
    number = one if one == other else -ONE if one < 0 and other < 0 else ONE
    scalars = [part for part in _scalars(a) if part in _scalars(b)]
    if number == 1 and not scalars:
        return apply("where", condition, a, b)
    out, dims = tuple(range(len(shape))), dict(enumerate(shape))
    over = [(power(t, -1), ()) for t, _ in scalars]
    a, b = (product(1 / number, [(t, out), *over], out, dims) for t in (a, b))
    return product(number, [(choice(condition, a, b), out), *scalars], out, dims)


def _clipped(condition: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    """(z if |z| ≤ d, else d sign(z)) as min(max(z, −d), d), for a positive d."""
    if not (isinstance(condition, Map) and condition.function == "le"):
        return None
    (size, most), shape = condition.args, condition.shape
    if not (isinstance(size, Map) and size.function == "abs" and size.shape == shape and positive(most)):
        return None
    (z,) = size.args
    found = apply("minimum", apply("maximum", z, negated(most)), most)
    beyond = times(full(ONE, shape), most, apply("sign", z))
    return found if (a, b) == (z, beyond) else negated(found) if (a, b) == (negated(z), negated(beyond)) else None


def _unequal(condition: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    """(1 if x > y, else 1[x < y]) as 1[x ≠ y]."""
    over = isinstance(condition, Map) and condition.function == "gt" and constant(a) == 1
    under = isinstance(b, Map) and b.function == "lt" and b.children == condition.children
    return apply("ne", *condition.children) if over and under else None


def _scalars(term: Tensor) -> list[Part]:
    return [part for part in term.factors if part[1] == ()] if isinstance(term, Product) else []


def _where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    if isinstance(condition, Map) and condition.function == "not":
        return apply("where", condition.args[0], b, a)
    return apply("where", condition, a, b)


def _is_condition(tensor: Tensor) -> bool:
    return isinstance(tensor, Map) and tensor.function in INDICATORS


def _dims(tensor: Product) -> dict[int, Dim]:
    return dict(enumerate(tensor.dims))


def _parts(term: Tensor) -> Sequence[Tensor]:
    """The factors with all axes of a term, in their order."""
    if isinstance(term, Product) and len(set(term.out)) == len(term.out):
        return [t for t, labels in term.factors if labels == term.out]
    return [term]


def _conditions(term: Tensor) -> list[Tensor]:
    chosen = [t.children[0] if isinstance(t, Map) and t.function == "where" else t for t in _parts(term)]
    return [t for t in chosen if _is_condition(t) and t.shape == term.shape]


def _cases(term: Tensor, condition: Tensor) -> tuple[Tensor, Tensor] | None:
    """The term where a condition holds, and where it does not; None if it does not ask for it."""
    known = {condition, apply("not", condition)}
    if not known & set(_conditions(term)):
        return None
    both = []
    for value in (True, False):
        parts = term.factors if isinstance(term, Product) else ((term, tuple(range(len(term.shape)))),)
        out = term.out if isinstance(term, Product) else tuple(range(len(term.shape)))
        dims = _dims(term) if isinstance(term, Product) else dict(enumerate(term.shape))
        changed = [(_under(t, condition, value) if at == out else t, at) for t, at in parts]
        both.append(product(getattr(term, "coefficient", ONE), changed, out, dims))
    return both[0], both[1]


def _under(tensor: Tensor, condition: Tensor, value: bool) -> Tensor:
    """What a formula is in the entries where a condition of its shape is true, or is not."""
    if tensor.shape != condition.shape:
        return tensor
    if tensor in (condition, apply("not", condition)):
        return full(int(value == (tensor == condition)), tensor.shape)
    if isinstance(tensor, Map):
        args = [_under(arg, condition, value) for arg in tensor.args]
        if args == list(tensor.args):
            return tensor
        return power(args[0], tensor.number) if tensor.function == "power" else apply(tensor.function, *args)
    if isinstance(tensor, Sum):
        return add([_under(term, condition, value) for term in tensor.terms])
    if isinstance(tensor, Product) and len(set(tensor.out)) == len(tensor.out):
        parts = [(_under(t, condition, value) if at == tensor.out else t, at) for t, at in tensor.factors]
        return product(tensor.coefficient, parts, tensor.out, _dims(tensor))
    return tensor
