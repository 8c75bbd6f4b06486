"""A traced function as a formula: its program is read from two traces side by side, at different sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend import source_info_util
from jax.extend.core import Literal
from jax.extend.core import primitives as p

from jmc.catalogue import marker
from jmc.formula.algebra import repeated
from jmc.formula.derivative import NoFormula
from jmc.formula.library import recognised
from jmc.formula.operations import RULES, Pair
from jmc.formula.rules import as_formula
from jmc.formula.sizes import Sizes
from jmc.formula.tensor import Tensor

NESTED = {
    p.jit_p: "jaxpr",
    p.closed_call_p: "call_jaxpr",
    p.remat_p: "jaxpr",
    p.custom_jvp_call_p: "call_jaxpr",
    p.custom_vjp_call_p: "call_jaxpr",
}


class Reader:
    """Reads two traces of one function at once."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes

    def walk(self, one: Any, other: Any, consts: Sequence[Tensor], args: Sequence[Tensor]) -> list[Tensor]:
        """The results of a program, given formulas of its arguments without axes of size 1."""
        if [eqn.primitive for eqn in one.eqns] != [eqn.primitive for eqn in other.eqns]:
            raise NoFormula("the function does something else at other sizes")
        env: dict[Any, Tensor] = dict(zip(one.constvars, consts, strict=True))
        env.update(zip(one.invars, args, strict=True))
        for a, b in zip(one.eqns, other.eqns, strict=True):
            operands = [
                self._literal(x, y) if isinstance(x, Literal) else env[x]
                for x, y in zip(a.invars, b.invars, strict=True)
            ]
            try:
                results = self._equation(Pair(a, b, self.sizes), operands)
            except NoFormula as refusal:
                raise _located(a, refusal) from None
            env.update(zip(a.outvars, results, strict=True))
        return [
            self._literal(x, y) if isinstance(x, Literal) else env[x]
            for x, y in zip(one.outvars, other.outvars, strict=True)
        ]

    def closed(self, one: Any, other: Any, args: Sequence[Tensor]) -> list[Tensor]:
        """The results of a program with constants of its own."""
        consts = [self._array(a, b) for a, b in zip(_consts(one), _consts(other), strict=True)]
        return self.walk(getattr(one, "jaxpr", one), getattr(other, "jaxpr", other), consts, args)

    def _literal(self, one: Any, other: Any) -> Tensor:
        return self._array(one.val, other.val)

    def _array(self, one: Any, other: Any) -> Tensor:
        """A constant of the program: a number, or an array of one number."""
        a, b = np.asarray(one), np.asarray(other)
        if a.size and _uniform(a) and _uniform(b):
            value = self.sizes.number(a.ravel()[0].item(), b.ravel()[0].item())
            shape = [self.sizes.dim(m, n) for m, n in zip(a.shape, b.shape, strict=True)]
            if value is not None and None not in shape:
                return repeated(value, [dim for dim in shape if dim is not None and dim != 1], ())
        if not a.ndim:
            raise NoFormula(f"the number {a}, which is {b} at other sizes, has no formula")
        raise NoFormula("an array that the function closes over has no name; make it an argument")

    def _equation(self, pair: "Pair", args: list[Tensor]) -> Sequence[Tensor]:
        eqn, primitive = pair.one, pair.one.primitive
        if primitive is marker.primitive:
            return as_formula(self, pair, args)
        if (name := NESTED.get(primitive)) is not None:
            known = recognised(eqn, args)
            if known is not None:
                return [found for found in known if found is not None]
            return self.closed(eqn.params[name], pair.other.params[name], args)
        if primitive is p.cond_p and eqn.params.get("branches_platforms") is not None:
            return self.closed(eqn.params["branches"][-1], pair.other.params["branches"][-1], args[1:])
        if (rule := RULES.get(primitive)) is None:
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
