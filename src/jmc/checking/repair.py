"""Mistakes found by making and by undoing them.

A small change of the true derivative's program that gives what a rule says is the mistake; so is, the other way round,
one of the rule's own program that makes it right. Of two mistakes one is made and the other undone: both meet.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.exceptions import ComplexWarning

from jmc.checking.edits import edits, terms
from jmc.checking.hypotheses import LEFT, Case, left
from jmc.checking.insertions import Value, additions, insertions, of_program, values
from jmc.checking.multiples import numbers
from jmc.checking.observe import Observation, Observer
from jmc.checking.repeats import repeated
from jmc.checking.scene import Edit, Scene
from jmc.checking.slopes import steps

_MOST_EDITS, _EFFORT = 8000, 150_000  # edits, and the equations that are evaluated for them
_MOST_PAIRS = 200
_FEW = 4
_SIMPLE = 1.5
_PLAIN = 1.5
_SEEN = 1e-5


@dataclass(frozen=True, eq=False)
class Made:
    """An edit, whether it was done to the truth, and what comes of it in each scene."""

    edit: Edit
    done: bool
    found: Sequence[np.ndarray]
    error: float

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.edit.done if self.done else self.edit.undone


class Workshop:
    """The programs of a claim and of the truth at the observations at which they are built alike.

    ``written_out``: with each step of their loops; ``project``: what is done to a claim before it is compared.
    """

    def __init__(
        self,
        case: Case,
        observer: Observer,
        project: Callable[[Any], np.ndarray] = np.asarray,
        written_out: bool = False,
    ):
        self.case, self.observer, self.project, self.written_out = case, observer, project, written_out
        self.truth, self.seen = self._staged(self._true, [project(c) for c, _ in case.pairs], case.seen)
        claims = {id(o): t for o, (_, t) in zip(case.seen, case.pairs, strict=True)}
        self.claim, self.claimed_at = self._staged(self._claimed, [claims[id(o)] for o in case.seen], case.seen)
        # both at the same observations
        both = [o for o in self.seen if any(o is other for other in self.claimed_at)]
        if both:
            self.claim = [s for s, o in zip(self.claim, self.claimed_at, strict=True) if any(o is b for b in both)]
            self.truth = [s for s, o in zip(self.truth, self.seen, strict=True) if any(o is b for b in both)]
            self.seen = both
        else:
            self.claim = []

    def _staged(
        self, program_of: Any, goals: Any, seen: Sequence[Observation]
    ) -> tuple[list[Scene], list[Observation]]:
        stage: list[Scene] = []
        kept: list[Observation] = []
        built: Any = None
        names = [*self.case.names, *["the cotangent"] * len(seen[0].us)]
        for o, goal in zip(seen, goals, strict=True):
            found = program_of(o)
            if found is None:
                continue
            program, wanted = found
            if built is not None and program.plan != built:
                continue
            values_ = program.run(o.leaves, o.us)
            own = program_of == self._claimed
            same = o.claimed if own else o.truth.cotangents
            said = same[self.case.index]
            if said is None or left([(np.asarray(values_[wanted]), said)]) > 1e-8:
                continue  # it is not what was asked
            built = program.plan
            project = self.project if own else np.asarray
            stage.append(Scene(program, values_, wanted, goal, names, program.inputs[len(o.leaves) :], project))
            kept.append(o)
        return stage, kept

    def _true(self, o: Observation) -> Any:
        program = self.observer.reference.pull_program(o.leaves, o.us, self.written_out)
        return program, program.outputs[self.case.index]

    def _claimed(self, o: Observation) -> Any:
        if o.claimed is o.own or o.claimed[self.case.index] is None:
            return None
        program = self.observer.claim_program(o.leaves, o.us, None, self.written_out)
        if program is None:
            return None
        return program, program.outputs[sum(c is not None for c in o.claimed[: self.case.index])]

    @property
    def loops(self) -> bool:
        """Whether there are loops that could be written out."""
        return any(s.program.loops for s in (*self.truth[:1], *self.claim[:1]))

    def power(self) -> list[tuple[str, bool]]:
        """Each plain mistake in the true derivative, and whether it shows at any of these observations."""
        found = []
        some = [*terms(self.truth[0]), *steps(self.truth[0]), *edits(self.truth[0])] if self.truth else []
        for edit in some:
            if edit.weight > _PLAIN:
                continue
            made = [_made(edit, s) for s in self.truth]
            if any(x is not None for x in made):
                shown = [x is not None and left([(x, s.own)]) > _SEEN for x, s in zip(made, self.truth, strict=True)]
                found.append((f"{edit.done[0]}: {edit.text} ({edit.line})", any(shown)))
        return found

    def singles(self) -> list[Made]:
        """The single edits that explain the claim, the least far-fetched first."""
        if not self.truth or any(s.own.shape != s.goal.shape for s in self.truth):
            return []
        found = [*_exact(self._of_truth(), self.truth, True)]
        if self.claim:
            found += _exact(self._of_claim(), self.claim, False)
        # of two that are as near, one of two like terms is half of them, and then a term is what is forgotten
        usual = ("constant_factor", "missing_term")
        return sorted(found, key=lambda made: (weight(made), (*usual, made.kinds[0]).index(made.kinds[0])))

    def repeats(self) -> list[Made]:
        """The edits made in every step of a loop that explain the claim, likewise."""
        if not self.truth or any(s.own.shape != s.goal.shape for s in self.truth):
            return []
        found = [*_exact(_each(repeated(self.truth[0])), self.truth, True)]
        if self.claim:
            found += _exact(_each(repeated(self.claim[0])), self.claim, False)
        return sorted(found, key=weight)

    def _of_truth(self) -> Iterator[Edit]:
        first = self.truth[0]
        put_in = insertions(self.truth, values(self.truth, ()))
        others = _turns(numbers(self.truth, self.seen), steps(first), edits(first), put_in)
        return _each(repeated(first), others)

    def _of_claim(self) -> Iterator[Edit]:
        found = values(self.claim, self._pool())
        put_in, added = insertions(self.claim, found), additions(self.claim, found, _most(self.claim))
        first = self.claim[0]
        return _each(repeated(first), _turns(numbers(self.claim, self.seen), edits(first), put_in, added))

    def _pool(self) -> list[Value]:
        """Values of the truth's program, for use in the claim's."""
        beside = {id(c): t for c, t in zip(self.claim, self.truth, strict=True)}
        return of_program(self.truth[0], lambda s, n: beside[id(s)].values[n])

    def pairs(self) -> Iterator[tuple[Made, Made | None, list[float]]]:
        """Two mistakes: one undone, one made, up to a number; or one up to a number that is not 1."""
        if not self.truth or any(s.own.shape != s.goal.shape for s in self.truth):
            return
        first = self.truth[0]
        found = [*repeated(first), *terms(first), *steps(first), *edits(first)]
        done, undone = _tried(found, self.truth, True), []
        if self.claim:
            first = self.claim[0]
            simple = (e for e in insertions(self.claim, values(self.claim, self._pool())) if e.weight <= _SIMPLE)
            undone = _tried([*repeated(first), *terms(first), *edits(first), *simple], self.claim, False)
        yield from self._meeting(done, undone)

    def _meeting(self, done: list[Made], undone: list[Made]) -> Iterator[tuple[Made, Made | None, list[float]]]:
        """Those that agree in the first scene, and then in all of them."""
        for made in (*done, *undone):
            if self._multiple(made) and (whole := self._everywhere(made)) and (ratios := self._multiple(whole)):
                yield whole, None, ratios
        if not done or not undone:
            return

        def row(made: Made) -> np.ndarray:
            return _unit(np.concatenate([np.ravel(x) for x in made.found]))

        a, b = np.stack([row(made) for made in done]), np.stack([row(made) for made in undone])
        near = np.argwhere(np.abs(a @ b.conj().T) > 1 - 1e-8)
        nearest = sorted((done[i].edit.weight + undone[j].edit.weight, i, j) for i, j in near)
        for _, i, j in nearest[:_MOST_PAIRS]:
            one, other = self._everywhere(done[i]), self._everywhere(undone[j])
            if one is not None and other is not None and (ratios := _ratios(other.found, one.found)) is not None:
                yield one, other, ratios

    def _multiple(self, made: Made) -> list[float] | None:
        """By what a claim is what comes of an edit, or what comes of it is the truth, times a number."""
        known = [s.goal if made.done else s.own for s in self.truth[: len(made.found)]]
        return _ratios(known, made.found) if made.done else _ratios(made.found, known)

    def _everywhere(self, made: Made) -> Made | None:
        """An edit in every scene."""
        stage = self.truth if made.done else self.claim
        return made if len(made.found) == len(stage) else _all(made.edit, stage, made.done)


def weight(made: Made) -> float:
    """How far-fetched an explanation is: what somebody wrote that is too much is the simplest."""
    if made.done:
        return made.edit.weight
    return made.edit.weight + (-0.25 if made.kinds[0] == "extra_factor" and made.edit.weight == 0 else 0.5)


def told(made: Made) -> str:
    """In words that follow the derivative."""
    place = f" ({made.edit.line})" if made.edit.line else ""
    return f"{'the true derivative if' if made.done else 'right once'} {made.edit.text}{place}"


def _tried(some: Iterable[Edit], stage: Sequence[Scene], done: bool) -> list[Made]:
    """What comes of edits in the first scene; in all, where a few numbers are the multiple of any others."""
    scenes = stage if stage[0].own.size < _FEW else stage[:1]
    return [made for edit in itertools.islice(some, _most(stage)) if (made := _all(edit, scenes, done)) is not None]


def _unit(x: np.ndarray) -> np.ndarray:
    flat = np.ravel(x)
    return flat / (np.linalg.norm(flat) or 1.0)


def _ratios(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[float] | None:
    """By what the first are the others times a number, in each scene."""
    ratios = []
    for x, y in zip(some, others, strict=True):
        under = float(np.real(np.vdot(y, y)))
        ratio = float(np.real(np.vdot(y, x))) / under if under and x.shape == y.shape else 0.0
        if not 1e-6 < abs(ratio) < 1e6 or left([(x, ratio * y)]) > LEFT:
            return None
        ratios.append(ratio)
    return ratios


def _most(stage: Sequence[Scene]) -> int:
    return min(_MOST_EDITS, _EFFORT // max(stage[0].program.cost, 1))


def _exact(all_: Iterable[Edit], stage: Sequence[Scene], done: bool) -> Iterator[Made]:
    for edit in itertools.islice(all_, _most(stage)):
        if (made := _all(edit, stage, done, True)) is not None:
            yield made


def _all(edit: Edit, stage: Sequence[Scene], done: bool, exact: bool = False) -> Made | None:
    found = []
    error = 0.0
    for s in stage:
        x = _made(edit, s)
        if x is None or x.shape != s.goal.shape or not np.all(np.isfinite(x)) or (np.any(s.goal) and not np.any(x)):
            return None
        error = max(error, left([(x, s.goal)]))
        if exact and error > LEFT:
            return None
        found.append(x)
    if all(left([(x, s.own)]) < LEFT for x, s in zip(found, stage, strict=True)):
        return None
    return Made(edit, done, found, error)


# what an operation says to operands that do not fit it
_UNFIT = (ComplexWarning, ValueError, TypeError, IndexError, NotImplementedError, np.linalg.LinAlgError)


def _each(*some: Iterator[Edit]) -> Iterator[Edit]:
    """The edits of all; where one of them tries what does not fit, the next goes on."""
    for edits_ in some:
        try:
            yield from edits_
        except _UNFIT:
            continue


def _turns(*some: Iterator[Edit]) -> Iterator[Edit]:
    """The edits of all, one of each in turn, so that a budget is spent on all of them."""
    open_ = [_each(edits_) for edits_ in some]
    while open_:
        for edits_ in list(open_):
            try:
                yield next(edits_)
            except StopIteration:
                open_.remove(edits_)


def _made(edit: Edit, s: Scene) -> np.ndarray | None:
    try:
        with warnings.catch_warnings(action="error", category=ComplexWarning):
            return edit.of(s)
    except _UNFIT:
        return None  # what does not fit its surroundings any more
