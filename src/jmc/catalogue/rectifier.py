"""Rectifiers and other activations with kinks: element-wise, each with its convention there.

At a kink the derivative is that of the flat piece, or of the left one, as relu′(0) = 0 in the article.
"""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import elementwise, entry
from jmc.catalogue.stable import magnitude

ARTICLE = "The Matrix Calculus You Need For Deep Learning"


def _left(x: jax.Array) -> jax.Array:
    """min(x, 0), with slope 1 at 0."""
    return jnp.where(x > 0, 0, x)


def _indicator(inside: jax.Array, x: jax.Array) -> jax.Array:
    """1[inside], in the dtype of ``x``."""
    return inside.astype(x.dtype)


def _clamped(x: jax.Array, low: float, high: float) -> jax.Array:
    """min(max(x, low), high), constant from the bounds on (jnp.clip has slope ½ there); NaN stays NaN."""
    return jnp.where(x <= low, jnp.full_like(x, low), jnp.where(x >= high, jnp.full_like(x, high), x))


@elementwise(
    derivative=lambda x: jnp.where(x <= 0, 0.0, 1.0).astype(x.dtype),
    second=jnp.zeros_like,
    source=f"{ARTICLE}, §5: ∂max(0, z)/∂z = 0 for z ≤ 0, 1 for z > 0",
    ids="L-act-relu P-5.6 P-5.8 P-5.9",
    kinks="x = 0, where relu′(0) = 0",
    kinks_at=(0.0,),
    erratum="§5 prints ∂max(0, x)/∂x of a vector as a column; by §4.1 it is the matrix diag(1[x > 0])",
)
def relu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = max(0, x), f′(x) = 1[x > 0], so f′(0) = 0 as in the article. Element-wise on any shape."""
    # Not jnp.maximum, whose derivative at the tie is ½ in JAX; NaN stays NaN.
    return jnp.where(x <= 0, jnp.zeros_like(x), x)


@elementwise(
    derivative=lambda x, negative_slope: jnp.where(x > 0, jnp.ones_like(x), negative_slope),
    second=lambda x, negative_slope: jnp.zeros_like(x),
    parameters={"negative_slope": lambda x, negative_slope: _left(x)},
    source="f′ = 1 for x > 0, else α; ∂f/∂α = min(0, x)",
    ids={"x": "L-act-leaky_relu", "negative_slope": "L-act-prelu_alpha"},
    kinks="x = 0, where f′ is α",
    kinks_at=(0.0,),
    domain={"negative_slope": "unit"},
)
def leaky_relu(x: Float[Array, "*s"], negative_slope: Float[Array, ""] = 0.01) -> Float[Array, "*s"]:
    """f(x) = x for x > 0, else α x; f′(0) = α, ∂f/∂α = min(0, x). Element-wise on any shape.

    With a trained slope α this is PReLU.
    """
    return jnp.where(x > 0, x, negative_slope * x)


@elementwise(
    derivative=lambda x: _indicator((x > 0) & (x < 6), x),
    second=jnp.zeros_like,
    source="f′ = 1[0 < x < 6]",
    ids="L-act-relu6",
    kinks="x = 0 and x = 6, where f′ is 0",
    kinks_at=(0.0, 6.0),
)
def relu6(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = min(max(x, 0), 6), f′(x) = 1[0 < x < 6]. Element-wise on any shape."""
    return _clamped(x, 0, 6)


@elementwise(
    derivative=lambda x: _indicator(jnp.abs(x) < 1, x),
    second=jnp.zeros_like,
    source="f′ = 1[|x| < 1]",
    ids="L-act-hard_tanh",
    kinks="|x| = 1, where f′ is 0",
    kinks_at=(-1.0, 1.0),
)
def hard_tanh(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = min(max(x, −1), 1), f′(x) = 1[|x| < 1]. Element-wise on any shape."""
    return _clamped(x, -1, 1)


@elementwise(
    derivative=lambda x: _indicator(jnp.abs(x) < 3, x) / 6,
    second=jnp.zeros_like,
    source="f′ = 1[|x| < 3]/6",
    ids="L-act-hard_sigmoid",
    kinks="|x| = 3, where f′ is 0",
    kinks_at=(-3.0, 3.0),
    domain={"x": "wide"},
)
def hard_sigmoid(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = relu6(x + 3)/6, f′(x) = 1[|x| < 3]/6. Element-wise on any shape."""
    return (_clamped(x, -3, 3) + 3) / 6


@elementwise(
    derivative=lambda x: jnp.where(jnp.abs(x) < 3, (2 * x + 3) / 6, _indicator(x > 0, x)),
    second=lambda x: _indicator(jnp.abs(x) < 3, x) / 3,
    source="f′ = 0 for x ≤ −3, (2x + 3)/6 for |x| < 3, 1 for x ≥ 3",
    ids="L-act-hard_swish",
    kinks="|x| = 3, where f′ and f″ are those of the outer piece",
    kinks_at=(-3.0, 3.0),
    domain={"x": "wide"},
)
def hard_swish(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x relu6(x + 3)/6; f′(x) = 0, (2x + 3)/6, 1 for x ≤ −3, |x| < 3, x ≥ 3. Element-wise on any shape."""
    return x * ((_clamped(x, -3, 3) + 3) / 6)


def _exponential(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """α eˣ for x ≤ 0, else 0."""
    return jnp.where(x > 0, 0, alpha * jnp.exp(_left(x)))


@elementwise(
    derivative=lambda x, alpha: jnp.where(x > 0, 1, _exponential(x, alpha)),
    second=_exponential,
    parameters={"alpha": lambda x, alpha: jnp.expm1(_left(x))},
    source="Clevert, Unterthiner & Hochreiter, arXiv 1511.07289: f′ = 1 for x > 0, else α eˣ",
    ids={"x": "L-act-elu"},
    kinks="x = 0, where f′ and f″ are α",
    kinks_at=(0.0,),
    domain={"alpha": "positive"},
)
def elu(x: Float[Array, "*s"], alpha: Float[Array, ""] = 1.0) -> Float[Array, "*s"]:
    """f(x) = x for x > 0, else α(eˣ − 1); f′(x) = 1 or α eˣ, which at 0 meet for α = 1 alone; f′(0) = α.

    ∂f/∂α = e^min(x, 0) − 1. Element-wise on any shape.
    """
    return jnp.where(x > 0, x, alpha * jnp.expm1(_left(x)))


SELU = (1.0507009873554804934193349852946, 1.6732632423543772848170429916717)
"""λ and α, for which mean 0 and variance 1 are a fixed point of a layer."""


@elementwise(
    derivative=lambda x: SELU[0] * jnp.where(x > 0, 1, _exponential(x, SELU[1])),
    second=lambda x: SELU[0] * _exponential(x, SELU[1]),
    source="Klambauer et al., arXiv 1706.02515: f′ = λ for x > 0, else λα eˣ",
    ids="L-act-selu",
    kinks="x = 0, where f′ and f″ are λα",
    kinks_at=(0.0,),
)
def selu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = λx for x > 0, else λα(eˣ − 1), λ ≈ 1.0507, α ≈ 1.6733; f′(x) = λ or λα eˣ, f′(0) = λα > λ.

    Element-wise on any shape.
    """
    scale, alpha = SELU
    return scale * jnp.where(x > 0, x, alpha * jnp.expm1(_left(x)))


_CELU_SERIES = [(1 - k) / math.factorial(k) for k in range(15, 1, -1)]


def _celu_wrt_alpha(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """eᶻ − 1 − z eᶻ with z = min(x, 0)/α; near 0 its series, Σ_{k≥2} (1 − k) zᵏ/k!."""
    z = _left(x) / alpha
    near = jnp.maximum(z, -0.5)
    series = near * near * jnp.polyval(jnp.asarray(_CELU_SERIES, x.dtype), near)
    return jnp.where(z > -0.5, series, jnp.expm1(z) - z * jnp.exp(z))


@elementwise(
    derivative=lambda x, alpha: jnp.exp(_left(x) / alpha),
    second=lambda x, alpha: _exponential(x / alpha, 1 / alpha),
    parameters={"alpha": _celu_wrt_alpha},
    source="Barron, arXiv 1704.07483: f′ = 1 for x > 0, else e^(x/α)",
    ids={"x": "L-act-celu"},
    kinks="x = 0, where f″ jumps and is 1/α",
    kinks_at=(0.0,),
    domain={"x": "wide", "alpha": "positive"},
)
def celu(x: Float[Array, "*s"], alpha: Float[Array, ""] = 1.0) -> Float[Array, "*s"]:
    """f(x) = x for x > 0, else α(e^(x/α) − 1); f′(x) = e^(min(x, 0)/α), ∂f/∂α = eᶻ − 1 − z eᶻ with z = min(x, 0)/α.

    Element-wise on any shape.
    """
    return jnp.where(x > 0, x, alpha * jnp.expm1(_left(x) / alpha))


@elementwise(
    derivative=lambda x, threshold: _indicator(jnp.abs(x) > threshold, x),
    second=lambda x, threshold: jnp.zeros_like(x),
    parameters={"threshold": lambda x, threshold: -jnp.sign(x) * _indicator(jnp.abs(x) > threshold, x)},
    source="the proximal map of λ‖x‖₁: f′ = 1[|x| > λ], ∂f/∂λ = −sgn(x) 1[|x| > λ]",
    ids={"x": "L-act-softshrink"},
    kinks="|x| = λ, where f′ is 0",
    domain={"x": "wide", "threshold": "positive"},
)
def softshrink(x: Float[Array, "*s"], threshold: Float[Array, ""] = 0.5) -> Float[Array, "*s"]:
    """f(x) = sgn(x) max(|x| − λ, 0) for λ ≥ 0, f′(x) = 1[|x| > λ], ∂f/∂λ = −sgn(x) f′(x). Element-wise on any shape."""
    return jnp.where(jnp.abs(x) <= threshold, jnp.zeros_like(x), x - jnp.sign(x) * threshold)


entry(
    "absolute value",
    "L-act-abs",
    "x: *s",
    lambda x: magnitude(x),
    derivative=jnp.sign,
    second=jnp.zeros_like,
    kinks="x = 0, where the derivative is 0",
    kinks_at=(0.0,),
    analytic=False,
)
