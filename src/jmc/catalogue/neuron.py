"""The neuron a = max(0, w·x + b) (article §5) and its training loss (article §6), with the article's gradients."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import rule
from jmc.linear.build import einsum

ARTICLE = "The Matrix Calculus You Need For Deep Learning"


def _activation(w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    z = x @ w + b
    return jnp.where(z <= 0, jnp.zeros_like(z), z)


def _active(u: jax.Array, a: jax.Array) -> jax.Array:
    """1[z > 0] u: the cotangent of z. The unit is inactive exactly where its activation is 0; nan is handed on."""
    return jnp.where(a <= 0, jnp.zeros_like(u), u)


def _slope(w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    """1[z > 0], one entry per example."""
    a = _activation(w, b, x)
    return _active(jnp.ones_like(a), a)


@rule(
    jacobian={
        "w": lambda w, b, x: einsum("...,...d->...,d", _slope(w, b, x), x),
        "b": lambda w, b, x: _slope(w, b, x),
        "x": lambda w, b, x: einsum("...,d->...,...d", _slope(w, b, x), w),
    },
    vjp={
        "w": lambda u, a, w, b, x: jnp.tensordot(_active(u, a), x, a.ndim),
        "b": lambda u, a, w, b, x: jnp.sum(_active(u, a)),
        "x": lambda u, a, w, b, x: _active(u, a)[..., None] * jnp.broadcast_to(w, x.shape),
    },
    source=f"{ARTICLE}, §5: ∂a/∂w = 1[w·x + b > 0] xᵀ, ∂a/∂b = 1[w·x + b > 0]",
    ids={"w": "P-5.11 P-6.1.1", "b": "P-5.12 P-6.2.1"},
    kinks="w·x + b = 0, where the unit counts as inactive",
)
def neuron(w: Float[Array, " d"], b: Float[Array, ""], x: Float[Array, "*n d"]) -> Float[Array, "*n"]:
    """a = max(0, w·x + b), the article's unit.

    ∂a/∂w = 1[z > 0] xᵀ, ∂a/∂b = 1[z > 0], ∂a/∂x = 1[z > 0] wᵀ with z = w·x + b (§5).

    Args:
        w: weights, (d,).
        b: bias, ().
        x: one example (d,), a batch (N, d), any leading axes *n.

    Returns:
        a of shape (*n), in the common dtype.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return _activation(w, b, x)


def _scaled_error(u: jax.Array, a: jax.Array, y: jax.Array) -> jax.Array:
    """(2/N) e_i with e_i = a_i − y_i: the cotangent of the activation of example i."""
    return (2 / max(y.size, 1)) * u * (a - y)


def _error_through_unit(u: jax.Array, w: jax.Array, b: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """(2/N) 1[z_i > 0] (w·x_i + b − y_i), one entry per example."""
    a = _activation(w, b, x)
    return _active(_scaled_error(u, a, y), a)


@rule(
    vjp={
        "w": lambda u, c, w, b, X, y: _error_through_unit(u, w, b, X, y) @ X,
        "b": lambda u, c, w, b, X, y: jnp.sum(_error_through_unit(u, w, b, X, y)),
        "X": lambda u, c, w, b, X, y: _error_through_unit(u, w, b, X, y)[:, None] * w[None, :],
        "y": lambda u, c, w, b, X, y: -_scaled_error(u, _activation(w, b, X), y),
    },
    ids={"w": "P-6.1.3", "b": "P-6.2.3"},
    source=f"{ARTICLE}, §6, the sum outside the cases: ∂C/∂w = (2/N) Σ_i 1[z_i > 0] (w·x_i + b − y_i) x_iᵀ",
    kinks="w·x_i + b = 0, where the unit counts as inactive",
)
def neuron_loss(
    w: Float[Array, " d"], b: Float[Array, ""], X: Float[Array, "N d"], y: Float[Array, " N"]
) -> Float[Array, ""]:
    """C = (1/N) Σ_i (y_i − max(0, w·x_i + b))², the article's training loss of a neuron.

    ∂C/∂w = (2/N) Σ_i 1[z_i > 0] (w·x_i + b − y_i) x_iᵀ and ∂C/∂b = (2/N) Σ_i 1[z_i > 0] (w·x_i + b − y_i),
    the sum outside the cases: each example's unit is active or not by itself.

    Args:
        w: weights, (d,).
        b: bias, ().
        X: inputs, (N, d).
        y: targets, (N,).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return jnp.mean(jnp.square(y - _activation(w, b, X)))
