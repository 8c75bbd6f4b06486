"""What is known of values that do not depend on the argument: views, constants, integers that count along an axis."""

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


def integer(v: Value | None) -> int | None:
    """The value as a number, if it is known while tracing."""
    array = None if v is None else v.array
    return int(array) if isinstance(array, (int, bool, np.integer, np.ndarray, np.bool_)) else None


def evaluated(eqn: JaxprEqn, values: Sequence[Value]) -> list[Value]:
    """The results of an equation; what only repeats or transposes an array stays a view of it."""
    found = eqn.primitive.bind(*[v.array for v in values], **eqn.primitive.get_bind_params(eqn.params))
    arrays = found if eqn.primitive.multiple_results else [found]
    view = _known_value(eqn, values, arrays[0]) if len(arrays) == 1 else None
    return [view or value(array) for array in arrays]


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
        return value(array)._replace(place=source.place, delta=source.delta)
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
