"""Rotary positions: queries and keys turned by angles that grow with the position."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jmc.catalogue.rule import rule
from jmc.linear.build import einsum


def _rotations(x: jax.Array, positions: jax.Array, base: float, sign: int = 1) -> jax.Array:
    """R(θ) for each position and pair, (t, pairs, 2, 2), θ = position · base^(−2k/d)."""
    d = x.shape[-1]
    if d % 2:
        raise ValueError(f"`x` of rotary_embedding must have a last axis of even size, but got shape {x.shape}")
    dtype = jnp.finfo(x.dtype).dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype("float32")
    rates = jnp.asarray(float(base) ** (-np.arange(0, d, 2) / max(d, 1)), dtype)
    angles = positions[:, None].astype(dtype) * rates[None, :]
    cos, sin = jnp.cos(angles), sign * jnp.sin(angles)
    return jnp.stack([jnp.stack([cos, -sin], -1), jnp.stack([sin, cos], -1)], -2).astype(x.dtype)


def _rotated(x: jax.Array, positions: jax.Array, base: float, sign: int = 1) -> jax.Array:
    turns = _rotations(x, positions, base, sign)
    pairs = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
    return jnp.einsum("tkpq,...tkq->...tkp", turns, pairs).reshape(x.shape)


@rule(
    jacobian={
        "x": lambda x, positions, *, base: einsum(
            "tkpq->...t(kp),...t(kq)", _rotations(x, positions, base), sizes={"...": x.shape[:-2]}
        )
    },
    vjp={"x": lambda g, y, x, positions, *, base: _rotated(g, positions, base, -1)},
    ids="L-rope",
    source="Su et al., arXiv 2104.09864, eq. 14: ∂y/∂x = R(θ), its transpose R(−θ)",
    analytic=True,
    domain={"positions": lambda rng, shape, _: rng.integers(100, size=shape, dtype=np.int32)},
    small={"e": 6},
)
def rotary_embedding(
    x: Float[Array, "*n t e"], positions: Int[Array, " t"], *, base: float = 10000.0
) -> Float[Array, "*n t e"]:
    """Each pair (x_2k, x_2k+1) turned by θ = position · base^(−2k/e): y = R(θ) x, ∂y/∂x = R(θ), R(θ)ᵀ = R(−θ).

    Args:
        x: queries or keys, (*n, t, e) with e even.
        positions: integers, (t,).
        base: of the wave lengths, a constant.

    Raises:
        TypeError, ValueError: ``positions`` are not integers, or e is odd; the message names the argument.
    """
    return _rotated(x, positions, base)
