"""Sizes of axes: numbers, symbols, and what programs make of them, "n - 1" or "m * n", which is read left to right."""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

Dim = int | str
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def folded(dim: Dim, leaf: Callable[[Dim], Any], operations: Mapping[str, Callable[[Any, Any], Any]]) -> Any:
    """What the size is if ``leaf`` says it of numbers and symbols, and ``operations`` of what is made of them."""
    first, *rest = (int(word) if word.isdigit() else word for word in str(dim).split())
    total = leaf(first)
    for sign, word in zip(rest[::2], rest[1::2], strict=True):
        total = operations[str(sign)](total, leaf(word))
    return total


def value(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size as a number."""
    return folded(dim, lambda word: word if isinstance(word, int) else sizes[word], OPERATIONS)


def symbols(dim: Dim) -> list[str]:
    """The symbols in it."""
    return [word for word in str(dim).split() if word.isidentifier()]


def shifted(dim: Dim, by: int) -> Dim:
    """``dim + by``."""
    if isinstance(dim, int):
        return dim + by
    words = dim.split()
    if len(words) > 2 and words[-2] in "+-" and words[-1].isdigit():
        by += int(words[-1]) * (1 if words[-2] == "+" else -1)
        words = words[:-2]
    stem = " ".join(words)
    return stem if by == 0 else f"{stem} {'+' if by > 0 else '-'} {abs(by)}"


def made(names: Sequence[str]) -> list[str]:
    """What is made of symbols, the simplest first."""
    pairs = list(itertools.combinations(names, 2))
    found = [*names, *(f"{a} * {b}" for a, b in pairs), *(f"{a} - {k}" for a in names for k in range(1, 6))]
    found += [f"{a} + {k}" for a in names for k in range(1, 6)] + [
        f"{a} + {b}{c}" for a, b in pairs for c in ("", " - 1")
    ]
    found += [f"{k} * {a}" for a in names for k in (2, 3, 4)] + [f"{a} * {a}" for a in names]
    found += [f"{a} - {b}" for a, b in itertools.permutations(names, 2)]
    found += [f"2 * {a} {sign} 1" for a in names for sign in "-+"]
    return found + [" * ".join(three) for three in itertools.combinations(names, 3)]


def rational_power(value: Fraction | float, exponent: Fraction) -> Fraction | float | None:
    """The power, if it is a fraction, or a whole power of a number that is none."""
    if isinstance(value, float) and exponent.denominator == 1 and 0 < abs(value) < math.inf:
        try:
            return value**exponent.numerator or None
        except OverflowError:
            return None
    if not isinstance(value, Fraction) or value == 0 or (value < 0 and exponent.denominator != 1):
        return None
    if exponent.denominator == 1:
        return value**exponent.numerator
    if exponent.denominator == 2:
        over, under = math.isqrt(value.numerator), math.isqrt(value.denominator)
        return Fraction(over, under) ** exponent.numerator if Fraction(over, under) ** 2 == value else None
    return None
