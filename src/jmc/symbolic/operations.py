"""What each operation of JAX is in the language of labels: broadcasts, sums and products, functions, comparisons."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.symbolic.algebra import (
    ONE,
    add,
    full,
    negated,
    number,
    power,
    product,
    reciprocal,
    repeated,
    times,
    transposed,
)
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.functions import apply, logistic_of
from jmc.symbolic.patterns import difference, logarithm, quotient, root
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.tensor import Dim, Op, Tensor, constant, is_zero, moves

Shape = tuple[Dim, ...]
_MAPS = {
    p.exp_p: "exp", p.log1p_p: "log1p", p.expm1_p: "expm1", p.sin_p: "sin", p.cos_p: "cos", p.tan_p: "tan",
    p.sinh_p: "sinh", p.cosh_p: "cosh", p.tanh_p: "tanh", p.asin_p: "asin", p.acos_p: "acos", p.atan_p: "atan",
    p.asinh_p: "asinh", p.logistic_p: "sigmoid", p.abs_p: "abs", p.sign_p: "sign", p.erf_p: "erf",
    p.lgamma_p: "lgamma", p.digamma_p: "digamma", p.erf_inv_p: "erf_inv", p.acosh_p: "acosh", p.atanh_p: "atanh",
    p.atan2_p: "atan2", p.floor_p: "floor", p.ceil_p: "ceil", p.round_p: "round", p.stop_gradient_p: "stop",
    p.max_p: "maximum", p.min_p: "minimum", p.gt_p: "gt", p.lt_p: "lt",
    p.le_p: "le", p.ne_p: "ne", p.not_p: "not",
}  # fmt: skip
_OVER = {
    p.reduce_max_p: "max", p.reduce_min_p: "min", p.reduce_prod_p: "prod", p.argmax_p: "argmax", p.argmin_p: "argmin",
}  # fmt: skip
_POWERS = {p.rsqrt_p: Fraction(-1, 2), p.square_p: Fraction(2), p.cbrt_p: Fraction(1, 3)}
_SAME = {p.copy_p, p.name_p, p.squeeze_p, p.reduce_precision_p}


class Pair:
    """An equation in both traces."""

    def __init__(self, one: Any, other: Any, sizes: Sizes):
        self.one, self.other, self.sizes = one, other, sizes

    def full_shape(self, var: int | None = None) -> Shape:
        """The shape of the result, or of an operand, with axes of size 1."""
        a, b = (e.outvars[0] if var is None else e.invars[var] for e in (self.one, self.other))
        found = tuple(self.sizes.dim(m, n) for m, n in zip(a.aval.shape, b.aval.shape, strict=True))
        if None in found:
            raise NoFormula(f"an axis of {a.aval.shape[found.index(None)]} entries has no symbol")
        return tuple(dim for dim in found if dim is not None)

    def shape(self, var: int | None = None) -> Shape:
        """The same without axes of size 1."""
        return tuple(dim for dim in self.full_shape(var) if dim != 1)

    def axes(self, numbers: Sequence[int], var: int) -> list[int]:
        """Axes of an operand counted without those of size 1."""
        kept = [k for k, dim in enumerate(self.full_shape(var)) if dim != 1]
        return [kept.index(k) for k in numbers if k in kept]

    def aligned(self, args: Sequence[Tensor]) -> list[Tensor]:
        """Operands of an element-wise operation, each repeated along the axes that it lacks; scalars stay scalars."""
        shape = self.full_shape()
        kept = [k for k, dim in enumerate(shape) if dim != 1]
        found = []
        for k, arg in enumerate(args):
            own = self.full_shape(k)
            at = [kept.index(axis) for axis, dim in enumerate(own) if dim != 1]
            found.append(arg if not own else repeated(arg, [shape[axis] for axis in kept], at))
        return found

    def map(self, name: str, args: Sequence[Tensor]) -> Tensor:
        """An element-wise function of the operands."""
        args = self.aligned(args)
        return apply(name, *args) if any(arg.shape for arg in args) or not self.shape() else full(0, self.shape())


def _same_shape(pair: Pair, *args: Tensor) -> list[Tensor]:
    """Operands of the shape of the result, scalars too."""
    return [arg if arg.shape == pair.shape() else repeated(arg, pair.shape(), ()) for arg in pair.aligned(args)]


def _div(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    a, b = pair.aligned([a, b])
    found = quotient(a, b if b.shape else repeated(b, a.shape, ()))
    if found is not None:
        return found
    sigma = logistic_of(b)
    return times(a, reciprocal(b) if sigma is None else sigma)


def _pow(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    a, b = pair.aligned([a, b])
    exponent = constant(b)
    return apply("pow", a, b) if exponent is None else power(a, exponent)


def _select(pair: Pair, condition: Tensor, *cases: Tensor) -> Tensor:
    if len(cases) != 2:
        raise NoFormula("a choice among more than two cases has no formula")
    if isinstance(condition, Op) and condition.name.startswith("tri") and is_zero(cases[1]):
        above = Op(condition.shape, f"tri|{-int(condition.name[4:]) - 1}", ())  # what is not below
        return times(transposed(above), _same_shape(pair, condition, cases[0], cases[0])[1])
    if not moves(condition) and is_zero(cases[0]):
        c, a = _same_shape(pair, condition, cases[1], cases[1])[:2]
        return times(c, a)
    c, b, a = _same_shape(pair, condition, *cases)
    return apply("where", c, a, b)


def _and(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    _check_boolean(pair)
    return times(*pair.aligned([a, b]))


def _or(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    _check_boolean(pair)
    return apply("maximum", *_same_shape(pair, a, b))


def _check_boolean(pair: Pair) -> None:
    if pair.one.outvars[0].aval.dtype != bool:
        raise NoFormula(f"the operation `{pair.one.primitive.name}` of integers has no formula")


def _clamp(pair: Pair, low: Tensor, x: Tensor, high: Tensor) -> Tensor:
    low, x, high = pair.aligned([low, x, high])
    return apply("minimum", apply("maximum", x, low), high)


def _broadcast(pair: Pair, x: Tensor) -> Tensor:
    shape = pair.full_shape()
    kept = [k for k, dim in enumerate(shape) if dim != 1]
    own = pair.full_shape(0)
    at = [kept.index(d) for d, dim in zip(pair.one.params["broadcast_dimensions"], own, strict=True) if dim != 1]
    return repeated(x, pair.shape(), at)


def _reduce_sum(pair: Pair, x: Tensor) -> Tensor:
    gone = pair.axes(pair.one.params["axes"], 0)
    kept = [k for k in range(len(x.shape)) if k not in gone]
    return product(ONE, [(x, tuple(range(len(x.shape))))], kept, dict(enumerate(x.shape)))


def _reduced(pair: Pair, x: Tensor) -> Tensor:
    """An operation over some axes at once, which become the last one."""
    gone = pair.axes(pair.one.params["axes"], 0)
    kept = [k for k in range(len(x.shape)) if k not in gone]
    name = _OVER[pair.one.primitive]
    if not gone:
        return full(0, x.shape) if name.startswith("arg") else x
    moved = product(ONE, [(x, tuple(range(len(x.shape))))], (*kept, *gone), dict(enumerate(x.shape)))
    if len(gone) > 1:
        raise NoFormula(f"the {name} over several axes has no formula")
    if name == "max" and isinstance(moved, Op) and moved.name == "singular values":
        return Op((), "spectral norm", moved.args)
    return Op(tuple(x.shape[k] for k in kept), name, (moved,))


def _transpose(pair: Pair, x: Tensor) -> Tensor:
    order = pair.axes(pair.one.params["permutation"], 0)
    return product(ONE, [(x, tuple(range(len(x.shape))))], order, dict(enumerate(x.shape)))


def _dot_general(pair: Pair, a: Tensor, b: Tensor) -> Tensor:
    (contract_a, contract_b), (batch_a, batch_b) = pair.one.params["dimension_numbers"]
    shape_a, shape_b = pair.full_shape(0), pair.full_shape(1)
    of_a = list(range(len(shape_a)))
    of_b = [100 + k for k in range(len(shape_b))]
    for i, j in zip((*contract_a, *batch_a), (*contract_b, *batch_b), strict=True):
        of_b[j] = of_a[i]
    batch = [of_a[i] for i in batch_a]
    out = [*batch, *(of_a[i] for i in range(len(shape_a)) if i not in (*contract_a, *batch_a))]
    out += [of_b[j] for j in range(len(shape_b)) if j not in (*contract_b, *batch_b)]
    every = [*zip(of_a, shape_a, strict=True), *zip(of_b, shape_b, strict=True)]
    dims = {label: dim for label, dim in every if dim != 1}
    parts = [(a, tuple(k for k in of_a if k in dims)), (b, tuple(k for k in of_b if k in dims))]
    return product(ONE, parts, [k for k in out if k in dims], dims)


def _reshape(pair: Pair, x: Tensor) -> Tensor:
    before = pair.shape(0)
    a, b = (tuple(n for n in e.outvars[0].aval.shape if n != 1) for e in (pair.one, pair.other))
    if (a, b) == tuple(pair.sizes.shape(before, which) for which in (0, 1)):
        return x
    raise NoFormula("a reshape that joins or splits axes has no formula")


def _convert(pair: Pair, x: Tensor) -> Tensor:
    before, after = (np.dtype(v.aval.dtype).kind for v in (pair.one.invars[0], pair.one.outvars[0]))
    if before in "fV" and after in "iub":
        raise NoFormula("the whole part of a number has no formula")
    return x


def _exp2(pair: Pair, x: Tensor) -> Tensor:
    return apply("exp", times(apply("log", number(2)), x))


def _named(name: str) -> Callable[..., Tensor]:
    return lambda pair, *args: pair.map(name, args)


def _powered(exponent: Fraction) -> Callable[..., Tensor]:
    return lambda pair, x: power(x, exponent)


RULES: dict[Any, Callable[..., Tensor]] = {
    **{primitive: _named(name) for primitive, name in _MAPS.items()},
    **{primitive: _powered(exponent) for primitive, exponent in _POWERS.items()},
    **{primitive: lambda pair, x: x for primitive in _SAME},
    p.sqrt_p: lambda pair, x: root(x),
    p.log_p: lambda pair, x: logarithm(x),
    p.exp2_p: _exp2,
    p.erfc_p: lambda pair, x: add([full(1, x.shape), negated(apply("erf", x))]),
    p.add_p: lambda pair, a, b: difference(add(_same_shape(pair, a, b))),
    p.sub_p: lambda pair, a, b: difference(add([(s := _same_shape(pair, a, b))[0], negated(s[1])])),
    p.mul_p: lambda pair, a, b: times(*pair.aligned([a, b])),
    p.neg_p: lambda pair, x: negated(x),
    p.div_p: _div,
    p.pow_p: _pow,
    p.integer_pow_p: lambda pair, x: power(x, pair.one.params["y"]),
    p.and_p: _and,
    p.or_p: _or,
    p.select_n_p: _select,
    p.clamp_p: _clamp,
    p.broadcast_in_dim_p: _broadcast,
    p.reduce_sum_p: _reduce_sum,
    **dict.fromkeys(_OVER, _reduced),
    p.transpose_p: _transpose,
    p.dot_general_p: _dot_general,
    p.reshape_p: _reshape,
    p.convert_element_type_p: _convert,
    p.is_finite_p: lambda pair, x: full(1, x.shape),
}
