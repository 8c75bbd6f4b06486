"""Changes of whole steps of a derivative: the slope of a function, however many equations JAX makes of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jmc.checking.meanings import applied
from jmc.checking.multiples import of_a_slope
from jmc.checking.operations import ELEMENTWISE, SUMS
from jmc.checking.program import Equation
from jmc.checking.scene import Edit, Rules, Scene, floating

_STEP = 1e-6
_LONGEST = 8  # equations that a step may have


def steps(scene: Scene) -> Iterator[Edit]:
    """Each slope left out, twice there, or taken at the value; and each other step of the same shape left out."""
    needed = scene.program.needed(scene.wanted)
    moving = [n for n in sorted(scene.cotangent_values & needed) if floating(scene.values[n])]
    known: set[tuple[int, int]] = set()
    series: dict[Any, dict[int, list[tuple[Equation, int, int]]]] = {}
    for e in scene.program.equations:
        slope = _slope([scene.values[i] for i in (*e.ins, *e.outs)], e, False)
        if slope is None or e.outs[0] in scene.cotangent_values:
            continue
        for a, b in _pairs(scene, moving, slope):
            known.add((a, b))
            series.setdefault((e.place, slope.shape), {}).setdefault(e.outs[0], []).append((e, b, a))
            name = f"the slope of `{e.name}`"

            def made(power: int, at_value: bool = False, a: int = a, b: int = b, e: Equation = e) -> Rules:
                def sloped(get: Callable[[int], Any], _: Any) -> Any:
                    found = _slope([get(i) for i in (*e.ins, *e.outs)], e, at_value) if power else 1
                    if found is None:
                        raise ValueError("there is no slope")
                    return get(a) * found**power

                return {b: sloped}

            where = (e.line, e.name)
            less, more = ("missing_factor", "wrong_term"), ("extra_factor", "wrong_term")
            yield Edit(more, less, f"{name} is left out", *where, made(0), 0)
            yield Edit(less, more, f"{name} is there twice", *where, made(2), 1)
            text = f"{name} is taken at the value instead of at the argument"
            yield Edit(("wrong_point",), ("wrong_point", "wrong_term"), text, *where, made(1, True), 0.5)
    for some in series.values():
        yield from _of_other_steps(list(some.values()))
    for b in moving:
        for a in moving:
            if a == b or (a, b) in known or np.shape(scene.values[a]) != np.shape(scene.values[b]):
                continue
            way = scene.program.way(a, b)
            if not 1 < len(way) <= _LONGEST or not way[-1].outs or b not in way[-1].outs:
                continue
            primitives = [e.eqn.primitive for e in way]
            plain = all(primitive in ELEMENTWISE for primitive in primitives)
            text = f"what stands between {scene.called(a)} and {scene.called(b)} is left out"
            kinds = ("missing_factor", "wrong_term") if plain else ("missing_term", "missing_factor")
            if plain and any(primitive in SUMS for primitive in primitives):
                slope = any(of_a_slope(scene, e) for e in way)
                kinds = ("wrong_term", "missing_factor") if slope else ("missing_term", "missing_factor")
            elif plain and _masked(scene.values[b], scene.values[a]):
                kinds = ("region", "missing_factor")

            yield Edit(
                ("extra_factor", "wrong_term"),
                kinds,
                text,
                way[-1].line,
                way[-1].name,
                {b: lambda get, _, a=a: get(a)},
                1.25 if plain else 2.5,
            )


def _of_other_steps(series: Sequence[Sequence[tuple[Equation, int, int]]]) -> Iterator[Edit]:
    """The slopes of a function in each step, taken at the step before or after; at 0 where there is none."""
    for word, others in (("before", [None, *series[:-1]]), ("after", [*series[1:], None])):
        rules: dict[int, Any] = {}
        for own, other in zip(series, others, strict=True):
            for e, b, a in own:

                def made(get: Any, _: Any, a: int = a, e: Equation = e, other: Any = other) -> Any:
                    x = np.zeros_like(get(e.ins[0])) if other is None else get(other[0][0].ins[0])
                    slope = _slope([x], e, False)
                    return get(a) if slope is None else get(a) * slope

                rules[b] = made
        e = series[0][0][0]
        text = f"the slope of `{e.name}` is that of the step {word}, in each of {len(series)}"
        if len(series) > 1:
            yield Edit(("wrong_point",), ("wrong_point", "wrong_term"), text, e.line, e.name, rules, 0.75)


def _masked(x: np.ndarray, of: np.ndarray) -> bool:
    """Whether it is the other one here and nothing there."""
    return bool(np.all((x == 0) | (x == of)) and np.any(x != of))


def _pairs(scene: Scene, moving: list[int], slope: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cotangents of which one is the other one times a slope."""
    alike = [n for n in moving if np.shape(scene.values[n]) == slope.shape and np.any(scene.values[n])]
    if not alike:
        return
    weights = np.cos(1 + np.arange(slope.size)).reshape(slope.shape)
    x = np.stack([scene.values[n] for n in alike])
    each = tuple(range(1, x.ndim))
    sums, sloped = np.sum(x * weights, each), np.sum(x * slope * weights, each)
    size = np.sum(np.abs(x), each)
    # most are told apart by one sum
    for i, j in np.argwhere(np.abs(sloped[:, None] - sums) <= 1e-5 * size):
        near = i != j and np.allclose(x[j], x[i] * slope, rtol=1e-6, atol=1e-8 * np.max(np.abs(x[j])))
        if near:
            yield alike[i], alike[j]


def _slope(argument_and_value: Sequence[Any], e: Equation, at_value: bool) -> np.ndarray | None:
    """The slope of an element-wise function, at its argument or at its value, by differences."""
    if len(e.ins) != 1 or e.eqn.primitive not in ELEMENTWISE:
        return None
    x = np.asarray(argument_and_value[at_value])
    if x.dtype.kind != "f" or not np.all(np.isfinite(x)):
        return None
    h = _STEP * np.maximum(np.abs(x), 1)
    ahead, behind = (np.asarray(applied(e.eqn, [x + step])[0]) for step in (h, -h))
    if ahead.dtype.kind != "f":
        return None
    found = (ahead - behind) / (2 * h)
    trivial = np.all(np.isclose(found, found.flat[0])) if found.size else True
    return None if not np.all(np.isfinite(found)) or (trivial and found.size > 1) else found
