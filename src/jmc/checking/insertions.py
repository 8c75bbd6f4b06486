"""Changes of a derivative's program that bring something in: a number, a factor, a value in place of another."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jax.extend.core import primitives as p

from jmc.checking.hypotheses import LEFT, left
from jmc.checking.multiples import beside_a_number, by_sizes, linear
from jmc.checking.operations import ARITHMETIC, ELEMENTWISE, STRUCTURAL, SUMS
from jmc.checking.scene import Edit, Scene, Use, place, uses

_LINEAR = (p.mul_p, p.div_p, p.neg_p)
SLOPES = ("the slope", "1 − v²", "v(1 − v)")
"""What the names of slopes begin with."""

# name, the value in a scene, whether it depends on the cotangent, whether something is divided by it, where it is used
Value = tuple[str, Callable[[Scene], Any], bool, bool, tuple[str, str]]


def values(stage: Sequence[Scene], pool: Sequence[Value]) -> list[Value]:
    """The values of the scene's own program, and those of the pool that are none of them."""
    s = stage[0]
    found: list[Value] = []
    known: set[Any] = set()
    own = of_program(s, lambda s, n: s.values[n])
    for name, of, depends, divides, where in (*pool, *own):
        x = of(s)
        if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "fcb" or not x.size:
            continue
        if (x.size > 1 and np.all(x == np.ravel(x)[0])) or not np.all(np.isfinite(x)):
            continue
        if len(stage) > 1 and x.ndim == 0 and all(np.array_equal(of(other), x) for other in stage[1:]):
            continue  # a number
        key = (x.shape, np.asarray(x, complex).round(12).tobytes())
        if key not in known:
            known.add(key)
            found.append((name, of, depends, divides, where))
            if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not depends and np.all(np.abs(x) < 1):
                found.append((f"1 − v² with v {name}", lambda s, of=of: 1 - of(s) ** 2, False, False, where))
                if np.all(x > 0):
                    found.append((f"v(1 − v) with v {name}", lambda s, of=of: of(s) * (1 - of(s)), False, False, where))
    return found


def of_program(s: Scene, of: Callable[[Scene, int], Any]) -> list[Value]:
    """The values of a scene's program; ``of`` finds them in a scene."""
    after = s.cotangent_values
    users: dict[int, tuple[str, str]] = {}
    for e in s.program.equations:
        for i in e.ins:
            if e.eqn.primitive in STRUCTURAL and e.outs:
                continue
            users.setdefault(s.program.source(i), (e.line, e.name))
    below = {e.ins[1] for e in s.program.equations if e.eqn.primitive is p.div_p}
    below |= {e.ins[0] for e in s.program.equations if e.eqn.primitive is p.integer_pow_p and e.eqn.params["y"] < 0}
    return [
        (s.called(n), lambda s, n=n: of(s, n), n in after, n in below, users.get(n, ("", "")))
        for n in range(s.program.count)
        if s.values[n] is not None and n not in s.program.constants
    ]


def insertions(stage: Sequence[Scene], found: Sequence[Value]) -> Iterator[Edit]:
    """A factor put in, or a value in place of another: of the whole and of the cotangents first."""
    s = stage[0]
    outer = {s.wanted, *s.cotangents}
    for at in sorted(uses(s), key=lambda at: at.number not in outer):
        x, where, name = s.values[at.number], place(s, at), s.called(at.number)
        e = s.program.equations[at.equation] if at.equation >= 0 else None
        factors = e is None or e.eqn.primitive not in _LINEAR
        # what is summed with a number, or over an axis within a term, is told as part of that term
        beside = e is not None and (
            (e.eqn.primitive in SUMS and beside_a_number(s, at))
            or (e.eqn.primitive is p.reduce_sum_p and not s.whole(e.outs[0]))
        )
        inner = e is not None and len(e.ins) == 1 and e.eqn.primitive not in (*STRUCTURAL, *_LINEAR, p.reduce_sum_p)
        if s.flat(at):
            continue
        of_term = linear(s, at)
        for what, of, depends, divides, used in found:
            v = np.asarray(of(s))
            if depends:
                continue
            if v.shape == x.shape and v.dtype == x.dtype and at.number != s.wanted and not _turned(v, x):
                slopes = what.startswith(SLOPES) or name.startswith(SLOPES)
                point = not (inner or slopes) and _before_or_after(s, at.number, of(s))
                kinds = ("wrong_point", "wrong_term") if inner or slopes or point else ("wrong_term", "wrong_point")
                simple = 1 if inner else 1.25 if point else 1.75 if slopes and of_term else 4
                yield Edit(kinds, kinds, f"{name} is {what}", *where, _replaced(at, of), simple)
            if not factors or (fit := _beside(v, x.shape)) is None:
                continue
            mask = bool(np.all((v == 0) | (v == 1)))
            tail = ("region", "wrong_term") if mask else ("wrong_term",)
            more, less = ("missing_factor", *tail), ("extra_factor", *tail)
            if beside:
                more, less = ("wrong_term", "missing_factor"), ("wrong_term", "extra_factor")
            signs = v.dtype.kind == "f" and bool(np.any(v > 0) and np.any(v < 0))
            simple = 1 if at.number == s.wanted or at.number in s.cotangents else 1.5 if of_term else 4
            for power, size in itertools.product((1,) if mask else (1, -1), (False, True) if signs else (False,)):
                over = "one over " if power < 0 else ""
                text = f"{name} is multiplied by {over}{f'|{what}|' if size else what}"
                made = _multiplied(at, of, fit, power, size)
                # times what is divided by, a factor one over it is missing
                kinds = (more, less) if (power > 0) != divides else (less, more)
                plain = not what.startswith(SLOPES)
                yield Edit(*kinds, text, *(where if where[0] else used), made, simple + size / 2, plain)


def _before_or_after(s: Scene, number: int, v: Any) -> bool:
    """Whether a value is what a function of each entry makes of the other, as an activation of its input."""
    other = next((n for n, x in enumerate(s.values) if x is v), None)
    if other is None or number in s.cotangent_values:
        return False
    ways = [s.program.way(a, b) for a, b in ((number, other), (other, number))]
    whole = [{e.eqn.primitive for e in way} for way in ways]
    return any(used <= ELEMENTWISE and not used <= ARITHMETIC for used in whole)


def additions(stage: Sequence[Scene], found: Sequence[Value], most: int) -> Iterator[Edit]:
    """A value, times a number that fits, added to a term; what is last made is tried first, up to ``most`` times."""
    ones: Value = ("a constant", lambda _: np.ones(()), False, False, ("", ""))
    s, known, sums = stage[0], set[int](), []
    for at in reversed(uses(s)):
        e = s.program.equations[at.equation] if at.equation >= 0 else None
        # what is added to one of them is added to their sum
        if at.number not in known and (e is None or at.operand is None or e.eqn.primitive not in SUMS):
            known.add(at.number)
            sums.append(at)
    for at, (what, of, *_) in itertools.islice(itertools.product(sums, (ones, *found)), most):
        x, v, where, name = s.values[at.number], np.asarray(of(s)), place(s, at), s.called(at.number)
        if what == "a constant" or v.shape == x.shape:
            c: list[float] = []
            for other in stage:
                if (n := _added(at, of, other)) is None:
                    break
                c.append(n)
            if len(c) < len(stage):
                continue
            one = np.allclose(c, c[0], rtol=1e-4) or (what == "a constant" and by_sizes(stage, c))
            # one number for many entries says something, one for each entry does not
            if not c[0] or not (one or (what == "a constant" and min(np.size(x), s.goal.size) > 2)):
                continue
            which = {id(s): n for s, n in zip(stage, c, strict=True)}
            text = f"to {name} is added {'' if np.isclose(c[0], 1) else f'{c[0]:.4g} times '}{what}"

            def made(s: Scene, at: Use = at, of: Any = of, which: Any = which) -> Any:
                return s.again(s.used(at, s.values[at.number] + which[id(s)] * of(s)))

            usual = any(np.isclose(abs(c[0]), n) for n in (1, 2, 0.5))
            yield Edit(
                ("missing_term", "wrong_term"),
                ("wrong_term",),
                text,
                *where,
                made,
                (1 if what == "a constant" else 1.75) + (0 if usual else 0.2 if one and what == "a constant" else 2),
            )


def _added(at: Use, of: Any, s: Scene) -> float | None:
    x, v = s.values[at.number], np.asarray(of(s))
    if v.shape not in ((), x.shape) or not np.all(np.isfinite(v)):
        return None
    own = s.again(s.used(at, x + v)) - s.own
    if own.shape != s.goal.shape:
        return None
    under, wanted = float(np.real(np.vdot(own, own))), s.goal - s.own
    c = float(np.real(np.vdot(own, wanted))) / under if under and np.isfinite(under) else 0.0
    return c if c and left([(s.own + c * own, s.goal)]) < LEFT else None


def _turned(v: np.ndarray, x: np.ndarray) -> bool:
    """Whether a value is the other one, flipped or transposed, which is told as such."""
    axes = [a for n in range(x.ndim + 1) for a in itertools.combinations(range(x.ndim), n)]
    turned = [np.flip(x, a) for a in axes] + [np.transpose(x, o) for o in itertools.permutations(range(x.ndim))]
    return any(y.shape == v.shape and np.array_equal(v, y) for y in turned)


def _replaced(at: Use, of: Any) -> Callable[[Scene], Any]:
    def made(s: Scene) -> np.ndarray | None:
        v = np.asarray(of(s))
        return s.again(s.used(at, v)) if v.shape == np.shape(s.values[at.number]) else None

    return made


def _multiplied(at: Use, of: Any, fit: Any, power: int, size: bool) -> Callable[[Scene], Any]:
    def made(s: Scene) -> np.ndarray | None:
        x = s.values[at.number]
        v = fit(np.asarray(of(s)), np.ndim(x))
        v = np.abs(v) if size else v
        y = x * v if power > 0 else x / v
        return s.again(s.used(at, y)) if np.shape(y) == np.shape(x) else None

    return made


def _beside(v: np.ndarray, shape: tuple[int, ...]) -> Callable[[Any, int], Any] | None:
    """How a value stands beside one of this shape: along the last axes, or along the first."""
    if v.dtype.kind == "c" or v.ndim > len(shape):
        return None
    if all(a in (1, b) for a, b in zip(v.shape[::-1], shape[::-1], strict=False)):
        return lambda v, _: v
    if all(a in (1, b) for a, b in zip(v.shape, shape, strict=False)):
        return lambda v, n: np.reshape(v, v.shape + (1,) * (n - np.ndim(v)))
    return None
