"""A linear map as a sparse array of JAX's: each term's entries, at the positions that its labels give."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.experimental.sparse import BCOO

from jmc.linear.contract import aligned, check_size, contract
from jmc.linear.substitute import positions, spread
from jmc.linear.term import Term, labels_on


def to_bcoo(terms: Sequence[Term], shape: Sequence[int], dtype: Any, max_bytes: int) -> BCOO:
    """The sum of the terms as a BCOO array; an entry that lies outside an axis has its index outside ``shape``."""
    data, indices = [], []
    for term in terms:
        labels = labels_on(term.axes)
        sizes = [label.size for label in labels]
        check_size([*sizes, len(shape)], "int32", max_bytes, "the indices of a sparse array")
        array, order = contract(term.factors, labels, dtype, max_bytes)
        values = jnp.broadcast_to(aligned(array, order, labels), sizes)
        if term.coefficient != 1:
            values = values * jnp.asarray(term.coefficient, dtype)
        places, valid = [], jnp.ones(sizes, bool)
        for axis in term.axes:
            where, own = positions(axis)
            where = jnp.broadcast_to(jnp.asarray(spread(where, own, labels), "int32"), sizes)
            valid = valid & (where >= 0) & (where < axis.size)
            places.append(where)
        bounds = jnp.asarray(shape, "int32")
        count = math.prod(sizes)
        index = jnp.stack(places, axis=-1) if places else jnp.zeros((*sizes, 0), "int32")
        indices.append(jnp.where(valid[..., None], index, bounds).reshape(count, len(shape)))
        data.append(values.reshape(count))
    if not terms:
        return BCOO((jnp.zeros(0, dtype), jnp.zeros((0, len(shape)), "int32")), shape=tuple(shape))
    return BCOO((jnp.concatenate(data), jnp.concatenate(indices)), shape=tuple(shape))
