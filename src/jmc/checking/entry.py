"""`check` and `assert_derivative`: the public way in."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jmc.catalogue.record import Rule
from jmc.checking import proof
from jmc.checking.hypotheses import Finding
from jmc.checking.primal import has_own_rule, stripped
from jmc.checking.problem import MODES, problem
from jmc.checking.verify import verified


def check(
    f: Callable[..., Any] | Rule,
    *args: Any,
    grad: Callable[..., Any] | None = None,
    jacobian: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None,
    argnums: Any = 0,
    points: int = proof.POINTS,
    seed: int = 0,
) -> Any:
    """Is a hand-derived derivative right, and if not, what is the mistake?

    ::

        report = jmc.check(loss, w, x, grad=my_gradient)
        report.verdict            # "wrong"
        report.findings[0].kind   # "missing_factor"

    The rule is asked at the given arguments, at fresh ones, at other sizes where the function takes them, and at edges
    (0, ties, ±40), in its own precision and in float64. The truth are forward and reverse AD, differences and complex
    steps that agree.

    Args:
        f: a function of pytrees of arrays; or a rule of ``jmc.rules``, which is then proved (``points`` of its domain).
        args: where: arrays, pytrees of them, or ``jax.ShapeDtypeStruct`` for shapes at which points are drawn.
        grad: the rule, like ``jax.grad(f, argnums)``.
        jacobian: like ``jax.jacobian(f, argnums)``: arrays or LinearMaps.
        hessian: like ``jax.hessian(f, argnums)``, likewise.
        vjp: ``(args, cotangent) -> `` a tuple with a cotangent for each argument, None where nothing is claimed.
        jvp: ``(args, tangents) -> tangent`` of the value.
        argnums: which arguments ``grad``, ``jacobian`` and ``hessian`` differentiate.
        points: how many points of a rule's domain.
        seed: what drawn points depend on.

    Exactly one of the keywords holds the rule; with none, the rule that ``f`` carries (custom_jvp, custom_vjp) is held
    to its primal.

    Returns:
        A Report; of a rule of the catalogue, a Proof.

    Raises:
        TypeError: several rules are given, or none and ``f`` carries none; an argument is traced, or is no array.
        ValueError: ``argnums`` does not fit.
    """
    given = {"grad": grad, "jacobian": jacobian, "hessian": hessian, "vjp": vjp, "jvp": jvp}
    stated = [mode for mode, rule in given.items() if rule is not None]
    if isinstance(f, Rule):
        if args or stated:
            raise TypeError("`f` is a rule of the catalogue, which is checked by itself: `jmc.check(rule)`")
        return proof.check(f, points, seed)
    if not callable(f):
        raise TypeError(f"`f` must be a function or a rule of jmc.rules, but got {type(f).__name__}")
    if len(stated) > 1:
        raise TypeError(f"exactly one of {', '.join(MODES)} must hold the rule, but got {' and '.join(stated)}")
    if not args:
        raise TypeError("`args` must be the arguments of `f`, or their shapes as jax.ShapeDtypeStruct, but got none")
    arrays = jax.tree.map(_array, tuple(args))
    primal: Any = f
    jax.eval_shape(f, *jax.tree.map(_shape, arrays))  # it may not take them
    if stated:
        mode = stated[0]
        rule = given[mode]
    else:
        shapes = jax.tree.map(_shape, arrays)
        if not has_own_rule(f, shapes):
            raise TypeError(f"one of {', '.join(MODES)} must hold the rule, since `f` carries none of its own")
        mode, rule, primal = "vjp", _own(f), _named(stripped(f), f)
    flat = problem(primal, arrays, mode, rule, argnums)
    report = verified(flat, jax.tree.leaves(arrays), seed)
    if report.verdict == "wrong" and mode in ("jacobian", "hessian"):
        other = problem(primal, arrays, mode, rule, argnums, denominator=True)
        turned = verified(other, jax.tree.leaves(arrays), seed, named=False)
        if turned.verdict == "equal":
            text = "the rule is right in denominator layout: the axes of the argument stand before those of the value"
            turned.verdict, turned.findings = (
                "convention",
                [Finding("transposed_layout", flat.leaves[flat.moving[0]].argnum, text, 0.0)],
            )
            return turned
    return report


def assert_derivative(f: Callable[..., Any], *args: Any, **rule: Any) -> None:
    """:func:`check`, raising AssertionError with the report as its message unless the verdict is "equal".

    ``accept=("kink_convention", …)`` lets these conventions pass.
    """
    accept = rule.pop("accept", ())
    report = check(f, *args, **rule)
    if isinstance(report, proof.Proof):
        if not report.ok:
            raise AssertionError(str(report))
        return
    accepted = report.verdict == "convention" and {x.kind for x in report.findings} <= {*accept}
    if report.verdict != "equal" and not accepted:
        raise AssertionError(str(report))


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    """As JAX sees it, where 64 bits may not be enabled."""
    return jax.ShapeDtypeStruct(x.shape, jax.dtypes.canonicalize_dtype(x.dtype))


def _array(x: Any) -> Any:
    if isinstance(x, Tracer):
        raise TypeError("`args` must be arrays or jax.ShapeDtypeStruct, but got a traced value: check outside of jit")
    if isinstance(x, jax.ShapeDtypeStruct):
        return x
    found = np.asarray(x)
    if isinstance(x, (bool, int, float, complex)):
        found = np.asarray(jnp.asarray(x))
    if found.dtype.kind not in "biufc" and not jnp.issubdtype(found.dtype, jnp.inexact):
        raise TypeError(f"`args` must be arrays or jax.ShapeDtypeStruct, but got {type(x).__name__}")
    return found


def _own(f: Callable[..., Any]) -> Callable[..., Any]:
    """The rule that ``f`` carries, as a vjp."""

    def vjp(args: Any, cotangent: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        moving = [k for k, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.inexact)]

        def at(*moved: Any) -> Any:
            filled = list(leaves)
            for k, array in zip(moving, moved, strict=True):
                filled[k] = array
            return f(*jax.tree.unflatten(tree, filled))

        found: list[Any] = [None] * len(leaves)
        for k, array in zip(moving, jax.vjp(at, *[leaves[k] for k in moving])[1](cotangent), strict=True):
            found[k] = array
        return jax.tree.unflatten(tree, found)

    return vjp


def _named(g: Callable[..., Any], f: Callable[..., Any]) -> Callable[..., Any]:
    import functools

    return functools.wraps(f)(g)
