"""Index expressions: arrays as formulas, each axis with a size or the symbol of one.

A Product is what a Term is in ``jmc.linear``, with formulas for factors::

    P[o…] = coefficient · Σ Π factor[labels]

Labels are integers. One that is not among ``out`` is summed; one that is there twice is a δ; one that is in ``out`` and
in no factor is an axis of ones. So a matrix product, a transpose, a diagonal, a broadcast and a sum are one node.
Formulas are immutable, and equal if they are written the same; Products have canonical labels for it.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from jmc.symbolic.dims import Dim

Number = Fraction | float
Labels = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A formula whose value is an array of this shape."""

    shape: tuple[Dim, ...]

    @cached_property
    def key(self) -> str:
        """What tells formulas apart; it grows no longer than a digest."""
        text = self._text()
        return text if len(text) < 80 else f"~{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"

    @cached_property
    def weight(self) -> int:
        """The number of nodes in it."""
        return 1 + sum(child.weight for child in self.children)

    @property
    def children(self) -> tuple["Tensor", ...]:
        return ()

    def _text(self) -> str:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and self.shape == other.shape and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.key, self.shape))


@dataclass(frozen=True, eq=False)
class Argument(Tensor):
    """An argument of the function, by name; ``position`` orders arguments as the signature does."""

    name: str
    position: int = 0
    facts: frozenset[str] = frozenset()

    def _text(self) -> str:
        return f"@{self.position:02d}{self.name}{''.join(sorted(self.facts))}"


@dataclass(frozen=True, eq=False)
class Size(Tensor):
    """The size of an axis, as a number."""

    name: str

    def _text(self) -> str:
        return f"#{self.name}"


@dataclass(frozen=True, eq=False)
class Sum(Tensor):
    """A sum of formulas of one shape, in the order in which they are to be read."""

    terms: tuple[Tensor, ...]

    @property
    def children(self) -> tuple[Tensor, ...]:
        return self.terms

    def _text(self) -> str:
        return "(" + "+".join(sorted(term.key for term in self.terms)) + ")"


@dataclass(frozen=True, eq=False)
class Product(Tensor):
    """coefficient · Σ Π factor[labels]; ``dims`` has the size of each label, 0, 1, …"""

    coefficient: Number
    factors: tuple[tuple[Tensor, Labels], ...]
    out: Labels
    dims: tuple[Dim, ...]

    @property
    def children(self) -> tuple[Tensor, ...]:
        return tuple(factor for factor, _ in self.factors)

    @cached_property
    def body(self) -> str:
        """The key without the coefficient."""
        factors = "".join(f"{factor.key}{_written(labels)}" for factor, labels in self.factors)
        return f"[{factors}>{_written(self.out)}{self.dims}]"

    def _text(self) -> str:
        return f"{self.coefficient}{self.body}"


@dataclass(frozen=True, eq=False)
class Map(Tensor):
    """A function applied entry by entry to formulas of this shape; ``number`` is its constant, as of a power."""

    function: str
    args: tuple[Tensor, ...]
    number: Number = Fraction(0)

    @property
    def children(self) -> tuple[Tensor, ...]:
        return self.args

    def _text(self) -> str:
        return f"{self.function}{self.number or ''}({','.join(arg.key for arg in self.args)})"


@dataclass(frozen=True, eq=False)
class Op(Tensor):
    """An operation on whole arrays, by name: an inverse, a softmax over the last axis."""

    name: str
    args: tuple[Tensor, ...]

    @property
    def children(self) -> tuple[Tensor, ...]:
        return self.args

    def _text(self) -> str:
        return f"{self.name}{{{','.join(arg.key for arg in self.args)}}}{self.shape}"


@dataclass(frozen=True, eq=False)
class Opaque(Tensor):
    """A function of which nothing is known but its name, or its derivative ``by`` some of its arguments, in order.

    ``smooth`` says of each argument whether there is such a derivative.
    """

    name: str
    args: tuple[Tensor, ...]
    smooth: tuple[bool, ...]
    by: tuple[int, ...] = ()

    @property
    def children(self) -> tuple[Tensor, ...]:
        return self.args

    def _text(self) -> str:
        return f"?{self.name}{self.by}({','.join(arg.key for arg in self.args)})"


def _written(labels: Sequence[int]) -> str:
    return ".".join(map(str, labels)) + ","


def exact(value: Number | int) -> Number:
    """A float as the short fraction that it is, if it is one."""
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    if not math.isfinite(value):
        return value
    near = Fraction(value).limit_denominator(1000)
    return near if float(near) == value else value


def moves(tensor: Tensor) -> bool:
    """Whether it depends on an argument."""
    return isinstance(tensor, Argument) or any(map(moves, tensor.children))


def is_zero(tensor: Tensor) -> bool:
    """Whether every entry is 0 whatever the arguments."""
    return isinstance(tensor, Product) and tensor.coefficient == 0


def constant(tensor: Tensor) -> Number | None:
    """The number that every entry is, if it is one."""
    if isinstance(tensor, Product) and not tensor.factors and len(set(tensor.out)) == len(tensor.out):
        return tensor.coefficient
    return None


def plain(tensor: Tensor) -> bool:
    """Whether no label of it is on two axes or on none: it is no δ, and nothing is repeated."""
    if not isinstance(tensor, Product):
        return True
    used = {label for _, labels in tensor.factors for label in labels}
    return len(set(tensor.out)) == len(tensor.out) and set(tensor.out) <= used


def is_mask(tensor: Tensor) -> bool:
    """Whether it is made of entries of I: numbers that are 0 or 1 whatever the arguments."""
    return isinstance(tensor, Op) and tensor.name.partition("|")[0] in ("basis", "rows", "tri", "onehot")
