"""Vectors, matrices and scalars by a scalar x: the sums, products and chains of any functions of x.

u, v, U and V stand for any differentiable functions of x, ``u.D`` and ``u.D2`` for their derivatives (``inner.py``).
"""

import jax
import jax.numpy as jnp

from jmc.catalogue.algebra import expm, inv, logdet, tr
from jmc.catalogue.inner import SIN, TANH, curve, regular, scalar, series, vector
from jmc.catalogue.rule import entry
from jmc.linear.build import zeros

u, v = curve(*SIN), curve(*TANH)
U, V, R = u, v, regular
g, f = vector(*TANH), vector(*SIN)
s = scalar(*TANH)

# A vector by a scalar.

entry(
    "constant vector by scalar",
    "W-VS-1",
    "x:, a: m",
    lambda x, a: a,
    lambda x, a: zeros(a.shape, ()),
    analytic=False,
)
entry(
    "number times vector of a scalar",
    "W-VS-2",
    "x:, a:, p: m",
    lambda x, a, p: a * u(x, p),
    lambda x, a, p: a * u.D(x, p),
)
entry(
    "matrix times vector of a scalar",
    "W-VS-3",
    "x:, A: m n, p: n",
    lambda x, A, p: A @ u(x, p),
    lambda x, A, p: A @ u.D(x, p),
)
entry(
    "row vector of a scalar",
    "W-VS-4",
    "x:, p: m 1",
    lambda x, p: u(x, p).T,
    lambda x, p: u.D(x, p).T,
)
entry(
    "sum of vectors of a scalar",
    "W-VS-5",
    "x:, p: m, q: m",
    lambda x, p, q: u(x, p) + v(x, q),
    lambda x, p, q: u.D(x, p) + v.D(x, q),
)
entry(
    "cross product of vectors of a scalar",
    "W-VS-6",
    "x:, p: 3, q: 3",
    lambda x, p, q: jnp.cross(u(x, p), v(x, q)),
    lambda x, p, q: jnp.cross(u.D(x, p), v(x, q)) + jnp.cross(u(x, p), v.D(x, q)),
    conditions="the page transposes the left factors; here both are vectors",
)
entry(
    "vector chain rule, g(u(x)), x scalar",
    "W-VS-7",
    "x:, p: m, G: k m",
    lambda x, p, G: g(u(x, p), G),
    lambda x, p, G: g.D(u(x, p), G) @ u.D(x, p),
)
entry(
    "vector chain rule, f(g(u(x))), x scalar",
    "W-VS-8",
    "x:, p: m, G: k m, F: l k",
    lambda x, p, G, F: f(g(u(x, p), G), F),
    lambda x, p, G, F: f.D(g(u(x, p), G), F) @ g.D(u(x, p), G) @ u.D(x, p),
)
entry(
    "matrix of a scalar times vector of it",
    "W-VS-9",
    "x:, A: m n, p: n",
    lambda x, A, p: U(x, A) @ v(x, p),
    lambda x, A, p: U.D(x, A) @ v(x, p) + U(x, A) @ v.D(x, p),
    conditions="the page writes the product as U × v",
)

# A matrix by a scalar.

entry(
    "number times matrix of a scalar",
    "W-MS-1",
    "x:, a:, P: m n",
    lambda x, a, P: a * U(x, P),
    lambda x, a, P: a * U.D(x, P),
)
entry(
    "matrix of a scalar between matrices",
    "W-MS-2",
    "x:, A: m n, B: k l, P: n k",
    lambda x, A, B, P: A @ U(x, P) @ B,
    lambda x, A, B, P: A @ U.D(x, P) @ B,
)
entry(
    "sum of matrices of a scalar",
    "W-MS-3",
    "x:, P: m n, Q: m n",
    lambda x, P, Q: U(x, P) + V(x, Q),
    lambda x, P, Q: U.D(x, P) + V.D(x, Q),
)
entry(
    "product of matrices of a scalar",
    "W-MS-4",
    "x:, P: m k, Q: k n",
    lambda x, P, Q: U(x, P) @ V(x, Q),
    lambda x, P, Q: U(x, P) @ V.D(x, Q) + U.D(x, P) @ V(x, Q),
)
entry(
    "Kronecker product of matrices of a scalar",
    "W-MS-5",
    "x:, P: m n, Q: k l",
    lambda x, P, Q: jnp.kron(U(x, P), V(x, Q)),
    lambda x, P, Q: jnp.kron(U(x, P), V.D(x, Q)) + jnp.kron(U.D(x, P), V(x, Q)),
)
entry(
    "Hadamard product of matrices of a scalar",
    "W-MS-6",
    "x:, P: m n, Q: m n",
    lambda x, P, Q: U(x, P) * V(x, Q),
    lambda x, P, Q: U(x, P) * V.D(x, Q) + U.D(x, P) * V(x, Q),
)


def _of_two(x: jax.Array, y: jax.Array, P: jax.Array, Q: jax.Array) -> tuple[jax.Array, ...]:
    """W = U⁻¹, U_x, U_y and U_xy of U = sin(xP + yQ) + (2n + 1) I, which is diagonally dominant."""
    z = x * P + y * Q
    U = jnp.sin(z) + (2 * len(P) + 1) * jnp.eye(len(P), dtype=P.dtype)
    return inv(U), P * jnp.cos(z), Q * jnp.cos(z), -P * Q * jnp.sin(z)


def _by_first(x: jax.Array, y: jax.Array, P: jax.Array, Q: jax.Array) -> jax.Array:
    W, U_x, *_ = _of_two(x, y, P, Q)
    return -W @ U_x @ W


def _by_both(x: jax.Array, y: jax.Array, P: jax.Array, Q: jax.Array) -> jax.Array:
    W, U_x, U_y, U_xy = _of_two(x, y, P, Q)
    return W @ (U_x @ W @ U_y - U_xy + U_y @ W @ U_x) @ W


entry(
    "inverse of a matrix of two scalars, ∂U⁻¹/∂x by y",
    "W-MS-8",
    "x:, y:, P: n n, Q: n n",
    lambda x, y, P, Q: _by_first(x, y, P, Q),
    {"y": _by_both},
)
entry(
    "matrix function of xA, a power series",
    "W-MS-9",
    "x: unit, A: n n, c: k",
    lambda x, A, c: series(x * A, c),
    lambda x, A, c: A @ series.D(x * A, c),
)
entry(
    "matrix exponential of xA",
    "W-MS-10",
    "x: unit, A: n n",
    lambda x, A: expm(x * A),
    lambda x, A: A @ expm(x * A),
)

# A scalar by a scalar.

entry(
    "scalar chain rule through a vector, g(u(x))",
    "W-SS-1",
    "x:, p: n, a: n",
    lambda x, p, a: s(u(x, p), a),
    lambda x, p, a: s.D(u(x, p), a) @ u.D(x, p),
)
entry(
    "dot product of vectors of a scalar",
    "W-SS-2",
    "x:, p: n, q: n",
    lambda x, p, q: u(x, p) @ v(x, q),
    lambda x, p, q: u(x, p) @ v.D(x, q) + u.D(x, p) @ v(x, q),
)
entry(
    "log determinant of a matrix of a scalar",
    "W-SS-4",
    "x:, P: n n",
    lambda x, P: logdet(R(x, P)),
    lambda x, P: tr(inv(R(x, P)) @ R.D(x, P)),
    analytic=False,
)
entry(
    "scalar chain rule through a matrix, g(U(x))",
    "W-SS-6",
    "x:, P: m n, A: m n",
    lambda x, P, A: s(U(x, P), A),
    lambda x, P, A: tr(s.D(U(x, P), A).T @ U.D(x, P)),
)
entry(
    "trace of a matrix function of xA, a power series",
    "W-SS-7",
    "x: unit, A: n n, c: k",
    lambda x, A, c: tr(series(x * A, c)),
    lambda x, A, c: tr(A @ series.D(x * A, c)),
)
entry(
    "trace of the matrix exponential of xA",
    "W-SS-8",
    "x: unit, A: n n",
    lambda x, A: tr(expm(x * A)),
    lambda x, A: tr(A @ expm(x * A)),
)
