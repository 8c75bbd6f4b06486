"""Jitted gradients of whole models for research code: the composition's loss, differentiated by its closed forms."""

import functools
from collections.abc import Callable, Sequence

import jax
from jaxtyping import Array, Float

from jmc.catalogue.activation import identity, relu
from jmc.catalogue.loss import mean_squared_error
from jmc.catalogue.network import Activation, Layers, layer, network
from jmc.differentiate.gradient import grad

Loss = Callable[[jax.Array, jax.Array], jax.Array]


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


@functools.partial(jax.jit, static_argnames=("activation", "output", "loss"))
def network_loss_grad(
    params: Layers,
    X: Float[Array, "N d"],
    Y: Array,
    activation: Activation | Sequence[Activation] = relu,
    output: Activation = identity,
    loss: Loss = mean_squared_error,
) -> Layers:
    """∂C/∂params of C = loss(network(params, X, activation, output), Y); jitted, vmappable.

    The result has the structure of ``params``, a pair (∂C/∂W, ∂C/∂b) per layer. A sequence of activations is
    given as a tuple. Shapes and errors as :func:`jmc.network` and the loss.
    """
    return grad(lambda params: loss(network(params, X, activation, output), Y))(params)
