"""The derivative of an element-wise function to any number of digits: its program, evaluated with mpmath.

An oracle that rounds nothing, and so the one that decides in tails, where automatic differentiation loses all digits.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jax.extend.core import primitives as p

DIGITS = 60
mp: Any = mpmath.mp  # its functions are made when it is loaded, where no type checker sees them


class Unreadable(NotImplementedError):  # noqa: N818 - it reads as what it says
    """The program has an operation that this evaluation does not know."""


def _select(which: Any, *cases: Any) -> Any:
    return cases[int(which)]


def _logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


_MEANING: dict[Any, Callable[..., Any]] = {
    p.add_p: operator.add,
    p.add_jaxvals_p: operator.add,
    p.sub_p: operator.sub,
    p.mul_p: operator.mul,
    p.div_p: operator.truediv,
    p.neg_p: operator.neg,
    p.max_p: max,
    p.min_p: min,
    p.abs_p: abs,
    p.sign_p: mp.sign,
    p.exp_p: mp.exp,
    p.log_p: mp.log,
    p.log1p_p: lambda x: mp.log(1 + x),
    p.expm1_p: lambda x: mp.exp(x) - 1,
    p.sqrt_p: mp.sqrt,
    p.rsqrt_p: lambda x: 1 / mp.sqrt(x),
    p.square_p: lambda x: x * x,
    p.sin_p: mp.sin,
    p.cos_p: mp.cos,
    p.tan_p: mp.tan,
    p.asin_p: mp.asin,
    p.acos_p: mp.acos,
    p.atan_p: mp.atan,
    p.sinh_p: mp.sinh,
    p.cosh_p: mp.cosh,
    p.tanh_p: mp.tanh,
    p.asinh_p: mp.asinh,
    p.acosh_p: mp.acosh,
    p.atanh_p: mp.atanh,
    p.logistic_p: _logistic,
    p.erf_p: mp.erf,
    p.erfc_p: mp.erfc,
    p.pow_p: operator.pow,
    p.lt_p: operator.lt,
    p.le_p: operator.le,
    p.gt_p: operator.gt,
    p.ge_p: operator.ge,
    p.eq_p: operator.eq,
    p.ne_p: operator.ne,
    p.and_p: lambda a, b: a and b,
    p.or_p: lambda a, b: a or b,
    p.not_p: operator.not_,
    p.select_n_p: _select,
    p.clamp_p: lambda low, x, high: min(max(x, low), high),
    p.real_p: lambda x: x,
    p.is_finite_p: mp.isfinite,
}
_SAME = {p.convert_element_type_p, p.broadcast_in_dim_p, p.copy_p, p.reshape_p, p.squeeze_p}


def slope(f: Callable[[Any], Any], x: float, digits: int = DIGITS) -> float:
    """f′(x) of an element-wise ``f``, rounded once; ``f`` is traced at a float64 scalar.

    Raises Unreadable, naming the primitive, if ``f`` has an operation without a meaning here.
    """
    program = functools.partial(evaluated, traced(f))
    # enough digits that neither an e^(−|x|) beside a 1 nor a difference cancels
    digits += int(abs(x))
    with mpmath.workdps(digits):
        found = mp.diff(program, mp.mpf(x))
    with mpmath.workdps(digits + digits // 4):
        finer = mp.diff(program, mp.mpf(x))
    # at a slope of zero there remains what the step leaves, h² f‴(x), which another step changes
    return float(found) if abs(found - finer) <= 1e-20 * abs(found) else 0.0


def value(f: Callable[[Any], Any], x: float, digits: int = DIGITS) -> float:
    """f(x), likewise."""
    with mpmath.workdps(digits + int(abs(x))):
        return float(evaluated(traced(f), mp.mpf(x)))


def traced(f: Callable[[Any], Any]) -> Any:
    """The program of ``f`` at a float64 scalar."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        return jax.make_jaxpr(f)(jax.ShapeDtypeStruct((), jnp.float64))


def evaluated(program: Any, x: Any) -> Any:
    """The program's value at an mpmath number."""
    return _run(program.jaxpr, program.consts, [x])[0]


def _run(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    known: dict[Any, Any] = dict(zip(jaxpr.invars, args, strict=True))
    known.update(zip(jaxpr.constvars, map(_number, consts), strict=True))

    def read(atom: Any) -> Any:
        return _number(atom.val) if isinstance(atom, Literal) else known[atom]

    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        known.update(zip(eqn.outvars, _apply(eqn, operands), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(eqn: Any, operands: list[Any]) -> list[Any]:
    if eqn.primitive in _SAME:
        return operands[:1]
    if eqn.primitive is p.integer_pow_p:
        return [operands[0] ** eqn.params["y"]]
    if eqn.primitive in _MEANING:
        return [_MEANING[eqn.primitive](*operands)]
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    if inner is None:
        raise Unreadable(f"the primitive `{eqn.primitive.name}` has no meaning here")
    return _run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands)


def _number(constant: Any) -> Any:
    number = np.asarray(constant).item()
    return number if isinstance(number, bool) else mp.mpf(number)
