"""Matrix notation, read off the labels of a formula.

Labels are the nodes of a graph, factors with two labels its edges, factors with one label weights of a node. A chain of
edges from the row to the column is a matrix product, transposed where it is walked backwards; a weight on the way is
diag(·), a loose end a vector or ones, a closed loop a trace, rows and columns that are not joined an outer product, a
label on two axes a diagonal or I. What is no such graph has no matrix notation: NotMatrix.
"""

from collections.abc import Sequence
from fractions import Fraction

from jmc.symbolic.algebra import split_power
from jmc.symbolic.notation import UNIT, Node, chain, diag, hadamard, ones, scaled, summed, symbol, transpose, transposes
from jmc.symbolic.tensor import Argument, Dim, Labels, Map, Op, Opaque, Product, Size, Sum, Tensor, constant


class NotMatrix(Exception):  # noqa: N818 - it reads as what it says
    """The formula has no matrix notation."""


def matrix(tensor: Tensor) -> Node:
    """A formula of at most two axes in matrix notation: a scalar, a column, or a matrix."""
    if len(tensor.shape) > 2:
        raise NotMatrix
    rank = len(tensor.shape)
    match tensor:
        case Argument():
            mark = "\0" if {"symmetric", "psd", "spd", "diagonal"} & tensor.facts else ""
            return symbol(tensor.name + mark, rank)
        case Size():
            return Node("size", 0, (), tensor.name)
        case Sum():
            return summed([matrix(term) for term in tensor.terms])
        case Map():
            return _map(tensor)
        case Op():
            return _operator(tensor)
        case Opaque():
            return Node("part", rank, tuple(map(matrix, tensor.args)), (tensor.name, tensor.by))
        case Product():
            return _product(tensor)
    raise NotMatrix


def _map(tensor: Map) -> Node:
    rank = len(tensor.shape)
    if tensor.function == "stop":
        return matrix(tensor.args[0])
    if tensor.function == "power":
        (base,) = tensor.args
        if rank == 0:
            return scaled(1, [_scalar_power(base, Fraction(tensor.number))])
        return Node("power", rank, (matrix(base),), tensor.number)
    return Node("call", rank, tuple(_argument(arg) for arg in tensor.args), tensor.function)


def _argument(tensor: Tensor) -> Node:
    """An operand of an element-wise function: what is the same everywhere is a scalar."""
    bare = isinstance(tensor, Product) and all(not labels for _, labels in tensor.factors)
    if tensor.shape and isinstance(tensor, Product) and bare and len(set(tensor.out)) == len(tensor.out):
        return matrix(Product((), tensor.coefficient, tensor.factors, (), ()))
    return matrix(tensor)


def _scalar_power(base: Tensor, exponent: Fraction) -> tuple[Node, Fraction]:
    """A scalar to a power; the square root of a sum of squares is a norm."""
    vector = _squared(base)
    if vector is not None:
        return Node("norm", 0, (matrix(vector),)), 2 * exponent
    return matrix(base), exponent


def _squared(tensor: Tensor) -> Tensor | None:
    """v of Σ v²."""
    if isinstance(tensor, Product) and tensor.coefficient == 1 and len(tensor.factors) == 1 and not tensor.out:
        base, exponent = split_power(tensor.factors[0][0])
        labels = tensor.factors[0][1]
        if exponent == 2 and labels and len(set(labels)) == len(labels) <= 2:
            return base
    return None


def _operator(tensor: Op) -> Node:
    if tensor.name.startswith(("basis", "rows")):
        kind, *numbers = tensor.name.split("|")
        where = tuple(int(n) if n.lstrip("-").isdigit() else n for n in numbers)
        return Node(kind, len(tensor.shape), (), (*where, *tensor.shape))
    if tensor.name == "onehot":
        return Node("onehot", len(tensor.shape), (matrix(tensor.args[0]),), tensor.shape[-1])
    if tensor.name.startswith("tri"):
        return Node("tri", 2, (), (int(tensor.name[4:]), tensor.shape[0]))
    if tensor.name == "halved":
        return Node("halved", 2, (), tensor.shape[0])
    if tensor.name == "iota" or (tensor.name == "covariance" and len(tensor.shape) > 2):
        raise NotMatrix
    if tensor.name == "covariance":  # of p, which stands in it three times
        return Node("operator", 2, (Node("operator", 1, (matrix(tensor.args[0]),), "softmax"),), tensor.name)
    args = tuple(matrix(arg) for arg in tensor.args)
    if tensor.name == "inv" and args[0].op == "transpose":
        return transpose(Node("operator", 2, args[0].args, "inv"))
    return Node("operator", len(tensor.shape), args, tensor.name)


class Graph:
    """The factors of a Product as a graph of its labels."""

    def __init__(self, tensor: Product):
        self.out, self.dims = tensor.out, tensor.dims
        self.scalars: list[tuple[Node, Fraction]] = []
        self.weights: dict[int, list[Node]] = {}
        self.edges: list[tuple[int, int, Node]] = []
        for factor, labels in tensor.factors:
            self._place(factor, labels)

    def _place(self, factor: Tensor, labels: Labels) -> None:
        if not labels:
            base, exponent = split_power(factor)
            self.scalars.append(_scalar_power(base, exponent))
        elif len(labels) == 1:
            self.weights.setdefault(labels[0], []).append(matrix(factor))
        elif len(labels) == 2 and labels[0] == labels[1]:
            self.weights.setdefault(labels[0], []).append(Node("diagonal", 1, (matrix(factor),)))
        elif len(labels) == 2:
            self.edges.append((labels[0], labels[1], matrix(factor)))
        else:
            raise NotMatrix

    def at(self, label: int) -> list[int]:
        """The edges that end at a label."""
        return [k for k, (i, j, _) in enumerate(self.edges) if label in (i, j)]

    def walked(self, k: int, start: int) -> tuple[int, Node]:
        """An edge as a matrix whose rows are ``start``, and the label of its columns."""
        i, j, node = self.edges[k]
        return (j, node) if i == start else (i, transpose(node))

    def weight(self, label: int) -> Node | None:
        """The vector on a label, None for ones."""
        return hadamard(found) if (found := self.weights.get(label)) else None

    def _turn(self, label: int) -> tuple[int, bool]:
        """Loose ends first, of those the ones that are columns."""
        ends = self.at(label)
        return len(ends), len(ends) == 1 and self.edges[ends[0]][0] == label

    def contract(self) -> None:
        """Every summed label, one after the other: loose ends first, then the middles of chains."""
        summed = [label for label in range(len(self.dims)) if label not in self.out]
        while summed:
            self._closed_pairs(summed)
            if not summed:
                return
            self.merge_parallel()
            label = min(summed, key=self._turn)
            ends = self.at(label)
            if len(ends) > 2:
                raise NotMatrix
            summed.remove(label)
            weight = self.weight(label)
            self.weights.pop(label, None)
            if not ends:
                self.scalars.append((_dot(weight, self.dims[label]), Fraction(1)))
                continue
            others = [self.walked(k, label) for k in ends]
            self.edges = [edge for k, edge in enumerate(self.edges) if k not in ends]
            if len(others) == 1:
                ((other, node),) = others
                end = ones(self.dims[label]) if weight is None else weight
                self.weights.setdefault(other, []).append(chain([transpose(node), end]))
            else:
                (one, left), (other, right) = others
                middle = [] if weight is None else [diag(weight)]
                self.edges.append((one, other, chain([transpose(left), *middle, right])))

    def _closed_pairs(self, summed: list[int]) -> None:
        """Two edges between two summed labels and nothing else: a trace; one that is squared: the square of a norm."""
        for i, j, node in list(self.edges):
            alone = all(k in summed and len(self.at(k)) == 1 and k not in self.weights for k in (i, j))
            if alone and node.op == "power" and node.value == 2:
                self.edges.remove((i, j, node))
                self.scalars.append((Node("norm", 0, node.args), Fraction(2)))
                summed[:] = [k for k in summed if k not in (i, j)]
        for label in list(summed):
            ends = self.at(label)
            if label not in summed or len(ends) != 2 or label in self.weights:
                continue
            (one, A), (other, B) = (self.walked(k, label) for k in ends)
            if one == other and one in summed and one not in self.weights and len(self.at(one)) == 2:
                self.edges = [edge for k, edge in enumerate(self.edges) if k not in ends]
                self.scalars.append((_trace([transpose(A), B]), Fraction(1)))
                summed.remove(label)
                summed.remove(one)

    def merge_parallel(self) -> None:
        """Edges between the same two labels as one, entry by entry."""
        found: dict[tuple[int, int], list[Node]] = {}
        for i, j, node in self.edges:
            if (j, i) in found:
                found[j, i].append(transpose(node))
            else:
                found.setdefault((i, j), []).append(node)
        self.edges = []
        for (i, j), nodes in found.items():
            if i == j:
                self.weights.setdefault(i, []).extend(Node("diagonal", 1, (node,)) for node in nodes)
            else:
                self.edges.append((i, j, hadamard(nodes)))


def _trace(nodes: Sequence[Node]) -> Node:
    """tr of a product, or of its transpose; of MᵀM the squared norm."""
    product = min(chain(nodes), transpose(chain(nodes)), key=transposes)
    if product.op == "scaled":
        coefficient, exponents = product.value
        return scaled(coefficient, list(zip(product.args[1:], exponents, strict=True)), _trace([product.args[0]]))
    if product.op == "chain" and len(product.args) == 2 and product.args[0] == transpose(product.args[1]):
        return scaled(1, [(Node("norm", 0, (product.args[1],)), Fraction(2))])
    return Node("trace", 0, (product,))


def _dot(weight: Node | None, dim: Dim) -> Node:
    """The sum of the entries of a vector: wᵀv if it is a product, else 1ᵀv."""
    if weight is None:
        return Node("size", 0, (), dim)
    if weight.op == "scaled":
        coefficient, exponents = weight.value
        return scaled(coefficient, list(zip(weight.args[1:], exponents, strict=True)), _dot(weight.args[0], dim))
    if weight.op == "diagonal":
        return _trace([weight.args[0]])
    if weight.op == "power" and weight.value == 2:
        return scaled(1, [(Node("norm", 0, weight.args), Fraction(2))])
    if weight.op == "hadamard":
        basis = [node for node in weight.args if node.op == "basis"]
        if basis and len(weight.args) == 2:
            (other,) = [node for node in weight.args if node is not basis[0]]
            if other.op == "basis":
                if other.value == basis[0].value or all(isinstance(node.value[0], int) for node in weight.args):
                    return Node("number", 0, (), Fraction(int(other.value == basis[0].value)))
                return chain([transpose(other), basis[0]])
            if other.op in ("symbol", "sum", "part", "operator", "call"):
                return Node("entry", 0, (other,), basis[0].value[0])
        first, *rest = sorted(weight.args, key=lambda node: node.op == "chain" and node.args[0].rank == 2)
        return chain([transpose(first), hadamard(rest)])
    if weight.op == "chain" and weight.args[0].op == "diag":
        return chain([transpose(weight.args[0].args[0]), *weight.args[1:]])
    return chain([transpose(ones(dim)), weight])


def _product(tensor: Product) -> Node:
    if constant(tensor) is not None and not tensor.shape:
        return Node("number", 0, (), tensor.coefficient)
    scalars = [_scalar_power(*split_power(factor)) for factor, labels in tensor.factors if not labels]
    others = [part for part in tensor.factors if part[1]]
    if len(others) == 1 and not tensor.out:
        vector = _squared(Product((), Fraction(1), tuple(others), (), tensor.dims))
        if vector is not None:
            return scaled(tensor.coefficient, [*scalars, (Node("norm", 0, (matrix(vector),)), Fraction(2))])
    graph = Graph(tensor)
    graph.contract()
    graph.merge_parallel()
    return scaled(tensor.coefficient, graph.scalars, _ends(graph))


def _ends(graph: Graph) -> Node:
    """What is left when all summed labels are gone: the row and the column."""
    out, dims = graph.out, graph.dims
    if not out:
        return UNIT
    row = graph.weight(out[0])
    if len(out) == 1:
        return ones(dims[out[0]]) if row is None else row
    column = graph.weight(out[1])
    if out[0] == out[1]:
        return Node("eye", 2, (), dims[out[0]]) if row is None else diag(row)
    if graph.edges:
        ((i, _, node),) = graph.edges
        node = node if i == out[0] else transpose(node)
        left = [] if row is None else [diag(row)]
        right = [] if column is None else [diag(column)]
        return chain([*left, node, *right])
    left = ones(dims[out[0]]) if row is None else row
    right = ones(dims[out[1]]) if column is None else column
    return chain([left, transpose(right)])
