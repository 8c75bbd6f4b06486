"""References that a program writes in place (`jax.new_ref`): all equations that read or write them are one.

To the others that one is a function without references, which JAX differentiates in reverse mode.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jax.ref import AbstractRef


def joined(jaxpr: Jaxpr, moving: Sequence[bool]) -> list[tuple[JaxprEqn, bool]]:
    """The equations, and whether each is such a one; ``moving`` says which arguments are differentiated."""
    eqns = jaxpr.eqns
    places = [i for i, eqn in enumerate(eqns) if _touches(eqn)]
    if not places or not _written(jaxpr, moving):
        return [(eqn, False) for eqn in eqns]
    first, last = places[0], places[-1] + 1
    before, rest = _earlier(eqns[first:last])
    core, after = _later(rest)
    others = [*eqns[:first], *before], [*after, *eqns[last:]]
    one = _one(core, others[1], jaxpr)
    return [*((eqn, False) for eqn in others[0]), (one, True), *((eqn, False) for eqn in others[1])]


def uses_references(eqn: JaxprEqn) -> bool:
    """Whether a program within the equation does."""
    leaves = jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns"))
    inner = [inner for leaf in leaves if hasattr(leaf, "eqns") for inner in leaf.eqns]
    return any(any(map(_is_reference, one.outvars)) or uses_references(one) for one in inner)


def _touches(eqn: JaxprEqn) -> bool:
    """Whether the equation reads or writes references, or has another effect: its place among such ones is kept."""
    return bool(eqn.effects) or any(map(_is_reference, (*eqn.invars, *eqn.outvars)))


def _earlier(eqns: Sequence[JaxprEqn]) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """The equations that need nothing of those that touch references, and the others."""
    before, rest, made = [], [], set()
    for eqn in eqns:
        if _touches(eqn) or not made.isdisjoint(_variables([eqn.invars])):
            rest.append(eqn)
            made.update(eqn.outvars)
        else:
            before.append(eqn)
    return before, rest


def _later(eqns: Sequence[JaxprEqn]) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """The equations that touch references with those that they need, and the others."""
    core, after, needed = [], [], set()
    for eqn in reversed(eqns):
        if _touches(eqn) or not needed.isdisjoint(eqn.outvars):
            core.append(eqn)
            needed.update(_variables([eqn.invars]))
        else:
            after.append(eqn)
    return core[::-1], after[::-1]


def _is_reference(atom: Any) -> bool:
    return isinstance(atom.aval, AbstractRef)


def _written(jaxpr: Jaxpr, moving: Sequence[bool]) -> bool:
    """Whether what moves may get into a reference."""
    found = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    for eqn in jaxpr.eqns:
        variables = [atom for atom in eqn.invars if not isinstance(atom, Literal)]
        if not found.isdisjoint(variables):
            found.update(eqn.outvars, filter(_is_reference, variables))
    return any(map(_is_reference, found))


def _one(eqns: Sequence[JaxprEqn], after: Sequence[JaxprEqn], jaxpr: Jaxpr) -> JaxprEqn:
    """These equations as one, of a jitted function; those ``after`` them need its results."""
    made = {var: None for eqn in eqns for var in eqn.outvars if not isinstance(var, DropVar)}
    free = list(dict.fromkeys(var for var in _variables(eqn.invars for eqn in eqns) if var not in made))
    later = set(_variables([*(eqn.invars for eqn in after), jaxpr.outvars]))
    outs = [var for var in made if var in later]
    inner = Jaxpr([], free, outs, eqns, jaxpr.effects, jaxpr.debug_info)
    call = jax.jit(jaxpr_as_fun(ClosedJaxpr(inner, [])))
    (eqn,) = jax.make_jaxpr(call)(*[var.aval for var in free]).jaxpr.eqns
    return eqn.replace(invars=free, outvars=outs, source_info=eqns[0].source_info)


def _variables(groups: Iterable[Iterable[Any]]) -> Iterable[Any]:
    return (atom for atoms in groups for atom in atoms if not isinstance(atom, Literal))
