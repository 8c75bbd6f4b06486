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
from jmc.checking.oracles import QUICK, complex_step, double_precision, ridders
from jmc.checking.primal import stripped
from jmc.checking.problem import Problem, replaced

DIRECTIONS = 3
AGREES = 1e-6


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
    """The oracles of one problem, each compiled once for each set of shapes."""

    def __init__(self, problem: Problem, seed: int):
        self.problem, self.seed = problem, seed
        self.moving = problem.moving
        self.value = jax.jit(problem.f, compiler_options=QUICK)
        self._pull = jax.jit(functools.partial(_pulled, problem.f, self.moving), compiler_options=QUICK)
        self._push = jax.jit(functools.partial(_pushed, problem.f, self.moving), compiler_options=QUICK)
        plain = stripped(problem.f)
        self._plain_pull = jax.jit(functools.partial(_pulled, plain, self.moving), compiler_options=QUICK)
        self._along = functools.partial(_along, problem)

    def values(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """f there, in float64."""
        with double_precision():
            return [np.asarray(out) for out in self.value(wide(leaves))]

    def at(self, leaves: Sequence[Any], us: Sequence[Any]) -> Truth:
        """The true cotangents of the moving leaves for the cotangents ``us`` of the value."""
        with double_precision(), np.errstate(all="ignore"):
            leaves, us = wide(leaves), wide(us)
            outs = [np.asarray(out) for out in self.value(leaves)]
            pulled = _arrays(self._pull(leaves, us))
            truth = Truth(pulled, self._spread(leaves, us, pulled), self._scales(leaves, us, outs), ["reverse AD"])
            if not all(np.all(np.isfinite(out)) for out in outs):
                truth.doubt = "the function is not finite there"
            elif not all(np.all(np.isfinite(t)) for t in pulled):
                truth.doubt = "its derivative by automatic differentiation is not finite there"
            else:
                self._confirm(truth, leaves, us)
            return truth

    def pulled(self, leaves: Sequence[Any], us: Sequence[Any]) -> list[np.ndarray]:
        """The cotangents by reverse AD alone."""
        with double_precision(), np.errstate(all="ignore"):
            return _arrays(self._pull(wide(leaves), wide(us)))

    def slopes(
        self, leaves: Sequence[Any], us: Sequence[Any], directions: Sequence[Sequence[Any]], side: Any = "central"
    ) -> tuple[np.ndarray, np.ndarray]:
        """The slopes of Σ u f along directions (per moving leaf an array each), and their errors, by differences."""
        with double_precision(), np.errstate(all="ignore"):
            stacked = [np.stack([v[k] for v in directions]) for k in range(len(self.moving))]
            found = ridders(self._along, [np.zeros(len(directions)), *_operands(leaves, us, stacked)], side=side)
        assert found.error is not None
        return found.jacobian, found.error

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
        elif np.all(np.abs(along(plain := _arrays(self._plain_pull(leaves, us))) - slopes) <= bound):
            truth.cotangents, truth.agreeing = plain, ["reverse AD of the primal alone", "Ridders differences"]
        else:
            truth.doubt = "automatic differentiation and differences disagree there"
            return
        forward = [
            sum(np.sum(u * t) for u, t in zip(us, _arrays(self._push_plain(leaves, v)), strict=True))
            for v in directions
        ]
        if np.all(np.abs(np.array(forward) - slopes) <= bound):
            truth.agreeing.append("forward AD")
        try:
            stacked = [np.stack([v[k] for v in directions]) for k in range(len(self.moving))]
            step = complex_step(self._along, [np.zeros(DIRECTIONS), *_operands(leaves, us, stacked)]).jacobian
        except (ValueError, TypeError):
            return
        if np.all(np.abs(step - slopes) <= bound):  # of a function that is not analytic it says something else
            truth.agreeing.append("complex step")

    def _kinked(self, leaves: Any, us: Any, directions: Any, where: np.ndarray) -> bool:
        """Whether the slopes on the two sides differ along every direction of these."""
        (left, left_error), (right, right_error) = (self.slopes(leaves, us, directions, s) for s in ("left", "right"))
        jump = np.abs(right - left)
        return bool(np.all((jump > 1e-4 * (np.abs(left) + np.abs(right)) + 4 * (left_error + right_error))[where]))

    def _push_plain(self, leaves: Any, vs: Any) -> Any:
        try:
            return self._push(leaves, vs)
        except TypeError:  # a custom_vjp has no forward mode
            self._push = jax.jit(
                functools.partial(_pushed, stripped(self.problem.f), self.moving), compiler_options=QUICK
            )
            return self._push(leaves, vs)

    def _spread(self, leaves: Any, us: Any, pulled: list[np.ndarray], patterns: int = 4) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        eps = np.finfo(np.float64).eps
        spread = [np.zeros(t.shape) for t in pulled]

        def nudged(x: np.ndarray) -> np.ndarray:
            return x * (1 + eps * rng.choice((-1.0, 1.0), x.shape)) if x.dtype.kind in "fc" else x

        for _ in range(patterns):
            moved = _arrays(self._pull([nudged(x) for x in leaves], [nudged(u) for u in us]))
            spread = [
                np.maximum(s, np.nan_to_num(np.abs(m - t), nan=0, posinf=0))
                for s, m, t in zip(spread, moved, pulled, strict=True)
            ]
        return [s / eps for s in spread]

    def _scales(self, leaves: Any, us: Any, outs: Any) -> list[float]:
        size = float(sum(np.sum(np.abs(u * out)) for u, out in zip(us, outs, strict=True)))
        found = []
        for k in self.moving:
            largest = float(np.max(np.abs(leaves[k]), initial=0))
            alone = len(outs) == 1 and outs[0].shape == np.shape(leaves[k]) and self._elementwise(leaves, k)
            found.append(
                np.abs(us[0] * outs[0]) / np.maximum(np.abs(leaves[k]), 1e-3) if alone else size / max(largest, 1e-3)
            )
        return found

    def _elementwise(self, leaves: Any, k: int) -> bool:
        """Whether each output depends on the entry at its own place alone: half of them moved, the others stay."""
        if len(self.moving) > 1 or np.iscomplexobj(leaves[k]):
            return False
        mask = np.arange(np.size(leaves[k])).reshape(np.shape(leaves[k])) % 2.0
        (moved,) = _arrays(self._push_plain(leaves, [mask]))
        return bool(np.all(moved[mask == 0] == 0))


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


def _pulled(f: Any, moving: Sequence[int], leaves: Any, us: Any) -> Any:
    _, pull = jax.vjp(lambda *moved: f(replaced(leaves, moving, moved)), *[leaves[k] for k in moving])
    return pull(list(us))


def _pushed(f: Any, moving: Sequence[int], leaves: Any, vs: Any) -> Any:
    return jax.jvp(lambda *moved: f(replaced(leaves, moving, moved)), [leaves[k] for k in moving], list(vs))[1]


def _operands(leaves: Any, us: Any, stacked: Any) -> list[np.ndarray]:
    return [*wide(leaves), *wide(us), *stacked]


def _along(problem: Problem, c: Any, *operands: Any) -> Any:
    """Σ u f where the moving leaves have gone c along the directions."""
    count, moving = len(problem.leaves), problem.moving
    leaves, us, stacked = operands[:count], operands[count : -len(moving)], operands[-len(moving) :]
    moved = [leaves[k] + jnp.tensordot(c, v, 1) for k, v in zip(moving, stacked, strict=True)]
    outs = problem.f(replaced(leaves, moving, moved))
    return sum(jnp.sum(u * out) for u, out in zip(us, outs, strict=True))


def _unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    v = rng.normal(size=shape)
    return v / max(1.0, float(np.linalg.norm(v)))


def _arrays(found: Any) -> list[np.ndarray]:
    return [np.asarray(array) for array in found]
