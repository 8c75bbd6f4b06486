"""Matrices whose entries are tied to each other: what is free in them, and derivatives by that.

The gradient by a symmetric matrix is the symmetric G with df = tr(G dS) for every symmetric dS; by a diagonal matrix it
has a number for each number on the diagonal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmc.symbolic.algebra import ONE, add, product, scale, transposed
from jmc.symbolic.tensor import Argument, Tensor


@dataclass(frozen=True)
class Tied:
    """A kind of matrix.

    Attributes:
        free: of such a matrix what is free in it.
        matrix: the matrix of it, defined for any array of that shape.
        derivative: of the derivative by all entries, which are the last two axes, the one by what is free.
        entries: the same of numbers.
        said: what the derivative is, with {0} for the matrix.
    """

    free: Callable[[Any], Any]
    matrix: Callable[[Any], Any]
    derivative: Callable[[Tensor], Tensor]
    entries: Callable[[Any], Any]
    said: str


def _symmetric_part(tensor: Tensor) -> Tensor:
    return scale(Fraction(1, 2), add([tensor, transposed(tensor)]))


def _diagonal(tensor: Tensor) -> Tensor:
    *lead, i = range(len(tensor.shape) - 1)
    dims = dict(enumerate(tensor.shape[:-1]))
    return product(ONE, [(tensor, (*lead, i, i))], (*lead, i), dims)


SYMMETRIC = Tied(
    free=lambda S: S,
    matrix=lambda S: (S + jnp.swapaxes(S, -1, -2)) / 2,
    derivative=_symmetric_part,
    entries=lambda J: (J + np.swapaxes(J, -1, -2)) / 2,
    said="{0} is symmetric: this is the symmetric G with df = tr(G d{0}), not the derivative by one triangle of {0}",
)
DIAGONAL = Tied(
    free=jnp.diagonal,
    matrix=jnp.diag,
    derivative=_diagonal,
    entries=lambda J: np.diagonal(J, axis1=-2, axis2=-1),
    said="{0} is diagonal: the derivative is by the numbers on its diagonal",
)


def tied(argument: Argument) -> Tied | None:
    """How the entries of an argument are tied, None if each is free."""
    if "diagonal" in argument.facts:
        return DIAGONAL
    return SYMMETRIC if {"symmetric", "psd", "spd"} & argument.facts else None
