"""Vectors and scalars by a vector: the sums, products and chains of any functions.

u, v, f and g stand for any differentiable functions, and ``u.D`` for their derivatives (``inner.py``). In the numerator
layout, which this is, the chain rule reads from the outside in; the denominator layout transposes and turns it round.
"""

import jax.numpy as jnp

from jmc.catalogue.inner import SIN, TANH, scalar, vector
from jmc.catalogue.rule import entry
from jmc.linear.build import dense, einsum, identity, zeros

u, v, g, f = vector(*SIN), vector(*TANH), vector(*TANH), vector(*SIN)
s, t = scalar(*SIN), scalar(*TANH)

# A vector by a vector.

entry(
    "constant vector by vector",
    "W-VV-1",
    "x: n, a: m",
    lambda x, a: a,
    lambda x, a: zeros(a.shape, x.shape),
    analytic=False,
)
entry("vector by itself", "W-VV-2", "x: n", lambda x: x, lambda x: identity(x.shape))
entry("matrix times vector", "W-VV-3", "x: n, A: m n", lambda x, A: A @ x, lambda x, A: dense(A, 1))
entry("vector times matrix", "W-VV-4", "x: n, A: n m", lambda x, A: x @ A, lambda x, A: dense(A, 1).T)
entry(
    "number times vector function",
    "W-VV-5",
    "x: n, a:, P: m n",
    lambda x, a, P: a * u(x, P),
    lambda x, a, P: a * u.D(x, P),
)
entry(
    "scalar function times vector",
    "W-VV-6",
    "x: n, p: n, a: m",
    lambda x, p, a: s(x, p) * a,
    lambda x, p, a: einsum("i,j->i,j", a, s.D(x, p)),
)
entry(
    "scalar function times vector function",
    "W-VV-7",
    "x: n, p: n, P: m n",
    lambda x, p, P: s(x, p) * u(x, P),
    lambda x, p, P: s(x, p) * u.D(x, P) + einsum("i,j->i,j", u(x, P), s.D(x, p)),
)
entry(
    "matrix times vector function",
    "W-VV-8",
    "x: n, A: k m, P: m n",
    lambda x, A, P: A @ u(x, P),
    lambda x, A, P: dense(A, 1) @ u.D(x, P),
)
entry(
    "sum of vector functions",
    "W-VV-9",
    "x: n, P: m n, Q: m n",
    lambda x, P, Q: u(x, P) + v(x, Q),
    lambda x, P, Q: u.D(x, P) + v.D(x, Q),
)
entry(
    "vector chain rule, g(u(x))",
    "W-VV-10",
    "x: n, P: m n, G: k m",
    lambda x, P, G: g(u(x, P), G),
    lambda x, P, G: g.D(u(x, P), G) @ u.D(x, P),
)
entry(
    "vector chain rule, f(g(u(x)))",
    "W-VV-11",
    "x: n, P: m n, G: k m, F: l k",
    lambda x, P, G, F: f(g(u(x, P), G), F),
    lambda x, P, G, F: f.D(g(u(x, P), G), F) @ g.D(u(x, P), G) @ u.D(x, P),
)

# A scalar by a vector.

entry("constant by vector", "W-SV-1", "x: n, a:", lambda x, a: a, lambda x, a: zeros((), x.shape), analytic=False)
entry(
    "number times scalar function",
    "W-SV-2",
    "x: n, a:, p: n",
    lambda x, a, p: a * s(x, p),
    lambda x, a, p: a * s.D(x, p),
)
entry(
    "sum of scalar functions",
    "W-SV-3",
    "x: n, p: n, q: n",
    lambda x, p, q: s(x, p) + t(x, q),
    lambda x, p, q: s.D(x, p) + t.D(x, q),
)
entry(
    "product of scalar functions",
    "W-SV-4",
    "x: n, p: n, q: n",
    lambda x, p, q: s(x, p) * t(x, q),
    lambda x, p, q: s(x, p) * t.D(x, q) + t(x, q) * s.D(x, p),
)
entry(
    "gradient chain rule, g(u(x)), u scalar",
    "W-SV-5",
    "x: n, p: n",
    lambda x, p: jnp.exp(s(x, p)),
    lambda x, p: jnp.exp(s(x, p)) * s.D(x, p),
)
entry(
    "gradient chain rule, f(g(u(x))), u scalar",
    "W-SV-6",
    "x: n, p: n",
    lambda x, p: jnp.sin(jnp.exp(s(x, p))),
    lambda x, p: jnp.cos(jnp.exp(s(x, p))) * jnp.exp(s(x, p)) * s.D(x, p),
)
entry(
    "dot product of vector functions",
    "W-SV-7",
    "x: n, P: m n, Q: m n",
    lambda x, P, Q: u(x, P) @ v(x, Q),
    lambda x, P, Q: u(x, P) @ v.D(x, Q) + v(x, Q) @ u.D(x, P),
)
entry(
    "dot product of a vector and a vector function",
    "W-SV-17",
    "x: n, P: m n, a: m",
    lambda x, P, a: a @ u(x, P),
    lambda x, P, a: a @ u.D(x, P),
    second=lambda x, P, a: einsum("k,ki,kj->i,j", -a * jnp.sin(P @ x), P, P).T,
    second_ids="W-SV-9",
)
