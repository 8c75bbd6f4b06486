"""A function without the derivative rules that it carries."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import primitives as p


def stripped(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` without the derivative rules that it carries (custom_jvp, custom_vjp): the primal alone."""

    def plain(*args: Any) -> Any:
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        outs = _evaluated(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), outs)

    return plain


def has_own_rule(f: Callable[..., Any], args: Sequence[Any]) -> bool:
    """Whether ``f`` carries a derivative rule of its own, itself or in what it calls."""
    return _finds(jax.make_jaxpr(f)(*args).jaxpr)


_OWN = (p.custom_jvp_call_p, p.custom_vjp_call_p)


def _finds(jaxpr: Any) -> bool:
    return any(eqn.primitive in _OWN or ((inner := nested(eqn)) is not None and _finds(inner[0])) for eqn in jaxpr.eqns)


def nested(eqn: Any) -> Any:
    """The program that an equation calls once, and its constants."""
    if eqn.primitive not in (*_OWN, p.jit_p, p.closed_call_p, p.remat_p):
        return None
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", [])


def _evaluated(jaxpr: Any, consts: Any, args: Any) -> list[Any]:
    known: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        if (inner := nested(eqn)) is not None:
            outs = _evaluated(inner[0], inner[1], operands)
        else:
            found = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
            outs = found if eqn.primitive.multiple_results else [found]
        known.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]
