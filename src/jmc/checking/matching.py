"""Mistakes found by making them: every derivative that one small mistake leads to, held to a claim.

A base is such a derivative: a mutant of the chain rule (``mutants.py``), the right formula at other arguments
(``altered.py``), the transpose, the diagonal alone, the truth times or divided by a value on the way. A claim is a
base; or a base times a number, or times or divided by a value; or several mutants at once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jmc.checking.altered import along_other_axes, elsewhere
from jmc.checking.bases import SAID, Base, Material
from jmc.checking.blocks import blocks
from jmc.checking.hypotheses import LEFT, Finding, explained_ratio, left
from jmc.checking.mutants import PATH
from jmc.checking.oracles import double_precision
from jmc.checking.sums import summed

_PAIRS = 40
_ROWS = 64


def matched(work: Material) -> Iterator[tuple[int, Finding]]:
    """Pairs (how many mistakes it takes, finding); more than one only where one does not do."""
    yield from ((1, found) for found in summed(work.case, work.made, work.walks))
    if any(c.ndim and c.T.shape != t.shape for c, t in work.case.pairs) and not work.same():
        return
    bases = [base for base in work.bases() if all(np.all(np.isfinite(p)) for p in base.found)]
    one = [found for base in bases if (found := _matched(work, base)) is not None]
    partial = [found for found in one if found.kind in SAID and found.line]
    one += [replace(found, kind="wrong_term") for found in partial[:1]]
    one += _beside(work, work.truths, "")
    if not one and work.same():
        one = list(_by_sizes(work))
    if not one and work.same():
        one = list(_blocks(work))
    if not one:
        one = [found for base in work.axes() if (found := _matched(work, base)) is not None][:1]
    yield from ((1, found) for found in one)
    if one:
        return
    two = [found for base in bases for found in _times(work, base)]
    if not two:
        two = [found for base in bases for found in _beside(work, base.found, base.text, base)]
    if not two and work.same():
        two = [*_several(work), *_elsewhere_and_mutated(work)]
    yield from ((2, found) for found in two)


# what one mistake leads to


def _blocks(work: Material) -> Iterator[Finding]:
    """A mistake in a block within the function."""
    open_: list[tuple[str, str, str]] | None = None
    with double_precision():
        for walker, o, claim, truth in zip(work.walkers, work.case.seen, work.claims, work.truths, strict=True):
            fits = []
            for kind, text, line, found in blocks(walker, o.leaves, o.us):
                made = found[work.case.index]
                if left([(claim, made)]) < LEFT < left([(truth, made)]):
                    fits.append((kind, text, line))
            kinds = {(kind, line) for kind, _, line in fits}
            open_ = fits if open_ is None else [fit for fit in open_ if (fit[0], fit[2]) in kinds]
            if not open_:
                return
    for kind, text, line in (open_ or [])[:1]:
        yield work.case.finding(kind, f"{work.what} is the true derivative {text}", LEFT / 10, line)


def _by_sizes(work: Material) -> Iterator[Finding]:
    """A path that is multiplied by a number which follows the sizes."""
    groups: dict[Any, list[int]] = {}
    for k, o in enumerate(work.case.seen):
        groups.setdefault(tuple(x.shape for x in o.leaves), []).append(k)
    if len(groups) < 2:
        return
    for m, mutant in enumerate(work.found):
        if mutant.kind != PATH:
            continue
        fits = {key: work.fit(m, which) for key, which in groups.items()}
        s = [next(fits[key] for key, which in groups.items() if k in which) for k in range(len(work.rows))]
        made = [t + f * rows[m] for t, f, rows in zip(work.truths, s, work.rows, strict=True)]
        e = left(list(zip(work.claims, made, strict=True)))
        if e < LEFT and all(abs(f) > 1e-3 for f in s):
            numbers = " and ".join(f"{1 - f:.4g}" for f in fits.values())
            place = f" ({mutant.line})" if mutant.line else ""
            done = f"is multiplied by what follows the sizes, {numbers} here{place}"
            text = f"{work.what} is the true derivative if {mutant.what} {done}"
            yield work.case.finding("wrong_term", text, e, mutant.line, mutant.operation)
            return


def _matched(work: Material, base: Base) -> Finding | None:
    e = left(list(zip(work.claims, base.found, strict=True)))
    if e < LEFT < left(list(zip(work.truths, base.found, strict=True))):
        return work.case.finding(
            base.kind, f"{work.what} is the true derivative {base.text}", e, base.line, base.operation
        )
    return None


# values beside a derivative


def _beside(work: Material, found: Sequence[np.ndarray], text: str, base: Base | None = None) -> list[Finding]:
    """The claim is ``found`` times or divided by a value."""
    if any(c.shape != p.shape for c, p in zip(work.claims, found, strict=True)):
        return []
    made = []
    for name, operation, line, values, divides in work.values():
        spread = [_fitting(v, t) for v, t in zip(values, found, strict=True)]
        if any(v is None for v in spread) or _same(spread):
            continue
        place = f" ({line})" if line else ""
        for power in (1, 2) if base is None else (1,):
            many = [v**power for v in spread if v is not None]
            square = " squared" if power > 1 else ""
            more = left([(c, t * v) for c, t, v in zip(work.claims, found, many, strict=True)])
            less = left([(c * v, t) for c, t, v in zip(work.claims, found, many, strict=True)])
            if min(more, less) >= LEFT:
                continue
            e, over = min(more, less), "" if more < LEFT else "one over "
            other = "one over " if more < LEFT else ""
            # what is divided by is a factor one over it
            told = [
                ("extra_factor", f"times {over}{name}{square}{place}"),
                ("missing_factor", f"without a factor: {other}{name}{square}{place}"),
            ]
            for kind, said in told if (more < LEFT) != divides else reversed(told):
                if base is None:
                    text = f"{work.what} is the true derivative {said}"
                    made.append(work.case.finding(kind, text, e, line, operation))
                    continue
                both = f"{work.what} is the true derivative {text}, and {said}"
                made.append(work.case.finding(base.kind, both, e, base.line, base.operation, kind))
                made.append(work.case.finding(kind, both, e, line, operation, base.kind))
    return made


def _times(work: Material, base: Base) -> list[Finding]:
    """The claim is a base times a number."""
    ratios = []
    for c, p, t in zip(work.claims, base.found, work.truths, strict=True):
        if not np.any(t):
            continue
        under = np.vdot(p, p)
        ratio = np.vdot(p, c) / under if under and c.shape == p.shape else 0
        if not ratio or left([(c, ratio * p)]) > LEFT:
            return []
        ratios.append(complex(ratio))
    if not ratios or np.allclose(ratios, 1, rtol=1e-4):
        return []
    for second in explained_ratio(work.case, ratios, "", ""):
        twice = base.kind == "missing_term" and np.allclose(ratios, 2, rtol=1e-4)
        more = second.message.removeprefix(f"{work.what} ")
        both = f"{work.what} is the true derivative {base.text}; and {more}"
        one_for_another = [work.case.finding("wrong_term", both, second.evidence, base.line, base.operation)] * twice
        return [
            *one_for_another,
            work.case.finding(base.kind, both, second.evidence, base.line, base.operation, second.kind),
            work.case.finding(second.kind, both, second.evidence, base.line, base.operation, base.kind),
        ]
    return []


# several mutants at once


def _several(work: Material) -> Iterator[Finding]:
    """Two mutants, or all of one kind at the same operation, in one walk."""
    choices = [
        (m, s)
        for m, mutant in enumerate(work.found)
        if any(np.any(rows[m]) for rows in work.rows)
        for s in ((1.0, 2.0) if mutant.kind == PATH else (1.0,))
    ]
    groups: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for m, s in choices:
        mutant = work.found[m]
        if mutant.kind != PATH:
            groups.setdefault((mutant.kind, mutant.what), []).append((m, s))
            groups.setdefault((mutant.kind, mutant.operation), []).append((m, s))
    units = [tuple(group) for group in groups.values() if len(group) > 1]
    units = list(dict.fromkeys(units)) + [(choice,) for choice in choices[:_PAIRS]]
    sets = [tuple(unit) for unit in units if len(unit) > 1] + [(*a, *b) for a, b in itertools.combinations(units, 2)]
    yield from _sets(work, sets, [o.leaves for o in work.case.seen], "")


def _elsewhere_and_mutated(work: Material) -> Iterator[Finding]:
    """The formula at other arguments, and a mutant besides."""
    for (kind, text, _), moved in elsewhere(work.case, work.observer):
        with double_precision():
            walks = [w.at(at, o.us) for w, at, o in zip(work.walkers, moved, work.case.seen, strict=True)]
        for m, mutant in enumerate(work.found):
            for s in (1.0, 2.0) if mutant.kind == PATH else (1.0,):
                made = [
                    walk.cotangents[work.case.index] + s * walk.added[work.case.index][at[m]]
                    for walk, at in zip(walks, work.places, strict=True)
                ]
                e = left(list(zip(work.claims, made, strict=True)))
                if e < LEFT:
                    other, said = work.said(mutant, s)
                    both = f"{work.what} is the true derivative {text}, and {said}"
                    yield work.case.finding(kind, both, e, "", "", other)
                    yield work.case.finding(other, both, e, mutant.line, mutant.operation, kind)
                    return
        for other, said, made in along_other_axes(work.case, work.observer, moved):
            e = left(list(zip(work.claims, made, strict=True)))
            if e < LEFT:
                both = f"{work.what} is the true derivative {text}, and {said}"
                yield work.case.finding(kind, both, e, "", "", other)
                yield work.case.finding(other, both, e, "", "", kind)
                return


def _sets(
    work: Material, sets: Sequence[tuple[tuple[int, float], ...]], leaves: Sequence[Sequence[np.ndarray]], text: str
) -> Iterator[Finding]:
    """Which of these sets of mutants, each with its weight, reproduces the claim."""
    open_ = list(range(len(sets)))
    for walker, places, o, at, claim in zip(
        work.walkers,
        work.places,
        work.case.seen,
        leaves,
        work.claims,
        strict=True,
    ):
        fit = []
        for start in range(0, len(open_), _ROWS):
            some = open_[start : start + _ROWS]
            weights = np.zeros((_ROWS, len(walker.found)))
            for row, n in enumerate(some):
                for m, s in sets[n]:
                    weights[row, places[m]] = s
            with double_precision():
                found = walker.combined(at, o.us, weights)[work.case.index]
            fit += [n for row, n in enumerate(some) if left([(claim, found[row])]) < LEFT]
        open_ = fit
        if not open_:
            return
    chosen = sets[min(open_, key=lambda n: len(sets[n]))]
    said = list(dict.fromkeys(work.said(work.found[m], s) for m, s in chosen))
    both = f"{work.what} is the true derivative {text}{', and '.join(text for _, text in said)}"
    kinds = list(dict.fromkeys(kind for kind, _ in said))
    for kind in kinds:
        m, _ = chosen[next(i for i, (n, s) in enumerate(chosen) if work.said(work.found[n], s)[0] == kind)]
        mutant = work.found[m]
        yield work.case.finding(
            kind, both, LEFT / 10, mutant.line, mutant.operation, next((x for x in kinds if x != kind), "")
        )


def _fitting(v: np.ndarray, t: np.ndarray) -> np.ndarray | None:
    """A value that can stand beside the derivative, entry by entry."""
    if v.dtype.kind not in "fc":
        return None
    try:
        return np.broadcast_to(v, t.shape) if np.broadcast_shapes(v.shape, t.shape) == t.shape else None
    except ValueError:
        return None


def _same(spread: Sequence[np.ndarray | None]) -> bool:
    """Whether all values are one number, which says nothing that a constant factor does not."""
    numbers = [v.flat[0] for v in spread if v is not None and v.size]
    return bool(numbers) and all(v is None or np.allclose(v, numbers[0]) for v in spread)
