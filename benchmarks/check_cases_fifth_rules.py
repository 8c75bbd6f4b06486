"""The fifth set's mistakes in element-wise functions and in rules of one's own."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw
from check_cases_fifth_right_layers import smooth_step

import jmc

draw = Draw(34)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Element-wise


@wrong.vjp(
    lambda x: 2 * jnp.arctan(jnp.tanh(x / 2)), (draw(N, D),), "extra_factor", "Gudermann's function: 1/cosh² for 1/cosh"
)
def gudermann_squared(args, u):
    return (u / jnp.cosh(args[0]) ** 2,)


@wrong.vjp(smooth_step, (draw(N, D),), "region", "the polynomial beyond 0 and 1 as well")
def smooth_step_everywhere(args, u):
    (x,) = args
    return (u * 30 * (x * (1 - x)) ** 2,)


@wrong.jvp(
    lambda x: (x + x**3) / (1 + x**2 / 2),
    (draw(N),),
    frozenset({"missing_factor", "wrong_term"}),
    "a rational activation: the denominator is not squared",
)
def rational_quotient(args, tangents):
    (x,), (t,) = args, tangents
    p, q = x + x**3, 1 + x**2 / 2
    return t * ((1 + 3 * x**2) * q - p * x) / q


@wrong.vjp(
    jmc.celu,
    (draw(N, D), draw.positive()),
    frozenset({"missing_factor", "wrong_point", "wrong_term", "region"}),
    "eˣ for e^(x/α) left of 0",
)
def celu_unscaled(args, u):
    x, alpha = args
    return u * jnp.where(x > 0, 1, jnp.exp(x)), None


def lambert(x):
    """The w with w eʷ = x, by Newton's steps."""
    w = jnp.log1p(x)
    for _ in range(8):
        w = w - (w - x * jnp.exp(-w)) / (1 + w)
    return w


@wrong.vjp(lambert, (draw.positive(N),), "wrong_point", "(w eʷ)′ taken at x")
def lambert_at_input(args, u):
    (x,) = args
    return (u / (jnp.exp(x) * (1 + x)),)


# Far out and close to 0


@wrong.vjp(
    lambda z: 1 - jnp.exp(-jnp.exp(z)),
    (draw(N),),
    "tail_accuracy",
    "a complementary log-log link: 1 − p is 0 for large z",
    witness=(jnp.array([4.0]),),
)
def link_complement(args, u):
    (z,) = args
    p = 1 - jnp.exp(-jnp.exp(z))
    return (u * jnp.exp(z) * (1 - p),)


@wrong.vjp(
    lambda a: 2 * (np.log(2) - a - jax.nn.softplus(-2 * a)),
    (draw(N),),
    frozenset({"tail_accuracy", "region"}),
    "0/0 where the tanh of a squashed action is 1",
    witness=(jnp.array([25.0, 0.5]),),
)
def squashed_volume_quotient(args, u):
    t = jnp.tanh(args[0])
    return (-2 * u * t * (1 - t**2) / (1 - t**2),)


@wrong.vjp(
    lambda t: 3 / (1 + jnp.exp(-2 * (t - 1))),
    (draw(N),),
    "tail_accuracy",
    "logistic growth by its own equation: 1 − y/K is 0 when it is full",
    witness=(jnp.array([25.0]),),
)
def growth_when_full(args, u):
    y = 3 / (1 + jnp.exp(-2 * (args[0] - 1)))
    return (2 * u * y * (1 - y / 3),)


@wrong.vjp(
    jnp.hypot,
    (draw(N), draw(N)),
    frozenset({"tail_accuracy", "region"}),
    "squares overflow where the length does not",
    witness=(np.array([3e200]), np.array([4e200])),
)
def length_overflows(args, u):
    x, y = args
    r = jnp.sqrt(x**2 + y**2)
    return u * x / r, u * y / r


# What is sent back


@wrong.vjp(
    lambda x: jnp.clip(x, -1, 1),
    (draw(N, scale=2),),
    "nonlinear_in_cotangent",
    "at a bound, what pulls inwards may pass",
)
def bounds_inwards(args, u):
    (x,) = args
    return (jnp.where((jnp.abs(x) < 1) | (x * u > 0), u, 0),)


@wrong.vjp(
    lambda x, W: jnp.tanh(x @ W), (draw(N, D), draw(D, M)), "nonlinear_in_cotangent", "what is small is not sent at all"
)
def small_dropped(args, u):
    x, W = args
    d = jnp.where(jnp.abs(u) > 0.3, u, 0) * (1 - jnp.tanh(x @ W) ** 2)
    return d @ W.T, x.T @ d


@wrong.vjp(
    lambda x, g: g * x, (draw(N, D), draw(D)), "nonlinear_in_cotangent", "cotangents are brought to a variance of 1"
)
def gain_whitened(args, u):
    x, g = args
    v = u / jnp.std(u)
    return v * g, (v * x).sum(0)


@wrong.vjp(
    lambda A, k, t: A * jnp.exp(-k * t), (draw(N), draw.positive(N), draw.unit(N)), "cotangent_ignored", "slopes, no u"
)
def decay_slopes(args, u):
    A, k, t = args
    e = jnp.exp(-k * t)
    return e, -A * t * e, None


@wrong.jvp(
    lambda x, y: jnp.sqrt(x**2 + y**2),
    (draw(N), draw(N)),
    "cotangent_ignored",
    "the slopes along both, added up",
)
def radius_slopes(args, tangents):
    x, y = args
    return (x + y) / jnp.sqrt(x**2 + y**2)


@jax.custom_vjp
def variation(x):
    return jnp.sum(jnp.sqrt(1e-2 + jnp.diff(x) ** 2))


def variation_bwd(x, u):
    d = jnp.diff(x)
    s = d / jnp.sqrt(1e-2 + d**2)
    return (jnp.pad(s, (1, 0)) - jnp.pad(s, (0, 1)),)


variation.defvjp(lambda x: (variation(x), x), variation_bwd)
wrong.own("variation_rule_without_u", variation, (draw(T),), "cotangent_ignored", "a penalty added with no weight")


@jax.custom_vjp
def swish_gate(g, x):
    return jax.nn.silu(g) * x


def swish_gate_bwd(saved, u):
    g, x = saved
    s = sigmoid(g)
    return u * g * s, u * x * s * (1 + g * (1 - s))


swish_gate.defvjp(lambda g, x: (swish_gate(g, x), (g, x)), swish_gate_bwd)
wrong.own(
    "swish_gate_rule", swish_gate, (draw(N, D), draw(N, D)), "swapped_arguments", "value and gate", argnums=(0, 1)
)


@jax.custom_jvp
def power_of(x, y):
    return jnp.exp(y * jnp.log(x))


@power_of.defjvp
def power_of_jvp(primals, tangents):
    (x, y), (dx, _) = primals, tangents
    return power_of(x, y), y * power_of(x, y) / x * dx


wrong.own(
    "power_rule_of_base",
    power_of,
    (draw.positive(N), draw(N)),
    frozenset({"missing_term", "zero"}),
    "the exponent's own part",
    argnums=(0, 1),
)


@jax.custom_vjp
def largest(x):
    return jnp.where(x >= jnp.sort(x, -1)[..., -2:-1], x, 0)


largest.defvjp(lambda x: (largest(x), None), lambda _, u: (u,))
wrong.own(
    "largest_rule_through",
    largest,
    (draw(N, M),),
    frozenset({"pass_through", "region", "missing_factor"}),
    "those not chosen get something as well",
)


@jax.custom_vjp
def rms_gain(x, g):
    return g * x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-5)


def rms_gain_bwd(saved, u):
    x, g = saved
    r = 1 / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-5)
    v = u * g
    return r * (v - x * r**2 * jnp.mean(v * x, -1, keepdims=True)), (u * x * r * g).sum(0)


rms_gain.defvjp(lambda x, g: (rms_gain(x, g), (x, g)), rms_gain_bwd)
wrong.own("rms_gain_rule", rms_gain, (draw(N, D), draw(D)), "extra_factor", "g in its own gradient", argnums=(0, 1))


@wrong.vjp(lambda x: jnp.roll(x, 2), (draw(N),), "pass_through", "a shift is not undone")
def shifted(args, u):
    return (u,)


@wrong.vjp(lambda X: (X + X.T) / 2, (draw(M, M),), "pass_through", "the symmetric part, as if all were symmetric")
def symmetric_part(args, u):
    return (u,)


@wrong.vjp(
    lambda x, theta: jnp.where(x > theta, x - theta, 0),
    (draw(N), draw()),
    "zero",
    "a threshold believed to be a switch",
)
def threshold_switch(args, u):
    x, theta = args
    return jnp.where(x > theta, u, 0), jnp.zeros_like(theta)
