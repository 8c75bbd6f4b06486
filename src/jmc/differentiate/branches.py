"""The Jacobian of `cond` with a predicate that is not known: that of the branch that is taken, with its structure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import jaxpr_as_fun

from jmc.differentiate.links import Key
from jmc.differentiate.node import Node
from jmc.differentiate.opaque import Opaque
from jmc.differentiate.operation import value
from jmc.differentiate.sweep import block_size
from jmc.linear.contract import TooLarge
from jmc.linear.linear_map import LinearMap
from jmc.linear.simplify import added
from jmc.linear.term import Factor, Term


class Branches(Opaque):
    """Programs of which the ``index``-th is taken.

    Attributes:
        programs: the branches, functions of ``operands``.
        moving, differentiable: the positions of the operands and results that can move.
    """

    programs: Sequence[Any]
    index: Any
    operands: Sequence[Any]
    moving: Sequence[int]
    differentiable: Sequence[int]

    def local(self, keys: Iterable[Key]) -> Mapping[Key, tuple[Term, ...]]:
        """The terms of all branches, of which those of the branch that is not taken are zero.

        Where all have the same axes and factors, one set of terms, whose factors are those of the branch that is taken.
        """
        if not hasattr(self, "_terms"):
            self._terms = self._walked()
        return {**super().local(key for key in keys if key not in self._terms), **self._terms}

    def _walked(self) -> dict[Key, tuple[Term, ...]]:
        """Those that are smaller than a block of the Jacobian that is swept."""
        from jmc.differentiate.tape import NotDifferentiable  # which makes these

        try:
            found = [self._traced(program) for program in self.programs]
        except (NotDifferentiable, TooLarge):
            return {}
        count = len(found)
        maps = [jax.tree.unflatten(tree, closed.out_avals) for closed, tree in found]
        slots: list[tuple[Key, int | None]] = []  # None where the branches are alike
        for key in self.links:
            if len({_kind(row[key]) for row in maps}) == 1:
                slots.append((key, None))
            elif sum(_numbers(row[key]) for row in maps) <= block_size(self, key):
                slots += [(key, b) for b in range(count)]

        def taken(b: int) -> Any:
            def leaves(*operands: Any) -> list[Any]:
                row = jax.tree.unflatten(found[b][1], jaxpr_as_fun(found[b][0])(*operands))
                return [
                    _leaves(row[key])
                    if only in (None, b)
                    else [jnp.zeros(a.shape, a.dtype) for a in _leaves(maps[only][key])]
                    for key, only in slots
                ]

            return leaves

        arrays = lax.switch(self.index, [taken(b) for b in range(count)], *self.operands)
        chosen = jnp.clip(self.index, 0, count - 1)
        terms: dict[Key, tuple[Term, ...]] = {}
        for (key, only), own in zip(slots, arrays, strict=True):
            J = jax.tree.unflatten(jax.tree.structure(maps[only or 0][key]), own)
            here = () if only is None else (Factor(chosen == only, ()),)
            terms[key] = added((*terms.get(key, ()), *(_own(term, here) for term in J.terms)), self.outs[key[0]].dtype)
        return terms

    def _traced(self, program: Any) -> tuple[Any, Any]:
        """The leaves of the branch's Jacobians as a program, and how they nest."""
        from jmc.differentiate.jacobian import jacobians  # which reads tapes, and a tape makes these
        from jmc.differentiate.program import Program
        from jmc.differentiate.tape import Tape

        jaxpr, consts = getattr(program, "jaxpr", program), getattr(program, "consts", [])
        trees: list[Any] = []

        def walk(*operands: Any) -> list[Any]:
            tape = Tape()
            nodes = [Node(value(a), k in self.moving, aval=jax.typeof(a)) for k, a in enumerate(operands)]
            outs = tape.walk(jaxpr, consts, nodes)
            rows = jacobians(
                Program(
                    tape,
                    [operands[k] for k in self.moving],
                    [nodes[k] for k in self.moving],
                    None,
                    [outs[j] for j in self.differentiable],
                    list(self.outs),
                    None,
                    None,
                )
            )
            leaves, tree = jax.tree.flatten({(j, k): rows[j][k] for j, k in self.links})
            trees.append(tree)
            return leaves

        return jax.make_jaxpr(walk)(*self.operands), trees[-1]


def _leaves(J: LinearMap) -> list[Any]:
    return jax.tree.leaves(J)


def _kind(J: LinearMap) -> Any:
    return jax.tree.structure(J), tuple((a.shape, a.dtype) for a in _leaves(J))


def _numbers(J: LinearMap) -> int:
    return sum(math.prod(a.shape) for a in _leaves(J))


def _own(term: Term, here: tuple[Factor, ...]) -> Term:
    """The term with factors of its own, those of one of several branches; without any, it is 1 or 0."""
    factors = tuple(factor._replace(computed=True) for factor in term.factors)
    return Term(term.coefficient, factors or here, term.out, term.in_)
