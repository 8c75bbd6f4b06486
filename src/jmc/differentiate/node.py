"""Values and steps of a tape."""

from dataclasses import dataclass, field
from typing import Any

from jmc.differentiate.operation import Value
from jmc.linear.term import Term


@dataclass(eq=False)
class Node:
    """A value of the program: its array, and whether it depends on the argument (``active``)."""

    value: Value | None
    active: bool = False
    uses: int = 0
    aval: Any = None


@dataclass(eq=False)
class Step:
    """How results move with operands: ``terms[result][operand]``, or an opaque function."""

    ins: list[Node]
    outs: list[Node]
    terms: dict[tuple[int, int], tuple[Term, ...]] = field(default_factory=dict)
    opaque: Any = None
    name: str = ""
    line: str = ""
