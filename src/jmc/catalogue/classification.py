"""Losses of classification, from logits: a mean over all N entries, or over the N examples of k classes."""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jmc.catalogue import stable
from jmc.catalogue.algebra import outer
from jmc.catalogue.batch import diagonal, flat, mean, share
from jmc.catalogue.rule import entry, rule
from jmc.catalogue.softmax import covariance, probabilities
from jmc.catalogue.stable import exponentials, log1p_exp, log_softmax, logistic, one_hot
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


def minus_target(x: jax.Array, y: jax.Array) -> jax.Array:
    """σ(x) − y, so that it keeps its relative accuracy for y = 0 and y = 1 at any x."""
    return (1 - y) * logistic(x) - y * logistic(-x)


@rule(
    vjp={"logits": mean(minus_target), "target": mean(lambda x, y: -x)},
    second=diagonal(lambda x, y: stable.logistic_density(x)),
    source="ℓ = softplus(x) − y x, ∂ℓ/∂x = σ(x) − y, ∂²ℓ/∂x² = σ(x)σ(−x)",
    ids={"logits": "L-bce-logits"},
    analytic=True,
    domain={"target": "unit"},
)
def binary_cross_entropy(logits: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ −[y ln σ(x) + (1 − y) ln σ(−x)] from logits x; ∂/∂x = (σ(x) − y)/N, ∂/∂y = −x/N.

    ``logits`` and ``target`` y ∈ [0, 1] have one shape and dtype; else ValueError or TypeError. No logit
    overflows, and a confident right answer keeps its small loss. The Hessian is diag(σ(x)σ(−x))/N.
    """
    return jnp.mean((1 - target) * log1p_exp(logits) + target * log1p_exp(-logits))


entry(
    "binary cross entropy of probabilities",
    "L-bce-probs",
    "p: *n unit, y: *n unit",
    lambda p, y: -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log1p(-p)),
    lambda p, y: share(p) * (p - y) / (p * (1 - p)),
    second=diagonal(lambda p, y: y / p**2 + (1 - y) / (1 - p) ** 2),
    conditions="0 < p < 1",
)

entry(
    "logistic regression",
    "L-logreg",
    "w: d, X: N d, y: N unit",
    lambda w, X, y: ((1 - y) * log1p_exp(X @ w) + y * log1p_exp(-X @ w)).sum(),
    lambda w, X, y: minus_target(X @ w, y) @ X,
    second=lambda w, X, y: einsum("nd,n,ne->d,e", X, stable.logistic_density(X @ w), X),
)


def _focal(z: jax.Array, gamma: jax.Array) -> jax.Array:
    """−qᵞ ln p with p = σ(z), q = σ(−z): the loss where y = 1."""
    return logistic(-z) ** gamma * log1p_exp(-z)


def _focal_slope(z: jax.Array, gamma: jax.Array) -> jax.Array:
    p, q = logistic(z), logistic(-z)
    return -(q**gamma) * (gamma * p * log1p_exp(-z) + q)


def _focal_curvature(z: jax.Array, gamma: jax.Array) -> jax.Array:
    p, q, loss = logistic(z), logistic(-z), log1p_exp(-z)
    return p * q**gamma * (q * (1 + 2 * gamma - gamma * loss) + gamma**2 * p * loss)


@rule(
    vjp={
        "logits": mean(lambda z, y, g: y * _focal_slope(z, g) - (1 - y) * _focal_slope(-z, g)),
        "target": mean(lambda z, y, g: _focal(z, g) - _focal(-z, g)),
        "gamma": mean(
            lambda z, y, g: -jnp.sum(y * _focal(z, g) * log1p_exp(z) + (1 - y) * _focal(-z, g) * log1p_exp(-z))
        ),
    },
    second=diagonal(lambda z, y, g: y * _focal_curvature(z, g) + (1 - y) * _focal_curvature(-z, g)),
    source="Lin et al., arXiv 1708.02002: for y = 1, ∂ℓ/∂z = γ p qᵞ ln p − qᵞ⁺¹ with p = σ(z), q = 1 − p",
    ids={"logits": "L-focal"},
    analytic=True,
    domain={"target": "unit", "gamma": "positive"},
)
def focal_loss(
    logits: Float[Array, "*n"], target: Float[Array, "*n"], gamma: Float[Array, ""] = 2.0
) -> Float[Array, ""]:
    """(1/N) Σ −[y qᵞ ln p + (1 − y) pᵞ ln q] from logits z, p = σ(z), q = σ(−z): easy examples count less.

    For y = 1, N ∂/∂z = γ p qᵞ ln p − qᵞ⁺¹; for γ = 0 it is the binary cross entropy. ``logits`` and ``target``
    y ∈ [0, 1] have one shape and dtype, ``gamma`` γ ≥ 0 is a scalar; else ValueError or TypeError.
    """
    return jnp.mean(target * _focal(logits, gamma) + (1 - target) * _focal(-logits, gamma))


def softmax_minus_target(x: jax.Array, t: jax.Array) -> jax.Array:
    """T p − t with p = softmax(x), T = Σ t; if p is large, (T − t) p − t (1 − p), which a one-hot t does not cancel."""
    _, e, rest = exponentials(x)
    total, q = jnp.sum(t, axis=-1, keepdims=True), 1 / (1 + rest)
    return jnp.where(e > 0.9, (total - t) * (q * e) - t * (q * (rest + (1 - e))), (total * q) * e - t)


def weighted_covariance(x: jax.Array, t: jax.Array) -> LinearMap:
    """T (diag(p) − p pᵀ)/N for each example: the Hessian of the mean of −Σ_k t_k ln p_k."""
    return covariance(probabilities(x), share(x, 1) * jnp.sum(t, axis=-1, keepdims=True))


@rule(
    vjp={
        "logits": mean(softmax_minus_target, class_axes=1),
        "target": mean(lambda x, t: -log_softmax(x), class_axes=1),
    },
    second=weighted_covariance,
    source="ℓ = Σ_k t_k (logsumexp(x) − x_k), ∂ℓ/∂x = (Σ_k t_k) softmax(x) − t",
    ids={"logits": "L-ce-logits"},
    second_ids="L-ce-logits-H",
    analytic=True,
    domain={"target": "unit"},
)
def softmax_cross_entropy(logits: Float[Array, "*n k"], target: Float[Array, "*n k"]) -> Float[Array, ""]:
    """(1/N) Σ_i −Σ_k t_ik ln softmax(x_i)_k from logits x and target weights t; N examples of k ≥ 1 classes.

    ∂/∂x = ((Σ_k t_k) softmax(x) − t)/N, which is (p − t)/N for a distribution t; ∂/∂t = −ln softmax(x)/N.
    Both have shape (*n, k) and one dtype; else ValueError or TypeError. Exact for logits of any size.
    """
    _check_classes(logits)
    return jnp.mean(-jnp.sum(target * log_softmax(logits), axis=-1))


def _one_hot_or_nan(x: jax.Array, y: jax.Array) -> jax.Array:
    """e_y in the dtype of ``x``; nan for a label outside the classes."""
    hot = one_hot(y, x.shape[-1])
    return jnp.where(jnp.any(hot, axis=-1, keepdims=True), hot.astype(x.dtype), jnp.nan)


def softmax_minus_label(x: jax.Array, y: jax.Array) -> jax.Array:
    e_y = _one_hot_or_nan(x, y)
    _, e, rest = exponentials(x)
    return jnp.where(e_y == 0, e, -e_y * (rest + (1 - e))) / (1 + rest)


@rule(
    vjp={"logits": mean(softmax_minus_label, class_axes=1)},
    second=lambda x, y: weighted_covariance(x, _one_hot_or_nan(x, y)),
    source="ℓ = logsumexp(x) − x_y, ∂ℓ/∂x = softmax(x) − e_y",
    analytic=True,
    domain={"labels": "below_k"},
)
def softmax_cross_entropy_with_labels(logits: Float[Array, "*n k"], labels: Int[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ_i −ln softmax(x_i)_{y_i} from logits x (*n, k) and integer labels y (*n), 0 ≤ y < k.

    ∂/∂x = (softmax(x) − e_y)/N, whose entry at the label, p_y − 1, does not cancel. A label outside the
    classes gives nan, in the gradient too. Errors: ValueError, TypeError; exact for logits of any size.
    """
    _check_classes(logits)
    return -jnp.mean(_at_label(log_softmax(logits), labels))


def _at_label(x: jax.Array, y: jax.Array) -> jax.Array:
    """x_y of each example, nan for a label outside the classes."""
    hot = one_hot(y, x.shape[-1])
    return jnp.where(jnp.any(hot, axis=-1), jnp.sum(jnp.where(hot, x, 0), axis=-1), jnp.nan)


def _check_classes(logits: jax.Array) -> None:
    if logits.shape[-1] == 0:
        raise ValueError(f"`logits` must have at least one class, but got shape {logits.shape}")


entry(
    "cross entropy of probabilities",
    "L-ce-probs",
    "p: *n k distribution, y: *n k distribution",
    lambda p, y: -jnp.sum(y * jnp.log(p), axis=-1).mean(),
    lambda p, y: -share(p, 1) * y / p,
    second=lambda p, y: build.diagonal(share(p, 1) * y / p**2),
    conditions="p > 0, with free entries",
)


def _smoothed(y: jax.Array, eps: jax.Array) -> jax.Array:
    return (1 - eps) * y + eps / y.shape[-1]


entry(
    "cross entropy with smoothed labels",
    {"x": "L-ce-smooth"},
    "x: *n k, y: *n k one_hot, eps: unit",
    lambda x, y, eps: -jnp.sum(_smoothed(y, eps) * log_softmax(x), axis=-1).mean(),
    lambda x, y, eps: share(x, 1) * softmax_minus_target(x, _smoothed(y, eps)),
    second=lambda x, y, eps: weighted_covariance(x, _smoothed(y, eps)),
)

entry(
    "cross entropy of a linear layer",
    "L-ce-linear",
    "W: k d, x: d, y: k distribution",
    lambda W, x, y: -(y @ log_softmax(W @ x)),
    {
        "W": lambda W, x, y: outer(softmax_minus_target(W @ x, y), x),
        "x": lambda W, x, y: W.T @ softmax_minus_target(W @ x, y),
    },
    second=lambda W, x, y: _kronecker_square(probabilities(W @ x), x),
    second_ids="L-ce-linear-H",
    conditions="Σ y = 1",
)


def _kronecker_square(p: jax.Array, x: jax.Array) -> LinearMap:
    """(diag(p) − p pᵀ) ⊗ x xᵀ."""
    return einsum("k,d,e->kd,ke", p, x, x) - einsum("k,l,d,e->kd,le", p, p, x, x)


@rule(
    vjp={
        "score": mean(lambda s, y: jnp.where(y * s >= 1, 0, -y)),
        "target": mean(lambda s, y: jnp.where(y * s >= 1, 0, -s)),
    },
    second=flat,
    source="ℓ = max(0, 1 − y s), ∂ℓ/∂s = −y 1[y s < 1]",
    ids={"score": "L-hinge"},
    kinks="y s = 1, where the derivative is 0",
    domain={"target": "signs"},
)
def hinge(score: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ max(0, 1 − y s) for targets y = ±1; ∂/∂s = −y 1[y s < 1]/N, so 0 at y s = 1.

    ``score`` s and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(_positive(1 - target * score))


def _positive(margin: jax.Array) -> jax.Array:
    """max(0, margin), with slope 0 at 0; nan stays nan."""
    return jnp.where(margin <= 0, jnp.zeros_like(margin), margin)


@rule(
    vjp={
        "score": mean(lambda s, y: -2 * y * _positive(1 - y * s)),
        "target": mean(lambda s, y: -2 * s * _positive(1 - y * s)),
    },
    second=diagonal(lambda s, y: jnp.where(y * s >= 1, 0, 2 * y * y)),
    source="ℓ = max(0, 1 − y s)², ∂ℓ/∂s = −2y max(0, 1 − y s)",
    ids={"score": "L-sqhinge"},
    kinks="y s = 1, where the second derivative jumps and is 0",
    domain={"target": "signs"},
)
def squared_hinge(score: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ max(0, 1 − y s)² for targets y = ±1; ∂/∂s = −2y max(0, 1 − y s)/N.

    ``score`` s and ``target`` y have one shape and dtype; else ValueError or TypeError.
    """
    return jnp.mean(jnp.square(_positive(1 - target * score)))


def _violations(x: jax.Array, y: jax.Array) -> jax.Array:
    """max(0, 1 + x_j − x_y) for j ≠ y, 0 for j = y."""
    return jnp.where(one_hot(y, x.shape[-1]), 0, _positive(1 + (x - _at_label(x, y)[..., None])))


def _multiclass_slope(x: jax.Array, y: jax.Array) -> jax.Array:
    e_y = _one_hot_or_nan(x, y)
    violated = (_violations(x, y) > 0).astype(x.dtype)
    return violated - e_y * jnp.sum(violated, axis=-1, keepdims=True)


@rule(
    vjp={"logits": mean(_multiclass_slope, class_axes=1)},
    second=flat,
    source="Weston & Watkins (1999): ∂ℓ/∂x_j = 1[1 + x_j > x_y] for j ≠ y, less their number for j = y",
    ids={"logits": "L-multihinge"},
    kinks="1 + x_j = x_y, where the class j contributes 0",
    domain={"labels": "below_k"},
)
def multiclass_hinge(logits: Float[Array, "*n k"], labels: Int[Array, "*n"]) -> Float[Array, ""]:
    """(1/N) Σ_i Σ_{j≠y} max(0, 1 + x_ij − x_iy) from logits x (*n, k) and integer labels y (*n), 0 ≤ y < k.

    N ∂/∂x_j = 1[1 + x_j > x_y] for j ≠ y, and less the number of these for j = y. A label outside the classes gives
    nan, in the gradient too. Errors: ValueError, TypeError.
    """
    _check_classes(logits)
    return jnp.mean(jnp.sum(_violations(logits, labels), axis=-1))
