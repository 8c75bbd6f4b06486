"""Matrix notation written out, in either style."""

import re
from collections.abc import Sequence
from fractions import Fraction

from jmc.symbolic.cancellation import PRINTED
from jmc.symbolic.dims import Dim, shifted
from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.notation import UNIT, Node
from jmc.symbolic.operators import SIDES
from jmc.symbolic.style import SUB, TEXT, Style, above_and_below, number

SUM, PRODUCT, ATOM = 1, 2, 3
OPERATORS = {
    "softmax": ("softmax({0})", r"\operatorname{{softmax}}\left({0}\right)"),
    "log_softmax": ("ln softmax({0})", r"\ln\operatorname{{softmax}}\left({0}\right)"),
    "logsumexp": ("logsumexp({0})", r"\operatorname{{logsumexp}}\left({0}\right)"),
    "logdet": ("ln |det {0}|", r"\ln\left|\det {0}\right|"),
    "det": ("det({0})", r"\det\left({0}\right)"),
    "sign of det": ("sign det {0}", r"\operatorname{{sign}}\det {0}"),
    "cholesky": ("chol({0})", r"\operatorname{{chol}}\left({0}\right)"),
    "expm": ("expm({0})", r"\operatorname{{expm}}\left({0}\right)"),
    "spectral norm": ("‖{0}‖₂", r"\left\|{0}\right\|_2"),
    "max": ("max({0})", r"\max\left({0}\right)"),
    "prod": ("prod({0})", r"\prod\left({0}\right)"),
    "argmax": ("argmax({0})", r"\operatorname{{argmax}}\left({0}\right)"),
    "argmin": ("argmin({0})", r"\operatorname{{argmin}}\left({0}\right)"),
    "eigenvalues": ("eigenvalues({0})", r"\operatorname{{eigenvalues}}\left({0}\right)"),
    "eigenvectors": ("eigenvectors({0})", r"\operatorname{{eigenvectors}}\left({0}\right)"),
    "gaps": ("gaps({0})", r"\operatorname{{gaps}}\left({0}\right)"),
    "min": ("min({0})", r"\min\left({0}\right)"),
}
for _name in ("singular values", *(f"{side} singular vector{end}" for side in SIDES for end in ("s", ""))):
    _latex = _name.replace(" ", r"\ ")
    OPERATORS[_name] = (f"{_name}({{0}})", rf"\operatorname{{{{{_latex}}}}}\left({{0}}\right)")
# Functions whose argument is not in brackets of its own.
_LEVEL = {"pow": ATOM, "not": PRODUCT}


def text(node: Node) -> str:
    """The formula as one line of Unicode."""
    return Printer(TEXT).write(node)[0]


def called(style: Style, name: str, by: Sequence[int], count: int) -> str:
    """A function that has only a name: h, h′, ∂₂h."""
    if not by or count == 1:
        return style.name(name) + (style.prime * len(by)).replace("′′", "″")
    latex = style.kind == "latex"
    marks = [f"_{{{k + 1}}}" if latex else str(k + 1).translate(SUB) for k in by]
    return "".join(style.partial.strip() + mark for mark in marks) + style.name(name)


class Printer:
    """Writes formulas; every part comes with how strongly it holds together."""

    def __init__(self, style: Style):
        self.style = style

    def __call__(self, node: Node) -> str:
        return self.write(node)[0]

    def write(self, node: Node) -> tuple[str, int]:
        """The text of a formula, and its level."""
        style, args = self.style, node.args
        match node.op:
            case "symbol" | "size":
                return style.name(node.value), ATOM
            case "number":
                shown = number(node.value, style)
                return shown, SUM if node.value < 0 else ATOM if shown.strip("\\").isalnum() else PRODUCT
            case "entry":
                return self._below(self.at(args[0], ATOM), shifted(node.value, 1)), ATOM
            case "basis":
                return self._below("e", shifted(node.value[0], 1)), ATOM
            case "rows":
                return style.rows.format(style.eye, self._range(node)), ATOM
            case "tri":
                return self._triangle(style.tri, node.value[0]), ATOM
            case "transpose" if args[0].op == "tri":
                return self._triangle(style.triu, -args[0].value[0]), ATOM
            case "halved":
                return style.name("Phi"), ATOM
            case "onehot":
                return style.call.format(style.function(node.op), self(args[0])), ATOM
            case "ones":
                return style.ones, ATOM
            case "eye":
                return style.eye, ATOM
            case "sum":
                return self._sum(node), SUM
            case "scaled":
                return self._scaled(node)
            case "chain":
                return self._chain(args), PRODUCT
            case "kron":
                return style.kron.join(self._slot(arg) for arg in args), PRODUCT
            case "vec":
                return style.vec.format(self(args[0])), ATOM
            case "commutation":
                return style.commutation, ATOM
            case "transpose" if args[0].op == "operator" and args[0].value == "inv":
                return style.inverse_transpose.format(self.at(args[0].args[0], ATOM)), ATOM
            case "transpose":
                return style.transpose.format(self.at(args[0], ATOM)), ATOM
            case "diag" | "diagonal":
                return style.diag.format(self(args[0])), ATOM
            case "trace":
                return style.trace.format(self(args[0])), ATOM
            case "norm":
                pattern = style.frobenius if args[0].rank == 2 else style.norm
                return pattern.format(self(args[0])), ATOM
            case "hadamard":
                return self._hadamard(node), PRODUCT
            case "power":
                return self._power(node)
            case "call":
                return self._call(node)
            case "operator":
                return self._operator(node)
            case "part":
                return style.call.format(
                    called(style, node.value[0], node.value[1], len(args)), ", ".join(map(self, args))
                ), ATOM
        raise TypeError(f"`node` must be matrix notation, but got {node.op}")

    def at(self, node: Node, level: int) -> str:
        """In brackets where it would fall apart."""
        shown, own = self.write(node)
        return shown if own >= level else self.style.bracket.format(shown)

    def _triangle(self, name: str, k: int) -> str:
        ones = self.style.ones
        both = f"{ones}{self.style.times}{self.style.transpose.format(ones)}"
        return self.style.call.format(name, f"{both}, {str(k).replace('-', self.style.minus)}" if k else both)

    def _below(self, shown: str, dim: Dim) -> str:
        """With an index, counted from 1; what has one is in brackets."""
        if re.search(r"(_\{[^{}]*\}|[₀-₉])$", shown):
            shown = self.style.bracket.format(shown)
        plain = self.style.kind == "text" and isinstance(dim, int)
        return shown + str(dim).translate(SUB) if plain else self.style.sub.format(shown, self.style.size(dim))

    def _range(self, node: Node) -> str:
        """The rows of the identity that are meant, from the first to the last, counted from 1."""
        start, step, count, size = node.value
        first = shifted(start, 1)
        last = shifted(count, start) if step == 1 and isinstance(start, int) else size if step == 1 else ""
        if step < 0 and isinstance(first, type(size)) and first == size == count and step == -1:
            last = 1
        middle = [] if step == 1 else [str(step).replace("-", self.style.minus)]
        return ":".join([self.style.size(first), *middle, self.style.size(last)])

    def _chain(self, args: Sequence[Node]) -> str:
        """A matrix product; some rows of I before a factor, or their transpose behind it, cut that factor."""
        shown: list[str] = []
        cut = ""
        for k, arg in enumerate(args):
            if arg.op == "rows" and k + 1 < len(args) and args[k + 1].op not in ("transpose", "rows") and not cut:
                cut = self._range(arg)
                continue
            if _columns(arg) and k and args[k - 1].op == "symbol":
                shown[-1] = self.style.rows.format(shown[-1], f":, {self._range(arg.args[0])}")
                continue
            own = self.at(arg, ATOM)
            shown.append(self.style.rows.format(own, cut) if cut else own)
            cut = ""
        return self.style.times.join(shown)

    def _slot(self, node: Node) -> str:
        """A factor of a Kronecker product, whose size is said if it is an identity."""
        if node.op != "eye":
            return self.at(node, ATOM)
        size = self.style.size(node.value)
        return self.style.sub.format(self.style.eye, f"({size})" if " " in size else size)

    def _sum(self, node: Node) -> str:
        minus, shown = self.style.minus, ""
        for arg in node.args:
            part = self.at(arg, PRODUCT) if arg.op != "number" else self(arg)
            if not shown:
                shown = part
            else:
                shown += f" {minus} {part[len(minus) :]}" if part.startswith(minus) else f" + {part}"
        return shown

    def raised(self, node: Node, exponent: Fraction) -> str:
        """A factor to a power."""
        style = self.style
        if exponent == 1:
            return self.at(node, ATOM if node.op == "sum" else PRODUCT)
        if exponent == Fraction(1, 2):
            return style.root.format(self(node) if style.kind == "latex" else self.at(node, ATOM))
        shown, level = self.write(node)
        power = number(exponent, TEXT if exponent.denominator != 1 else style)
        name, bracket, rest = shown.partition("(")
        if node.op == "call" and level == ATOM and name.isalpha() and exponent.denominator == 1:
            return f"{style.raised(name, power)}{bracket}{rest}"
        wrap = level < ATOM or node.op in ("call", "operator")
        return style.raised(style.bracket.format(shown) if wrap else shown, power)

    def _scaled(self, node: Node) -> tuple[str, int]:
        style = self.style
        body, *scalars = node.args
        coefficient, exponents = node.value
        if coefficient == 0:
            return "0", ATOM
        chains = [k for k, (s, e) in enumerate(zip(scalars, exponents, strict=True)) if s.op == "chain" and e == 1]
        if body == UNIT and len(chains) == 1 and (len(scalars) > 1 or coefficient != 1):  # (1/N) xᵀ y
            body = scalars.pop(chains[0])
            exponents = [e for k, e in enumerate(exponents) if k != chains[0]]
        sign = style.minus if coefficient < 0 else ""
        top, under = above_and_below(abs(coefficient), lambda value: number(value, style))
        alone = len(scalars) == 1 and body == UNIT
        for scalar, exponent in zip(scalars, exponents, strict=True):
            shown = self.raised(scalar, abs(exponent))
            bare = scalar.op in ("chain", "operator") and abs(exponent) == 1 and self.write(scalar)[1] < ATOM
            if bare and (style.kind == "text" if exponent < 0 else not alone):
                shown = style.bracket.format(shown)
            (top if exponent > 0 else under).append(shown)
        below = style.times.join(under)
        below = f"({below})" if len(under) > 1 and style.kind == "text" else below
        if body == UNIT:
            above = style.times.join(top) or "1"
            return sign + (style.fraction(above, below) if under else above), PRODUCT
        inside = self.at(body, PRODUCT)
        if (body.op == "hadamard" or _inverse(body)) and (top or under):
            inside = style.bracket.format(inside)
        short = body.op in ("symbol", "call", "operator", "transpose", "ones", "eye", "power")
        short = short and body.value not in PRINTED
        if under and not top and short:
            return sign + style.fraction(self.at(body, ATOM), below), PRODUCT
        front = style.times.join(top)
        if under:
            front = style.fraction(front or "1", below)
            front = f"({front})" if style.kind == "text" else front
        inside = self.at(body, ATOM) if front and body.op == "sum" else inside
        return f"{sign}{front}{style.times}{inside}" if front else f"{sign}{inside}", PRODUCT

    def _hadamard(self, node: Node) -> str:
        style = self.style

        def shown(arg: Node) -> str:
            return self.at(arg, PRODUCT if arg.op == "power" else ATOM)

        top = style.odot.join(shown(arg) for arg in node.args if not _inverse(arg)) or "1"
        under = [self.at(_inverted(arg), ATOM) for arg in node.args if _inverse(arg)]
        if not under:
            return top
        several = sum(not _inverse(arg) for arg in node.args) > 1
        below = under[0] if len(under) == 1 else style.bracket.format(style.odot.join(under))
        return (style.bracket.format(top) if several else top) + style.oslash + below

    def _power(self, node: Node) -> tuple[str, int]:
        style = self.style
        (base,), exponent = node.args, node.value
        inner = self.at(base, ATOM)
        if exponent == 2 and len(inner) < 3:
            return f"{inner}{style.odot}{inner}", PRODUCT
        if exponent < 0:
            return f"1{style.oslash}{self.at(_inverted(node), ATOM)}", PRODUCT
        if exponent == Fraction(1, 2):
            return style.root.format(self(base) if style.kind == "latex" else inner), ATOM
        shown = number(exponent)
        return f"{inner}^{{\\circ {shown}}}" if style.kind == "latex" else f"{inner}^∘{shown}", ATOM

    def _call(self, node: Node) -> tuple[str, int]:
        function = FUNCTIONS[node.value]
        pattern = function.text if self.style.kind == "text" else function.latex
        if "{0}" in pattern:
            level = _LEVEL.get(node.value, 0)
            shown = pattern.format(*(self.at(arg, level) for arg in node.args))
            return shown, SUM if " − " in function.text or " + " in function.text else ATOM
        return self.style.call.format(pattern, ", ".join(map(self, node.args))), ATOM

    def _operator(self, node: Node) -> tuple[str, int]:
        style, arg = self.style, node.args[0]
        if node.value in PRINTED:
            pattern = PRINTED[node.value][style.kind == "latex"]
            first, second = (self.at(a, PRODUCT) for a in (arg, node.args[-1]))
            return pattern.format(first, second), SUM
        if node.value == "inv":
            return style.inverse.format(self.at(arg, ATOM)), ATOM
        if node.value == "covariance":
            p = self.at(arg, ATOM)
            return f"{style.diag.format(p)} {style.minus} {p}{style.times}{style.transpose.format(p)}", SUM
        pattern = OPERATORS[node.value][style.kind == "latex"]
        bare = pattern.endswith((")", r"\right)")) or "|" in pattern
        inside = self(arg) if bare and pattern[0] != "l" else self.at(arg, ATOM)
        if pattern.startswith(("ln softmax", "logsumexp")):
            inside = self(arg)
        return pattern.format(inside), ATOM if bare else PRODUCT


def _columns(node: Node) -> bool:
    """Whether it picks columns of what stands before it."""
    return node.op == "transpose" and node.args[0].op == "rows"


def _inverse(node: Node) -> bool:
    return node.op == "power" and node.value < 0


def _inverted(node: Node) -> Node:
    return node.args[0] if node.value == -1 else Node("power", node.rank, node.args, -node.value)
