"""Mistakes that show in the numbers alone: what a claim would be if someone had made one.

Each hypothesis looks at all observations of one argument, the claim c and the truth t of each, and gives findings: a
kind, a sentence, and as evidence the error that is left once the mistake is undone, relative to the largest entry.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jmc.checking.observe import Observation

LEFT = 3e-5
"""The evidence that a hypothesis must reach: a formula that is right but for one mistake leaves rounding alone."""


@dataclass(frozen=True)
class Finding:
    """A mistake that explains what was seen.

    Attributes:
        kind: one of the words of the vocabulary.
        argnum: the argument whose derivative it is about.
        message: a sentence.
        evidence: the relative error that is left after undoing the mistake.
        name: of the array among the arguments.
        line, operation: where in the function, if it can be placed.
        also: the kind of a second mistake, if it takes two.
    """

    kind: str
    argnum: int
    message: str
    evidence: float
    name: str = ""
    line: str = ""
    operation: str = ""
    also: str = ""


@dataclass(frozen=True, eq=False)
class Case:
    """The observations of one moving leaf: its number among the moving ones, and among all."""

    index: int
    leaf: int
    name: str
    argnum: int
    seen: Sequence[Observation]
    mode: str
    names: Sequence[str] = ()

    @property
    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The claim and the truth of each observation."""
        return [(_claim(o, self.index), o.truth.cotangents[self.index]) for o in self.seen]

    def finding(
        self, kind: str, message: str, evidence: float, line: str = "", operation: str = "", also: str = ""
    ) -> Finding:
        """A finding about this leaf."""
        return Finding(kind, self.argnum, message, evidence, self.name, line, operation, also)


def left(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The largest difference of two arrays over all pairs, relative to the largest entry of each."""
    worst = 0.0
    for c, p in pairs:
        if c.shape != p.shape or not np.all(np.isfinite(p)) or not np.all(np.isfinite(c)):
            return math.inf
        size = max(float(np.max(np.abs(c), initial=0)), float(np.max(np.abs(p), initial=0)))
        if size:
            worst = max(worst, float(np.max(np.abs(c - p), initial=0)) / size)
    return worst


def explains(case: Case, predicted: Callable[[Observation, np.ndarray], np.ndarray | None]) -> float:
    """What is left if the claim should be ``predicted(observation, truth)``; inf if that cannot be."""
    found = []
    for o, (c, t) in zip(case.seen, case.pairs, strict=True):
        p = predicted(o, t)
        if p is None:
            return math.inf
        found.append((c, p))
    return left(found)


def direct(case: Case) -> Iterator[Finding]:
    """The hypotheses that need nothing but numbers, the simplest first."""
    pairs = case.pairs
    same = all(c.shape == t.shape for c, t in pairs)
    what = f"∂/∂{case.name}"
    if all(not np.any(c) for c, _ in pairs) and any(np.any(t) for _, t in pairs):
        yield case.finding("zero", f"{what} is zero everywhere, where the true derivative is not", 0.0)
        return
    if same:
        yield from _multiples(case)
        yield from _ignoring(case)
    e = explains(case, lambda o, t: _first([u for u in o.us if u.shape == t.shape]))
    if e < LEFT and case.mode == "vjp":
        yield case.finding("pass_through", f"{what} is the cotangent itself, handed through without the derivative", e)
    e = explains(case, lambda _, t: t.T if t.ndim > 1 else None)
    if e < LEFT:
        for kind in ("transposed_layout", "transposed_operand"):
            yield case.finding(kind, f"{what} is the transpose of the true derivative", e)


def _claim(o: Observation, index: int) -> np.ndarray:
    c = o.claimed[index]
    return np.zeros(o.truth.cotangents[index].shape) if c is None else c


def _multiples(case: Case) -> Iterator[Finding]:
    """The claim is a number times the truth."""
    ratios = []
    for c, t in case.pairs:
        if not np.any(t):
            continue
        ratio = np.vdot(t, c) / np.vdot(t, t)
        if left([(c, ratio * t)]) > LEFT or not ratio:
            return
        ratios.append(complex(ratio).real if abs(complex(ratio).imag) < 1e-9 else complex(ratio))
    if not ratios:
        return
    yield from explained_ratio(case, ratios, "", "")


def explained_ratio(case: Case, ratios: Sequence[complex], but: str, also: str) -> Iterator[Finding]:
    """What it means that the claim is these numbers times what is expected, one for each observation."""
    seen = [o for o in case.seen if np.any(o.truth.cotangents[case.index])]
    if len(ratios) != len(seen):
        return
    what = f"∂/∂{case.name}"
    constant = np.allclose(ratios, ratios[0], rtol=LEFT)
    sizes = sizes_that_explain(seen, ratios)
    varied = len({tuple(x.shape for x in o.leaves) for o in seen}) > 1
    e = float(np.ptp(np.abs(ratios)) / abs(ratios[0])) if constant else LEFT / 10
    if constant and np.isclose(ratios[0], -1, rtol=LEFT):
        yield case.finding("sign", f"{what} has the wrong sign{but}", e, also=also)
        return
    root = None if sizes or np.isclose(abs(ratios[0]), 1) else sizes_that_explain(seen, [r * abs(r) for r in ratios])
    left_out: list[Finding] = []
    if root:
        text = (
            f"{what} is {ratios[0].real:.6g} times what it must be{but}, √({root[0]}): a factor √d or 1/√d is left out"
        )
        left_out = [case.finding("missing_factor", text, LEFT / 10, also=also)]
        if not constant or varied or not np.isclose(abs(ratios[0]), [2, 0.5, 4, 0.25]).any():
            yield from left_out
            return
    number = f"{ratios[0].real:.6g}" if abs(ratios[0].imag) < 1e-9 else f"{ratios[0]:.6g}"
    fixed = case.finding(
        "constant_factor", f"{what} is {_as_fraction(ratios[0])} times what it must be{but}", e, also=also
    )
    if sizes:
        text, factor = sizes
        rest = "" if np.isclose(factor, 1) else f", times {factor:.4g}"
        mean = case.finding(
            "mean_vs_sum",
            f"{what} is {text}{rest} times what it must be{but}: a mean where a sum belongs, or the other way round "
            f"({number} here)",
            e,
            also=also or ("sign" if factor < 0 else ""),
        )
        plain = constant and np.isclose(abs(ratios[0]), [2, 0.5]).any() and not varied
        yield from ([fixed, mean] if plain else [mean, *([fixed] if constant and not varied else [])])
    elif constant:
        yield from [fixed, *left_out]


def _as_fraction(ratio: complex) -> str:
    r = ratio.real
    for d in (1, 2, 3, 4, 6, 8):
        if np.isclose(r * d, round(r * d), rtol=1e-5) and 0 < abs(round(r * d)) < 100:
            return f"{round(r * d)}" if d == 1 else f"{round(r * d)}/{d}"
    return f"{r:.6g}"


def sizes_that_explain(seen: Sequence[Observation], ratios: Sequence[complex]) -> tuple[str, float] | None:
    """Axis lengths whose product, or its inverse, follows the ratios when sizes change, and the number beside it."""
    axes: dict[Any, list[int]] = {
        (k, d): [o.leaves[k].shape[d] for o in seen] for k, x in enumerate(seen[0].leaves) for d in range(x.ndim)
    }
    axes |= {("value", j, d): [o.us[j].shape[d] for o in seen] for j, u in enumerate(seen[0].us) for d in range(u.ndim)}
    axes = {axis: sizes for axis, sizes in axes.items() if max(sizes) > 1 and min(sizes) > 0}
    varied = any(len(set(sizes)) > 1 for sizes in axes.values())
    whole = {("all", k): [o.leaves[k].size for o in seen] for k, x in enumerate(seen[0].leaves) if x.ndim > 1}
    singles = {**axes, **whole}
    options = [((a,), s) for a, s in singles.items() if min(s) > 0]
    options += [((a, b), list(np.multiply(s, t))) for (a, s), (b, t) in itertools.combinations(axes.items(), 2)]
    for power in (-1, 1):
        for _, sizes in options:
            if varied and len(set(sizes)) == 1:
                continue
            rest = np.array(ratios) / np.array(sizes, float) ** power
            if np.allclose(rest, rest[0], rtol=LEFT) and any(
                np.isclose(abs(rest[0]), n, rtol=LEFT) for n in (1, 2, 0.5)
            ):
                if not varied and not np.isclose(abs(rest[0]), 1, rtol=LEFT):
                    continue
                length = sizes[0]
                return (f"1/{length}" if power < 0 else f"{length}"), float(rest[0].real)
    return None


def _ignoring(case: Case) -> Iterator[Finding]:
    """The rule answers the same, whatever the cotangent."""
    by_point: dict[int, list[int]] = {}
    for i, o in enumerate(case.seen):
        by_point.setdefault(id(o.point), []).append(i)
    several = [group for group in by_point.values() if len(group) > 1]
    if case.mode == "grad" or not several:
        return
    e = max(left([(case.pairs[i][0], case.pairs[group[0]][0]) for i in group]) for group in several)
    differ = max(left([(case.pairs[i][1], case.pairs[group[0]][1]) for i in group]) for group in several)
    if e < LEFT < differ:
        yield case.finding("cotangent_ignored", f"∂/∂{case.name} is the same for every cotangent: it is not used", e)


def exchanged(cases: Sequence[Case]) -> Iterator[Finding]:
    """The derivatives by two arguments have changed places."""
    for a, b in itertools.combinations(cases, 2):
        ca, cb = [c for c, _ in a.pairs], [c for c, _ in b.pairs]
        ta, tb = [t for _, t in a.pairs], [t for _, t in b.pairs]
        if left(list(zip(ca, ta, strict=True))) < LEFT:
            continue
        e = max(left(list(zip(ca, tb, strict=True))), left(list(zip(cb, ta, strict=True))))
        if e < LEFT:
            text = f"the derivatives by {a.name} and {b.name} are exchanged"
            yield a.finding("swapped_arguments", text, e)
            yield b.finding("swapped_arguments", text, e)


def conventions(case: Case, positive: bool) -> Iterator[Finding]:
    """Other conventions under which the claim is right; ``positive``: the function takes no negative argument."""
    what = f"∂/∂{case.name}"

    def symmetric(o: Observation) -> bool:
        x = o.leaves[case.leaf]
        return x.ndim == 2 and x.shape[0] == x.shape[1] > 1 and bool(np.allclose(x, x.T, rtol=1e-5, atol=1e-6))

    if all(t.ndim == 2 and t.shape[0] == t.shape[1] > 1 for _, t in case.pairs) and all(map(symmetric, case.seen)):
        for text, form in (
            (
                "T + Tᵀ − diag T, of a symmetric argument whose two halves move together",
                lambda t: t + t.T - np.diag(np.diag(t)),
            ),
            ("(T + Tᵀ)/2, the part that a symmetric argument sees", lambda t: (t + t.T) / 2),
            ("T + Tᵀ, of a symmetric argument with a doubled diagonal", lambda t: t + t.T),
        ):
            if (e := explains(case, lambda _, t, form=form: form(t))) < LEFT:
                yield case.finding(
                    "symmetric_argument", f"{what} is {text} (T is the derivative by independent entries)", e
                )
                break
    given = [o.leaves[case.leaf] for o in case.seen if o.point.kind == "given"] or [
        o.leaves[case.leaf] for o in case.seen
    ]
    if positive and all(x.dtype.kind == "f" and np.all(x > 0) for x in given):
        e = explains(case, lambda o, t: t * o.leaves[case.leaf])
        if e < LEFT:
            yield case.finding(
                "log_parameter", f"{what} is the derivative by ln {case.name}: {case.name} times the other", e
            )
    if any(np.iscomplexobj(t) for _, t in case.pairs):
        for scale, text in ((1, "the conjugate"), (0.5, "the derivative by the conjugate, half the conjugate")):
            if (e := explains(case, lambda _, t, scale=scale: scale * np.conj(t))) < LEFT:
                yield case.finding("conjugate", f"{what} is {text} of JAX's", e)


def _first(some: Sequence[np.ndarray]) -> np.ndarray | None:
    return some[0] if some else None
