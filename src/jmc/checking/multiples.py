"""Changes of a derivative's program that multiply a value by a number."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.hypotheses import LEFT, left, sizes_that_explain
from jmc.checking.observe import Observation
from jmc.checking.operations import SUMS
from jmc.checking.program import Equation
from jmc.checking.scene import Edit, Rules, Scene, Use, addends, on, place, uses


def numbers(stage: Sequence[Scene], seen: Sequence[Observation]) -> Iterator[Edit]:
    """A term, or what stands within a function, times a number: the one that fits, or a usual one."""
    s = stage[0]
    for at in (*uses(s), *addends(s)):
        none = s.again(s.used(at, np.zeros_like(s.values[at.number])))
        if none.shape != s.own.shape or np.allclose(none, s.own, rtol=1e-12, atol=0):
            continue
        where, name = place(s, at), s.called(at.number)
        fits = _fits(at, stage)
        inner = not linear(s, at) or within_a_slope(s, at)
        if fits is not None and np.any(none):
            for edit in _fitted(at, stage, seen, fits, name, where):
                yield replace(edit, done=_TERM, weight=edit.weight + 3) if inner else edit
        for c in (-1.0, 2.0, 0.5):
            kinds = ("wrong_term", "wrong_point", "sign" if c < 0 else "constant_factor")
            yield Edit(kinds, kinds, f"{name} is multiplied by {c:g}", *where, _times(at, c), 3)


_TERM = ("wrong_term", "missing_factor")


def linear(s: Scene, at: Use) -> bool:
    """Whether what is changed at a use is a term: of the cotangent, or what the derivative is an affine function of."""
    return bool(s.cotangents and at.number in s.cotangent_values) or s.affine(at)


def within_a_slope(s: Scene, at: Use) -> bool:
    """Whether it is, or is a factor of, the y of a slope that JAX writes as (1 + y)(1 − y)."""
    if at.equation < 0:
        return False
    e = s.program.equations[at.equation]
    if e.eqn.primitive is p.mul_p:
        return any(e.outs[0] in o.ins and of_a_slope(s, o) for o in s.program.equations)
    return of_a_slope(s, e)


def of_a_slope(s: Scene, e: Equation) -> bool:
    """Whether it is the sum in (1 + y)(1 − y)."""
    if e.eqn.primitive not in SUMS:
        return False
    complements = {o.ins[1] for o in s.program.equations if o.eqn.primitive is p.sub_p}
    products = [{*made.ins} for i in e.ins if (made := s.program.maker(i)) and made.eqn.primitive is p.mul_p]
    return any(not ins.isdisjoint(e.ins) and not (ins - {*e.ins}).isdisjoint(complements) for ins in products)


def _fitted(
    at: Use, stage: Sequence[Scene], seen: Any, fits: list[float], name: str, where: tuple[str, str]
) -> Iterator[Edit]:
    if np.allclose(fits, fits[0], rtol=1e-4, atol=1e-6):
        c = fits[0]
        if abs(c) < 1e-4:
            slope = at.number not in stage[0].cotangent_values and beside_a_number(stage[0], at)
            done = ("missing_factor", "wrong_term") if slope else ("missing_term", "wrong_term")
            if twin(stage[0], at):
                done = ("constant_factor", *done)
            yield Edit(("wrong_term", "extra_factor"), done, f"{name} is dropped", *where, _times(at, 0), float(slope))
            return
        kinds = ("wrong_term", "sign" if np.isclose(c, -1) else "constant_factor")
        said = "has the other sign" if np.isclose(c, -1) else f"is multiplied by {c:.6g}"
        usual = any(np.isclose(abs(c), n) for n in (1, 2, 0.5, 3, 4))
        s = stage[0]
        term = at.number == s.wanted or (at.equation >= 0 and s.program.equations[at.equation].eqn.primitive in SUMS)
        odd = 0 if np.isclose(c, -1) else 0.25 if usual else 2
        weight = odd + (0 if term or at.number in s.cotangent_values else 1.25)
        yield Edit(kinds, kinds, f"{name} {said}", *where, _times(at, c), weight)
    elif sizes_that_explain(seen, fits):
        kinds = ("wrong_term", "mean_vs_sum")
        text = f"{name} is multiplied by what follows the sizes, {fits[0]:.6g} here"
        yield Edit(kinds, kinds, text, *where, _times_each(at, stage, fits), 1)
    elif by_sizes(stage, fits):
        text = f"{name} is multiplied by a number that depends on the sizes, {fits[0]:.6g} here"
        yield Edit(("wrong_term",), ("wrong_term",), text, *where, _times_each(at, stage, fits), 1.25)


def twin(s: Scene, at: Use) -> bool:
    """Whether it is added to its like, so that one of them is half of both."""
    e = s.program.equations[at.equation] if at.equation >= 0 else None
    if e is None or e.eqn.primitive not in SUMS or at.operand is None:
        return False
    x, y = (s.values[i] for i in e.ins)
    return np.shape(x) == np.shape(y) and bool(np.allclose(x, y, rtol=1e-9, atol=0))


def beside_a_number(s: Scene, at: Use) -> bool:
    """Whether it is summed with a constant, as in a slope like 1 − y, or with nothing."""
    e = s.program.equations[at.equation] if at.equation >= 0 else None
    return e is None or e.eqn.primitive not in SUMS or any(i in s.program.constants for i in e.ins)


def by_sizes(stage: Sequence[Scene], fits: Sequence[float]) -> bool:
    """Whether it is one number for each set of sizes."""
    groups: dict[Any, list[float]] = {}
    for s, c in zip(stage, fits, strict=True):
        groups.setdefault(tuple(np.shape(s.values[n]) for n in s.program.inputs), []).append(c)
    sure = all(len(some) > 1 or stage[0].goal.size > 1 for some in groups.values())
    again = any(len(some) > 1 for some in groups.values())
    return len(groups) > 1 and sure and again and all(np.allclose(some, some[0], rtol=1e-4) for some in groups.values())


def _fits(at: Use, stage: Sequence[Scene]) -> list[float] | None:
    """By what a value must be multiplied in each scene for the goal, if the derivative is linear in it."""
    found = []
    for s in stage:
        none = s.again(s.used(at, np.zeros_like(s.values[at.number])))
        if none.shape != s.goal.shape or not np.all(np.isfinite(none)):
            return None
        own, wanted = s.own - none, s.goal - none
        under = float(np.real(np.vdot(own, own)))
        c = float(np.real(np.vdot(own, wanted))) / under if under else 0.0
        if left([(none + c * own, s.goal)]) > LEFT:
            return None
        found.append(c)
    return found


def _times(at: Use, c: float) -> Rules:
    return on(at, lambda x: c * x)


def _times_each(at: Use, stage: Sequence[Scene], factors: Sequence[float]) -> Callable[[Scene], Any]:
    """A factor of its own for each scene."""
    which = {id(s): c for s, c in zip(stage, factors, strict=True)}
    return lambda s: s.again(s.used(at, which[id(s)] * s.values[at.number]))
