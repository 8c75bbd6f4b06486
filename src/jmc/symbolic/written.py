"""A formula in matrix notation as it is printed: with names for its parts, in a layout, and as a module of code."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jmc.symbolic.code import Coder, sizes_in
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.dims import symbols
from jmc.symbolic.factoring import cost
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.kronecker import kronecker
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.naming import named
from jmc.symbolic.notation import Node, power_turned, transpose
from jmc.symbolic.printer import Printer
from jmc.symbolic.style import TEXT, Style
from jmc.symbolic.tensor import Dim, Tensor
from jmc.symbolic.tidy import expanded

Shape = tuple[Dim, ...]
Shapes = tuple[Shape, Shape, Shape]
"""Of what it is differentiated by, of the value, and of the derivative; the last with axes of size 1."""


@dataclass(frozen=True)
class InMatrices:
    """A formula in matrix notation, its parts with names, and the layout."""

    node: Node
    parts: tuple[tuple[str, Node], ...]
    flat: tuple[Node, tuple[tuple[str, Node], ...]]
    given: Inputs
    shapes: Shapes
    kronecker: bool

    def formula(self, style: Style) -> str:
        """The formula with names for its parts."""
        return Printer(style)(self.node)

    def where(self, style: Style) -> dict[str, str]:
        """The parts."""
        found = {style.name(name): Printer(style)(part) for name, part in self.parts}
        if self.kronecker and "commutation" in _operations(self.node):
            found[style.commutation] = (
                r"\text{the commutation matrix, } \mathbf{K} \operatorname{vec}(A) = \operatorname{vec}(A^{\top})"
                if style.kind == "latex"
                else "the commutation matrix, 𝐊 vec(A) = vec(Aᵀ)"
            )
        return found

    @property
    def note(self) -> str:
        """What must be known to read it."""
        return (
            "vec stacks the rows"
            if self.kronecker and "vec" in self.left("f", "x", 1, TEXT) + self.formula(TEXT)
            else ""
        )

    @property
    def size(self) -> int:
        return self.node.weight + sum(part.weight for _, part in self.parts)

    def left(self, f: str, wrt: str, order: int, style: Style) -> str:
        """∂f/∂x."""
        d, x, y = style.partial, style.name(wrt), style.name(f)
        if self.kronecker:
            x, y = (
                style.vec.format(n) if len(shape) == 2 else n for n, shape in zip((x, y), self.shapes[:2], strict=True)
            )
        above = f"{d}{y}" if order == 1 else f"{style.raised(d.strip(), str(order))}{y}"
        return style.fraction(above, f"{d}{x}" if order == 1 else f"{d}{style.raised(x, str(order))}")

    def code(self, name: str, target: str, order: int) -> str:  # noqa: ARG002 - as in index notation
        """A module with a function that computes it."""
        node, parts = self.flat
        coder = Coder(target, dict(parts))
        lines = [f"    {part} = {coder.code(inner)}" for part, inner in parts]
        found: dict[Any, None] = {}
        value = coder.code(node)
        lines.append(f"    return {reshaped(value, self.shapes[2], coder.np, found, self.kronecker)}")
        for inner in (node, *(inner for _, inner in parts)):
            sizes_in(inner, found)
        return assembled(name, target, coder.helpers, list(found), lines, self.given)


def reshaped(value: str, shape: Shape, np: str, sizes: dict[Any, None], always: bool = False) -> str:
    """Code with axes of size 1."""
    if not always and 1 not in shape:
        return value
    sizes.update((name, None) for dim in shape for name in symbols(dim))
    return f"{np}.reshape({value}, ({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}))"


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
    pattern = "|".join(rf"(?<![\w.])(?:d\d*)?{part}(?:_\d+)*\b" for part in given.parts)
    used = dict.fromkeys(re.findall(pattern, "\n".join(lines))) if pattern else {}
    taken = [*(safe(a.name) for a in given.arguments), *(["*", *sorted(used)] if used else [])]
    head = [f"def {name}({', '.join(taken)}):"]
    head += [f"    {size} = {_size_of(size, given)}" for size in sizes]
    for a in given.arguments:
        if 1 in a.shape:
            head.append(
                f"    {safe(a.name)} = {safe(a.name)}.squeeze({tuple(k for k, d in enumerate(a.shape) if d == 1)})"
            )
    return "\n\n\n".join([*blocks, "\n".join([*head, *lines])]) + "\n"


def _size_of(size: str, given: Inputs) -> str:
    for argument in given.arguments:
        if size in argument.shape:
            return f"{safe(argument.name)}.shape[{argument.shape.index(size)}]"
    raise NoFormula(f"the size {size} is of no argument")


def safe(name: str) -> str:
    """A name that Python takes."""
    return f"{name}_" if keyword.iskeyword(name) else name


def in_matrices(found: Tensor, shapes: Shapes, given: Inputs, layout: str, order: int) -> InMatrices:
    """A derivative in matrix notation. Raises NotMatrix."""
    by, of, _ = shapes
    many = len(found.shape) > 2
    if of and order > 1:
        raise NotMatrix
    rows = len(of) or len(by) * (order - 1)
    try:
        node = kronecker(found, rows) if many else matrix(found)
    except NotMatrix:  # a product of sums may be no Kronecker product where each of its terms is one
        terms = expanded(found) if many else None
        if terms is None or cost(terms) > 2 * cost(found):
            raise
        node = kronecker(terms, rows)
    taken = list(given.taken)
    flat = named(node, taken)
    turned = (layout == "denominator" and bool(of)) or (
        layout == "numerator" and not of and order == 1 and bool(found.shape)
    )
    inner, parts = named(transpose(node), taken) if turned else flat
    return InMatrices(power_turned(inner), tuple(parts), (flat[0], tuple(flat[1])), given, shapes, many)


def _operations(node: Node) -> set[str]:
    return {node.op}.union(*map(_operations, node.args)) if node.args else {node.op}
