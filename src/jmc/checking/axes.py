"""Changes of sums, of products and of extrema along axes: along other axes, or not at all."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.program import Equation
from jmc.checking.scene import Edit, Scene, Use, live, on, uses

SUMMED = (p.reduce_sum_p, p.reduce_max_p, p.reduce_min_p, p.reduce_prod_p)
_MOST_SUMS = 4  # that are changed together in every combination


def of_sum(scene: Scene, e: Equation) -> Iterator[Edit]:
    """Sums along other axes, or of each entry by itself."""
    x, axes = scene.values[e.ins[0]], tuple(e.eqn.params["axes"])
    where, name = (e.line, e.name), scene.called(e.ins[0])
    kinds = ("wrong_axis", "missing_sum")
    for other in itertools.combinations(range(x.ndim), len(axes)):
        if other == axes:
            continue
        text = f"the sum of {name} runs along axes {other}, not {axes}"
        if tuple(n for d, n in enumerate(x.shape) if d not in other) == np.shape(scene.values[e.outs[0]]):
            along = {e.outs[0]: lambda get, e, other=other: reduced(e, get(e.ins[0]), other)}
            yield Edit(kinds, kinds, text, *where, along, 1)
    kinds = ("wrong_term", "wrong_axis", "extra_factor")
    done = ("diagonal_only", "missing_sum", "wrong_term")
    yield Edit(kinds, done, f"{name} is not summed", *where, _spread([e], None, False), 1)


def of_sums(scene: Scene) -> Iterator[Edit]:
    """Sums that are kept as axes of length 1: along other axes, one or all that the cotangent goes through."""
    alike: dict[Any, list[Equation]] = {}
    for _, e in live(scene):
        if e.eqn.primitive in SUMMED:
            alike.setdefault((np.shape(scene.values[e.ins[0]]), tuple(e.eqn.params["axes"])), []).append(e)
    for (shape, axes), group in alike.items():
        moving = [e for e in group if e.outs[0] in scene.cotangent_values]
        some = group if len(group) <= _MOST_SUMS else moving
        several = range(2, len(some) + 1) if len(some) <= _MOST_SUMS else [len(some)]
        sets = [[e] for e in group] + [list(each) for n in several for each in itertools.combinations(some, n)]
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
                    if len(some) > 1 and len(other) == len(axes) and not averaged:
                        yield from _of_one_use(scene, some, other, shape, text)


def _of_one_use(
    scene: Scene, group: list[Equation], other: tuple[int, ...], shape: tuple[int, ...], text: str
) -> Iterator[Edit]:
    """What is made with these sums along other axes, where it is used in one place, and as it was in the others."""
    reached = scene.program.reached([e.outs[0] for e in group])
    places = [at for at in uses(scene) if at.operand is not None and at.number in reached]
    for at in places:
        often = sum(at.number == also.number for also in places)
        if often > 1 and np.shape(scene.values[at.number]) == shape:
            made = _spread(group, other, False, at)
            e = scene.program.equations[at.equation]
            kinds = ("wrong_axis", "missing_sum")
            yield Edit(kinds, kinds, f"{text}, in one of its uses", e.line, e.name, made, 2)


def _spread(
    some: list[Equation], other: tuple[int, ...] | None, averaged: bool, at: Use | None = None
) -> Callable[[Scene], Any]:
    """These sums along other axes, or of each entry by itself; as far as they matter to one use of a value."""
    axes = some[0].eqn.params["axes"]

    def made(s: Scene) -> np.ndarray | None:
        def summed(operands: Any, e: Equation) -> Any:
            (x,) = operands
            if other is None:
                return x
            lengths = [np.prod([x.shape[d] for d in which]) for which in (axes, other)]
            return reduced(e, x, other, True) * (lengths[0] / lengths[1] if averaged else 1)

        sums = {e.outs[0]: functools.partial(summed, e=e) for e in some}
        shape = np.shape(s.values[some[0].ins[0]])
        x = s.spread(sums, shape, axes, s.wanted if at is None else at.number)
        if x is None or at is None:
            return None if x is None else s.project(x)
        return s.again(s.used(at, x))

    return made


def reduced(e: Equation, x: Any, axes: tuple[int, ...], keep: bool = False) -> Any:
    """What a sum, a product or an extremum along other axes is."""
    function = {p.reduce_sum_p: np.sum, p.reduce_max_p: np.max, p.reduce_min_p: np.min, p.reduce_prod_p: np.prod}
    return function[e.eqn.primitive](x, axes, keepdims=keep)


def of_dot(scene: Scene, e: Equation) -> Iterator[Edit]:
    """A product transposed, contracted along other axes, or of vectors entry by entry."""
    out, where = e.outs[0], (e.line, e.name)
    shape = np.shape(scene.values[out])
    (over, other), (many, beside) = e.eqn.params["dimension_numbers"]
    if over == other and many == beside and sorted((*over, *many)) == [*range(np.ndim(scene.values[e.ins[0]]))]:

        def unsummed(s: Scene) -> np.ndarray | None:
            x = s.spread({out: lambda xy: xy[0] * xy[1]}, np.shape(s.values[e.ins[0]]), over, s.wanted)
            return None if x is None else s.project(x)

        kinds = ("wrong_term", "wrong_axis", "extra_factor")
        yield Edit(
            kinds, ("diagonal_only", "missing_sum", "wrong_term"), "the product is not summed", *where, unsummed, 1
        )
    for k in (0, 1):
        if np.shape(scene.values[e.ins[k]]) == shape:
            kept = {out: lambda get, e, k=k: get(e.ins[k])}

            text = f"the product with {scene.called(e.ins[1 - k])} is left out"
            yield Edit(("extra_factor", "wrong_term"), ("missing_factor", "wrong_term"), text, *where, kept, 1)
    for a, b in itertools.combinations(range(len(shape)), 2):
        if shape[a] == shape[b] > 1:
            made = on(Use(out, -1, None), lambda x, a=a, b=b: np.swapaxes(x, a, b))
            yield Edit(("transposed_operand",), ("transposed_operand",), "the product is transposed", *where, made, 1)
