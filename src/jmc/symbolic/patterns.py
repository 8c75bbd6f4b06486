"""What people write in several operations and know by one name: softmax, log-sum-exp, log-softmax, log-determinant."""

from jmc.symbolic.algebra import ONE, add, negated, power, product, repeated, scale, split, split_power
from jmc.symbolic.factoring import over_square
from jmc.symbolic.functions import apply
from jmc.symbolic.operators import HALF, logsumexp, softmax
from jmc.symbolic.tensor import Argument, Map, Op, Product, Size, Sum, Tensor, constant


def quotient(a: Tensor, b: Tensor) -> Tensor | None:
    """exp(u)/Σ exp(u) along one axis is a softmax, which a shift of u along the axis does not change."""
    if not (isinstance(a, Map) and a.function == "exp" and isinstance(b, Product)):
        return None
    axes = range(len(a.shape))
    for axis in axes:
        rest = [k for k in axes if k != axis]
        total = product(ONE, [(a, tuple(axes))], rest, dict(enumerate(a.shape)))
        if repeated(total, a.shape, rest) == b:
            u = without_constant(a.args[0], axis)[0]
            moved = product(ONE, [(u, tuple(axes))], (*rest, axis), dict(enumerate(a.shape)))
            return product(ONE, [(softmax(moved), (*rest, axis))], tuple(axes), dict(enumerate(a.shape)))
    return None


def logarithm(x: Tensor) -> Tensor:
    """ln x, of which ln Σ exp(u) along one axis is a log-sum-exp, a shift of u taken out."""
    if isinstance(x, Map) and x.function == "abs" and positive(x.args[0]):
        x = x.args[0]
    if isinstance(x, Product) and x.coefficient == 1 and len(x.factors) == 2:
        for (chosen, labels), (other, others) in (x.factors, x.factors[::-1]):
            if one_hot(chosen) and labels[-1] not in x.out and len(set(x.out)) == len(x.out):
                parts = [(chosen, labels), (logarithm(other), others)]
                return product(ONE, parts, x.out, dict(enumerate(x.dims)))
    if isinstance(x, Product) and x.coefficient == 1 and len(x.factors) == 1:
        (e, labels), out = x.factors[0], x.out
        summed = [label for label in labels if label not in out]
        clear = len(set(labels)) == len(labels) and len(set(out)) == len(out)
        if isinstance(e, Map) and e.function == "exp" and len(summed) == 1 and clear and set(out) < set(labels):
            axis = labels.index(summed[0])
            u, shift = without_constant(e.args[0], axis)
            rest = [k for k in range(len(labels)) if k != axis]
            moved = product(ONE, [(u, tuple(range(len(labels))))], (*rest, axis), dict(enumerate(u.shape)))
            dims = dict(enumerate(x.dims))
            terms = [product(ONE, [(logsumexp(moved), tuple(labels[k] for k in rest))], out, dims)]
            if shift is not None:
                terms.append(product(ONE, [(shift, tuple(labels[k] for k in rest))], out, dims))
            return add(terms)
    return apply("log", x)


def root(x: Tensor) -> Tensor:
    """√x, in which √(a/s² + b/s²) is √(a + b)/s, for a positive s."""
    whole = over_square(x, positive) if isinstance(x, Sum) else x
    if isinstance(whole, Product) and len(set(whole.out)) == len(whole.out):
        out, dims = whole.out, dict(enumerate(whole.dims))
        squares = [part for part in whole.factors if _square_below(part[0]) and set(part[1]) <= set(out)]
        if squares:
            rest = product(whole.coefficient, [part for part in whole.factors if part not in squares], out, dims)
            below = [(power(split_power(t)[0], -1), labels) for t, labels in squares]
            return product(ONE, [*below, (power(rest, HALF), out)], out, dims)
    return power(x, HALF)


def _square_below(tensor: Tensor) -> bool:
    """Whether it is 1/s² of a positive s."""
    base, exponent = split_power(tensor)
    return exponent == -2 and positive(base)


def one_hot(tensor: Tensor) -> bool:
    """Whether it is 1 at one place along its last axis, and 0 elsewhere."""
    if isinstance(tensor, Argument):
        return "one-hot" in tensor.facts
    return isinstance(tensor, Op) and (tensor.name == "onehot" or tensor.name.startswith("basis"))


def without_constant(u: Tensor, axis: int) -> tuple[Tensor, Tensor | None]:
    """u without the terms that are the same all along the axis, and their sum without that axis."""
    terms = u.terms if isinstance(u, Sum) else (u,)
    same, moving = [], []
    for term in terms:
        short = constant_along(term, axis)
        (moving.append(term) if short is None else same.append(short))
    if not same or not moving:
        return u, None
    return add(moving), add(same)


def constant_along(term: Tensor, axis: int) -> Tensor | None:
    """The term without this axis, if that is an axis of ones."""
    if not isinstance(term, Product) or term.out.count(term.out[axis]) > 1:
        return None
    if any(term.out[axis] in labels for _, labels in term.factors):
        return None
    out = [label for k, label in enumerate(term.out) if k != axis]
    dims = {label: dim for label, dim in enumerate(term.dims) if label != term.out[axis]}
    return product(term.coefficient, term.factors, out, dims)


def difference(total: Tensor) -> Tensor:
    """A sum in which z − ln Σ exp(z) is written as the log-softmax of z."""
    if not isinstance(total, Sum):
        return total
    for term in total.terms:
        coefficient, rest = split(term)
        if coefficient != -1 or not isinstance(rest, Product) or len(rest.factors) != 1:
            continue
        lse, labels = rest.factors[0]
        if not (isinstance(lse, Op) and lse.name == "logsumexp"):
            continue
        free = [k for k, label in enumerate(rest.out) if label not in labels]
        if len(free) != 1 or len(set(rest.out)) != len(rest.out):
            continue
        (z,) = lse.args
        order = (*(rest.out.index(label) for label in labels), free[0])
        dims = dict(enumerate(total.shape))
        placed = product(ONE, [(z, order)], tuple(range(len(total.shape))), dims)
        found = product(ONE, [(Op(z.shape, "log_softmax", (z,)), order)], tuple(range(len(total.shape))), dims)
        left = add([*total.terms, negated(placed), scale(-1, term)])
        count = len(left.terms) if isinstance(left, Sum) else int(constant(left) != 0)
        if count < len(total.terms) - 1 or constant(left) == 0:
            return difference(add([left, found]))
    return total


def positive(x: Tensor) -> bool:
    """Whether it is positive as it is written."""
    if isinstance(x, (Argument, Size)):
        return isinstance(x, Size) or bool({"positive"} & x.facts)
    if isinstance(x, Map) and x.function == "power":
        return positive(x.args[0])
    if isinstance(x, Map) and x.function == "where":
        condition, a, b = x.args
        above = isinstance(condition, Map) and condition.function == "gt" and condition.args[0] == a
        return positive(b) and (positive(a) or (above and positive(condition.children[1])))
    if isinstance(x, Map):
        return x.function in ("exp", "sigmoid", "cosigmoid", "sech2", "cosh")
    if isinstance(x, Op):
        return x.name == "softmax"
    if isinstance(x, Sum):
        return all(positive(term) for term in x.terms)
    return isinstance(x, Product) and x.coefficient > 0 and all(positive(factor) for factor, _ in x.factors)
