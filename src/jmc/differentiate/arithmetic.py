"""Rules for arithmetic, element by element and in contractions: where the other operand is the factor."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives as p

from jmc.differentiate.known import slope
from jmc.differentiate.operation import linear, weight
from jmc.linear.substitute import substituted_factor
from jmc.linear.term import Axis, Factor, Label, Term, fresh, plain, plains


@linear(p.add_p, p.add_jaxvals_p)
def _add(op, k):
    return [op.scaled(k, fresh(op.out_shapes[0]))]


@linear(p.sub_p)
def _sub(op, k):
    return [op.scaled(k, fresh(op.out_shapes[0]), -1 if k else 1)]


@linear(p.neg_p)
def _neg(op, k):
    return [op.scaled(k, fresh(op.out_shapes[0]), -1)]


@linear(p.convert_element_type_p, p.copy_p, p.name_p, p.reduce_precision_p)
def _same(op, k):
    return [op.scaled(k, fresh(op.out_shapes[0]))]


@linear(p.stop_gradient_p)
def _stopped(op, k):
    return []


@linear(p.complex_p)
def _complex(op, k):
    return [op.scaled(k, fresh(op.out_shapes[0]), 1j if k else 1)]


@linear(p.mul_p)
def _mul(op, k):
    return op.times(k, 1 - k)


@linear(p.div_p)
def _div(op, k):
    labels = fresh(op.out_shapes[0])
    y = op.values[1]
    repeated = len(y.dims) < len(labels)  # along some axes: then its inverse is a smaller factor than the quotient
    if k == 1 and not repeated:
        x, y = op.values[0].array, y.array
        factor = Factor(jnp.broadcast_to(-(x / y) / y, op.out_shapes[0]), tuple(labels))
        return [op.scaled(k, labels, 1, (factor,))]
    if y.literal is not None and k == 0:
        return [op.scaled(k, labels, 1 / y.literal if y.literal else math.inf)]
    inverse = y._replace(base=_inverse(op, y), literal=None, computed=True)
    coefficient, factors = weight(inverse, labels)
    if k == 1:
        scale, numerator = op.weight(0, labels)
        coefficient, factors = -scale, (*numerator, *factors, *factors)
    return [op.scaled(k, labels, coefficient, factors)]


def _inverse(op, y):
    """1/y, the same array for both operands."""
    key = ("inverse", id(y.base))
    if key not in op.memo:
        op.memo[key] = 1 / jnp.asarray(y.base), [y]
    return op.memo[key][0]


@linear(p.select_n_p)
def _select_n(op, k):
    if k == 0:
        return []
    which = op.values[0]
    if k == 2 and which.delta is not None:
        return op.times(k, 0)
    labels = fresh(op.out_shapes[0])
    base = jnp.asarray(which.base)
    chosen = (base if k == 2 else ~base) if base.dtype == bool else base == k - 1
    mask = which._replace(base=chosen, literal=None, computed=True)
    return [op.scaled(k, labels, *weight(mask, labels))]


# contractions


@linear(p.reduce_sum_p)
def _reduce_sum(op, k):
    labels = fresh(op.in_shapes[0])
    return [Term(1, (), plains(m for d, m in enumerate(labels) if d not in op.params["axes"]), plains(labels))]


@linear(p.cumsum_p)
def _cumsum(op, k):
    axis, labels = op.params["axis"], fresh(op.in_shapes[0])
    source = Label(labels[axis].size)
    here, there = np.arange(source.size)[:, None], np.arange(source.size)[None, :]
    reached = jnp.asarray(here <= there if op.params["reverse"] else here >= there)
    axes = [plain(source) if d == axis else plain(m) for d, m in enumerate(labels)]
    return [Term(1, (Factor(reached, (labels[axis], source)),), plains(labels), tuple(axes))]


@linear(p.dot_general_p)
def _dot_general(op, k):
    contracted, batch = op.params["dimension_numbers"]
    names = [fresh(shape) for shape in op.in_shapes]
    for pairs in (contracted, batch):
        for i, j in zip(*pairs, strict=True):
            names[1][j] = names[0][i]
    free = [
        [label for d, label in enumerate(own) if d not in (*c, *b)]
        for own, c, b in zip(names, contracted, batch, strict=True)
    ]
    out = [*(names[0][i] for i in batch[0]), *free[0], *free[1]]
    coefficient, factors = weight(op.values[1 - k], names[1 - k])
    precision = op.params["precision"]
    precision = precision[0] if isinstance(precision, tuple) else precision
    if precision not in (None, jax.lax.Precision.DEFAULT):
        factors = tuple(factor._replace(precision=precision) for factor in factors)
    return [Term(coefficient, factors, plains(out), plains(names[k]))]


@linear(p.reduce_window_sum_p)
def _reduce_window_sum(op, k):
    params = op.params
    if any(n != 1 for n in params["base_dilation"]):
        return None
    out, window = fresh(op.out_shapes[0]), fresh(params["window_dimensions"])
    axes = []
    for n, o, w, s, d, (low, high) in zip(
        op.in_shapes[0],
        out,
        window,
        params["window_strides"],
        params["window_dilation"],
        params["padding"],
        strict=True,
    ):
        whole = w.size == 1 and s == 1 and not low and not high
        axes.append(plain(o) if whole else Axis(n, ((o, s), (w, d)), -low))
    return [Term(1, (), plains(out), tuple(axes))]


@linear(p.conv_general_dilated_p)
def _convolution(op, k):
    """out[n, g co, o] = Σ lhs[n, g ci, s o + d k − low] rhs[g co, ci, k]."""
    params = op.params
    if params["batch_group_count"] != 1 or any(n != 1 for n in params["lhs_dilation"]):
        return None
    lhs_spec, rhs_spec, out_spec = params["dimension_numbers"]
    lhs_shape, rhs_shape = op.in_shapes
    out_shape = op.out_shapes[0]
    groups = params["feature_group_count"]
    g, n = Label(groups), Label(out_shape[out_spec[0]])
    co, ci = Label(rhs_shape[rhs_spec[0]] // groups), Label(rhs_shape[rhs_spec[1]])
    o = [Label(out_shape[d]) for d in out_spec[2:]]
    w = [Label(rhs_shape[d]) for d in rhs_spec[2:]]

    def channel(label: Label) -> Axis:
        if groups == 1:
            return plain(label)
        return plain(g) if label.size == 1 else Axis(groups * label.size, ((g, label.size), (label, 1)))

    windows = []
    for d, a, b, s, dil, (low, high) in zip(
        lhs_spec[2:], o, w, params["window_strides"], params["rhs_dilation"], params["padding"], strict=True
    ):
        whole = b.size == 1 and s == 1 and not low and not high
        windows.append(plain(a) if whole else Axis(lhs_shape[d], ((a, s), (b, dil)), -low))

    def ordered(axes: list[Axis], spec: tuple[int, ...]) -> tuple[Axis, ...]:
        return tuple(axes[spec.index(d)] for d in range(len(spec)))

    lhs = ordered([plain(n), channel(ci), *windows], lhs_spec)
    rhs = ordered([channel(co), plain(ci), *plains(w)], rhs_spec)
    out = ordered([plain(n), channel(co), *plains(o)], out_spec)
    # the other operand becomes a factor: an array read at the positions of its axes
    other = op.values[1 - k].array
    factor = value_at(other, rhs if k == 0 else lhs, op.values[1 - k].computed)
    return [Term(1, (factor,), out, lhs if k == 0 else rhs)]


def value_at(array: Any, axes: tuple[Axis, ...], computed: bool) -> Factor:
    """The array as a factor on the labels of ``axes``, read at their positions, zero outside."""
    labels = fresh(np.shape(array))
    factor = Factor(array, tuple(labels), computed)
    for label, axis in zip(labels, axes, strict=True):
        factor = substituted_factor(factor, label, axis)
    return factor


# reductions and element-wise functions: the derivative is what JAX's rule says of a tangent or cotangent of ones


@linear(p.reduce_prod_p, p.reduce_max_p, p.reduce_min_p)
def _reduction(op, k):
    """Each result depends on entries of its own: a cotangent of ones collects all derivatives."""
    labels = fresh(op.in_shapes[0])
    out, pull = jax.vjp(op.bind, jnp.asarray(op.values[0].array))
    (slope,) = pull(jnp.ones_like(out))
    kept = plains(m for d, m in enumerate(labels) if d not in op.params["axes"])
    return [Term(1, (Factor(slope, tuple(labels)),), kept, plains(labels))]


_NAMES = (
    "abs acos acosh asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp cos cosh digamma erf erf_inv "
    "erfc exp exp2 expm1 floor igamma igammac integer_pow is_finite lgamma log log1p logistic max min nextafter "
    "polygamma pow random_gamma_grad regularized_incomplete_beta rem round rsqrt sign sin sinh sqrt square tan tanh "
    "zeta"
)
ELEMENTWISE = {primitive for name in _NAMES.split() if (primitive := getattr(p, f"{name}_p", None)) is not None}


@linear(*ELEMENTWISE)
def _elementwise(op, k):
    labels = fresh(op.out_shapes[0])
    return [op.scaled(k, labels, *weight(slope(op, k), labels))]


# linear systems


@linear(p.triangular_solve_p)
def _triangular_solve(op, k):
    """X = A⁻¹ B or B A⁻¹ is linear in B, column by column or row by row."""
    if k == 0:
        return None
    *batch, i, j = fresh(op.out_shapes[0])
    a = jnp.asarray(op.values[0].array)
    n = a.shape[-1]
    inverse = op.bind(a, jnp.broadcast_to(jnp.eye(n, dtype=a.dtype), a.shape))
    source = Label(n)
    left = op.params["left_side"]
    factor = Factor(inverse, (*batch, i, source) if left else (*batch, source, j))
    return [Term(1, (factor,), plains([*batch, i, j]), plains([*batch, source, j] if left else [*batch, i, source]))]
