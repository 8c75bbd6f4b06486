"""Reductions of a vector: sums and products (article §4.4), and what normalises, orders or compares with them."""

import jax
import jax.numpy as jnp
from jax.numpy import sqrt

from jmc.catalogue.inner import EXP, SIN, shapes
from jmc.catalogue.rule import entry
from jmc.catalogue.steps import Steps
from jmc.linear.build import diagonal, einsum, gradient, identity, selection
from jmc.linear.linear_map import LinearMap

u, v = shapes(*SIN, 5), shapes(*EXP, 5)


def ones(x: jax.Array) -> LinearMap:
    """1⃗ᵀ, a row as long as x."""
    return einsum("->,i", sizes={"i": x.size}, dtype=x.dtype)


entry("sum of f(x)", "P-4.4.1 P-8.4.1", "x: n", lambda x: u.vv(x).sum(), lambda x: ones(u.vv(x)) @ u.vv.D(x))

entry("sum", "P-4.4.2 P-8.4.2", "x: n", lambda x: x.sum(), lambda x: ones(x))

entry(
    "sum of xz",
    {"x": "P-4.4.3", "z": "P-4.4.4", "x z": "P-8.4.3"},
    "x: n, z",
    lambda x, z: (x * z).sum(),
    {"x": lambda x, z: ones(x) * z, "z": lambda x, z: x.sum()},
)

entry(
    "sum of w + x",
    "P-4.5.0",
    "w: n, x: n",
    lambda w, x: (w + x).sum(),
    {"w": lambda w, x: ones(w), "x": lambda w, x: ones(x)},
)

entry(
    "dot product",
    {"w": "P-5.2 P-5.3 P-8.4.5", "x": "P-8.4.4"},
    "w: n, x: n",
    lambda w, x: w @ x,
    {"w": lambda w, x: x, "x": lambda w, x: w},
    steps=Steps(
        "w, x",
        u=(lambda w, x: w * x, lambda w, x: diagonal(x), lambda w, x: diagonal(w)),
        y=(lambda u: u.sum(), lambda u: ones(u)),
    ),
)

entry(
    "dot product of functions",
    "P-8.4.6",
    "w: n, x: n",
    lambda w, x: u.vv(w) @ v.vv(x),
    {"w": lambda w, x: gradient(v.vv(x)) @ u.vv.D(w), "x": lambda w, x: gradient(u.vv(w)) @ v.vv.D(x)},
    erratum="§8.4 prints ∂(f(w)·g(x))/∂x = wᵀ and ∂(f(w)·g(x))/∂w = xᵀ, which hold for f = g = identity alone",
    printed=lambda w, x: x,
)

entry("mean", "L-mean", "x: n", lambda x: x.mean(), lambda x: ones(x) / x.size)

entry(
    "variance",
    "L-var",
    "x: n",
    lambda x: ((x - x.mean()) ** 2).mean(),
    lambda x: 2 * (x - x.mean()) / x.size,
    second=lambda x: 2 / x.size * (identity(x.shape) - einsum("->i,j", sizes={"i": x.size, "j": x.size}) / x.size),
)

entry(
    "standard deviation",
    "L-std",
    "x: n distinct",
    lambda x: sqrt(((x - x.mean()) ** 2).mean()),
    lambda x: (x - x.mean()) / (x.size * jnp.std(x)),
    conditions="the entries are not all equal",
)


def _of_the_others(x: jax.Array) -> jax.Array:
    """Π_{j≠i} x_j, also where an entry is 0."""
    before = jnp.cumprod(jnp.concatenate([jnp.ones_like(x[:1]), x[:-1]]))
    after = jnp.cumprod(jnp.concatenate([jnp.ones_like(x[:1]), x[:0:-1]]))[::-1]
    return before * after


entry("product", "L-prod", "x: n", lambda x: x.prod(), _of_the_others)

entry(
    "maximum",
    "L-max",
    "x: n distinct",
    lambda x: x.max(),
    lambda x: selection(jnp.argmax(x), x.shape),
    kinks="two largest entries, of which the first takes all",
    analytic=False,
)

entry(
    "sort",
    "L-sort",
    "x: n distinct",
    lambda x: jnp.sort(x),
    lambda x: selection(jnp.argsort(x), x.shape),
    kinks="equal entries, which keep their order",
    analytic=False,
)


entry(
    "cumulative sum",
    "L-cumsum",
    "x: n",
    lambda x: jnp.cumsum(x),
    lambda x: einsum(f"->i,(i-k:{x.size})", sizes={"i": x.size, "k": x.size}),  # output i takes input i − k, k ≥ 0
)


def _normalised(x: jax.Array) -> jax.Array:
    return x / sqrt(x @ x)


entry(
    "x/‖x‖",
    "L-normalize",
    "x: n",
    lambda x: _normalised(x),
    lambda x: (identity(x.shape) - einsum("i,j->i,j", _normalised(x), _normalised(x))) / sqrt(x @ x),
    conditions="x ≠ 0",
)


def _cosine(x: jax.Array, w: jax.Array) -> jax.Array:
    return _normalised(x) @ _normalised(w)


entry(
    "cosine of an angle",
    {"x": "L-cosine"},
    "x: n, w: n",
    lambda x, w: _cosine(x, w),
    {
        "x": lambda x, w: (_normalised(w) - _cosine(x, w) * _normalised(x)) / sqrt(x @ x),
        "w": lambda x, w: (_normalised(x) - _cosine(x, w) * _normalised(w)) / sqrt(w @ w),
    },
    conditions="x ≠ 0, w ≠ 0",
)


def _differences(X: jax.Array) -> jax.Array:
    """x_i − x_j, (m, m, n)."""
    return X[:, None, :] - X[None, :, :]


def _distances(X: jax.Array) -> LinearMap:
    """∂D_ij/∂X_kd = 2 (x_i − x_j)_d (δ_ik − δ_jk)."""
    return 2 * (einsum("ijd->ij,id", _differences(X)) - einsum("ijd->ij,jd", _differences(X)))


entry("squared distances of pairs", "L-pairdist", "X: m n", lambda X: (_differences(X) ** 2).sum(-1), _distances)
