"""The names that formulas of matrices use."""

import jax
import jax.numpy as jnp

inv = jnp.linalg.inv
det = jnp.linalg.det
tr = jnp.trace
outer = jnp.outer
power = jnp.linalg.matrix_power


def logdet(X: jax.Array) -> jax.Array:
    """ln |det X|, (n, n) → ()."""
    return jnp.linalg.slogdet(X)[1]
