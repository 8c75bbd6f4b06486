"""The rule for `custom_linear_solve`, the way in which `jnp.linalg.solve` and `inv` solve A x = b for x."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun
from jax.extend.core import primitives as p

from jmc.differentiate.operation import Operation, linear
from jmc.linear.term import Factor, Label, Term, fresh, plains


@linear(p.linear_solve_p)
def _linear_solve(op: Operation, k: int) -> list[Term] | None:
    """∂x/∂b = A⁻¹, with the axes that A shares between x and b; those on which it does not depend stay identities."""
    lengths, programs = op.params["const_lengths"], op.params["jaxprs"]
    n_consts = sum(lengths)
    if k < n_consts or len(op.in_shapes) != n_consts + 1:
        return None
    arrays = [v.array for v in op.values[:n_consts]]
    shape = op.in_shapes[k]
    shared, idle = _shared_axes(programs.matvec, arrays[: lengths.matvec], shape, op.dtype)
    core = [d for d in range(len(shape)) if d not in shared]
    size = math.prod(shape[d] for d in core)
    columns = _columns(op, arrays, shape, core, idle, size)  # (size, *shape), constant along the idle axes
    for d in sorted(idle, reverse=True):
        columns = jax.lax.index_in_dim(columns, 0, d + 1, keepdims=False)
    out = fresh(shape)
    source = {d: Label(shape[d]) for d in core}
    columns = columns.reshape(*[shape[d] for d in core], *columns.shape[1:])
    factor = Factor(columns, (*source.values(), *[label for d, label in enumerate(out) if d not in idle]))
    return [Term(1, (factor,), plains(out), plains(source.get(d, label) for d, label in enumerate(out)))]


def _shared_axes(matvec: Any, consts: list[Any], shape: tuple[int, ...], dtype: Any) -> tuple[set[int], set[int]]:
    """The axes along which A acts on each entry alone, and among these the ones along which it is the same."""
    from jmc.differentiate.rules import linear_terms

    def f(x: jax.Array) -> Any:
        return jaxpr_as_fun(matvec)(*consts, x)[0]

    terms = linear_terms(f, jax.ShapeDtypeStruct(shape, dtype))
    if not terms:
        return set(), set()
    shared, idle = set(range(len(shape))), set(range(len(shape)))
    for term in terms:
        held = {label for factor in term.factors for label in factor.labels}
        for d, (out, in_) in enumerate(zip(term.out, term.in_, strict=True)):
            if out.label is None or out.label is not in_.label:
                shared.discard(d)
            elif out.label in held:
                idle.discard(d)
    return shared, idle & shared


def _columns(
    op: Operation, arrays: list[Any], shape: tuple[int, ...], core: list[int], idle: set[int], size: int
) -> Any:
    """A⁻¹ on a basis of the core axes; several basis vectors are solved for at once along an idle axis."""
    basis = jnp.eye(size, dtype=op.dtype).reshape(size, *[shape[d] if d in core else 1 for d in range(len(shape))])
    wide = max(idle, key=lambda d: shape[d], default=None)
    if wide is None or shape[wide] < 2 or size < 2:
        return jax.vmap(lambda b: op.bind(*arrays, jnp.broadcast_to(b, shape))[0])(basis)
    width = shape[wide]
    padded = jnp.concatenate([basis, jnp.zeros((-size % width, *basis.shape[1:]), op.dtype)])
    groups = padded.reshape(-1, width, *basis.shape[1:])
    packed = jnp.moveaxis(groups, 1, wide + 1).reshape(
        -1, *[width if d == wide else n for d, n in enumerate(basis.shape[1:])]
    )
    solved = jax.vmap(lambda b: op.bind(*arrays, jnp.broadcast_to(b, shape))[0])(packed)
    unpacked = jnp.moveaxis(solved, wide + 1, 1).reshape(-1, *[n for d, n in enumerate(shape) if d != wide])[:size]
    return jnp.expand_dims(unpacked, wide + 1)
