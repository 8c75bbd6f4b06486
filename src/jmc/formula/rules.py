"""The catalogue's functions as formulas: some by name, the others by what their primals do."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jmc.catalogue import marker
from jmc.catalogue.registry import rules
from jmc.formula.algebra import times
from jmc.formula.functions import FUNCTIONS, apply
from jmc.formula.operators import logsumexp, softmax
from jmc.formula.tensor import Op, Tensor

if TYPE_CHECKING:
    from jmc.formula.operations import Pair
    from jmc.formula.read import Reader

NAMED: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "logsumexp": logsumexp,
    "log_softmax": lambda z: Op(z.shape, "log_softmax", (z,)),
    "identity": lambda x: x,
    "gelu": lambda x: times(x, apply("Phi", x)),
    "mish": lambda x: times(x, apply("tanh", apply("softplus", x))),
    "silu": lambda x: times(x, apply("sigmoid", x)),
}


def _layer_norm(x: jax.Array, gamma: jax.Array, beta: jax.Array, eps: float) -> jax.Array:
    return gamma * (x - jnp.mean(x, -1, keepdims=True)) / jnp.sqrt(jnp.var(x, -1, keepdims=True) + eps) + beta


# Primals that are written for accuracy, as they are written on paper.
PLAIN: dict[str, Callable[..., Any]] = {
    "softmax_cross_entropy": lambda x, t: -jnp.mean(jnp.sum(t * jax.nn.log_softmax(x), axis=-1)),
    "binary_cross_entropy": lambda z, y: jnp.mean(jax.nn.softplus(z) - y * z),
    "log_cosh": lambda a, y: jnp.mean(jnp.log(jnp.cosh(a - y))),
    "layer_norm": _layer_norm,
    "rms_norm": lambda x, gamma, eps: gamma * x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps),
}


def as_formula(reader: "Reader", pair: "Pair", args: Sequence[Tensor]) -> list[Tensor]:
    """The value of a rule's primal."""
    rule, precision = pair.one.params["rule"], pair.one.params["precision"]
    name = rule.name if rule.name in rules and rules[rule.name] is rule else ""
    if name in NAMED:
        return [NAMED[name](*args)]
    if name in FUNCTIONS and len(args) == 1:
        return [apply(name, *args)]
    f = marker.primal(rule, precision)
    if name in PLAIN:
        f = functools.partial(PLAIN[name], **rule.options)
    one, other = (
        jax.make_jaxpr(f)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars))
        for eqn in (pair.one, pair.other)
    )
    return reader.closed(one, other, args)
