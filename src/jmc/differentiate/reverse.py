"""Functions with a vjp of their own: its program, where it is linear in the cotangent, is the Jacobian transposed."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.core import primitives as p

from jmc.differentiate.jvp import NESTED, NONLINEAR, as_function
from jmc.differentiate.known import inexact, is_complex
from jmc.differentiate.operation import LINEAR, SEVERAL

# Linear in all of these operands together: what does not move among them has to be zero.
_SUMS = {
    p.add_p: (0, 1),
    p.add_jaxvals_p: (0, 1),
    p.sub_p: (0, 1),
    p.pad_p: (0, 1),
    p.dynamic_update_slice_p: (0, 1),
    p.scatter_add_p: (0, 2),
    p.scatter_p: (0, 2),
}
_SUMS_OF_ALL = {"concatenate": 0, "stack": 0, "select_n": 1}  # from this operand on
# Linear in either operand, while the other is at rest.
_PRODUCTS = {p.mul_p, p.dot_general_p, p.conv_general_dilated_p}
# What a tangent goes through otherwise than a value, or by a rule that may decline.
_EXCLUDED = {*NONLINEAR, p.stop_gradient_p, p.reduce_precision_p, p.scatter_mul_p, p.linear_solve_p}


def vjp_program(eqn: JaxprEqn, moving: Sequence[int], differentiable: Sequence[int]) -> Any:
    """The traced (operands, cotangents of the differentiable results) ↦ (results, cotangents of the moving operands).

    None if it is not seen to be linear in the cotangents.
    """
    ends = [*(eqn.invars[k] for k in moving), *(eqn.outvars[j] for j in differentiable)]
    if len({is_complex(atom.aval) for atom in ends}) > 1:
        return None  # linear over the real numbers alone
    apply, count = as_function(eqn), len(eqn.invars)

    def f(*both: Any) -> list[Any]:
        operands, cotangents = both[:count], both[count:]

        def restricted(*moved: Any) -> Any:
            filled = list(operands)
            for k, array in zip(moving, moved, strict=True):
                filled[k] = array
            found = apply(*filled)
            return [found[j] for j in differentiable], found

        _, pull, outs = jax.vjp(restricted, *(operands[k] for k in moving), has_aux=True)
        return [*outs, *pull(list(cotangents))]

    avals = [atom.aval for atom in (*eqn.invars, *(eqn.outvars[j] for j in differentiable))]
    closed = jax.make_jaxpr(f)(*avals)
    return closed if is_linear(closed.jaxpr, [k >= count for k in range(len(avals))]) else None


def is_linear(jaxpr: Jaxpr, moving: Sequence[bool]) -> bool:
    """Whether all that the moving inputs go through is linear, without constants, and has a rule."""
    return _linear_results(jaxpr, moving) is not None


def _linear_results(jaxpr: Jaxpr, moving: Sequence[bool], zero_inputs: Sequence[bool] = ()) -> list[bool] | None:
    """Which results move; None if any of it is not linear."""
    active = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    zeros = {var for var, zero in zip(jaxpr.invars, zero_inputs, strict=False) if zero}

    def zero(atom: Any) -> bool:
        return (np.ndim(atom.val) == 0 and atom.val == 0) if isinstance(atom, Literal) else atom in zeros

    def moves(atom: Any) -> bool:
        return not isinstance(atom, Literal) and atom in active

    for eqn in jaxpr.eqns:
        dependent = {k for k, atom in enumerate(eqn.invars) if moves(atom)}
        if not dependent:
            if eqn.primitive in (p.broadcast_in_dim_p, p.convert_element_type_p, p.reshape_p) and zero(eqn.invars[0]):
                zeros.update(eqn.outvars)
            continue
        if (name := NESTED.get(eqn.primitive)) is not None:
            inner = eqn.params[name]
            flags = [moves(atom) for atom in eqn.invars], [zero(atom) for atom in eqn.invars]
            outs = _linear_results(getattr(inner, "jaxpr", inner), *flags)
            if outs is None:
                return None
            active.update(var for var, out in zip(eqn.outvars, outs, strict=True) if out)
            continue
        if not _is_linear_in(eqn, dependent, zero) or not all(inexact(var.aval) for var in eqn.outvars):
            return None
        active.update(eqn.outvars)
    return [moves(atom) for atom in jaxpr.outvars]


def _is_linear_in(eqn: JaxprEqn, dependent: set[int], zero: Any) -> bool:
    """Whether the equation is linear in these operands."""
    if eqn.primitive in _EXCLUDED or (eqn.primitive not in LINEAR and eqn.primitive not in SEVERAL):
        return False
    if len({is_complex(atom.aval) for atom in (*(eqn.invars[k] for k in dependent), *eqn.outvars)}) > 1:
        return False
    if eqn.primitive in _PRODUCTS:
        return len(dependent) == 1
    first = _SUMS_OF_ALL.get(eqn.primitive.name)
    summed = _SUMS.get(eqn.primitive) if first is None else tuple(range(first, len(eqn.invars)))
    if summed is None:
        return dependent == {1 if eqn.primitive is p.triangular_solve_p else 0}
    return dependent <= set(summed) and all(k in dependent or zero(eqn.invars[k]) for k in summed)
