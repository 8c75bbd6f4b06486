"""A scan of few equations in all, walked step by step."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from jmc.differentiate.operation import value
from jmc.linear.term import Axis, Term, fresh, plains


def unrolled(tape: Any, eqn: JaxprEqn, operands: Sequence[Any], line: str) -> list[Any]:
    """The scan's results: carries, then the stacked outputs."""
    params = eqn.params
    inner, length = params["jaxpr"], params["length"]
    jaxpr, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", [])
    # what has an axis more outside is scanned or stacked; the carries are what else comes out
    n_xs = sum(atom.aval.ndim > var.aval.ndim for atom, var in zip(eqn.invars, jaxpr.invars, strict=True))
    n_ys = sum(var.aval.ndim > atom.aval.ndim for var, atom in zip(eqn.outvars, jaxpr.outvars, strict=True))
    n_carry = len(eqn.outvars) - n_ys
    n_consts = len(operands) - n_carry - n_xs
    fixed, carry, xs = (
        operands[:n_consts],
        list(operands[n_consts : n_consts + n_carry]),
        operands[n_consts + n_carry :],
    )
    collected: list[list[Any]] = [[None] * length for _ in range(n_ys)]
    for i in reversed(range(length)) if params["reverse"] else range(length):
        outs = tape.walk(jaxpr, consts, [*fixed, *carry, *(_taken(tape, x, i) for x in xs)], line)
        carry = outs[:n_carry]
        for row, y in zip(collected, outs[n_carry:], strict=True):
            row[i] = y
    stacked = [_stacked(tape, row, var.aval) for row, var in zip(collected, eqn.outvars[n_carry:], strict=True)]
    return [*carry, *stacked]


def _taken(tape: Any, x: Any, i: int) -> Any:
    """Row i of a scanned array."""
    array = None if x.value is None else value(lax.index_in_dim(x.value.array, i, keepdims=False))
    out = type(x)(array)
    if x.active:
        shape = (x.aval or x.value.array).shape
        labels = fresh(shape[1:])
        out.active, out.aval = True, _row_aval(x, shape)
        tape.step([x], [out], {(0, 0): (Term(1, (), plains(labels), (Axis(shape[0], (), i), *plains(labels))),)})
    return out


def _row_aval(x: Any, shape: tuple[int, ...]) -> Any:
    import jax

    dtype = (x.aval if x.aval is not None else x.value.array).dtype
    return jax.ShapeDtypeStruct(shape[1:], dtype)


def _stacked(tape: Any, rows: Sequence[Any], aval: Any) -> Any:
    """The rows as one array."""
    from jmc.differentiate.tape import Node

    known = all(row.value is not None for row in rows)
    arrays = [row.value.array for row in rows] if known else []
    array = jnp.stack([jnp.asarray(a, aval.dtype) for a in arrays]) if arrays else np.zeros(aval.shape, aval.dtype)
    out = Node(value(array) if known else None, aval=aval)
    if any(row.active for row in rows):
        out.active = True
        terms = {}
        for i, row in enumerate(rows):
            if row.active:
                labels = fresh(aval.shape[1:])
                terms[0, i] = (Term(1, (), (Axis(aval.shape[0], (), i), *plains(labels)), plains(labels)),)
        tape.step(rows, [out], terms)
    return out
