"""Smooth activations: element-wise functions a = f(z) with f′ and f″, which keep their accuracy in the tails."""
# pyright: reportArgumentType=false
# (a number as the default of a scalar takes the dtype of the other arguments)

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import elementwise, entry
from jmc.catalogue.stable import hypotenuse, log1p_exp, logistic, logistic_density, normal_cdf, normal_density, sech2
from jmc.linear import build

ARTICLE = "The Matrix Calculus You Need For Deep Learning"


@elementwise(
    derivative=jnp.ones_like,
    second=jnp.zeros_like,
    jacobian=lambda x: build.identity(x.shape),
    ids="L-act-identity P-4.1.6 P-8.1.3",
    source=f"{ARTICLE}, §4.1: ∂x/∂x = I",
    analytic=True,
)
def identity(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x, f′(x) = 1. Element-wise on any shape, in the dtype of ``x``."""
    return x


@elementwise(
    derivative=sech2,
    second=lambda x: -2 * jnp.tanh(x) * sech2(x),
    source="tanh′ = 1 − tanh² = sech², tanh″ = −2 tanh sech²",
    ids="L-act-tanh",
    analytic=True,
)
def tanh(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = tanh x, f′(x) = sech² x. Element-wise on any shape."""
    return jnp.tanh(x)


@elementwise(
    derivative=logistic_density,
    second=lambda x: -logistic_density(x) * jnp.tanh(x / 2),
    source="σ′ = σ(1 − σ) = σ(x)σ(−x), σ″ = σ′(1 − 2σ) = −σ′ tanh(x/2)",
    ids="L-act-sigmoid",
    analytic=True,
)
def sigmoid(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = σ(x) = 1/(1 + e⁻ˣ), f′(x) = σ(x)σ(−x). Element-wise on any shape."""
    return logistic(x)


@elementwise(
    derivative=lambda x: logistic(-x),
    second=lambda x: -logistic_density(x),
    source="(ln σ)′ = 1 − σ(x) = σ(−x)",
    ids="L-act-log_sigmoid",
    analytic=True,
)
def log_sigmoid(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = ln σ(x) = −ln(1 + e⁻ˣ), f′(x) = σ(−x). Element-wise on any shape; no overflow, exact right tail."""
    return -log1p_exp(-x)


@elementwise(
    derivative=logistic,
    second=logistic_density,
    source="softplus′ = σ",
    ids="L-act-softplus",
    analytic=True,
)
def softplus(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = ln(1 + eˣ), f′(x) = σ(x). Element-wise on any shape; no overflow, exact left tail."""
    return log1p_exp(x)


def silu_slope(x: jax.Array) -> jax.Array:
    """σ(x)(1 + x σ(−x))."""
    return logistic(x) * (1 + x * logistic(-x))


def silu_curvature(x: jax.Array) -> jax.Array:
    """σ′(x)(2 + x(1 − 2σ(x)))."""
    return logistic_density(x) * (2 - x * jnp.tanh(x / 2))


@elementwise(
    derivative=silu_slope,
    second=silu_curvature,
    source="silu′ = σ(x)(1 + x σ(−x)), silu″ = σ′(2 + x(1 − 2σ))",
    ids="L-act-silu",
    analytic=True,
)
def silu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x σ(x), f′(x) = σ(x)(1 + x σ(−x)). Element-wise on any shape."""
    return x * logistic(x)


def _gelu_curvature(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -40, 40)  # beyond, φ(x) is 0 and x² may overflow
    return normal_density(x) * (2 - x * x)


@elementwise(
    derivative=lambda x: normal_cdf(x) + x * normal_density(x),
    second=_gelu_curvature,
    source="Hendrycks & Gimpel, arXiv 1606.08415: gelu′ = Φ(x) + x φ(x), gelu″ = φ(x)(2 − x²)",
    ids="L-act-gelu",
)
def gelu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x Φ(x) with the exact normal distribution function Φ, f′(x) = Φ(x) + x φ(x).

    Element-wise on any shape. This is ``jax.nn.gelu(x, approximate=False)``.
    """
    return x * normal_cdf(x)


def _gelu_exponent(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """v = 2κ(x + 0.044715 x³) with v′ and v″, for which x/2 (1 + tanh(v/2)) = x σ(v)."""
    kappa, c = math.sqrt(2 / math.pi), 0.044715
    return 2 * kappa * (x + c * x * x * x), 2 * kappa * (1 + 3 * c * x * x), 12 * kappa * c * x


def _gelu_tanh_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -30, 30)  # beyond, σ(±v) is 0 and 1, and v may overflow
    v, dv, _ = _gelu_exponent(x)
    return logistic(v) * (1 + x * dv * logistic(-v))


def _gelu_tanh_curvature(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -30, 30)
    v, dv, ddv = _gelu_exponent(x)
    return logistic_density(v) * (2 * dv + x * ddv - x * dv * dv * jnp.tanh(v / 2))


@elementwise(
    derivative=_gelu_tanh_slope,
    second=_gelu_tanh_curvature,
    source="Hendrycks & Gimpel, arXiv 1606.08415, §2; as x σ(v): f′ = σ(v)(1 + x v′ σ(−v))",
    ids="L-act-gelu_tanh",
    analytic=True,
)
def gelu_tanh(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x/2 (1 + tanh(√(2/π)(x + 0.044715 x³))), the usual approximation of gelu. Element-wise on any shape.

    This is ``jax.nn.gelu(x)``, but f and f′ keep their relative accuracy in the left tail.
    """
    return x * logistic(_gelu_exponent(x)[0])


def _mish_gate(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """t = tanh(softplus(x)) = (e²ˣ + 2eˣ)/(e²ˣ + 2eˣ + 2) with t′ and t″, in powers of e = exp(−|x|)."""
    e, right = jnp.exp(-jnp.abs(x)), x > 0
    scale = jnp.where(right, 1 + 2 * e * (1 + e), 2 + e * (2 + e))
    t = jnp.where(right, 1 + 2 * e, e * (2 + e)) / scale
    dt = 4 * e * (1 + e) * jnp.where(right, e, 1) / scale**2
    bend = jnp.where(right, e * (e * (e * (2 * e + 2) - 3) - 2), 2 + e * (2 - e * (3 + 2 * e)))
    return t, dt, 4 * e * bend / scale**3


def _mish_slope(x: jax.Array) -> jax.Array:
    t, dt, _ = _mish_gate(x)
    return t + x * dt


def _mish_curvature(x: jax.Array) -> jax.Array:
    _, dt, ddt = _mish_gate(x)
    return 2 * dt + x * ddt


@elementwise(
    derivative=_mish_slope,
    second=_mish_curvature,
    source="Misra, arXiv 1908.08681: f′ = t + x t′ with t = tanh(softplus(x)), t′ = σ(x)(1 − t²)",
    ids="L-act-mish",
    analytic=True,
)
def mish(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x tanh(softplus(x)), f′(x) = t + x σ(x)(1 − t²) with t = tanh(softplus(x)). Element-wise on any shape."""
    return x * jnp.tanh(log1p_exp(x))


@elementwise(
    derivative=lambda x: jnp.square(1 / (1 + jnp.abs(x))),
    second=lambda x: -2 * jnp.sign(x) * (1 / (1 + jnp.abs(x))) ** 3,
    source="f′ = 1/(1 + |x|)², f″ = −2 sgn(x)/(1 + |x|)³",
    ids="L-act-softsign",
    kinks="x = 0, where f″ jumps and is 0",
    kinks_at=(0.0,),
)
def soft_sign(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """f(x) = x/(1 + |x|), f′(x) = 1/(1 + |x|)². Element-wise on any shape."""
    return x / (1 + jnp.abs(x))


def _squareplus_slope(x: jax.Array, b: jax.Array) -> jax.Array:
    r = hypotenuse(x, b)
    return jnp.where(x > 0, 1 + x / r, b / r / (r + jnp.abs(x))) / 2


@elementwise(
    derivative=_squareplus_slope,
    second=lambda x, b: b / hypotenuse(x, b) ** 3 / 2,
    parameters={"b": lambda x, b: 1 / (4 * hypotenuse(x, b))},
    source="Barron, arXiv 2112.11687: f′ = ½(1 + x/r), f″ = b/(2r³) with r = √(x² + b)",
    ids={"x": "L-act-squareplus"},
    analytic=True,
    domain={"b": "positive"},
)
def squareplus(x: Float[Array, "*s"], b: Float[Array, ""] = 4.0) -> Float[Array, "*s"]:
    """f(x) = ½(x + √(x² + b)) for b > 0, f′(x) = ½(1 + x/√(x² + b)), ∂f/∂b = 1/(4√(x² + b)).

    Element-wise on any shape; the left tail, b/(4|x|), does not cancel.
    """
    r = hypotenuse(x, b)
    right = x.real > 0
    return jnp.where(right, x + r, b / (r - jnp.where(right, 0, x))) / 2


for name, identifier, signature, f, slope, curvature, smooth in [
    ("exponential", "L-act-exp", "x: *s", lambda x: jnp.exp(x), jnp.exp, jnp.exp, True),
    (
        "error function",
        "L-act-erf",
        "x: *s",
        lambda x: jax.lax.erf(x),
        lambda x: 2 / math.sqrt(math.pi) * jnp.exp(-x * x),
        lambda x: -4 / math.sqrt(math.pi) * x * jnp.exp(-x * x),
        False,
    ),
    ("reciprocal", "L-act-reciprocal", "x: *s nonzero", lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, True),
    (
        "logarithm of |x|",
        "L-act-log",
        "x: *s nonzero",
        lambda x: jnp.log(jnp.abs(x)),
        lambda x: 1 / x,
        lambda x: -1 / x**2,
        False,
    ),
    (
        "square root of |x|",
        "L-act-sqrt",
        "x: *s nonzero",
        lambda x: jnp.sqrt(jnp.abs(x)),
        lambda x: jnp.sign(x) / (2 * jnp.sqrt(jnp.abs(x))),
        lambda x: -1 / (4 * jnp.abs(x) * jnp.sqrt(jnp.abs(x))),
        False,
    ),
]:
    entry(name, identifier, signature, f, derivative=slope, second=curvature, analytic=smooth)
