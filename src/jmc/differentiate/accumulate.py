"""The chain rule over a tape: Jacobians from the argument forward, or from the value backward."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jmc.differentiate.node import Node, Step
from jmc.differentiate.opaque import Pointwise
from jmc.differentiate.sweep import cost, pulled, pushed
from jmc.differentiate.tape import Tape
from jmc.linear.collapse import collapsed, limited, settled
from jmc.linear.linear_map import MAX_BYTES, LinearMap
from jmc.linear.place import placed
from jmc.linear.plan import flops
from jmc.linear.simplify import added, products
from jmc.linear.term import Term, labels_on, row
from jmc.linear.unify import compose

Maps = list[LinearMap | None]
# A summed label is contracted at a value that is used more than once, if the Jacobian is not this much larger.
GROWTH = 32


def forward(tape: Tape, start: Mapping[Node, Maps], ends: Sequence[Node]) -> list[Maps]:
    """For each end its Jacobians with respect to each leaf, from those of the nodes at the start."""
    maps: dict[Node, Maps] = dict(start)
    leaves = len(next(iter(start.values())))
    for step in tape.steps:
        arriving = [maps.get(node) if node.active else None for node in step.ins]
        if all(m is None for m in arriving):
            continue
        keys = [(j, k) for j, k in _links(step) if arriving[k] is not None]
        for leaf in range(leaves):
            own = [None if m is None else m[leaf] for m in arriving]
            for out, J in zip(step.outs, _forward(step, own, keys), strict=True):
                maps.setdefault(out, [None] * leaves)[leaf] = J
    return [maps.get(node) or [None] * leaves for node in ends]


def _links(step: Step) -> Iterable[tuple[int, int]]:
    """Which results of an opaque step depend on which operands."""
    return () if step.opaque is None else step.opaque.links or ()


def _forward(step: Step, arriving: Maps, keys: Sequence[tuple[int, int]]) -> Maps:
    shapes = next((J.in_shape for J in arriving if J is not None), None)
    if shapes is None:
        return [None] * len(step.outs)
    if isinstance(step.opaque, Pointwise):
        (J,) = [J for J in arriving if J is not None]
        return [step.opaque.forward(J)]
    terms_of = step.terms
    if step.opaque is not None:
        own = [(j, k) for j, k in keys if arriving[k] is not None]
        few = step.opaque.mode() != "reverse" and 2 * cost(step.opaque, arriving) <= step.opaque.sweeps(own)
        if few or step.opaque.columns_only:
            return pushed(step.opaque, arriving)
        terms_of = step.opaque.local(keys)
    found: Maps = []
    for j, out in enumerate(step.outs):
        shape, dtype = _type(out)
        terms: list[Term] = []
        for k, J in enumerate(arriving):
            if J is not None and (j, k) in terms_of:
                terms += products(terms_of[j, k], J.terms)
        found.append(_finished(terms, shape, shapes, dtype, out) if terms else None)
    return found


def backward(tape: Tape, start: Mapping[Node, Maps], ends: Sequence[Node]) -> list[Maps]:
    """For each end the Jacobians of each value with respect to it, from those of the nodes at the start."""
    maps: dict[Node, Maps] = dict(start)
    values = len(next(iter(start.values())))
    for step in reversed(tape.steps):
        arriving = [maps.get(node) if node.active else None for node in step.outs]
        if all(m is None for m in arriving):
            continue
        keys = [(j, k) for j, k in _links(step) if arriving[j] is not None]
        for leaf in range(values):
            own = [None if m is None else _ready(m[leaf], node) for m, node in zip(arriving, step.outs, strict=True)]
            for node, J in zip(step.ins, _backward(step, own, keys), strict=True):
                if J is not None and node.active:
                    kept = maps.setdefault(node, [None] * values)
                    kept[leaf] = J if kept[leaf] is None else _sum(kept[leaf], J)
    return [maps.get(node) or [None] * values for node in ends]


def _backward(step: Step, arriving: Maps, keys: Sequence[tuple[int, int]]) -> Maps:
    shapes = next((J.out_shape for J in arriving if J is not None), None)
    if shapes is None:
        return [None] * len(step.ins)
    terms_of = step.terms
    if step.opaque is not None:
        own = [(j, k) for j, k in keys if arriving[j] is not None]
        few = step.opaque.mode() != "forward" and 2 * cost(step.opaque, arriving, back=True) <= step.opaque.sweeps(own)
        if few:
            return pulled(step.opaque, arriving)
        terms_of = step.opaque.local(keys)
    found: Maps = []
    for k, node in enumerate(step.ins):
        terms: list[Term] = []
        dtype = None
        for j, J in enumerate(arriving):
            if J is not None and (j, k) in terms_of:
                terms += products(J.terms, terms_of[j, k])
                dtype = J.dtype
        shape, _ = _type(node)
        found.append(LinearMap(limited(added(terms, dtype), dtype, MAX_BYTES), shapes, shape, dtype) if terms else None)
    return found


def pull(tape: Tape, start: Mapping[Node, Any], ends: Sequence[Node]) -> list[Any]:
    """The cotangents of the ends, from those of the nodes at the start; None where nothing arrives."""
    found: dict[Node, Any] = dict(start)
    for step in reversed(tape.steps):
        arriving = [found.pop(node, None) for node in step.outs]
        if all(u is None for u in arriving):
            continue
        for node, u in zip(step.ins, _pulled(step, arriving), strict=True):
            if u is not None and node.active:
                found[node] = found[node] + u if node in found else u
    return [found.get(node) for node in ends]


def _pulled(step: Step, arriving: Sequence[Any]) -> Sequence[Any]:
    if isinstance(step.opaque, Pointwise):
        return [step.opaque.pull(step.ins[0].value.array, arriving[0])]  # pyright: ignore[reportOptionalMemberAccess] - values are known here
    if step.opaque is not None:
        filled = [
            jnp.zeros(o.shape, o.dtype) if u is None else u for o, u in zip(step.opaque.outs, arriving, strict=True)
        ]
        return step.opaque.pull(filled)
    found: list[Any] = [None] * len(step.ins)
    for (j, k), terms in step.terms.items():
        u = arriving[j]
        if u is None:
            continue
        _, dtype = _type(step.ins[k])
        for term in terms:
            product = compose(row(u), term)
            if product is not None:
                part = placed(product, product.in_, u.dtype)
                part = _cotangent(part, dtype)
                found[k] = part if found[k] is None else found[k] + part
    return found


def _cotangent(u: Any, dtype: Any) -> Any:
    """A cotangent of this type; that of a real operand is a real part."""
    if jnp.iscomplexobj(u) and not jnp.issubdtype(dtype, jnp.complexfloating):
        u = u.real
    return u if u.dtype == dtype else u.astype(dtype)


def _ready(J: LinearMap | None, node: Node) -> LinearMap | None:
    """What is used more than once is contracted first, where that pays."""
    if J is None:
        return None
    return LinearMap(_contracted(J.terms, J.dtype, node), J.out_shape, J.in_shape, J.dtype)


def _sum(a: Any, b: LinearMap) -> LinearMap:
    return LinearMap(
        limited(added((*a.terms, *b.terms), a.dtype), a.dtype, MAX_BYTES), a.out_shape, a.in_shape, a.dtype
    )


def _finished(terms: Sequence[Term], shape: Any, in_shape: Any, dtype: Any, out: Node) -> LinearMap:
    kept = limited(added(terms, dtype), dtype, MAX_BYTES)
    return LinearMap(_contracted(kept, dtype, out), shape, in_shape, dtype)


def _contracted(terms: Sequence[Term], dtype: Any, node: Node) -> tuple[Term, ...]:
    if node.uses < 2:
        return tuple(terms)
    if len(terms) > 1 and any(_laborious(term) for term in terms):
        return collapsed(terms, dtype, MAX_BYTES)
    shape, _ = _type(node)
    return settled(terms, dtype, GROWTH * math.prod(shape))


def _laborious(term: Term) -> bool:
    """Whether contracting it costs far more than writing what comes out."""
    labels = labels_on(term.axes)
    if len(term.factors) < 2 or all(m in labels for f in term.factors for m in f.labels):
        return False
    return flops(term.factors, labels) > 16 * math.prod(m.size for m in labels)


def _type(node: Node) -> tuple[tuple[int, ...], Any]:
    if node.aval is not None:
        return node.aval.shape, node.aval.dtype
    assert node.value is not None
    array = jnp.asarray(node.value.array)
    return np.shape(array), array.dtype
