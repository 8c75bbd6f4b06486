"""Formulas with their parts changed."""

from dataclasses import replace
from typing import Any

from jmc.symbolic.algebra import add, product
from jmc.symbolic.operators import expanded
from jmc.symbolic.tensor import Map, Op, Opaque, Product, Sum, Tensor


def rebuilt(tensor: Tensor, change: Any) -> Tensor:
    """The formula with each part changed."""
    match tensor:
        case Sum():
            return add([change(term) for term in tensor.terms])
        case Product():
            parts = [(change(factor), labels) for factor, labels in tensor.factors]
            return product(tensor.coefficient, parts, tensor.out, dict(enumerate(tensor.dims)))
        case Map():
            return Map(tensor.shape, tensor.function, tuple(map(change, tensor.args)), tensor.number)
        case Op() | Opaque():
            return replace(tensor, args=tuple(map(change, tensor.args)))
    return tensor


def written_out(tensor: Tensor, most: int = 0) -> Tensor:
    """The formula without diag(p) − p pᵀ as an operation of its own, but where it has at most this many axes."""
    if isinstance(tensor, Op) and tensor.name == "covariance" and len(tensor.shape) > most:
        return written_out(expanded(tensor), most)
    return rebuilt(tensor, lambda part: written_out(part, most))
