"""Formulas in Python: code for JAX or NumPy that computes what is printed, without overflow or cancellation.

A vector is an array of one axis, column or row. Products are taken in the order that needs least work, a diagonal
matrix scales rows or columns, an inverse is a solve.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from jmc.symbolic.dims import Dim, symbols
from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.notation import UNIT, Node
from jmc.symbolic.sources import BELOW, COMMUTATION, HELPERS, OPERATORS
from jmc.symbolic.style import above_and_below, number_code

ATOM, PRODUCT, SUM = 3, 2, 1


class Coder:
    """Writes code, and keeps what it calls."""

    def __init__(self, target: str, parts: Mapping[str, Node] | None = None):
        self.np = {"jax": "jnp", "numpy": "np"}[target]
        self.scipy = {"jax": "jax.scipy", "numpy": "scipy"}[target]
        self.helpers: dict[str, None] = {}
        self.parts: Mapping[str, Node] = {} if parts is None else parts

    def code(self, node: Node) -> str:
        """An expression."""
        return self._write(node)[0]

    def _at(self, node: Node, level: int) -> str:
        shown, own = self._write(node)
        return shown if own >= level else f"({shown})"

    def need(self, helper: str) -> None:
        if helper:
            self.helpers[helper.replace("{np}", self.np).replace("{scipy}", self.scipy)] = None

    def fill(self, pattern: str, *args: str) -> str:
        for k, arg in enumerate(args):
            # an argument in brackets of its own needs no more of them
            bare = re.search(rf"[(,] ?\{{{k}\}}[),]", pattern)
            pattern = pattern.replace(f"{{{k}}}", arg if bare or arg.replace(".", "").isalnum() else f"({arg})")
        return pattern.replace("{np}", self.np)

    def _write(self, node: Node) -> tuple[str, int]:
        np = self.np
        match node.op:
            case "symbol":
                return str(node.value).rstrip("\0"), ATOM
            case "number":
                shown = number_code(node.value)
                return shown, ATOM if shown.replace(".", "").isalnum() else SUM if shown[0] == "-" else PRODUCT
            case "size":
                return f"{node.value}", ATOM
            case "ones":
                return f"{np}.ones({node.value})", ATOM
            case "eye":
                return f"{np}.eye({node.value})", ATOM
            case "tri":
                k, size = node.value
                return f"{np}.tri({size}{f', k={k}' if k else ''})", ATOM
            case "halved":
                return f"({np}.tri({node.value}) - {np}.eye({node.value}) / 2)", ATOM
            case "rows":
                return rows(np, *node.value), ATOM
            case "entry":
                return f"{self._at(node.args[0], ATOM)}[{node.value}]", ATOM
            case "onehot":
                return self.onehot(self.code(node.args[0]), node.value), ATOM
            case "basis":
                return f"{np}.eye({node.value[1]})[{node.value[0]}]", ATOM
            case "sum":
                return self._sum(node), SUM
            case "scaled":
                return self._scaled(node)
            case "chain":
                return self._chain(node.args)
            case "transpose":
                inner = node.args[0]
                shown = self._at(inner, ATOM)
                twice = shown.removesuffix(".T")
                return (twice if twice != shown else f"{shown}.T", ATOM) if inner.rank == 2 else self._write(inner)
            case "diag" | "diagonal":
                return f"{np}.diag({self.code(node.args[0])})", ATOM
            case "trace":
                return f"{np}.trace({self.code(node.args[0])})", ATOM
            case "norm":
                return f"{np}.linalg.norm({self.code(node.args[0])})", ATOM
            case "hadamard":
                return self._hadamard(node.args)
            case "power":
                return self._power(node.args[0], node.value)
            case "kron":
                shown = self._plane(node.args[0])
                for arg in node.args[1:]:
                    shown = f"{np}.kron({shown}, {self._plane(arg)})"
                return shown, ATOM
            case "vec":
                return f"{self._at(node.args[0], ATOM)}.ravel()", ATOM
            case "commutation":
                self.need(COMMUTATION)
                return f"commutation({', '.join(map(str, node.value))})", ATOM
            case "call":
                function = FUNCTIONS[node.value]
                self.need(function.helper)
                return self.fill(function.code, *map(self.code, node.args)), ATOM
            case "part":
                return self.part(node.value[0], node.value[1], [self.code(arg) for arg in node.args]), ATOM
            case "operator":
                args = node.args
                if node.value.startswith("logit error"):  # of the argument of σ, which may be behind a name
                    args = (self._meant(args[0]).args[0], args[1])
                return self.operation(node.value, *map(self.code, args)), ATOM
        raise TypeError(f"`node` must be matrix notation, but got {node.op}")

    def operation(self, name: str, *args: str) -> str:
        """An operation on whole arrays."""
        helper = name.removesuffix(" turned")
        self.need(BELOW.get(helper, ""))
        self.need(HELPERS.get(helper, ""))
        return self.fill(OPERATORS[name], *args)

    def _meant(self, node: Node) -> Node:
        """What stands behind a name."""
        return self._meant(self.parts[node.value]) if node.op == "symbol" and node.value in self.parts else node

    def onehot(self, places: str, size: Dim) -> str:
        """Rows of the identity that an array names."""
        return f"{self.np}.eye({size})[{self.np}.asarray({places}).astype(int)]"

    def part(self, name: str, by: Sequence[int], args: Sequence[str]) -> str:
        """A part of the program that has only a name, or its derivative."""
        order = f"d{len(by) if len(by) > 1 else ''}" if by else ""
        at = "".join(f"_{k}" for k in by) if len(args) > 1 else ""
        return f"{order}{name}{at}({', '.join(args)})"

    def _plane(self, node: Node) -> str:
        """A vector as a matrix of one row or column."""
        shown = self._at(node, ATOM)
        return f"{shown}[:, None]" if node.rank == 1 else f"{shown}[None, :]" if node.rank == -1 else shown

    def _sum(self, node: Node) -> str:
        shown = ""
        broad = any(not _flat(arg) for arg in node.args)
        for arg in node.args:
            part, level = self._repeating(arg) if broad else self._write(arg)
            part = f"({part})" if level < PRODUCT and not part.startswith("-") else part
            if not shown:
                shown = part
            else:
                shown += f" - {part[1:]}" if part.startswith("-") else f" + {part}"
        return shown

    def _repeating(self, node: Node) -> tuple[str, int]:
        """What is added to a full array: repeated by broadcasting."""
        if node.op == "ones":
            return "1", ATOM
        if node.op == "scaled" and node.args[0].op == "ones":
            return self._scaled(Node("scaled", 0, (UNIT, *node.args[1:]), node.value))
        if node.op == "scaled" and _flat(node.args[0]):
            return self._scaled(node, self._repeating(node.args[0]))
        if node.op == "chain" and _flat(node):
            left, right = node.args[0], node.args[-1]
            if left.op == "ones" and len(node.args) == 2 and right.op == "transpose" and right.args[0].op == "ones":
                return "1", ATOM
            if left.op == "ones":
                return f"{self._wrapped(node.args[1:])}[None, :]", ATOM
            return f"{self._wrapped(node.args[:-1])}[:, None]", ATOM
        return self._write(node)

    def _wrapped(self, nodes: Sequence[Node]) -> str:
        shown, level = self._chain(nodes)
        return shown if level == ATOM else f"({shown})"

    def _scaled(self, node: Node, inside: tuple[str, int] | None = None) -> tuple[str, int]:
        body, *scalars = node.args
        coefficient, exponents = node.value
        sign = "-" if coefficient < 0 else ""
        top, under = above_and_below(abs(coefficient), number_code)
        for scalar, exponent in zip(scalars, exponents, strict=True):
            shown, level = self._power(scalar, abs(exponent)) if abs(exponent) != 1 else self._write(scalar)
            (top if exponent > 0 else under).append(shown if level >= ATOM else f"({shown})")
        if body != UNIT:
            shown, level = self._write(body) if inside is None else inside
            top.append(shown if level >= ATOM else f"({shown})")
        above = " * ".join(top) or "1"
        below = under[0] if len(under) == 1 else f"({' * '.join(under)})"
        return sign + (f"{above} / {below}" if under else above), SUM if sign else PRODUCT

    def _power(self, base: Node, exponent: Fraction) -> tuple[str, int]:
        if exponent == Fraction(1, 2):
            return f"{self.np}.sqrt({self.code(base)})", ATOM
        if exponent == -1:
            return f"1 / {self._at(base, ATOM)}", PRODUCT
        shown = number_code(exponent)
        inner = self._at(base, ATOM)
        if exponent == 2 and not inner.isidentifier():
            return f"{self.np}.square({self.code(base)})", ATOM
        return f"{inner} ** {shown if shown.isdigit() else f'({shown})'}", PRODUCT

    def _hadamard(self, nodes: Sequence[Node]) -> tuple[str, int]:
        broad = any(not _flat(node) for node in nodes)
        shown = ""
        for node in nodes:
            divides = node.op == "power" and node.value == -1
            inner = node.args[0] if divides else node
            part, level = self._repeating(inner) if broad else self._write(inner)
            part = part if level >= ATOM else f"({part})"
            shown = f"{shown or '1'} / {part}" if divides else f"{shown} * {part}" if shown else part
        return shown, PRODUCT

    def _chain(self, nodes: Sequence[Node]) -> tuple[str, int]:
        """A matrix product: an outer product is split, then vectors meet matrices first."""
        if len(nodes) == 1:
            return self._write(nodes[0])
        for k in range(1, len(nodes)):
            if nodes[k - 1].rank == 1 and nodes[k].rank == -1:
                left, right = self._chain(nodes[:k])[0], self._chain(nodes[k:])[0]
                return f"{self.np}.outer({left}, {right})", ATOM
        if nodes[-1].rank == 1 and nodes[0].rank == -1 and len(nodes) > 2:
            return self._pair(self._write(nodes[0]), nodes[0], self._chain(nodes[1:]), None)
        if nodes[-1].rank == 1:
            return self._pair(self._write(nodes[0]), nodes[0], self._chain(nodes[1:]), nodes[1:])
        *rest, last = nodes
        return self._pair(self._chain(rest), rest, self._write(last), last)

    def _pair(self, a: tuple[str, int], left: object, b: tuple[str, int], right: object) -> tuple[str, int]:
        left = left[0] if isinstance(left, Sequence) and len(left) == 1 else left
        right = right[0] if isinstance(right, Sequence) and len(right) == 1 else right
        one, other = _bracketed(a), _bracketed(b)
        if isinstance(left, Node):
            if left.op == "diag":
                vector = _bracketed(self._write(left.args[0]))
                thin = (isinstance(right, Node) and right.rank == 1) or (
                    isinstance(right, Sequence) and right[-1].rank == 1
                )
                return f"{vector if thin else f'{vector}[:, None]'} * {other}", PRODUCT
            if left.rank == -1 and left.args[0].op == "ones":
                return f"{other}.sum(0)", ATOM
            if left.op == "operator" and left.value == "inv":
                return self._solve(self.code(left.args[0]), b[0], right), ATOM
            if left.op == "transpose" and left.args[0].op == "operator" and left.args[0].value == "inv":
                return self._solve(f"{self._at(left.args[0].args[0], ATOM)}.T", b[0], right), ATOM
        if isinstance(right, Node):
            if right.op == "diag":
                vector = _bracketed(self._write(right.args[0]))
                thin = isinstance(left, Node) and left.rank == -1
                return f"{one} * {vector if thin else f'{vector}[None, :]'}", PRODUCT
            if right.op == "ones":
                thin = isinstance(left, Node) and abs(left.rank) == 1
                return f"{one}.sum({'' if thin else -1})", ATOM
        return f"{one} @ {other}", PRODUCT

    def _solve(self, matrix: str, right: str, _: object) -> str:
        return f"{self.np}.linalg.solve({matrix}, {right})"


def rows(np: str, start: Dim, step: int, count: Dim, size: Dim) -> str:
    """Rows of the identity."""
    if step == 1:
        return f"{np}.eye({count}, {size}, k={start})"
    return f"{np}.eye({size})[{start}::{step}][:{count}]"


def _bracketed(shown: tuple[str, int]) -> str:
    return shown[0] if shown[1] >= ATOM else f"({shown[0]})"


def _flat(node: Node) -> bool:
    """Whether it is the same along rows or along columns."""
    if node.op == "scaled":
        return _flat(node.args[0])
    if node.op == "ones":
        return True
    if node.op != "chain" or node.rank != 2:
        return False
    left, right = node.args[0], node.args[-1]
    row = left.op == "ones" and all(arg.rank != 2 or True for arg in node.args) and node.args[1].rank in (-1, 2)
    return (row and left.rank == 1) or (right.op == "transpose" and right.args[0].op == "ones")


def sizes_in(node: Node, found: dict[Dim, None]) -> None:
    """The symbols of sizes that the formula says."""
    if node.op in ("size", "ones", "eye", "commutation", "rows", "basis", "tri", "halved", "entry", "onehot"):
        dims = node.value if isinstance(node.value, tuple) else (node.value,)
        found.update((name, None) for dim in dims for name in symbols(dim))
    for arg in node.args:
        sizes_in(arg, found)
