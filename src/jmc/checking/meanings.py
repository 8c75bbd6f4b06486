"""What primitives compute, in NumPy: a small array takes microseconds, and nothing is compiled."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jax.extend.core import Literal
from jax.extend.core import primitives as p

from jmc.checking.oracles import double_precision
from jmc.differentiate.known import NUMPY, broadcast


def applied(eqn: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of an equation. What has no meaning here is handed to JAX."""
    if (plain := _PLAIN.get(eqn.primitive)) is not None:
        return [plain(*operands)]
    if (shaped := _SHAPED.get(eqn.primitive)) is not None:
        found = shaped(eqn.params, eqn.outvars[0].aval, *operands)
        if found is not None:
            return [found]
    if (moved := _MOVED.get(eqn.primitive.name)) is not None:
        return moved(eqn.params, *operands)
    with double_precision():
        found = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
    return [array(x) for x in (found if eqn.primitive.multiple_results else [found])]


def known(eqn: Any) -> bool:
    """Whether it is evaluated without JAX."""
    return eqn.primitive in _PLAIN or eqn.primitive in _SHAPED or eqn.primitive.name in _MOVED


def array(x: Any) -> Any:
    """As a NumPy array; what NumPy has no type for, such as a random key, stays as it is."""
    return x if jnp.issubdtype(getattr(x, "dtype", np.float64), jax.dtypes.extended) else np.asarray(x)


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x)) if np.iscomplexobj(x) else scipy.special.expit(x)


def _select(which: Any, *cases: Any) -> Any:
    return np.where(which, cases[1], cases[0]) if len(cases) == 2 else np.choose(which, cases)


def _div(x: Any, y: Any) -> Any:
    if np.result_type(x, y).kind in "iu":
        return np.asarray(np.trunc(np.divide(x, np.where(y == 0, 1, y)))).astype(np.result_type(x, y))
    return np.divide(x, y)


_PLAIN: dict[Any, Callable[..., Any]] = NUMPY | {
    p.add_jaxvals_p: np.add,
    p.div_p: _div,
    p.rem_p: np.fmod,
    p.pow_p: np.power,
    p.atan2_p: np.arctan2,
    p.abs_p: np.abs,
    p.sign_p: np.sign,
    p.floor_p: np.floor,
    p.ceil_p: np.ceil,
    p.exp_p: np.exp,
    p.exp2_p: np.exp2,
    p.log_p: np.log,
    p.log1p_p: np.log1p,
    p.expm1_p: np.expm1,
    p.sqrt_p: np.sqrt,
    p.rsqrt_p: lambda x: 1 / np.sqrt(x),
    p.cbrt_p: np.cbrt,
    p.square_p: np.square,
    p.sin_p: np.sin,
    p.cos_p: np.cos,
    p.tan_p: np.tan,
    p.asin_p: np.arcsin,
    p.acos_p: np.arccos,
    p.atan_p: np.arctan,
    p.sinh_p: np.sinh,
    p.cosh_p: np.cosh,
    p.tanh_p: np.tanh,
    p.asinh_p: np.arcsinh,
    p.acosh_p: np.arccosh,
    p.atanh_p: np.arctanh,
    p.logistic_p: _logistic,
    p.erf_p: scipy.special.erf,
    p.erfc_p: scipy.special.erfc,
    p.erf_inv_p: scipy.special.erfinv,
    p.lgamma_p: scipy.special.gammaln,
    p.digamma_p: scipy.special.digamma,
    p.real_p: np.real,
    p.imag_p: np.imag,
    p.conj_p: np.conj,
    p.complex_p: lambda x, y: x + 1j * y,
    p.is_finite_p: np.isfinite,
    p.xor_p: np.bitwise_xor,
    p.not_p: np.invert,
    p.select_n_p: _select,
    p.clamp_p: lambda low, x, high: np.minimum(np.maximum(x, low), high),
}


def _dot(params: Any, _: Any, x: Any, y: Any) -> Any:
    (over_x, over_y), (many_x, many_y) = params["dimension_numbers"]
    if not many_x:
        return np.tensordot(x, y, (over_x, over_y))
    names = iter(range(x.ndim + y.ndim))
    on_x = [next(names) for _ in range(x.ndim)]
    on_y = [-1] * y.ndim
    for a, b in (*zip(over_x, over_y, strict=True), *zip(many_x, many_y, strict=True)):
        on_y[b] = on_x[a]
    on_y = [next(names) if n < 0 else n for n in on_y]
    kept = [on_x[a] for a in many_x]
    kept += [n for a, n in enumerate(on_x) if a not in (*over_x, *many_x)]
    kept += [n for b, n in enumerate(on_y) if b not in (*over_y, *many_y)]
    return np.einsum(x, on_x, y, on_y, kept)


def _reduced(ufunc: Any) -> Callable[..., Any]:
    return lambda params, aval, x: np.asarray(ufunc.reduce(x, axis=tuple(params["axes"]))).astype(
        aval.dtype, copy=False
    )


def _cumulated(ufunc: Any) -> Callable[..., Any]:
    def cumulated(params: Any, _: Any, x: Any) -> Any:
        axis = params["axis"]
        if not params["reverse"]:
            return ufunc.accumulate(x, axis)
        return np.flip(ufunc.accumulate(np.flip(x, axis), axis), axis)

    return cumulated


def _pad(params: Any, aval: Any, x: Any, fill: Any) -> Any:
    if any(low < 0 or high < 0 for low, high, _ in params["padding_config"]):
        return None
    found = np.full(aval.shape, fill, np.asarray(x).dtype)
    ranges = [
        slice(low, low + (n - 1) * (inner + 1) + 1 if n else low, inner + 1)
        for (low, _, inner), n in zip(params["padding_config"], np.shape(x), strict=True)
    ]
    found[tuple(ranges)] = x
    return found


def _slice(params: Any, _: Any, x: Any) -> Any:
    strides = params["strides"] or (1,) * np.ndim(x)
    return x[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _starts(shape: Sequence[int], sizes: Sequence[int], starts: Sequence[Any]) -> tuple[slice, ...]:
    clipped = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(s, s + size) for s, size in zip(clipped, sizes, strict=True))


def _updated(_: Any, __: Any, x: Any, part: Any, *starts: Any) -> Any:
    found = np.array(x)
    found[_starts(np.shape(x), np.shape(part), starts)] = part
    return found


def _converted(params: Any, _: Any, x: Any) -> Any:
    dtype = params["new_dtype"]
    if jnp.issubdtype(dtype, jax.dtypes.extended):
        return None
    return (x.real if np.iscomplexobj(x) and np.dtype(dtype).kind != "c" else x).astype(dtype)


def _iota(params: Any, aval: Any) -> Any:
    along = [1] * len(aval.shape)
    along[params["dimension"]] = -1
    return np.broadcast_to(np.arange(aval.shape[params["dimension"]], dtype=aval.dtype).reshape(along), aval.shape)


MOST_UNKNOWNS = 128
"""Of a linear system that is solved by its matrix, column by column."""


def _solved(params: Any, aval: Any, *operands: Any) -> Any:
    """What a matrix, given by its product with any vector, takes to the right side: its factors need not be known."""
    consts, b = operands[:-1], operands[-1]
    if np.size(b) > MOST_UNKNOWNS or len(consts) != params["const_lengths"].matvec:
        return None
    matvec = params["jaxprs"].matvec
    basis = np.eye(b.size, dtype=b.dtype).reshape(b.size, *b.shape)
    columns = [np.ravel(evaluated(matvec.jaxpr, matvec.consts, [*consts, e])[0]) for e in basis]
    try:
        return np.linalg.solve(np.array(columns).T, np.ravel(b)).reshape(aval.shape)
    except np.linalg.LinAlgError:
        return np.full(aval.shape, np.nan)


def evaluated(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """The values of a program of equations."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom: Any) -> Any:
        return array(atom.val) if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        values.update(zip(eqn.outvars, applied(eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _top(at: Any) -> Callable[..., Any]:
    return lambda params, aval, x: at(x, params["axes"][0]).astype(aval.dtype)


_SHAPED: dict[Any, Callable[..., Any]] = {
    p.broadcast_in_dim_p: lambda params, aval, x, *more: (
        None if more else broadcast(x, aval.shape, params["broadcast_dimensions"])
    ),
    p.reshape_p: lambda params, aval, x, *more: (
        None if more or params["dimensions"] is not None else np.reshape(x, aval.shape)
    ),
    p.squeeze_p: lambda params, aval, x: np.reshape(x, aval.shape),
    p.transpose_p: lambda params, aval, x: np.transpose(x, params["permutation"]),
    p.linear_solve_p: _solved,
    p.rev_p: lambda params, aval, x: np.flip(x, params["dimensions"]),
    p.concatenate_p: lambda params, aval, *xs: np.concatenate(xs, params["dimension"]),
    p.dot_general_p: _dot,
    p.reduce_sum_p: _reduced(np.add),
    p.reduce_prod_p: _reduced(np.multiply),
    p.reduce_max_p: _reduced(np.maximum),
    p.reduce_min_p: _reduced(np.minimum),
    p.reduce_and_p: _reduced(np.logical_and),
    p.reduce_or_p: _reduced(np.logical_or),
    p.argmax_p: _top(np.argmax),
    p.argmin_p: _top(np.argmin),
    p.cumsum_p: _cumulated(np.add),
    p.cumprod_p: _cumulated(np.multiply),
    p.cummax_p: _cumulated(np.maximum),
    p.cummin_p: _cumulated(np.minimum),
    p.cumlogsumexp_p: _cumulated(np.logaddexp),
    p.integer_pow_p: lambda params, aval, x: np.power(x, float(params["y"])) if x.dtype.kind == "f" else None,
    p.pad_p: _pad,
    p.slice_p: _slice,
    p.dynamic_slice_p: lambda params, aval, x, *starts: x[_starts(np.shape(x), params["slice_sizes"], starts)],
    p.dynamic_update_slice_p: _updated,
    p.convert_element_type_p: _converted,
    p.iota_p: lambda params, aval, *more: None if more else _iota(params, aval),
}

# what some versions of JAX have as primitives, and none by a public name
_MOVED: dict[str, Callable[..., list[Any]]] = {
    "stack": lambda params, *xs: [np.stack(xs, params["axis"])],
    "unstack": lambda params, x: list(np.moveaxis(x, params["axis"], 0)),
    "split": lambda params, x: np.split(x, np.cumsum(params["sizes"])[:-1], params["axis"]),
    "tile": lambda params, x: [np.tile(x, params["reps"])],
}
