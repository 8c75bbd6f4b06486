"""Every small change of a derivative's own program that needs nothing but the program itself."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.meanings import applied
from jmc.checking.program import STRUCTURAL, Equation
from jmc.checking.scene import SUMS, Edit, Scene, Use, addends, floating, live, on, place, uses

_SUMMED = (p.reduce_sum_p, p.reduce_max_p, p.reduce_min_p, p.reduce_prod_p)
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
_MOST_SUMS = 4  # that are changed together in every combination
_INNER = 2.5
"""What is changed within a function is further to seek than a factor or a term."""
_TURNED = ("transposed_operand", "wrong_term")


_MOST_SUMS = 4  # that are changed together in every combination
_INNER = 2.5
"""What is changed within a function is further to seek than a factor or a term."""


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
            yield replace(edit, weight=edit.weight + inner)
    yield from _of_sums(scene)


def terms(scene: Scene) -> Iterator[Edit]:
    """Each term of each sum left out, or with the other sign."""
    for at in (*uses(scene), *addends(scene)):
        e = scene.program.equations[at.equation] if at.equation >= 0 else None
        if at.number == scene.wanted or (e is not None and e.eqn.primitive not in SUMS) or not scene.affine(at):
            continue
        where, name = place(scene, at), scene.called(at.number)
        for c, done, said in ((0, "missing_term", "is dropped"), (-1, "wrong_term", "has the other sign")):
            yield Edit(_TERM, (done,), f"{name} {said}", *where, on(at, lambda x, c=c: c * x), 0)


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

    def is_(value: Callable[[Scene], Any]) -> Callable[[Scene], np.ndarray | None]:
        return lambda s: s.again({out: np.broadcast_to(value(s), np.shape(s.values[out]))})

    if primitive in (p.mul_p, p.div_p):
        yield from _of_product(scene, e, is_)
    if primitive is p.integer_pow_p:
        y, base = e.eqn.params["y"], e.ins[0]
        for z in (y + 1, y - 1, -y):
            more = abs(z) > abs(y)
            kinds = ("missing_factor", "extra_factor") if more else ("extra_factor", "missing_factor")
            text = f"the exponent {y} of {scene.called(base)} is {z}"
            power = is_(lambda s, z=z: np.power(s.values[base], float(z)))
            yield Edit((kinds[0], "wrong_term"), (kinds[1], "wrong_term"), text, *where, power, 0 if z != -y else 2)
    if primitive is p.square_p:
        text = f"{scene.called(e.ins[0])} is not squared"
        plain = is_(lambda s: s.values[e.ins[0]])
        yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, plain, 0)
    for other in _OTHER_FUNCTION.get(primitive, ()):
        kinds = ("region", "kink_convention") if primitive in _MASKS else ("wrong_term", "wrong_point")
        eqn = e.eqn.replace(primitive=other)
        changed = is_(lambda s, eqn=eqn: applied(eqn, [s.values[i] for i in e.ins])[0])
        yield Edit(kinds, kinds, f"`{e.name}` is `{other.name}`", *where, changed, 3)
    same = len(e.ins) == 1 and np.shape(scene.values[out]) == np.shape(scene.values[e.ins[0]])
    if same and primitive not in STRUCTURAL:
        kinds: tuple[str, ...] = ("wrong_term", "wrong_point", "extra_factor")
        done: tuple[str, ...] = ("diagonal_only", "missing_term") if primitive in _CUMULATED else kinds
        if primitive is p.rev_p:
            kinds = done = _TURNED
        text = f"`{e.name}` is left out"
        yield Edit(
            kinds,
            done,
            text,
            *where,
            is_(lambda s: s.values[e.ins[0]]),
            1 if primitive in (*_CUMULATED, p.rev_p) else 3,
        )
    if primitive is p.select_n_p and len(e.ins) == 3:
        for k in (1, 2):
            chosen = is_(lambda s, k=k: s.values[e.ins[k]])
            kinds = ("region", "missing_factor")
            yield Edit(kinds, kinds, f"no case is distinguished by `{e.name}`", *where, chosen, 0.75)
        if np.asarray(scene.values[e.ins[0]]).dtype == bool:
            swapped = is_(lambda s: np.where(*(s.values[i] for i in e.ins)))
            yield Edit(("region",), ("region",), f"the two cases of `{e.name}` change places", *where, swapped, 2)
    if primitive in _SUMMED:
        yield from _of_sum(scene, e)
    if "reverse" in e.eqn.params:
        yield _with(e, _TURNED, f"`{e.name}` runs the other way", 1, reverse=not e.eqn.params["reverse"])
    if primitive is p.cumsum_p:
        without = is_(lambda s: s.values[out] - s.values[e.ins[0]])
        text = "each cumulated sum is without its last term"
        yield Edit(_TERM, ("wrong_term", "missing_term"), text, *where, without, 2)
    if primitive is p.triangular_solve_p:
        text = "the triangular system is not solved"
        plain = is_(lambda s: s.values[e.ins[1]])
        yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, plain, 1)
        for name in ("transpose_a", "lower"):
            yield _with(
                e,
                ("transposed_operand",),
                "the triangular system is the other one",
                1,
                **{name: not e.eqn.params[name]},
            )
    if primitive is p.dot_general_p:
        yield from _of_dot(scene, e)


def _of_product(scene: Scene, e: Equation, is_: Any) -> Iterator[Edit]:
    primitive, where = e.eqn.primitive, (e.line, e.name)
    for k, i in enumerate(e.ins):
        if i in scene.program.constants or scene.program.source(i) in scene.cotangents:
            continue
        other, over = e.ins[1 - k], primitive is p.div_p and k == 1
        inverse = primitive is p.div_p and k == 0
        kept = is_(lambda s, other=other, inverse=inverse: 1 / s.values[other] if inverse else s.values[other])
        name = f"the factor {'one over ' if over else ''}{scene.called(i)}"
        kinds = ("missing_factor", "wrong_term")
        # whoever forgets a factor has more left than a number
        bare = 1.5 * (scene.program.source(other) in scene.program.constants)
        yield Edit(("extra_factor", "wrong_term"), kinds, f"{name} is left out", *where, kept, bare)
        if not inverse:
            twice = is_(
                lambda s, e=e, i=i, over=over: (
                    s.values[e.outs[0]] / s.values[i] if over else s.values[e.outs[0]] * s.values[i]
                )
            )
            yield Edit(kinds, ("extra_factor", "wrong_term"), f"{name} is there twice", *where, twice, 1)
    if primitive is p.div_p and e.ins[1] not in scene.program.constants:
        turned = is_(lambda s: s.values[e.ins[0]] * s.values[e.ins[1]])
        text = f"{scene.called(e.ins[1])} stands above, not below"
        kinds = ("extra_factor", "missing_factor", "wrong_term")
        yield Edit(kinds, ("missing_factor", *kinds), text, *where, turned, 2)
    if primitive is p.mul_p:
        for k, i in enumerate(e.ins):
            if i not in scene.program.constants:
                turned = is_(lambda s, k=k, i=i: s.values[e.ins[1 - k]] / s.values[i])
                text = f"{scene.called(i)} stands below, not above"
                kinds = ("missing_factor", "extra_factor", "wrong_term")
                yield Edit(kinds, ("extra_factor", *kinds), text, *where, turned, 3)


def _of_sum(scene: Scene, e: Equation) -> Iterator[Edit]:
    """Sums along other axes, or of each entry by itself."""
    x, axes = scene.values[e.ins[0]], tuple(e.eqn.params["axes"])
    where, name = (e.line, e.name), scene.called(e.ins[0])
    kinds = ("wrong_axis", "missing_sum")
    for other in itertools.combinations(range(x.ndim), len(axes)):
        if other == axes:
            continue
        text = f"the sum of {name} runs along axes {other}, not {axes}"
        if tuple(n for d, n in enumerate(x.shape) if d not in other) == np.shape(scene.values[e.outs[0]]):
            yield _with(e, kinds, text, 1, axes=other)
    kinds = ("wrong_term", "wrong_axis", "extra_factor")
    done = ("diagonal_only", "missing_sum", "wrong_term")
    yield Edit(kinds, done, f"{name} is not summed", *where, _spread([e], None, False), 1)


def _of_sums(scene: Scene) -> Iterator[Edit]:
    """Sums that are kept as axes of length 1: along other axes, one or all that the cotangent goes through."""
    alike: dict[Any, list[Equation]] = {}
    for _, e in live(scene):
        if e.eqn.primitive in _SUMMED:
            alike.setdefault((np.shape(scene.values[e.ins[0]]), tuple(e.eqn.params["axes"])), []).append(e)
    for (shape, axes), group in alike.items():
        moving = [e for e in group if e.outs[0] in scene.cotangent_values]
        several = range(2, len(moving) + 1) if len(moving) <= _MOST_SUMS else [len(moving)]
        sets = [[e] for e in group] + [list(some) for n in several for some in itertools.combinations(moving, n)]
        for some, averaged in itertools.product(sets, (False, True)):
            for n in range(1, len(shape) + 1):
                for other in itertools.combinations(range(len(shape)), n):
                    if other == axes:
                        continue
                    names = " and of ".join(dict.fromkeys(scene.called(e.ins[0]) for e in some))
                    word = "mean" if averaged else "sum"
                    text = f"the {word} of {names} runs along axes {other}, not {axes}"
                    kinds = ("wrong_axis", "missing_sum")
                    made = _spread(some, other, averaged)
                    yield Edit(kinds, kinds, text, some[0].line, some[0].name, made, 2)


def _spread(some: list[Equation], other: tuple[int, ...] | None, averaged: bool) -> Callable[[Scene], Any]:
    """These sums along other axes, or of each entry by itself."""
    axes = some[0].eqn.params["axes"]

    def made(s: Scene) -> np.ndarray | None:
        def summed(operands: Any, e: Any = some[0]) -> Any:
            (x,) = operands
            if other is None:
                return x
            lengths = [np.prod([x.shape[d] for d in which]) for which in (axes, other)]
            return _reduced(e, x, other) * (lengths[0] / lengths[1] if averaged else 1)

        return s.spread({e.outs[0]: summed for e in some}, np.shape(s.values[some[0].ins[0]]), axes)

    return made


def _reduced(e: Equation, x: Any, axes: tuple[int, ...]) -> Any:
    function = {p.reduce_sum_p: np.sum, p.reduce_max_p: np.max, p.reduce_min_p: np.min, p.reduce_prod_p: np.prod}
    return function[e.eqn.primitive](x, axes, keepdims=True)


def _of_dot(scene: Scene, e: Equation) -> Iterator[Edit]:
    """A product transposed, contracted along other axes, or of vectors entry by entry."""
    out, where = e.outs[0], (e.line, e.name)
    shape = np.shape(scene.values[out])
    (over, other), (many, beside) = e.eqn.params["dimension_numbers"]
    if over == other and many == beside and sorted((*over, *many)) == [*range(np.ndim(scene.values[e.ins[0]]))]:

        def unsummed(s: Scene) -> np.ndarray | None:
            return s.spread({out: lambda xy: xy[0] * xy[1]}, np.shape(s.values[e.ins[0]]), over)

        kinds = ("wrong_term", "wrong_axis", "extra_factor")
        yield Edit(
            kinds, ("diagonal_only", "missing_sum", "wrong_term"), "the product is not summed", *where, unsummed, 1
        )
    for k in (0, 1):
        if np.shape(scene.values[e.ins[k]]) == shape:

            def kept(s: Scene, k: int = k) -> Any:
                return s.again({out: s.values[e.ins[k]]})

            text = f"the product with {scene.called(e.ins[1 - k])} is left out"
            yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, kept, 1)
    for a, b in itertools.combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:

            def made(s: Scene, a: int = a, b: int = b) -> Any:
                return s.again({out: np.swapaxes(s.values[out], a, b)})

            yield Edit(("transposed_operand",), ("transposed_operand",), "the product is transposed", *where, made, 1)


def _with(e: Equation, kinds: tuple[str, ...], text: str, weight: float, **params: Any) -> Edit:
    eqn = e.eqn.replace(params={**e.eqn.params, **params})

    def made(s: Scene) -> np.ndarray | None:
        return s.again(dict(zip(e.outs, applied(eqn, [s.values[i] for i in e.ins]), strict=True)))

    return Edit(kinds, kinds, text, e.line, e.name, made, weight)
