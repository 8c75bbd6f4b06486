"""Every small mistake that can be made in the chain rule of a function.

The true derivative is a walk back over the tape: at each step the cotangent is contracted with the terms of a local
Jacobian, whose factors are arrays of known origin. A mutant changes one of these terms: all that comes along a path is
dropped (or negated, halved, doubled: multiples of that), a factor is dropped or doubled, two axes of one are exchanged,
a slope is taken at the value instead of at the argument.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.differentiate.accumulate import pull
from jmc.differentiate.node import Node, Step
from jmc.differentiate.tape import Tape
from jmc.linear.term import Factor, Term, labels_on, renamed

PATH = "path"


@dataclass(frozen=True)
class Mutant:
    """One mistake: its kind (or PATH: minus all that comes along a path), what it is done to, and where that stands."""

    kind: str
    what: str
    line: str
    operation: str


# a mutant, the result and the operand whose local Jacobian it changes, and the terms that it adds there
Change = tuple[Mutant, int, int, Any]


def changes(step: Step, origin: dict[int, str], turned_values: dict[int, list[Any]]) -> Iterator[Change]:
    """The mutants of a step.

    ``origin`` names arrays by their identity, and ``turned_values`` has products with an operand transposed.
    """
    where = (short(step.line), step.name)
    active = [i for i, node in enumerate(step.ins) if node.active]
    if step.opaque is not None:
        for i in active:
            if len(active) > 1 or step.ins[i].uses > 1:
                yield Mutant(PATH, f"the path through {_operand(step, i, origin)}", *where), 0, i, None
        return
    for (j, i), terms in step.terms.items():
        for term in terms:
            # a path that neither meets nor leaves another here is the same at the next step
            if len(active) > 1 or len(terms) > 1 or step.ins[i].uses > 1:
                path = f"the path through {_operand(step, i, origin)}"
                yield Mutant(PATH, path, *where), j, i, (_scaled(term, -1),)
            for kind, what, other in _quotients(step, i, term):
                yield Mutant(kind, what, *where), j, i, (other, _scaled(term, -1))
            if step.name == "dot_general":
                for other in _turned(term):
                    what = f"the cotangent of `{step.name}`"
                    yield Mutant("transposed_operand", what, *where), j, i, (other, _scaled(term, -1))
            for k, factor in enumerate(term.factors):
                name = origin.get(id(factor.array), _factor_name(step))
                back = _scaled(term, -1)
                others = (*term.factors[:k], *term.factors[k + 1 :])
                if (dropped := _without(term, k)) is not None:
                    yield Mutant("missing_factor", name, *where), j, i, (dropped, back)
                yield (
                    Mutant("extra_factor", name, *where),
                    j,
                    i,
                    (replace(term, factors=(*term.factors, factor)), back),
                )
                for turned in _exchanged(factor):
                    other = replace(term, factors=(*others, turned))
                    yield Mutant("transposed_operand", name, *where), j, i, (other, back)
                for turned in turned_values.get(id(factor.array), ()):
                    other = replace(term, factors=(*others, factor._replace(array=turned)))
                    yield Mutant("transposed_operand", f"an operand of {name}", *where), j, i, (other, back)
                if (moved := _at_value(step, factor)) is not None:
                    other = replace(term, factors=(*others, moved))
                    yield Mutant("wrong_point", name, *where), j, i, (other, back)


def short(line: str) -> str:
    """``file.py:12`` of a line as JAX summarises it."""
    place = line.split(" ", 1)[0]
    parts = place.rsplit("/", 1)[-1].split(":")
    return ":".join(parts[:2])


def through(step: Step, cotangents: dict[Node, Any], targets: Sequence[Node]) -> list[Any]:
    """The cotangents that this step alone hands to the targets."""
    alone = Tape()
    alone.steps = [step]
    return pull(alone, dict(cotangents), targets)


def _scaled(term: Term, number: float) -> Term:
    return replace(term, coefficient=term.coefficient * number)


def _without(term: Term, k: int) -> Term | None:
    """The term without a factor; where that connected an output with an input axis of its size, the identity does."""
    rest = replace(term, factors=(*term.factors[:k], *term.factors[k + 1 :]))
    held = {label for f in rest.factors for label in f.labels}
    outs, ins = labels_on(term.out), labels_on(term.in_)
    loose_out = [m for m in term.factors[k].labels if m in outs and m not in ins and m not in held]
    loose_in = [m for m in term.factors[k].labels if m in ins and m not in outs and m not in held]
    if any(m not in outs and m not in ins and m not in held for m in term.factors[k].labels):
        return None
    if loose_out and not loose_in:
        return rest  # what was repeated along these axes is still summed over them
    for a, b in zip(loose_out, loose_in, strict=False):
        if a.size != b.size:
            return None
        rest = renamed(rest, {b: a})
    return rest if len(loose_out) == len(loose_in) else None


def _quotients(step: Step, i: int, term: Term) -> Iterator[tuple[str, str, Term]]:
    """−x/y² in parts: its share x/y left out, one of its 1/y, or its x."""
    if step.name != "div" or i != 1 or len(term.factors) != 1 or any(node.value is None for node in step.ins):
        return
    (factor,) = term.factors
    x, y = (jnp.asarray(node.value.array) for node in step.ins if node.value is not None)
    shape = np.shape(factor.array)
    if np.broadcast_shapes(np.shape(x), np.shape(y)) != shape:
        return
    sign = jnp.where(jnp.sum(factor.array * x) < 0, -1.0, 1.0)
    parts = (
        ("missing_factor", "the quotient itself, in the slope by the divisor of `div`", sign / y),
        ("missing_factor", "one over the divisor of `div`", sign * x / y),
        ("missing_factor", "the numerator of `div`", sign / (y * y)),
    )
    for kind, what, array in parts:
        yield kind, what, replace(term, factors=(factor._replace(array=jnp.broadcast_to(array, shape)),))


def _turned(term: Term) -> Iterator[Term]:
    """The term with two axes of its result exchanged, of one size."""
    out = term.out
    for a in range(len(out)):
        for b in range(a + 1, len(out)):
            if out[a].size == out[b].size > 1:
                yield replace(term, out=(*out[:a], out[b], *out[a + 1 : b], out[a], *out[b + 1 :]))


def _exchanged(factor: Factor) -> Iterator[Factor]:
    """The factor with two axes of one size exchanged."""
    shape = np.shape(factor.array)
    for a in range(len(shape)):
        for b in range(a + 1, len(shape)):
            if shape[a] == shape[b] > 1 and factor.labels[a] is not factor.labels[b]:
                yield factor._replace(array=jnp.swapaxes(factor.array, a, b))


def _at_value(step: Step, factor: Factor) -> Factor | None:
    """The slope of an element-wise function at its value."""
    function = getattr(jax.lax, step.name, None)
    out = step.outs[0].value
    if function is None or out is None or step.name not in _UNARY or np.shape(factor.array) != np.shape(out.array):
        return None
    y = jnp.asarray(out.array)
    return factor._replace(array=jax.jvp(function, (y,), (jnp.ones_like(y),))[1])


_UNARY = {
    "tanh",
    "exp",
    "log",
    "log1p",
    "expm1",
    "logistic",
    "sin",
    "cos",
    "tan",
    "sqrt",
    "rsqrt",
    "square",
    "erf",
    "sinh",
    "cosh",
    "cbrt",
}


def _operand(step: Step, i: int, origin: dict[int, str]) -> str:
    node = step.ins[i]
    named = None if node.value is None else origin.get(id(node.value.array))
    which = named or (
        "its operand"
        if len(step.ins) == 1
        else f"its {('first', 'second', 'third')[i]} operand"
        if i < 3
        else f"operand {i + 1}"
    )
    return f"{which} in `{step.name}`"


def _factor_name(step: Step) -> str:
    if step.name in ("mul", "dot_general", "div"):
        return f"the other operand of `{step.name}`"
    return f"the slope of `{step.name}`"


def turned_values(tape: Tape) -> dict[int, list[Any]]:
    """Products of matrices, by the identity of their arrays, as they are with an operand transposed."""
    found: dict[int, list[Any]] = {}
    for step in tape.steps:
        y = step.outs[0].value
        if step.name != "dot_general" or y is None:
            continue
        for (_, i), terms in step.terms.items():
            node = step.ins[i]
            for term in terms if node.value is not None else ():
                assert node.value is not None
                for k, factor in enumerate(term.factors):
                    for turned in _exchanged(factor):
                        other = replace(term, factors=(*term.factors[:k], turned, *term.factors[k + 1 :]))
                        # forward is backward through the transpose
                        back = Step([step.outs[0]], [node], {(0, 0): (other.T,)})
                        (product,) = through(back, {node: jnp.asarray(node.value.array)}, [step.outs[0]])
                        if product is not None:
                            found.setdefault(id(y.array), []).append(product)
    return found
