"""Claims of another shape than the derivative's: not summed, summed too much, or with their axes in another order."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jmc.checking.hypotheses import LEFT, Case, Finding, explained_ratio, left
from jmc.checking.observe import Observer

Projection = tuple[str, str, Callable[[Any], np.ndarray]]


def projections(case: Case) -> Iterator[Projection]:
    """(kind, what was done, its undoing) for each way to bring the claims to the shapes of the truths."""
    pairs = case.pairs
    ranks = {(c.ndim, t.ndim) for c, t in pairs}
    if len(ranks) != 1 or all(c.shape == t.shape for c, t in pairs):
        return
    ((more, less),) = ranks
    if more == less:
        for order in itertools.permutations(range(more)):
            if all(np.transpose(c, order).shape == t.shape for c, t in pairs):
                yield (
                    "transposed_layout",
                    "its axes are in another order",
                    lambda c, order=order: np.transpose(c, order),
                )
        for n in range(1, more + 1):
            for axes in itertools.combinations(range(more), n):
                if all(np.sum(c, axes, keepdims=True).shape == t.shape for c, t in pairs):
                    yield (
                        "missing_sum",
                        f"it is not summed along axes {axes}",
                        lambda c, a=axes: np.sum(c, a, keepdims=True),
                    )
    for axes in itertools.combinations(range(more), more - less) if more > less else ():
        if all(np.sum(c, axes).shape == t.shape for c, t in pairs):
            yield "missing_sum", f"it is not summed along axes {axes}", lambda c, axes=axes: np.sum(c, axes)


def of_other_shape(case: Case) -> Iterator[Finding]:
    """The findings if that is all that is wrong, up to a number."""
    what = f"∂/∂{case.name}"
    for kind, text, undone in projections(case):
        yield from _up_to_a_number(
            case, kind, f"{what} is right but that {text}", [(undone(c), t) for c, t in case.pairs]
        )
    for axes in _too_many(case):
        pairs = [(c, np.sum(t, axes)) for c, t in case.pairs]
        yield from _up_to_a_number(case, "wrong_axis", f"{what} is summed along axes {axes}, too", pairs)


def _too_many(case: Case) -> Iterator[tuple[int, ...]]:
    ranks = {(c.ndim, t.ndim) for c, t in case.pairs}
    if len(ranks) == 1:
        ((less, more),) = ranks
        for axes in itertools.combinations(range(more), more - less) if more > less else ():
            if all(np.sum(t, axes).shape == c.shape for c, t in case.pairs):
                yield axes


def along_other_axes(case: Case, observer: Observer) -> Iterator[Finding]:
    """A cotangent on the way, as it is or summed along some axes, where it has another shape than the derivative."""
    if all(c.shape == t.shape for c, t in case.pairs) or not any(np.any(c) for c, _ in case.pairs):
        return
    programs = [observer.reference.pull_program(o.leaves, o.us) for o in case.seen]
    runs = [program.run(o.leaves, o.us) for program, o in zip(programs, case.seen, strict=True)]
    first = programs[0]
    if any(program.plan != first.plan for program in programs):
        return
    for n in sorted(first.reached(first.inputs[len(case.seen[0].leaves) :])):
        arrived = [run[n] for run in runs]
        if any(not isinstance(a, np.ndarray) or a.ndim != arrived[0].ndim for a in arrived):
            continue
        maker = first.maker(n)
        where = (maker.line, maker.name) if maker is not None else ("", "")
        axes_of = [a for k in range(arrived[0].ndim + 1) for a in itertools.combinations(range(arrived[0].ndim), k)]
        for axes, (word, reduced) in itertools.product(axes_of, (("summed", np.sum), ("averaged", np.mean))):
            made = [np.asarray(reduced(a, axes)) for a in arrived]
            if left([(c, x) for (c, _), x in zip(case.pairs, made, strict=True)]) < LEFT:
                larger = all(c.size > t.size and _repeats(t.shape, c.shape) for c, t in case.pairs)
                done = f"{word} along axes {axes}" if axes else "not summed"
                place = f"the cotangent of `{where[1]}` ({where[0]})" if where[0] else "the cotangent"
                text = f"∂/∂{case.name} is {place} {done}, not along those along which `{case.name}` is repeated"
                yield case.finding("missing_sum" if larger else "wrong_axis", text, LEFT / 10, *where)
                return


def _up_to_a_number(case: Case, kind: str, text: str, pairs: list[Any]) -> Iterator[Finding]:
    ratios = []
    for c, t in pairs:
        under = float(np.real(np.vdot(t, t)))
        if not under:
            continue
        ratio = float(np.real(np.vdot(t, c))) / under
        if not ratio or left([(c, ratio * t)]) > LEFT:
            return
        ratios.append(ratio)
    if not ratios:
        return
    if np.allclose(ratios, 1, rtol=LEFT):
        yield case.finding(kind, text, left(pairs))
        return
    for second in explained_ratio(case, ratios, "", ""):
        both = f"{text}; and {second.message}"
        yield case.finding(kind, both, second.evidence, also=second.kind)
        yield case.finding(second.kind, both, second.evidence, also=kind)
        return


def _repeats(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of the one shape is repeated to one of the other."""
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return len(large) > len(small)
