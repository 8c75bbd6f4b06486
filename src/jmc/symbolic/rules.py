"""The catalogue's functions as formulas: some by name, the others by what their primals do."""

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jmc.catalogue import algebra, classification, marker, penalty, stable
from jmc.catalogue.registry import rules
from jmc.symbolic.algebra import ONE, add, full, negated, power, product, repeated, times
from jmc.symbolic.functions import FUNCTIONS, apply
from jmc.symbolic.indexing import onehot
from jmc.symbolic.operators import logsumexp, softmax
from jmc.symbolic.tensor import Op, Tensor

if TYPE_CHECKING:
    from jmc.symbolic.operations import Pair
    from jmc.symbolic.read import Reader

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


def _exponentials(z: Tensor) -> list[Tensor]:
    labels = tuple(range(len(z.shape)))
    top = Op(z.shape[:-1], "max", (z,))
    e = apply("exp", add([z, negated(repeated(top, z.shape, labels[:-1]))]))
    total = product(ONE, [(e, labels)], labels[:-1], dict(enumerate(z.shape)))
    return [top, e, add([total, full(-1, total.shape)])]


# Primals that are written for accuracy, as they are written on paper.
PLAIN: dict[str, Callable[..., Any]] = {
    "softmax_cross_entropy": lambda x, t: -jnp.mean(jnp.sum(t * jax.nn.log_softmax(x), axis=-1)),
    "binary_cross_entropy": lambda z, y: jnp.mean(jax.nn.softplus(z) - y * z),
    "log_cosh": lambda a, y: jnp.mean(jnp.log(jnp.cosh(a - y))),
    "layer_norm": _layer_norm,
    "rms_norm": lambda x, gamma, eps: gamma * x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps),
}


def _softmax_minus_target(x: Tensor, t: Tensor) -> list[Tensor]:
    labels, dims = tuple(range(len(x.shape))), dict(enumerate(x.shape))
    total = product(ONE, [(t, labels)], labels[:-1], dims)
    return [add([product(ONE, [(total, labels[:-1]), (softmax(x), labels)], labels, dims), negated(t)])]


def _norms(w: Tensor) -> list[Tensor]:
    labels, dims = tuple(range(len(w.shape))), dict(enumerate(w.shape))
    return [power(product(ONE, [(power(w, 2), labels)], labels[:-1], dims), Fraction(1, 2))]


def _directions(w: Tensor) -> list[Tensor]:
    labels, dims = tuple(range(len(w.shape))), dict(enumerate(w.shape))
    over = power(_norms(w)[0], -1)
    return [product(ONE, [(over, labels[:-1]), (w, labels)], labels, dims), over]


# What helpers of the catalogue compute, of the arrays that they use in the order of their first use.
HELPERS: dict[Callable[..., Any], Callable[..., Sequence[Tensor]]] = {
    stable.logistic_density: lambda x: [times(apply("sigmoid", x), apply("cosigmoid", x))],
    stable.sech2: lambda x: [apply("sech2", x)],
    stable.normal_density: lambda x: [apply("phi", x)],
    stable.normal_cdf: lambda x: [apply("Phi", x)],
    stable.magnitude: lambda x: [apply("abs", x)],
    stable.log1p_exp: lambda x: [apply("softplus", x)],
    stable.log_cosh: lambda x: [apply("log", apply("cosh", x))],
    stable.hypotenuse: lambda x, square: [power(add([power(x, 2), square]), Fraction(1, 2))],
    stable.log_softmax: lambda x: [Op(x.shape, "log_softmax", (x,))],
    stable.logsumexp: lambda x: [logsumexp(x)],
    stable.exponentials: _exponentials,
    algebra.expm: lambda X: [Op(X.shape, "expm", (X,))],
    classification.softmax_minus_target: _softmax_minus_target,
    penalty.row_norm: _norms,
    penalty.direction: _directions,
    classification.softmax_minus_label: lambda x, y: [add([softmax(x), negated(onehot(y, x.shape[-1]))])],
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


def on_paper(rule: Any) -> Callable[..., Any]:
    """The primal as it is written on paper: that of the code, but where that is written for accuracy."""
    plain = PLAIN.get(rule.name) if rules.get(rule.name) is rule else None
    return rule.f if plain is None else functools.partial(plain, **rule.options)
