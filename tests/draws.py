"""Normal numbers for tests, drawn on the host: nothing to compile, the same on every version of JAX."""

import jax
import jax.numpy as jnp
import numpy as np


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype))
