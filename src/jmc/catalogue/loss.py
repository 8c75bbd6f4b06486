"""Losses: how far predictions are from targets, as a mean over all N entries (or examples); and penalties.

Every formula is that of one entry, times 1/N; the mean over nothing is nan, with a gradient of size 0.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jmc.catalogue.record import Formula
from jmc.catalogue.rule import rule
from jmc.catalogue.stable import log1p_exp

logistic = jax.lax.logistic


def _mean(partial: Callable[..., jax.Array], class_axes: int = 0) -> Formula:
    """The vjp of a mean of ℓ from ∂ℓ, over the entries, or over the examples if ℓ takes a whole axis of classes."""

    def vjp(u: jax.Array, _: jax.Array, *args: jax.Array) -> jax.Array:
        x = args[0]
        # 1/N is a number before it is an array: in float16 N itself may be infinite
        return u * (1 / max(math.prod(x.shape[: x.ndim - class_axes]), 1)) * partial(*args)

    return vjp


@rule(
    vjp={
        "prediction": _mean(lambda a, y: 2 * (a - y)),
        "target": _mean(lambda a, y: -2 * (a - y)),
    },
    source="The Matrix Calculus You Need For Deep Learning, §1 and §6",
    analytic=True,
)
def mean_squared_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ (y − a)², no ½, over all N entries; ∂/∂a = (2/N)(a − y).

    ``prediction`` a and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(jnp.square(target - prediction))


@rule(
    vjp={
        "prediction": _mean(lambda a, y: jnp.sign(a - y)),
        "target": _mean(lambda a, y: jnp.sign(y - a)),
    },
    source="d|r|/dr = sign(r)",
    kinks="a = y, where the derivative is 0",
)
def mean_absolute_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ |a − y| over all N entries; ∂/∂a = sign(a − y)/N, 0 where a = y.

    ``prediction`` a and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    residual = prediction - target
    return jnp.mean(residual * jnp.sign(residual))


def _beyond(a: jax.Array, y: jax.Array, delta: jax.Array) -> jax.Array:
    """max(0, |a − y| − δ): how far a residual reaches into the linear part."""
    return jnp.maximum(jnp.abs(a - y) - delta, 0)


@rule(
    vjp={
        "prediction": _mean(lambda a, y, delta: jnp.clip(a - y, -delta, delta)),
        "target": _mean(lambda a, y, delta: jnp.clip(y - a, -delta, delta)),
        "delta": _mean(lambda a, y, delta: jnp.sum(_beyond(a, y, delta))),
    },
    source="Huber (1964): ∂/∂r = clip(r, −δ, δ)",
    domain={"delta": "positive"},
)
def huber(
    prediction: Float[Array, "*n"],
    target: Float[Array, "*n"],
    delta: Float[Array, ""] = 1.0,  # pyright: ignore[reportArgumentType] - a scalar takes the others' dtype
) -> Float[Array, ""]:
    """(1/N) Σ h(a − y) with h(r) = r²/2 for |r| ≤ δ, δ(|r| − δ/2) beyond; ∂/∂a = clip(a − y, −δ, δ)/N.

    ``prediction`` a and ``target`` y have one shape and dtype, ``delta`` δ > 0 is a scalar; ∂/∂δ is the mean of
    max(0, |a − y| − δ). Errors: ValueError, TypeError.
    """
    residual = prediction - target
    size = residual * jnp.sign(residual)
    return jnp.mean(jnp.where(size <= delta, jnp.square(residual) / 2, delta * (size - delta / 2)))


@rule(
    vjp={
        # σ(x) − y, written so that it keeps its relative accuracy for y = 0 and y = 1 at any x
        "logits": _mean(lambda x, y: (1 - y) * logistic(x) - y * logistic(-x)),
        "target": _mean(lambda x, y: -x),
    },
    source="ℓ = softplus(x) − y x, ∂ℓ/∂x = σ(x) − y",
    analytic=True,
    domain={"target": "unit"},
)
def binary_cross_entropy(logits: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ −[y ln σ(x) + (1 − y) ln σ(−x)] from logits x; ∂/∂x = (σ(x) − y)/N, ∂/∂y = −x/N.

    ``logits`` and ``target`` y ∈ [0, 1] have one shape and dtype; else ValueError or TypeError. No logit
    overflows, and a confident right answer keeps its small loss.
    """
    return jnp.mean((1 - target) * log1p_exp(logits) + target * log1p_exp(-logits))


def _shifted(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x_a, ln Σ e^(x − x_a)) over the last axis, a the (first) largest entry: their sum is logsumexp.

    The largest term is taken out of the sum exactly, so that a confident answer keeps its small remainder.
    """
    largest = _one_hot(jnp.argmax(x.real, axis=-1), x.shape[-1])
    x_a = jnp.sum(jnp.where(largest, x, 0), axis=-1)
    e = jnp.where(largest, 0, jnp.exp(x - x_a[..., None]))
    return x_a, jnp.log1p(jnp.sum(e, axis=-1))


def _one_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Boolean, (*n, k); no row is true anywhere for a label outside the classes."""
    # int32, since labels of a narrower type could not count the classes
    return labels.astype("int32")[..., None] == jnp.arange(classes, dtype="int32").reshape((1,) * labels.ndim + (-1,))


def _log_softmax(x: jax.Array) -> jax.Array:
    x_a, rest = _shifted(x)
    return (x - x_a[..., None]) - rest[..., None]


@rule(
    vjp={
        "logits": _mean(lambda x, t: _softmax_minus_target(x, t), class_axes=1),
        "target": _mean(lambda x, t: -_log_softmax(x), class_axes=1),
    },
    source="ℓ = Σ_k t_k (logsumexp(x) − x_k), ∂ℓ/∂x = (Σ_k t_k) softmax(x) − t",
    analytic=True,
    domain={"target": "unit"},
)
def softmax_cross_entropy(logits: Float[Array, "*n k"], target: Float[Array, "*n k"]) -> Float[Array, ""]:
    """(1/N) Σ_i −Σ_k t_ik ln softmax(x_i)_k from logits x and target weights t; N examples of k ≥ 1 classes.

    ∂/∂x = ((Σ_k t_k) softmax(x) − t)/N, which is (p − t)/N for a distribution t; ∂/∂t = −ln softmax(x)/N.
    Both have shape (*n, k) and one dtype; else ValueError or TypeError. Exact for logits of any size.
    """
    _check_classes(logits)
    return jnp.mean(-jnp.sum(target * _log_softmax(logits), axis=-1))


@rule(
    vjp={"logits": _mean(lambda x, y: _softmax_minus_label(x, y), class_axes=1)},
    source="ℓ = logsumexp(x) − x_y, ∂ℓ/∂x = softmax(x) − e_y",
    analytic=True,
    domain={"labels": "below_k"},
)
def softmax_cross_entropy_with_labels(logits: Float[Array, "*n k"], labels: Int[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ_i −ln softmax(x_i)_{y_i} from logits x (*n, k) and integer labels y (*n), 0 ≤ y < k.

    ∂/∂x = (softmax(x) − e_y)/N, whose entry at the label, −Σ_{k≠y} p_k, does not cancel. A label outside the
    classes gives nan, in the gradient too. Errors: ValueError, TypeError; exact for logits of any size.
    """
    _check_classes(logits)
    x_a, rest = _shifted(logits)
    hot = _one_hot(labels, logits.shape[-1])
    x_y = jnp.sum(jnp.where(hot, logits, 0), axis=-1)
    return jnp.mean(jnp.where(jnp.any(hot, axis=-1), (x_a - x_y) + rest, jnp.nan))


def _check_classes(logits: jax.Array) -> None:
    if logits.shape[-1] == 0:
        raise ValueError(f"`logits` must have at least one class, but got shape {logits.shape}")


def _softmax_minus_target(x: jax.Array, t: jax.Array) -> jax.Array:
    # T p − t = (T − t) p + t (p − 1) with T = Σ t: for a one-hot t neither term cancels
    log_p = _log_softmax(x)
    return (jnp.sum(t, axis=-1, keepdims=True) - t) * jnp.exp(log_p) + t * jnp.expm1(log_p)


def _softmax_minus_label(x: jax.Array, y: jax.Array) -> jax.Array:
    hot = _one_hot(y, x.shape[-1])
    others = jnp.where(hot, 0, jnp.exp(_log_softmax(x)))
    known = jnp.any(hot, axis=-1, keepdims=True)
    return jnp.where(known, jnp.where(hot, -jnp.sum(others, axis=-1, keepdims=True), others), jnp.nan)


@rule(
    vjp={
        "score": _mean(lambda s, y: jnp.where(y * s >= 1, 0, -y)),
        "target": _mean(lambda s, y: jnp.where(y * s >= 1, 0, -s)),
    },
    source="ℓ = max(0, 1 − y s), ∂ℓ/∂s = −y 1[y s < 1]",
    kinks="y s = 1, where the derivative is 0",
    domain={"target": "signs"},
)
def hinge(score: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ max(0, 1 − y s) for targets y = ±1; ∂/∂s = −y 1[y s < 1]/N, so 0 at y s = 1.

    ``score`` s and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    margin = 1 - target * score
    return jnp.mean(jnp.where(margin <= 0, jnp.zeros_like(margin), margin))


@rule(
    vjp={"w": lambda u, _, w: u * jnp.sign(w)},
    source="∂‖w‖₁/∂w = sign(w)ᵀ",
    kinks="w = 0, where the derivative is 0",
)
def l1(w: Float[Array, "*s"]) -> Float[Array, ""]:
    """‖w‖₁ = Σ |w|, the lasso penalty of an array of any shape; derivative sign(w), 0 at w = 0."""
    return jnp.sum(w * jnp.sign(w))


@rule(vjp={"w": lambda u, _, w: 2 * u * w}, source="∂‖w‖²/∂w = 2wᵀ", analytic=True)
def l2(w: Float[Array, "*s"]) -> Float[Array, ""]:
    """‖w‖² = Σ w², the ridge penalty of an array of any shape, no ½; derivative 2w."""
    return jnp.sum(jnp.square(w))
