"""The vector chain rule over a traced function: forward once, then cotangents from the value to the arguments.

The only loop over equations in jmc that goes backwards. It knows no formula: each equation is a rule of the
catalogue (its vjp), a primitive of `differentiate/primitives.py`, or a nested jaxpr; anything else is refused.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import source_info_util
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.core import primitives as p

from jmc.catalogue import marker
from jmc.differentiate.primitives import PRIMITIVES, SEVERAL_RESULTS, Cotangents

Cotangent = jax.Array | None  # None: nothing arrives
Pullback = Callable[[Sequence[Cotangent]], list[Cotangent]]

# The name under which a primitive keeps the function that it calls once, with its own operands.
_NESTED = {p.jit_p: "jaxpr", p.closed_call_p: "call_jaxpr", p.remat_p: "jaxpr"}


class NoClosedForm(NotImplementedError):  # noqa: N818 - it reads as what it says, as StopIteration does
    """The function applies, to what is differentiated, an operation for which jmc has no closed form."""


def backward(
    jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], moving: Sequence[bool], caller: str = ""
) -> tuple[list[Any], list[bool], Pullback]:
    """Evaluate ``jaxpr``; return its values, which of them depend on the ``moving`` arguments, and a pullback.

    The pullback takes one cotangent per value and returns one per argument. ``caller`` is the line to name for
    an equation that has none of its own. Raises NoClosedForm.
    """
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    active = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    tape: list[tuple[JaxprEqn, Pullback]] = []

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    def depends(atom: Any) -> bool:
        return not isinstance(atom, Literal) and atom in active

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        dependent = [depends(atom) for atom in eqn.invars]
        reaches = any(dependent) and any(_inexact(var.aval) for var in eqn.outvars)
        if reaches:
            outs, outs_active, pullback = _equation(eqn, operands, dependent, caller)
            tape.append((eqn, pullback))
            active.update(var for var, moves in zip(eqn.outvars, outs_active, strict=True) if moves)
        else:
            outs = _evaluate(eqn, operands)
        values.update(zip(eqn.outvars, outs, strict=True))

    def pull(cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        found: dict[Any, jax.Array] = {}

        def send(atoms: Sequence[Any], arriving: Sequence[Cotangent]) -> None:
            for atom, u in zip(atoms, arriving, strict=True):
                if u is not None and depends(atom):
                    found[atom] = found[atom] + u if atom in found else u

        send(jaxpr.outvars, cotangents)
        for eqn, pullback in reversed(tape):
            arriving = [found.pop(var, None) for var in eqn.outvars]
            if any(u is not None for u in arriving):
                send(eqn.invars, pullback(arriving))
        return [found.get(var) for var in jaxpr.invars]

    return [read(atom) for atom in jaxpr.outvars], [depends(atom) for atom in jaxpr.outvars], pull


def _inexact(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, jnp.inexact)


def _evaluate(eqn: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any]:
    outs = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
    return outs if eqn.primitive.multiple_results else [outs]


def _equation(
    eqn: JaxprEqn, operands: Sequence[Any], dependent: Sequence[bool], caller: str
) -> tuple[Sequence[Any], list[bool], Pullback]:
    """One equation's values, which of them depend, and its pullback."""
    line = source_info_util.summarize(eqn.source_info) or caller
    if (name := _NESTED.get(eqn.primitive)) is not None:
        inner = eqn.params[name]  # with constants of its own, or a bare Jaxpr
        return backward(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands, dependent, line)

    if eqn.primitive is marker.primitive:
        rule, precision = eqn.params["rule"], eqn.params["precision"]

        def formulas(us: Sequence[Cotangent], values: Sequence[Any]) -> Cotangents:
            wrt = [marker.at(precision, functools.partial(rule.vjp, i)) for i in range(len(operands))]
            return [lambda vjp=vjp: vjp(us[0], values[0], *operands) for vjp in wrt]

    elif (several := SEVERAL_RESULTS.get(eqn.primitive)) is not None:

        def formulas(us: Sequence[Cotangent], values: Sequence[Any]) -> Cotangents:
            arrived = [jnp.zeros_like(v) if u is None else u for u, v in zip(us, values, strict=True)]
            return several(arrived, operands, eqn.params)

    elif (one := PRIMITIVES.get(eqn.primitive)) is not None:

        def formulas(us: Sequence[Cotangent], values: Sequence[Any]) -> Cotangents:
            return one(us[0], values[0], operands, eqn.params)

    else:
        raise _refusal(eqn, line)

    values = _evaluate(eqn, operands)

    def pullback(cotangents: Sequence[Cotangent]) -> list[Cotangent]:
        thunks = formulas(cotangents, values)
        return [
            thunk() if depends and thunk is not None else None for thunk, depends in zip(thunks, dependent, strict=True)
        ]

    return values, [_inexact(var.aval) for var in eqn.outvars], pullback


def _refusal(eqn: JaxprEqn, line: str) -> NoClosedForm:
    debug = getattr(getattr(eqn.params.get("call_jaxpr"), "jaxpr", None), "debug_info", None)
    function = f" of `{debug.func_name}`" if debug is not None else ""
    return NoClosedForm(
        f"no closed form for the primitive `{eqn.primitive.name}`{function}, at {line or 'an unknown line'}: "
        "jmc.grad takes jmc's own functions, sums, products and reshapes; use jmc's function here, or jax.grad "
        "(for a second derivative, jax.grad of jmc.grad)"
    )
