"""Normalisation: layers that centre or scale their input by its own statistics, over one axis, a group or the batch.

All are y = γ ⊗ x̂ + β with x̂ = (x − μ)/σ over some axes of N entries, and share one derivative,
∂y/∂x = γ/σ (I − 11ᵀ/N − x̂x̂ᵀ/N), as a vjp (ĝ − mean ĝ − x̂ mean ĝx̂)/σ with ĝ = γ ⊗ g; exact with ε, since
σ = √(var + ε) is in x̂ as well. Where nothing is centred, the term of the mean is missing.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import rule
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


def _normalized(x: jax.Array, axes: tuple[int, ...], eps: float, centred: bool = True) -> tuple[jax.Array, jax.Array]:
    """x̂ and σ, which keeps its axes; x is scaled before it is squared, so that no square overflows."""
    if centred:
        x = x - jnp.mean(x, axes, keepdims=True)
    floor = jnp.asarray(math.sqrt(eps), x.real.dtype)
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x.real), axes, keepdims=True, initial=0))
    scale = jnp.where(scale > floor, scale, jnp.where(floor > 0, floor, 1)).astype(x.dtype)
    sigma = scale * jnp.sqrt(jnp.mean(jnp.square(x / scale), axes, keepdims=True) + jnp.square(floor / scale))
    return x / sigma, sigma


def _pulled(g: jax.Array, x: jax.Array, axes: tuple[int, ...], eps: float, centred: bool = True) -> jax.Array:
    """The cotangent of x from that of x̂."""
    xhat, sigma = _normalized(x, axes, eps, centred)
    g = g - xhat * jnp.mean(g * xhat, axes, keepdims=True)
    return (g - jnp.mean(g, axes, keepdims=True) if centred else g) / sigma


def _like(parameter: jax.Array, x: jax.Array, axis: int = -1) -> jax.Array:
    """A parameter of one axis, laid along that axis of x."""
    return jnp.broadcast_to(jnp.expand_dims(parameter, [d for d in range(x.ndim) if d != axis % x.ndim]), x.shape)


def _summed(g: jax.Array, axis: int = -1) -> jax.Array:
    """The sum over all axes but one: the cotangent of what was laid along it."""
    return jnp.sum(g, [d for d in range(g.ndim) if d != axis % g.ndim])


def _rows(gamma: jax.Array, x: jax.Array, eps: float, centred: bool) -> LinearMap:
    """∂y/∂x of a normalisation over the last axis, γ of the shape of x: a block for each row."""
    xhat, sigma = _normalized(x, (-1,), eps, centred)
    a = gamma / sigma
    b = a / max(x.shape[-1], 1)
    J = build.diagonal(a) - einsum("...i,...j->...i,...j", b * xhat, xhat)
    return J - einsum("...i->...i,...j", b, sizes={"j": x.shape[-1]}) if centred else J


def _scales(x: jax.Array, eps: float, centred: bool = True) -> LinearMap:
    """∂y/∂γ = diag(x̂), one below the other."""
    return einsum("...i->...i,i", _normalized(x, (-1,), eps, centred)[0])


def _shifts(x: jax.Array) -> LinearMap:
    """∂y/∂β = I, one below the other."""
    return einsum("->...i,i", sizes={"...": x.shape[:-1], "i": x.shape[-1]})


@rule(
    jacobian={
        "x": lambda x, gamma, beta, *, eps: _rows(_like(gamma, x), x, eps, centred=True),
        "gamma": lambda x, gamma, beta, *, eps: _scales(x, eps),
        "beta": lambda x, gamma, beta: _shifts(x),
    },
    vjp={
        "x": lambda g, y, x, gamma, beta, *, eps: _pulled(_like(gamma, x) * g, x, (-1,), eps),
        "gamma": lambda g, y, x, gamma, beta, *, eps: _summed(g * _normalized(x, (-1,), eps)[0]),
        "beta": lambda g, y, x, gamma, beta: _summed(g),
    },
    ids="L-layernorm",
    source="Ba, Kiros & Hinton, arXiv 1607.06450: ∂y/∂x = diag(γ)(I − 11ᵀ/d − x̂x̂ᵀ/d)/σ",
    analytic=True,
)
def layer_norm(
    x: Float[Array, "*n d"], gamma: Float[Array, " d"], beta: Float[Array, " d"], *, eps: float = 1e-5
) -> Float[Array, "*n d"]:
    """y = γ ⊗ x̂ + β with x̂ = (x − μ)/√(var + ε) over the last axis, var = mean (x − μ)².

    ∂y/∂x = diag(γ)(I − 11ᵀ/d − x̂x̂ᵀ/d)/σ for each row, ∂y/∂γ = diag(x̂), ∂y/∂β = I. A constant row gives β.

    Args:
        x: (*n, d), any leading axes.
        gamma: γ, (d,).
        beta: β, (d,).
        eps: ε > 0, a constant.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return _like(gamma, x) * _normalized(x, (-1,), eps)[0] + _like(beta, x)


@rule(
    jacobian={
        "x": lambda x, gamma, *, eps: _rows(_like(gamma, x), x, eps, centred=False),
        "gamma": lambda x, gamma, *, eps: _scales(x, eps, centred=False),
    },
    vjp={
        "x": lambda g, y, x, gamma, *, eps: _pulled(_like(gamma, x) * g, x, (-1,), eps, centred=False),
        "gamma": lambda g, y, x, gamma, *, eps: _summed(g * _normalized(x, (-1,), eps, centred=False)[0]),
    },
    ids={"x": "L-rmsnorm"},
    source="Zhang & Sennrich, arXiv 1910.07467: ∂y/∂x = diag(γ)(I − x̂x̂ᵀ/d)/r",
    analytic=True,
)
def rms_norm(x: Float[Array, "*n d"], gamma: Float[Array, " d"], *, eps: float = 1e-6) -> Float[Array, "*n d"]:
    """y = γ ⊗ x̂ with x̂ = x/r, r = √(mean x² + ε) over the last axis.

    ∂y/∂x = diag(γ)(I − x̂x̂ᵀ/d)/r for each row, ∂y/∂γ = diag(x̂). x: (*n, d), γ: (d,), ε > 0 a constant; errors as
    in :func:`layer_norm`.
    """
    return _like(gamma, x) * _normalized(x, (-1,), eps, centred=False)[0]


def _columns(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _over_batch(x: jax.Array, gamma: jax.Array, eps: float) -> LinearMap:
    """∂y/∂x of a normalisation over all axes but the last: a block for each feature."""
    xhat, sigma = _normalized(x, _columns(x), eps)
    a = gamma / sigma.reshape(gamma.shape)
    b = a / max(math.prod(x.shape[:-1]), 1)
    n, m = "NOPQRST"[: x.ndim - 1], "nopqrst"[: x.ndim - 1]
    sizes = dict(zip(n + m, x.shape[:-1] * 2, strict=True))
    return (
        einsum(f"d->{n}d,{n}d", a, sizes=sizes)
        - einsum(f"d->{n}d,{m}d", b, sizes=sizes)
        - einsum(f"d,{n}d,{m}d->{n}d,{m}d", b, xhat, xhat)
    )


@rule(
    jacobian={
        "x": lambda x, gamma, beta, *, eps: _over_batch(x, gamma, eps),
        "gamma": lambda x, gamma, beta, *, eps: einsum("...d->...d,d", _normalized(x, _columns(x), eps)[0]),
        "beta": lambda x, gamma, beta: _shifts(x),
    },
    vjp={
        "x": lambda g, y, x, gamma, beta, *, eps: _pulled(_like(gamma, x) * g, x, _columns(x), eps),
        "gamma": lambda g, y, x, gamma, beta, *, eps: _summed(g * _normalized(x, _columns(x), eps)[0]),
        "beta": lambda g, y, x, gamma, beta: _summed(g),
    },
    ids="L-batchnorm",
    source="Ioffe & Szegedy, arXiv 1502.03167, in one line: x̄ = γ/σ (g − mean g − x̂ mean gx̂)",
    analytic=True,
)
def batch_norm(
    x: Float[Array, "*b d"], gamma: Float[Array, " d"], beta: Float[Array, " d"], *, eps: float = 1e-5
) -> Float[Array, "*b d"]:
    """y = γ ⊗ x̂ + β, training: x̂ = (x − μ)/√(var + ε), statistics per feature (the last axis) over all others.

    ∂y/∂x = γ/σ (I − 11ᵀ/N − x̂x̂ᵀ/N) for each feature, ∂y/∂γ = x̂, ∂y/∂β = 1; var = mean (x − μ)², of N entries
    each. x: (*b, d), γ and β: (d,), ε > 0 a constant; errors as in :func:`layer_norm`.
    """
    return _like(gamma, x) * _normalized(x, _columns(x), eps)[0] + _like(beta, x)


def _standardized(x: jax.Array, mean: jax.Array, var: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """x̂ and 1/σ, of given statistics."""
    rate = jax.lax.rsqrt(var + eps)
    return (x - _like(mean, x)) * _like(rate, x), rate


def _per_feature(x: jax.Array, a: jax.Array) -> LinearMap:
    """diag(a), one below the other."""
    return einsum("d->...d,d", a, sizes={"...": x.shape[:-1]})


@rule(
    jacobian={
        "x": lambda x, gamma, beta, mean, var, *, eps: einsum(
            "d->...d,...d", gamma * jax.lax.rsqrt(var + eps), sizes={"...": x.shape[:-1]}
        ),
        "gamma": lambda x, gamma, beta, mean, var, *, eps: einsum("...d->...d,d", _standardized(x, mean, var, eps)[0]),
        "beta": lambda x, gamma, beta, mean, var: _shifts(x),
        "mean": lambda x, gamma, beta, mean, var, *, eps: -_per_feature(x, gamma * jax.lax.rsqrt(var + eps)),
        "var": lambda x, gamma, beta, mean, var, *, eps: einsum(
            "...d,d->...d,d", _standardized(x, mean, var, eps)[0], -gamma / (2 * (var + eps))
        ),
    },
    ids={"x": "L-batchnorm-eval"},
    source="∂y/∂x = diag(γ/√(var + ε))",
    analytic=True,
    domain={"var": "positive"},
)
def batch_norm_inference(
    x: Float[Array, "*n d"],
    gamma: Float[Array, " d"],
    beta: Float[Array, " d"],
    mean: Float[Array, " d"],
    var: Float[Array, " d"],
    *,
    eps: float = 1e-5,
) -> Float[Array, "*n d"]:
    """y = γ ⊗ (x − μ)/√(var + ε) + β, inference: with given (running) statistics μ and var per feature, (d,) each.

    ∂y/∂x = diag(γ/√(var + ε)) for each row, ∂y/∂μ = −∂y/∂x, ∂y/∂var = −γ ⊗ x̂/2(var + ε); errors as in
    :func:`layer_norm`.
    """
    return _like(gamma, x) * _standardized(x, mean, var, eps)[0] + _like(beta, x)


def _grouped(x: jax.Array, groups: int) -> jax.Array:
    """(n, c, *s) as (n, groups, c/groups, *s)."""
    channels = x.shape[1]
    if groups < 1 or channels % groups:
        raise ValueError(f"`groups` of group_norm must divide the {channels} channels of `x`, but got {groups}")
    return x.reshape(x.shape[0], groups, channels // groups, *x.shape[2:])


def _in_groups(x: jax.Array, groups: int, eps: float) -> jax.Array:
    """x̂, in the shape of x."""
    grouped = _grouped(x, groups)
    return _normalized(grouped, tuple(range(2, grouped.ndim)), eps)[0].reshape(x.shape)


def _pulled_in_groups(g: jax.Array, x: jax.Array, groups: int, eps: float) -> jax.Array:
    grouped = _grouped(x, groups)
    return _pulled(g.reshape(grouped.shape), grouped, tuple(range(2, grouped.ndim)), eps).reshape(x.shape)


def _over_groups(x: jax.Array, gamma: jax.Array, groups: int, eps: float) -> LinearMap:
    """∂y/∂x: a block for each example and group."""
    grouped = _grouped(x, groups)
    xhat, sigma = _normalized(grouped, tuple(range(2, grouped.ndim)), eps)
    a = _like(gamma, x, 1).reshape(grouped.shape) / sigma
    b = a / max(math.prod(grouped.shape[2:]), 1)
    s, t = "STUVW"[: x.ndim - 2], "stuvw"[: x.ndim - 2]
    axes = f"n(gk){s},n(gj){t}"
    return (
        einsum("ngk...->n(gk)...,n(gk)...", a)
        - einsum(f"ngk{s}->{axes}", b, sizes=dict(zip(f"j{t}", grouped.shape[2:], strict=True)))
        - einsum(f"ngk{s},ngj{t}->{axes}", b * xhat, xhat)
    )


@rule(
    jacobian={
        "x": lambda x, gamma, beta, *, groups, eps: _over_groups(x, gamma, groups, eps),
        "gamma": lambda x, gamma, beta, *, groups, eps: einsum("nc...->nc...,c", _in_groups(x, groups, eps)),
        "beta": lambda x, gamma, beta: einsum(
            "->nc...,c", sizes={"n": x.shape[0], "c": x.shape[1], "...": x.shape[2:]}
        ),
    },
    vjp={
        "x": lambda g, y, x, gamma, beta, *, groups, eps: _pulled_in_groups(_like(gamma, x, 1) * g, x, groups, eps),
        "gamma": lambda g, y, x, gamma, beta, *, groups, eps: _summed(g * _in_groups(x, groups, eps), 1),
        "beta": lambda g, y, x, gamma, beta: _summed(g, 1),
    },
    source="Wu & He, arXiv 1803.08494: the derivative of layer norm, for each example and group of channels",
    analytic=True,
    small={"N": 2, "c": 6, "*s": 3},
    options={"groups": 2},
)
def group_norm(
    x: Float[Array, "N c *s"], gamma: Float[Array, " c"], beta: Float[Array, " c"], *, groups: int, eps: float = 1e-5
) -> Float[Array, "N c *s"]:
    """y = γ ⊗ x̂ + β, x̂ normalised over the channels of a group and all positions, for each example.

    Args:
        x: (N, c, *s), channels first, s the positions.
        gamma: γ, (c,).
        beta: β, (c,).
        groups: how many groups the channels form; 1 is layer norm over all, c is instance norm.
        eps: ε > 0, a constant.

    Raises:
        TypeError, ValueError: dtypes differ, shapes do not fit, or ``groups`` does not divide c.
    """
    return _like(gamma, x, 1) * _in_groups(x, groups, eps) + _like(beta, x, 1)


def _per_entry(g: jax.Array, v: jax.Array) -> jax.Array:
    """γ with g v/‖v‖ = γ ⊗ v̂, where v̂ has mean square 1."""
    return jnp.broadcast_to(g[..., None] / math.sqrt(max(v.shape[-1], 1)), v.shape)


def _direction(v: jax.Array) -> jax.Array:
    """v/‖v‖."""
    return _normalized(v, (-1,), 0, centred=False)[0] / math.sqrt(max(v.shape[-1], 1))


@rule(
    jacobian={
        "v": lambda v, g: _rows(_per_entry(g, v), v, 0, centred=False),
        "g": lambda v, g: einsum("...i->...i,...", _direction(v)),
    },
    vjp={
        "v": lambda u, w, v, g: _pulled(_per_entry(g, v) * u, v, (-1,), 0, centred=False),
        "g": lambda u, w, v, g: jnp.sum(u * _direction(v), -1),
    },
    ids="L-weightnorm",
    source="Salimans & Kingma, arXiv 1602.07868: ∂w/∂v = g/‖v‖ (I − v̂v̂ᵀ), ∂w/∂g = v̂",
    conditions="v ≠ 0",
    analytic=True,
)
def weight_norm(v: Float[Array, "*m d"], g: Float[Array, "*m"]) -> Float[Array, "*m d"]:
    """w = g v/‖v‖ for each row of v: weights by direction and length. Not defined at v = 0, where it is nan.

    ∂w/∂v = g/‖v‖ (I − v̂v̂ᵀ), ∂w/∂g = v̂ = v/‖v‖. v: (*m, d), g: (*m); errors as in :func:`layer_norm`.
    """
    return g[..., None] * _direction(v)
