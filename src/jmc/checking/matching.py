"""Mistakes found by making them: every derivative that one small mistake leads to, held to a claim.

A base is such a derivative: a mutant of the chain rule (``mutants.py``), the right formula at other arguments
(``altered.py``), the transpose, the diagonal alone, the truth times or divided by a value on the way. A claim is a
base; or a base times a number, or times or divided by a value; or several mutants at once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jmc.checking.altered import along_other_axes, elsewhere
from jmc.checking.hypotheses import LEFT, Case, Finding, explained_ratio, left
from jmc.checking.mutants import PATH, Mutant
from jmc.checking.observe import Observer
from jmc.checking.oracles import double_precision
from jmc.checking.sums import summed
from jmc.checking.walks import Walk, Walker, common

NICE = (1.0, 2.0, 0.5, -1.0)
_DONE = {1.0: "is dropped", 2.0: "has the wrong sign", 0.5: "is halved", -1.0: "is doubled"}
_SAID = {
    "missing_factor": "if {} is left out",
    "extra_factor": "if {} is there twice",
    "transposed_operand": "if {} is transposed",
    "wrong_point": "if {} is taken at the value instead of at the argument",
}
_PAIRS = 40
_ROWS = 64


@dataclass(frozen=True, eq=False)
class Base:
    """The derivative that one mistake leads to, at each observation; ``text`` follows "the true derivative"."""

    kind: str
    text: str
    found: Sequence[np.ndarray]
    line: str = ""
    operation: str = ""


class Matcher:
    """The walks of the observations of one case."""

    def __init__(
        self,
        case: Case,
        observer: Observer,
        walkers: Sequence[Walker],
        walks: Sequence[Walk],
        diagonals: Sequence[np.ndarray | None],
    ):
        self.case, self.observer, self.walkers, self.walks = case, observer, walkers, walks
        self.made = walkers[0]
        self.found, self.places = common(walkers)
        self.rows = [np.asarray(w.added[case.index])[at] for w, at in zip(walks, self.places, strict=True)]
        self.what = f"∂/∂{case.name}"
        self.claims = [c for c, _ in case.pairs]
        self.truths = [t for _, t in case.pairs]
        self.diagonals = diagonals

    def findings(self) -> Iterator[tuple[int, Finding]]:
        """Pairs (how many mistakes it takes, finding); more than one only where one does not do."""
        yield from ((1, found) for found in summed(self.case, self.made, self.walks))
        if any(c.ndim and c.T.shape != t.shape for c, t in self.case.pairs) and not self._same():
            return
        bases = [base for base in self._bases() if all(np.all(np.isfinite(p)) for p in base.found)]
        one = [found for base in bases if (found := self._matched(base)) is not None]
        partial = [found for found in one if found.kind in _SAID and found.line]
        one += [replace(found, kind="wrong_term") for found in partial[:1]]
        one += self._beside(self.truths, "")
        if not one:
            one = [found for base in self._axes() if (found := self._matched(base)) is not None][:1]
        yield from ((1, found) for found in one)
        if one:
            return
        two = [found for base in bases for found in self._times(base)]
        if not two:
            two = [found for base in bases for found in self._beside(base.found, base.text, base)]
        if not two and self._same():
            two = [*self._several(), *self._elsewhere_and_mutated()]
        yield from ((2, found) for found in two)

    def _same(self) -> bool:
        return all(c.shape == t.shape for c, t in self.case.pairs)

    # what one mistake leads to

    def _bases(self) -> Iterator[Base]:
        if all(t.ndim > 1 for t in self.truths):
            yield Base("transposed_layout", "transposed", [t.T for t in self.truths])
        if not self._same():
            return
        diagonal = [None if d is None else o.us[0] * d for d, o in zip(self.diagonals, self.case.seen, strict=True)]
        if all(d is not None for d in diagonal):
            text = "with the diagonal of the Jacobian alone: what an output does to the other entries is left out"
            yield Base("diagonal_only", text, [d for d in diagonal if d is not None])
        for m, mutant in enumerate(self.found):
            if any(np.any(rows[m]) for rows in self.rows):
                for s in self._coefficients(m, mutant):
                    found = [t + s * rows[m] for t, rows in zip(self.truths, self.rows, strict=True)]
                    yield Base(*self._said(mutant, s), found, mutant.line, mutant.operation)
        for (kind, text, found), _ in elsewhere(self.case, self.observer):
            used = next((m for m in self.found if m.what in text and m.what.startswith("`")), None)
            yield Base(kind, text, found, used.line if used else "", used.operation if used else "")

    def _axes(self) -> Iterator[Base]:
        for kind, text, found in along_other_axes(self.case, self.observer) if self._same() else ():
            yield Base(kind, text, found)

    def _coefficients(self, m: int, mutant: Mutant) -> list[float]:
        """By how much of a path the claim may be off: all of it, twice, or what fits best."""
        if mutant.kind != PATH:
            return [1.0]
        over = sum(
            float(np.real(np.vdot(rows[m], c - t)))
            for c, t, rows in zip(self.claims, self.truths, self.rows, strict=True)
        )
        under = sum(float(np.real(np.vdot(rows[m], rows[m]))) for rows in self.rows)
        fit = over / under if under else 0.0
        near = [n for n in NICE if abs(n - fit) < 1e-4]
        return [
            1.0,
            2.0,
            *(n for n in near if n not in (1.0, 2.0)),
            *([fit] if fit and not near and np.isfinite(fit) else []),
        ]

    def _said(self, mutant: Mutant, s: float) -> tuple[str, str]:
        place = f" ({mutant.line})" if mutant.line else ""
        if mutant.kind == PATH:
            done = _DONE.get(s, f"is multiplied by {1 - s:.4g}")
            return "missing_term" if s == 1 else "wrong_term", f"if {mutant.what} {done}{place}"
        return mutant.kind, _SAID[mutant.kind].format(_factor(mutant.what)) + place

    def _matched(self, base: Base) -> Finding | None:
        e = left(list(zip(self.claims, base.found, strict=True)))
        if e < LEFT < left(list(zip(self.truths, base.found, strict=True))):
            return self.case.finding(
                base.kind, f"{self.what} is the true derivative {base.text}", e, base.line, base.operation
            )
        return None

    # values beside a derivative

    def _values(self) -> Iterator[tuple[str, str, str, list[np.ndarray], bool]]:
        """(name, operation, line, the value at each observation, whether something is divided by it)."""
        for n, (operation, line) in enumerate(self.made.nodes):
            name = f"`{line}`" if operation == "argument" else f"the value of `{operation}`"
            place = "" if operation == "argument" else line
            values = [walk.values[n] for walk in self.walks]
            yield name, operation, place, values, self.made.divides[n]
            if all(v.dtype.kind == "f" and v.size and np.all((v > 0) & (v < 1)) for v in values):
                yield f"v(1 − v) with v {name}", operation, place, [v * (1 - v) for v in values], False
            elif all(v.dtype.kind == "f" and v.size and np.all(np.abs(v) < 1) for v in values):
                yield f"1 − v² with v {name}", operation, place, [1 - v * v for v in values], False
            elif all(v.dtype.kind == "f" and v.size and np.all(v < 0) for v in values):
                p = [np.exp(v) for v in values]
                yield f"eᵛ with v {name}", operation, place, p, False
                yield f"eᵛ(1 − eᵛ) with v {name}", operation, place, [q * (1 - q) for q in p], False
        for k, x in enumerate(self.case.seen[0].leaves):
            if k != self.case.leaf and x.dtype.kind in "fc":
                yield f"`{self.case.names[k]}`", "argument", "", [o.leaves[k] for o in self.case.seen], False

    def _beside(self, found: Sequence[np.ndarray], text: str, base: Base | None = None) -> list[Finding]:
        """The claim is ``found`` times or divided by a value."""
        if any(c.shape != p.shape for c, p in zip(self.claims, found, strict=True)):
            return []
        made = []
        for name, operation, line, values, divides in self._values():
            spread = [_fitting(v, t) for v, t in zip(values, found, strict=True)]
            if any(v is None for v in spread) or _same(spread):
                continue
            place = f" ({line})" if line else ""
            for power in (1, 2) if base is None else (1,):
                many = [v**power for v in spread if v is not None]
                square = " squared" if power > 1 else ""
                more = left([(c, t * v) for c, t, v in zip(self.claims, found, many, strict=True)])
                less = left([(c * v, t) for c, t, v in zip(self.claims, found, many, strict=True)])
                if more < LEFT:
                    kind = "missing_factor" if divides else "extra_factor"
                    said = f"without a factor: one over {name}{square}" if divides else f"times {name}{square}"
                elif less < LEFT:
                    kind, said = "missing_factor", f"without a factor: {name}{square}"
                else:
                    continue
                e = min(more, less)
                if base is None:
                    made.append(
                        self.case.finding(kind, f"{self.what} is the true derivative {said}{place}", e, line, operation)
                    )
                else:
                    both = f"{self.what} is the true derivative {text}, and {said}{place}"
                    made.append(self.case.finding(base.kind, both, e, base.line, base.operation, kind))
                    made.append(self.case.finding(kind, both, e, line, operation, base.kind))
        return made

    def _times(self, base: Base) -> list[Finding]:
        """The claim is a base times a number."""
        ratios = []
        for c, p, t in zip(self.claims, base.found, self.truths, strict=True):
            if not np.any(t):
                continue
            under = np.vdot(p, p)
            ratio = np.vdot(p, c) / under if under and c.shape == p.shape else 0
            if not ratio or left([(c, ratio * p)]) > LEFT:
                return []
            ratios.append(complex(ratio))
        if not ratios or np.allclose(ratios, 1, rtol=1e-4):
            return []
        for second in explained_ratio(self.case, ratios, "", ""):
            both = f"{self.what} is the true derivative {base.text}; and {second.message.removeprefix(f'{self.what} ')}"
            return [
                self.case.finding(base.kind, both, second.evidence, base.line, base.operation, second.kind),
                self.case.finding(second.kind, both, second.evidence, base.line, base.operation, base.kind),
            ]
        return []

    # several mutants at once

    def _several(self) -> Iterator[Finding]:
        """Two mutants, or all of one kind at the same operation, in one walk."""
        choices = [
            (m, s)
            for m, mutant in enumerate(self.found)
            if any(np.any(rows[m]) for rows in self.rows)
            for s in ((1.0, 2.0) if mutant.kind == PATH else (1.0,))
        ]
        groups: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for m, s in choices:
            mutant = self.found[m]
            if mutant.kind != PATH:
                groups.setdefault((mutant.kind, mutant.what), []).append((m, s))
                groups.setdefault((mutant.kind, mutant.operation), []).append((m, s))
        units = [tuple(group) for group in groups.values() if len(group) > 1]
        units = list(dict.fromkeys(units)) + [(choice,) for choice in choices[:_PAIRS]]
        sets = [tuple(unit) for unit in units if len(unit) > 1] + [
            (*a, *b) for a, b in itertools.combinations(units, 2)
        ]
        yield from self._sets(sets, [o.leaves for o in self.case.seen], "")

    def _elsewhere_and_mutated(self) -> Iterator[Finding]:
        """The formula at other arguments, and a mutant besides."""
        for (kind, text, _), moved in elsewhere(self.case, self.observer):
            with double_precision():
                walks = [w.at(at, o.us) for w, at, o in zip(self.walkers, moved, self.case.seen, strict=True)]
            for m, mutant in enumerate(self.found):
                for s in (1.0, 2.0) if mutant.kind == PATH else (1.0,):
                    made = [
                        walk.cotangents[self.case.index] + s * walk.added[self.case.index][at[m]]
                        for walk, at in zip(walks, self.places, strict=True)
                    ]
                    e = left(list(zip(self.claims, made, strict=True)))
                    if e < LEFT:
                        other, said = self._said(mutant, s)
                        both = f"{self.what} is the true derivative {text}, and {said}"
                        yield self.case.finding(kind, both, e, "", "", other)
                        yield self.case.finding(other, both, e, mutant.line, mutant.operation, kind)
                        return

    def _sets(
        self, sets: Sequence[tuple[tuple[int, float], ...]], leaves: Sequence[Sequence[np.ndarray]], text: str
    ) -> Iterator[Finding]:
        """Which of these sets of mutants, each with its weight, reproduces the claim."""
        open_ = list(range(len(sets)))
        for walker, places, o, at, claim in zip(
            self.walkers, self.places, self.case.seen, leaves, self.claims, strict=True
        ):
            fit = []
            for start in range(0, len(open_), _ROWS):
                some = open_[start : start + _ROWS]
                weights = np.zeros((_ROWS, len(walker.found)))
                for row, n in enumerate(some):
                    for m, s in sets[n]:
                        weights[row, places[m]] = s
                with double_precision():
                    found = walker.combined(at, o.us, weights)[self.case.index]
                fit += [n for row, n in enumerate(some) if left([(claim, found[row])]) < LEFT]
            open_ = fit
            if not open_:
                return
        chosen = sets[min(open_, key=lambda n: len(sets[n]))]
        said = list(dict.fromkeys(self._said(self.found[m], s) for m, s in chosen))
        both = f"{self.what} is the true derivative {text}{', and '.join(text for _, text in said)}"
        kinds = list(dict.fromkeys(kind for kind, _ in said))
        for kind in kinds:
            m, _ = chosen[next(i for i, (n, s) in enumerate(chosen) if self._said(self.found[n], s)[0] == kind)]
            mutant = self.found[m]
            yield self.case.finding(
                kind, both, LEFT / 10, mutant.line, mutant.operation, next((x for x in kinds if x != kind), "")
            )


def _factor(what: str) -> str:
    """An argument as a factor."""
    return f"the factor {what}" if what.startswith("`") else what


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
