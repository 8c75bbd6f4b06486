"""Chain rules (article §4.5): for one variable, with total derivatives, and for vectors; and the worked examples.

Laws are stated with functions about which nothing is special (``inner.py``): ``f.sv`` takes a vector to a number,
``u.vs`` a number to a vector, and ``.D`` is the derivative. Their products are of Jacobians in numerator layout.
"""

import jax
import jax.numpy as jnp
from jax.numpy import cos, exp, log, sin

from jmc.catalogue.inner import EXP, SIN, TANH, Function, shapes
from jmc.catalogue.rule import entry
from jmc.catalogue.steps import Steps
from jmc.linear.build import diagonal

f, u = shapes(*TANH, 3), shapes(*SIN, 5)
sine, exponential = Function(*SIN), Function(*EXP)

# one variable

entry(
    "chain rule for one variable",
    "P-4.5.1.1 P-8.5.1 P-4.5.3.7a",
    "x",
    lambda x: f.ss(u.ss(x)),
    lambda x: f.ss.D(u.ss(x)) @ u.ss.D(x),
    conditions="one path from x to y: no intermediate variable has several arguments that move",
)

entry(
    "chain rule for one variable, from x to y",
    "P-4.5.1.4 P-4.5.1.5",
    "x",
    lambda x: sine(exponential(x)),
    lambda x: exponential.D(x) * sine.D(exponential(x)),
    conditions="numbers, whose product commutes",
)

entry(
    "sin x²",
    "P-4.5.1.3",
    "x",
    lambda x: sin(x**2),
    lambda x: 2 * x * cos(x**2),
    steps=Steps("x", u=(lambda x: x**2, lambda x: 2 * x), y=(lambda u: sin(u), lambda u: cos(u))),
)

entry(
    "ln sin² x³",
    "P-4.5.1.6",
    "x: unit",
    lambda x: log(sin(x**3) ** 2),
    lambda x: 6 * x**2 * cos(x**3) / sin(x**3),
    steps=Steps(
        "x",
        u1=(lambda x: x**3, lambda x: 3 * x**2),
        u2=(lambda u1: sin(u1), lambda u1: cos(u1)),
        u3=(lambda u2: u2**2, lambda u2: 2 * u2),
        u4=(lambda u3: log(u3), lambda u3: 1 / u3),
    ),
)

# total derivatives

entry(
    "x + x²",
    "P-4.5.2.1 P-4.5.2.3",
    "x",
    lambda x: x + x**2,
    lambda x: 1 + 2 * x,
    steps=Steps(
        "x",
        u1=(lambda x: x**2, lambda x: 2 * x),
        u2=(lambda x, u1: x + u1, lambda x, u1: 1, lambda x, u1: 1),
    ),
    erratum="as the article shows, the single-variable rule fails here: it gives 2x, without the direct path from x",
    printed=lambda x: 2 * x,
)

entry(
    "increment of x + x²",
    "P-4.5.2.2",
    "d, x",
    lambda d, x: (x + d) + (x + d) ** 2 - (x + x**2),
    lambda d, x: 1 + 2 * (x + d),
    conditions="d = Δx; for x = Δx = 1 it is 6 − 2 = 4",
)


g = Function(
    lambda x, u1, u2: x * u1**2 + sin(u2) * exp(x),
    lambda x, u1, u2: (u1**2 + sin(u2) * exp(x), 2 * x * u1, cos(u2) * exp(x)),
)


def _total(x: jax.Array) -> jax.Array:
    """∂f/∂x + Σ (∂f/∂u_i)(∂u_i/∂x)."""
    by_x, by_u1, by_u2 = g.D(x, sine(x), exponential(x))
    return by_x + by_u1 * sine.D(x) + by_u2 * exponential.D(x)


def _total_with_x_among_them(x: jax.Array) -> jax.Array:
    """Σ (∂f/∂u_i)(∂u_i/∂x), where x itself is one of the u_i."""
    u = (x, sine(x), exponential(x))
    return jnp.array(g.D(*u)) @ jnp.array([1, sine.D(x), exponential.D(x)])


entry(
    "total derivative of f(x, u₁, u₂)",
    "P-4.5.2.4",
    "x",
    lambda x: g(x, sine(x), exponential(x)),
    _total,
    erratum="one symbol, ∂f/∂x, is printed for both the total derivative and the partial one, which holds u₁ and u₂",
    printed=lambda x: g.D(x, sine(x), exponential(x))[0],
)

entry(
    "total derivative of f(u₁, …, uₙ₊₁) with uₙ₊₁ = x",
    "P-4.5.2.7",
    "x",
    lambda x: g(x, sine(x), exponential(x)),
    _total_with_x_among_them,
)

entry(
    "sin(x + x²)",
    "P-4.5.2.5",
    "x",
    lambda x: sin(x + x**2),
    lambda x: cos(x + x**2) * (1 + 2 * x),
    steps=Steps(
        "x",
        u1=(lambda x: x**2, lambda x: 2 * x),
        u2=(lambda x, u1: x + u1, lambda x, u1: 1, lambda x, u1: 1),
        u3=(lambda u2: sin(u2), lambda u2: cos(u2)),
    ),
)

entry(
    "x x²",
    "P-4.5.2.6",
    "x",
    lambda x: x * x**2,
    lambda x: 3 * x**2,
    steps=Steps(
        "x",
        u1=(lambda x: x**2, lambda x: 2 * x),
        u2=(lambda x, u1: x * u1, lambda x, u1: u1, lambda x, u1: x),
    ),
)

# vectors

entry(
    "[ln x², sin 3x]",
    "P-4.5.3.1 P-4.5.3.2",
    "x: nonzero",
    lambda x: jnp.array([log(x**2), sin(3 * x)]),
    lambda x: jnp.array([2 / x, 3 * cos(3 * x)]),
    steps=Steps(
        "x",
        g=(lambda x: jnp.array([x**2, 3 * x]), lambda x: jnp.array([2 * x, 3])),
        f=(lambda g: jnp.array([log(g[0]), sin(g[1])]), lambda g: diagonal(jnp.array([1 / g[0], cos(g[1])]))),
    ),
)

entry(
    "chain rule, vector f, vector u, vector x",
    "P-4.5.3.4 P-4.5.3.5 P-4.5.3.7f P-8.5.3",
    "x: n",
    lambda x: f.vv(u.vv(x)),
    lambda x: f.vv.D(u.vv(x)) @ u.vv.D(x),
)

entry(
    "chain rule, vector f, vector u, scalar x",
    "P-4.5.3.3 P-4.5.3.7e",
    "x",
    lambda x: f.vv(u.vs(x)),
    lambda x: f.vv.D(u.vs(x)) @ u.vs.D(x),
)

entry(
    "chain rule, vector f, scalar u, scalar x",
    "P-4.5.3.7d",
    "x",
    lambda x: f.vs(u.ss(x)),
    lambda x: f.vs.D(u.ss(x)) @ u.ss.D(x),
)

entry(
    "chain rule, vector f, scalar u, vector x",
    "P-4.5.3.7g",
    "x: n",
    lambda x: f.vs(u.sv(x)),
    lambda x: f.vs.D(u.sv(x)) @ u.sv.D(x),
)

entry(
    "chain rule, scalar f, vector u, scalar x",
    "P-4.5.2.8 P-4.5.3.7b P-8.5.2",
    "x",
    lambda x: f.sv(u.vs(x)),
    lambda x: f.sv.D(u.vs(x)) @ u.vs.D(x),
)

entry(
    "chain rule, scalar f, vector u, vector x",
    "P-4.5.3.7c",
    "x: n",
    lambda x: f.sv(u.vv(x)),
    lambda x: f.sv.D(u.vv(x)) @ u.vv.D(x),
)

entry(
    "chain rule, scalar f, scalar u, vector x",
    "P-4.5.3.7h",
    "x: n",
    lambda x: f.ss(u.sv(x)),
    lambda x: f.ss.D(u.sv(x)) @ u.sv.D(x),
)

entry(
    "chain rule, element-wise f and u",
    "P-4.5.3.6",
    "x: n",
    lambda x: sine(exponential(x)),
    lambda x: diagonal(sine.D(exponential(x))) @ diagonal(exponential.D(x)),
)

entry(
    "chain rule, maps of one space",
    "",
    "x: 3",
    lambda x: f.vv(sine(f.vv(x))),
    lambda x: f.vv.D(sine(f.vv(x))) @ diagonal(sine.D(f.vv(x))) @ f.vv.D(x),
    source="The Matrix Calculus You Need For Deep Learning, §4.5.1",
    erratum="the order du/dx · dy/du, which is offered beside dy/du · du/dx, is right for numbers alone",
    printed=lambda x: f.vv.D(x) @ diagonal(sine.D(f.vv(x))) @ f.vv.D(sine(f.vv(x))),
)
