"""The catalogue's rules as terms: an element-wise derivative is a diagonal, a vjp is walked and transposed."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue import marker
from jmc.catalogue.record import Rule
from jmc.differentiate.jvp import walkable
from jmc.differentiate.node import Node
from jmc.differentiate.opaque import Opaque
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import Factor, Term, fresh, identity, plains, row

Terms = tuple[Term, ...]
Maps = list[LinearMap | None]


def rule_terms(
    rule: Rule, precision: str | None, args: Sequence[Any], out: Any, moving: Sequence[int]
) -> dict[int, Terms] | Opaque:
    """The Jacobian of the rule's value with respect to each moving argument."""
    found: dict[int, Terms] = {}
    for k in moving:
        if k == 0 and rule.derivative is not None and rule.jacobians[0] is None:
            labels = fresh(np.shape(out))
            slope = marker.at(precision, rule.derivative)(*args)
            found[0] = (Term(1, (Factor(slope, tuple(labels)),), plains(labels), plains(labels)),)
            continue

        def vjp(u: Any, k: int = k) -> Any:
            return marker.at(precision, lambda u: rule.vjp(k, u, out, *args))(u)

        if rule.jacobians[k] is not None:
            J: Any = marker.at(precision, functools.partial(rule.map, k))(*args)
            found[k] = tuple(_referring(term, args) for term in J.terms)
            continue
        if np.shape(out) == ():
            found[k] = (row(vjp(jnp.ones_like(out))),)
            continue
        terms = linear_terms(vjp, out)
        if terms is None:
            return Opaque(_with_vjp(rule, precision, args, out, moving), [args[k] for k in moving], mode="reverse")
        found[k] = tuple(term.T for term in terms)
    return found


def _referring(term: Term, args: Sequence[Any]) -> Term:
    """The term, in which a factor that is an argument is no number that was computed."""
    factors = tuple(f._replace(computed=not any(f.array is arg for arg in args)) for f in term.factors)
    return Term(term.coefficient, factors, term.out, term.in_)


class ClosedForm:
    """A rule's value in a gradient: cotangents go through its vjps as they are written."""

    columns_only = False

    def __init__(self, rule: Rule, precision: str | None, args: Sequence[Any], out: Any, moving: Sequence[int]):
        self.outs = [out]
        self.vjps = [marker.at(precision, functools.partial(rule.vjp, k)) for k in moving]
        self.args = args

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of the moving arguments."""
        return [vjp(cotangents[0], self.outs[0], *self.args) for vjp in self.vjps]


def linear_terms(f: Any, like: Any) -> Terms | None:
    """The terms of a function that is linear in its one array argument; None if that cannot be seen."""
    closed = jax.make_jaxpr(f)(jax.ShapeDtypeStruct(np.shape(like), like.dtype))
    if not walkable(closed.jaxpr, [True]):
        return None
    _, [[found]] = linear_maps(closed, [], closed.in_avals)
    return () if found is None else found.terms


def linear_maps(closed: Any, known: Sequence[Node], moving: Sequence[Any]) -> tuple[list[Node], list[Maps]]:
    """The results of a program of known and moving inputs, and of each the maps from the moving ones, of these types.

    The program has to be linear in these.
    """
    from jmc.differentiate.accumulate import forward  # which reads tapes, and a tape reads rules
    from jmc.differentiate.tape import Tape

    tape = Tape()
    nodes = [Node(None, active=True, aval=aval) for aval in moving]
    ends = tape.walk(closed.jaxpr, closed.consts, [*known, *nodes])
    start: dict[Node, Maps] = {}
    for j, (node, aval) in enumerate(zip(nodes, moving, strict=True)):
        start[node] = [None] * len(nodes)
        start[node][j] = LinearMap([identity(aval.shape)], aval.shape, aval.shape, aval.dtype)
    return ends, forward(tape, start, ends)


def _with_vjp(rule: Rule, precision: str | None, args: Sequence[Any], out: Any, moving: Sequence[int]) -> Any:
    """The rule's primal with its own vjp, as one function of the moving arguments."""

    @jax.custom_vjp
    def f(*moved: Any) -> list[Any]:
        filled = list(args)
        for k, array in zip(moving, moved, strict=True):
            filled[k] = array
        return [marker.primal(rule, precision)(*filled)]

    def fwd(*moved: Any) -> Any:
        return f(*moved), moved

    def bwd(moved: Any, us: Sequence[Any]) -> tuple[Any, ...]:
        filled = list(args)
        for k, array in zip(moving, moved, strict=True):
            filled[k] = array
        return tuple(marker.at(precision, lambda u, k=k: rule.vjp(k, u, out, *filled))(us[0]) for k in moving)

    f.defvjp(fwd, bwd)
    return f
