"""Derivatives by or of a matrix as Kronecker products: rows are entries of the value, columns those of the argument.

A matrix becomes a vector row by row, vec(X). A term is a Kronecker product if each axis of the value is joined with one
axis of the argument at most: A_ik B_jl is A ⊗ B, δ_ik x_l is I ⊗ xᵀ. Joined crosswise, A_il B_jk, it is (A ⊗ B) 𝐊 with
the commutation matrix, 𝐊 vec(X) = vec(Xᵀ). A factor S_ij on both axes of the value scales its rows, diag(vec(S)).
"""

from collections.abc import Sequence

from jmc.symbolic.matrix import Graph, NotMatrix
from jmc.symbolic.notation import Node, chain, diag, ones, scaled, transpose
from jmc.symbolic.tensor import Product, Sum, Tensor


def kronecker(tensor: Tensor, rows: int) -> Node:
    """The matrix whose rows are the first ``rows`` axes of the formula, of at most two, and columns the others."""
    if not (0 < rows <= 2 and 0 < len(tensor.shape) - rows <= 2):
        raise NotMatrix
    if isinstance(tensor, Sum):
        return Node("sum", 2, tuple(kronecker(term, rows) for term in tensor.terms))
    if not isinstance(tensor, Product):
        raise NotMatrix
    graph = Graph(tensor)
    graph.contract()
    graph.merge_parallel()
    left = _scaling(graph, graph.out[:rows])
    right = _scaling(graph, graph.out[rows:])
    slots, crossed = _slots(graph, rows)
    parts = [_slot(graph, o, i) for o, i in slots]
    found = Node("kron", 2, tuple(parts))
    if all(part.op == "eye" for part in parts):
        found = Node("eye", 2, (), " * ".join(str(part.value) for part in parts))
    swap = [Node("commutation", 2, (), tuple(tensor.shape[rows:]))] if crossed else []
    return scaled(tensor.coefficient, graph.scalars, _chain([*left, found, *swap, *right]))


def _chain(nodes: Sequence[Node]) -> Node:
    """The product; an identity of several sizes stays only where it is alone."""
    short = [node for node in nodes if node.op != "eye"] or list(nodes[:1])
    return chain(short)


def _scaling(graph: Graph, ends: Sequence[int]) -> list[Node]:
    """diag(vec(S)) for a factor S on both of these axes."""
    if len(set(ends)) != 2:
        return []
    for k, (i, j, node) in enumerate(graph.edges):
        if {i, j} == set(ends):
            del graph.edges[k]
            S = node if i == ends[0] else transpose(node)
            return [diag(Node("vec", 1, (S,)))]
    return []


def _slots(graph: Graph, rows: int) -> tuple[list[tuple[int | None, int | None]], bool]:
    """The axes that a factor of the Kronecker product has, in order, and whether they are crossed."""
    out = graph.out
    of = {o: {i for i in range(rows, len(out)) if _joined(graph, out[o], out[i])} for o in range(rows)}
    taken = [i for found in of.values() for i in found]
    if any(len(found) > 1 for found in of.values()) or len(set(taken)) < len(taken):
        raise NotMatrix
    for group in (range(rows), range(rows, len(out))):
        for a in group:
            if any(b != a and _joined(graph, out[a], out[b]) for b in group):
                raise NotMatrix
    pairs = [(o, next(iter(found))) for o, found in of.items() if found]
    crossed = len(pairs) == 2 and pairs[0][1] > pairs[1][1]
    if crossed:
        return list(pairs), True
    slots: list[tuple[int | None, int | None]] = []
    o, i = 0, rows
    for at, to in [*pairs, (rows, len(out))]:
        slots += [(k, None) for k in range(o, at)] + [(None, k) for k in range(i, to)]
        if at < rows:
            slots.append((at, to))
        o, i = at + 1, to + 1
    return slots, False


def _joined(graph: Graph, one: int, other: int) -> bool:
    return one == other or any({i, j} == {one, other} for i, j, _ in graph.edges)


def _slot(graph: Graph, o: int | None, i: int | None) -> Node:
    """One factor of the Kronecker product."""

    def weight(axis: int) -> Node:
        label = graph.out[axis]
        found = graph.weight(label)
        return ones(graph.dims[label]) if found is None else found

    if o is None:
        assert i is not None
        return transpose(weight(i))
    if i is None:
        return weight(o)
    a, b = graph.out[o], graph.out[i]
    if a == b:
        return diag(weight(o))
    node = next(node if x == a else transpose(node) for x, y, node in graph.edges if {x, y} == {a, b})
    left = [diag(weight(o))] if graph.weight(a) is not None else []
    right = [diag(weight(i))] if graph.weight(b) is not None else []
    return chain([*left, node, *right])
