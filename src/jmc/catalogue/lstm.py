"""The LSTM: a memory that gates write, forget and read."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue import activation
from jmc.catalogue.recurrent import by_bias, by_input, by_weights, gates
from jmc.catalogue.rule import entry
from jmc.catalogue.signature import checked, parameters
from jmc.catalogue.stable import logistic, logistic_density, sech2
from jmc.linear import build
from jmc.linear.linear_map import LinearMap


def _lstm_gates(x: jax.Array, h: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array) -> list[jax.Array]:
    z = gates(x, W, b) + jnp.einsum("...d,gmd->...gm", h, U)
    return [z[..., k, :] for k in range(4)]


def _lstm(
    x: jax.Array,
    h: jax.Array,
    c: jax.Array,
    W: jax.Array,
    U: jax.Array,
    b: jax.Array,
    sigmoid: Callable[[jax.Array], jax.Array] = logistic,
    tanh: Callable[[jax.Array], jax.Array] = jnp.tanh,
) -> tuple[jax.Array, jax.Array]:
    i, f, g, o = _lstm_gates(x, h, W, U, b)
    memory = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(memory), memory


def _lstm_slopes(
    x: jax.Array, h: jax.Array, c: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """D of h′ and c′, and their slopes by c."""
    i, f, g, o = _lstm_gates(x, h, W, U, b)
    memory = logistic(f) * c + logistic(i) * jnp.tanh(g)
    by_memory = logistic(o) * sech2(memory)
    of_memory = jnp.stack(
        [logistic_density(i) * jnp.tanh(g), logistic_density(f) * c, logistic(i) * sech2(g), jnp.zeros_like(o)], -2
    )
    direct = jnp.stack([*[jnp.zeros_like(o)] * 3, logistic_density(o) * jnp.tanh(memory)], -2)
    return (by_memory[..., None, :] * of_memory + direct, of_memory), (by_memory * logistic(f), logistic(f))


def _of_both(make: Callable[..., LinearMap]) -> Callable[..., tuple[LinearMap, ...]]:
    """The closed form for h′ and c′, from D of each."""

    def jacobian(
        x: jax.Array, h: jax.Array, c: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array
    ) -> tuple[LinearMap, ...]:
        slopes, _ = _lstm_slopes(x, h, c, W, U, b)
        return tuple(make(D, x, h, W, U) for D in slopes)

    return jacobian


entry(
    "lstm cell",
    "",
    "x: n d, h: n m, c: n m, W: 4 m d mild, U: 4 m m mild, b: 4 m",
    lambda x, h, c, W, U, b: _lstm(x, h, c, W, U, b),
    {
        "x": _of_both(lambda D, x, h, W, U: by_input(D, W)),
        "h": _of_both(lambda D, x, h, W, U: by_input(D, U)),
        "c": lambda x, h, c, W, U, b: tuple(map(build.diagonal, _lstm_slopes(x, h, c, W, U, b)[1])),
        "W": _of_both(lambda D, x, h, W, U: by_weights(D, x)),
        "U": _of_both(lambda D, x, h, W, U: by_weights(D, h)),
        "b": _of_both(lambda D, x, h, W, U: by_bias(D)),
    },
    source="Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000)",
    small={"m": 2, "d": 4},
)

entry(
    "memory and output of an lstm cell",
    "L-lstm-cell",
    "c: n, f: n unit, i: n unit, g: n, o: n unit",
    lambda c, f, i, g, o: (o * jnp.tanh(f * c + i * g), f * c + i * g),
    {
        name: lambda c, f, i, g, o, slope=slope: (
            build.diagonal(o * sech2(f * c + i * g) * slope(c, f, i, g)),
            build.diagonal(slope(c, f, i, g)),
        )
        for name, slope in (
            ("c", lambda c, f, i, g: f),
            ("f", lambda c, f, i, g: c),
            ("i", lambda c, f, i, g: g),
            ("g", lambda c, f, i, g: i),
        )
    }
    | {"o": lambda c, f, i, g, o: (build.diagonal(jnp.tanh(f * c + i * g)), build.zeros(c.shape, o.shape))},
    conditions="the gates do not depend on c (no peepholes)",
)


@functools.cache
def _lstm_parameters() -> tuple:
    return parameters(lstm_cell)


def lstm_cell(
    x: Float[Array, "*n d"],
    h: Float[Array, "*n m"],
    c: Float[Array, "*n m"],
    W: Float[Array, "4 m d"],
    U: Float[Array, "4 m m"],
    b: Float[Array, "4 m"],
) -> tuple[Float[Array, "*n m"], Float[Array, "*n m"]]:
    """(h′, c′) with c′ = σ(z_f) ⊗ c + σ(z_i) ⊗ tanh z_g, h′ = σ(z_o) ⊗ tanh c′; the gates i, f, g, o in this order.

    Its derivatives are those of the rule ``lstm cell``.

    Args:
        x: the input, (*n, d), any leading axes of examples.
        h: the output before, (*n, m).
        c: the memory before, (*n, m).
        W: weights of the input for each gate, (4, m, d).
        U: weights of the output before, (4, m, m).
        b: biases, (4, m).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    args = checked("lstm_cell", _lstm_parameters(), (x, h, c, W, U, b))
    return _lstm(*args, sigmoid=activation.sigmoid, tanh=activation.tanh)
