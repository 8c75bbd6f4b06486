"""Parts of a program that cannot be written: functions with only a name, h(x), and arrays with only a name.

The formula goes around them: the derivative of g(h(x)) has h′(x) in it. Its code is given h and h′ as functions, which
are made of the program of the function itself, traced at the shapes of its arguments.
"""

import builtins
import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import DropVar, Literal
from jax.extend.core import primitives as p

from jmc.catalogue import marker
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.operations import Pair
from jmc.symbolic.tensor import Argument, Dim, Opaque, Tensor, moves

LETTERS = [*"hgφψ", *(f"h{k}" for k in range(1, 99))]
FIRST = 60  # of the positions of constants, behind arguments and before intermediate variables
_UNNAMED = {p.while_p, p.scan_p, p.cond_p, p.jit_p, p.gather_p, p.scatter_p, p.reshape_p}
_PUBLIC = (jnp, jnp.linalg, jnp.fft, jax.nn, jax.scipy.special, jax.scipy.linalg)


@dataclass(frozen=True)
class Part:
    """A part of a program.

    Attributes:
        name: in the formula and in its code.
        what: the operation and its line.
        path: where it stands: the number of an equation, how to come from there to the program in it, and so on.
        operands: of each operand of the equation the number among the arguments of the part, or a formula that no
            argument of the function is in, or None for a number in the program.
        result: which of the results; of an array that is closed over, which of the constants.
        axes: of the value, without those of size 1.
    """

    name: str
    what: str
    path: tuple[Any, ...]
    operands: tuple[int | Tensor | None, ...] | None
    result: int
    axes: tuple[int, ...]

    @property
    def said(self) -> str:
        """What it is."""
        return f"{self.name} is {self.what or 'an array that the function closes over'}"

    @property
    def constant(self) -> bool:
        """Whether it is an array."""
        return self.operands is None or not any(isinstance(k, int) for k in self.operands)


@dataclass
class Parts:
    """The parts of one function, in the order in which they are met; ``near`` finds names of arrays."""

    taken: set[str] = field(default_factory=set)
    near: Callable[[np.ndarray], str] = lambda _: ""
    found: dict[str, Part] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Parts":
        """What is known now."""
        return Parts(set(self.taken), self.near, dict(self.found), dict(self.known))

    def restore(self, before: "Parts") -> None:
        """Forgets what was found since."""
        self.taken, self.found, self.known = before.taken, before.found, before.known

    def results(self, pair: Pair, args: Sequence[Tensor], path: Sequence[Any], refusal: NoFormula) -> list[Tensor]:
        """The results of an equation that has no formula. Raises ``refusal`` if they have no shape either."""
        eqn = pair.one
        variables = [not isinstance(atom, Literal) for atom in eqn.invars]
        moving = list(dict.fromkeys(arg for arg, var in zip(args, variables, strict=True) if var and moves(arg)))
        operands = tuple(
            moving.index(arg) if arg in moving and var else arg if var else None
            for arg, var in zip(args, variables, strict=True)
        )
        real = [jnp.issubdtype(atom.aval.dtype, jnp.floating) for atom in eqn.invars]
        smooth = tuple(
            any(r and k == operand for r, operand in zip(real, operands, strict=True)) for k in range(len(moving))
        )
        used = [k for k, var in enumerate(eqn.outvars) if not isinstance(var, DropVar)]
        if moving and any(jnp.issubdtype(eqn.outvars[k].aval.dtype, jnp.complexfloating) for k in used):
            raise refusal  # it has a derivative, which is no array of real numbers
        floats = [k for k in used if jnp.issubdtype(eqn.outvars[k].aval.dtype, jnp.floating)]
        found: list[Tensor] = list(args[:1]) * len(eqn.outvars)
        for k in used:
            dims = self._dims(pair, k, refusal)
            shape, axes = tuple(dim for dim in dims if dim != 1), tuple(a for a, dim in enumerate(dims) if dim != 1)
            base = _called(eqn)
            key = f"{base}{k}{eqn.params}{pair.other.params}{[str(a) for a in eqn.invars if isinstance(a, Literal)]}"
            key += f"{[a.aval for a in eqn.invars]}{[o.key if isinstance(o, Tensor) else o for o in operands]}"
            alone = floats == [k] or len(used) == 1
            name = self._name(key, base, "" if alone else str(used.index(k) + 1))
            self.found.setdefault(name, Part(name, _described(eqn), tuple(path), operands, k, axes))
            if moving:
                differentiable = jnp.issubdtype(eqn.outvars[k].aval.dtype, jnp.floating)
                at = smooth if differentiable else (False,) * len(moving)
                found[k] = Opaque(shape, name, tuple(moving), at)
            else:
                found[k] = Argument(shape, name, FIRST + len(self.found), frozenset(["constant"]))
        return found

    def array(self, one: np.ndarray, other: np.ndarray, dims: Sequence[Dim], path: Sequence[Any], k: int) -> Tensor:
        """An array that the function closes over."""
        shape, axes = tuple(dim for dim in dims if dim != 1), tuple(a for a, dim in enumerate(dims) if dim != 1)
        name = self._name(f"{one.dtype}{one.shape}{one.tolist()}{other.shape}", self.near(one) or "c", "")
        self.found.setdefault(name, Part(name, "", tuple(path), None, k, axes))
        facts = {"constant"} | ({"integer"} if one.dtype.kind in "iub" else set())
        if (
            len(shape) == 2
            and shape[0] == shape[1]
            and all(np.array_equal(a.squeeze(), a.squeeze().T) for a in (one, other))
        ):
            facts.add("symmetric")
        return Argument(shape, name, FIRST + list(self.found).index(name), frozenset(facts))

    def _dims(self, pair: Pair, k: int, refusal: NoFormula) -> list[Dim]:
        one, other = pair.one.outvars[k].aval.shape, pair.other.outvars[k].aval.shape
        dims = [pair.sizes.dim(m, n) for m, n in zip(one, other, strict=True)]
        if None in dims:
            raise refusal
        return [dim for dim in dims if dim is not None]

    def _name(self, key: str, base: str, number: str) -> str:
        """One name for what is one program."""
        if key not in self.known:
            free = (n for n in (base + number, *(x + number for x in LETTERS)) if base and self._free(n))
            self.known[key] = next(free)
            self.taken |= {f"{mark}{self.known[key]}" for mark in ("", "d", "d2")}
        return self.known[key]

    def _free(self, name: str) -> bool:
        return not {name, f"d{name}", f"d2{name}"} & self.taken


def is_public(eqn: Any) -> bool:
    """Whether an equation calls a rule, or a function of JAX by its public name."""
    public = any(callable(getattr(module, _name(eqn), None)) for module in _PUBLIC)
    return eqn.primitive is marker.primitive or public


def _name(eqn: Any) -> str:
    """The name of the function that an equation calls, if it has one."""
    debug = getattr(getattr(eqn.params.get("call_jaxpr"), "jaxpr", None), "debug_info", None)
    rule = getattr(eqn.params.get("rule"), "name", "")
    called = eqn.params.get("name", "") or getattr(debug, "func_name", "").partition(" ")[0]
    return rule or called.strip("_")


def _called(eqn: Any) -> str:
    """What it is called in a formula: its own name, where that is short."""
    name = _name(eqn) or ("" if eqn.primitive in _UNNAMED else eqn.primitive.name)
    taken = keyword.iskeyword(name) or hasattr(builtins, name)
    return name if re.fullmatch(r"[a-zA-Z][a-z0-9A-Z]{0,11}", name) and not taken else "h"


def _described(eqn: Any) -> str:
    line = source_info_util.summarize(eqn.source_info)
    name = _name(eqn) or eqn.primitive.name
    return f"`{name}`" + (f" at {line}" if line else "")


def needed(function: Callable[..., Any], parts: Mapping[str, Part]) -> dict[str, tuple[Part, tuple[int, ...]]]:
    """The parts that code takes, and by which of their arguments each is differentiated."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        for part in parts.values() if parameter.kind is parameter.KEYWORD_ONLY else ():
            if match := re.fullmatch(rf"(d\d*)?{part.name}((?:_\d+)*)", name):
                order = int(match[1][1:] or 1) if match[1] else 0
                found[name] = part, tuple(map(int, match[2].split("_")[1:])) or (0,) * order
    return found


class Bound:
    """Code as a function of the arrays alone: its parts are taken from the program of ``f`` at their shapes."""

    def __init__(self, code: Callable[..., Any], f: Callable[..., Any], parts: Mapping[str, Part], evaluate: Any):
        self.code, self.f, self.parts, self.evaluate = code, f, parts, evaluate
        self.needed = needed(code, parts)

    def __call__(self, *args: Any) -> Any:
        """The value."""
        return self.code(*args, **self.values(*args))

    def values(self, *args: Any) -> dict[str, Any]:
        """Each part that the code takes: an array, or a function of arrays without axes of size 1."""
        if not self.needed:
            return {}
        program = jax.make_jaxpr(self.f)(*(jax.ShapeDtypeStruct(jnp.shape(a), jnp.asarray(a).dtype) for a in args))
        known: dict[str, Any] = {}
        for part in self.parts.values():
            known[part.name] = self._value(part, program, args, known)
        return {name: _differentiated(known[part.name], by) for name, (part, by) in self.needed.items()}

    def _value(self, part: Part, program: Any, args: Sequence[Any], known: Mapping[str, Any]) -> Any:
        place = program
        for step in part.path:
            place = place.jaxpr.eqns[step] if isinstance(step, int) else step(place)
        if part.operands is None:
            array = np.asarray(place.consts[part.result])
            return array.reshape([array.shape[axis] for axis in part.axes])
        fixed = {
            k: self.evaluate(operand, args, known)
            for k, operand in enumerate(part.operands)
            if isinstance(operand, Tensor)
        }
        from jmc.differentiate.jvp import as_function  # not needed by most, and long to import

        run = as_function(place)

        def h(*given: Any) -> Any:
            values = []
            for k, (atom, operand) in enumerate(zip(place.invars, part.operands or (), strict=True)):
                value = atom.val if operand is None else given[operand] if isinstance(operand, int) else fixed[k]
                array = jnp.asarray(value, atom.aval.dtype)
                same = array.size == atom.aval.size
                values.append(array.reshape(atom.aval.shape) if same else jnp.broadcast_to(array, atom.aval.shape))
            found = run(*values)[part.result]
            return found.reshape([found.shape[axis] for axis in part.axes])

        return h() if part.constant else h


def _differentiated(h: Any, by: Sequence[int]) -> Any:
    """The derivative by these arguments, one after the other."""
    for k in by:
        h = _jacobian(h, k)
    return h


def _jacobian(h: Callable[..., Any], k: int) -> Callable[..., Any]:
    def jacobian(*args: Any) -> Any:
        try:
            return jax.jacfwd(h, k)(*args)
        except TypeError:  # it has a reverse rule alone
            return jax.jacrev(h, k)(*args)

    return jacobian
