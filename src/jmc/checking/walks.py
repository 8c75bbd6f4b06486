"""The true derivative walked back with everything on the way, and what every mutant of it adds, in one walk.

Each path from the value to an argument passes a step once, so the derivative is linear in the change of one term: what
all mutants add to the true cotangents is carried along, a row for each. Several at once take a walk of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.checking.mutants import Mutant, changes, short, through, turned_values
from jmc.checking.oracles import QUICK
from jmc.checking.problem import replaced
from jmc.differentiate.node import Node, Step
from jmc.differentiate.operation import value
from jmc.differentiate.tape import Tape
from jmc.linear.term import Term, labels_on, plain


@dataclass(frozen=True, eq=False)
class Walk:
    """The walk back of one cotangent.

    Attributes:
        cotangents: the true ones, per moving leaf.
        added: per moving leaf, what each mutant adds to them, (mutants, *shape).
        values, arrived: the value of each node of the tape, and the cotangent that arrives there.
        unsummed: where an operand is repeated along axes, the cotangent before it is summed over them.
    """

    cotangents: list[Any]
    added: list[Any]
    values: list[Any]
    arrived: list[Any]
    unsummed: list[Any]


class Walker:
    """The mutants of a flat function with arguments of these shapes."""

    def __init__(self, f: Callable[..., Any], leaves: Sequence[Any], moving: Sequence[int], names: Sequence[str]):
        self.f, self.moving, self.names = f, moving, names
        self.found: list[Mutant] = []
        self.nodes: list[tuple[str, str]] = []  # of each node of the tape, the operation and line that made it
        self.divides: list[bool] = []  # of each node, whether something is divided by it
        self.repeated: list[tuple[str, str]] = []  # where an operand is repeated: operation and line
        outs = jax.eval_shape(f, list(leaves))
        us = [jax.ShapeDtypeStruct(out.shape, out.dtype) for out in outs]
        jax.eval_shape(self._walk, list(leaves), us)
        self._combined: Any = None
        self.walk = jax.jit(self._walk, compiler_options=QUICK)

    def at(self, leaves: Sequence[Any], us: Sequence[Any]) -> Walk:
        """The walk at a point, as NumPy arrays."""
        return Walk(*([np.asarray(array) for array in part] for part in self.walk(list(leaves), list(us))))

    def combined(self, leaves: Sequence[Any], us: Sequence[Any], weights: np.ndarray) -> list[np.ndarray]:
        """The cotangents of the moving leaves with several mutants at once, for each row of weights (rows, mutants)."""
        if self._combined is None:
            rows = jax.vmap(self._with, (None, None, 0))
            self._combined = jax.jit(rows, compiler_options=QUICK)
        return [np.asarray(array) for array in self._combined(list(leaves), list(us), weights)]

    def _with(self, leaves: Any, us: Any, weights: Any) -> list[Any]:
        tape, inputs, ends, mutated = self.taped(leaves)
        arrived = seeded(ends, us)
        first = len(self.found)
        for step, some in zip(reversed(tape.steps), reversed(mutated), strict=True):
            first -= len(some)
            own = {out: arrived[out] for out in step.outs if out in arrived}
            if not own:
                continue
            targets = list(dict.fromkeys(node for node in step.ins if node.active))
            parts = list(zip(targets, through(step, own, targets), strict=True))
            for k, (_, j, i, terms) in enumerate(some):
                if step.outs[j] in own:
                    extra = _extra(step, j, i, terms, own[step.outs[j]])
                    parts.append((step.ins[i], None if extra is None else weights[first + k] * extra))
            for node, u in parts:
                if u is not None:
                    arrived[node] = arrived[node] + u if node in arrived else u
        return [arrived.get(node, jnp.zeros_like(leaves[k])) for node, k in zip(inputs, self.moving, strict=True)]

    def taped(self, leaves: Any) -> tuple[Tape, list[Node], list[Node], list[Any]]:
        moved = [leaves[k] for k in self.moving]
        closed = jax.make_jaxpr(lambda *moved: self.f(replaced(leaves, self.moving, moved)))(*moved)
        tape = Tape()
        inputs = [Node(value(leaf, computed=False), active=True, aval=jax.typeof(leaf)) for leaf in moved]
        ends = tape.walk(closed.jaxpr, closed.consts, inputs)
        origin = {id(leaf): f"`{name}`" for leaf, name in zip(leaves, self.names, strict=True)}
        turned = turned_values(tape)
        return tape, inputs, ends, [list(changes(step, origin, turned)) for step in tape.steps]

    def _walk(self, leaves: Any, us: Any) -> tuple[list[Any], ...]:
        tape, inputs, ends, mutated = self.taped(leaves)
        moved = [leaves[k] for k in self.moving]
        self.found = [mutant for some in mutated for mutant, *_ in some]
        nodes = [*inputs, *(node for step in tape.steps for node in step.outs)]
        self.nodes = [("argument", name) for name in (self.names[k] for k in self.moving)]
        self.nodes += [(step.name, short(step.line)) for step in tape.steps for _ in step.outs]
        arrived, rows = self._back(tape, mutated, ends, us)
        count = len(self.found)
        cotangents = [arrived.get(node, jnp.zeros_like(leaf)) for node, leaf in zip(inputs, moved, strict=True)]
        added = [
            rows.get(node, jnp.zeros((count, *leaf.shape), leaf.dtype))
            for node, leaf in zip(inputs, moved, strict=True)
        ]
        known = [node for node in nodes if node.value is not None]
        self.nodes = [place for place, node in zip(self.nodes, nodes, strict=True) if node.value is not None]
        divisors = {step.ins[1] for step in tape.steps if step.name == "div" and len(step.ins) > 1}
        self.divides = [node in divisors for node in known]
        values = [jnp.asarray(node.value.array) for node in known if node.value is not None]
        at_nodes = [arrived.get(n, jnp.zeros_like(v)) for n, v in zip(known, values, strict=True)]
        return cotangents, added, values, at_nodes, self._unsummed(tape, arrived)

    def _unsummed(self, tape: Tape, arrived: dict[Node, Any]) -> list[Any]:
        found, self.repeated = [], []
        for step in tape.steps:
            for (j, _), terms in step.terms.items():
                for term in terms:
                    out = step.outs[j]
                    for in_ in _before_sums(step, term) if out in arrived else ():
                        shape = tuple(axis.size for axis in in_)
                        alone = Node(None, active=True, aval=jax.ShapeDtypeStruct(shape, arrived[out].dtype))
                        here = Step([alone], [out], {(0, 0): (replace(term, in_=in_),)})
                        (u,) = through(here, {out: arrived[out]}, [alone])
                        if u is not None:
                            found.append(u)
                            self.repeated.append((step.name, short(step.line)))
        return found

    def _back(self, tape: Tape, mutated: Any, ends: Sequence[Node], us: Any) -> tuple[dict[Node, Any], dict[Node, Any]]:
        arrived = seeded(ends, us)
        rows: dict[Node, Any] = {}
        count, first = len(self.found), len(self.found)
        for step, some in zip(reversed(tape.steps), reversed(mutated), strict=True):
            first -= len(some)
            own = {out: arrived[out] for out in step.outs if out in arrived}
            if not own:
                continue
            targets = list(dict.fromkeys(node for node in step.ins if node.active))
            for node, u in zip(targets, through(step, own, targets), strict=True):
                if u is not None:
                    arrived[node] = arrived[node] + u if node in arrived else u
            moving = {out: rows[out] for out in step.outs if out in rows}
            if moving:
                moved = jax.vmap(lambda moving, step=step, targets=targets: through(step, moving, targets))(moving)
                for node, row in zip(targets, moved, strict=True):
                    if row is not None:
                        rows[node] = rows[node] + row if node in rows else row
            for k, (_, j, i, terms) in enumerate(some):
                u = own.get(step.outs[j])
                if u is None:
                    continue
                node = step.ins[i]
                extra = _extra(step, j, i, terms, u)
                if extra is None:
                    continue
                if node not in rows:
                    rows[node] = jnp.zeros((count, *jnp.shape(extra)), extra.dtype)
                rows[node] = rows[node].at[first + k].add(extra)
        return arrived, rows


def common(walkers: Sequence[Walker]) -> tuple[list[Mutant], list[list[int]]]:
    """The mutants that all have (at other sizes there are others), and where each has them."""
    numbered = []
    for walker in walkers:
        seen: dict[Mutant, int] = {}
        at: dict[tuple[Mutant, int], int] = {}
        for k, mutant in enumerate(walker.found):
            seen[mutant] = seen.get(mutant, -1) + 1
            at[mutant, seen[mutant]] = k
        numbered.append(at)
    keys = [key for key in numbered[0] if all(key in at for at in numbered)]
    return [mutant for mutant, _ in keys], [[at[key] for key in keys] for at in numbered]


def seeded(ends: Sequence[Node], us: Any) -> dict[Node, Any]:
    arrived: dict[Node, Any] = {}
    for end, u in zip(ends, us, strict=True):
        if end.active:
            arrived[end] = arrived[end] + u if end in arrived else u
    return arrived


def _extra(step: Step, j: int, i: int, terms: Any, u: Any) -> Any:
    """What a mutant adds to the cotangent of operand i."""
    if terms is None:  # of an opaque step: minus the whole of what it hands on
        (extra,) = through(step, {step.outs[j]: u}, [step.ins[i]])
        return None if extra is None else -extra
    return through(Step(step.ins, step.outs, {(j, i): terms}), {step.outs[j]: u}, [step.ins[i]])[0]


def _before_sums(step: Step, term: Term) -> list[tuple[Any, ...]]:
    """The axes of an operand's cotangent before it is summed over those along which the operand is repeated."""
    if any(axis.label is None and axis.size > 1 for axis in term.axes):
        return []
    alone = [label for label in labels_on(term.out) if label not in labels_on(term.in_)]
    if step.name == "dot_general":
        return [(plain(label), *term.in_) for label in alone]
    stretched = len(term.in_) == len(term.out) and any(not axis.strides for axis in term.in_)
    spread = stretched or not term.factors or step.name in ("mul", "div", "add", "sub", "pow")
    return [term.out] if alone and spread else []
