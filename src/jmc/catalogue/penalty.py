"""Penalties on weights: lasso, ridge, elastic net, group lasso."""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.batch import flat
from jmc.catalogue.rule import entry, rule
from jmc.catalogue.stable import magnitude
from jmc.linear.build import einsum, identity
from jmc.linear.linear_map import LinearMap


@rule(
    vjp={"w": lambda u, _, w: u * jnp.sign(w)},
    second=flat,
    source="∂‖w‖₁/∂w = sign(w)ᵀ",
    kinks="w = 0, where the derivative is 0",
)
def l1(w: Float[Array, "*s"]) -> Float[Array, ""]:
    """‖w‖₁ = Σ |w|, the lasso penalty of an array of any shape; derivative sign(w), 0 at w = 0."""
    return jnp.sum(magnitude(w))


@rule(
    vjp={"w": lambda u, _, w: 2 * u * w},
    second=lambda w: 2 * identity(w.shape, w.dtype),
    source="∂‖w‖²/∂w = 2wᵀ, the Hessian 2I",
    analytic=True,
)
def l2(w: Float[Array, "*s"]) -> Float[Array, ""]:
    """‖w‖² = Σ w², the ridge penalty of an array of any shape, no ½; derivative 2w."""
    return jnp.sum(jnp.square(w))


@rule(
    vjp={
        "w": lambda u, _, w, lambda1, lambda2: u * (lambda1 * jnp.sign(w) + lambda2 * w),
        "lambda1": lambda u, _, w, lambda1, lambda2: u * jnp.sum(jnp.abs(w)),
        "lambda2": lambda u, _, w, lambda1, lambda2: u * jnp.sum(jnp.square(w)) / 2,
    },
    second=lambda w, lambda1, lambda2: lambda2 * identity(w.shape, w.dtype),
    source="Zou & Hastie (2005): ∂/∂w = (λ₁ sign(w) + λ₂ w)ᵀ",
    ids={"w": "L-elastic"},
    kinks="w = 0, where the derivative is 0",
    domain={"lambda1": "positive", "lambda2": "positive"},
)
def elastic_net(
    w: Float[Array, "*s"], lambda1: Float[Array, ""] = 1.0, lambda2: Float[Array, ""] = 1.0
) -> Float[Array, ""]:
    """λ₁‖w‖₁ + ½ λ₂‖w‖² of an array of any shape; derivative λ₁ sign(w) + λ₂ w, 0 at w = 0.

    ``lambda1`` and ``lambda2`` are scalars of the dtype of ``w``, and have derivatives too.
    """
    return lambda1 * jnp.sum(magnitude(w)) + lambda2 * jnp.sum(jnp.square(w)) / 2


def row_norm(w: jax.Array) -> jax.Array:
    """‖w‖ over the last axis: no overflow, and slope 0 at 0."""
    largest = jnp.max(jnp.abs(w.real), axis=-1, keepdims=True, initial=0)
    zero = largest == 0
    scale = jnp.where(zero, 1, largest)
    squares = jnp.sum(jnp.square(w / scale), axis=-1, keepdims=True)
    return (scale * jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares))))[..., 0]


def direction(w: jax.Array) -> tuple[jax.Array, jax.Array]:
    """ŵ = w/‖w‖ and 1/‖w‖ over the last axis, both 0 at w = 0."""
    norm = row_norm(w)
    inverse = jnp.where(norm == 0, 0, 1 / jnp.where(norm == 0, 1, norm))
    return w * inverse[..., None], inverse


def _norm_hessian(w: jax.Array) -> LinearMap:
    """(I − ŵ ŵᵀ)/‖w‖ for each group."""
    unit, inverse = direction(w)
    return einsum("...->...i,...i", inverse, sizes={"i": w.shape[-1]}) - einsum(
        "...,...i,...j->...i,...j", inverse, unit, unit
    )


@rule(
    vjp={"w": lambda u, _, w: u * direction(w)[0]},
    second=_norm_hessian,
    source="Yuan & Lin (2006): ∂‖w‖/∂w = wᵀ/‖w‖, the Hessian (I − ŵŵᵀ)/‖w‖",
    kinks="w = 0, where the derivatives are 0",
    analytic=True,
)
def group_lasso(w: Float[Array, "*n k"]) -> Float[Array, ""]:
    """Σ ‖w_g‖₂ over the groups w_g along the last axis; derivative w_g/‖w_g‖, 0 at w_g = 0. Shape (*n, k)."""
    return jnp.sum(row_norm(w))


entry(
    "lasso penalty with its strength",
    {"w": "L-l1"},
    "w: *s nonzero, strength: positive",
    lambda w, strength: strength * magnitude(w).sum(),
    lambda w, strength: strength * jnp.sign(w),
    second=flat,
    source="Tibshirani (1996)",
    kinks="w = 0, where the derivative is 0",
    analytic=False,
)

entry(
    "ridge penalty with its strength",
    {"w": "L-l2"},
    "w: *s, strength: positive",
    lambda w, strength: strength * (w * w).sum() / 2,
    lambda w, strength: strength * w,
    second=lambda w, strength: strength * identity(w.shape, w.dtype),
    source="Hoerl & Kennard (1970)",
)

entry(
    "group lasso penalty with its strength",
    {"w": "L-grouplasso"},
    "w: k nonzero, strength: positive",
    lambda w, strength: strength * row_norm(w),
    lambda w, strength: strength * direction(w)[0],
    second=lambda w, strength: strength * _norm_hessian(w),
    source="Yuan & Lin (2006)",
    kinks="w = 0, where the derivative is 0",
)
