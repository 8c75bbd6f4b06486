"""An equation: what stands on its left side, and a formula in matrix or index notation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jmc.symbolic.code import Coder
from jmc.symbolic.einsums import Einsums
from jmc.symbolic.factoring import cost
from jmc.symbolic.indices import Written, index, indexed
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.naming import named
from jmc.symbolic.style import LATEX, TEXT, Style
from jmc.symbolic.tensor import Argument, Tensor
from jmc.symbolic.tidy import tidy
from jmc.symbolic.written import InMatrices, in_matrices

LONG = 200  # a closed form that is longer than this is written as its code has it


@dataclass(frozen=True, eq=False)
class Equation:
    """``left(style)`` = a formula, whose value has the shape of ``tensor``."""

    name: str
    left: Callable[[Style], str]
    written: Written | InMatrices
    tensor: Tensor
    cotangent: str = ""

    @property
    def formula(self) -> str:
        """The right side, as one line of Unicode."""
        return self.written.formula(TEXT)

    @property
    def where(self) -> dict[str, str]:
        """What the names in it stand for."""
        return self.written.where(TEXT)

    @property
    def text(self) -> str:
        """The equation and the names in it, in Unicode."""
        lines = [f"{self.left(TEXT)} = {self.formula}"]
        for k, (name, meaning) in enumerate(self.where.items()):
            lines.append(f"  {'     ' if k else 'where'} {name} = {meaning}")
        return "\n".join(lines)

    @property
    def aligned(self) -> str:
        """The same in LaTeX, to be aligned with others."""
        where = r",\; ".join(f"{name} = {meaning}" for name, meaning in self.written.where(LATEX).items())
        line = f"{self.left(LATEX)} &= {self.written.formula(LATEX)}"
        return line + (rf" \quad\text{{where }} {where}" if where else "")

    @property
    def latex(self) -> str:
        """The same in LaTeX, without delimiters."""
        return self.aligned.replace("&=", "=", 1)

    @property
    def size(self) -> int:
        """The number of operators in it, the parts with names included."""
        return self.written.size

    def value(self, space: Mapping[str, Any]) -> np.ndarray:
        """The number or array that it is where arguments, sizes and functions with names have these values."""
        coder = Coder("numpy")
        sizes: dict[Any, None] = {}
        lines = []
        if isinstance(self.written, InMatrices):
            node, parts = self.written.flat
            lines = [f"{name} = {coder.code(part)}" for name, part in parts]
            code = coder.code(node)
        else:
            for name, _, tensor, node in self.written.parts:
                lines.append(f"{name} = {Einsums(coder, sizes).code(tensor) if node is None else coder.code(node)}")
            code = Einsums(coder, sizes).code(self.written.tensor)
        if isinstance(self.written, InMatrices) and self.written.kronecker:
            code = f"({code}).reshape({', '.join(map(str, self.tensor.shape))})"
        known = {"np": np, **space}
        with np.errstate(all="ignore"):
            for helper in coder.helpers:
                exec(helper, known)
            exec("\n".join([*lines, f"value_ = {code}"]), known)
        return np.asarray(known["value_"])


def value_of(tensor: Tensor, name: str, given: Inputs) -> Equation:
    """What a function computes."""
    shapes = ((), tensor.shape, tensor.shape)
    try:
        node, parts = named(matrix(tensor), list(given.taken))
        flat = (node, tuple(parts))
        written: Written | InMatrices = InMatrices(node, flat[1], flat, given, shapes, False)
        indices: tuple[str, ...] = ()
    except NotMatrix:
        written = indexed(tensor, shapes, given)
        indices = written.out
    return Equation(name, lambda style: index(style, name, indices), written, tensor)


def derivative_of(
    tensor: Tensor, value: Tensor, name: str, argument: Argument, given: Inputs, order: int, cotangent: str = ""
) -> Equation:
    """A derivative; with the name of a cotangent, its product with the derivative."""
    found = tidy(tensor) if cost(tensor) < LONG else tensor
    shapes = argument.shape, () if cotangent else value.shape, found.shape
    layout = "numerator" if shapes[1] else "gradient"
    try:
        written: Written | InMatrices = in_matrices(found, shapes, given, layout, order)
    except NotMatrix:
        written = indexed(found, shapes, given)

    def left(style: Style) -> str:
        shown = written.left(name, argument.name, order, style)
        front = f"{style.transpose.format(cotangent) if len(value.shape) == 1 else cotangent}{style.times}"
        return front + shown if cotangent else shown

    return Equation(name, left, written, found, cotangent)
