"""What is known of values that do not depend on the argument: views, constants, integers that count along an axis."""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn, Literal, Primitive
from jax.extend.core import primitives as p

from jmc.differentiate.operation import Memo, Operation, Value, literal, value


def inexact(aval: Any) -> bool:
    """Whether a value of this type can move: floating-point or complex."""
    return jnp.issubdtype(aval.dtype, jnp.inexact)


def is_complex(aval: Any) -> bool:
    """Whether a value of this type is complex."""
    return jnp.issubdtype(aval.dtype, jnp.complexfloating)


def integer(v: Value | None) -> int | None:
    """The value as a number, if it is known while tracing."""
    array = None if v is None else v.array
    if isinstance(array, np.ndarray) and array.shape == ():
        array = array[()]
    return int(array) if isinstance(array, (int, np.integer, np.bool_)) else None


def evaluated(eqn: JaxprEqn, values: Sequence[Value], memo: Memo) -> list[Value]:
    """The results of an equation; what only repeats or transposes an array stays a view of it."""
    if (key := _key(eqn, values)) is None:
        return _evaluated(eqn, values)
    if key not in memo:
        memo[key] = _evaluated(eqn, values), values
    return memo[key][0]


def _key(eqn: JaxprEqn, values: Sequence[Value]) -> Any:
    """What tells an equation at its operands from all others; None if it has effects, a state, or no hash."""
    if eqn.effects or eqn.primitive is p.rng_uniform_p:
        return None
    arrays = [v.array for v in values]
    names = tuple(
        id(a) if np.ndim(a) or isinstance(a, jax.Array) else (jax.typeof(a), np.asarray(a).tobytes()) for a in arrays
    )
    key = eqn.primitive, tuple(sorted(eqn.params.items())), names
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _name(array: Any) -> Any:
    """An array is itself; a number is its type and its bytes."""
    if np.ndim(array) or isinstance(array, jax.Array):
        return id(array)
    return jax.typeof(array), np.asarray(array).tobytes()


def slope(op: Operation, k: int) -> Value:
    """The derivative of an element-wise operation with respect to operand k: its JVP for a tangent of ones.

    It shares what the program evaluates too: exp is its own derivative.
    """
    avals = tuple(jax.typeof(v.array) for v in op.values)
    settings = op.primitive, tuple(sorted(op.params.items())), avals, k, jax.dtypes.canonicalize_dtype("float64")
    try:
        hash(settings)
        closed = _slope_program(*settings)
    except TypeError:
        closed = _slope_program.__wrapped__(*settings)
    known = dict(zip(closed.jaxpr.invars, op.values, strict=True))
    known.update((var, value(const)) for var, const in zip(closed.jaxpr.constvars, closed.consts, strict=True))

    def read(atom: Any) -> Value:
        return literal(atom.val) if isinstance(atom, Literal) else known[atom]

    for eqn in closed.jaxpr.eqns:
        known.update(zip(eqn.outvars, evaluated(eqn, [read(atom) for atom in eqn.invars], op.memo), strict=True))
    return read(closed.jaxpr.outvars[0])


@functools.lru_cache(maxsize=4096)
def _slope_program(
    primitive: Primitive, params: tuple[tuple[str, Any], ...], avals: tuple[Any, ...], k: int, _widest: Any
) -> Any:
    bound = primitive.get_bind_params(dict(params))

    def f(*arrays: Any) -> Any:
        def moved(x: Any) -> Any:
            return primitive.bind(*arrays[:k], x, *arrays[k + 1 :], **bound)

        _, tangent = jax.jvp(moved, arrays[k : k + 1], (jnp.ones_like(arrays[k]),))
        return tangent

    return jax.make_jaxpr(f)(*avals)


def _evaluated(eqn: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    if (same := _unit(eqn, values)) is not None:
        return [same]
    if (indices := _integers(eqn, values)) is not None:
        return [value(indices, computed=False)]
    found = eqn.primitive.bind(*[v.array for v in values], **eqn.primitive.get_bind_params(eqn.params))
    arrays = list(found) if eqn.primitive.multiple_results else [found]
    view = _known_value(eqn, values, arrays[0]) if len(arrays) == 1 else None
    return [view or value(array) for array in arrays]


def _unit(eqn: JaxprEqn, values: Sequence[Value]) -> Value | None:
    """x, where the result is 1·x or x·1."""
    if eqn.primitive is p.mul_p:
        for one, other in (values, values[::-1]):
            if one.literal == 1 and isinstance(other.array, jax.Array):
                return other if jax.typeof(other.array) == eqn.outvars[0].aval else None
    return None


# What compares and counts, as NumPy has it.
NUMPY = {
    p.add_p: np.add,
    p.sub_p: np.subtract,
    p.mul_p: np.multiply,
    p.neg_p: np.negative,
    p.max_p: np.maximum,
    p.min_p: np.minimum,
    p.lt_p: np.less,
    p.le_p: np.less_equal,
    p.gt_p: np.greater,
    p.ge_p: np.greater_equal,
    p.eq_p: np.equal,
    p.ne_p: np.not_equal,
    p.and_p: np.bitwise_and,
    p.or_p: np.bitwise_or,
    p.copy_p: np.asarray,
    p.stop_gradient_p: np.asarray,
}


def broadcast(x: Any, shape: Sequence[int], dimensions: Sequence[int]) -> np.ndarray:
    """`x`, whose axes become these dimensions of an array of this shape."""
    axes = [1] * len(shape)
    for d, n in zip(dimensions, np.shape(x), strict=True):
        axes[d] = n
    return np.broadcast_to(np.reshape(x, axes), shape)


# Larger arrays of integers are left to the compiler.
_MOST_INTEGERS = 2**16


def _integers(eqn: JaxprEqn, values: Sequence[Value]) -> np.ndarray | None:
    """The result while tracing, if it holds integers that are known: indices of slices, reads and writes."""
    params = eqn.params
    aval: Any = eqn.outvars[0].aval if len(eqn.outvars) == 1 else None
    if not hasattr(aval, "shape") or inexact(aval) or math.prod(aval.shape) > _MOST_INTEGERS:
        return None
    arrays = [v.array for v in values]
    if not all(isinstance(a, (bool, int, np.generic, np.ndarray)) for a in arrays):
        return None
    if aval.dtype not in (np.dtype(bool), np.dtype("int32"), np.dtype("int64")):
        return None
    found: Any = None
    match eqn.primitive:
        case p.iota_p if len(aval.shape) == 1:
            found = np.arange(aval.shape[0])
        case p.broadcast_in_dim_p:
            found = broadcast(arrays[0], aval.shape, params["broadcast_dimensions"])
        case p.reshape_p if params["dimensions"] is None:
            found = np.reshape(arrays[0], aval.shape)
        case p.squeeze_p:
            found = np.reshape(arrays[0], aval.shape)
        case p.convert_element_type_p:
            found = np.asarray(arrays[0])
        case p.concatenate_p:
            found = np.concatenate(arrays, params["dimension"])
        case p.select_n_p if len(arrays) == 3 and np.asarray(arrays[0]).dtype == bool:
            found = np.where(arrays[0], arrays[2], arrays[1])
        case primitive if primitive in NUMPY:
            found = NUMPY[primitive](*arrays)
    return None if found is None else np.broadcast_to(found, aval.shape).astype(aval.dtype)


def _known_value(eqn: JaxprEqn, values: Sequence[Value], array: Any) -> Value | None:
    """What is known of a result beyond its entries: see ``Value``."""
    primitive, shape = eqn.primitive, np.shape(array)
    if primitive is p.iota_p and np.ndim(array):
        return value(array)._replace(place=(0, ((eqn.params["dimension"], 1),)))
    if not values:
        return None
    source = values[0]
    if source.literal is not None and primitive in _CONSTANT and inexact(eqn.outvars[0].aval):
        return source._replace(array=array)
    if primitive is p.broadcast_in_dim_p:
        return _repeated(source, eqn.params["broadcast_dimensions"], array)
    if primitive is p.transpose_p:
        return _repeated(source, tuple(np.argsort(eqn.params["permutation"]).tolist()), array)
    if primitive in (p.copy_p, p.name_p):
        return source._replace(array=array)
    if primitive is p.stop_gradient_p:  # not the array itself, which may move in an outer derivative
        return value(array, source.computed)
    if primitive is p.convert_element_type_p and (source.place or source.delta):
        wide = array.dtype.itemsize >= 4  # narrower types do not hold every position
        return value(array)._replace(place=source.place if wide else None, delta=source.delta)
    if len(values) == 2:
        one, other = values
        if (
            one.literal is not None
            and other.literal is not None
            and primitive in _FOLDED
            and inexact(eqn.outvars[0].aval)
        ):
            return one._replace(array=array, literal=_FOLDED[primitive](one.literal, other.literal))
        if primitive is p.eq_p and one.place is not None and other.place is not None:
            return value(array)._replace(delta=(one.place, other.place))
        if one.place is not None and primitive in (p.add_p, p.sub_p) and np.shape(one.array) == shape:
            shift = integer(other)
            if shift is not None:
                offset, strides = one.place
                return value(array)._replace(place=(offset + (shift if primitive is p.add_p else -shift), strides))
    return None


def _repeated(source: Value, dims: Sequence[int], array: Any) -> Value:
    """``source`` with axis d moved to ``dims[d]``, other axes new; those of size 1 may be repeated."""
    shape = np.shape(array)
    stretched = [k for k, d in enumerate(source.dims) if np.shape(source.base)[k] != shape[dims[d]]]
    base = jax.lax.squeeze(jnp.asarray(source.base), stretched) if stretched else source.base
    kept = tuple(dims[d] for k, d in enumerate(source.dims) if k not in stretched)
    place = source.place
    if place is not None:
        offset, strides = place
        place = None if stretched else (offset, tuple((dims[d], stride) for d, stride in strides))
    return Value(array, base, kept, source.literal, source.computed, place)


# What makes of a constant the same constant, in another shape or type.
_CONSTANT = {
    p.broadcast_in_dim_p,
    p.reshape_p,
    p.squeeze_p,
    p.transpose_p,
    p.slice_p,
    p.convert_element_type_p,
    p.copy_p,
}
_FOLDED = {p.mul_p: operator.mul, p.add_p: operator.add, p.sub_p: operator.sub}
