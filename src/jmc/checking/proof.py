"""The proof of a rule: its closed form against every oracle, at random points of its domain and where it is hardest.

    proof = jmc.check(jmc.rules["softmax"])

At a few points, drawn from the rule's domain with other sizes each, the closed form (every output, every argument) must
agree with forward and reverse AD, with Ridders differences, and with a complex step where the primal is analytic; and
the products with it, J v and uᵀ J, must be those of its entries. An element-wise rule is also held, in its tails, to
its own program evaluated with 60 digits. Where automatic differentiation is the one that is wrong, the proof says so.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.record import Rule
from jmc.checking import exact
from jmc.checking.comparison import Comparison, compare, conditioning
from jmc.checking.hidden import hidden
from jmc.checking.oracles import QUICK, Estimate, complex_jacobian, double_precision, ridders
from jmc.linear.linear_map import LinearMap

POINTS = 3
EDGES = (0.0, 1e-3, -1e-3, 0.7, -0.7, 3.0, -3.0, 8.0, -8.0, 12.0, -12.0, 40.0, -40.0)
TAIL = 1e-12
"""What an element-wise derivative may be off, relative to itself, by its program's value with 60 digits."""


@dataclass
class Tally:
    """What one oracle said: comparisons, the largest error relative to the largest entry, and what disagreed."""

    oracle: str
    comparisons: int = 0
    largest: float = 0.0
    against: list[str] = field(default_factory=list)

    def count(self, where: str, comparison: Comparison) -> None:
        """Add a comparison."""
        self.comparisons += 1
        self.largest = max(self.largest, comparison.normwise)
        if not comparison.ok:
            self.against.append(f"{where}: {comparison}")


@dataclass
class Proof:
    """The outcome of ``check``; ``str()`` is a table.

    Attributes:
        rule: what was checked.
        tallies: per oracle.
        notes: where automatic differentiation is wrong, or what a kink's value lies between.
        structures: of the closed form, with the sizes of the last point.
        hidden: structure that the entries have and the closed form, being dense, does not show.
    """

    rule: Rule
    tallies: dict[str, Tally] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    structures: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return bool(self.tallies) and not self.failures

    @property
    def failures(self) -> list[str]:
        """What disagrees, by oracle."""
        return [f"{tally.oracle}: {line}" for tally in self.tallies.values() for line in tally.against]

    @property
    def oracles(self) -> list[str]:
        """The independent oracles that agree."""
        return [t.oracle for t in self.tallies.values() if t.oracle != PRODUCTS and not t.against]

    def tally(self, oracle: str) -> Tally:
        """The tally of this oracle."""
        return self.tallies.setdefault(oracle, Tally(oracle))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.rule.name,
            "ids": list(self.rule.ids),
            "ok": self.ok,
            "oracles": {
                t.oracle: {"comparisons": t.comparisons, "max_error": t.largest} for t in self.tallies.values()
            },
            "agreeing": self.oracles,
            "structure": self.structures,
            "hidden": self.hidden,
            "notes": self.notes,
            "failures": self.failures,
        }

    def __str__(self) -> str:
        head = f"{self.rule.name}: {'proved' if self.ok else 'NOT proved'}"
        rows = [
            f"  {t.oracle:22} {t.comparisons:3} comparisons, largest error {t.largest:.1e}"
            for t in self.tallies.values()
        ]
        rest = [f"  note: {note}" for note in [*self.notes, *self.hidden]] + [
            f"  against: {line}" for line in self.failures
        ]
        return "\n".join([head, *rows, *rest])


TRANSFORMATIONS = {"forward AD": jax.jacfwd, "reverse AD": jax.jacrev, "complex step": complex_jacobian}
CLOSED, PRODUCTS = "closed form", "J v and uᵀJ"


def check(rule: Rule, points: int = POINTS, seed: int = 0) -> Proof:
    """Hold a rule of the catalogue to every oracle.

    Args:
        rule: from ``jmc.rules``, or a user's own.
        points: how many points are drawn; every other one has sizes of its own.
        seed: what they depend on.

    Raises TypeError for anything that is not a rule, ValueError for less than one point.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"`rule` must be a rule of jmc.rules, but got {type(rule).__name__}")
    if points < 1:
        raise ValueError(f"`points` must be at least 1, but got {points}")
    proof = Proof(rule)
    with double_precision():
        for k in range(0, points, 2):
            sizes = rule.sizes(np.random.default_rng([seed, k]))
            drawn = [rule.sample(np.random.default_rng([seed, i]), sizes=sizes) for i in range(k, min(k + 2, points))]
            flat = _Flat(rule, drawn[0])
            maps = [J for row in jax.eval_shape(flat.maps, *drawn[0]) for J in row]
            proof.structures = [J.structure for J in maps]
            for i, args in enumerate(drawn, k):
                matrix = _at_point(proof, flat, args, f"point {i + 1}", seed)
                proof.hidden = flat.hidden(maps, matrix)
        if rule.derivative is not None:
            _in_tails(proof, rule)
            _at_kinks(proof, rule)
    return proof


def _at_point(proof: Proof, flat: "_Flat", args: Sequence[jax.Array], where: str, seed: int) -> np.ndarray:
    """Holds the closed form to the oracles there, and returns its entries."""
    found, spreads = map(flat.split, (flat.program(*args), conditioning(flat.program, args, seed=seed)))
    matrix, spread = found[CLOSED], spreads[CLOSED]
    differences = ridders(flat.primal, [flat.point(args), *args])
    for name, rows, columns in flat.blocks:
        place = f"{where}, {name}"
        block = np.s_[rows, columns]
        comparing = functools.partial(compare, matrix[block], spread=spread[block])
        proof.tally(differences.name).count(place, close := comparing(_part(differences, block)))
        for oracle in flat.transformations:
            comparison = comparing(entries := found[oracle][block])
            if not comparison.ok and close.ok:
                # an entry that is exactly 0 is the oracle's rounding there, which its own sensitivity tells
                comparison = comparing(entries, spread=np.maximum(spread, spreads[oracle])[block])
            if not comparison.ok and close.ok and not compare(entries, _part(differences, block)).ok:
                proof.notes.append(f"{oracle} is wrong at {place}: {comparison}")
            else:
                proof.tally(oracle).count(place, comparison)
    u, v = flat.directions()
    expected = np.concatenate([matrix @ v, u @ matrix])
    moved = np.concatenate([spread @ np.abs(v), np.abs(u) @ spread])
    proof.tally(PRODUCTS).count(where, compare(found[PRODUCTS], expected, moved))
    return matrix


def _part(estimate: Estimate, block: tuple[slice, slice]) -> Estimate:
    error = None if estimate.error is None else estimate.error[block]
    return Estimate(estimate.name, estimate.jacobian[block], error)


class _Flat:
    """A rule as one function of one vector: all outputs of all differentiated arguments, of these shapes."""

    def __init__(self, rule: Rule, args: Sequence[jax.Array]):
        self.rule = rule
        outs = jax.tree.leaves(jax.eval_shape(rule.f, *args))
        self.inputs = _ranges([np.shape(args[k]) for k in rule.argnums])
        self.outputs = _ranges([out.shape for out in outs])
        self.blocks = [
            (f"∂{f'f[{j}]' if len(outs) > 1 else 'f'}/∂{rule.parameters[k].name}", rows, columns)
            for j, rows in enumerate(self.outputs)
            for k, columns in zip(rule.argnums, self.inputs, strict=True)
        ]
        self.transformations = [name for name in TRANSFORMATIONS if rule.analytic or name != "complex step"]
        # each one object, so that another point of these shapes finds the program of the first
        self.primal = self._primal
        self.program = _quickly(self._program)

    def point(self, args: Sequence[jax.Array]) -> np.ndarray:
        """The differentiated arguments as one vector."""
        return np.concatenate([np.ravel(args[k]) for k in self.rule.argnums])

    def _primal(self, point: jax.Array, *args: jax.Array) -> jax.Array:
        """All outputs as one vector."""
        moved = list(args)
        for k, columns in zip(self.rule.argnums, self.inputs, strict=True):
            moved[k] = point[columns].reshape(args[k].shape)
        return _raveled(jax.tree.leaves(self.rule.f(*moved)))

    def maps(self, *args: jax.Array) -> list[list[LinearMap]]:
        """The closed form: per output, per argument."""
        columns = [J if isinstance(J := self.rule.map(k, *args), tuple) else (J,) for k in self.rule.argnums]
        return [list(row) for row in zip(*columns, strict=True)]

    def _program(self, *args: jax.Array) -> jax.Array:
        """The closed form, the transformed primal, J v and uᵀ J with the products that the rule has: one vector.

        One program, since compiling is most of what a proof costs.
        """
        maps = self.maps(*args)
        u, v = map(jnp.asarray, self.directions())
        vs = [v[columns].reshape(args[k].shape) for k, columns in zip(self.rule.argnums, self.inputs, strict=True)]
        us = [u[rows].reshape(row[0].out_shape) for rows, row in zip(self.outputs, maps, strict=True)]
        matrix = jnp.concatenate([jnp.concatenate([J.matrix() for J in row], axis=1) for row in maps])
        point = jnp.concatenate([jnp.ravel(args[k]) for k in self.rule.argnums])
        automatic = [TRANSFORMATIONS[name](self.primal)(point, *args) for name in self.transformations]
        forward = [_summed([J.mv(v) for J, v in zip(row, vs, strict=True)]) for row in maps]
        if len(us) == 1:
            value = self.rule.f(*args)
            backward = [self.rule.vjp(k, us[0], value, *args) for k in self.rule.argnums]
        else:
            backward = [_summed([J.vm(u) for J, u in zip(row, us, strict=True)]) for row in zip(*maps, strict=True)]
        return _raveled([matrix, *automatic, *forward, *backward])

    def split(self, found: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of what the program computes."""
        shape = self.outputs[-1].stop, self.inputs[-1].stop
        names = CLOSED, *self.transformations
        *matrices, products = np.split(np.asarray(found), math.prod(shape) * np.arange(1, 1 + len(names)))
        return {name: part.reshape(shape) for name, part in zip(names, matrices, strict=True)} | {PRODUCTS: products}

    def hidden(self, maps: Sequence[LinearMap], matrix: np.ndarray) -> list[str]:
        """Structure that dense maps do not show."""
        found = []
        for J, (name, rows, columns) in zip(maps, self.blocks, strict=True):
            if more := hidden(J, matrix[rows, columns].reshape(J.out_shape + J.in_shape)):
                found.append(f"{name} is stated as {J.structure}, but {more}")
        return found

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """A cotangent and a tangent, with entries of both signs and different sizes."""
        u, v = (np.cos(1 + np.arange(side[-1].stop)) for side in (self.outputs, self.inputs))
        return u, v


def _quickly(f: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(f, compiler_options=QUICK)


def _ranges(shapes: Sequence[tuple[int, ...]]) -> list[slice]:
    ends = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def _summed(arrays: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, arrays)


def _raveled(arrays: Sequence[jax.Array]) -> jax.Array:
    return jnp.concatenate([jnp.ravel(array) for array in arrays])


def _in_tails(proof: Proof, rule: Rule) -> None:
    """An element-wise derivative at the edge points, relative to its program's value with 60 digits."""
    assert rule.derivative is not None
    x, *rest = rule.sample(0)
    anywhere = rule.parameters[0].kind in (None, "wide")
    points = np.array([x for x in EDGES if x not in rule.kinks_at]) if anywhere else np.ravel(x)
    slopes = rule.derivative, jax.vmap(jax.grad(rule.f), (0, *(None for _ in rest)))
    stated, automatic = (np.asarray(slope(points, *rest), np.float64) for slope in map(_quickly, slopes))
    tally = proof.tally("mpmath")
    for x, closed, ad in zip(points, stated, automatic, strict=True):
        true = exact.slope(lambda x: rule.f(x, *rest), float(x))
        bound = TAIL * (1 + x * x / 100)  # an exponent of x²/2 is rounded
        comparison = compare(closed, true, normwise=bound, entrywise=bound)
        tally.count(f"x = {x:g}", comparison)
        if not compare(ad, true, normwise=1e-6, entrywise=1e-6).ok:
            proof.notes.append(f"automatic differentiation is wrong at x = {x:g}: {ad:.3g}, but it is {true:.3g}")


def _at_kinks(proof: Proof, rule: Rule) -> None:
    """The value at a kink lies between the slopes on its sides; where differences cannot tell one it may be any."""
    assert rule.derivative is not None
    _, *rest = rule.sample(0)
    for x in rule.kinks_at:
        sides = [ridders(rule.f, [np.array(x), *rest], side=side) for side in ("left", "right")]
        slopes, errors = zip(*((float(side.jacobian), float(side.error or 0)) for side in sides), strict=True)
        value = float(rule.derivative(jnp.asarray(x), *rest))
        nearest = np.clip(value, min(map(operator.sub, slopes, errors)), max(map(operator.add, slopes, errors)))
        comparison = compare(value, nearest, entrywise=1e-6, normwise=1e-6)
        proof.tally("one-sided differences").count(f"x = {x:g}", comparison)
        ad = float(_quickly(jax.grad(rule.f))(jnp.asarray(x), *rest))
        left, right = (f"{s:.3g}" if e < 1 else "∞" for s, e in zip(slopes, errors, strict=True))
        proof.notes.append(f"at the kink x = {x:g}, slopes {left} and {right}: {value:g} here, {ad:g} in JAX")
