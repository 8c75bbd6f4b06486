"""Which axes go together: the Jacobian is zero unless the indices on both axes of a pair are equal.

The pairs of a step are read off the labels of its terms, those of a program are composed along its steps, and what a
loop repeats is iterated until it stays the same. Nothing depends on the values of arrays that move.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from jmc.differentiate.jvp import jvp_trace
from jmc.differentiate.known import inexact
from jmc.differentiate.node import Node
from jmc.differentiate.operation import value
from jmc.linear.contract import TooLarge
from jmc.linear.term import Axis, Term

Pairs = frozenset[tuple[int, int]]  # (axis of the result, axis of the operand)
Key = tuple[int, int]  # (result, operand)
Links = dict[Key, Pairs]  # a result does not depend on operands that are missing
# How many trailing axes an operation works on; the others are batch axes, shared by operands and results.
CORE = {p.cholesky_p: 2, p.lu_p: 2, p.qr_p: 2, p.svd_p: 2, p.eigh_p: 2, p.triangular_solve_p: 2}
CUMULATIVE = {p.cumsum_p, p.cumprod_p, p.cummax_p, p.cummin_p, p.cumlogsumexp_p}
# The axis of a scan's steps, of what is scanned over and of what is stacked; its body has it in name only.
_STEPS = -1


def equation_links(eqn: JaxprEqn, moving: Sequence[int]) -> Links | None:
    """The links of an equation that is swept, with its moving operands; None if nothing is known."""
    from jmc.differentiate.tape import NotDifferentiable  # which reads links

    try:
        if eqn.primitive is p.scan_p:
            return _scan(eqn, moving)
        if eqn.primitive is p.while_p:
            return _while(eqn, moving)
        if eqn.primitive is p.cond_p:
            return _cond(eqn, moving)
        if eqn.primitive is p.custom_jvp_call_p:
            return _jvp(eqn, moving)
    except (NotDifferentiable, TooLarge):
        return None
    return _batch(eqn, moving)


def step_links(step: Any) -> Links:
    """The links of a step of a tape."""
    if step.opaque is not None:
        pointwise = step.opaque.links is None
        return {(0, 0): _same(range(len(step.outs[0].aval.shape)))} if pointwise else step.opaque.links
    return {key: pairs for key, terms in step.terms.items() if (pairs := terms_links(terms)) is not None}


def tape_links(tape: Any, inputs: Sequence[Node], outputs: Sequence[Node]) -> Links:
    """The links of a program's outputs with those of its inputs that are active."""
    found: dict[Node, dict[int, Pairs]] = {
        node: {k: _same(range(len(node.aval.shape)))} for k, node in enumerate(inputs) if node.active
    }
    for step in tape.steps:
        ins = [found.get(node, {}) for node in step.ins]
        found.update(zip(step.outs, through(step_links(step), ins, len(step.outs)), strict=True))
    return {(j, k): pairs for j, node in enumerate(outputs) for k, pairs in found.get(node, {}).items()}


def _same(axes: Iterable[int]) -> Pairs:
    return frozenset((d, d) for d in axes)


def terms_links(terms: Sequence[Term]) -> Pairs | None:
    """What all terms have in common; None for no terms."""
    found = [
        {(p, q) for p, out in enumerate(term.out) for q, in_ in enumerate(term.in_) if _equal(out, in_)}
        for term in terms
    ]
    return frozenset(set.intersection(*found)) if found else None


def _equal(out: Axis, in_: Axis) -> bool:
    """Whether both axes are always at the same position."""
    return (
        bool(out.strides)
        and (out.size, out.offset, set(out.strides)) == (in_.size, in_.offset, set(in_.strides))
        and out.index is in_.index
        and (out.index is None or out.strides == in_.strides)
    )


def through(links: Links, ins: Sequence[Mapping[int, Pairs]], count: int) -> list[dict[int, Pairs]]:
    """For each of ``count`` results the pairs with what the operands are linked to."""
    outs: list[dict[int, Pairs]] = [{} for _ in range(count)]
    for (j, i), pairs in links.items():
        for k, inner in ins[i].items():
            _join(outs[j], k, frozenset((a, c) for a, b in pairs for b_, c in inner if b == b_))
    return outs


def _join(kept: dict[int, Pairs], k: int, pairs: Pairs) -> None:
    kept[k] = kept[k] & pairs if k in kept else pairs


# programs within an equation


def _program(inner: Any, moving: Sequence[bool], known: int | None = None) -> Links:
    """The links of a traced program; the first ``known`` arguments (all, if None) have values, the others none."""
    from jmc.differentiate.tape import Tape

    jaxpr, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", [])
    found: list[Links] = []

    def walk(*arrays: Any) -> None:
        tape = Tape()
        nodes = [
            Node(value(a) if known is None or k < known else None, active=moves, aval=var.aval)
            for k, (a, moves, var) in enumerate(zip(arrays, moving, jaxpr.invars, strict=True))
        ]
        found.append(tape_links(tape, nodes, tape.walk(jaxpr, consts, nodes)))

    jax.make_jaxpr(walk)(*[var.aval for var in jaxpr.invars])
    return found[0]


def _jvp(eqn: JaxprEqn, moving: Sequence[int]) -> Links | None:
    """A function with a JVP of its own: the links of that program, results with tangents."""
    traced = jvp_trace(eqn, tuple(moving))
    if traced is None:
        return None
    closed, active = traced
    count = len(eqn.invars)
    links = _program(closed, [False] * count + [True] * len(moving), known=count)
    places = {len(eqn.outvars) + i: j for i, j in enumerate(active)}
    return {(places[j], moving[k - count]): pairs for (j, k), pairs in links.items()}


def _cond(eqn: JaxprEqn, moving: Sequence[int]) -> Links:
    """Operand 0 says which branch is taken; what holds in all of them holds."""
    found: Links = {}
    for branch in eqn.params["branches"]:
        for (j, k), pairs in _program(branch, [k in moving for k in range(1, len(eqn.invars))]).items():
            key = j, k + 1
            found[key] = found[key] & pairs if key in found else pairs
    return found


def _while(eqn: JaxprEqn, moving: Sequence[int]) -> Links:
    """Constants of the condition, constants of the body, and the carries."""
    skipped, fixed = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    shifted = [k - skipped for k in moving if k >= skipped]
    links = _repeated(eqn.params["body_jaxpr"], shifted, fixed, len(eqn.outvars), 0)
    return {(j, k + skipped): pairs for (j, k), pairs in links.items()}


def _scan(eqn: JaxprEqn, moving: Sequence[int]) -> Links:
    fixed, carries, scanned = scan_parts(eqn)
    return _repeated(eqn.params["jaxpr"], moving, fixed, carries, scanned)


def scan_parts(eqn: JaxprEqn) -> tuple[int, int, int]:
    """How many constants, carries and scanned arrays a scan has: the last have an axis more than the body sees."""
    inner = eqn.params["jaxpr"]
    jaxpr = getattr(inner, "jaxpr", inner)
    scanned = sum(_rank(atom) > _rank(var) for atom, var in zip(eqn.invars, jaxpr.invars, strict=True))
    stacked = sum(_rank(var) > _rank(atom) for var, atom in zip(eqn.outvars, jaxpr.outvars, strict=True))
    carries = len(eqn.outvars) - stacked
    return len(eqn.invars) - carries - scanned, carries, scanned


def _rank(atom: Any) -> int:
    return len(atom.aval.shape)


def _repeated(body: Any, moving: Sequence[int], fixed: int, carries: int, scanned: int) -> Links:
    """The links of a loop with its operands: what is fixed, the carries and what is scanned over."""
    jaxpr = getattr(body, "jaxpr", body)
    rank = [_rank(var) for var in jaxpr.invars]
    moves = [k in moving for k in range(len(rank))]
    while True:  # a carry moves if what comes out for it does
        links = _program(body, moves)
        reached = {fixed + j for j, _ in links if j < carries}
        if all(moves[k] for k in reached):
            break
        moves = [m or k in reached for k, m in enumerate(moves)]
    steps = {(j, i): pairs | {(_STEPS, _STEPS)} for (j, i), pairs in links.items()}
    ins: list[dict[int, Pairs]] = [{k: _same(range(rank[k]))} if k in moving else {} for k in range(fixed + carries)]
    ins += [
        {k: frozenset((d - 1, d) for d in range(rank[k] + 1))} if k in moving else {}
        for k in range(fixed + carries, fixed + carries + scanned)
    ]
    while True:
        outs = through(steps, ins, len(jaxpr.outvars))
        before = [dict(kept) for kept in ins]
        for kept, out in zip(ins[fixed : fixed + carries], outs, strict=False):
            for k, pairs in out.items():
                _join(kept, k, frozenset(pair for pair in pairs if pair[0] != _STEPS))
        if ins == before:
            break
    stacked = [{k: frozenset((a + 1, b) for a, b in pairs) for k, pairs in out.items()} for out in outs[carries:]]
    return {
        (j, k): pairs for j, row in enumerate([*ins[fixed : fixed + carries], *stacked]) for k, pairs in row.items()
    }


# operations


def _batch(eqn: JaxprEqn, moving: Sequence[int]) -> Links | None:
    """Axes that an operation works along one by one, the same for all operands and results."""
    outs = [j for j, var in enumerate(eqn.outvars) if inexact(var.aval)]
    avals: list[Any] = [eqn.invars[k].aval for k in moving] + [eqn.outvars[j].aval for j in outs]
    shapes = [aval.shape for aval in avals]
    if eqn.primitive in CUMULATIVE:
        shared = [d for d in range(len(shapes[0])) if d != eqn.params["axis"]]
    elif eqn.primitive is p.fft_p:
        shared = range(len(shapes[0]) - len(eqn.params["fft_lengths"]))
    elif (core := CORE.get(eqn.primitive)) is not None:
        batch = shapes[0][: max(len(shapes[0]) - core, 0)]
        shared = range(len(batch)) if all(shape[: len(batch)] == batch for shape in shapes) else ()
    else:
        return None
    return {(j, k): _same(shared) for j in outs for k in moving}
