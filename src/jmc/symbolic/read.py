"""A traced function as a formula: its program is read from two traces side by side, at different sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import Literal
from jax.extend.core import primitives as p

from jmc.catalogue import marker
from jmc.symbolic.algebra import delta, repeated
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.functions import apply
from jmc.symbolic.helpers import free, known, meant
from jmc.symbolic.indexing import BY_NAME, INDEXING
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.library import recognised
from jmc.symbolic.opaque import Parts, is_public
from jmc.symbolic.operations import RULES, Pair
from jmc.symbolic.rules import as_formula
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.tensor import Argument, Dim, Op, Opaque, Tensor

NESTED = {
    p.jit_p: "jaxpr",
    p.closed_call_p: "call_jaxpr",
    p.remat_p: "jaxpr",
    p.custom_jvp_call_p: "call_jaxpr",
    p.custom_vjp_call_p: "call_jaxpr",
}


@dataclass(frozen=True)
class Program:
    """A function of arrays as formulas.

    Attributes:
        values: of its results, without axes of size 1.
        shapes: of its results, with them.
        tree: how the results nest.
        paths: the name of each result within the nest, "" if there is one alone.
        given: the arguments, with the parts of the program that have only a name.
    """

    values: tuple[Tensor, ...]
    shapes: tuple[tuple[Dim, ...], ...]
    tree: Any
    paths: tuple[str, ...]
    given: Inputs


def read(flat: Callable[..., Any], given: Inputs, near: Callable[[np.ndarray], str] = lambda _: "") -> Program:
    """A function of arrays as formulas of its arguments.

    Raises NoFormula if no more could be said than that it is a function.
    """
    (one, out), (other, _) = (jax.make_jaxpr(flat, return_shape=True)(*given.structs(which)) for which in (0, 1))
    reader = Reader(given.sizes, Parts(given.taken, near))
    values = reader.closed(one, other, given.tensors)
    leaves, tree = jax.tree.flatten_with_path(out)
    shapes = []
    for a, b in zip(one.out_avals, other.out_avals, strict=True):
        shapes.append(tuple(given.sizes.dim(m, n) or 0 for m, n in zip(a.shape, b.shape, strict=True)))
    for value in values:
        if isinstance(value, Opaque) and all(isinstance(arg, Argument) for arg in value.args):
            raise NoFormula(f"{reader.parts.found[value.name].what} has no formula, and nothing is around it")
    paths = tuple(
        ".".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path) for path, _ in leaves
    )
    return Program(tuple(values), tuple(shapes), tree, paths, replace(given, parts=reader.parts.found))


class Reader:
    """Reads two traces of one function at once; ``parts`` are what it finds no formula of."""

    def __init__(self, sizes: Sizes, parts: Parts | None = None):
        self.sizes, self.parts = sizes, Parts() if parts is None else parts
        self.path: list[Any] = []

    def walk(self, one: Any, other: Any, consts: Sequence[Tensor], args: Sequence[Tensor]) -> list[Tensor]:
        """The results of a program, given formulas of its arguments without axes of size 1."""
        if [eqn.primitive for eqn in one.eqns] != [eqn.primitive for eqn in other.eqns]:
            raise NoFormula("the function does something else at other sizes")
        env: dict[Any, Tensor] = dict(zip(one.constvars, consts, strict=True))
        env.update(zip(one.invars, args, strict=True))
        end = 0
        for run in known(one.eqns):
            start, end = end, end + len(run.eqns)
            wanted = (
                {*free(one.eqns[end:]), *(v for v in one.outvars if not isinstance(v, Literal))}
                if run.helper
                else set()
            )
            found = meant(run, wanted, env)
            for k, a, b in zip(range(start, end), run.eqns, other.eqns[start:end], strict=True):
                if found is None:
                    self._step(k, Pair(a, b, self.sizes), env)
            env.update(found or {})
        return [
            self._number(x.val, y.val) if isinstance(x, Literal) else env[x]
            for x, y in zip(one.outvars, other.outvars, strict=True)
        ]

    def _step(self, k: int, pair: Pair, env: dict[Any, Tensor]) -> None:
        """Adds the results of the equation with this number."""
        operands = [
            self._number(x.val, y.val) if isinstance(x, Literal) else env[x]
            for x, y in zip(pair.one.invars, pair.other.invars, strict=True)
        ]
        self.path.append(k)
        env.update(zip(pair.one.outvars, self._results(pair, operands), strict=True))
        self.path.pop()

    def closed(self, one: Any, other: Any, args: Sequence[Tensor]) -> list[Tensor]:
        """The results of a program with constants of its own."""
        pairs = zip(_consts(one), _consts(other), strict=True)
        consts = [self._array(a, b, k) for k, (a, b) in enumerate(pairs)]
        return self.walk(getattr(one, "jaxpr", one), getattr(other, "jaxpr", other), consts, args)

    def _number(self, one: Any, other: Any) -> Tensor:
        """A number in the program, or an array of one number."""
        a, b = np.asarray(one), np.asarray(other)
        if a.size and a.dtype.kind != "c" and _uniform(a) and _uniform(b):
            value = self.sizes.number(a.ravel()[0].item(), b.ravel()[0].item())
            shape = [self.sizes.dim(m, n) for m, n in zip(a.shape, b.shape, strict=True)]
            if value is not None and None not in shape:
                return repeated(value, [dim for dim in shape if dim is not None and dim != 1], ())
        raise NoFormula(f"the number {a}, which is {b} at other sizes, has no formula")

    def _array(self, one: Any, other: Any, k: int) -> Tensor:
        """An array that the function closes over: a name, if it is not numbers that have one."""
        try:
            return self._number(one, other)
        except NoFormula:
            a, b = np.asarray(one), np.asarray(other)
            dims = [self.sizes.dim(m, n) for m, n in zip(a.shape, b.shape, strict=True)]
            if a.dtype.kind not in "fiub" or None in dims:
                raise
            shape = [dim for dim in dims if dim is not None]
            if a.ndim == 2 and all(np.array_equal(c, np.eye(len(c))) for c in (a, b)):
                return delta(shape[0])
            if a.ndim == 1 and all(np.array_equal(c, np.arange(len(c))) for c in (a, b)):
                return Op(tuple(shape), "iota", ())
            return self.parts.array(a, b, shape, self.path, k)

    def _results(self, pair: Pair, args: list[Tensor]) -> Sequence[Tensor]:
        """The results of an equation as formulas, or else by a name; a function that has a name is named as a whole."""
        before = self.parts.copy()
        try:
            found = self._equation(pair, args)
            if len(self.parts.found) == len(before.found) or not is_public(pair.one):
                return found
            refusal = NoFormula("a part of it has no formula")
        except NoFormula as refused:
            refusal = refused
        self.parts.restore(before)
        return self.parts.results(pair, args, self.path, _located(pair.one, refusal))

    def _within(self, pair: Pair, program: Callable[[Any], Any], args: Sequence[Tensor]) -> list[Tensor]:
        """The results of the program in an equation."""
        depth = len(self.path)
        self.path.append(program)
        try:
            return self.closed(program(pair.one), program(pair.other), args)
        finally:
            del self.path[depth:]

    def _equation(self, pair: "Pair", args: list[Tensor]) -> Sequence[Tensor]:
        eqn, primitive = pair.one, pair.one.primitive
        if primitive is marker.primitive:
            return as_formula(self, pair, args)
        if (name := NESTED.get(primitive)) is not None:
            results = recognised(eqn, args)
            if results is not None:
                return [found for found in results if found is not None]
            return self._within(pair, lambda one: one.params[name], args)
        if primitive is p.cond_p and eqn.params.get("branches_platforms") is not None:
            return self._within(pair, lambda one: one.params["branches"][-1], args[1:])
        if primitive is p.cond_p and len(eqn.params["branches"]) == 2:
            cases = [self._within(pair, lambda one, k=k: one.params["branches"][k], args[1:]) for k in (1, 0)]
            chosen = zip(*cases, strict=True)
            return [a if a == b else apply("where", repeated(args[0], a.shape, ()), a, b) for a, b in chosen]
        if primitive is p.eigh_p and pair.one.params["subset_by_index"] is None and len(args[0].shape) == 2:
            (A,) = args
            return [Op(A.shape, "eigenvectors", (A,)), Op(A.shape[:1], "eigenvalues", (A,))]
        values = primitive is p.svd_p and not eqn.params["compute_uv"] and eqn.params["subset_by_index"] is None
        if values and len(args[0].shape) == len(eqn.invars[0].aval.shape) == 2:
            return [Op(pair.full_shape(), "singular values", tuple(args))]
        if (rule := RULES.get(primitive) or INDEXING.get(primitive) or BY_NAME.get(primitive.name)) is None:
            raise NoFormula(f"the operation `{primitive.name}` has no formula")
        return [rule(pair, *args)]


def _uniform(array: np.ndarray) -> bool:
    return bool(np.array_equal(array, np.full(array.shape, array.ravel()[0]), equal_nan=array.dtype.kind == "f"))


def _consts(closed: Any) -> Sequence[Any]:
    return getattr(closed, "consts", ())


def _located(eqn: Any, refusal: NoFormula) -> NoFormula:
    """The refusal with the line of the user's code."""
    line = source_info_util.summarize(eqn.source_info)
    text = str(refusal)
    return refusal if " at " in text or not line else NoFormula(f"{text}, at {line}")
