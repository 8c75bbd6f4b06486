"""A formula in matrix notation as it is printed: with names for its parts, in a layout, and as a module of code."""

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jmc.formula.code import Coder, sizes_in
from jmc.formula.derivative import NoFormula
from jmc.formula.inputs import Inputs
from jmc.formula.matrix import matrix
from jmc.formula.naming import named
from jmc.formula.notation import Node, transpose
from jmc.formula.printer import Printer
from jmc.formula.style import Style
from jmc.formula.tensor import Tensor


@dataclass(frozen=True)
class InMatrices:
    """A formula in matrix notation, its parts with names, and the layout."""

    node: Node
    parts: tuple[tuple[str, Node], ...]
    flat: tuple[Node, tuple[tuple[str, Node], ...]]
    given: Inputs

    def formula(self, style: Style) -> str:
        """The formula with names for its parts."""
        return Printer(style)(self.node)

    def where(self, style: Style) -> dict[str, str]:
        """The parts."""
        return {style.name(name): Printer(style)(part) for name, part in self.parts}

    @property
    def size(self) -> int:
        return self.node.weight + sum(part.weight for _, part in self.parts)

    def left(self, f: str, wrt: str, order: int, style: Style) -> str:
        """∂f/∂x."""
        d, x = style.partial, style.name(wrt)
        above = f"{d}{style.name(f)}" if order == 1 else f"{style.raised(d.strip(), str(order))}{style.name(f)}"
        return style.fraction(above, f"{d}{x}" if order == 1 else f"{d}{style.raised(x, str(order))}")

    def code(self, name: str, target: str) -> str:
        coder = Coder(target)
        node, parts = self.flat
        lines = [f"    {part} = {coder.code(inner)}" for part, inner in parts]
        lines.append(f"    return {coder.code(node)}")
        found: dict[Any, None] = {}
        for inner in (node, *(inner for _, inner in parts)):
            sizes_in(inner, found)
        return assembled(name, target, coder.helpers, list(found), lines, self.given)


def assembled(
    name: str,
    target: str,
    helpers: Sequence[str] | dict[str, None],
    sizes: Sequence[Any],
    lines: Sequence[str],
    given: Inputs,
) -> str:
    """A module of code: imports, what the function calls, the function."""
    module = {"jax": "import jax.numpy as jnp", "numpy": "import numpy as np"}[target]
    imports = [module, *(h.rstrip() for h in helpers if h.startswith("from "))]
    blocks = ["\n".join(imports), *(h.rstrip() for h in helpers if not h.startswith("from "))]
    head = [f"def {name}({', '.join(safe(a.name) for a in given.arguments)}):"]
    head += [f"    {size} = {_size_of(size, given)}" for size in sizes]
    return "\n\n\n".join([*blocks, "\n".join([*head, *lines])]) + "\n"


def _size_of(size: str, given: Inputs) -> str:
    for argument in given.arguments:
        if size in argument.shape:
            return f"{safe(argument.name)}.shape[{argument.shape.index(size)}]"
    raise NoFormula(f"the size {size} is of no argument")


def safe(name: str) -> str:
    """A name that Python takes."""
    return f"{name}_" if keyword.iskeyword(name) else name


def in_matrices(found: Tensor, value: Tensor, given: Inputs, layout: str, order: int) -> InMatrices:
    node = matrix(found)
    taken = [*(a.name for a in given.arguments), *given.sizes.symbols]
    flat = named(node, taken)
    turned = (layout == "denominator" and bool(value.shape)) or (
        layout == "numerator" and not value.shape and order == 1 and bool(found.shape)
    )
    if turned:
        inner, parts = named(transpose(node), taken)
    else:
        inner, parts = flat
    return InMatrices(inner, tuple(parts), (flat[0], tuple(flat[1])), given)
