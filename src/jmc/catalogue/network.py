"""Layers of units and networks of layers: compositions of rules, differentiated by the vector chain rule."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.activation import identity
from jmc.catalogue.affine import affine
from jmc.catalogue.rectifier import relu

Activation = Callable[[jax.Array], jax.Array]
Layers = Sequence[tuple[jax.Array, jax.Array]]


def layer(
    W: Float[Array, "m d"], b: Float[Array, " m"], x: Float[Array, "*n d"], activation: Activation = relu
) -> Float[Array, "*n m"]:
    """a = f(x Wᵀ + b), a layer of m units.

    Args:
        W: weights, (m, d), a row per unit.
        b: biases, (m,).
        x: one example (d,), a batch (N, d), any leading axes *n.
        activation: f, element-wise or over the last axis (softmax).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    if jnp.ndim(W) != 2:
        raise ValueError(f"`W` of layer must have 2 axes, (m d), but got shape {jnp.shape(W)}")
    return activation(affine(W, b, x))


def network(
    params: Layers,
    x: Float[Array, "*n d"],
    activation: Activation | Sequence[Activation] = relu,
    output: Activation = identity,
) -> Float[Array, "*n m"]:
    """f_L(… f_1(x W_1ᵀ + b_1) … W_Lᵀ + b_L), a network of any widths.

    Args:
        params: a pair (W, b) per layer, W: (m_l, m_{l−1}), b: (m_l,).
        x: one example (d,), a batch (N, d), any leading axes *n.
        activation: the hidden layers' activation, or one per hidden layer.
        output: the last layer's.

    Raises:
        TypeError, ValueError: no layers, a wrong number of activations, dtypes or shapes that do not fit.
    """
    _check_layers(params)
    hidden = len(params) - 1
    activations = [activation] * hidden if callable(activation) else list(activation)
    if not all(map(callable, activations)):
        raise TypeError(f"`activation` must be a function or a sequence of functions, but got {activation!r}")
    if len(activations) != hidden:
        raise ValueError(
            f"`activation` must be one function or {hidden}, one per hidden layer, but got {len(activations)}"
        )
    for (W, b), f in zip(params, [*activations, output], strict=True):
        x = layer(W, b, x, f)
    return x


def _check_layers(params: Layers) -> None:
    """Each a pair, and each as wide as the next one's input; the rest is said by ``affine``."""
    if not isinstance(params, Sequence) or not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in params):
        raise TypeError(f"`params` must be a sequence of pairs (W, b), but got {jax.tree.structure(params)}")
    if not params:
        raise ValueError("`params` must have at least one layer (W, b), but got none")
    shapes = [jnp.shape(W) for W, _ in params]
    for i, (before, after) in enumerate(itertools.pairwise(shapes), 1):
        if len(before) == len(after) == 2 and before[0] != after[1]:
            raise ValueError(
                f"`params[{i}]` must have a W of shape (m, {before[0]}), since layer {i - 1} has {before[0]} units, "
                f"but got shape {after}"
            )
