"""Functions of JAX that are known as a whole, by what they trace to; their names only say which to compare with."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmc.symbolic.algebra import ONE, add, negated, product, scale, times
from jmc.symbolic.functions import apply
from jmc.symbolic.operators import inverse
from jmc.symbolic.tensor import Op, Tensor, constant

Known = Callable[..., Sequence[Tensor | None]]


def _solve(A: Tensor, b: Tensor) -> list[Tensor]:
    rest = tuple(range(2, len(b.shape) + 1))
    dims = {0: A.shape[0], 1: A.shape[1]} | dict(zip(rest, b.shape[1:], strict=True))
    return [product(ONE, [(inverse(A), (0, 1)), (b, (1, *rest))], (0, *rest), dims)]


def _logaddexp(a: Tensor, b: Tensor) -> list[Tensor]:
    if constant(b) == 0:
        return [apply("softplus", a)]
    if constant(a) == 0:
        return [apply("softplus", b)]
    return [add([a, apply("softplus", add([b, negated(a)]))])]


def _cholesky_solve(L: Tensor, b: Tensor) -> list[Tensor] | None:
    return _solve(L.args[0], b) if isinstance(L, Op) and L.name == "cholesky" else None


def _gelu(x: Tensor) -> list[Tensor]:
    return [times(x, apply("Phi", x))]


# The name that a nested call has, the function to compare it with, what it is as a formula.
LIBRARY: dict[str, list[tuple[Callable[..., Any], Callable[..., Sequence[Tensor | None] | None]]]] = {
    "inv": [(jnp.linalg.inv, lambda A: [inverse(A)])],
    "solve": [(jnp.linalg.solve, _solve)],
    "det": [(jnp.linalg.det, lambda A: [Op((), "det", (A,))])],
    "slogdet": [(jnp.linalg.slogdet, lambda A: [Op((), "sign of det", (A,)), Op((), "logdet", (A,))])],
    "cholesky": [(jnp.linalg.cholesky, lambda A: [Op(A.shape, "cholesky", (A,))])],
    "expm": [(jax.scipy.linalg.expm, lambda A: [Op(A.shape, "expm", (A,))])],
    "_cho_solve": [(lambda L, b: jax.scipy.linalg.cho_solve((L, True), b), _cholesky_solve)],
    "logaddexp": [(jnp.logaddexp, _logaddexp)],
    "diagonal": [(jnp.diagonal, lambda A: [product(ONE, [(A, (0, 0))], (0,), {0: A.shape[0]})])],
    "silu": [(jax.nn.silu, lambda x: [times(x, apply("sigmoid", x))])],
    "xlogy": [(jax.scipy.special.xlogy, lambda x, y: [times(x, apply("log", y))])],
}


def recognised(eqn: Any, args: Sequence[Tensor]) -> Sequence[Tensor | None] | None:
    """The results of a nested call as formulas, if it is a known function."""
    debug = getattr(getattr(eqn.params.get("call_jaxpr"), "jaxpr", None), "debug_info", None)
    name = eqn.params.get("name") or getattr(debug, "func_name", "").partition(" ")[0]
    for f, formula in LIBRARY.get(name, []):
        avals = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in eqn.invars]
        try:
            closed = jax.make_jaxpr(f)(*avals)
        except (TypeError, ValueError):
            continue
        outer = closed.jaxpr.eqns[-1] if closed.jaxpr.eqns else None
        if outer is not None and outer.primitive is eqn.primitive and program(outer) == program(eqn):
            square = all(len(arg.shape) == 2 for arg in args[:1]) or not f.__module__.endswith("linalg")
            found = formula(*args) if square else None
            if found is not None:
                return found
    return None


def program(eqn: Any) -> str:
    """The program that an equation calls, as text: two that are the same do the same."""
    inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    return str(inner)


__all__ = ["LIBRARY", "recognised", "scale"]
