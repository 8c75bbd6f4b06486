"""Every derivative that one small mistake leads to, and the values on the way that may stand beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jmc.checking.altered import along_other_axes, elsewhere
from jmc.checking.hypotheses import Case
from jmc.checking.mutants import PATH, Mutant
from jmc.checking.observe import Observer
from jmc.checking.walks import Walk, Walker, common

NICE = (1.0, 2.0, 0.5, -1.0)
_DONE = {1.0: "is dropped", 2.0: "has the wrong sign", 0.5: "is halved", -1.0: "is doubled"}
SAID = {
    "missing_factor": "if {} is left out",
    "extra_factor": "if {} is there twice",
    "transposed_operand": "if {} is transposed",
    "wrong_point": "if {} is taken at the value instead of at the argument",
}


@dataclass(frozen=True, eq=False)
class Base:
    """The derivative that one mistake leads to, at each observation; ``text`` follows "the true derivative"."""

    kind: str
    text: str
    found: Sequence[np.ndarray]
    line: str = ""
    operation: str = ""


class Material:
    """What the claims about one leaf are held to: walks of its observations, mutants, and bases made of them."""

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

    def same(self) -> bool:
        return all(c.shape == t.shape for c, t in self.case.pairs)

    def bases(self) -> Iterator[Base]:
        if all(t.ndim > 1 for t in self.truths):
            yield Base("transposed_layout", "transposed", [t.T for t in self.truths])
        if not self.same():
            return
        diagonal = [None if d is None else o.us[0] * d for d, o in zip(self.diagonals, self.case.seen, strict=True)]
        if all(d is not None for d in diagonal):
            text = "with the diagonal of the Jacobian alone: what an output does to the other entries is left out"
            yield Base("diagonal_only", text, [d for d in diagonal if d is not None])
        for m, mutant in enumerate(self.found):
            if any(np.any(rows[m]) for rows in self.rows):
                for s in self.coefficients(m, mutant):
                    found = [t + s * rows[m] for t, rows in zip(self.truths, self.rows, strict=True)]
                    yield Base(*self.said(mutant, s), found, mutant.line, mutant.operation)
        for (kind, text, found), _ in elsewhere(self.case, self.observer):
            used = next((m for m in self.found if m.what in text and m.what.startswith("`")), None)
            yield Base(kind, text, found, used.line if used else "", used.operation if used else "")

    def axes(self) -> Iterator[Base]:
        for kind, text, found in (
            along_other_axes(self.case, self.observer, [o.leaves for o in self.case.seen]) if self.same() else ()
        ):
            yield Base(kind, text, found)

    def coefficients(self, m: int, mutant: Mutant) -> list[float]:
        """By how much of a path the claim may be off: all of it, twice, or what fits best."""
        if mutant.kind != PATH:
            return [1.0]
        fit = self.fit(m, range(len(self.rows)))
        near = [n for n in NICE if abs(n - fit) < 1e-4]
        odd = [fit] if fit and not near and np.isfinite(fit) else []
        return [1.0, 2.0, *(n for n in near if n not in (1.0, 2.0)), *odd]

    def fit(self, m: int, which: Sequence[int]) -> float:
        """The multiple of a row that the claims differ from the truths by, at these observations."""
        pairs = [(self.rows[k][m], self.claims[k] - self.truths[k]) for k in which]
        over = sum(float(np.real(np.vdot(row, error))) for row, error in pairs)
        under = sum(float(np.real(np.vdot(row, row))) for row, _ in pairs)
        return over / under if under else 0.0

    def said(self, mutant: Mutant, s: float) -> tuple[str, str]:
        place = f" ({mutant.line})" if mutant.line else ""
        if mutant.kind == PATH:
            done = _DONE.get(s, f"is multiplied by {1 - s:.4g}")
            return "missing_term" if s == 1 else "wrong_term", f"if {mutant.what} {done}{place}"
        return mutant.kind, SAID[mutant.kind].format(_factor(mutant.what)) + place

    def values(self) -> Iterator[tuple[str, str, str, list[np.ndarray], bool]]:
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
        values = [self.observer.reference.values(o.leaves) for o in self.case.seen]
        for j, out in enumerate(values[0]):
            if out.shape == () and out.dtype.kind == "f":
                yield "the value", "", "", [found[j] for found in values], False
                with np.errstate(over="ignore"):
                    # up to its sign, which a logarithm of a size has lost
                    signs = [np.sign(np.real(np.vdot(t, c))) or 1.0 for c, t in self.case.pairs if c.shape == t.shape]
                    if len(signs) == len(values):
                        grown = [s * np.exp(found[j]) for s, found in zip(signs, values, strict=True)]
                        yield "eᵛ with v the value", "", "", grown, False
        moving = {line for operation, line in self.made.nodes if operation == "argument"}
        for k, x in enumerate(self.case.seen[0].leaves):
            if self.case.names[k] not in moving and x.dtype.kind in "fc":
                yield f"`{self.case.names[k]}`", "argument", "", [o.leaves[k] for o in self.case.seen], False


def _factor(what: str) -> str:
    """An argument as a factor."""
    return f"the factor {what}" if what.startswith("`") else what
