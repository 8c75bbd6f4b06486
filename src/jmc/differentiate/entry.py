"""Jitted gradients of whole models for research code, each assembled from closed forms."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.activation import identity
from jmc.catalogue.loss import mean_squared_error
from jmc.catalogue.network import Activation, Layers, layer, network
from jmc.catalogue.neuron import neuron, neuron_loss
from jmc.catalogue.rectifier import relu
from jmc.differentiate.gradient import grad

Loss = Callable[[jax.Array, jax.Array], jax.Array]


@jax.jit
def neuron_grad(
    w: Float[Array, " d"], b: Float[Array, ""], x: Float[Array, " d"]
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """(∂a/∂w, ∂a/∂b) = (1[z > 0] x, 1[z > 0]) of the neuron's activation at one example (article §5).

    Shapes and errors as :func:`jmc.neuron`, with ``x`` of shape (d,); jitted, vmappable.
    """
    if jnp.ndim(x) != 1:
        raise ValueError(f"`x` of neuron_grad must have 1 axis, (d), but got shape {jnp.shape(x)}")
    return grad(neuron, (0, 1))(w, b, x)


@jax.jit
def neuron_loss_grad(
    w: Float[Array, " d"], b: Float[Array, ""], X: Float[Array, "N d"], y: Float[Array, " N"]
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """(∂C/∂w, ∂C/∂b) of the neuron's training loss (article §6); jitted, vmappable.

    Shapes, dtypes and errors as :func:`jmc.neuron_loss`.
    """
    return grad(neuron_loss, (0, 1))(w, b, X, y)


@functools.partial(jax.jit, static_argnames=("activation", "loss"))
def layer_loss_grad(
    W: Float[Array, "m d"],
    b: Float[Array, " m"],
    X: Float[Array, "N d"],
    Y: Array,
    activation: Activation = relu,
    loss: Loss = mean_squared_error,
) -> tuple[Float[Array, "m d"], Float[Array, " m"]]:
    """(∂C/∂W, ∂C/∂b) of C = loss(layer(W, b, X, activation), Y); jitted, vmappable.

    ``Y`` is what ``loss`` compares with, (N, m) for mean squared error. Shapes and errors as
    :func:`jmc.layer` and the loss.
    """
    return grad(lambda W, b: loss(layer(W, b, X, activation), Y), (0, 1))(W, b)


def network_loss_grad(
    params: Layers,
    X: Float[Array, "N d"],
    Y: Array,
    activation: Activation | Sequence[Activation] = relu,
    output: Activation = identity,
    loss: Loss = mean_squared_error,
) -> Layers:
    """∂C/∂params of C = loss(network(params, X, activation, output), Y); jitted, vmappable.

    The result has the structure of ``params``, a pair (∂C/∂W, ∂C/∂b) per layer. Shapes and errors as
    :func:`jmc.network` and the loss.
    """
    hidden = activation if callable(activation) else tuple(activation)
    return _network_loss_grad(params, X, Y, hidden, output, loss)


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _network_loss_grad(
    params: Layers, X: jax.Array, Y: jax.Array, hidden: Any, output: Activation, loss: Loss
) -> Layers:
    return grad(lambda params: loss(network(params, X, hidden, output), Y))(params)
