"""The worked examples and results of the article, derived from plain JAX functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jmc.symbolic.derivation import Derivation
from jmc.symbolic.deriving import derive

TITLE = "The Matrix Calculus You Need For Deep Learning, derived from code"


class Example(NamedTuple):
    """A function of the article's, with the shapes of its arguments and what it is differentiated by."""

    section: str
    title: str
    f: Callable[..., Any]
    shapes: str
    wrt: str
    remark: str = ""


def neuron(w: Any, x: Any, b: Any) -> Any:
    """The activation of a unit."""
    return jnp.where(w @ x + b > 0, w @ x + b, 0)


def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
    """The mean squared error of a unit over N examples."""
    return jnp.mean((y - jnp.where(X @ w + b > 0, X @ w + b, 0)) ** 2)


EXAMPLES = (
    Example("2", "the power rule", lambda x: x**3, "x:", "x"),
    Example("2", "a sum", lambda x: x**2 + 3 * x, "x:", "x"),
    Example("2", "the logarithm of a square", lambda x: jnp.log(x**2), "x:", "x"),
    Example("2", "a constant pulled out", lambda x: 9 * (x + x**2), "x:", "x"),
    Example("3", "a partial derivative of a product", lambda x, y: 3 * x**2 * y, "x:, y:", "x"),
    Example("3", "the other one", lambda x, y: 3 * x**2 * y, "x:, y:", "y"),
    Example("4", "2x + y⁸ by y", lambda x, y: 2 * x + y**8, "x:, y:", "y"),
    Example(
        "4", "two functions, one above the other", lambda x: jnp.array([3 * x[0] ** 2 * x[1], 2 * x[0] + x[1] ** 8]),
        "x: 2", "x",
        "e₁ and e₂ are the vectors of the standard basis: what stands behind e₁ is the first row.",
    ),
    Example("4.1", "the identity function", lambda x: x, "x: n", "x"),
    Example("4.2", "an element-wise sum", lambda w, x: w + x, "w: n, x: n", "w"),
    Example("4.2", "an element-wise difference", lambda w, x: w - x, "w: n, x: n", "x"),
    Example("4.2", "an element-wise product", lambda w, x: w * x, "w: n, x: n", "w"),
    Example("4.2", "an element-wise quotient", lambda w, x: w / x, "w: n, x: n", "x"),
    Example("4.3", "a number added to a vector", lambda x, z: x + z, "x: n, z:", "z"),
    Example("4.3", "a vector times a number", lambda x, z: x * z, "x: n, z:", "x"),
    Example("4.3", "the same by the number", lambda x, z: x * z, "x: n, z:", "z"),
    Example("4.4", "the sum of a vector", lambda x: jnp.sum(x), "x: n", "x"),
    Example("4.4", "the sum of a vector times a number", lambda x, z: jnp.sum(x * z), "x: n, z:", "z"),
    Example("4.5.1", "the chain rule for one variable", lambda x: jnp.sin(x**2), "x:", "x"),
    Example("4.5.1", "a chain of four", lambda x: jnp.log(jnp.sin(x**3) ** 2), "x:", "x"),
    Example("4.5.2", "two paths", lambda x: x + x**2, "x:", "x", "The single-variable chain rule misses a path."),
    Example("4.5.2", "total derivatives", lambda x: jnp.sin(x + x**2), "x:", "x"),
    Example("4.5.2", "a product of two paths", lambda x: x * x**2, "x:", "x"),
    Example(
        "4.5.3", "a vector of functions", lambda x: jnp.array([jnp.log(x**2), jnp.sin(3 * x)]), "x:", "x",
        "The first row, and the second.",
    ),
    Example("5", "a dot product", lambda w, x: w @ x, "w: n, x: n", "w"),
    Example("5", "the affine function by its weights", lambda w, x, b: w @ x + b, "w: n, x: n, b:", "w"),
    Example("5", "the affine function by its bias", lambda w, x, b: w @ x + b, "w: n, x: n, b:", "b"),
    Example("5", "the activation by the weights", neuron, "w: n, x: n, b:", "w"),
    Example("5", "the activation by the bias", neuron, "w: n, x: n, b:", "b"),
    Example(
        "6.1", "the cost by the weights", cost, "w: d, b:, X: N d, y: N", "w",
        "Each example is active or not by itself: the sum over examples stands outside the cases (an erratum).",
    ),
    Example(
        "6.2", "the cost by the bias", cost, "w: d, b:, X: N d, y: N", "b",
        "With the factor 2 that the text calls an average of the error (an erratum).",
    ),
)  # fmt: skip


def derivations() -> list[tuple[str, str, Derivation]]:
    """Each example with its title, a remark, and its derivation in numerator layout."""
    found = []
    for example in EXAMPLES:
        parts = (part.split(":") for part in example.shapes.split(","))
        shapes = {name.strip(): shape for name, shape in parts}
        derivation = derive(example.f, example.wrt, layout="numerator")(**shapes)
        found.append((f"§{example.section}: {example.title}", example.remark, derivation))
    return found
