"""Two sides of a comparison: compiled as one program, and held to be the same."""

import jax
import jax.numpy as jnp
import numpy as np


def compiled(f):
    """`f` as one program, quick to compile rather than to run."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def same(found, wanted, rtol=1e-5, atol=1e-6):
    """The same trees of the same shapes and types, and numbers within the tolerances."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        wide = complex if jnp.iscomplexobj(b) else float
        np.testing.assert_allclose(np.asarray(a, wide), np.asarray(b, wide), rtol=rtol, atol=atol)
