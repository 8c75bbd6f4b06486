"""From observations to findings: for each argument whose derivative is off, the mistakes that explain it, ranked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jmc.checking.bases import Material
from jmc.checking.hypotheses import Case, Finding, conventions, direct, exchanged
from jmc.checking.matching import matched
from jmc.checking.observe import CLEAN, Observation, Observer
from jmc.checking.oracles import double_precision
from jmc.checking.problem import Problem, replaced
from jmc.checking.region import region
from jmc.checking.walks import Walk, Walker, common

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
_LARGEST = 2**26  # bytes of the rows of all mutants at one argument
_MOST_ENTRIES = 4096  # of a Jacobian whose diagonal is looked at


class Diagnosis:
    """The walks back through one problem, made when they are first needed."""

    def __init__(self, problem: Problem, observer: Observer):
        self.problem, self.observer = problem, observer
        self._walkers: dict[Any, Walker | None] = {}
        self._walks: dict[int, Walk] = {}

    def findings(self, wrong: dict[int, list[Observation]]) -> list[Finding]:
        """The findings of each leaf, from the observations at which it is off; the simplest first."""
        cases = [self.case(k, seen) for k, seen in wrong.items()]
        found: list[Finding] = []
        if len(cases) > 1 and len({id(o) for case in cases for o in case.seen}) == len(cases[0].seen):
            found += exchanged(cases)
        for case in cases:
            if any(finding.name == case.name for finding in found):
                continue
            own = self._of(case)
            if not own and (fewer := [o for o in case.seen if o.point.kind != "sizes"]):
                own = self._of(
                    replace(case, seen=fewer)
                )  # what is made for these sizes may mean something else at others
            found += own
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
        walkers = [walker for o in case.seen if (walker := self._of_shapes(o)) is not None]
        if len(walkers) < len(case.seen):
            return []
        # at other sizes the program may have other steps; what cannot be laid side by side is left out
        alike = [
            k
            for k, w in enumerate(walkers)
            if (len(w.nodes), len(w.repeated)) == (len(walkers[0].nodes), len(walkers[0].repeated))
        ]
        case = replace(case, seen=[case.seen[k] for k in alike])
        walkers = [walkers[k] for k in alike]
        walks = [self.walk(o, walker) for o, walker in zip(case.seen, walkers, strict=True)]
        same = all(c.shape == t.shape for c, t in case.pairs)
        diagonals = [self._diagonal(case, o) for o in case.seen]
        ranked = list(matched(Material(case, self.observer, walkers, walks, diagonals)))
        where = list(region(case, self.observer, walks, walkers[0].nodes)) if same else []
        single = {finding.kind for cost, finding in ranked if cost <= 1}
        # a path or a slope that is missing on one side of a threshold of the argument itself is a case forgotten
        own = any(f"`{case.name}`" in finding.message for finding in where)
        rank = 0 if not single or (own and single <= {"missing_term", "wrong_term", "missing_factor"}) else 3
        return _ordered([(rank, finding) for finding in where] + ranked)

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

    def walk(self, o: Observation, walker: Walker) -> Walk:
        """The walk back at one observation."""
        if id(o) not in self._walks:
            with double_precision():
                self._walks[id(o)] = walker.at(o.leaves, o.us)
        return self._walks[id(o)]

    def _of_shapes(self, o: Observation) -> Walker | None:
        """The walker of these sizes; None where the function cannot be walked, or is too large."""
        key = tuple(x.shape for x in o.leaves)
        if key not in self._walkers:
            names = [leaf.name for leaf in self.problem.leaves]
            try:
                with double_precision():
                    made = Walker(self.problem.f, o.leaves, self.problem.moving, names)
                largest = max((np.size(o.leaves[k]) for k in self.problem.moving), default=0)
                self._walkers[key] = made if 8 * len(made.found) * largest <= _LARGEST else None
            except (NotImplementedError, TypeError, ValueError):  # an operation that the engine refuses
                self._walkers[key] = None
        return self._walkers[key]

    def _diagonal(self, case: Case, o: Observation) -> np.ndarray | None:
        """The diagonal of the Jacobian of the one output of the leaf's shape."""
        x = o.leaves[case.leaf]
        if len(o.us) != 1 or o.us[0].shape != x.shape or x.size**2 > _MOST_ENTRIES or x.ndim == 0:
            return None
        with double_precision():
            J = jax.jacfwd(lambda moved: self.problem.f(replaced(o.leaves, [case.leaf], [moved]))[0])(x)
        return np.asarray(np.einsum("ii->i", np.asarray(J).reshape(x.size, x.size)).reshape(x.shape))

    def power(self, seen: Sequence[Observation]) -> dict[str, Any]:
        """Which mutants of the true derivative these observations would have shown to be wrong."""
        pairs = [(o, w) for o in seen if o.point.kind in CLEAN and (w := self._of_shapes(o)) is not None]
        if not pairs:
            return {"mutants": 0, "caught": 0, "missed": []}
        mutants, places = common([walker for _, walker in pairs])
        caught = np.zeros(len(mutants), bool)
        for (o, walker), at in zip(pairs, places, strict=True):
            walk = self.walk(o, walker)
            for rows, t in zip(walk.added, walk.cotangents, strict=True):
                if t.size and mutants:
                    largest = np.max(np.abs(rows[at]).reshape(len(at), -1), axis=1)
                    caught |= largest > 1e-5 * (float(np.max(np.abs(t))) or 1.0)
        missed = [f"{m.kind}: {m.what} ({m.line})" for m, seen_ in zip(mutants, caught, strict=True) if not seen_]
        return {"mutants": len(mutants), "caught": int(np.sum(caught)), "missed": missed}


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
