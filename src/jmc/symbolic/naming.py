"""Names for parts of a formula that are repeated or long: the list that follows "where"."""

from collections.abc import Sequence
from dataclasses import replace

from jmc.symbolic.cancellation import PRINTED
from jmc.symbolic.notation import Node, symbol
from jmc.symbolic.printer import text

_LETTERS = {
    "softmax": "pqr", "call": "hgq", "sum": "zeru", "inv": "PQK", "scalar": "cst", "column": "uvzq", "matrix": "BCGH",
    "eigenvectors": "QVU", "softmaxes": "PQR", "eigenvalues": ("lam", "mu"),
}  # fmt: skip
LONG = 90


def named(node: Node, taken: Sequence[str]) -> tuple[Node, list[tuple[str, Node]]]:
    """The formula with names for its parts, and the parts, in an order in which each is known when it is needed."""
    where: list[tuple[str, Node]] = []
    used = {name.rstrip("\0") for name in taken}
    while (part := _best([node, *(inner for _, inner in where)])) is not None:
        name = _name(part, used)
        used.add(name)
        given = symbol(name, part.rank)
        node = replaced(node, part, given)
        where = [(other, replaced(inner, part, given)) for other, inner in where]
        where.append((name, part))
    return node, _ordered(where)


def replaced(node: Node, part: Node, by: Node) -> Node:
    """``by`` for every ``part``."""
    if node == part:
        return by
    if not node.args:
        return node
    return replace(node, args=tuple(replaced(arg, part, by) for arg in node.args))


def parts(node: Node, found: dict[Node, int]) -> None:
    """How often each part with an operator in it is read."""
    if node.weight:
        found[node] = found.get(node, 0) + 1
    times = 3 if node.op == "operator" and node.value == "covariance" else 1
    for _ in range(times):
        for arg in node.args:
            parts(arg, found)


def _best(nodes: Sequence[Node]) -> Node | None:
    """The part whose name saves most, if it saves enough."""
    found: dict[Node, int] = {}
    for node in nodes:
        parts(node, found)
    saved = {part: (count - 1) * (len(text(part)) - 1) for part, count in found.items() if _nameable(part)}
    best = max(saved, key=lambda part: (saved[part], len(text(part))), default=None)
    if best is not None and saved[best] >= 8:
        return best
    return None


def _nameable(node: Node) -> bool:
    if node.op in ("transpose", "diag", "rows") or node.rank == -1 or len(text(node)) < 6:
        return False
    return not (node.op == "scaled" and len(node.args) == 1)


def _name(part: Node, used: set[str]) -> str:
    kind = "matrix" if part.rank == 2 else "column" if part.rank == 1 else "scalar"
    if part.op == "operator" and part.value in _LETTERS and not (part.rank == 2 and part.value == "softmax"):
        kind = part.value
    elif part.op == "operator" and part.value == "softmax":
        kind = "softmaxes"
    elif part.op == "call" and part.rank == 1:
        kind = "call"
    elif (part.op == "sum" or part.value in PRINTED) and part.rank == 1:
        kind = "sum"
    for letter in _LETTERS[kind]:
        if letter not in used:
            return letter
    return next(f"{_LETTERS[kind][0]}{k}" for k in range(1, 99) if f"{_LETTERS[kind][0]}{k}" not in used)


def _ordered(where: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    left, done = list(where), []
    while left:
        names = {name for name, _ in left}
        ready = next(item for item in left if not _symbols(item[1]) & (names - {item[0]}))
        left.remove(ready)
        done.append(ready)
    return done


def _symbols(node: Node) -> set[str]:
    own = {node.value} if node.op == "symbol" else set()
    return own.union(*(_symbols(arg) for arg in node.args)) if node.args else own
