"""Functions of `jax.lax` that JAX differentiates: arithmetic, shapes, reductions; each with a point.

A case is a function and its arguments; it is differentiated with respect to all that are not integers. The sizes are
small, prime and different, so that no two axes can be taken for each other. All arrays are NumPy's in float64, for use
inside `jax.enable_x64(True)`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives as p


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def whole(*values):
    return np.array(values, np.int32)


V, W, A, B, C, S = draw(7), draw(7, seed=1), draw(3, 5), draw(3, 5, seed=1), draw(2, 3, 5), draw(5, 5)
POSITIVE, UNIT = np.abs(V) + 0.3, np.tanh(V) * 0.9  # in the domains of the logarithm and of the arcsine
DEFINITE, LOW = S @ S.T / 5 + np.eye(5), np.tril(S) + 3 * np.eye(5)
APART = np.array([3.1, -0.2, 1.7, 0.4, -2.2, 5.3, 2.5])  # a small step changes no order


def elementwise(names, *points):
    return {name: (getattr(lax, name), *points) for name in names.split()}


def bits(n):
    """What there is to do with integers."""
    one, five = np.uint32(1), np.uint32(5)
    some = (lax.shift_left(n, five) ^ lax.shift_right_logical(n, one)) | (lax.clz(n) & ~lax.population_count(n))
    some = lax.mulhi(some, five) + lax.shift_right_arithmetic(some, one)
    parity = lax.reduce_xor(n, (0,)) + lax.reduce_and(n, (0,)) + lax.reduce_or(n, (0,))
    return some % five + parity % five


def compare(x, y):
    orders = (lax.eq, lax.ne, lax.lt, lax.le, lax.gt, lax.ge, p.eq_to_p.bind, p.le_to_p.bind, p.lt_to_p.bind)
    return sum(2.0**i * order(x, y).astype(x.dtype) for i, order in enumerate(orders))


def dot(contract, batch=((), ())):
    return lambda x, y: lax.dot_general(x, y, (contract, batch))


def sum_and_product(a, b):
    return a[0] + b[0], a[1] * b[1]


ELEMENTWISE = {
    **elementwise("abs neg sign floor ceil round exp exp2 expm1 sin cos tan sinh cosh tanh asinh atan logistic", V),
    **elementwise("erf erfc cbrt square bessel_i0e bessel_i1e", V),
    **elementwise("log log1p sqrt rsqrt lgamma digamma reciprocal", POSITIVE),
    **elementwise("asin acos atanh erf_inv", UNIT),
    **elementwise("add sub mul div max min atan2", V, W),
    **elementwise("rem pow igamma igammac", POSITIVE, POSITIVE[::-1] + 0.5),
    "acosh": (lambda x: lax.acosh(1 + x), POSITIVE),
    "acosh of one broadcast": (lambda x, y: lax.acosh(2 + y * y) * x, V, W[0]),
    "integer_pow": (lambda x: lax.integer_pow(x, 3) + lax.integer_pow(x, -2) + lax.integer_pow(x, 1), V),
    "log2, log10": (lambda x: jnp.log2(x) + jnp.log10(x), POSITIVE),
    "pow by whole numbers": (lambda x: lax.pow(x, np.array([0.0, 1, 2, 3, 0, 1, 2])), V),
    "polygamma": (lambda x: lax.polygamma(np.full(7, 2.0), x), POSITIVE),
    "betainc": (lambda x: lax.betainc(POSITIVE, POSITIVE + 1, x), (UNIT + 1) / 2),
    "clamp": (lax.clamp, -POSITIVE, V * 2, POSITIVE),
    "clamp by scalars": (lambda x: lax.clamp(-0.5, x, 0.5), V),
    "max of a scalar": (lambda x, y: jnp.maximum(x, y), A, V[0]),
    "rem with negatives": (lambda x, y: lax.rem(9 * x, y), V, W),
    "reduce_precision": (lambda x: lax.reduce_precision(x * x, 11, 40), V),
    "convert_element_type": (lambda x: x.astype("float32").astype("float64") * x, V),
    "convert to integer": (lambda x: x * jnp.trunc(3 * x).astype("int32").astype("float64"), V),
    "bitcast_convert_type": (lambda x: x * (lax.bitcast_convert_type(x, "int64") % 3).astype(x.dtype), V),
    "integers and booleans": (lambda x: x * bits(jnp.floor(9 * jnp.abs(x)).astype("uint32")).astype(x.dtype), V),
    "comparisons": (lambda x, y: compare(x, y) * x, V, W),
    "is_finite": (lambda x: jnp.where(lax.is_finite(x), x * x, 0.0), V),
    "copy": (lambda x: p.copy_p.bind(x) * x, V),
    "stop_gradient": (lambda x: lax.stop_gradient(x * x) * x, V),
    "nothing arrives": (lambda x, y: jnp.sin(y), V, A),
    "a constant and the argument": (lambda x: (V, x), V),
    "select_n": (lambda x, y: jnp.where(x > y, x * y, y - x), V, W),
    "select_n of three": (lambda x, y: lax.select_n(whole(0, 1, 2, 0, 1, 2, 0), x, y, x * y), V, W),
    "select_n by a scalar": (lambda x, y: lax.select(x[0] > y[0], x * y, y), V, W),
}

SHAPES = {
    "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (2, 7, 3), (1,)), V),
    "broadcast an axis of size 1": (lambda x: jnp.broadcast_to(x[:, :1], x.shape) * x, A),
    "reshape": (lambda x: jnp.sin(x.reshape(5, 6)).reshape(10, 3), C),
    "reshape merges and splits": (lambda x: (x.reshape(6, 5) * jnp.ones((6, 1))).reshape(3, 2, 5), C),
    "reshape, transposed first": (lambda x: lax.reshape(x, (5, 3), dimensions=(1, 0)), A),
    "squeeze": (lambda x: jnp.squeeze(x[:1, :, 1:2]) * x[0, :, 0], C),
    "transpose": (lambda x: x.transpose(2, 0, 1) * x.transpose(2, 0, 1), C),
    "rev": (lambda x: lax.rev(x, (0, 2)) * x, C),
    "slice": (lambda x: x[1:, ::2, 1:4] * x[:1, 1:, 2:], C),
    "slice with a stride that ends early": (lambda x: lax.slice(x, (1,), (6,), (3,)), V),
    "pad": (lambda x, y: lax.pad(x, y, [(1, 0, 0), (0, 2, 1), (-1, -1, 0)]), C, V[0]),
    "pad with holes and a negative edge": (lambda x: lax.pad(x, 0.0, [(-2, 3, 2)]) ** 2, V),
    "concatenate": (lambda x, y: jnp.concatenate([x, y, x * y], 1), A, B),
    "stack": (lambda x, y: jnp.stack([x, y, x * y], 1), A, B),
    "split": (lambda x: jnp.split(x, [2, 3], axis=1)[0] * jnp.split(x, [2, 3], axis=1)[2], A),
    "unstack": (lambda x: sum(row * (i + 1) for i, row in enumerate(lax.unstack(x))), A),
    "tile": (lambda x: lax.tile(x, (2, 3)), A),
    "repeat": (lambda x: jnp.repeat(x, 3, axis=0), A),
    "roll": (lambda x: jnp.roll(x, 2, axis=1) * x, A),
    "diagonal and trace": (lambda x: (jnp.diagonal(x), jnp.trace(x)), S),
    "diag": (lambda x: jnp.diag(jnp.sin(x)), V),
    "triangles": (lambda x: jnp.tril(x) @ jnp.triu(x, 1), S),
    "outer, kron": (lambda x, y: (jnp.outer(x, y), jnp.kron(x[:2], y[:3])), V, W),
    "cross": (lambda x, y: jnp.cross(x, y), A[:, :3], B[:, :3]),
    "dot of vectors": (jnp.dot, V, W),
    "dot of matrix and vector": (jnp.matmul, C, V[:5]),
    "dot of one matrix with itself": (lambda x: x @ x, S),
    "dot_general": (dot(((2,), (2,)), ((0,), (0,))), C, draw(2, 7, 5)),
    "dot_general, two contracted out of order": (dot(((2, 0), (0, 1))), C, draw(5, 2, 7)),
    "dot_general, batch axes inside": (dot(((0,), (2,)), ((2, 1), (0, 1))), C, draw(5, 3, 2)),
    "dot_general, no contraction": (dot(((), ())), A, V[:2]),
    "einsum": (lambda x, y: jnp.einsum("abc,dbc->ad", x, y), C, draw(7, 3, 5)),
    "einsum of one": (lambda x: jnp.einsum("iji->j", x), draw(3, 5, 3)),
}

REDUCTIONS = {
    "reduce_sum": (lambda x: (x.sum((0, 2)), x.sum()), C),
    "reduce_max": (lambda x: (x.max(1), x.max()), C),
    "reduce_min": (lambda x: x.min((0, 2)), C),
    "reduce_prod": (lambda x: (x.prod(1), x.prod()), C),
    "reduce_prod with a zero": (lambda x: (x - V[3]).prod(), V),
    "reduce of a sum with products": (lambda x: lax.reduce(x, 0.0, lambda a, b: a + b + a * b, (1,)), A),
    "reduce of two": (lambda x, y: lax.reduce((x, y), (0.0, 1.0), sum_and_product, (1,)), A, B),
    "argmax, argmin": (lambda x: x * x[jnp.argmax(x)] + x[jnp.argmin(x)], APART),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=1), A),
    "softmax": (lambda x: jax.nn.softmax(x, axis=0), A),
    "variance": (lambda x: (jnp.var(x, axis=1), jnp.std(x)), A),
    "median, quantile": (lambda x: (jnp.median(x), jnp.quantile(x, 0.3)), APART),
    "cumsum": (lambda x: jnp.cumsum(x, 1), A),
    "cumsum in reverse": (lambda x: lax.cumsum(x * x, 0, reverse=True), A),
    "cumprod": (lambda x: (lax.cumprod(x, 1), lax.cumprod(x, 0, reverse=True)), A),
    "cummax, cummin": (lambda x: (lax.cummax(x), lax.cummin(x, reverse=True)), APART),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, 1, reverse=True), A),
    "sort": (lambda x: jnp.sort(x, axis=0), draw(5, 3)),
    "sort of two by one key": (lambda x, y: lax.sort((x * x, y), num_keys=1), APART, V),
    "argsort": (lambda x, y: y[jnp.argsort(x)], APART, V),
    "top_k": (lambda x: lax.top_k(x, 3)[0], APART.reshape(1, 7) * [[1], [-2]]),
    "approx_top_k": (lambda x: (lax.approx_max_k(x, 3)[0], lax.approx_min_k(x, 2)[0]), APART),
}
