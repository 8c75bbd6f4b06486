"""From observations to findings: for each argument whose derivative is off, the mistakes that explain it, ranked."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jmc.checking.explain import FAR, TWO, explained, first
from jmc.checking.hypotheses import LEFT, Case, Finding, conventions, direct, exchanged, left
from jmc.checking.observe import CLEAN, Observation, Observer
from jmc.checking.problem import Problem, replaced
from jmc.checking.region import region
from jmc.checking.repair import Workshop
from jmc.checking.sums import along_other_axes, of_other_shape

CONVENTIONS = ("kink_convention", "symmetric_argument", "log_parameter", "conjugate")
KINDS = (
    "sign",
    "constant_factor",
    "mean_vs_sum",
    "missing_sum",
    "transposed_layout",
    "transposed_operand",
    "cotangent_ignored",
    "nonlinear_in_cotangent",
    "missing_factor",
    "extra_factor",
    "wrong_point",
    "diagonal_only",
    "missing_term",
    "wrong_term",
    "swapped_arguments",
    "wrong_axis",
    "zero",
    "pass_through",
    "region",
    "tail_accuracy",
    "kink_convention",
    "symmetric_argument",
    "log_parameter",
    "conjugate",
    "unknown",
)
"""Every kind of finding."""

# Among explanations that take one mistake each, the more usual first.
_USUAL = (
    "zero",
    "sign",
    "mean_vs_sum",
    "constant_factor",
    "missing_sum",
    "cotangent_ignored",
    "transposed_layout",
    "swapped_arguments",
    "pass_through",
    "diagonal_only",
    "transposed_operand",
    "missing_term",
    "missing_factor",
    "wrong_axis",
    "extra_factor",
    "wrong_point",
    "wrong_term",
)
# a factor too many and one too few are told apart by what is divided by, not by which is more usual
_ALIKE = {"extra_factor": "missing_factor"}
# what it may look like if a case is forgotten
_FORGOTTEN = (
    "missing_term",
    "wrong_term",
    "missing_factor",
    "extra_factor",
    "wrong_point",
    "constant_factor",
    "sign",
    "region",
)
_MOST_ENTRIES = 4096  # of a Jacobian whose diagonal is looked at


class Diagnosis:
    """What is wrong with the claims about one problem."""

    def __init__(self, problem: Problem, observer: Observer):
        self.problem, self.observer = problem, observer

    def findings(self, wrong: dict[int, list[Observation]]) -> list[Finding]:
        """The findings of each leaf, from the observations at which it is off; the simplest first."""
        cases = [self.case(k, seen) for k, seen in wrong.items()]
        found: list[Finding] = []
        if len(cases) > 1 and len({id(o) for case in cases for o in case.seen}) == len(cases[0].seen):
            found += exchanged(cases)
        rest = [case for case in cases if all(finding.name != case.name for finding in found)]
        own = {id(case): self._at_any_sizes(case) for case in rest}
        for a, b in itertools.combinations([case for case in rest if not own[id(case)] or own[id(case)][0].also], 2):
            same = a.seen == b.seen and all(s.shape == t.shape for (_, s), (_, t) in zip(a.pairs, b.pairs, strict=True))
            if same and (both := self._exchanged_besides(a, b)):
                own |= both
        return found + [finding for case in rest for finding in own[id(case)]]

    def _at_any_sizes(self, case: Case) -> list[Finding]:
        """The findings of a leaf; if there are none at all sizes, those at the sizes given."""
        found = self._of(case)
        fewer = [o for o in case.seen if o.point.kind != "sizes"]
        # what is made for these sizes may mean something else at others
        if fewer and len(fewer) < len(case.seen) and (not found or found[0].also):
            plain = self._of(replace(case, seen=fewer))
            return plain if plain and not (found and plain[0].also) else found
        return found

    def _exchanged_besides(self, a: Case, b: Case) -> dict[int, list[Finding]] | None:
        """The findings of two leaves if each claim is a mistake in the derivative by the other."""

        def swapped(o: Observation) -> Observation:
            claimed = list(o.claimed)
            claimed[a.index], claimed[b.index] = claimed[b.index], claimed[a.index]
            return replace(o, claimed=claimed, own=claimed)

        seen = [swapped(o) for o in a.seen]
        found: dict[int, list[Finding]] = {}
        for case in (a, b):
            ranked, _ = explained(replace(case, seen=seen), self.observer)
            if not ranked or ranked[0][0] >= FAR:
                return None
            besides = ranked[0][1]
            text = f"the derivatives by {a.name} and {b.name} are exchanged, and more: once they are not, "
            both = replace(besides, kind="swapped_arguments", message=text + besides.message, also=besides.kind)
            found[id(case)] = [both, replace(besides, message=text + besides.message, also="swapped_arguments")]
        return found

    def case(self, k: int, seen: Sequence[Observation]) -> Case:
        """The observations of moving leaf k."""
        leaf = self.problem.moving[k]
        names = [leaf.name for leaf in self.problem.leaves]
        where = self.problem.leaves[leaf]
        return Case(k, leaf, where.name, where.argnum, seen, self.problem.mode, names)

    def _of(self, case: Case) -> list[Finding]:
        fitting = [o for o, (c, t) in zip(case.seen, case.pairs, strict=True) if c.shape == t.shape]
        # a mistake that only square arguments allow has no shape at others; a wrong shape is looked at as it was given
        case = replace(case, seen=fitting or [o for o in case.seen if o.point.kind != "sizes"] or case.seen)
        if named := [*conventions(case, self._only_positive(case)), *direct(case)]:
            return _ordered([(1, finding) for finding in named])
        if shaped := list(of_other_shape(case)) or list(along_other_axes(case, self.observer)):
            return first(shaped)
        if same := all(c.shape == t.shape for c, t in case.pairs):
            alone = list(self._diagonal_alone(case))
            if alone:
                return alone
        ranked, work = explained(case, self.observer)
        if not ranked or ranked[0][0] >= TWO or ranked[0][1].also:
            ranked = [*((TWO, finding) for finding in self._untransposed(case)), *ranked]
        where = list(region(case, self.observer, work)) if same else []
        plain = [finding.kind for cost, finding in ranked if cost < (TWO + 2 if finding.also else 1.5)]
        # a path or a slope that is missing on one side of a threshold of the argument itself is a case forgotten
        own = any(f"`{case.name}`" in finding.message for finding in where)
        forgotten = {*_FORGOTTEN}
        if where and (not plain or (own and {*plain} <= forgotten)):
            return first([*where, *(finding for _, finding in ranked)])
        return first([*(finding for _, finding in ranked), *where])

    def _diagonal_alone(self, case: Case) -> Iterator[Finding]:
        diagonals = [self._diagonal(case, o) for o in case.seen]
        made = [
            (c, o.us[0] * d) for (c, _), o, d in zip(case.pairs, case.seen, diagonals, strict=True) if d is not None
        ]
        if len(made) == len(case.seen) and (e := left(made)) < LEFT:
            text = "with the diagonal of the Jacobian alone: what an output does to the other entries is left out"
            for kind in ("diagonal_only", "missing_sum"):
                yield case.finding(kind, f"∂/∂{case.name} is the true derivative {text}", e)

    def _untransposed(self, case: Case) -> Iterator[Finding]:
        """The cotangent carried forwards by the Jacobian, where its transpose belongs."""
        made = []
        for o, (c, t) in zip(case.seen, case.pairs, strict=True):
            if len(o.us) != 1 or o.us[0].shape != t.shape or np.iscomplexobj(t):
                return
            made.append((c, self.observer.reference.pushed(o.leaves, case.index, o.us[0])))
        if (e := left(made)) < LEFT:
            kinds = ("transposed_operand",) if case.mode == "vjp" else ("transposed_layout", "transposed_operand")
            for kind in kinds:
                text = "the Jacobian times the cotangent, where the transpose of the Jacobian belongs"
                yield case.finding(kind, f"∂/∂{case.name} is {text}", e)

    def _only_positive(self, case: Case) -> bool:
        """Whether the leaf is a positive number, or the function is finite for no negative values of it."""
        o = case.seen[0]
        x = o.leaves[case.leaf]
        if x.dtype.kind != "f" or not np.all(x > 0):
            return False
        if x.ndim == 0:
            return True  # a positive number is a scale or a rate
        outs = self.observer.reference.values(replaced(o.leaves, [case.leaf], [-x]))
        return not all(np.all(np.isfinite(out)) for out in outs)

    def _diagonal(self, case: Case, o: Observation) -> np.ndarray | None:
        """The diagonal of the Jacobian of the one output of the leaf's shape."""
        x = o.leaves[case.leaf]
        if len(o.us) != 1 or o.us[0].shape != x.shape or x.size**2 > _MOST_ENTRIES or x.ndim == 0:
            return None
        reference, k = self.observer.reference, case.index
        rows = [reference.pulled(o.leaves, [e.reshape(x.shape)])[k].ravel() for e in np.eye(x.size)]
        return np.array([row[i] for i, row in enumerate(rows)]).reshape(x.shape)

    def power(self, seen: Sequence[Observation]) -> dict[str, Any]:
        """Which small mistakes in the true derivative these observations would have shown."""
        seen = [o for o in seen if o.point.kind in CLEAN]
        every: list[tuple[str, bool]] = []
        for k in range(len(self.problem.moving)):
            if seen and np.any([np.any(o.truth.cotangents[k]) for o in seen]):
                every += Workshop(self.case(k, seen), self.observer).power()
        missed = [text for text, caught in every if not caught]
        return {"mutants": len(every), "caught": len(every) - len(missed), "missed": missed}


def _ordered(ranked: Sequence[tuple[int, Finding]]) -> list[Finding]:
    """By the number of mistakes, then the more usual first; of one kind the first is kept, with the others in it."""

    def key(item: tuple[int, Finding]) -> tuple[int, int, bool, bool]:
        cost, finding = item
        usual = _USUAL.index(_ALIKE.get(finding.kind, finding.kind)) if finding.kind in {*_USUAL, *_ALIKE} else -1
        # of two mistakes the one that was seen first is named first
        return (cost, usual, not finding.line, "operand" in finding.message) if cost < 2 else (cost, 0, False, False)

    found: dict[str, Finding] = {}
    for _, finding in sorted(ranked, key=key):
        found.setdefault(finding.kind, finding)
    return list(found.values())
