"""Derivatives of functions of one number (article §2), each rule followed by the article's example of it."""

from jax.numpy import log

from jmc.catalogue.inner import EXP, SIN, Function
from jmc.catalogue.rule import entry
from jmc.linear.build import zeros

f, g = Function(*SIN), Function(*EXP)
EXAMPLES = "The Matrix Calculus You Need For Deep Learning, §2, the example"

entry("constant rule", "P-2.1", "x, c", lambda x, c: c, lambda x, c: zeros((), ()), analytic=False)
entry("99", "", "x", lambda x: 0 * x + 99, lambda x: zeros((), ()), source=EXAMPLES)

entry("constant factor rule", "P-2.2", "x, c", lambda x, c: c * f(x), lambda x, c: c * f.D(x))
entry("3x", "", "x", lambda x: 3 * x, lambda x: 3, source=EXAMPLES)

entry("power rule", "P-2.3", "x: positive, n", lambda x, n: x**n, lambda x, n: n * x ** (n - 1))
entry("x³", "", "x", lambda x: x**3, lambda x: 3 * x**2, source=EXAMPLES)

entry("sum rule", "P-2.4", "x", lambda x: f(x) + g(x), lambda x: f.D(x) + g.D(x))
entry("x² + 3x", "", "x", lambda x: x**2 + 3 * x, lambda x: 2 * x + 3, source=EXAMPLES)

entry("difference rule", "P-2.5", "x", lambda x: f(x) - g(x), lambda x: f.D(x) - g.D(x))
entry("x² − 3x", "", "x", lambda x: x**2 - 3 * x, lambda x: 2 * x - 3, source=EXAMPLES)

entry(
    "product rule",
    "P-2.6",
    "x",
    lambda x: f(x) * g(x),
    lambda x: f(x) * g.D(x) + f.D(x) * g(x),
)
entry("x² x", "", "x", lambda x: x**2 * x, lambda x: x**2 + x * 2 * x, source=EXAMPLES)

entry("chain rule", "P-2.7", "x", lambda x: f(g(x)), lambda x: f.D(g(x)) * g.D(x))
entry("ln x²", "", "x: nonzero", lambda x: log(x**2), lambda x: 1 / x**2 * (2 * x), source=EXAMPLES)

entry("constants pulled out, 9(x + x²)", "P-2.8", "x", lambda x: 9 * (x + x**2), lambda x: 9 * (1 + 2 * x))
