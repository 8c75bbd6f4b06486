"""A scan of few equations in all, walked step by step."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from jmc.differentiate.links import scan_parts
from jmc.differentiate.node import Node
from jmc.differentiate.operation import value
from jmc.linear.term import Axis, Term, fresh, plains


def unrolled(tape: Any, eqn: JaxprEqn, operands: Sequence[Any], line: str) -> list[Any]:
    """The scan's results: carries, then the stacked outputs."""
    params = eqn.params
    inner, length = params["jaxpr"], params["length"]
    jaxpr, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", [])
    n_consts, n_carry, _ = scan_parts(eqn)
    n_ys = len(eqn.outvars) - n_carry
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
    out = Node(None if x.value is None else value(lax.index_in_dim(x.value.array, i, keepdims=False)))
    if x.active:
        shape = x.aval.shape
        labels = fresh(shape[1:])
        out.active, out.aval = True, jax.ShapeDtypeStruct(shape[1:], x.aval.dtype)
        tape.step([x], [out], {(0, 0): (Term(1, (), plains(labels), (Axis(shape[0], (), i), *plains(labels))),)})
    return out


def _stacked(tape: Any, rows: Sequence[Any], aval: Any) -> Any:
    """The rows as one array."""
    known = all(row.value is not None for row in rows)
    arrays = [row.value.array for row in rows if row.value is not None] if known else []
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
