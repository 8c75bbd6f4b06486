"""Index notation: what every formula has, entry by entry, with sums over indices and δ; its code is made of einsums."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from jmc.symbolic.algebra import split_power
from jmc.symbolic.cancellation import PRINTED
from jmc.symbolic.code import Coder, sizes_in
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.dims import shifted
from jmc.symbolic.einsums import Einsums
from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.notation import Node
from jmc.symbolic.printer import Printer, called
from jmc.symbolic.rebuilt import rebuilt, written_out
from jmc.symbolic.style import LATEX, Style, number
from jmc.symbolic.tensor import Argument, Map, Op, Opaque, Product, Size, Sum, Tensor, moves
from jmc.symbolic.written import Shapes, assembled, reshaped

SUM, PRODUCT, ATOM = 1, 2, 3
LETTERS = [letter + prime for prime in ("", "'", "''") for letter in "ijklabcdpqrstuvwxyz"]
NAMES = {"softmax": "PQRS", "inv": "KMGH", "map": "ZUVH", "sum": "EDGB"}


class Part(NamedTuple):
    """A part of a formula that has a name, and its matrix notation if it has one."""

    name: str
    original: Tensor
    tensor: Tensor
    node: Node | None


@dataclass(frozen=True)
class Written:
    """A formula in index notation: the entry of the derivative at these letters, and the parts with names."""

    tensor: Tensor
    out: tuple[str, ...]
    into: tuple[str, ...]
    parts: tuple[Part, ...]
    given: Inputs
    shape: tuple[Any, ...]

    def formula(self, style: Style) -> str:
        """The entry at these letters."""
        letters = (*self.out, *self.into)
        return _Writer(letters, self.given, style).write(self.tensor, letters)[0]

    def where(self, style: Style) -> dict[str, str]:
        """The parts with names; of those without matrix notation, their entries."""
        found = {}
        for name, _, tensor, node in self.parts:
            letters = [x for x in LETTERS if x not in self.given.taken][: len(tensor.shape)]
            if node is not None:
                found[style.name(name)] = Printer(style)(node)
            else:
                found[index(style, name, letters)] = _Writer(letters, self.given, style).write(tensor, letters)[0]
        return found

    note = ""

    @property
    def size(self) -> int:
        return _operators(self.tensor) + sum(_operators(part.tensor) for part in self.parts)

    def left(self, f: str, wrt: str, order: int, style: Style) -> str:
        """∂f_i/∂x_j."""
        each = len(self.into) // order
        below = [index(style, wrt, self.into[k * each : (k + 1) * each]) for k in range(order)]
        power = style.partial.strip() if order == 1 else style.raised(style.partial.strip(), str(order))
        above = f"{power}{' ' if style is LATEX else ''}{index(style, f, self.out)}"
        return style.fraction(above, "".join(f"{style.partial}{b}" for b in below))

    def code(self, name: str, target: str, order: int) -> str:  # noqa: ARG002 - as in matrix notation
        """A module with a function that computes it."""
        coder = Coder(target)
        sizes: dict[Any, None] = {}
        lines = []
        for known, _, tensor, node in self.parts:
            code = Einsums(coder, sizes).code(tensor) if node is None else coder.code(node)
            lines.append(f"    {known} = {code}")
            if node is not None:
                sizes_in(node, sizes)
        value = Einsums(coder, sizes).code(self.tensor)
        lines.append(f"    return {reshaped(value, self.shape, coder.np, sizes)}")
        return assembled(name, target, coder.helpers, list(sizes), lines, self.given)


def indexed(tensor: Tensor, shapes: Shapes, given: Inputs) -> Written:
    """The formula in index notation; its first axes are those of the function's value."""
    taken = given.taken
    free = [letter for letter in LETTERS if letter not in taken]
    if len(tensor.shape) > len(free):
        raise NoFormula("the derivative has more axes than there are letters")
    letters = tuple(free[: len(tensor.shape)])
    tensor = written_out(tensor)
    parts: list[Part] = []
    tensor = _hoisted(tensor, parts, taken)
    rows = len(shapes[1])
    return Written(tensor, letters[:rows], letters[rows:], tuple(parts), given, shapes[2])


def _hoisted(tensor: Tensor, parts: list[Part], taken: set[str]) -> Tensor:
    """Operations on whole arrays, and what functions are applied to, by names."""

    def change(inner: Tensor) -> Tensor:
        if isinstance(inner, Op) and inner.name in PRINTED:
            return rebuilt(inner, change)
        if isinstance(inner, Opaque) or (isinstance(inner, Op) and inner.name == "expm slope"):
            args = (a if isinstance(a, Argument) else _called(a, "map", parts, taken) for a in inner.args)
            return replace(inner, args=tuple(args))
        if isinstance(inner, Op) and inner.args:
            return _called(inner, "softmax" if "softmax" in inner.name else "inv", parts, taken)
        if isinstance(inner, Map) and inner.function != "power":
            args = [
                _called(a, "map", parts, taken) if _operators(a) and a.shape and moves(a) else a for a in inner.args
            ]
            return Map(inner.shape, inner.function, tuple(args), inner.number)
        return rebuilt(inner, change)

    return change(tensor)


def _called(tensor: Tensor, kind: str, parts: list[Part], taken: set[str]) -> Tensor:
    """A name for a part: of its matrix notation, or else of its entries."""
    for part in parts:
        if part.original == tensor:
            return Argument(tensor.shape, part.name, 90)
    found = tensor
    node = _in_matrices(tensor)
    if node is None and (kind == "softmax" or not (tensor.shape or isinstance(tensor, Op))):
        return tensor
    if node is None and isinstance(tensor, Op):
        found = Op(tensor.shape, tensor.name, tuple(_called(arg, "sum", parts, taken) for arg in tensor.args))
        node = _in_matrices(found)
    elif node is None:
        found = _hoisted(tensor, parts, taken)
    letters = NAMES[kind] if len(tensor.shape) == 2 else NAMES[kind].lower()
    used = taken | {part.name for part in parts}
    free = [x for x in [*letters, *(f"{letters[0]}{k}" for k in range(1, 30))] if x not in used]
    parts.append(Part(free[0], tensor, found, node))
    return Argument(tensor.shape, free[0], 90)


def _in_matrices(tensor: Tensor) -> Node | None:
    try:
        return matrix(tensor)
    except NotMatrix:
        return None


def index(style: Style, name: str, letters: Sequence[str], shown: str = "") -> str:
    """A name with indices."""
    shown = shown or style.name(name)
    if not letters:
        return shown
    return style.sub.format(style.bracket.format(shown) if "_" in shown else shown, "".join(letters))


def _operators(tensor: Tensor) -> int:
    match tensor:
        case Sum():
            return len(tensor.terms) - 1 + sum(map(_operators, tensor.terms))
        case Product():
            summed = len(set(range(len(tensor.dims))) - set(tensor.out))
            own = max(len(tensor.factors) - 1, 0) + (tensor.coefficient not in (1, -1)) + summed
            return own + sum(_operators(f) for f, _ in tensor.factors)
        case Map() | Op() | Opaque():
            return 1 + sum(map(_operators, tensor.children))
    return 0


class _Writer:
    """Writes entries of formulas at letters."""

    def __init__(self, used: Sequence[str], given: Inputs, style: Style):
        self.used = {*used, *given.taken}
        self.style = style

    def write(self, tensor: Tensor, letters: Sequence[str]) -> tuple[str, int]:
        """The entry of ``tensor`` at ``letters``, and how strongly it holds together."""
        style = self.style
        match tensor:
            case Argument():
                return index(style, tensor.name, letters), ATOM
            case Size():
                return style.name(tensor.name), ATOM
            case Sum():
                return self._sum(tensor, letters), SUM
            case Product():
                return self._product(tensor, letters)
            case Map():
                return self._map(tensor, letters)
            case Op() if tensor.name == "iota":
                return letters[0], ATOM
            case Op() if tensor.name.startswith("basis"):
                start = tensor.name[6:]
                at = shifted(int(start) if start.isdigit() else start, 1)
                return style.delta.format(f"{letters[0]}{style.size(at)}"), ATOM
            case Op() if tensor.name.startswith("tri"):
                k = tensor.name[4:].replace("-", f"{style.minus} ")
                shown = f"{letters[0]} {k if k[0] == style.minus else f'+ {k}'}" if k != "0" else letters[0]
                return self._said("ge", (shown, letters[1])), ATOM
            case Op() if tensor.name == "halved":
                return index(style, "Phi", letters), ATOM
            case Op() if tensor.name.startswith("rows"):
                _, start, step = tensor.name.split("|")
                at = f"{step.replace('1', '') if step in ('1', '-1') else step}{letters[0]}"
                at = at if start == "0" else f"({at} + {start})"
                return style.delta.format(f"{at}{letters[1]}".replace("-", style.minus)), ATOM
            case Op() if tensor.name == "onehot":
                named = self.write(tensor.args[0], letters[:-1])[0]
                return self._said("eq", (named, letters[-1])), ATOM
            case Opaque() | Op(name="expm slope"):
                by = tensor.by if isinstance(tensor, Opaque) else (0,)
                name = called(style, tensor.name.removesuffix(" slope"), by, len(tensor.args))
                shown = style.call.format(name, ", ".join(self._whole(arg) for arg in tensor.args))
                return index(style, shown, letters, shown), ATOM
            case Op() if tensor.name == "log_softmax slope":
                p = self._at(tensor.args[0], letters[1:], PRODUCT)
                return f"{style.delta.format(''.join(letters))} {style.minus} {p}", SUM
            case Op() if tensor.name in PRINTED:
                first, second = (self._at(arg, letters, PRODUCT) for arg in (tensor.args[0], tensor.args[-1]))
                shown = PRINTED[tensor.name][style.kind == "latex"].format(first, second)
                return shown.replace("𝟏", "1").replace(r"\mathbf{1}", "1"), SUM
            case Op():
                (arg,) = tensor.args
                free = [x for x in LETTERS if x not in self.used]
                inner = [*letters, free[0]][: len(arg.shape)]
                name = style.sub.format(style.function(tensor.name), inner[-1])
                return style.call.format(name, self.write(arg, inner)[0]), ATOM
        raise TypeError(f"`tensor` must be a formula, but got {type(tensor).__name__}")

    def _whole(self, tensor: Tensor) -> str:
        """An operand of a function of whole arrays."""
        node = _in_matrices(tensor)
        return self.write(tensor, LETTERS[: len(tensor.shape)])[0] if node is None else Printer(self.style)(node)

    def _said(self, function: str, args: Sequence[str]) -> str:
        known = FUNCTIONS[function]
        return (known.text if self.style.kind == "text" else known.latex).format(*args)

    def _at(self, tensor: Tensor, letters: Sequence[str], level: int) -> str:
        shown, own = self.write(tensor, letters)
        return shown if own >= level else self.style.bracket.format(shown)

    def _sum(self, tensor: Sum, letters: Sequence[str]) -> str:
        minus, shown = self.style.minus, ""
        for term in tensor.terms:
            part = self._at(term, letters, PRODUCT)
            taken = f" {minus} {part[len(minus) :]}" if part.startswith(minus) else f" + {part}"
            shown = shown + taken if shown else part
        return shown

    def _product(self, tensor: Product, letters: Sequence[str]) -> tuple[str, int]:
        style = self.style
        names: dict[int, str] = {}
        front: list[str] = []
        for label, letter in zip(tensor.out, letters, strict=True):
            if label in names:
                front.append(style.delta.format(names[label] + letter))
            names.setdefault(label, letter)
        free = [x for x in LETTERS if x not in self.used and x not in letters]
        summed = [label for label in range(len(tensor.dims)) if label not in names]
        names |= dict(zip(summed, free, strict=False))
        before, self.used = self.used, self.used | set(names.values())
        top, under, below = [], [], []
        for factor, labels in tensor.factors:
            base, exponent = split_power(factor)
            shown = self._raised(base, [names[label] for label in labels], abs(exponent))
            inside = any(label in summed for label in labels)
            ((top if inside else front) if exponent > 0 else (under if inside else below)).append(shown)
        self.used = before
        size = abs(tensor.coefficient)
        if isinstance(size, Fraction):
            above = [str(size.numerator)] * (size.numerator != 1)
            below = [str(size.denominator)] * (size.denominator != 1) + below
        else:
            above = [number(size, style)]
        sign = style.minus if tensor.coefficient < 0 else ""
        ahead = style.times.join(above + front)
        if not summed:
            shown = style.fraction(ahead or "1", style.times.join(below)) if below else ahead or "1"
            return sign + shown, ATOM if len(above + front + below) < 2 and not sign else PRODUCT
        if below:
            number_ahead = style.fraction(style.times.join(above) or "1", style.times.join(below))
            bracketed = f"({number_ahead})" if style.kind == "text" else number_ahead
            ahead = style.times.join([bracketed, *front])
        sigma = style.total.format("".join(names[label] for label in summed))
        inner = style.times.join(top) or "1"
        inner = style.fraction(inner, style.times.join(under)) if under else inner
        return f"{sign}{ahead}{style.times if ahead else ''}{sigma} {inner}", PRODUCT

    def _raised(self, base: Tensor, letters: Sequence[str], exponent: Fraction) -> str:
        style = self.style
        if exponent == 1:
            return self._at(base, letters, ATOM)
        if exponent == Fraction(1, 2):
            inner = self.write(base, letters)[0] if style.kind == "latex" else self._at(base, letters, ATOM)
            return style.root.format(inner)
        inner = self._at(base, letters, ATOM)
        return style.raised(style.bracket.format(inner) if isinstance(base, Map) else inner, number(exponent))

    def _map(self, tensor: Map, letters: Sequence[str]) -> tuple[str, int]:
        style = self.style
        if tensor.function == "power":
            shown = self._raised(tensor.args[0], letters, abs(Fraction(tensor.number)))
            return (style.fraction("1", shown), PRODUCT) if tensor.number < 0 else (shown, ATOM)
        function = FUNCTIONS[tensor.function]
        pattern = function.text if style.kind == "text" else function.latex
        args = [self.write(arg, letters if arg.shape else ())[0] for arg in tensor.args]
        if "{0}" not in pattern:
            return style.call.format(pattern, ", ".join(args)), ATOM
        return pattern.format(*args), SUM if " − " in function.text or " + " in function.text else ATOM
