"""A program of a derivative at one observation, and what comes of it if some of its values are others."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.meanings import applied
from jmc.checking.operations import ELEMENTWISE, STRUCTURAL, SUMS
from jmc.checking.program import Equation, Program

_SPREAD = (p.broadcast_in_dim_p, p.reshape_p, p.squeeze_p, p.convert_element_type_p, p.copy_p)


@dataclass(frozen=True, eq=False)
class Scene:
    """The program of one derivative at one observation.

    Attributes:
        program, values: the program and all its values there.
        wanted: the number of the derivative in question.
        goal: what it would be if the explanation that is looked for is right.
        names: of the program's inputs.
        cotangents: the numbers of those inputs that are cotangents.
        project: what is done to the derivative before it is compared.
    """

    program: Program
    values: Sequence[Any]
    wanted: int
    goal: np.ndarray
    names: Sequence[str]
    cotangents: Sequence[int]
    project: Callable[[Any], np.ndarray] = np.asarray

    @property
    def own(self) -> np.ndarray:
        """The derivative as the program has it."""
        return self.project(self.values[self.wanted])

    def again(self, changed: Mapping[int, Any]) -> np.ndarray:
        """The derivative if these values are others."""
        return self.project(self.program.again(self.values, changed, self.wanted))

    def hooked(self, rules: "Rules") -> np.ndarray:
        """The derivative if some values are made by other rules."""
        now: dict[int, Any] = {}

        def get(number: int) -> Any:
            return now.get(number, self.values[number])

        with np.errstate(all="ignore"):
            for n in rules:
                if self.program.maker(n) is None:
                    now[n] = rules[n](get, None)
            for e in self.program.way(*rules, self.wanted, inclusive=True):
                ruled = [n for n in e.outs if n in rules]
                if len(ruled) < len(e.outs):
                    now.update(zip(e.outs, applied(e.eqn, [get(i) for i in e.ins]), strict=True))
                for n in ruled:
                    now[n] = np.broadcast_to(rules[n](get, e), e.eqn.outvars[e.outs.index(n)].aval.shape)
        return self.project(get(self.wanted))

    def used(self, at: "Use", x: Any) -> dict[int, Any]:
        """What changes if this operand is another array."""
        if at.operand is None:
            return {at.number: x}
        e = self.program.equations[at.equation]
        operands = [self.values[i] for i in e.ins]
        operands[at.operand] = x
        return dict(zip(e.outs, applied(e.eqn, operands), strict=True))

    def spread(
        self, sums: Mapping[int, Callable[[Any], Any]], shape: tuple[int, ...], axes: Any, wanted: int
    ) -> np.ndarray | None:
        """A value if some sums along axes of arrays of this shape are others, of its rank till repeated.

        ``sums`` has, by the number of its result, what a sum makes of what is summed. None where they go into anything
        but arithmetic entry by entry on the way.
        """
        short = tuple(1 if d in axes else n for d, n in enumerate(shape))
        now: dict[int, Any] = {}
        wide: set[int] = set()
        for e in self.program.way(*sums, wanted, inclusive=True):
            made, operands = e.outs[0], [now.get(i, self.values[i]) for i in e.ins]
            if made in sums:
                if any(i in wide for i in e.ins):
                    return None
                now[made] = sums[made](operands)
                wide.add(made)
                continue
            aval, own = e.eqn.outvars[0].aval, self.values[made]
            summed = e.eqn.primitive is p.reduce_sum_p
            if summed and np.all(np.abs(own) <= 1e-9 * np.sum(np.abs(self.values[e.ins[0]]))):
                now[made] = own  # what sums to nothing is in nobody's formula
                continue
            if not any(i in wide for i in e.ins):
                now.update(zip(e.outs, applied(e.eqn, operands), strict=True))
                continue
            of_one = e.eqn.primitive is p.reduce_sum_p and all(
                e.eqn.invars[0].aval.shape[d] == 1 for d in e.eqn.params["axes"]
            )
            if e.eqn.primitive in _SPREAD or of_one:
                (now[made],) = operands
            elif e.eqn.primitive in ELEMENTWISE:
                operands = [
                    y if i in wide or np.ndim(y) in (0, len(shape)) else np.reshape(y, short)
                    for i, y in zip(e.ins, operands, strict=True)
                ]
                (now[made],) = applied(e.eqn, operands)
            else:
                return None
            if aval.shape == shape:
                now[made] = np.broadcast_to(now[made], shape)
            else:
                wide.add(made)
        return None if wanted in wide else now.get(wanted, self.values[wanted])

    def affine(self, at: "Use") -> bool:
        """Whether the derivative depends on a value at a use, and is an affine function of it but for thresholds."""
        if at not in self._affine:
            x = self.values[at.number]
            found = [self.again(self.used(at, c * x)) for c in (0, 2, 3)]
            none, two, three = found
            size = max(float(np.max(np.abs(y), initial=0)) for y in (*found, self.own))
            near = [
                float(np.max(np.abs(y - none - c * (self.own - none)), initial=0)) for c, y in ((2, two), (3, three))
            ]
            moves = float(np.max(np.abs(self.own - none), initial=0)) > 1e-9 * size
            self._affine[at] = bool(np.isfinite(size) and moves and max(near) <= 1e-9 * size)
        return self._affine[at]

    def whole(self, number: int) -> bool:
        """Whether nothing is left of the derivative without this value: it is a factor of all of it."""
        return not np.any(self.again({number: np.zeros_like(self.values[number])}))

    def flat(self, at: "Use") -> bool:
        """Whether a little more or less of a value changes nothing: it matters by its sign or order alone."""
        return np.array_equal(self.again(self.used(at, self.values[at.number] * (1 + 1e-6))), self.own)

    @functools.cached_property
    def cotangent_values(self) -> set[int]:
        """The numbers of the values that depend on a cotangent."""
        return self.program.reached(self.cotangents)

    @functools.cached_property
    def _affine(self) -> dict[Any, bool]:
        return {}

    def called(self, number: int) -> str:
        """A value, in words."""
        if number not in self._called:
            self._called[number] = self._words(number)
        return self._called[number]

    def _words(self, number: int) -> str:
        if number in self.program.inputs:
            return f"`{self.names[self.program.inputs.index(number)]}`"
        e = self.program.maker(number)
        if e is None:
            return "a constant"
        if e.eqn.primitive in STRUCTURAL and e.ins:
            return self.called(e.ins[0])
        v = np.asarray(self.values[number])
        for function, made, slope in self._slopes.get(e.line, ()):
            if made != number and slope.shape == v.shape and np.allclose(slope, v, rtol=1e-6, atol=1e-8):
                return f"the slope of `{function}`"
        return f"the value of `{e.name}`"

    @functools.cached_property
    def _called(self) -> dict[int, str]:
        return {}

    @functools.cached_property
    def _slopes(self) -> dict[str, list[tuple[str, int, np.ndarray]]]:
        """By line, the element-wise functions of one array, what they make, and their slopes."""
        found: dict[str, list[tuple[str, int, np.ndarray]]] = {}
        for e in self.program.equations:
            if len(e.ins) != 1 or e.eqn.primitive not in ELEMENTWISE:
                continue
            x = np.asarray(self.values[e.ins[0]])
            if x.dtype.kind in "fc":
                h = 1e-6
                ahead, behind = (applied(e.eqn, [x + s])[0] for s in (h, -h))
                if np.asarray(ahead).dtype == x.dtype:
                    found.setdefault(e.line, []).append((e.name, e.outs[0], (ahead - behind) / (2 * h)))
        return found


Rule = Callable[[Callable[[int], Any], Any], Any]
"""A value from the values of other numbers and the equation that makes it."""
Rules = Mapping[int, Rule]


@dataclass(frozen=True)
class Use:
    """A value where one equation takes it, to make the value ``out``; without an operand, wherever it is taken."""

    number: int
    equation: int
    operand: int | None
    out: int = -1


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of a program.

    Attributes:
        undone: kinds of the mistake that it undoes where it makes a rule right, the likeliest first.
        done: kinds of the mistake that somebody makes who does this to the true derivative.
        text: what was done, in words.
        line: of the equation.
        operation: its name.
        made: the derivative after it, in a scene, None where it cannot be done; or the rules by which some values
            are made.
        weight: how far-fetched it is.
        put_in: whether it puts in a factor that is no slope.
        slot: the operand that it changes.
    """

    undone: tuple[str, ...]
    done: tuple[str, ...]
    text: str
    line: str
    operation: str
    made: Callable[[Scene], np.ndarray | None] | Rules
    weight: float = 0
    put_in: bool = False
    slot: int | None = None

    def of(self, s: Scene) -> np.ndarray | None:
        """The derivative after it."""
        return self.made(s) if callable(self.made) else s.hooked(self.made)


def on(at: Use, function: Callable[[Any], Any]) -> Rules:
    """The rule that applies a function to an operand."""

    def changed(x: Any) -> Any:
        found = function(x)
        if np.shape(found) != np.shape(x):
            raise ValueError(f"an operand of shape {np.shape(x)} cannot be one of shape {np.shape(found)}")
        return found

    def of_operand(get: Callable[[int], Any], e: Any) -> Any:
        operands = [changed(get(i)) if k == at.operand else get(i) for k, i in enumerate(e.ins)]
        return applied(e.eqn, operands)[0]

    def of_value(get: Callable[[int], Any], e: Any) -> Any:
        made = get(at.number) if e is None else applied(e.eqn, [get(i) for i in e.ins])[e.outs.index(at.number)]
        return changed(made)

    return {at.number: of_value} if at.operand is None else {at.out: of_operand}


def floating(x: Any) -> bool:
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fc" and x.size > 0


def live(scene: Scene) -> list[tuple[int, Equation]]:
    """The equations that the derivative in question is made by, with their places."""
    needed = scene.program.needed(scene.wanted)
    return [(n, e) for n, e in enumerate(scene.program.equations) if not needed.isdisjoint(e.outs)]


def uses(scene: Scene) -> list[Use]:
    """Where floating-point values are taken by what does arithmetic; and those that are taken more than once."""
    found = []
    often: dict[int, int] = {}
    for n, e in live(scene):
        for k, i in enumerate(e.ins):
            if not floating(scene.values[i]) or i in scene.program.constants:
                continue
            often[i] = often.get(i, 0) + 1
            if e.eqn.primitive not in STRUCTURAL:
                found.append(Use(i, n, k, e.outs[0]))
    found.append(Use(scene.wanted, -1, None))
    found += [Use(i, -1, None) for i, count in often.items() if count > 1]
    return found


def addends(scene: Scene) -> list[Use]:
    """Constants that are added to what the derivative is made by."""
    every = [
        (Use(i, n, k, e.outs[0]), e) for n, e in live(scene) if e.eqn.primitive in SUMS for k, i in enumerate(e.ins)
    ]
    return [at for at, _ in every if at.number in scene.program.constants and floating(scene.values[at.number])]


def place(scene: Scene, at: Use) -> tuple[str, str]:
    """The line and the name of the equation that uses a value, or else makes it."""
    e = scene.program.equations[at.equation] if at.equation >= 0 else scene.program.maker(at.number)
    return ("", "") if e is None else (e.line, e.name)
