"""Derivatives that someone gets who takes the right formula at other arguments, or along another axis."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

import jmc.differentiate.jacobian as engine
from jmc.checking.hypotheses import Case
from jmc.checking.observe import Observation, Observer
from jmc.checking.oracles import double_precision
from jmc.checking.problem import replaced
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import Factor, Label, Term, plain

Base = tuple[str, str, list[np.ndarray]]
"""A kind, what it is (after "the true derivative"), and the derivative at each observation."""
_MOST_ENTRIES = 4096  # of a Jacobian that is looked at entry by entry


def elsewhere(case: Case, observer: Observer) -> Iterator[tuple[Base, list[list[np.ndarray]]]]:
    """The derivative at other arguments, with these."""
    first = case.seen[0]
    changes: list[tuple[str, str, Any]] = []
    for j, (x, name) in enumerate(zip(first.leaves, case.names, strict=True)):
        if x.dtype.kind != "f" or x.size == 0:
            continue
        if j != case.leaf:
            changes.append(
                (
                    "missing_factor",
                    f"where `{name}` is left out (taken as 1)",
                    lambda o, j=j: _set(o, j, np.ones_like(o.leaves[j])),
                )
            )
            changes.append(("extra_factor", f"where `{name}` is squared", lambda o, j=j: _set(o, j, o.leaves[j] ** 2)))
        changes += [
            (
                "transposed_operand",
                f"where `{name}` is read backwards along axis {d}",
                lambda o, j=j, d=d: _set(o, j, np.flip(o.leaves[j], d)),
            )
            for d in range(x.ndim if j != case.leaf else 0)
        ]
        if x.ndim == 2 and x.shape[0] == x.shape[1] > 1:
            changes.append(
                ("transposed_operand", f"where `{name}` is transposed", lambda o, j=j: _set(o, j, o.leaves[j].T))
            )
        if any(u.shape == x.shape for u in first.us) and case.mode != "grad":
            changes.append(
                (
                    "wrong_point",
                    f"at the value in place of `{name}`",
                    lambda o, j=j: _set(o, j, _value_like(observer, o, j)),
                )
            )
    for i, j in itertools.combinations(range(len(first.leaves)), 2):
        if first.leaves[i].shape == first.leaves[j].shape and first.leaves[i].dtype == first.leaves[j].dtype:
            text = f"where `{case.names[i]}` and `{case.names[j]}` are exchanged"
            changes.append(
                ("swapped_arguments", text, lambda o, i=i, j=j: replaced(o.leaves, [i, j], [o.leaves[j], o.leaves[i]]))
            )
    for kind, text, change in changes:
        moved = [change(o) for o in case.seen]
        if any(leaves is None for leaves in moved):
            continue
        found = [
            observer.reference.pulled(leaves, o.us)[case.index] for leaves, o in zip(moved, case.seen, strict=True)
        ]
        yield (kind, text, found), moved


def _set(o: Observation, j: int, array: Any) -> Any:
    return None if array is None or np.shape(array) != o.leaves[j].shape else replaced(o.leaves, [j], [array])


def _value_like(observer: Observer, o: Observation, j: int) -> Any:
    return next((out for out in observer.reference.values(o.leaves) if out.shape == o.leaves[j].shape), None)


def along_other_axes(case: Case, observer: Observer, places: Sequence[Any]) -> Iterator[Base]:
    """Terms of the Jacobian that sum over one axis, example by example along another, sum along that one instead."""
    maps = [_jacobian(case, observer, o, leaves) for o, leaves in zip(case.seen, places, strict=True)]
    if any(J is None for J in maps):
        return
    known = [J for J in maps if J is not None]
    counts = {len(J.terms) for J in known}
    if len(counts) != 1:
        return
    count = counts.pop()
    with double_precision():
        options: list[list[list[np.ndarray]]] = []
        for t in range(count):
            variants = [list(exchanged(J, J.terms[t], o.us[0])) for J, o in zip(known, case.seen, strict=True)]
            if len({len(v) for v in variants}) == 1 and variants[0]:
                options.append([[v[n] for v in variants] for n in range(len(variants[0]))])
    truths = [observer.reference.pulled(leaves, o.us)[case.index] for o, leaves in zip(case.seen, places, strict=True)]
    text = "if sums along one axis run along another"
    for chosen in options:
        for variant in chosen:
            yield "wrong_axis", text, [t + d for t, d in zip(truths, variant, strict=True)]
    for one, other in itertools.combinations(options, 2):
        for a, b in itertools.product(one, other):
            yield "wrong_axis", text, [t + d + e for t, d, e in zip(truths, a, b, strict=True)]


def _jacobian(case: Case, observer: Observer, o: Observation, leaves: Any) -> LinearMap | None:
    x = o.leaves[case.leaf]
    if len(o.us) != 1 or o.us[0].shape != x.shape or x.ndim < 2 or x.size > _MOST_ENTRIES:
        return None
    try:
        with double_precision():
            return engine.jacobian(lambda moved: observer.problem.f(replaced(leaves, [case.leaf], [moved]))[0])(
                jnp.asarray(x)
            )
    except (NotImplementedError, TypeError, ValueError):
        return None


def exchanged(J: LinearMap, term: Term, u: np.ndarray) -> Iterator[np.ndarray]:
    """What a term with its sum along another axis adds to uᵀ J, in every way to read its factors."""
    out, in_ = [axis.label for axis in term.out], [axis.label for axis in term.in_]
    if any(label is None for label in (*out, *in_)):
        return
    shared = [p for p, (a, b) in enumerate(zip(out, in_, strict=True)) if a is b]
    free = [p for p in range(len(out)) if p not in shared]
    own = LinearMap([term], J.out_shape, J.in_shape, J.dtype).vm(jnp.asarray(u))
    for a, b in itertools.product(shared, free):
        old_out, old_in, kept = out[b], in_[b], out[a]
        assert old_out is not None
        assert old_in is not None
        assert kept is not None
        fresh = Label(kept.size)
        asked = [
            k
            for k, f in enumerate(term.factors)
            if kept in f.labels and old_in not in f.labels and old_out not in f.labels
        ]
        for shares in itertools.product(_SHARES, repeat=len(asked)):
            share = dict(zip(asked, shares, strict=True))
            factors: list[Factor] = []
            for k, f in enumerate(term.factors):
                on_input = old_in in f.labels
                for array, inner in _parts(f, share.get(k, 1.0 if on_input else 0.0)):
                    names = {old_in: old_out, **({kept: fresh} if inner else {})}
                    factors.append(f._replace(array=array, labels=tuple(names.get(label, label) for label in f.labels)))
            new_in = [plain(fresh) if p == a else plain(old_out) if p == b else axis for p, axis in enumerate(term.in_)]
            made = Term(term.coefficient, tuple(factors), term.out, tuple(new_in))
            found = LinearMap([made], J.out_shape, J.in_shape, J.dtype).vm(jnp.asarray(u))
            for scale in (1.0, old_out.size / kept.size):
                yield np.asarray(scale * found - own)


# How much of a factor along the axis that was shared belongs to the input: powers of σ may stand on both sides.
_SHARES = (0.0, 1.0, 2.0, -1.0, 2 / 3, 1 / 2, 1 / 3)


def _parts(f: Factor, share: float) -> list[tuple[Any, bool]]:
    """The factor as what stands on the input's side and what on the output's."""
    if share in (0.0, 1.0):
        return [(f.array, share == 1.0)]
    return [(jnp.abs(f.array) ** share, True), (jnp.sign(f.array) * jnp.abs(f.array) ** (1 - share), False)]


def used_more_than_once(case: Case, observer: Observer) -> list[np.ndarray] | None:
    """Of each observation, which entries of the leaf several outputs depend on, if that differs among entries."""
    found = []
    for o in case.seen:
        x = o.leaves[case.leaf]
        if len(o.us) != 1 or x.size * o.us[0].size > _MOST_ENTRIES:
            return None
        rows = [
            observer.reference.pulled(o.leaves, [e])[case.index]
            for e in np.eye(o.us[0].size).reshape(-1, *o.us[0].shape)
        ]
        found.append(np.sum([row != 0 for row in rows], axis=0) > 1)
    mixed = any(np.any(many) and not np.all(many) for many in found)
    return found if mixed else None
