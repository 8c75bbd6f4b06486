"""The edges of what JAX differentiates: where its modes end, what it refuses, and functions at their kinks."""

import jax
import jax.numpy as jnp
import numpy as np
from differentiate.lax_programs import in_shard_map
from differentiate.lax_table import POSITIVE, A, S, V, W, draw, whole
from differentiate.lax_windows import pool
from jax import lax
from jax.experimental import io_callback
from jax.scipy import special

INF, NAN = np.inf, np.nan
RESULT = jax.ShapeDtypeStruct((7,), np.float64)

# Cases for which JAX lacks a mode, or cannot map it over a basis.
NO_FORWARD = {"custom_vjp", "custom_vjp of a batch", "custom_gradient", "in place", "a sink"}
ONE_TANGENT_AT_A_TIME = {"pooling by products", "ragged_dot"}
NO_REVERSE = ONE_TANGENT_AT_A_TIME | {
    "max pooling, dilated", "while", "while with a counter", "while of a batch", "fori_loop without a known end",
}  # fmt: skip

# The name of a primitive that JAX does not differentiate so, a function that uses it, and its arguments.
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
    "householder_product": (lambda a, t: lax.linalg.householder_product(a, t), draw(5, 3), V[:3]),
    "ormqr": (lambda a, t, c: lax.linalg.ormqr(a, t, c), draw(5, 3), V[:3], draw(5, 2)),
    "tridiagonal": (lambda x: lax.linalg.tridiagonal(x @ x.T)[1], S),
    "cholesky_update": (lambda x, y: lax.linalg.cholesky_update(x, y), np.eye(5), V[:5]),
    "symmetric_product": (lambda x, y: lax.linalg.symmetric_product(x, y), A.T, S),
    "scaled_dot": (lambda x, y: lax.scaled_dot(x, y), A, S),
    "shard_map": (in_shard_map(lambda x: lax.pmax(x, "i") + lax.pmin(x, "i")), V),
}

# Primitives that no case needs.
WITHOUT_DERIVATIVE = {
    "after_all": "orders effects by tokens, which are no numbers",
    "create_token": "makes a token",
    "custom_lin": "stands in JAX's linearized programs only",
    "call": "no public function binds it",
    "closed_call": "no public function binds it",
    "eval_jaxpr": "no public function binds it",
    "select_and_scatter": "no public function binds it",
    "stage": "no public function binds it",
    "empty2": "has no operand",
    "ragged_all_to_all": "needs several devices",
}


def at(f, *points):
    return f, *(np.float64(point) for point in points)


TIES = np.array([1.0, 3.0, 3.0, -2.0, 3.0, -2.0, 0.0])
ONES = np.ones(5)

# A function, and points at each of which it is differentiated.
KINKS = {
    "relu": at(jax.nn.relu, 0, -0.0),
    "relu6": at(jax.nn.relu6, 0, 6),
    "leaky_relu, elu, selu, celu": at(
        lambda x: jax.nn.leaky_relu(x) + jax.nn.elu(x) + jax.nn.selu(x) + jax.nn.celu(x), 0
    ),
    "hard_tanh, hard_sigmoid": at(lambda x: jax.nn.hard_tanh(x) + jax.nn.hard_sigmoid(x), -1, 1, 3, -3),
    "maximum with a constant": at(lambda x: jnp.maximum(x, 0.0), 0),
    "minimum with itself": at(lambda x: jnp.minimum(x, x), 1),
    "maximum of two": at(lambda x: jnp.maximum(x, 2 * x), 0),
    "where": at(lambda x: jnp.where(x >= 0, x, 0.0), 0),
    "abs": at(jnp.abs, 0, -0.0),
    "sign, floor, round": at(lambda x: jnp.sign(x) + jnp.floor(x) + jnp.round(x) + x, 0, 1, 0.5),
    "clip": at(lambda x: jnp.clip(x, -1.0, 2.0), -1, 2),
    "clamp": at(lambda x: lax.clamp(x, x * x, 2.0), 0, 1, 2),
    "rem": at(lambda x: lax.rem(x, 3.0) + jnp.mod(x, 3.0), 3, -3, 0),
    "sqrt": at(jnp.sqrt, 0, -1, INF),
    "sqrt of a square": at(lambda x: jnp.sqrt(x * x), 0),
    "sqrt guarded once": at(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), 0, -1),
    "sqrt guarded twice": at(lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0), 0, -1),
    "cbrt, rsqrt": at(lambda x: (jnp.cbrt(x), lax.rsqrt(x)), 0),
    "log, log1p": at(lambda x: (jnp.log(x), jnp.log1p(-x)), 0, 1, -1),
    "quotients": at(lambda x: (x / x, 1 / x), 0, INF),
    "times a quotient": at(lambda x: x * (1 / x), 0),
    "x ** 0.": at(lambda x: x**0.0, 0, 2),
    "x ** 2.": at(lambda x: x**2.0, 0, -1),
    "x ** ½": at(lambda x: x**0.5, 0, -1),
    "x ** 1.": at(lambda x: x**1.0, 0),
    "x ** -1": at(lambda x: x**-1, 0),
    "x ** x": at(lambda x: x**x, 0),
    "x ** array": at(lambda x: (lax.pow(x, 2.0 + x), lax.pow(1 + x, x)), 0, -1),
    "0 ** x": at(lambda x: 0.0**x, 0, 1, -1),
    "atan2": at(lambda x: (jnp.arctan2(x, x), jnp.arctan2(x, -1.0)), 0),
    "inverse functions": at(lambda x: (jnp.arcsin(x), jnp.arccos(x), jnp.arctanh(x), jnp.arccosh(x)), 1, -1),
    "erf_inv": at(lax.erf_inv, 1, -1),
    "gamma functions": at(lambda x: (lax.lgamma(x), lax.digamma(x)), 0, -1),
    "sinc": at(jnp.sinc, 0, 1),
    "xlogy, entr": at(lambda x: (special.xlogy(x, x), special.entr(x), special.xlog1py(x, x)), 0),
    "logaddexp": at(lambda x: (jnp.logaddexp(x, x), jnp.logaddexp(x, -INF)), 0, -INF),
    "saturation": at(lambda x: (jnp.tanh(x), jax.nn.sigmoid(x), jax.nn.softplus(x), jax.nn.gelu(x)), 1000, -1000, INF),
    "overflow": at(lambda x: (jnp.exp(x), jnp.expm1(x), jnp.exp2(x)), 1e4, -1e4, INF, -INF),
    "no number": at(lambda x: (jnp.sin(x), jnp.where(x > 0, x, 2 * x), jax.nn.relu(x)), NAN),
    "infinity": at(lambda x: (jnp.sin(x) * x, x * x, 1 / x), INF),
    "abs of a complex number": at(lambda x: (lax.abs(lax.complex(x, x)), jnp.angle(lax.complex(x, x))), 0),
    "integers": at(lambda x: x * jnp.floor(x).astype("int32").astype(x.dtype), 1, 0),
    "norm": (jnp.linalg.norm, np.zeros(3)),
    "norms of order 1 and infinity": (lambda x: (jnp.linalg.norm(x, 1), jnp.linalg.norm(x, INF)), np.zeros(3), TIES),
    "normalised": (lambda x: x / jnp.linalg.norm(x), np.zeros(3), np.eye(3)[0]),
    "variance, deviation": (lambda x: (jnp.var(x), jnp.std(x)), ONES),
    "reduce_max, reduce_min": (lambda x: (x.max(), x.min()), TIES, ONES, np.full(3, -INF)),
    "max over rows": (lambda x: x.max(0), TIES[:6].reshape(3, 2), np.ones((3, 2))),
    "max less itself": (lambda x: x - x.max(), TIES),
    "argmax": (lambda x: x[jnp.argmax(x)] * x, TIES),
    "cummax, cummin": (lambda x: (lax.cummax(x), lax.cummin(x, reverse=True)), TIES),
    "sort, argsort": (lambda x: (jnp.sort(x), x[jnp.argsort(-x)]), TIES),
    "top_k": (lambda x: lax.top_k(x, 2)[0], TIES),
    "median, quantile": (lambda x: (jnp.median(x), jnp.quantile(x, 0.3)), TIES),
    "products": (lambda x: (jnp.prod(x), lax.cumprod(x)), np.array([2.0, 0, 3]), np.array([0.0, 0, 3])),
    "max pooling": (pool(-INF, lax.max, (2,), (1,)), TIES),
    "scatter-max, scatter-min": (lambda x: (x.at[whole(1, 1, 3)].max(3.0), x.at[1].min(x[2])), TIES),
    "logsumexp": (jax.nn.logsumexp, np.array([-INF, 1.0]), np.array([-INF, -INF]), np.array([INF, 1.0])),
    "softmax": (jax.nn.softmax, np.array([-INF, 1.0, 1.0]), np.array([-INF, -INF])),
    "cumlogsumexp": (lax.cumlogsumexp, np.array([-INF, 1.0, 1.0])),
    "while": at(lambda x: lax.while_loop(lambda c: c < 1, lambda c: c + x, x), 1, 0.5),
    "cond": at(lambda x: lax.cond(x > 0, jnp.sin, lambda x: 3 * x, x), 0),
    "dynamic_slice at its bounds": (lambda x: lax.dynamic_slice(x, (jnp.argmin(x) + 3,), (3,)), TIES),
}

# Singular points: which of 0·inf and inf − inf arises depends on the order of products, so only what is finite counts.
SINGULAR = {
    "eigh, svd": (lambda x: (jnp.linalg.eigh(x), jnp.linalg.svd(x)), np.eye(2)),
    "det, slogdet": (lambda x: (jnp.linalg.det(x), jnp.linalg.slogdet(x)), np.ones((2, 2)), np.zeros((3, 3))),
    "cholesky, inv": (lambda x: (jnp.linalg.cholesky(x), jnp.linalg.inv(x)), np.zeros((2, 2))),
    "sqrt": (jnp.sqrt, np.array([0.0, 1.0])),
    "rows": (lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True), np.eye(3)[:2] * [[1], [0]]),
}
