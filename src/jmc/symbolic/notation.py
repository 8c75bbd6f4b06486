"""Matrix notation as a tree: products, transposes, diagonals, and the rules by which they are written shortest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from jmc.symbolic.tensor import Dim, exact


@dataclass(frozen=True)
class Node:
    """A formula in matrix notation.

    ``rank`` is 0 for a scalar, 1 for a column, −1 for a row, 2 for a matrix. ``op`` is one of: symbol, number, size,
    sum, scaled, chain, transpose, diag, diagonal, hadamard, ones, eye, call, power, trace, norm, kron, operator.
    """

    op: str
    rank: int
    args: tuple["Node", ...] = ()
    value: Any = None

    @cached_property
    def weight(self) -> int:
        """The number of operators in it: of a reader's work."""
        own = {
            "symbol": 0,
            "number": 0,
            "size": 0,
            "ones": 0,
            "eye": 0,
            "basis": 0,
            "tri": 0,
            "halved": 0,
            "sum": len(self.args) - 1,
        }
        own |= {"chain": len(self.args) - 1, "hadamard": len(self.args) - 1, "kron": 1}
        if self.op == "scaled":
            coefficient, exponents = self.value
            extra = len(exponents) + (coefficient not in (1, -1)) - (self.args[0] == UNIT)
            return max(extra, 0) + sum(arg.weight for arg in self.args)
        return own.get(self.op, 1) + sum(arg.weight for arg in self.args)


UNIT = Node("number", 0, (), Fraction(1))


def symbol(name: str, rank: int) -> Node:
    """An argument, or a name for a part."""
    return Node("symbol", rank, (), name)


def ones(dim: Dim) -> Node:
    """The column of ones."""
    return Node("ones", 1, (), dim)


def transpose(node: Node) -> Node:
    """nodeᵀ, taken inside where that is shorter."""
    if node.rank == 0 or node.op in ("eye", "diag"):
        return node
    match node.op:
        case "sum" if symmetric(node):
            return node
        case "transpose":
            return node.args[0]
        case "chain":
            return chain([transpose(arg) for arg in reversed(node.args)])
        case "hadamard" if node.rank == 2 and 2 * sum(arg.op == "transpose" for arg in node.args) > len(node.args):
            return hadamard([transpose(arg) for arg in node.args])
        case "scaled":
            return Node("scaled", _flipped(node.rank), (transpose(node.args[0]), *node.args[1:]), node.value)
        case "kron":
            return Node("kron", 2, tuple(transpose(arg) for arg in node.args))
        case "commutation":
            return Node("commutation", 2, (), node.value[::-1])
        case "operator" if node.value == "covariance":
            return node
        case "operator" if node.value in ("inv", "expm") and symmetric(node.args[0]):
            return node
        case "symbol" | "rows" if symmetric(node):
            return node
    return Node("transpose", _flipped(node.rank), (node,))


def symmetric(node: Node) -> bool:
    """Whether a matrix is marked as equal to its transpose, or visibly is."""
    if node.op == "symbol":
        return str(node.value).endswith("\0")
    if node.op == "sum":
        return all(symmetric(arg) or transpose(arg) in node.args for arg in node.args)
    if node.op == "scaled":
        return symmetric(node.args[0])
    if node.op == "chain":
        return node.rank == 2 and transpose(node) == node
    return node.op in ("eye", "diag") or (node.op == "rows" and node.value[2] == node.value[3])


def _flipped(rank: int) -> int:
    return -rank if abs(rank) == 1 else rank


def chain(nodes: Sequence[Node]) -> Node:
    """The matrix product."""
    flat: list[Node] = []
    coefficient, scalars, exponents = Fraction(1), [], []
    for node in nodes:
        if node.op == "scaled" and node.rank != 0:
            coefficient = coefficient * node.value[0]
            scalars += node.args[1:]
            exponents += node.value[1]
            node = node.args[0]
        flat += node.args if node.op == "chain" else [node]
    short = [node for node in flat if node.op != "eye"] or flat[:1]
    left, right = short[0].rank, short[-1].rank
    rank = {(-1, 1): 0, (-1, -1): -1, (1, 1): 1}.get((left, right))
    if len(short) == 1:
        found = short[0]
    else:
        if rank is None:
            rank = 1 if right == 1 else -1 if left == -1 else 2
        found = Node("chain", rank, tuple(short))
    return scaled(coefficient, list(zip(scalars, exponents, strict=True)), found)


def hadamard(nodes: Sequence[Node]) -> Node:
    """The product entry by entry."""
    flat: list[Node] = []
    coefficient, scalars = Fraction(1), []
    for node in nodes:
        if node.op == "scaled":
            coefficient = coefficient * node.value[0]
            scalars += zip(node.args[1:], node.value[1], strict=True)
            node = node.args[0]
        flat += node.args if node.op == "hadamard" else [node]
    kept = sorted((node for node in flat if node.op != "ones"), key=_reading) or flat[:1]
    found = kept[0] if len(kept) == 1 else Node("hadamard", kept[0].rank, tuple(kept))
    return scaled(coefficient, scalars, found)


def _reading(node: Node) -> int:
    """What is read first: names, then functions, then sums."""
    if node.op == "power":
        return _reading(node.args[0])
    if node.op == "call" and node.value in ("cosigmoid", "sech2", "not"):
        return 3
    return {"symbol": 0, "size": 0, "call": 2, "sum": 4}.get(node.op, 1)


def scaled(coefficient: Any, scalars: Sequence[tuple[Node, Fraction]], body: Node = UNIT) -> Node:
    """coefficient · Π scalar^exponent · body."""
    coefficient = exact(coefficient)
    powers: dict[Node, Fraction] = {}
    for node, exponent in scalars:
        if node.op == "scaled" and exponent.denominator == 1 and node.args[0] == UNIT:
            coefficient = coefficient * node.value[0] ** exponent.numerator
            for inner, e in zip(node.args[1:], node.value[1], strict=True):
                powers[inner] = powers.get(inner, Fraction(0)) + e * exponent
        else:
            powers[node] = powers.get(node, Fraction(0)) + exponent
    if body.op == "scaled":
        coefficient = coefficient * body.value[0]
        for inner, e in zip(body.args[1:], body.value[1], strict=True):
            powers[inner] = powers.get(inner, Fraction(0)) + e
        body = body.args[0]
    powers = {node: powers[node] for node in sorted(powers, key=_reading) if powers[node] != 0}
    if body == UNIT and coefficient == 1 and len(powers) == 1 and next(iter(powers.values())) == 1:
        return next(iter(powers))
    if not powers and coefficient == 1:
        return body
    if not powers and body == UNIT:
        return Node("number", 0, (), coefficient)
    return Node("scaled", body.rank, (body, *powers), (coefficient, tuple(powers.values())))


def diag(vector: Node) -> Node:
    """The diagonal matrix."""
    if vector.op == "scaled":
        coefficient, exponents = vector.value
        return scaled(coefficient, list(zip(vector.args[1:], exponents, strict=True)), diag(vector.args[0]))
    if vector.op == "ones":
        return Node("eye", 2, (), vector.value)
    return Node("diag", 2, (vector,))


def summed(nodes: Sequence[Node]) -> Node:
    """The sum; of diagonals the diagonal of one, of transposes the transpose of one."""
    bodies = [node.args[0] if node.op == "scaled" else node for node in nodes]
    if nodes[0].rank == 2 and all(body.op in ("diag", "eye") for body in bodies):
        return diag(summed([_vector(node) for node in nodes]))
    total = Node("sum", nodes[0].rank, tuple(nodes))
    if nodes[0].rank == 2:
        turned = Node("sum", 2, tuple(transpose(node) for node in nodes))
        if transposes(turned) + 1 < transposes(total):
            return Node("transpose", 2, (turned,))
    return total


def _vector(node: Node) -> Node:
    """The diagonal of a diagonal matrix."""
    if node.op == "scaled":
        coefficient, exponents = node.value
        return scaled(coefficient, list(zip(node.args[1:], exponents, strict=True)), _vector(node.args[0]))
    return ones(node.value) if node.op == "eye" else node.args[0]


def power_turned(node: Node) -> Node:
    """Pᵀ Pᵀ as (P P)ᵀ, for a matrix that has a name."""
    node = replace(node, args=tuple(map(power_turned, node.args)))
    first, *rest = node.args or (node,)
    once = first.op == "transpose" and first.args[0].op == "symbol"
    if node.op == "chain" and node.rank == 2 and once and all(arg == first for arg in rest):
        return Node("transpose", 2, (replace(node, args=(first.args[0],) * len(node.args)),))
    return node


def transposes(node: Node) -> int:
    """How many transposes are in it."""
    return (node.op == "transpose") + sum(map(transposes, node.args))
