"""What a rule says at each point, next to the truth, and whether they agree.

A rule is asked twice: in the precision of the user's arguments, outside of any setting of jmc's, and, if it can be, in
float64. The second decides whether the formula is right, the first whether it survives its own rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.checking.oracles import QUICK, double_precision
from jmc.checking.points import TRIES, Point, edges, other_shapes, redrawn
from jmc.checking.problem import BadClaim, Problem
from jmc.checking.program import Program
from jmc.checking.truth import Reference, Truth, wide

CLEAN = ("given", "generic", "sizes")


@dataclass(eq=False)
class Observation:
    """One point and one cotangent (of a ``jvp``, tangent).

    Attributes:
        point: where.
        us: the cotangents that the rule was asked with, in float64.
        leaves: the arguments, in float64.
        claimed: per moving leaf what the rule says in float64, or else in its own precision.
        own: the same in its own precision.
        truth: what is true.
        off: per moving leaf where the claim is off: a boolean array, or all of it where the shape is wrong.
        rough: the same in its own precision.
    """

    point: Point
    us: list[np.ndarray]
    leaves: list[np.ndarray]
    claimed: list[np.ndarray | None]
    own: list[np.ndarray | None]
    truth: Truth
    off: list[np.ndarray] = field(default_factory=list)
    rough: list[np.ndarray] = field(default_factory=list)

    @property
    def wrong(self) -> list[int]:
        """Which leaves disagree."""
        return [k for k, off in enumerate(self.off) if np.any(off)]


class Observer:
    """Asks a rule and the oracles."""

    def __init__(self, problem: Problem, given: Sequence[Any], seed: int):
        self.problem, self.seed = problem, seed
        self.given = [x if isinstance(x, np.ndarray) else jax.ShapeDtypeStruct(x.shape, x.dtype) for x in given]
        self.exact_args = all(isinstance(x, np.ndarray) for x in self.given)
        self.reference = Reference(problem, seed)
        self.precise = all(x.dtype in (np.float64, np.complex128) for x in (self.given[k] for k in problem.moving))
        self.complaints: list[str] = []  # what the rule raised or did not return
        self.skipped: list[str] = []
        self._compiled: dict[Any, Any] = {}
        self._traced: dict[Any, Program | None] = {}

    def observations(self) -> Iterator[Observation]:
        """At the given point twice, at a generic one, at another size, and at the edges."""
        arrays = [x for x in self.given if isinstance(x, np.ndarray)]
        shapes = [x.shape for x in self.given]
        base = Point("given", arrays) if self.exact_args else self._drawn("generic", shapes)
        if base is None:
            self.skipped.append("no point was found at which the function and its derivative are finite")
            return
        count = 1 if self.problem.mode == "grad" else 2
        for k in range(count):
            yield from self._at(base, k)
        shapes = [tuple(x.shape) for x in base.leaves]
        generic = self._drawn("generic", shapes, 1)
        if generic is not None:
            yield from self._at(generic, 2)
        if (others := self._other_shapes(base)) is not None and (moved := self._drawn("sizes", others, 2)) is not None:
            yield from self._at(moved, 3)
        for edge in edges((generic or base).leaves, self.given, self.problem.moving, self.seed):
            yield from self._at(edge, 4)

    def _other_shapes(self, base: Point) -> list[tuple[int, ...]] | None:
        with double_precision():
            return other_shapes(self.problem.f, wide(base.leaves))

    def _drawn(self, kind: str, shapes: Sequence[tuple[int, ...]], salt: int = 0) -> Point | None:
        for attempt in range(TRIES):
            leaves = redrawn(self.given, shapes, self.problem.moving, self.seed + salt, attempt)
            if leaves is None:
                return None
            with np.errstate(all="ignore"):
                try:
                    outs = self.reference.values(leaves)
                except Exception:  # the user's function may refuse these numbers
                    continue
            if all(np.all(np.isfinite(out)) for out in outs):
                return Point(kind, leaves)
        return None

    def _at(self, point: Point, salt: int) -> Iterator[Observation]:
        leaves = wide(point.leaves)
        outs = self.reference.values(point.leaves)
        rng = np.random.default_rng([self.seed, salt])
        us = [np.ones_like(out) if self.problem.mode == "grad" else _normal(rng, out) for out in outs]
        truth = self.reference.at(point.leaves, us)
        if truth.doubt:
            self.skipped.append(f"{point.kind}: {truth.doubt}")
            return
        before = len(self.complaints)
        own = self._asked(point.leaves, us, False, self.problem.claim)
        claimed = self._asked(leaves, us, True, self.problem.claim)
        if point.kind == "sizes" and len(self.complaints) > before:
            self.skipped += [f"other sizes, which the rule does not take: {text}" for text in self.complaints[before:]]
            del self.complaints[before:]
            return
        if own is None and claimed is None:
            return
        found = Observation(point, us, leaves, claimed or own or [], own or claimed or [], truth)
        self._judge(found, by_own=claimed is None)
        yield found

    def _asked(
        self, leaves: Sequence[Any], us: Sequence[Any], wide_: bool, rule: Any
    ) -> list[np.ndarray | None] | None:
        """What the rule says, in float64 or as it stands, compiled if it can be; None if it cannot say."""
        try:
            if wide_:
                with double_precision():
                    return self._run(leaves, us, True, rule)
            dtype = np.result_type(*[leaves[k].dtype for k in self.problem.moving])
            return self._run(leaves, [_like(u, dtype) for u in us], False, rule)
        except BadClaim as error:
            self._complain(str(error))
        except Exception as error:  # the user's code, which may raise anything
            if not wide_:
                first = str(error).splitlines()[0] if str(error) else ""
                self._complain(f"the rule raised {type(error).__name__}: {first}")
        return None

    def _run(self, leaves: Any, us: Any, wide_: bool, rule: Any) -> list[np.ndarray | None]:
        if wide_ and (program := self.claim_program(leaves, us, rule)) is not None:
            return _numpy(program(list(leaves), list(us)))
        arrays = [jnp.asarray(x) for x in leaves], [jnp.asarray(u) for u in us]
        compiled = self._compiled.setdefault((rule, wide_), jax.jit(rule, compiler_options=QUICK))
        with np.errstate(all="ignore"):
            if compiled is not None:
                try:
                    return _numpy(compiled(*arrays))
                except BadClaim:
                    raise
                except Exception:  # NumPy inside, or branches on values: it runs as it is
                    self._compiled[rule, wide_] = None
            return _numpy(rule(*arrays))

    def claim_program(self, leaves: Any, us: Any, rule: Any = None, written_out: bool = False) -> Program | None:
        """The rule's program in float64; None where it cannot be traced: NumPy inside, or branches on values."""
        rule = rule or self.problem.claim
        key = (rule, written_out, *((x.shape, x.dtype) for x in (*leaves, *us)))
        if key not in self._traced:
            try:
                self._traced[key] = Program(rule, list(leaves), list(us), written_out=written_out)
            except BadClaim:
                raise
            except Exception:
                self._traced[key] = None
        return self._traced[key]

    def ask(self, o: Observation, us: Sequence[Any]) -> list[np.ndarray | None] | None:
        """The rule at an observation's point, for other cotangents (a jvp itself, for tangents)."""
        wide_ = o.claimed is not o.own
        rule = self.problem.tangents or self.problem.claim
        return self._asked(o.leaves if wide_ else o.point.leaves, us, wide_, rule)

    def _complain(self, text: str) -> None:
        if text not in self.complaints:
            self.complaints.append(text)

    def _judge(self, seen: Observation, by_own: bool) -> None:
        eps = [_eps(x) for x in (self.given[k] for k in self.problem.moving)]
        worst = max(eps)
        for k, (c, o, t) in enumerate(zip(seen.claimed, seen.own, seen.truth.cotangents, strict=False)):
            moved, scale = seen.truth.moved[k], seen.truth.scale[k]
            fine = 1e-9 if self.precise else 3e-6
            rounding = max(np.finfo(np.float64).eps, 0 if self.precise else 2e-11)
            seen.off.append(
                _off(c, t, moved, scale, worst if by_own else rounding, 1e-3 if by_own else 30 * fine, fine)
            )
            seen.rough.append(_off(o, t, moved, scale, worst, 1e-3 + 30 * worst, 500 * worst))


def _off(
    c: Any, t: np.ndarray, moved: np.ndarray, scale: Any, eps: float, relative: float, normwise: float
) -> np.ndarray:
    """Where a claim is off by more than its rounding."""
    if c is None:
        return np.zeros(t.shape, bool)
    if c.shape != t.shape:
        return np.ones(t.shape or (1,), bool)
    if t.size == 0:
        return np.zeros(t.shape, bool)
    with np.errstate(all="ignore"):
        error = np.abs(c - t)
        error = np.where(np.isfinite(c), error, np.inf)
        norm = float(np.max(np.abs(t)))
        floor = 64 * eps * (moved + scale)
        large = error > normwise * norm + 64 * eps * (np.max(moved) + np.max(scale))
        return np.array((error > relative * np.abs(t) + floor) & (large | (error > 1e-3 * np.abs(t) + 16 * floor)))


def _eps(x: Any) -> float:
    dtype = jnp.asarray(np.zeros((), x.dtype)).dtype  # as JAX is set up, float64 may be float32
    return float(jnp.finfo(dtype).eps)


def _like(u: Any, dtype: Any) -> np.ndarray:
    """In the precision of this type, and complex if it is."""
    return np.asarray(u).astype(
        np.result_type(dtype, np.complex64) if np.iscomplexobj(u) else np.zeros(0, dtype).real.dtype
    )


def _normal(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    u = rng.normal(size=like.shape)
    u = np.sign(u) * (0.3 + np.abs(u))
    return u + 1j * rng.normal(size=like.shape) if np.iscomplexobj(like) else u


def _numpy(arrays: Any) -> list[np.ndarray | None]:
    found: list[np.ndarray | None] = []
    for array in arrays:
        if array is None:
            found.append(None)
            continue
        x = np.asarray(array)
        complex_ = jnp.issubdtype(x.dtype, jnp.complexfloating)
        found.append(x.astype(np.complex128 if complex_ else np.float64))
    return found
