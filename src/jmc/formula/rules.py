"""The catalogue's functions as formulas: some by name, the others by what their primals do."""

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
    "silu": lambda x: times(x, apply("sigmoid", x)),
}
# Primals that are written for accuracy, as they are written on paper.
PLAIN: dict[str, Callable[..., Any]] = {
    "softmax_cross_entropy": lambda x, t: -jnp.mean(jnp.sum(t * jax.nn.log_softmax(x), axis=-1)),
    "binary_cross_entropy": lambda z, y: jnp.mean(jax.nn.softplus(z) - y * z),
}


def as_formula(reader: "Reader", pair: "Pair", args: Sequence[Tensor]) -> list[Tensor]:
    """The value of a rule's primal."""
    rule, precision = pair.one.params["rule"], pair.one.params["precision"]
    name = rule.name if rule.name in rules and rules[rule.name] is rule else ""
    if name in NAMED:
        return [NAMED[name](*args)]
    if name in FUNCTIONS and len(args) == 1:
        return [apply(name, *args)]
    f = PLAIN.get(name, marker.primal(rule, precision))
    one, other = (
        jax.make_jaxpr(f)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars))
        for eqn in (pair.one, pair.other)
    )
    return reader.closed(one, other, args)
