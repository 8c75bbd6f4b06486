"""The neuron a = max(0, w·x + b) (article §5) and its training loss (article §6), with the article's gradients."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.inner import TANH, Function
from jmc.catalogue.rule import entry, rule
from jmc.catalogue.steps import Steps
from jmc.linear.build import einsum, identity
from jmc.linear.linear_map import LinearMap

ARTICLE = "The Matrix Calculus You Need For Deep Learning"
MIXED = {"d": 7, "N": 11, "*n": 11}  # so many examples that some are active and some are not


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
    small=MIXED,
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
    erratum="the last lines of §6.1 put the sum inside the cases, where i is free and one example decides for all",
    small=MIXED,
    printed=lambda w, b, X, y: jnp.where(X[-1] @ w + b <= 0, 0, 2 / len(y) * (X @ w + b - y) @ X),
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


sigma = Function(*TANH)

entry(
    "activation of an affine function",
    {"w": "P-5.10"},
    "w: d, b, x: d",
    lambda w, b, x: sigma(w @ x + b),
    {"w": lambda w, b, x: sigma.D(w @ x + b) * x, "b": lambda w, b, x: sigma.D(w @ x + b)},
    conditions="any activation, of one number",
    steps=Steps(
        "w, b, x",
        z=(lambda w, b, x: w @ x + b, lambda w, b, x: x, lambda w, b, x: 1, lambda w, b, x: w),
        a=(lambda z: sigma(z), lambda z: sigma.D(z)),
    ),
)

entry(
    "residual of a neuron, y − max(0, w·x + b)",
    {"w": "P-6.1.2", "b": "P-6.2.2"},
    "w: d, b, X: N d, y: N",
    lambda w, b, X, y: y - _activation(w, b, X),
    {
        "w": lambda w, b, X, y: -einsum("i,id->i,d", _slope(w, b, X), X),
        "b": lambda w, b, X, y: -_slope(w, b, X),
    },
    kinks="w·x + b = 0, where the unit counts as inactive",
    analytic=False,
    small=MIXED,
)

entry(
    "neuron loss with all units active",
    {"w": "P-6.1.4", "b": "P-6.2.4"},
    "w: d positive, b: positive, X: N d positive, y: N",
    lambda w, b, X, y: ((y - _activation(w, b, X)) ** 2).mean(),
    {
        "w": lambda w, b, X, y: 2 / len(y) * (X @ w + b - y) @ X,
        "b": lambda w, b, X, y: 2 / len(y) * (X @ w + b - y).sum(),
    },
    conditions="w·x_i + b > 0 for every example; the error is e_i = w·x_i + b − y_i, prediction minus target",
    erratum="the text calls it an average of the errors, which lacks the factor 2, and does not ask for active units",
    printed=lambda w, b, X, y: 1 / len(y) * (X @ w + b - y) @ X,
    analytic=False,
)

entry(
    "neuron loss of one example, the unit active",
    {"w": "P-6.1.5"},
    "w: d positive, b: positive, x: d positive, y",
    lambda w, b, x, y: (y - _activation(w, b, x)) ** 2,
    {"w": lambda w, b, x, y: 2 * (w @ x + b - y) * x, "b": lambda w, b, x, y: 2 * (w @ x + b - y)},
    conditions="w·x + b > 0",
    analytic=False,
    steps=Steps(
        "w, b, x, y",
        z=(lambda w, b, x: w @ x + b, lambda w, b, x: x, lambda w, b, x: 1, lambda w, b, x: w),
        u=(lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, 1, 0)),
        v=(lambda y, u: y - u, lambda y, u: 1, lambda y, u: -1),
        C=(lambda v: v**2, lambda v: 2 * v),
    ),
)

# ŵ = [wᵀ, b]ᵀ and x̂ = [xᵀ, 1]ᵀ: the same neuron without a bias


def _zero(w: jax.Array) -> jax.Array:
    """The bias that is left beside ŵ."""
    return jnp.zeros((), w.dtype)


def _augmented_gradient(w: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
    """(2/N) Σ_i 1[ŵ·x̂_i > 0] (ŵ·x̂_i − y_i) x̂_i."""
    return 2 / len(y) * (_slope(w, _zero(w), X) * (X @ w - y)) @ X


def _augmented_hessian(w: jax.Array, X: jax.Array, y: jax.Array) -> LinearMap:
    """(2/N) Σ_i 1[ŵ·x̂_i > 0] x̂_i x̂_iᵀ."""
    return einsum("i,ij,ik->j,k", 2 / len(y) * _slope(w, _zero(w), X), X, X)


entry(
    "augmented neuron, max(0, ŵ·x̂)",
    "",
    "w: d, X: N d augmented",
    lambda w, X: _activation(w, _zero(w), X),
    {
        "w": lambda w, X: einsum("i,id->i,d", _slope(w, _zero(w), X), X),
        "X": lambda w, X: einsum("i,d->i,id", _slope(w, _zero(w), X), w),
    },
    source=f"{ARTICLE}, §6.2, where its gradient is left out",
    kinks="ŵ·x̂ = 0, where the unit counts as inactive",
    analytic=False,
    small=MIXED,
)

entry(
    "augmented neuron loss",
    {"w": "P-6.2.7"},
    "w: d, X: N d augmented, y: N",
    lambda w, X, y: ((y - _activation(w, _zero(w), X)) ** 2).mean(),
    _augmented_gradient,
    second=_augmented_hessian,
    kinks="ŵ·x̂_i = 0, where the unit counts as inactive",
    analytic=False,
    small=MIXED,
)

entry(
    "gradient step of an augmented neuron, ŵ − η ∂C/∂ŵ",
    "",
    "w: d, e: positive, X: N d augmented, y: N",
    lambda w, e, X, y: w - e * _augmented_gradient(w, X, y),
    {
        "w": lambda w, e, X, y: identity(w.shape) - e * _augmented_hessian(w, X, y),
        "e": lambda w, e, X, y: -_augmented_gradient(w, X, y),
    },
    source=f"{ARTICLE}, §6.2, where the step for ŵ is left out",
    conditions="e is the learning rate η",
    kinks="ŵ·x̂_i = 0, where the unit counts as inactive",
    erratum="§6.1 and §6.2 take the row ∂C/∂w from the column w; what is subtracted is its transpose",
    analytic=False,
    small=MIXED,
)
