"""What JAX refuses to differentiate, primitives without a derivative, and functions at their kinks."""

import jax
import jax.numpy as jnp
import numpy as np
from differentiate.lax_table import POSITIVE, A, S, V, W, draw, whole
from jax import lax
from jax.experimental import io_callback

RESULT = jax.ShapeDtypeStruct((7,), np.float64)

# A function, its arguments, and the name of what it contains.
REFUSED = {
    "nextafter": (lax.nextafter, V, W),
    "zeta": (lambda x: lax.zeta(np.full(7, 3.0), x), POSITIVE),
    "igamma_grad_a": (lax.igamma_grad_a, POSITIVE, POSITIVE),
    "polygamma": (lambda m: lax.polygamma(m, POSITIVE), np.full(7, 2.0)),
    "regularized_incomplete_beta": (lambda a: lax.betainc(a, POSITIVE, 1 / (1 + POSITIVE)), POSITIVE),
    "rng_uniform": (lambda a: lax.rng_uniform(a, 3.0, (7,)), V[0]),
    "pure_callback": (lambda x: jax.pure_callback(np.sin, RESULT, x), V),
    "io_callback": (lambda x: io_callback(np.sin, RESULT, x), V),
    "composite": (lambda x: lax.composite(lambda x: jnp.sin(x), "tests.sine")(x), V),
    "scatter-mul": (lambda x, y: x.at[whole(1, 1)].multiply(y), V, W[:2]),
    "scatter": (lambda x: x.at[whole(1, 3)].apply(jnp.sin), V),
    "eig": (lambda x: jnp.abs(jnp.linalg.eig(x)[1]), S),
    "svd": (lambda x: jnp.linalg.svd(x, full_matrices=True)[0], A),
    "schur": (lambda x: lax.linalg.schur(x)[0], S),
    "hessenberg": (lambda x: lax.linalg.hessenberg(x)[0], S),
    "householder_product": (lax.linalg.householder_product, draw(5, 3), V[:3]),
    "ormqr": (lambda a, t, c: lax.linalg.ormqr(a, t, c), draw(5, 3), V[:3], draw(5, 2)),
    "tridiagonal": (lambda x: lax.linalg.tridiagonal(x @ x.T)[1], S),
    "cholesky_update": (lax.linalg.cholesky_update, np.eye(5), V[:5]),
    "symmetric_product": (lax.linalg.symmetric_product, A.T, S),
    "scaled_dot": (lax.scaled_dot, A, S),
    "a rule of the user that raises": None,
}
