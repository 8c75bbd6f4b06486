"""One mistake in a formula that is used again and again: in each layer, in each step of a recursion."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jmc.checking.edits import plain, terms
from jmc.checking.meanings import applied
from jmc.checking.program import Equation
from jmc.checking.scene import Edit, Rules, Scene, live
from jmc.checking.slopes import steps

_NAMES = re.compile(r"(the (value|slope) of )?`[^`]*`|a constant")
_MORE = 0.25
_STEPS = 3  # of which a series has to be


def repeated(scene: Scene) -> Iterator[Edit]:
    """Each change made wherever the same is written; and values of one step that are those of the next or the last."""
    groups: dict[Any, dict[int, Edit]] = {}
    count: dict[Any, int] = {}
    for edit in (*terms(scene), *steps(scene), *plain(scene)):
        if callable(edit.made):
            continue
        if len(edit.made) > 1:
            yield edit
            continue
        (out,) = edit.made
        if (e := scene.program.maker(out)) is None or not e.line:
            continue  # what a library does is nobody's formula
        # written once and run again; or written again, of the same array or function, on the way forth or back
        shape = np.shape(scene.values[out])
        again = (e.place, shape, edit.slot, _NAMES.sub("", edit.text))
        alike = (e.name, shape, out in scene.cotangent_values, edit.text)
        for key in (again, alike) if "`" in edit.text else (again,):
            count[out, key] = often = count.get((out, key), -1) + 1
            groups.setdefault((key, often), {})[out] = edit
    known = set()
    for (_, often), group in groups.items():
        first = next(iter(group.values()))
        which = (first.slot, often, _NAMES.sub("", first.text), *group)
        if len(group) > 1 and which not in known:
            known.add(which)
            made = {out: edit.made[out] for out, edit in group.items() if not callable(edit.made)}
            weight = min(edit.weight for edit in group.values()) + _MORE
            text = f"{first.text}, in each of {len(group)} places"
            yield Edit(first.undone, first.done, text, first.line, first.operation, made, weight)
    yield from _of_other_steps(scene)


def _of_other_steps(scene: Scene) -> Iterator[Edit]:
    """What every step takes from a series of values, taken from the same series a step before or after."""
    series: dict[Any, list[tuple[Equation, int]]] = {}
    for _, e in live(scene):
        for k, i in enumerate(e.ins):
            if isinstance(scene.values[i], np.ndarray) and scene.values[i].dtype.kind in "fc":
                series.setdefault((e.place, k, scene.values[i].shape), []).append((e, i))
    known = {key: some for key, some in series.items() if len(some) >= _STEPS}
    numbers = {tuple(i for _, i in some) for some in known.values()}
    numbers |= {some[::-1] for some in numbers}
    made: dict[Any, list[int]] = {}
    for _, e in live(scene):
        made.setdefault(e.place, []).append(e.outs[0])
    numbers |= {tuple(order) for some in made.values() if len(some) >= _STEPS for order in (some, some[::-1])}
    for (_, k, _), some in known.items():
        own = tuple(i for _, i in some)
        for other in numbers:
            if len(other) == len(own) and other != own and (other[1:] == own[:-1] or other[:-1] == own[1:]):
                rules: dict[int, Any] = {}
                for (e, _), j in zip(some, other, strict=True):
                    rules |= _taking(e, k, j)
                text = f"{scene.called(own[-1])} is that of another step, in each of {len(own)}"
                kinds = ("wrong_point", "wrong_term")
                yield Edit(kinds, kinds, text, some[0][0].line, some[0][0].name, rules, 1)


def _taking(e: Equation, k: int, j: int) -> Rules:
    """The rule by which an equation takes value j for its operand k."""

    def made(get: Callable[[int], Any], e: Equation) -> Any:
        return applied(e.eqn, [get(j if n == k else i) for n, i in enumerate(e.ins)])[0]

    return {e.outs[0]: made}
