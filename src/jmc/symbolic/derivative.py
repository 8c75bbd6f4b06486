"""The derivative of a formula with respect to one of its arguments: the chain rule, and what each node knows."""

from dataclasses import replace

from jmc.symbolic.algebra import ONE, add, fresh, power, product, scale, times
from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.operators import JACOBIANS, expanded
from jmc.symbolic.tensor import Argument, Map, Op, Opaque, Product, Size, Sum, Tensor, is_zero


class NoFormula(NotImplementedError):  # noqa: N818 - it reads as what it says
    """What cannot be written as a formula, or whose formula could not be certified."""


def derivative(tensor: Tensor, argument: Argument, known: dict[Tensor, Tensor | None] | None = None) -> Tensor | None:
    """∂tensor/∂argument, of shape ``tensor.shape + argument.shape``; None if it is zero everywhere."""
    known = {} if known is None else known
    if tensor not in known:
        found = _derivative(tensor, argument, known)
        known[tensor] = None if found is None or is_zero(found) else found
    return known[tensor]


def _derivative(tensor: Tensor, x: Argument, known: dict[Tensor, Tensor | None]) -> Tensor | None:
    axes = range(len(tensor.shape))
    new = range(len(axes), len(axes) + len(x.shape))
    dims = dict(enumerate(tensor.shape + x.shape))
    if tensor == x:
        return product(ONE, [], (*axes, *axes), dict(enumerate(tensor.shape)))
    match tensor:
        case Argument() | Size():
            return None
        case Sum():
            terms = [found for term in tensor.terms if (found := derivative(term, x, known)) is not None]
            return add(terms) if terms else None
        case Product():
            return _of_product(tensor, x, known)
        case Map():
            terms = []
            for k, arg in enumerate(tensor.args):
                slope = _slope(tensor, k)
                inner = None if slope is None else derivative(arg, x, known)
                if inner is not None and slope is not None:
                    at = tuple(axes) if arg.shape else ()
                    parts = [(slope, tuple(axes) if slope.shape else ()), (inner, (*at, *new))]
                    terms.append(product(ONE, parts, (*axes, *new), dims))
            return add(terms) if terms else None
        case Opaque():
            return _of_opaque(tensor, x, known)
        case Op() if tensor.name == "covariance":
            return derivative(expanded(tensor), x, known)
        case Op() if not tensor.args or tensor.name in ("onehot", "argmax", "argmin"):
            return None
        case Op():
            (arg,) = tensor.args
            inner = derivative(arg, x, known)
            if inner is None:
                return None
            if tensor.name not in JACOBIANS:
                raise NoFormula(f"the derivative of {tensor.name} is not known as a formula")
            middle = fresh(len(arg.shape))
            parts = [(JACOBIANS[tensor.name](tensor), (*axes, *middle)), (inner, (*middle, *new))]
            return product(ONE, parts, (*axes, *new), dims | dict(zip(middle, arg.shape, strict=True)))
    raise TypeError(f"`tensor` must be a formula, but got {type(tensor).__name__}")


def _of_product(tensor: Product, x: Argument, known: dict[Tensor, Tensor | None]) -> Tensor | None:
    new = fresh(len(x.shape))
    dims = dict(enumerate(tensor.dims)) | dict(zip(new, x.shape, strict=True))
    terms = []
    for k, (factor, labels) in enumerate(tensor.factors):
        inner = derivative(factor, x, known)
        if inner is not None:
            rest = [*tensor.factors[:k], *tensor.factors[k + 1 :]]
            terms.append(product(tensor.coefficient, [*rest, (inner, (*labels, *new))], (*tensor.out, *new), dims))
    return add(terms) if terms else None


def _of_opaque(tensor: Opaque, x: Argument, known: dict[Tensor, Tensor | None]) -> Tensor | None:
    axes, new, terms = fresh(len(tensor.shape)), fresh(len(x.shape)), []
    for k, arg in enumerate(tensor.args):
        inner = derivative(arg, x, known) if tensor.smooth[k] else None
        if inner is not None:
            middle = fresh(len(arg.shape))
            slope = replace(tensor, shape=tensor.shape + arg.shape, by=(*tensor.by, k))
            parts = [(slope, (*axes, *middle)), (inner, (*middle, *new))]
            dims = zip((*axes, *middle, *new), slope.shape + x.shape, strict=True)
            terms.append(product(ONE, parts, (*axes, *new), dict(dims)))
    return add(terms) if terms else None


def _slope(tensor: Map, k: int) -> Tensor | None:
    """∂f/∂argument k, entry by entry."""
    if tensor.function == "power":
        return scale(tensor.number, power(tensor.args[0], tensor.number - 1))
    return FUNCTIONS[tensor.function].slopes[k](*tensor.args)


__all__ = ["NoFormula", "derivative", "times"]
