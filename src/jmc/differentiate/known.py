"""What is known of values that do not depend on the argument: views, constants, integers that count along an axis."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from jmc.differentiate.operation import Value, value


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


def evaluated(eqn: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """The results of an equation; what only repeats or transposes an array stays a view of it."""
    if (indices := _integers(eqn, values)) is not None:
        return [value(indices, computed=False)]
    found = eqn.primitive.bind(*[v.array for v in values], **eqn.primitive.get_bind_params(eqn.params))
    arrays = list(found) if eqn.primitive.multiple_results else [found]
    view = _known_value(eqn, values, arrays[0]) if len(arrays) == 1 else None
    return [view or value(array) for array in arrays]


# Integer arithmetic of indices, as NumPy has it.
_NUMPY = {
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
            shape = [1] * len(aval.shape)
            for d, n in zip(params["broadcast_dimensions"], np.shape(arrays[0]), strict=True):
                shape[d] = n
            found = np.broadcast_to(np.reshape(arrays[0], shape), aval.shape)
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
        case primitive if primitive in _NUMPY:
            found = _NUMPY[primitive](*arrays)
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
