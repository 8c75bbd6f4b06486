"""Recurrent cells: one step of a plain recurrent unit and of a GRU, and the chain rule through many.

Every gate is σ or tanh of z_g = W_g x + U_g h + b_g, unit by unit, so a cell has one array of slopes of its output by
its gates, D_gi = ∂out_i/∂z_gi. From it come the derivatives by all parameters and by both inputs, each one product:
∂out_i/∂W_gid = D_gi x_d, ∂out_i/∂x_d = Σ_g D_gi W_gid, ∂out_i/∂b_gi = D_gi, and so for h and U.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import entry, rule
from jmc.catalogue.stable import logistic, logistic_density, sech2
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


def gates(x: jax.Array, W: jax.Array, b: jax.Array) -> jax.Array:
    """W_g x + b_g, (*n, g, m)."""
    z = jnp.einsum("...d,gmd->...gm", x, W)
    return z + jnp.broadcast_to(b, z.shape)


def by_weights(D: jax.Array, x: jax.Array) -> LinearMap:
    """∂out/∂W, of W for each gate, (g, m, d)."""
    return einsum("...gi,...d->...i,gid", D, x)


def by_input(D: jax.Array, W: jax.Array) -> LinearMap:
    """∂out/∂x."""
    return einsum("...gi,gid->...i,...d", D, W)


def by_bias(D: jax.Array) -> LinearMap:
    """∂out/∂b."""
    return einsum("...gi->...i,gi", D)


# the plain unit


def _slope(x: jax.Array, h: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array) -> jax.Array:
    """D, (*n, 1, m)."""
    return sech2(gates(x, W[None], b[None]) + jnp.einsum("...d,gmd->...gm", h, U[None]))


@rule(
    jacobian={
        "x": lambda x, h, W, U, b: by_input(_slope(x, h, W, U, b), W[None]),
        "h": lambda x, h, W, U, b: by_input(_slope(x, h, W, U, b), U[None]),
        "W": lambda x, h, W, U, b: einsum("...i,...d->...i,id", _slope(x, h, W, U, b)[..., 0, :], x),
        "U": lambda x, h, W, U, b: einsum("...i,...d->...i,id", _slope(x, h, W, U, b)[..., 0, :], h),
        "b": lambda x, h, W, U, b: einsum("...i->...i,i", _slope(x, h, W, U, b)[..., 0, :]),
    },
    ids={"h": "L-rnn"},
    source="Elman (1990): ∂h′/∂h = diag(1 − h′²) U",
    analytic=True,
    domain={"W": "mild", "U": "mild"},
    small={"m": 3, "d": 2},
)
def rnn_cell(
    x: Float[Array, "*n d"],
    h: Float[Array, "*n m"],
    W: Float[Array, "m d"],
    U: Float[Array, "m m"],
    b: Float[Array, " m"],
) -> Float[Array, "*n m"]:
    """h′ = tanh(W x + U h + b), one step; ∂h′/∂h = diag(1 − h′²) U, ∂h′/∂x = diag(1 − h′²) W.

    Args:
        x: the input, (*n, d), any leading axes of examples.
        h: the state before, (*n, m).
        W: weights of the input, (m, d).
        U: weights of the state, (m, m).
        b: biases, (m,).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    z = x @ W.T + h @ U.T
    return jnp.tanh(z + jnp.broadcast_to(b, z.shape))


def _states(h: jax.Array, X: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array) -> list[jax.Array]:
    """h_0, …, h_T."""
    states = [h]
    for x in X:
        states.append(jnp.tanh(W @ x + U @ states[-1] + b))
    return states


def _through_time(by_step: Callable[..., LinearMap]) -> Callable[..., LinearMap]:
    """∂h_T = Σ_t J_T ⋯ J_t+1 ∂h_t, last first, with J_t = diag(1 − h_t²) U; ``by_step`` is ∂h_t at a fixed h_t−1."""

    def jacobian(h: jax.Array, X: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array) -> LinearMap:
        total: LinearMap | None = None
        for t, (x, before) in enumerate(zip(X, _states(h, X, W, U, b), strict=False)):
            slope = sech2(W @ x + U @ before + b)
            direct = by_step(t, slope, x, before, X, W)
            total = direct if total is None else einsum("i,ij->i,j", slope, U) @ total + direct
        assert total is not None
        return total

    return jacobian


def _by_first_state(h: jax.Array, X: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array) -> LinearMap:
    """J_T ⋯ J_1."""
    steps = zip(X, _states(h, X, W, U, b), strict=False)
    maps = [einsum("i,ij->i,j", sech2(W @ x + U @ before + b), U) for x, before in steps]
    return functools.reduce(lambda total, J: J @ total, maps)


entry(
    "states of a recurrent network",
    "",
    "h: m, X: t d, W: m d mild, U: m m mild, b: m mild",
    lambda h, X, W, U, b: _states(h, X, W, U, b)[-1],
    {
        "h": _by_first_state,
        "X": _through_time(lambda t, s, x, before, X, W: einsum(f"i,id->i,({t}:{len(X)})d", s, W)),
        "W": _through_time(lambda t, s, x, before, X, W: einsum("i,d->i,id", s, x)),
        "U": _through_time(lambda t, s, x, before, X, W: einsum("i,j->i,ij", s, before)),
        "b": _through_time(lambda t, s, x, before, X, W: build.diagonal(s)),
    },
    source="Werbos (1990), backpropagation through time",
    small={"m": 3, "d": 2, "t": 4},
)


# the GRU


def _gru_slopes(
    x: jax.Array, h: jax.Array, W: jax.Array, U: jax.Array, b: jax.Array, a: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """D by z = W x + b, D by s = U h + a, and the update gate u, the direct slope by h."""
    z, s = gates(x, W, b), gates(h, U, a)
    r, u = (z[..., k, :] + s[..., k, :] for k in range(2))
    n = z[..., 2, :] + logistic(r) * s[..., 2, :]
    by_n = logistic(-u) * sech2(n)
    by_r, by_u = by_n * s[..., 2, :] * logistic_density(r), (h - jnp.tanh(n)) * logistic_density(u)
    return jnp.stack([by_r, by_u, by_n], -2), jnp.stack([by_r, by_u, by_n * logistic(r)], -2), logistic(u)


@rule(
    jacobian={
        "x": lambda x, h, W, U, b, a: by_input(_gru_slopes(x, h, W, U, b, a)[0], W),
        "h": lambda x, h, W, U, b, a: (
            by_input(_gru_slopes(x, h, W, U, b, a)[1], U) + build.diagonal(_gru_slopes(x, h, W, U, b, a)[2])
        ),
        "W": lambda x, h, W, U, b, a: by_weights(_gru_slopes(x, h, W, U, b, a)[0], x),
        "U": lambda x, h, W, U, b, a: by_weights(_gru_slopes(x, h, W, U, b, a)[1], h),
        "b": lambda x, h, W, U, b, a: by_bias(_gru_slopes(x, h, W, U, b, a)[0]),
        "a": lambda x, h, W, U, b, a: by_bias(_gru_slopes(x, h, W, U, b, a)[1]),
    },
    source="Cho et al., arXiv 1406.1078, with the reset after the product",
    analytic=True,
    domain={"W": "mild", "U": "mild"},
    small={"m": 2, "d": 4},
)
def gru_cell(
    x: Float[Array, "*n d"],
    h: Float[Array, "*n m"],
    W: Float[Array, "3 m d"],
    U: Float[Array, "3 m m"],
    b: Float[Array, "3 m"],
    a: Float[Array, "3 m"],
) -> Float[Array, "*n m"]:
    """h′ = (1 − u) ⊗ n + u ⊗ h with n = tanh(z_n + r ⊗ s_n), u = σ(z_u + s_u), r = σ(z_r + s_r).

    z = W x + b and s = U h + a, gates in the order r, u, n; the reset gate r acts after the product, as in cuDNN.

    Args:
        x: the input, (*n, d), any leading axes of examples.
        h: the state before, (*n, m).
        W: weights of the input for each gate, (3, m, d).
        U: weights of the state, (3, m, m).
        b: biases of the input, (3, m).
        a: biases of the state, (3, m).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    z, s = gates(x, W, b), gates(h, U, a)
    r, u = (logistic(z[..., k, :] + s[..., k, :]) for k in range(2))
    return (1 - u) * jnp.tanh(z[..., 2, :] + r * s[..., 2, :]) + u * h


entry(
    "state of a gru cell",
    "L-gru-cell",
    "h: n, u: n unit, n: n",
    lambda h, u, n: (1 - u) * n + u * h,
    {
        "h": lambda h, u, n: build.diagonal(u),
        "u": lambda h, u, n: build.diagonal(h - n),
        "n": lambda h, u, n: build.diagonal(1 - u),
    },
    source="Cho et al., arXiv 1406.1078, its last step",
    conditions="u and n do not depend on h: the direct path",
)
