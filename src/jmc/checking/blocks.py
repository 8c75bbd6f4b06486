"""Mistakes in a block within a function, softmax above all: its diagonal alone, or its sums along another axis."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmc.checking.altered import exchanged
from jmc.checking.mutants import short, through
from jmc.checking.walks import Walker, seeded
from jmc.differentiate.accumulate import forward, pull
from jmc.differentiate.node import Node
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import identity

_ENDS = ("div", "jmc_rule", "exp", "mul")  # what softmax and normalisations end with
_REACH, _MOST_ENTRIES, _MOST_BLOCKS = 4, 1024, 12


def blocks(
    walker: Walker, leaves: Sequence[Any], us: Sequence[Any]
) -> Iterator[tuple[str, str, str, list[np.ndarray]]]:
    """(kind, what, line, the cotangents of the moving leaves) for each mistake in each block, in a fixed order.

    A block leads from a value to another one of its shape and is more than element-wise.
    """
    tape, inputs, ends, _ = walker.taped([jnp.asarray(x) for x in leaves])
    arrived = seeded(ends, [jnp.asarray(u) for u in us])
    for step in reversed(tape.steps):
        own = {out: arrived[out] for out in step.outs if out in arrived}
        targets = list(dict.fromkeys(node for node in step.ins if node.active))
        for node, u in zip(targets, through(step, own, targets) if own else (), strict=False):
            if u is not None:
                arrived[node] = arrived[node] + u if node in arrived else u
    made = [node for step in tape.steps for node in step.outs]
    count = 0
    for step in tape.steps:
        b = step.outs[0]
        if step.name not in _ENDS or b not in arrived or not 1 < arrived[b].size <= _MOST_ENTRIES:
            continue
        earlier = [*inputs, *made[: made.index(b)]]
        near = [a for a in earlier if _shape(a) == _shape(b) and a.active and a in arrived][-_REACH:]
        for a in near:
            J = _between(tape, a, b)
            if J is None or count >= _MOST_BLOCKS:
                continue
            count += 1
            where = f"`{step.name}` ({short(step.line)})"
            for kind, what, u in _mistakes(J, np.asarray(arrived[b])):
                found = pull(tape, {a: jnp.asarray(u)}, inputs)
                text = f"{what} what leads to {where}"
                yield (
                    kind,
                    text,
                    short(step.line),
                    [
                        np.zeros(np.shape(leaves[k])) if f is None else np.asarray(f)
                        for f, k in zip(found, walker.moving, strict=True)
                    ],
                )


def _mistakes(J: LinearMap, u: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    yield "diagonal_only", "with the diagonal alone of the Jacobian of", u * np.asarray(J.diagonal())
    true = np.asarray(J.vm(jnp.asarray(u)))
    if u.ndim > 1:
        for term in J.terms:
            for added in exchanged(J, term, u):
                yield "wrong_axis", "if sums run along another axis in", true + added


def _between(tape: Any, a: Node, b: Node) -> LinearMap | None:
    """The Jacobian of b by a, unless it is element-wise."""
    shape = _shape(a)
    ((J,),) = forward(tape, {a: [LinearMap([identity(shape)], shape, shape, jnp.float64)]}, [b])
    if J is None:
        return None
    plain = J.structure.startswith(("diagonal", "identity", "zero", "scalar")) and "+" not in J.structure
    return None if plain else J


def _shape(node: Node) -> Any:
    return node.aval.shape if node.aval is not None else np.shape(node.value.array) if node.value is not None else None
