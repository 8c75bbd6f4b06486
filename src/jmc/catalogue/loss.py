"""Losses of regression: how far predictions a are from targets y, as a mean over all N entries."""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue import stable
from jmc.catalogue.algebra import inv, logdet, outer
from jmc.catalogue.batch import diagonal, flat, mean, share
from jmc.catalogue.rule import entry, rule
from jmc.linear import build
from jmc.linear.build import einsum


@rule(
    vjp={
        "prediction": mean(lambda a, y: 2 * (a - y)),
        "target": mean(lambda a, y: -2 * (a - y)),
    },
    second=lambda a, y: 2 * share(a) * build.identity(a.shape, a.dtype),
    source="The Matrix Calculus You Need For Deep Learning, §1 and §6",
    ids={"prediction": "L-mse"},
    analytic=True,
)
def mean_squared_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ (y − a)², no ½, over all N entries; ∂/∂a = (2/N)(a − y), the Hessian (2/N) I.

    ``prediction`` a and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(jnp.square(target - prediction))


@rule(
    vjp={
        "prediction": mean(lambda a, y: jnp.sign(a - y)),
        "target": mean(lambda a, y: jnp.sign(y - a)),
    },
    second=flat,
    small={"*n": 11},
    source="d|r|/dr = sign(r)",
    ids={"prediction": "L-mae"},
    kinks="a = y, where the derivative is 0",
)
def mean_absolute_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ |a − y| over all N entries; ∂/∂a = sign(a − y)/N, 0 where a = y.

    ``prediction`` a and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(stable.magnitude(prediction - target))


def _beyond(a: jax.Array, y: jax.Array, delta: jax.Array) -> jax.Array:
    """max(0, |a − y| − δ): how far a residual reaches into the linear part."""
    return jnp.maximum(jnp.abs(a - y) - delta, 0)


@rule(
    vjp={
        "prediction": mean(lambda a, y, delta: jnp.clip(a - y, -delta, delta)),
        "target": mean(lambda a, y, delta: jnp.clip(y - a, -delta, delta)),
        "delta": mean(lambda a, y, delta: jnp.sum(_beyond(a, y, delta))),
    },
    second=diagonal(lambda a, y, delta: (jnp.abs(a - y) <= delta).astype(a.dtype)),
    source="Huber (1964): ∂/∂r = clip(r, −δ, δ)",
    ids={"prediction": "L-huber"},
    kinks="|a − y| = δ, where the second derivative jumps and is 1/N",
    domain={"delta": "positive"},
)
def huber(
    prediction: Float[Array, "*n"], target: Float[Array, "*n"], delta: Float[Array, ""] = 1.0
) -> Float[Array, ""]:
    """(1/N) Σ h(a − y) with h(r) = r²/2 for |r| ≤ δ, δ(|r| − δ/2) beyond; ∂/∂a = clip(a − y, −δ, δ)/N.

    ``prediction`` a and ``target`` y have one shape and dtype, ``delta`` δ > 0 is a scalar; ∂/∂δ is the mean of
    max(0, |a − y| − δ), the Hessian diag(1[|a − y| ≤ δ])/N. Errors: ValueError, TypeError.
    """
    residual = prediction - target
    size = stable.magnitude(residual)
    return jnp.mean(jnp.where(size <= delta, jnp.square(residual) / 2, delta * (size - delta / 2)))


@rule(
    vjp={
        "prediction": mean(lambda a, y: jnp.tanh(a - y)),
        "target": mean(lambda a, y: jnp.tanh(y - a)),
    },
    second=diagonal(lambda a, y: stable.sech2(a - y)),
    source="(ln cosh)′ = tanh, (ln cosh)″ = sech²",
    ids={"prediction": "L-logcosh"},
    analytic=True,
)
def log_cosh(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ ln cosh(a − y); ∂/∂a = tanh(a − y)/N, the Hessian diag(sech²(a − y))/N.

    ``prediction`` a and ``target`` y have one shape and dtype; else ValueError or TypeError. No residual overflows.
    """
    return jnp.mean(stable.log_cosh(prediction - target))


def _above_and_below(a: jax.Array, y: jax.Array, tau: jax.Array) -> jax.Array:
    """1 − τ where a > y, −τ where a < y."""
    return jnp.where(a > y, 1 - tau, jnp.where(a < y, -tau, 0))


@rule(
    vjp={
        "prediction": mean(_above_and_below),
        "target": mean(lambda a, y, tau: -_above_and_below(a, y, tau)),
        "tau": mean(lambda a, y, tau: jnp.sum(y - a)),
    },
    second=flat,
    source="Koenker & Bassett (1978): ∂/∂a = 1[y < a] − τ",
    ids={"prediction": "L-quantile"},
    kinks="a = y, where the derivative is 0",
    domain={"tau": "unit"},
)
def quantile_loss(
    prediction: Float[Array, "*n"], target: Float[Array, "*n"], tau: Float[Array, ""]
) -> Float[Array, ""]:
    """(1/N) Σ max(τ r, (τ − 1) r) with r = y − a, least at the τ-quantile; ∂/∂a = (1[y < a] − τ)/N, 0 where a = y.

    ``prediction`` a and ``target`` y have one shape and dtype, ``tau`` τ in [0, 1] is a scalar; ∂/∂τ is the mean of r.
    Errors: ValueError, TypeError.
    """
    return jnp.mean((prediction - target) * _above_and_below(prediction, target, tau))


@rule(
    vjp={
        "log_rate": mean(lambda z, y: jnp.exp(z) - y),
        "target": mean(lambda z, y: -z),
    },
    second=diagonal(lambda z, y: jnp.exp(z)),
    source="ℓ = eᶻ − y z, ∂ℓ/∂z = eᶻ − y, ∂²ℓ/∂z² = eᶻ",
    ids={"log_rate": "L-poisson"},
    analytic=True,
    domain={"target": "positive"},
)
def poisson_nll(log_rate: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ (eᶻ − y z), less ln y! that of a Poisson law of rate eᶻ; ∂/∂z = (eᶻ − y)/N, the Hessian diag(eᶻ)/N.

    ``log_rate`` z and ``target`` y ≥ 0 have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(jnp.exp(log_rate) - target * log_rate)


@rule(
    vjp={
        "prediction": mean(lambda a, y, v: (a - y) / v),
        "target": mean(lambda a, y, v: (y - a) / v),
        "variance": mean(lambda a, y, v: (1 - jnp.square(y - a) / v) / (2 * v)),
    },
    second=diagonal(lambda a, y, v: 1 / v),
    source="ℓ = ½ ln v + (y − a)²/(2v), ∂ℓ/∂a = (a − y)/v, ∂ℓ/∂v = 1/(2v) − (y − a)²/(2v²)",
    ids={"prediction variance": "L-gaussnll"},
    analytic=True,
    domain={"variance": "positive"},
)
def gaussian_nll(
    prediction: Float[Array, "*n"], target: Float[Array, "*n"], variance: Float[Array, "*n"]
) -> Float[Array, ""]:
    """(1/N) Σ [½ ln v + (y − a)²/(2v)], less ½ ln 2π that of normal laws of mean a and variance v.

    ∂/∂a = (a − y)/(N v), ∂/∂v = (1 − (y − a)²/v)/(2 N v). All have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(jnp.log(variance) + jnp.square(target - prediction) / variance) / 2


entry(
    "negative log-likelihood of a normal law",
    "L-mvn-nll",
    "mu: d, S: d d spd, x: d",
    lambda mu, S, x: (logdet(S) + (x - mu) @ inv(S) @ (x - mu)) / 2,
    {
        "mu": lambda mu, S, x: -inv(S) @ (x - mu),
        "S": lambda mu, S, x: (inv(S) - inv(S) @ outer(x - mu, x - mu) @ inv(S)).T / 2,
    },
    second=lambda mu, S, x: einsum("ij->i,j", inv(S)),
    conditions="the entries of the covariance S are free: its symmetry is not a constraint of the derivative",
    analytic=False,
)

entry(
    "linear regression",
    "L-linreg",
    "w: d, X: N d, y: N",
    lambda w, X, y: jnp.mean(jnp.square(X @ w - y)),
    lambda w, X, y: 2 * share(y) * (X @ w - y) @ X,
    second=lambda w, X, y: 2 * share(y) * einsum("nd,ne->d,e", X, X),
)
