"""Every small change of a derivative's own program that needs nothing but the program itself."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.axes import SUMMED, of_dot, of_sum, of_sums
from jmc.checking.meanings import applied
from jmc.checking.multiples import twin, within_a_slope
from jmc.checking.operations import STRUCTURAL, SUMS
from jmc.checking.program import Equation
from jmc.checking.scene import Edit, Rules, Scene, Use, addends, floating, live, on, place, uses

_CUMULATED = (p.cumsum_p, p.cumprod_p, p.cummax_p, p.cummin_p, p.cumlogsumexp_p)
_MASKS = (p.lt_p, p.gt_p, p.le_p, p.ge_p, p.eq_p, p.ne_p)
_OTHER_FUNCTION = {
    p.sin_p: (p.cos_p,),
    p.cos_p: (p.sin_p,),
    p.sinh_p: (p.cosh_p,),
    p.cosh_p: (p.sinh_p,),
    p.tanh_p: (p.logistic_p, p.sign_p),
    p.logistic_p: (p.tanh_p,),
    p.exp_p: (p.expm1_p,),
    p.expm1_p: (p.exp_p,),
    p.log_p: (p.log1p_p,),
    p.log1p_p: (p.log_p,),
    p.sqrt_p: (p.rsqrt_p,),
    p.abs_p: (p.sign_p,),
    p.sign_p: (p.abs_p,),
    p.max_p: (p.min_p,),
    p.min_p: (p.max_p,),
    p.lt_p: (p.gt_p, p.le_p),
    p.gt_p: (p.lt_p, p.ge_p),
    p.le_p: (p.ge_p, p.lt_p),
    p.ge_p: (p.le_p, p.gt_p),
    p.eq_p: (p.ne_p,),
    p.ne_p: (p.eq_p,),
    p.reduce_max_p: (p.reduce_min_p,),
    p.reduce_min_p: (p.reduce_max_p,),
}
_TERM = ("wrong_term",)
_INNER = 2.5
"""What is changed within a function is further to seek than a factor or a term."""
_TURNED = ("transposed_operand", "wrong_term")


def plain(scene: Scene) -> Iterator[Edit]:
    """Those of single equations, as if none were within a function."""
    for _, e in live(scene):
        yield from _of_equation(scene, e)
    for at in uses(scene):
        yield from (replace(edit, slot=at.operand) for edit in _of_use(scene, at))


def edits(scene: Scene) -> Iterator[Edit]:
    """All of them."""
    for n, e in live(scene):
        inner = 0.0
        if floating(scene.values[e.outs[0]]):
            inner = 0 if scene.affine(Use(e.outs[0], n, None)) else _INNER
        for edit in _of_equation(scene, e):
            yield replace(edit, weight=edit.weight + inner)
    for at in uses(scene):
        inner = 0 if scene.affine(at) else _INNER
        for edit in _of_use(scene, at):
            yield replace(edit, weight=edit.weight + inner, slot=at.operand)
    yield from of_sums(scene)


def terms(scene: Scene) -> Iterator[Edit]:
    """Each term of each sum left out, or with the other sign."""
    for at in (*uses(scene), *addends(scene)):
        e = scene.program.equations[at.equation] if at.equation >= 0 else None
        if at.number == scene.wanted or (e is not None and e.eqn.primitive not in SUMS) or not scene.affine(at):
            continue
        where, name = place(scene, at), scene.called(at.number)
        kinds = _TERM if within_a_slope(scene, at) else ("constant_factor",) if twin(scene, at) else ("missing_term",)
        yield Edit(_TERM, kinds, f"{name} is dropped", *where, on(at, lambda x: 0 * x), 0, slot=at.operand)
        if not twin(scene, at):
            yield Edit(_TERM, _TERM, f"{name} has the other sign", *where, on(at, lambda x: -x), 0, slot=at.operand)
        for c in (2, 0.5):
            kinds = ("constant_factor", "wrong_term")
            made = on(at, lambda x, c=c: c * x)
            yield Edit(kinds, kinds, f"{name} is multiplied by {c:g}", *where, made, 0.25, slot=at.operand)


def _of_use(scene: Scene, at: Use) -> Iterator[Edit]:
    x, where, name = scene.values[at.number], place(scene, at), scene.called(at.number)
    for a, b in itertools.combinations(range(x.ndim), 2):
        if x.shape[a] == x.shape[b] > 1:
            kinds = ("transposed_layout",) if at.number == scene.wanted else _TURNED
            if x.ndim > 2 and (a, b) != (x.ndim - 2, x.ndim - 1):
                kinds = ("wrong_axis", *kinds)  # of a tensor, another axis is what is gone along
            turned = on(at, lambda x, a=a, b=b: np.swapaxes(x, a, b))
            yield Edit(kinds, kinds, f"{name} is transposed", *where, turned, 1)
    for d in range(x.ndim):
        if x.shape[d] > 1:
            kinds = (*_TURNED, "wrong_axis")
            turned = on(at, lambda x, d=d: np.flip(x, d))
            yield Edit(kinds, kinds, f"{name} is read backwards along axis {d}", *where, turned, 4)
            for step, word in ((1, "earlier"), (-1, "later")):
                moved = on(at, lambda x, d=d, step=step: np.roll(x, step, d))
                text = f"{name} is taken one place {word} along axis {d}"
                yield Edit(_TERM, _TERM, text, *where, moved, 5)
    if np.iscomplexobj(x):
        yield Edit(("conjugate",), ("conjugate",), f"{name} is conjugated", *where, on(at, np.conj), 1)
        yield Edit(_TERM, _TERM, f"of {name} the real part is taken", *where, on(at, lambda x: np.real(x) + 0j), 2)
    for word, function, more in (
        ("squared", np.square, True),
        ("under a root", np.sqrt, False),
        ("inverted", lambda x: 1 / x, None),
    ):
        less = ("extra_factor", "missing_factor", "wrong_term")
        kinds = ("missing_factor", "wrong_term") if more else ("extra_factor", "wrong_term") if more is False else less
        other = ("extra_factor", "wrong_term") if more else ("missing_factor", "wrong_term") if more is False else less
        yield Edit(kinds, other, f"{name} is {word}", *where, on(at, function), 2)
    if at.operand is not None or at.number == scene.wanted:
        size = ("missing_factor", "region")
        yield Edit(size, size, f"{name} is taken without its sign", *where, on(at, np.abs), 3)


def _of_equation(scene: Scene, e: Equation) -> Iterator[Edit]:
    primitive, out, where = e.eqn.primitive, e.outs[0], (e.line, e.name)

    def is_(value: Callable[..., Any]) -> Rules:
        """What makes it of its operands."""
        return {out: lambda get, e: value(*(get(i) for i in e.ins))}

    if primitive in (p.mul_p, p.div_p):
        yield from _of_product(scene, e, is_)
    if primitive is p.integer_pow_p:
        y, base = e.eqn.params["y"], e.ins[0]
        for z in (y + 1, y - 1, -y):
            more = abs(z) > abs(y)
            kinds = ("missing_factor", "extra_factor") if more else ("extra_factor", "missing_factor")
            text = f"the exponent {y} of {scene.called(base)} is {z}"
            power = is_(lambda x, z=z: np.power(x, float(z)))
            yield Edit((kinds[0], "wrong_term"), (kinds[1], "wrong_term"), text, *where, power, 0 if z != -y else 2)
    if primitive is p.square_p:
        text = f"{scene.called(e.ins[0])} is not squared"
        yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, is_(lambda x: x), 0)
    for other in _OTHER_FUNCTION.get(primitive, ()):
        kinds = ("region", "kink_convention") if primitive in _MASKS else ("wrong_term", "wrong_point")
        changed = _with(e, primitive=other)
        yield Edit(kinds, kinds, f"`{e.name}` is `{other.name}`", *where, changed, 3)
    same = len(e.ins) == 1 and np.shape(scene.values[out]) == np.shape(scene.values[e.ins[0]])
    if same and primitive not in STRUCTURAL:
        kinds: tuple[str, ...] = ("wrong_term", "wrong_point", "extra_factor")
        done: tuple[str, ...] = ("diagonal_only", "missing_term") if primitive in _CUMULATED else kinds
        if primitive is p.rev_p:
            kinds = done = _TURNED
        if primitive is p.conj_p:
            kinds = done = ("conjugate",)
        text = f"`{e.name}` is left out"
        weight = 1 if primitive in (*_CUMULATED, p.rev_p) else 3
        yield Edit(kinds, done, text, *where, is_(lambda x: x), weight)
    if primitive is p.select_n_p and len(e.ins) == 3:
        for k in (1, 2):
            chosen = is_(lambda *x, k=k: x[k])
            kinds = ("region", "missing_factor")
            far = 0.75 if e.line else 1.5  # the cases of a library are further from a formula
            yield Edit(kinds, kinds, f"no case is distinguished by `{e.name}`", *where, chosen, far, slot=k)
        if np.asarray(scene.values[e.ins[0]]).dtype == bool:
            swapped = is_(np.where)
            yield Edit(("region",), ("region",), f"the two cases of `{e.name}` change places", *where, swapped, 2)
    if primitive in SUMMED:
        yield from of_sum(scene, e)
    if "reverse" in e.eqn.params:
        turned = _with(e, reverse=not e.eqn.params["reverse"])
        yield Edit(_TURNED, _TURNED, f"`{e.name}` runs the other way", *where, turned, 1)
    if primitive is p.cumsum_p:
        without = {out: lambda get, e: applied(e.eqn, [get(e.ins[0])])[0] - get(e.ins[0])}
        text = "each cumulated sum is without its last term"
        yield Edit(_TERM, ("wrong_term", "missing_term"), text, *where, without, 2)
    if primitive is p.triangular_solve_p:
        text = "the triangular system is not solved"
        plain = is_(lambda _, b: b)
        yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, plain, 1)
        for name in ("transpose_a", "lower"):
            kinds, text = ("transposed_operand",), "the triangular system is the other one"
            yield Edit(kinds, kinds, text, *where, _with(e, **{name: not e.eqn.params[name]}), 1)
    if primitive is p.dot_general_p:
        yield from of_dot(scene, e)


def _of_product(scene: Scene, e: Equation, is_: Any) -> Iterator[Edit]:
    primitive, where = e.eqn.primitive, (e.line, e.name)
    for k, i in enumerate(e.ins):
        if i in scene.program.constants or scene.program.source(i) in scene.cotangents:
            continue
        if np.all(np.abs(scene.values[i]) == 1) and np.ptp(np.real(scene.values[i])) == 0:
            continue  # a sign, which is told as one
        other, over = e.ins[1 - k], primitive is p.div_p and k == 1
        inverse = primitive is p.div_p and k == 0
        kept = is_(lambda *x, k=k, inverse=inverse: 1 / x[1] if inverse else x[1 - k])
        name = f"the factor {'one over ' if over else ''}{scene.called(i)}"
        kinds = ("missing_factor", "wrong_term")
        # whoever forgets a factor has more left than a number
        bare = 1.5 * (scene.program.source(other) in scene.program.constants)
        yield Edit(("extra_factor", "wrong_term"), kinds, f"{name} is left out", *where, kept, bare, slot=k)
        if not inverse:
            twice = is_(lambda *x, k=k, over=over: x[0] / x[1] / x[1] if over else x[0] * x[1] * x[k])
            yield Edit(kinds, ("extra_factor", "wrong_term"), f"{name} is there twice", *where, twice, 1, slot=k)
    if primitive is p.div_p and e.ins[1] not in scene.program.constants:
        turned = is_(lambda x, y: x * y)
        text = f"{scene.called(e.ins[1])} stands above, not below"
        kinds = ("extra_factor", "missing_factor", "wrong_term")
        yield Edit(kinds, ("missing_factor", *kinds), text, *where, turned, 2)
    if primitive is p.mul_p:
        for k, i in enumerate(e.ins):
            if i not in scene.program.constants:
                turned = is_(lambda *x, k=k: x[1 - k] / x[k])
                text = f"{scene.called(i)} stands below, not above"
                kinds = ("missing_factor", "extra_factor", "wrong_term")
                yield Edit(kinds, ("extra_factor", *kinds), text, *where, turned, 3, slot=k)


def _with(e: Equation, **changed: Any) -> Rules:
    """The same with another primitive, or with other parameters."""
    primitive = changed.pop("primitive", e.eqn.primitive)

    def made(get: Callable[[int], Any], e: Equation, k: int) -> Any:
        eqn = e.eqn.replace(primitive=primitive, params={**e.eqn.params, **changed})
        return applied(eqn, [get(i) for i in e.ins])[k]

    return {out: lambda get, e, k=k: made(get, e, k) for k, out in enumerate(e.outs)}
