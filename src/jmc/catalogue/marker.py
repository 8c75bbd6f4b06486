"""The primitive by which a rule survives tracing: `jmc_rule[rule=…]` in a jaxpr.

To JAX it is its primal: it compiles to the same code, and `jax.grad` or `jax.jvp` through it differentiate the
primal with JAX's own rules, so that JAX stays an independent oracle for the closed form. To jmc it names the
rule, by identity, wherever the traced program goes: under jit, vmap, scan or shard_map.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from jmc.catalogue.record import Rule

primitive = Primitive("jmc_rule")


def bind(rule: "Rule", args: Sequence[jax.Array]) -> jax.Array:
    """The value of ``rule``'s primal at ``args``, marked as the rule's.

    The primal may be traced long after: the matmul precision in force now goes along.
    """
    return primitive.bind(*args, rule=rule, precision=jax.config.values["jax_default_matmul_precision"])


@functools.cache
def primal(rule: "Rule", precision: str | None) -> Callable[..., jax.Array]:
    """The rule's primal at the given default matmul precision."""
    return at(precision, rule.f)


def at(precision: str | None, f: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """``f`` at the given default matmul precision."""
    if precision is None:
        return f

    def precise(*args: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(precision):
            return f(*args)

    return precise


@functools.cache
def _jitted(rule: "Rule", precision: str | None) -> Callable[..., jax.Array]:
    return jax.jit(primal(rule, precision))


@primitive.def_impl
def _impl(*args: jax.Array, rule: "Rule", precision: str | None) -> jax.Array:
    return _jitted(rule, precision)(*args)


@primitive.def_abstract_eval
def _abstract_eval(*avals: Any, rule: "Rule", precision: str | None) -> Any:
    # Not eval_shape: it loses the axes over which a value varies inside shard_map.
    (out,) = jax.make_jaxpr(primal(rule, precision))(*avals).out_avals
    return out


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, rule: "Rule", precision: str | None) -> tuple[Any, Any]:
    moving = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

    def restricted(*moved: Any) -> Any:
        args = list(primals)
        for i, arg in zip(moving, moved, strict=True):
            args[i] = arg
        return primal(rule, precision)(*args)

    return jax.jvp(restricted, [primals[i] for i in moving], [tangents[i] for i in moving])


def _batch(args: Sequence[Any], axes: Sequence[Any], *, rule: "Rule", precision: str | None) -> tuple[Any, int]:
    if rule.derivative is not None and all(axis is None for axis in axes[1:]):
        return primitive.bind(*args, rule=rule, precision=precision), axes[0]
    mapped = [axis is not None for axis in axes]
    if rule.examples and mapped == [parameter.axes[:1] == ("*n",) for parameter in rule.parameters]:
        # any leading axes: one more is nothing new
        moved = [arg if axis is None else jnp.moveaxis(arg, axis, 0) for arg, axis in zip(args, axes, strict=True)]
        return primitive.bind(*moved, rule=rule, precision=precision), 0
    return primitive.bind(*args, rule=_vmapped(rule, tuple(axes)), precision=precision), 0


@functools.cache
def _vmapped(rule: "Rule", axes: tuple[int | None, ...]) -> "Rule":
    """The rule of ``jax.vmap(rule.f, axes)``: an argument that is shared collects from every example."""

    def vjp(i: int) -> Callable[..., jax.Array]:
        axis = axes[i]
        batched = jax.vmap(functools.partial(rule.vjp, i), (0, 0, *axes), 0 if axis is None else axis)
        # one program, so that the examples' cotangents need not all exist before they are summed
        return batched if axis is not None else jax.jit(lambda *args: batched(*args).sum(0))

    vjps = tuple(vjp(i) if i in rule.argnums else None for i in range(len(axes)))
    nothing = (None,) * len(axes)
    f = jax.vmap(rule.f, axes)
    return dataclasses.replace(rule, f=f, vjps=vjps, derivative=None, jacobians=nothing, examples=False)


def _lowered(*args: Any, rule: "Rule", precision: str | None) -> Any:
    return primal(rule, precision)(*args)


ad.primitive_jvps[primitive] = _jvp
batching.primitive_batchers[primitive] = _batch
mlir.register_lowering(primitive, mlir.lower_fun(_lowered, multiple_results=False))
