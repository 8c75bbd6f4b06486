"""The program of an equation's JVP: what an equation without a rule is walked as, if all in it has one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun
from jax.extend.core import primitives as p

from jmc.differentiate import indexing, shape, systems  # noqa: F401 - their rules register themselves
from jmc.differentiate.arithmetic import ELEMENTWISE
from jmc.differentiate.known import inexact
from jmc.differentiate.operation import LINEAR, SEVERAL

# The name under which a primitive keeps the function that it calls once, with its own operands.
NESTED = {p.jit_p: "jaxpr", p.closed_call_p: "call_jaxpr", p.remat_p: "jaxpr"}
# Primitives whose rule needs the values of the operands that it differentiates.
NONLINEAR = {*ELEMENTWISE, p.reduce_prod_p, p.reduce_max_p, p.reduce_min_p}
# Linear over the real numbers alone.
REAL_LINEAR = {p.real_p, p.imag_p, p.conj_p}
# The program is walked if it is short; long ones are associative scans and factorizations.
WALKED = 64


def as_function(eqn: JaxprEqn) -> Callable[..., Sequence[Any]]:
    """The equation as a function of all its operands to a list of results; JAX differentiates some in no other way."""
    ins: list[Any] = [Var(atom.aval) for atom in eqn.invars]
    outs = [Var(var.aval) for var in eqn.outvars]
    info = jax.make_jaxpr(lambda: None)().jaxpr.debug_info
    alone = Jaxpr([], ins, outs, [eqn.replace(invars=ins, outvars=outs)], eqn.effects, info)
    return jaxpr_as_fun(ClosedJaxpr(alone, []))


def jvp_program(eqn: JaxprEqn, moving: tuple[int, ...]) -> tuple[Any, list[int]] | None:
    """The program of the JVP, if it can be walked; see :func:`jvp_trace`."""
    traced = jvp_trace(eqn, moving)
    if traced is None or not walkable(traced[0].jaxpr, [False] * len(eqn.invars) + [True] * len(moving)):
        return None
    return traced


def jvp_trace(eqn: JaxprEqn, moving: tuple[int, ...]) -> tuple[Any, list[int]] | None:
    """The traced (primals, moving tangents) ↦ (results, tangents), and which results move; None if it has no JVP."""
    params = eqn.primitive.get_bind_params(eqn.params)
    active: list[int] = []

    def f(*both: Any) -> list[Any]:
        primals, tangents = both[: len(eqn.invars)], both[len(eqn.invars) :]

        def restricted(*moved: Any) -> Any:
            filled = list(primals)
            for k, array in zip(moving, moved, strict=True):
                filled[k] = array
            return eqn.primitive.bind(*filled, **params)

        outs, dots = jax.jvp(restricted, [primals[k] for k in moving], list(tangents))
        if not eqn.primitive.multiple_results:
            outs, dots = [outs], [dots]
        active[:] = [j for j, out in enumerate(outs) if jnp.issubdtype(jnp.result_type(out), jnp.inexact)]
        return [*outs, *(dots[j] for j in active)]

    avals = [atom.aval for atom in eqn.invars]
    try:
        closed = jax.make_jaxpr(f)(*avals, *(avals[k] for k in moving))
    except TypeError:
        return None  # no forward mode, or none by its primitive alone
    return closed, list(active)


def walkable(jaxpr: Any, moving: Sequence[bool]) -> bool:
    """Whether all that tangents go through is linear, with a rule, and not too long."""
    return _count(jaxpr, moving)[0] <= WALKED


def _count(jaxpr: Any, moving: Sequence[bool]) -> tuple[int, list[bool]]:
    active = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    count = 0

    def depends(atom: Any) -> bool:
        return not isinstance(atom, Literal) and atom in active

    for eqn in jaxpr.eqns:
        dependent = [depends(atom) for atom in eqn.invars]
        if not any(dependent) or not any(inexact(var.aval) for var in eqn.outvars):
            continue
        if (name := NESTED.get(eqn.primitive)) is not None:
            inner = eqn.params[name]
            more, outs = _count(getattr(inner, "jaxpr", inner), dependent)
            count += more
            active.update(var for var, moves in zip(eqn.outvars, outs, strict=True) if moves)
            continue
        if (
            (eqn.primitive not in LINEAR or eqn.primitive in NONLINEAR)
            and eqn.primitive not in SEVERAL
            and eqn.primitive not in REAL_LINEAR
        ):
            return WALKED + 1, [True] * len(jaxpr.outvars)
        count += 1
        active.update(eqn.outvars)
    return count, [depends(atom) for atom in jaxpr.outvars]
