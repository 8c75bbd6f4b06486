"""A derivative as a formula: as text, LaTeX, MathML and code, with its steps and its certificate."""

import dataclasses
import html
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jmc.checking.oracles import double_precision
from jmc.symbolic.certificate import Certificate, Sample, bound, load
from jmc.symbolic.cost import cost
from jmc.symbolic.indices import Written
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.opaque import Bound
from jmc.symbolic.page import mathml, page
from jmc.symbolic.printer import Printer
from jmc.symbolic.steps import Steps, steps
from jmc.symbolic.style import LATEX, SUB, TEXT
from jmc.symbolic.tensor import Argument, Tensor
from jmc.symbolic.tied import DIAGONAL, tied
from jmc.symbolic.written import InMatrices

NOTES = {
    "gaps(": "gaps(λ)_ij = 1/(λ_j − λ_i), and 0 for i = j",
    "expm_slope(": "expm′(A)_ijkl = ∫₀¹ expm(s A)_ik expm((1 − s) A)_lj ds",
}
"""What the code calls, and what it is."""


@dataclass(frozen=True, eq=False)
class Derivation:
    """A derivative as a formula; it exists only if the formula was certified.

    Attributes:
        f: the name of the function.
        wrt: the name of the argument.
        order: of the derivative.
        layout: the table that the matrix is: "gradient" has the shape of the argument (of a scalar function).
        notation: "matrix" or "index".
        conditions: where the formula holds, and what is taken at kinks.
        certificate: what the formula was held to.
    """

    f: str
    wrt: str
    order: int
    layout: str
    notation: str
    conditions: tuple[str, ...]
    certificate: Certificate
    _written: Written | InMatrices
    _codes: dict[str, str]
    _read: tuple[Tensor, Argument, Inputs, Sample]
    _flat: Callable[..., Any]

    @property
    def formula(self) -> str:
        """The formula alone, as one line of Unicode."""
        return self._written.formula(TEXT)

    @property
    def where(self) -> dict[str, str]:
        """What the names in the formula stand for, in the order in which they are needed."""
        return self._written.where(TEXT)

    @property
    def _by(self) -> str:
        return f"diag({self.wrt})" if tied(self._read[1]) is DIAGONAL else self.wrt

    @property
    def left(self) -> str:
        """What the formula is equal to: ∂f/∂x."""
        return self._written.left(self.f, self._by, self.order, TEXT)

    @property
    def text(self) -> str:
        """The equation, the names in it and its conditions, in Unicode."""
        lines = [f"{self.left} = {self.formula}"]
        for k, (name, meaning) in enumerate(self.where.items()):
            lines.append(f"  {'where' if k == 0 else '     '} {name} = {meaning}")
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  for {condition}" for condition in self.conditions]
        return "\n".join(lines)

    @property
    def notes(self) -> list[str]:
        """What must be known to read the formula."""
        _, argument, given, _ = self._read
        kind = tied(argument)
        free = f"the entries of {self.wrt} are free: that it is orthogonal is no constraint"
        said = kind.said.format(self.wrt) if kind else free if "orthogonal" in argument.facts else ""
        used = {part.name: part for part, _ in self.function.needed.values()}
        met = [note for called, note in NOTES.items() if called in self.python]
        halved = (
            "Φ is 1 below the diagonal, 1/2 on it and 0 above"
            if " / 2" in self.python and "tri(" in self.python
            else ""
        )
        short = "axes of size 1 are left out" if any(1 in a.shape for a in given.arguments) else ""
        return [
            note
            for note in (self._written.note, *met, halved, short, said, *(part.said for part in used.values()))
            if note
        ]

    @property
    def equation_latex(self) -> str:
        """The equation alone, in LaTeX without delimiters."""
        left = self._written.left(self.f, self._by, self.order, LATEX)
        return f"{left} = {self._written.formula(LATEX)}"

    @property
    def where_latex(self) -> list[str]:
        """The names in the formula with their meanings, each an equation in LaTeX."""
        return [f"{name} = {meaning}" for name, meaning in self._written.where(LATEX).items()]

    @property
    def latex(self) -> str:
        """The equation and the names in it, in LaTeX without delimiters."""
        where = r",\; ".join(self.where_latex)
        return self.equation_latex + (rf" \quad\text{{where }} {where}" if where else "")

    @property
    def primal_latex(self) -> str:
        """The function as a formula, in LaTeX; empty if it has no matrix notation."""
        value, *_ = self._read
        try:
            return Printer(LATEX)(matrix(value))
        except NotMatrix:
            return ""

    @property
    def mathml(self) -> str:
        """``latex`` as presentation MathML, which browsers show."""
        return str(mathml(self.latex, block=True))

    def html(self, title: str = "") -> str:
        """A self-contained page with the formula, its derivation, its code and its certificate."""
        return page(title or f"{self.left}", [(title or self.left, "", self)])

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def _repr_html_(self) -> str:
        held = "".join(f"<div>for {html.escape(condition)}</div>" for condition in self.conditions)
        return f"<div>{self.mathml}{held}</div>"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "f": self.f,
            "wrt": self.wrt,
            "order": self.order,
            "layout": self.layout,
            "notation": self.notation,
            "formula": self.formula,
            "where": self.where,
            "text": self.text,
            "latex": self.latex,
            "python": self.python,
            "numpy": self.numpy,
            "conditions": list(self.conditions),
            "notes": self.notes,
            "size": self.size,
            "structure": self.structure,
            "cost": self.cost,
            "certificate": dataclasses.asdict(self.certificate),
        }

    @property
    def python(self) -> str:
        """A standalone function for JAX that computes the formula."""
        return self._codes["jax"]

    @property
    def numpy(self) -> str:
        """The same for NumPy."""
        return self._codes["numpy"]

    @cached_property
    def function(self) -> Bound:
        """The function that ``python`` defines, its parts with names taken from ``f``."""
        return bound(load(self.python, function_name(self.f, self.order)), self._flat, self._read[2])

    def parts(self, *args: Any) -> dict[str, Any]:
        """What ``python`` takes by name at these arguments: parts of ``f`` without a formula, and their Jacobians."""
        return self.function.values(*args)

    @cached_property
    def steps(self) -> Steps:
        """Intermediate variables, local Jacobians and the chain rule, each compared with AD; of the first order.

        Raises ValueError for a higher order.
        """
        if self.order != 1:
            raise ValueError(f"`steps` are those of a first derivative, but the order is {self.order}")
        value, argument, given, sample = self._read
        with double_precision():
            parts = self.parts(*sample[1])
        return steps(self.f, value, argument, given, sample, self.function, parts)

    @property
    def _argnum(self) -> int:
        _, argument, given, _ = self._read
        return [a.name for a in given.arguments].index(argument.name)

    @cached_property
    def structure(self) -> str:
        """The structure of the derivative as a linear map, "diagonal(n)", its sizes as symbols; "" beyond order 2."""
        from jmc.differentiate.jacobian import hessian, jacobian  # not needed by most, and long to import

        if self.order > 2:
            return ""
        *_, (sizes, arrays) = self._read
        transform = jacobian if self.order == 1 else hessian
        with double_precision():
            name = transform(self._flat, self._argnum)(*arrays).structure
        pairs = itertools.combinations(sizes, 2)
        symbols = {str(sizes[a] * sizes[b]): f"{a}·{b}" for a, b in pairs} | {str(size): s for s, size in sizes.items()}
        below = {size.translate(SUB): f"_{symbol}" for size, symbol in symbols.items()}
        name = re.sub(r"(?<!rank )\b\d+\b", lambda found: symbols.get(found[0], found[0]), name)
        return re.sub(r"[₀-₉]+", lambda found: below.get(found[0], found[0]), name)

    @cached_property
    def cost(self) -> str:
        """The arithmetic operations of ``python``, as a polynomial in the sizes; "" if they cannot be told."""
        return "" if self.function.needed else cost(self.function, self._read[2])

    @property
    def size(self) -> int:
        """The number of operators in the formula, the parts with names included."""
        return self._written.size

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def function_name(name: str, order: int) -> str:
    return f"d{name}" if order == 1 else f"d{order}{name}"
