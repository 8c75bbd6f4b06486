"""The true derivative at a point, in float64, by oracles that must agree: what a claim is held to.

Reverse AD gives every entry. Forward AD, differences with an error estimate, and a complex step where the function is
analytic, confirm it along random directions; and where a claim disagrees most, differences along those very entries
say who is right. In the tails of an element-wise function its own program with 60 digits decides.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.checking import exact
from jmc.checking.iteration import unfinished
from jmc.checking.oracles import differences, double_precision
from jmc.checking.primal import stripped
from jmc.checking.problem import Problem, replaced
from jmc.checking.program import Program

DIRECTIONS = 3
AGREES = 1e-6
_JUMP = 1e-3  # of the largest entry, by one unit in the last place
_FURTHER = 64
_IMAGINARY = 1j * 2.0**-100
_MOST_AT_ONCE = 2**18  # entries of the places along a direction that are evaluated at once


@dataclass
class Truth:
    """At one point, for one cotangent.

    Attributes:
        cotangents: per moving leaf.
        moved: per moving leaf how far entries move per relative change of all that goes in, as ``conditioning`` says.
        scale: per moving leaf what rounding of the value alone does to its derivative: Σ |u f| / |x|; of an
            element-wise function, entry by entry.
        agreeing: the oracles that agree.
        doubt: why it is no reference, or empty.
    """

    cotangents: list[np.ndarray]
    moved: list[np.ndarray]
    scale: list[Any]
    agreeing: list[str] = field(default_factory=list)
    doubt: str = ""


class Reference:
    """The oracles of one problem, each traced once for each set of shapes."""

    def __init__(self, problem: Problem, seed: int):
        self.problem, self.seed = problem, seed
        self.moving = problem.moving
        self._plain = stripped(problem.f)
        self._forward = problem.f
        self._programs: dict[Any, Program] = {}

    def program(self, name: str, f: Callable[..., Any], *args: Any, written_out: bool = False) -> Program:
        """``f`` at arguments of these shapes and types; ``name`` says which f it is."""
        key = (name, written_out, *((np.shape(x), np.asarray(x).dtype) for x in jax.tree.leaves(args)))
        if key not in self._programs:
            self._programs[key] = Program(f, *args, written_out=written_out)
        return self._programs[key]

    def values(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """f there, in float64."""
        leaves = wide(leaves)
        return self.program("value", self.problem.f, leaves)(leaves)

    def unfinished(self, points: Sequence[Sequence[Any]]) -> list[bool]:
        """At which points an iteration in f still moves that is at rest at the first."""
        points = list(map(wide, points))
        programs = [self.program("value", self.problem.f, leaves) for leaves in points]
        runs = [program.run(leaves) for program, leaves in zip(programs, points, strict=True)]
        alike = [k for k, program in enumerate(programs) if program.plan == programs[0].plan]
        found = dict(zip(alike, unfinished(programs[0], [runs[k] for k in alike]), strict=True))
        return [found.get(k, False) for k in range(len(points))]

    def at(self, leaves: Sequence[Any], us: Sequence[Any]) -> Truth:
        """The true cotangents of the moving leaves for the cotangents ``us`` of the value."""
        with np.errstate(all="ignore"):
            leaves, us = wide(leaves), wide(us)
            outs = self.values(leaves)
            pulled = self.pulled(leaves, us)
            truth = Truth(pulled, self._spread(leaves, us, pulled), self._scales(leaves, us, outs), ["reverse AD"])
            if not all(np.all(np.isfinite(out)) for out in outs):
                truth.doubt = "the function is not finite there"
            elif not all(np.all(np.isfinite(t)) for t in pulled):
                truth.doubt = "its derivative by automatic differentiation is not finite there"
            else:
                self._confirm(truth, leaves, us)
            return truth

    def pull_program(self, leaves: Sequence[Any], us: Sequence[Any], written_out: bool = False) -> Program:
        """The program of reverse AD, of (leaves, us): the cotangents, and the value after them."""
        pulled = functools.partial(_pulled, self.problem.f, self.moving, with_value=True)
        return self.program("pull and value", pulled, leaves, us, written_out=written_out)

    def pulled(self, leaves: Sequence[Any], us: Sequence[Any], plain: bool = False) -> list[np.ndarray]:
        """The cotangents by reverse AD alone; ``plain``: of the primal without the rules that it carries."""
        leaves, us = wide(leaves), wide(us)
        name, f = ("pull plain", self._plain) if plain else ("pull", self.problem.f)
        return list(self.program(name, functools.partial(_pulled, f, self.moving), leaves, us)(leaves, us))

    def slopes(
        self,
        leaves: Sequence[Any],
        us: Sequence[Any],
        directions: Sequence[Sequence[Any]],
        side: Any = "central",
        step: float = 0.25,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The slopes of Σ u f along directions (per moving leaf an array each), and their errors, by differences."""
        leaves, us = wide(leaves), wide(us)

        def evaluated(steps: np.ndarray) -> np.ndarray:
            """Each row of steps along one direction."""
            rows = [self._along(leaves, us, v, row) for v, row in zip(directions, steps, strict=True)]
            return np.stack(rows)[..., None]

        with np.errstate(all="ignore"):
            slopes, errors = differences(evaluated, np.zeros(len(directions)), side, step)
        return slopes[0], errors[0]

    def _along(self, leaves: Any, us: Any, v: Any, steps: np.ndarray) -> np.ndarray:
        """Σ u f where the moving leaves have gone these steps along v."""
        moved = [np.asarray(leaves[k]) + np.multiply.outer(steps, a) for k, a in zip(self.moving, v, strict=True)]
        apart = sum(x.size for x in moved) > _MOST_AT_ONCE

        def many(leaves: Any, us: Any, moved: Any) -> Any:
            return jax.vmap(lambda *moved: _weighed(self.problem.f(replaced(leaves, self.moving, moved)), us))(*moved)

        def one(leaves: Any, us: Any) -> Any:
            return _weighed(self.problem.f(leaves), us)

        if not apart:
            return self.program("along", many, leaves, us, moved)(leaves, us, moved)
        places = [replaced(leaves, self.moving, [x[n] for x in moved]) for n in range(len(steps))]
        return np.stack([self.program("one", one, leaves, us)(at, us) for at in places])

    def basis(self, leaves: Sequence[Any], leaf: int, index: Any) -> list[np.ndarray]:
        """The direction of one entry of one moving leaf."""
        zeros = [np.zeros(np.shape(leaves[k])) for k in self.moving]
        zeros[leaf][index] = 1
        return zeros

    def _confirm(self, truth: Truth, leaves: Sequence[Any], us: Sequence[Any]) -> None:
        rng = np.random.default_rng(self.seed)
        shapes = [np.shape(leaves[k]) for k in self.moving]
        complex_ = any(np.iscomplexobj(leaves[k]) for k in self.moving)
        if complex_ or not sum(map(np.size, truth.cotangents)):
            return
        directions = [[_unit(rng, shape) for shape in shapes] for _ in range(DIRECTIONS)]
        slopes, errors = self.slopes(leaves, us, directions)
        size = np.array(
            [sum(np.sum(np.abs(t * d)) for t, d in zip(truth.cotangents, v, strict=True)) for v in directions]
        )
        bound = errors + AGREES * size + 1e-12 * max(float(np.max(s, initial=0)) for s in truth.scale)

        def along(cotangents: Sequence[np.ndarray]) -> np.ndarray:
            return np.array([sum(np.sum(t * d) for t, d in zip(cotangents, v, strict=True)) for v in directions])

        if np.all(np.abs(along(truth.cotangents) - slopes) <= bound):
            truth.agreeing.append("Ridders differences")
        elif self._kinked(leaves, us, directions, np.abs(along(truth.cotangents) - slopes) > bound):
            return  # a value between the slopes on the sides is a convention, which is looked at entry by entry
        elif np.all(np.abs(along(plain := self.pulled(leaves, us, plain=True)) - slopes) <= bound):
            truth.cotangents, truth.agreeing = plain, ["reverse AD of the primal alone", "Ridders differences"]
        else:
            truth.doubt = "automatic differentiation and differences disagree there"
            return
        forward = [sum(np.sum(u * t) for u, t in zip(us, self._pushed(leaves, v), strict=True)) for v in directions]
        if np.all(np.abs(np.array(forward) - slopes) <= bound):
            truth.agreeing.append("forward AD")
        try:
            step = np.array([np.imag(self._along(leaves, us, v, np.array([_IMAGINARY])))[0] for v in directions])
        except (ValueError, TypeError, NotImplementedError, np.exceptions.ComplexWarning):
            return
        step /= _IMAGINARY.imag
        if np.all(np.abs(step - slopes) <= bound):  # of a function that is not analytic it says something else
            truth.agreeing.append("complex step")

    def _kinked(self, leaves: Any, us: Any, directions: Any, where: np.ndarray) -> bool:
        """Whether the slopes on the two sides differ along every direction of these."""
        (left, left_error), (right, right_error) = (self.slopes(leaves, us, directions, s) for s in ("left", "right"))
        jump = np.abs(right - left)
        return bool(np.all((jump > 1e-4 * (np.abs(left) + np.abs(right)) + 4 * (left_error + right_error))[where]))

    def pushed(self, leaves: Sequence[Any], k: int, v: Any) -> np.ndarray:
        """The tangent of the value along v in moving leaf k alone."""
        along = [v if n == k else np.zeros(np.shape(leaves[m])) for n, m in enumerate(self.moving)]
        return self._pushed(leaves, along)[0]

    def _pushed(self, leaves: Any, vs: Any) -> list[np.ndarray]:
        try:
            return self.program("push", functools.partial(_pushed, self._forward, self.moving), leaves, vs)(leaves, vs)
        except TypeError:  # a custom_vjp has no forward mode
            self._forward = self._plain
            return self.program("push", functools.partial(_pushed, self._plain, self.moving), leaves, vs)(leaves, vs)

    def _spread(self, leaves: Any, us: Any, pulled: list[np.ndarray], patterns: int = 4) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        eps = np.finfo(np.float64).eps

        def changes(size: float) -> list[np.ndarray]:
            """How far the cotangents move at most, if all numbers do by so much of themselves."""

            def nudged(x: np.ndarray) -> np.ndarray:
                return x * (1 + size * rng.choice((-1.0, 1.0), x.shape)) if x.dtype.kind in "fc" else x

            found = [np.zeros(t.shape) for t in pulled]
            for _ in range(patterns):
                moved = self.pulled([nudged(x) for x in leaves], [nudged(u) for u in us])
                for k, (m, t) in enumerate(zip(moved, pulled, strict=True)):
                    found[k] = np.maximum(found[k], np.nan_to_num(np.abs(m - t), nan=0, posinf=0))
            return found

        spread = changes(eps)
        large = [_JUMP * np.max(np.abs(np.nan_to_num(t)), initial=0) for t in pulled]
        if any(np.any(s > limit) for s, limit in zip(spread, large, strict=True)):
            # at a tie the truth jumps as far for a larger step: that is no matter of rounding
            further = zip(spread, large, changes(_FURTHER * eps), strict=True)
            spread = [np.where((s > limit) & (more < 2 * s), 0, s) for s, limit, more in further]
        return [s / eps for s in spread]

    def _scales(self, leaves: Any, us: Any, outs: Any) -> list[float]:
        size = float(sum(np.sum(np.abs(u * out)) for u, out in zip(us, outs, strict=True)))
        found = []
        for k, leaf in enumerate(self.moving):
            x = np.abs(leaves[leaf])
            alone = len(self.moving) == 1 and self.elementwise(leaves, outs, k)
            found.append(
                np.abs(us[0] * outs[0]) / np.maximum(x, 1e-3) if alone else size / max(np.max(x, initial=0), 1e-3)
            )
        return found

    def elementwise(self, leaves: Sequence[Any], outs: Sequence[Any], k: int) -> bool:
        """Whether each entry of moving leaf k moves the output at its own place alone: half of them move half of it."""
        x = leaves[self.moving[k]]
        if len(outs) != 1 or np.shape(outs[0]) != np.shape(x) or np.iscomplexobj(x):
            return False
        # at random: halves with a symmetry, such as every second entry, stay where a transposition moves them
        mask = np.random.default_rng(0).permutation(np.arange(np.size(x)) % 2.0).reshape(np.shape(x))
        return bool(np.all(self.pushed(leaves, k, mask)[mask == 0] == 0))


def slope_exactly(f: Callable[..., Any], leaves: Sequence[Any], k: int, index: Any) -> float | None:
    """∂f/∂x at one entry of an element-wise f of one array, with 60 digits; None if f is not one."""
    x = np.asarray(leaves[k])
    others = [leaf for i, leaf in enumerate(leaves) if i != k]
    if any(np.shape(leaf) != () for leaf in others):
        return None
    try:
        with double_precision():
            if jax.eval_shape(f, list(leaves))[0].shape != x.shape or len(jax.eval_shape(f, list(leaves))) > 1:
                return None
            return exact.slope(lambda x: f(replaced(leaves, [k], [x]))[0], float(x[index]))
    except Exception:  # it is no function of one number, or has operations without a meaning with digits
        return None


def wide(arrays: Sequence[Any]) -> list[np.ndarray]:
    """In double precision."""
    found = []
    for array in arrays:
        x = np.asarray(array)
        kind = np.complex128 if jnp.issubdtype(x.dtype, jnp.complexfloating) else np.float64
        found.append(x.astype(kind) if jnp.issubdtype(x.dtype, jnp.inexact) else x)
    return found


def _pulled(f: Any, moving: Sequence[int], leaves: Any, us: Any, with_value: bool = False) -> Any:
    outs, pull = jax.vjp(lambda *moved: f(replaced(leaves, moving, moved)), *[leaves[k] for k in moving])
    return [*pull(list(us)), *outs] if with_value else pull(list(us))


def _pushed(f: Any, moving: Sequence[int], leaves: Any, vs: Any) -> Any:
    return jax.jvp(lambda *moved: f(replaced(leaves, moving, moved)), [leaves[k] for k in moving], list(vs))[1]


def _weighed(outs: Any, us: Any) -> Any:
    return sum(jnp.sum(u * out) for u, out in zip(us, outs, strict=True))


def _unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    v = rng.normal(size=shape)
    return v / max(1.0, float(np.linalg.norm(v)))
