"""What a formula takes: its operations as a polynomial in the sizes, counted in the program of its code."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
from jax.extend.core import primitives as p

from jmc.checking.oracles import double_precision
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.operations import Pair
from jmc.symbolic.read import NESTED
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.style import number

Terms = Counter[tuple[str, ...]]
# What only moves numbers.
_FREE = {
    p.broadcast_in_dim_p, p.reshape_p, p.transpose_p, p.convert_element_type_p, p.squeeze_p, p.slice_p, p.iota_p,
    p.copy_p, p.select_n_p, p.concatenate_p, p.gather_p, p.stop_gradient_p,
}  # fmt: skip


class _Uncounted(Exception):  # noqa: N818 - it is caught here
    """The program differs between sizes, or has an axis that is no product of symbols."""


def cost(function: Callable[..., Any], given: Inputs) -> str:
    """The number of arithmetic operations, ``4 m n + 2 m``; empty if it cannot be told."""
    with double_precision():
        one, other = (jax.make_jaxpr(function)(*given.structs(which)) for which in (0, 1))
    try:
        found = _program(one.jaxpr, other.jaxpr, given.sizes)
    except _Uncounted:
        return ""
    ordered = sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))
    return " + ".join(_shown(coefficient, names) for names, coefficient in ordered) or "0"


def _shown(coefficient: Any, names: tuple[str, ...]) -> str:
    powers = [
        f"{name}{'' if (k := names.count(name)) == 1 else str(k).translate(_SUPER)}" for name in dict.fromkeys(names)
    ]
    front = number(Fraction(coefficient))
    return " ".join(powers if front == "1" and powers else [front, *powers])


_SUPER = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _program(one: Any, other: Any, sizes: Sizes) -> Terms:
    if [eqn.primitive for eqn in one.eqns] != [eqn.primitive for eqn in other.eqns]:
        raise _Uncounted
    total: Terms = Counter()
    for a, b in zip(one.eqns, other.eqns, strict=True):
        if (name := NESTED.get(a.primitive)) is not None:
            inner = [getattr(eqn.params[name], "jaxpr", eqn.params[name]) for eqn in (a, b)]
            total.update(_program(inner[0], inner[1], sizes))
        elif a.primitive is p.linear_solve_p:  # the system is factorised elsewhere
            inner = [eqn.params["jaxprs"].solve.jaxpr for eqn in (a, b)]
            total.update(_program(inner[0], inner[1], sizes))
        elif a.primitive not in _FREE:
            total.update(_operation(Pair(a, b, sizes)))
    return total


def _operation(pair: Pair) -> Terms:
    primitive = pair.one.primitive
    operands = [_dims(pair, pair.one.invars[k], pair.other.invars[k]) for k in range(len(pair.one.invars))]
    result = _dims(pair, pair.one.outvars[0], pair.other.outvars[0])
    if primitive is p.dot_general_p:
        (contracted, _), _ = pair.one.params["dimension_numbers"]
        return _term(2, [*result, *(operands[0][k] for k in contracted)])
    if primitive in (p.lu_p, p.cholesky_p):
        return _term(Fraction(2 if primitive is p.lu_p else 1, 3), [*result, result[-1]])
    if primitive is p.triangular_solve_p:
        return _term(1, [*operands[0], operands[1][-1]])
    return _term(1, max([*operands, result], key=len))


def _term(coefficient: Any, dims: Sequence[tuple[str, ...] | int]) -> Terms:
    names = tuple(sorted(itertools.chain.from_iterable(dim for dim in dims if not isinstance(dim, int))))
    return Counter({names: coefficient * math.prod(dim for dim in dims if isinstance(dim, int))})


def _dims(pair: Pair, one: Any, other: Any) -> list[tuple[str, ...] | int]:
    """Each axis as a product of symbols, or a number."""
    return [_factors(m, n, pair.sizes) for m, n in zip(one.aval.shape, other.aval.shape, strict=True)]


def _factors(one: int, other: int, sizes: Sizes) -> tuple[str, ...] | int:
    if one == other:
        return one
    here, there = sizes.at(0), sizes.at(1)
    for count in (1, 2, 3):
        for names in itertools.combinations_with_replacement(sizes.symbols, count):
            if (math.prod(here[s] for s in names), math.prod(there[s] for s in names)) == (one, other):
                return names
    raise _Uncounted
