"""A traced function as a flat list of equations, evaluated in NumPy; and again with some of its values changed."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import Literal
from jax.extend.core import primitives as p

from jmc.checking.meanings import MOST_UNKNOWNS, applied, array, known
from jmc.checking.operations import STRUCTURAL
from jmc.checking.oracles import double_precision
from jmc.checking.primal import nested
from jmc.differentiate.links import scan_parts


@dataclass(frozen=True, eq=False)
class Equation:
    """An equation and the numbers of the values that it takes and makes."""

    eqn: Any
    ins: tuple[int, ...]
    outs: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.eqn.primitive.name

    @functools.cached_property
    def place(self) -> tuple[str, str, str]:
        """Where it is written, to the column, of which derivative of that it is a part, and its name."""
        info = self.eqn.source_info
        return (source_info_util.summarize(info) or "", str(info.name_stack), self.name)

    @functools.cached_property
    def line(self) -> str:
        """``file.py:12``, or nothing."""
        return short(self.place[0])


_BOUND = 40  # what JAX is asked for costs more
_WRITTEN_OUT = 400  # equations that a loop may have in all its steps
_SHORT = 64  # entries of constants that are told from each other


class Program:
    """``f`` at arrays of these shapes and types, traced in double precision, with all that it calls once in place.

    ``written_out``: with every step of its short loops, too.
    """

    def __init__(self, f: Callable[..., Any], *args: Any, written_out: bool = False):
        self.written_out = written_out
        with double_precision():
            closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        self.tree = jax.tree.structure(shape)
        self.equations: list[Equation] = []
        self.constants: dict[int, Any] = {}
        self.count = 0
        self._known: dict[Any, tuple[int, ...]] = {}  # what is computed twice is one value
        self._same: dict[int, Any] = {}  # constants by what they are
        self._stacks: dict[int, list[int]] = {}  # arrays of which each entry is a step's
        self.inputs = [self._new() for _ in closed.jaxpr.invars]
        consts = [self._constant(c) for c in closed.consts]
        self.outputs = self._flattened(closed.jaxpr, consts, self.inputs)
        self.equations = self._live()
        self._made_at = {n: k for k, e in enumerate(self.equations) for n in e.outs}
        self._used_at: dict[int, list[int]] = {}
        for k, e in enumerate(self.equations):
            for i in {*e.ins}:
                self._used_at.setdefault(i, []).append(k)
        self._ways: dict[Any, list[Equation]] = {}
        self._needed: dict[int, set[int]] = {}

    def _new(self) -> int:
        self.count += 1
        return self.count - 1

    def _constant(self, x: Any) -> int:
        n = self._new()
        x = self.constants[n] = array(x)
        if isinstance(x, np.ndarray) and x.size < _SHORT:
            self._same[n] = (x.shape, x.dtype, x.tobytes())
        return n

    def _flattened(self, jaxpr: Any, consts: Sequence[int], args: Sequence[int]) -> list[int]:
        known: dict[Any, int] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

        def read(atom: Any) -> int:
            return self._constant(atom.val) if isinstance(atom, Literal) else known[atom]

        for eqn in jaxpr.eqns:
            operands = [read(atom) for atom in eqn.invars]
            if (inner := nested(eqn)) is not None:
                outs = self._flattened(inner[0], [self._constant(c) for c in inner[1]], operands)
            elif self.written_out and _short(eqn):
                outs = self._steps(eqn, operands)
            else:
                operands = _used(eqn, operands)
                key = _key(eqn, [self._same.get(i, i) for i in operands])
                outs = self._known.get(key) or tuple(self._new() for _ in eqn.outvars)
                if key is None or key not in self._known:
                    self.equations.append(Equation(eqn, tuple(operands), outs))
                    if key is not None:
                        self._known[key] = outs
            known.update(zip(eqn.outvars, outs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _steps(self, eqn: Any, operands: list[int]) -> list[int]:
        """A loop with each of its steps in place."""
        params, body = eqn.params, eqn.params["jaxpr"]
        fixed, carries, _ = scan_parts(eqn)
        carried = fixed + carries
        carry, consts = operands[fixed:carried], [self._constant(c) for c in body.consts]
        columns = [self._entries(n, v.aval, eqn) for n, v in zip(operands[carried:], eqn.invars[carried:], strict=True)]
        rows: list[list[int]] = [[] for _ in range(params["length"])]
        for t in reversed(range(len(rows))) if params["reverse"] else range(len(rows)):
            now = [*operands[:fixed], *carry, *(column[t] for column in columns)]
            outs = self._flattened(body.jaxpr, consts, now)
            carry, rows[t] = outs[: len(carry)], outs[len(carry) :]
        made = [list(column) for column in zip(*rows, strict=True)]
        avals = [v.aval for v in eqn.outvars[len(carry) :]]
        return [*carry, *(self._stacked(column, aval, eqn) for column, aval in zip(made, avals, strict=True))]

    def _entries(self, number: int, aval: Any, eqn: Any) -> list[int]:
        """The entries of an array along its first axis."""
        if number not in self._stacks:
            like = jax.ShapeDtypeStruct(aval.shape, aval.dtype)
            self._stacks[number] = self._inlined(lambda x: [x[t] for t in range(aval.shape[0])], eqn, [number], like)
        return self._stacks[number]

    def _stacked(self, numbers: list[int], aval: Any, eqn: Any) -> int:
        likes = [jax.ShapeDtypeStruct(aval.shape[1:], aval.dtype)] * len(numbers)
        (made,) = self._inlined(lambda *x: jnp.stack(x), eqn, numbers, *likes)
        self._stacks[made] = numbers
        return made

    def _inlined(self, f: Callable[..., Any], of: Any, operands: list[int], *likes: Any) -> list[int]:
        """What moves entries about for an equation, as written where that is."""
        with double_precision():
            closed = jax.make_jaxpr(f)(*likes)
        jaxpr = closed.jaxpr.replace(eqns=[e.replace(source_info=of.source_info) for e in closed.jaxpr.eqns])
        return self._flattened(jaxpr, [self._constant(c) for c in closed.consts], operands)

    def _live(self) -> list[Equation]:
        needed = set(self.outputs)
        kept = []
        for e in reversed(self.equations):
            if not needed.isdisjoint(e.outs):
                kept.append(e)
                needed.update(e.ins)
        return kept[::-1]

    def __call__(self, *args: Any) -> Any:
        """The value of ``f``, in NumPy arrays."""
        values = self.run(*args)
        return jax.tree.unflatten(self.tree, [array(values[n]) for n in self.outputs])

    def run(self, *args: Any) -> list[Any]:
        """Every value on the way, by number."""
        values: list[Any] = [None] * self.count
        for n, constant in self.constants.items():
            values[n] = constant
        for n, x in zip(self.inputs, jax.tree.leaves(args), strict=True):
            values[n] = array(x)
        with np.errstate(all="ignore"):
            for e in self.equations:
                for n, x in zip(e.outs, applied(e.eqn, [values[i] for i in e.ins]), strict=True):
                    values[n] = x
        return values

    @functools.cached_property
    def loops(self) -> bool:
        """Whether it has loops that could be written out."""
        return any(_short(e.eqn) for e in self.equations)

    @functools.cached_property
    def plan(self) -> list[Any]:
        """What is done to which values: the same where these mean the same."""
        return [(e.name, e.ins, e.outs) for e in self.equations]

    @functools.cached_property
    def cost(self) -> int:
        """About how many microseconds it takes, a small operation being one or two."""
        return sum(1 if known(e.eqn) else _BOUND for e in self.equations)

    def again(self, values: Sequence[Any], changed: Mapping[int, Any], wanted: int) -> Any:
        """The value of this number if those at some numbers are others; what does not depend on them stays."""
        now = dict(changed)
        with np.errstate(all="ignore"):
            for e in self.way(*changed, wanted):
                if not all(n in changed for n in e.outs):
                    found = applied(e.eqn, [now.get(i, values[i]) for i in e.ins])
                    now.update((n, x) for n, x in zip(e.outs, found, strict=True) if n not in changed)
        return now.get(wanted, values[wanted])

    def way(self, *numbers: int, inclusive: bool = False) -> list[Equation]:
        """The equations between some values and the last one; ``inclusive``: those that make the first ones, too."""
        key = (inclusive, *numbers)
        if key not in self._ways:
            needed, open_ = self.needed(numbers[-1]), list(numbers[:-1])
            found = {self._made_at[n] for n in open_ if inclusive and n in self._made_at}
            while open_:
                for k in self._used_at.get(open_.pop(), ()):
                    if k not in found and not needed.isdisjoint(self.equations[k].outs):
                        found.add(k)
                        open_ += self.equations[k].outs
            self._ways[key] = [self.equations[k] for k in sorted(found)]
        return self._ways[key]

    def maker(self, number: int) -> Equation | None:
        """The equation that a value comes from."""
        at = self._made_at.get(number)
        return None if at is None else self.equations[at]

    def source(self, number: int) -> int:
        """The value that this one repeats or reshapes."""
        e = self.maker(number)
        return self.source(e.ins[0]) if e is not None and e.ins and e.eqn.primitive in STRUCTURAL else number

    def needed(self, wanted: int) -> set[int]:
        """The numbers of the values that a value is made of, itself included."""
        if wanted not in self._needed:
            found = {wanted}
            for e in reversed(self.equations):
                if not found.isdisjoint(e.outs):
                    found.update(e.ins)
            self._needed[wanted] = found
        return self._needed[wanted]

    def reached(self, start: Sequence[int]) -> set[int]:
        """The numbers of the values that depend on some, those included."""
        found = set(start)
        for e in self.equations:
            if not found.isdisjoint(e.ins):
                found.update(e.outs)
        return found


def _used(eqn: Any, operands: list[int]) -> list[int]:
    """The operands that matter to the result: of a linear system its matrix and its right side, not its factors."""
    if eqn.primitive is p.linear_solve_p and len(eqn.outvars) == 1 and eqn.outvars[0].aval.size <= MOST_UNKNOWNS:
        return [*operands[: eqn.params["const_lengths"].matvec], operands[-1]]
    return operands


def _short(eqn: Any) -> bool:
    """Whether it is a loop that can be written out."""
    if eqn.primitive is not p.scan_p:
        return False
    return 0 < eqn.params["length"] * len(eqn.params["jaxpr"].eqns) <= _WRITTEN_OUT


def _key(eqn: Any, operands: Sequence[Any]) -> Any:
    """What equations of equal results have in common; None for those that may differ all the same."""
    key = (eqn.primitive, tuple(sorted(eqn.params.items(), key=lambda item: item[0])), tuple(operands))
    try:
        hash(key)
    except TypeError:
        return None
    return None if eqn.effects else key


def short(line: str) -> str:
    """``file.py:12`` of a line as JAX summarises it."""
    place = line.split(" ", 1)[0]
    parts = place.rsplit("/", 1)[-1].split(":")
    return ":".join(parts[:2])
