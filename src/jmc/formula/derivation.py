"""`jmc.derive`: a function in, its derivative out as a formula, as code, and with a certificate that it is right."""

import dataclasses
import html
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax

from jmc.checking.oracles import double_precision
from jmc.differentiate.jacobian import hessian, jacobian
from jmc.formula.algebra import full
from jmc.formula.certificate import Certificate, Sample, certify, load
from jmc.formula.conditions import conditions
from jmc.formula.cost import cost
from jmc.formula.derivative import NoFormula, derivative
from jmc.formula.indices import Written, indexed
from jmc.formula.inputs import Inputs, inputs
from jmc.formula.matrix import NotMatrix, matrix
from jmc.formula.page import mathml, page
from jmc.formula.printer import Printer
from jmc.formula.read import Reader
from jmc.formula.steps import Steps, steps
from jmc.formula.style import LATEX, SUB, TEXT
from jmc.formula.tensor import Argument, Tensor
from jmc.formula.tidy import tidy
from jmc.formula.written import InMatrices, in_matrices

LAYOUTS = ("numerator", "denominator", "gradient")


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
    def left(self) -> str:
        """What the formula is equal to: ∂f/∂x."""
        return self._written.left(self.f, self.wrt, self.order, TEXT)

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
        _, argument, *_ = self._read
        tied = {"symmetric", "spd", "psd", "diagonal", "orthogonal"} & argument.facts
        free = f"the entries of {self.wrt} are free: that it is {min(tied)} is no constraint" if tied else ""
        return [note for note in (self._written.note, free) if note]

    @property
    def equation_latex(self) -> str:
        """The equation alone, in LaTeX without delimiters."""
        left = self._written.left(self.f, self.wrt, self.order, LATEX)
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
    def function(self) -> Callable[..., jax.Array]:
        """The function that ``python`` defines."""
        return load(self.python, _function_name(self.f, self.order))

    @cached_property
    def steps(self) -> Steps:
        """Intermediate variables, local Jacobians and the chain rule, each compared with AD; of the first order.

        Raises ValueError for a higher order.
        """
        if self.order != 1:
            raise ValueError(f"`steps` are those of a first derivative, but the order is {self.order}")
        value, argument, given, sample = self._read
        return steps(self.f, value, argument, given, sample, self.function)

    @cached_property
    def structure(self) -> str:
        """The structure of the derivative as a linear map, "diagonal(n)", its sizes as symbols; "" beyond order 2."""
        if self.order > 2:
            return ""
        _, argument, given, (sizes, arrays) = self._read
        transform = jacobian if self.order == 1 else hessian
        with double_precision():
            name = transform(self._flat, given.arguments.index(argument))(*arrays).structure
        pairs = itertools.combinations(sizes, 2)
        symbols = {str(sizes[a] * sizes[b]): f"{a}·{b}" for a, b in pairs} | {str(size): s for s, size in sizes.items()}
        below = {size.translate(SUB): f"_{symbol}" for size, symbol in symbols.items()}
        name = re.sub(r"(?<!rank )\b\d+\b", lambda found: symbols.get(found[0], found[0]), name)
        return re.sub(r"[₀-₉]+", lambda found: below.get(found[0], found[0]), name)

    @cached_property
    def cost(self) -> str:
        """The arithmetic operations of ``python``, as a polynomial in the sizes; "" if they cannot be told."""
        return cost(self.function, self._read[2])

    @property
    def size(self) -> int:
        """The number of operators in the formula, the parts with names included."""
        return self._written.size

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def derive(
    f: Callable[..., Any],
    wrt: str | Sequence[str] | None = None,
    order: int = 1,
    *,
    layout: str | None = None,
    notation: str | None = None,
) -> Callable[..., Any]:
    """The derivative of ``f`` as a formula: ``derive(f, "x")(shape, …)`` is a :class:`Derivation`.

    Args:
        f: a JAX function of arrays, or nests of them, that returns an array.
        wrt: the name of the argument, the first one if None; ``"params.W1"`` in a nest; several give several.
        order: of the derivative, 1 or more.
        layout: "numerator" (∂y_i/∂x_j in row i), "denominator" (its transpose), or "gradient": the shape of the
            argument, for a function that returns a scalar. By default "gradient" for those, "numerator" for others.
        notation: "matrix" or "index"; by default matrix notation where there is one.

    Returns:
        A function of a shape for each argument of ``f``, which may also be given by name: a tuple of symbols and sizes,
        ``("m", "n")``; a text with facts, ``"n, n symmetric"``; or an array, of which only the shape counts.

    Raises:
        NoFormula: something has no formula; the message names the operation and its line.
        NotCertified: the formula did not agree with the derivative.
        TypeError, ValueError: an argument or a shape is not what it must be.
    """
    if not callable(f):
        raise TypeError(f"`f` must be callable, but got {type(f).__name__}")
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be a whole number of at least 1, but got {order!r}")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}, but got {layout!r}")
    if notation not in (None, "matrix", "index"):
        raise ValueError(f"`notation` must be matrix or index, but got {notation!r}")

    def at(*shapes: Any, **named: Any) -> Any:
        given = inputs(f, shapes, named)
        if isinstance(wrt, str) or wrt is None:
            return _derived(f, given, wrt, order, layout, notation)
        return tuple(_derived(f, given, one, order, layout, notation) for one in wrt)

    return at


def _derived(
    f: Callable[..., Any], given: Inputs, wrt: str | None, order: int, layout: str | None, notation: str | None
) -> Derivation:
    argument = given.find(given.arguments[0].name if wrt is None else wrt)
    flat = given.flat(f)
    name = getattr(f, "__name__", "f").replace("<lambda>", "f")
    with double_precision():
        value = read(flat, given)
        found = value
        for _ in range(order):
            found = derivative(found, argument) or full(0, found.shape + argument.shape)
        found = tidy(found)
        layout = layout or ("numerator" if value.shape else "gradient")
        try:
            if notation == "index":
                raise NotMatrix
            written: Written | InMatrices = in_matrices(found, value, argument, given, layout, order)
        except NotMatrix:
            if notation == "matrix":
                raise NoFormula("the derivative has no matrix notation; index notation has it") from None
            written = indexed(found, value.shape, given)
    function = _function_name(name, order)
    codes = {target: written.code(function, target, order) for target in ("jax", "numpy")}
    certificate, sample = certify(flat, given, argument, order, codes, function)
    return Derivation(
        f=name,
        wrt=argument.name,
        order=order,
        layout=layout,
        notation="matrix" if isinstance(written, InMatrices) else "index",
        conditions=conditions(value),
        certificate=certificate,
        _written=written,
        _codes=codes,
        _read=(value, argument, given, sample),
        _flat=flat,
    )


def read(flat: Callable[..., Any], given: Inputs) -> Tensor:
    """The value of a function of arrays as a formula."""
    (one, out), (other, _) = (jax.make_jaxpr(flat, return_shape=True)(*given.structs(which)) for which in (0, 1))
    if not isinstance(out, jax.ShapeDtypeStruct):
        raise TypeError(f"`f` must return one array, but returns a {type(out).__name__}")
    arguments = [_without_units(a) for a in given.arguments]
    (found,) = Reader(given.sizes).closed(one, other, arguments)
    return found


def _without_units(argument: Argument) -> Tensor:
    if 1 in argument.shape:
        raise NoFormula(f"an axis of size 1 has no formula: leave it out of `{argument.name}`")
    return argument


def _function_name(name: str, order: int) -> str:
    return f"d{name}" if order == 1 else f"d{order}{name}"
