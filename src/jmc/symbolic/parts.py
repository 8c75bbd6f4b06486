"""Programs of which not all can be written: what has no formula becomes a function with a name, or a named constant."""

import inspect
import keyword
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal, jaxpr_as_fun

from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.helpers import Run, free, meant, runs
from jmc.symbolic.opaque import Parts
from jmc.symbolic.operations import Pair
from jmc.symbolic.read import Reader
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.tensor import Argument, Dim, Opaque, Tensor

STANDARD = {"argmax", "argmin"}  # functions that need no explanation
FIRST = 80  # the positions of constants, behind those of arguments


@dataclass(frozen=True)
class Part:
    """What a formula names without saying what it is.

    Attributes:
        name: by which the formula has it.
        about: what it is, in a line.
        at: its value at the first and the second sizes: an array, or a function of arrays.
    """

    name: str
    about: str
    at: tuple[Any, Any]


class CodeReader(Reader):
    """Reads all of a rule's code; ``named`` is what it could only name."""

    def __init__(self, sizes: Sizes, taken: Sequence[str]):
        super().__init__(sizes, Parts(set(taken)))
        self.named: dict[str, Part] = {}
        self._known: dict[str, str] = {}

    def walk(self, one: Any, other: Any, consts: Sequence[Tensor], args: Sequence[Tensor]) -> list[Tensor]:
        """The results of a program, given formulas of its arguments without axes of size 1."""
        env: dict[Any, Tensor] = dict(zip(one.constvars, consts, strict=True))
        env.update(zip(one.invars, args, strict=True))
        last = [var for var in one.outvars if not isinstance(var, Literal)]
        alike = [var for var in other.outvars if not isinstance(var, Literal)]
        self._run(Run(None, tuple(one.eqns)), Run(None, tuple(other.eqns)), last, alike, env, 1)
        pairs = zip(one.outvars, other.outvars, strict=True)
        return [self._number(x.val, y.val) if isinstance(x, Literal) else env[x] for x, y in pairs]

    def _run(self, one: Run, other: Run, wanted: Sequence[Any], alike: Sequence[Any], env: dict, depth: int) -> None:
        """Adds to ``env`` what equations define, of which ``wanted`` is used later."""
        ours, theirs = runs(one.eqns, depth), runs(other.eqns, depth)
        if [run.helper for run in ours] != [run.helper for run in theirs]:
            raise NoFormula("the function does something else at other sizes")
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            outs = [
                [var for eqn in run.eqns for var in eqn.outvars if var in {*later, *free(_eqns(whole[k + 1 :]))}]
                for run, later, whole in ((a, wanted, ours), (b, alike, theirs))
            ]
            if a.helper is None:
                self._single(a.eqns[0], b.eqns[0], outs, env)
                continue
            if (results := meant(a, outs[0], env)) is not None:
                env.update(results)
                continue
            before = dict(self.named)
            try:
                self._run(a, b, outs[0], outs[1], env, depth + 1)
                if any(name.rstrip("_0123456789") not in STANDARD for name in self.named.keys() - before.keys()):
                    raise NoFormula("a part of it has none")
            except NoFormula:
                self.named = before
                self._named(a.helper.__name__.strip("_"), _line(a.helper), a.eqns, b.eqns, outs, env)

    def _single(self, a: Any, b: Any, outs: Sequence[Sequence[Any]], env: dict) -> None:
        pairs = zip(a.invars, b.invars, strict=True)
        try:
            if a.primitive is not b.primitive:
                raise NoFormula("the function does something else at other sizes")
            operands = [self._number(x.val, y.val) if isinstance(x, Literal) else env[x] for x, y in pairs]
            env.update(zip(a.outvars, self._equation(Pair(a, b, self.sizes), operands), strict=True))
        except NoFormula as refusal:
            name = str(a.params.get("name") or a.primitive.name).strip("_")
            self._named(name, str(refusal).partition(", at ")[0], [a], [b], outs, env)

    def _named(self, name: str, about: str, ours: Any, theirs: Any, outs: Sequence[Sequence[Any]], env: dict) -> None:
        """The results of equations as a function of what they use."""
        given = [list(free(eqns)) for eqns in (ours, theirs)]
        if len(outs[0]) != len(outs[1]) or len(given[0]) != len(given[1]):
            raise NoFormula("the function does something else at other sizes")
        for k, pair in enumerate(zip(*outs, strict=True)):
            programs = [_program(eqns, used, own) for eqns, used, own in zip((ours, theirs), given, pair, strict=True)]
            wanted = f"{name}_" if not name.isidentifier() or keyword.iskeyword(name) else name
            called = self._name(f"{name}{k}{programs[0]}", f"{wanted}{k + 1}" if len(outs[0]) > 1 else wanted)
            shape = self._shape(*pair)
            if given[0]:
                self.named[called] = Part(called, about, (_function(programs[0]), _function(programs[1])))
                args = tuple(env[var] for var in given[0])
                env[pair[0]] = Opaque(shape, called, args, (False,) * len(args))
            else:
                self.named[called] = Part(called, about, (_function(programs[0])(), _function(programs[1])()))
                env[pair[0]] = Argument(shape, called, FIRST)

    def _name(self, program: str, name: str) -> str:
        """One name for one program."""
        if program not in self._known:
            used = self.parts.taken
            self._known[program] = next(n for n in [name, *(f"{name}_{k}" for k in range(2, 99))] if n not in used)
            used.add(self._known[program])
        return self._known[program]

    def _shape(self, one: Any, other: Any) -> tuple[Dim, ...]:
        found = [self.sizes.dim(m, n) for m, n in zip(one.aval.shape, other.aval.shape, strict=True)]
        if None in found:
            raise NoFormula(f"an axis of {one.aval.shape[found.index(None)]} entries has no symbol")
        return tuple(dim for dim in found if dim is not None and dim != 1)

    def _number(self, one: Any, other: Any) -> Tensor:
        if np.iscomplexobj(one):
            raise NoFormula("a complex number has no formula")
        return super()._number(one, other)

    def _array(self, one: Any, other: Any, k: int) -> Tensor:
        found = super()._array(one, other, k)
        if isinstance(found, Argument):
            self.named[found.name] = Part(found.name, "a constant of the code", (np.squeeze(one), np.squeeze(other)))
        return found


def _eqns(found: Sequence[Run]) -> list[Any]:
    return [eqn for run in found for eqn in run.eqns]


def _line(helper: Callable[..., Any]) -> str:
    return (inspect.getdoc(helper) or "").partition("\n")[0]


def _program(eqns: Sequence[Any], used: Sequence[Any], own: Any) -> Any:
    """Equations as a program by itself: of what they use, with one result."""

    def run(*args: Any) -> Any:
        env = dict(zip(used, args, strict=True))
        for eqn in eqns:
            given = [var.val if isinstance(var, Literal) else env[var] for var in eqn.invars]
            found = eqn.primitive.bind(*given, **eqn.primitive.get_bind_params(eqn.params))
            env.update(zip(eqn.outvars, found if eqn.primitive.multiple_results else [found], strict=True))
        return env[own]

    return jax.make_jaxpr(run)(*(jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in used))


def _function(program: Any) -> Callable[..., Any]:
    """A program with one result as a function of arrays without axes of size 1."""
    f = jaxpr_as_fun(program)

    def call(*args: Any) -> np.ndarray:
        given = []
        for arg, aval in zip(args, program.in_avals, strict=True):
            array = np.broadcast_to(np.asarray(arg, aval.dtype), [n for n in aval.shape if n != 1])
            given.append(array.reshape(aval.shape))
        return np.squeeze(np.asarray(f(*given)[0]))

    return call
