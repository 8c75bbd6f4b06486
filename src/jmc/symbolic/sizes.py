"""Sizes as symbols: a function is traced twice, at two sets of primes, and what changes is read as a symbol."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from jmc.symbolic.algebra import add, number, power, size, times
from jmc.symbolic.dims import made, value
from jmc.symbolic.tensor import Dim, Map, Tensor, exact

# Of a symbol the sizes in the two traces, and one more; what is made of four symbols differs from each other, too.
PRIMES = (
    (3, 5, 7, 2, 11, 13, 17, 19, 23),
    (7, 3, 2, 11, 5, 17, 13, 23, 19),
    (5, 7, 3, 11, 2, 17, 13, 23, 19),
)
_EXPONENTS = (Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2), Fraction(2), Fraction(-2))


@dataclass(frozen=True)
class Sizes:
    """The symbols in order, each with its sizes in the two traces."""

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.symbols) > len(PRIMES[0]):
            raise ValueError(f"`shapes` must have at most {len(PRIMES[0])} symbols, but got {len(self.symbols)}")

    def at(self, which: int) -> dict[str, int]:
        """The size of each symbol in one of the traces."""
        return dict(zip(self.symbols, PRIMES[which], strict=False))

    def shape(self, dims: Sequence[Dim], which: int) -> tuple[int, ...]:
        """The shape in one of the traces."""
        known = self.at(which)
        return tuple(value(dim, known) for dim in dims)

    @cached_property
    def _made(self) -> dict[tuple[int, int], str]:
        return {(value(dim, self.at(0)), value(dim, self.at(1))): dim for dim in reversed(made(self.symbols))}

    def dim(self, one: int, other: int) -> Dim | None:
        """The axis that has these sizes in the two traces."""
        if one == other:
            return one
        return self._made.get((one, other))

    def number(self, one: float, other: float) -> Tensor | None:
        """The number that was this in the two traces: itself, or what sizes make of it."""
        if one == other or (one != one and other != other):
            return number(exact(one))
        if not (math.isfinite(one) and math.isfinite(other)):
            return None
        pairs = list(zip(self.symbols, *PRIMES[:2], strict=False))
        for k in (1, 2):
            for chosen in itertools.combinations(pairs, k):
                for exponents in itertools.product(_EXPONENTS, repeat=k):
                    raised = list(zip(chosen, exponents, strict=True))
                    here = math.prod(float(a) ** float(e) for (_, a, _), e in raised)
                    there = math.prod(float(b) ** float(e) for (_, _, b), e in raised)
                    if (c := _common(one / here, other / there)) is not None:
                        powers = [power(size(p[0]), e) for p, e in raised]
                        return times(number(c), *powers)
        for s, a, b in pairs:
            if (c := _common(one / math.log(a), other / math.log(b))) is not None:
                return times(number(c), Map((), "log", (size(s),)))
        for (s, a, b), shift, sign, k in itertools.product(pairs, (-1, 1, -2), (1, -1), (1, 2)):
            if (c := _common(one / (k * a + shift) ** sign, other / (k * b + shift) ** sign)) is not None:
                return times(number(c), power(add([times(number(k), size(s)), number(shift)]), sign))
        return None


def _common(one: float, other: float) -> Fraction | None:
    if not np.isclose(one, other, rtol=1e-12, atol=0):
        return None
    found = Fraction(one).limit_denominator(1000)
    return found if np.isclose(float(found), one, rtol=1e-12) else None
