"""Partial derivatives, and how they are collected: in a gradient as a row, in a Jacobian as rows (article §3, §4.1)."""

import jax.numpy as jnp
from jax.numpy import cos, sin

from jmc.catalogue.inner import SIN, TANH, Function, scalar, shapes
from jmc.catalogue.rule import entry

s, f = scalar(*SIN), shapes(*TANH, 3)
h = Function(lambda x, y: sin(x * y) + x**2, lambda x, y: (y * cos(x * y) + 2 * x, x * cos(x * y)))

entry("xy", "P-3.1", "x, y", lambda x, y: x * y, {"x": lambda x, y: y, "y": lambda x, y: x})

entry(
    "3x²y",
    {"x": "P-3.2", "y": "P-3.3", "x y": "P-3.4"},
    "x, y",
    lambda x, y: 3 * x**2 * y,
    {"x": lambda x, y: 6 * y * x, "y": lambda x, y: 3 * x**2},
)

entry(
    "2x + y⁸",
    {"x": "P-4.0.1", "y": "P-4.0.2", "x y": "P-4.0.3"},
    "x, y",
    lambda x, y: 2 * x + y**8,
    {"x": lambda x, y: 2, "y": lambda x, y: 8 * y**7},
)

entry(
    "3x²y and 2x + y⁸",
    "P-4.0.4",
    "x, y",
    lambda x, y: (3 * x**2 * y, 2 * x + y**8),
    {"x": lambda x, y: (6 * y * x, 2), "y": lambda x, y: (3 * x**2, 8 * y**7)},
)

entry(
    "Jacobian of [3x₁²x₂, 2x₁ + x₂⁸]",
    "P-4.0.5 P-4.1.3",
    "x: 2",
    lambda x: jnp.array([3 * x[0] ** 2 * x[1], 2 * x[0] + x[1] ** 8]),
    lambda x: jnp.array([[6 * x[1] * x[0], 3 * x[0] ** 2], [2, 8 * x[1] ** 7]]),
    conditions="in denominator layout, matrix('denominator'), the transpose",
)

entry(
    "gradient of a function of two numbers",
    "P-8.1.1",
    "x, y",
    lambda x, y: h(x, y),
    {"x": lambda x, y: h.D(x, y)[0], "y": lambda x, y: h.D(x, y)[1]},
)


entry(
    "Jacobian, a stack of gradients",
    "P-4.1.4 P-8.1.2",
    "x: n, P: m n",
    lambda x, P: jnp.array([s(x, p) for p in P]),
    lambda x, P: jnp.array([s.D(x, p) for p in P]),
)

entry("scalar by scalar, 1 × 1", "P-4.1.5a", "x", lambda x: f.ss(x), lambda x: f.ss.D(x))
entry("scalar by vector, a row", "P-4.1.5b", "x: n", lambda x: f.sv(x), lambda x: f.sv.D(x))
entry("vector by scalar, a column", "P-4.1.5c", "x", lambda x: f.vs(x), lambda x: f.vs.D(x))
entry("vector by vector, a matrix", "P-4.1.5d", "x: n", lambda x: f.vv(x), lambda x: f.vv.D(x))
