"""Where a claim and automatic differentiation disagree at single entries: who is right, or whether it is a kink.

Differences along the entries themselves decide, from both sides; far out, where differences see nothing, the program of
an element-wise function with 60 digits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jmc.checking.hypotheses import Finding
from jmc.checking.observe import Observation, Observer
from jmc.checking.truth import slope_exactly

EXAMINED = 6
"""Entries of an argument that are decided, those with the largest errors; the others follow them."""


class Arbiter:
    """Decides for one argument; an entry that is settled is no longer ``off``."""

    def __init__(self, observer: Observer, k: int):
        self.observer, self.k = observer, k
        self.leaf = observer.problem.leaves[observer.problem.moving[k]]
        self.kinks: list[str] = []
        self.kinked: dict[int, np.ndarray] = {}  # by the identity of an observation, the entries at a kink
        self.notes: list[str] = []

    def settle(self, seen: Sequence[Observation]) -> None:
        """Goes through the observations."""
        for o in seen:
            c, t = o.claimed[self.k], o.truth.cotangents[self.k]
            if c is not None and c.shape == t.shape and np.any(o.off[self.k]) and not np.iscomplexobj(t):
                self._at(o, c, t)

    def findings(self, turned: str) -> list[Finding]:
        """A finding if the claim differs at kinks; ``turned`` says what is wrong there all the same."""
        if not self.kinks:
            return []
        what, argnum, name = f"∂/∂{self.leaf.name}", self.leaf.argnum, self.leaf.name
        if turned:
            # a rule is a part of other functions, whose values tie; in the gradient of a loss a tie is an accident
            kind = "kink_convention" if self.observer.problem.mode == "grad" else "region"
            return [Finding(kind, argnum, f"{what} is off where entries are 0 or equal: {turned}", 0.0, name)]
        return [Finding("kink_convention", argnum, f"{what} takes another value at a kink: {self.kinks[0]}", 0.0, name)]

    def _at(self, o: Observation, c: np.ndarray, t: np.ndarray) -> None:
        off = o.off[self.k]
        error = np.where(off, np.abs(np.nan_to_num(c - t, nan=np.inf)), -1)
        count = int(np.sum(off))
        indices = [np.unravel_index(i, t.shape) for i in np.argsort(error, axis=None)[::-1][: min(EXAMINED, count)]]
        marked = np.zeros(t.shape)
        directions = [self.observer.reference.basis(o.leaves, self.k, index) for index in indices]
        slopes = [self.observer.reference.slopes(o.leaves, o.us, directions, s) for s in ("central", "left", "right")]
        for j, index in enumerate(indices):
            settled, kink = self._decided(o, index, float(c[index]), float(t[index]), [(v[j], e[j]) for v, e in slopes])
            off[index] &= not settled
            o.rough[self.k][index] &= not settled
            marked[index] = kink
        if len(indices) < count and not any(off[index] for index in indices):
            o.rough[self.k][off] = False
            off[:] = False  # those with the largest errors are all settled, and stand for the others
        if np.any(marked):
            self.kinked[id(o)] = marked

    def _decided(self, o: Observation, index: Any, said: float, auto: float, slopes: Any) -> tuple[bool, bool]:
        """Whether the entry is settled in favour of the claim, and whether as a kink."""
        where = f"{self.leaf.name}{shown(index)}"
        (central, error), (left, left_error), (right, right_error) = ((float(v), float(e)) for v, e in slopes)
        low, high = sorted((left, right))
        doubt = left_error + right_error
        if high - low > 1e-4 * max(abs(high), abs(low)) + 4 * doubt:
            between = low - doubt - 1e-6 * abs(low) <= said <= high + doubt + 1e-6 * abs(high)
            if between:
                self.kinks.append(
                    f"{said:.4g} at {where}, between the slopes {low:.4g} and {high:.4g} (JAX: {auto:.4g})"
                )
            return between, between
        exactly = None
        if self.observer.reference.elementwise(o.leaves, o.us, self.k):
            exactly = slope_exactly(self.observer.problem.f, o.leaves, self.observer.problem.moving[self.k], index)
        if exactly is not None:
            true = exactly * float(o.us[0][index])
            if abs(said - true) <= 1e-9 * abs(true) + 1e-300 and abs(auto - true) > 1e-6 * abs(true):
                self._blame(f"{where}: {auto:.3g}, but it is {true:.3g}")
                return True, False
        if abs(said - central) <= error + 1e-7 * abs(said) < abs(auto - central):
            self._blame(f"{where}: {auto:.6g}, but differences say {central:.6g}")
            return True, False
        return False, False

    def _blame(self, text: str) -> None:
        self.notes.append(f"automatic differentiation is wrong at {text}")


_MOVED = 1e-3


def moved_together(observer: Observer, arbiters: Sequence[Arbiter], seen: Sequence[Observation]) -> dict[int, str]:
    """By the arguments it is about, what is wrong if entries move together along a kink.

    Entries that are equal and stay so leave no choice: there the claim must lie between the slopes as well.
    """
    found: dict[int, str] = {}
    for o in seen:
        marks = {arbiter.k: arbiter.kinked[id(o)] for arbiter in arbiters if id(o) in arbiter.kinked}
        direction = _staying(observer, o, marks) if marks else None
        if direction is None:
            continue
        sides = [observer.reference.slopes(o.leaves, o.us, [direction], s) for s in ("left", "right")]
        low, high = sorted(float(slope[0]) for slope, _ in sides)
        doubt = sum(float(error[0]) for _, error in sides) + 1e-6 * max(abs(low), abs(high))
        said = sum(float(np.sum(c * v)) for c, v in zip(o.claimed, direction, strict=True) if c is not None)
        if not low - doubt <= said <= high + doubt:
            text = f"moved together they change the value by {low:.6g} to {high:.6g}, but the rule says {said:.6g}"
            found.update((k, text) for k in marks if np.any(direction[k]))
    return found


def _staying(observer: Observer, o: Observation, marks: dict[int, np.ndarray]) -> list[np.ndarray] | None:
    """The entries that are at a kink still if all of these move together: by the same, or away from 0."""
    moving = observer.problem.moving
    for signs in (dict.fromkeys(marks, 1.0), {k: np.sign(o.leaves[moving[k]]) for k in marks}):
        moved = list(o.leaves)
        for k, mark in marks.items():
            moved[moving[k]] = o.leaves[moving[k]] + _MOVED * signs[k] * mark
        direction = [np.zeros(np.shape(o.leaves[n])) for n in moving]
        for k, mark in marks.items():
            for index in map(tuple, np.argwhere(mark)):
                one = observer.reference.basis(moved, k, index)
                (left, a), (right, b) = (
                    observer.reference.slopes(moved, o.us, [one], s, 1e-4) for s in ("left", "right")
                )
                size = float(abs(left[0]) + abs(right[0]))
                direction[k][index] = abs(left[0] - right[0]) > 1e-4 * size + 4 * float(a[0] + b[0])
            direction[k] *= signs[k]
        if any(map(np.any, direction)):
            return direction
    return None


def shown(index: Any) -> str:
    """``[1, 3]``, or nothing for a number."""
    return f"[{', '.join(str(int(i)) for i in index)}]" if len(index) else ""
