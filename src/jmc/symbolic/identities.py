"""What products of certain factors are: X⁻¹ X is I, the entries of a softmax sum to 1."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from jmc.symbolic.tensor import Argument, Dim, Labels, Map, Number, Op, Product, Tensor

INDICATORS = {"step", "not", "gt", "ge", "lt", "le", "eq", "ne"}
Part = tuple[Tensor, Labels]
Found = tuple[Number, list[Part], dict[int, int]]


def simpler(parts: Sequence[Part], out: Labels, sizes: Mapping[int, Dim]) -> Found | None:
    """A coefficient, the factors that are left, and labels to be renamed; None if nothing is known."""
    count: dict[int, int] = {}
    for _, labels in parts:
        for label in labels:
            count[label] = count.get(label, 0) + 1
    for i, (tensor, labels) in enumerate(parts):
        rest = [*parts[:i], *parts[i + 1 :]]
        lone = [k for k, label in enumerate(labels) if count[label] == 1 and label not in out]
        if isinstance(tensor, Op) and lone:
            last = len(labels) - 1
            if tensor.name in ("softmax", "onehot") and last in lone and _rest_known(labels, count, out):
                return Fraction(1), rest, {}
            if tensor.name == "covariance" and (last in lone or last - 1 in lone):
                return Fraction(0), rest, {}
        if lone and isinstance(tensor, Op) and tensor.name.startswith("basis"):
            return Fraction(1), rest, {}
        if lone and (matrix := _cholesky_diagonal(tensor)) is not None:
            return Fraction(1, 2), [*rest, (Op((), "logdet", (matrix,)), ())], {}
        one_hot = isinstance(tensor, Argument) and "one-hot" in tensor.facts
        if one_hot and len(labels) - 1 in lone and _rest_known(labels, count, out):
            return Fraction(1), rest, {}
        if isinstance(tensor, Op) and tensor.name.startswith("basis") and labels[0] not in out:
            for other, others in rest:
                if isinstance(other, Op) and other.name.startswith("basis") and others == labels:
                    left = [part for part in rest if part != (other, others)]
                    fixed = all(op.name.rpartition("|")[2].isdigit() for op in (tensor, other))
                    if all(labels[0] not in ls for _, ls in left) and (fixed or other.name == tensor.name):
                        return Fraction(int(other.name == tensor.name)), left, {}
        if isinstance(tensor, Op) and tensor.name == "inv" and len(labels) == 2:
            found = _cancelled(tensor.args[0], labels, rest, count, out, sizes)
            if found is not None:
                return found
        if isinstance(tensor, Op) and tensor.name == "expm slope":
            found = _commuting(tensor.args[0], labels, rest, count, out)
            if found is not None:
                return found
    return _tangent(parts) or _signed(parts) or _chosen(parts) or _orthogonal(parts, count, out, sizes)


def _cholesky_diagonal(tensor: Tensor) -> Tensor | None:
    """A of ln L_ii with A = L Lᵀ, which sum to half of ln det A."""
    if isinstance(tensor, Map) and tensor.function == "log" and isinstance(inner := tensor.args[0], Product):
        (factor, labels), *others = inner.factors or ((inner, ()),)
        if not others and inner.coefficient == 1 and isinstance(factor, Op) and factor.name == "cholesky":
            return factor.args[0] if len(set(labels)) == 1 else None
    return None


def _signed(parts: Sequence[Part]) -> Found | None:
    """sign(x) |x| is x, sign(x)/|x| is 1/x, and sign(x) x is |x|."""
    for i, (tensor, labels) in enumerate(parts):
        if not (isinstance(tensor, Map) and tensor.function == "sign"):
            continue
        (x,) = tensor.args
        size = Map(tensor.shape, "abs", (x,))
        over = Map(tensor.shape, "power", (size,), Fraction(-1))
        for one, found in ((size, x), (over, Map(tensor.shape, "power", (x,), Fraction(-1))), (x, size)):
            if (one, labels) in parts:
                rest = [part for k, part in enumerate(parts) if k != i and part != (one, labels)]
                return Fraction(1), [*rest, (found, labels)], {}
    return None


def _chosen(parts: Sequence[Part]) -> Found | None:
    """A power of 1[…] is 1[…] itself, and 1[…] (1 − 1[…]) is 0."""
    for i, (tensor, labels) in enumerate(parts):
        rest = [*parts[:i], *parts[i + 1 :]]
        if isinstance(tensor, Map) and tensor.function == "power" and tensor.number > 0:
            (base,) = tensor.args
            if isinstance(base, Map) and base.function in INDICATORS:
                return Fraction(1), [*rest, (base, labels)], {}
        if isinstance(tensor, Map) and tensor.function == "not" and (tensor.args[0], labels) in parts:
            return Fraction(0), rest, {}
    return None


def _tangent(parts: Sequence[Part]) -> Found | None:
    """sinh/cosh, and sin/cos."""
    for i, (tensor, labels) in enumerate(parts):
        if isinstance(tensor, Map) and tensor.function in ("sinh", "sin"):
            below = Map(tensor.shape, "cosh" if tensor.function == "sinh" else "cos", tensor.args)
            over = (Map(tensor.shape, "power", (below,), Fraction(-1)), labels)
            if over in parts:
                rest = [part for k, part in enumerate(parts) if k != i and part != over]
                whole = Map(tensor.shape, "tanh" if tensor.function == "sinh" else "tan", tensor.args)
                return Fraction(1), [*rest, (whole, labels)], {}
    return None


def _rest_known(labels: Labels, count: dict[int, int], out: Labels) -> bool:
    """Whether the axes before the last are also those of other factors, or of the value."""
    return len(set(labels)) == len(labels) and all(label in out or count[label] > 1 for label in labels[:-1])


def _cancelled(
    matrix: Tensor,
    labels: Labels,
    rest: Sequence[Part],
    count: dict[int, int],
    out: Labels,
    sizes: Mapping[int, Dim],
) -> Found | None:
    """X⁻¹_ij X_jk = δ_ik, on either side."""
    for j, (tensor, others) in enumerate(rest):
        if tensor != matrix:
            continue
        for near, far, other_near, other_far in ((1, 0, 0, 1), (0, 1, 1, 0)):
            label = labels[near]
            if others[other_near] == label and label not in out and count[label] == 2:
                left = [*rest[:j], *rest[j + 1 :]]
                return _unified(left, labels[far], others[other_far], out, sizes)
    return None


def _unified(left: list[Part], one: int, other: int, out: Labels, sizes: Mapping[int, Dim]) -> Found:
    """What is left when two labels are found to be one; the δ of a label that is nowhere else sums to its size."""
    used = {label for _, labels in left for label in labels} | set(out)
    if one == other or (one not in used and other not in used):
        dim = sizes[one]
        if one in used:
            return Fraction(1), left, {}
        return Fraction(1), [*left, (Product((dim,), Fraction(1), (), (0,), (dim,)), (one,))], {}
    keep, drop = (one, other) if one in out else (other, one)
    return Fraction(1), left, {drop: keep}


def _commuting(
    matrix: Tensor, labels: Labels, rest: Sequence[Part], count: Mapping[int, int], out: Labels
) -> Found | None:
    """Of d exp A = ∫ exp(sA) dA exp((1 − s)A) ds the trace is tr(exp(A) dA), and where A is x dA it is dA exp A."""
    i, j, a, b = labels
    exponential = Op(matrix.shape, "expm", (matrix,))
    if i == j and i not in out and count[i] == 2:
        return Fraction(1), [*rest, (exponential, (b, a))], {}
    for k, (tensor, at) in enumerate(rest):
        alone = all(label not in out and count[label] == 2 for label in (a, b))
        if at == (a, b) and a != b and alone and _scalar_multiple(matrix, tensor):
            return Fraction(1), [*rest[:k], *rest[k + 1 :], (tensor, (i, a)), (exponential, (a, j))], {}
    return None


def _scalar_multiple(matrix: Tensor, of: Tensor) -> bool:
    """Whether it is this matrix times scalars."""
    factors = matrix.factors if isinstance(matrix, Product) else ((matrix, (0, 1)),)
    return [part for part in factors if part[1]] == [(of, (0, 1))] and getattr(matrix, "out", (0, 1)) == (0, 1)


def _orthogonal(parts: Sequence[Part], count: dict[int, int], out: Labels, sizes: Mapping[int, Dim]) -> Found | None:
    """Q_ki Q_kj = δ_ij, and Q_ik Q_jk; of some rows of the identity the latter alone."""
    for i, (tensor, labels) in enumerate(parts):
        orthogonal = isinstance(tensor, Argument) and "orthogonal" in tensor.facts
        orthogonal = orthogonal or (isinstance(tensor, Op) and tensor.name == "eigenvectors")
        cut = isinstance(tensor, Op) and tensor.name.startswith("rows")
        if not (orthogonal or cut) or len(labels) != 2:
            continue
        for j in range(i):
            other, others = parts[j]
            if other != tensor:
                continue
            for k in (1,) if cut else (0, 1):
                if labels[k] == others[k] and labels[k] not in out and count[labels[k]] == 2:
                    left = [part for n, part in enumerate(parts) if n not in (i, j)]
                    return _unified(left, labels[1 - k], others[1 - k], out, sizes)
    return None
