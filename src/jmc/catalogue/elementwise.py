"""Element-wise binary operators y = f(w) ○ g(x), with respect to both operands (article §4.2).

Row i of a Jacobian with respect to w is ∂(a_i ○ b_i)/∂a_i times row i of ∂f/∂w. If f_i depends on w_i alone, the
Jacobian is diagonal: for i ≠ j neither operand of ○ in row i moves with w_j.
"""

import jax.numpy as jnp
from jax.numpy import cos, sin

from jmc.catalogue.inner import EXP, SIN, Function, shapes
from jmc.catalogue.rule import entry
from jmc.linear.build import diagonal, identity, zeros

u, v = shapes(*SIN, 5), shapes(*EXP, 5)
f, g = Function(*SIN), Function(*EXP)
# ○, any operator: its partial derivatives differ, and neither is constant
op = Function(lambda a, b: a**2 * b + sin(b), lambda a, b: (2 * a * b, a**2 + cos(b)))

entry(
    "y = f(w) ○ g(x)",
    {"w": "P-4.2.2 P-8.2.2", "x": "P-4.2.3"},
    "w: n, x: n",
    lambda w, x: op(u.vv(w), v.vv(x)),
    {
        "w": lambda w, x: diagonal(op.D(u.vv(w), v.vv(x))[0]) @ u.vv.D(w),
        "x": lambda w, x: diagonal(op.D(u.vv(w), v.vv(x))[1]) @ v.vv.D(x),
    },
)

entry(
    "y_i = f_i(w_i) ○ g_i(x_i)",
    {"w": "P-4.2.5 P-8.2.3", "x": "P-4.2.6", "w x": "P-4.2.4"},
    "w: n, x: n",
    lambda w, x: op(f(w), g(x)),
    {
        "w": lambda w, x: diagonal(op.D(f(w), g(x))[0] * f.D(w)),
        "x": lambda w, x: diagonal(op.D(f(w), g(x))[1] * g.D(x)),
    },
    conditions="f_i depends on w_i alone, and g_i on x_i",
    erratum="the reason given, 0 ○ 0 = 0 for any ○, fails for ⊘; for i ≠ j no operand of row i moves with w_j or x_j",
)

entry(
    "w + x",
    {"w": "P-4.2.7", "x": "P-4.2.8", "w x": "P-8.2.4"},
    "w: n, x: n",
    lambda w, x: w + x,
    {"w": lambda w, x: identity(w.shape), "x": lambda w, x: identity(x.shape)},
)

entry(
    "w − x",
    {"w": "P-4.2.9", "x": "P-4.2.10", "w x": "P-8.2.5"},
    "w: n, x: n",
    lambda w, x: w - x,
    {"w": lambda w, x: identity(w.shape), "x": lambda w, x: -identity(x.shape)},
)

entry(
    "w ⊗ x",
    {"w": "P-4.2.11", "x": "P-4.2.12", "w x": "P-8.2.6"},
    "w: n, x: n",
    lambda w, x: w * x,
    {"w": lambda w, x: diagonal(x), "x": lambda w, x: diagonal(w)},
)

entry(
    "w ⊘ x",
    {"w": "P-4.2.13", "x": "P-4.2.14", "w x": "P-8.2.7"},
    "w: n, x: n nonzero",
    lambda w, x: w / x,
    {"w": lambda w, x: diagonal(1 / x), "x": lambda w, x: diagonal(-w / x**2)},
)

entry(
    "max(w, x)",
    "P-4.2.15",
    "w: n signs, x: n unit",
    lambda w, x: jnp.maximum(w, x),
    {"w": lambda w, x: diagonal(jnp.where(w > x, 1, 0)), "x": lambda w, x: diagonal(jnp.where(x > w, 1, 0))},
    kinks="w_i = x_i, where both derivatives are 0",
    analytic=False,
)

entry(
    "w > x",
    "P-4.2.16",
    "w: n signs, x: n unit",
    lambda w, x: jnp.where(w > x, 1.0, 0.0).astype(x.dtype),
    lambda w, x: zeros(w.shape, w.shape),
    kinks="w_i = x_i, where the function jumps",
    analytic=False,
)
