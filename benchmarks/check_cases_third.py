"""The third set of cases: gates, signals, physics. Its losses, its arrays and its right ones are next door."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_third_arrays
import check_cases_third_losses
import check_cases_third_right
import check_cases_third_right_arrays
import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_third_right import exponential_smoothing, shape
from check_cases_third_right_arrays import STEP, gravity, pendulum

import jmc

draw = Draw(7)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Layers, gates, signals


@wrong.vjp(
    lambda mu, s, eps: mu + jnp.exp(0.5 * s) * eps,
    (draw(N, D), draw(N, D), draw(N, D)),
    "missing_factor",
    "the noise itself is missing in ∂/∂ ln σ²",
)
def reparameterised(args, u):
    mu, s, eps = args
    return u, u * 0.5 * jnp.exp(0.5 * s), None


@wrong.vjp(
    lambda X, W, V: jax.nn.silu(X @ W) * (X @ V),
    (draw(N, D), draw(D, M), draw(D, M)),
    "missing_term",
    "x reaches the gate, too",
)
def swiglu_gate_path(args, u):
    X, W, V = args
    return (u * jax.nn.silu(X @ W)) @ V.T, None, X.T @ (u * jax.nn.silu(X @ W))


def excited(x, W):
    """Squeeze and excite: the channels of x: (C, T) weighed by what their means say."""
    return x * sigmoid(W @ x.mean(1))[:, None]


@wrong.vjp(excited, (draw(D, T), draw(D, D)), frozenset({"mean_vs_sum", "wrong_term"}), "1/T of the squeeze is lost")
def excite_squeeze(args, u):
    x, W = args
    s = sigmoid(W @ x.mean(1))
    d = (u * x).sum(1) * s * (1 - s)
    return u * s[:, None] + (W.T @ d)[:, None], jnp.outer(d, x.mean(1))


@wrong.vjp(
    lambda x, g, b: g[:, None] * x + b[:, None],
    (draw(5, 5, D), draw(5, D), draw(5, D)),
    "wrong_axis",
    "FiLM: summed over the batch, not over time (both 5)",
)
def film_axis(args, u):
    x, g, b = args
    return g[:, None] * u, (u * x).sum(0), u.sum(0)


@wrong.vjp(
    lambda S, m: S + m[:, None, None] * jnp.arange(5.0, dtype=S.dtype)[None, None, :],
    (draw(2, D, 4, 5), draw(D)),
    "missing_sum",
    "a slope per head, summed over keys only",
)
def linear_bias_slope(args, u):
    S, m = args
    return u, (u * jnp.arange(5.0, dtype=u.dtype)).sum(-1)


@wrong.vjp(
    lambda x, c: x + jax.nn.one_hot(jnp.arange(x.shape[1]) % 2, 2, dtype=x.dtype) @ c,
    (draw(N, 4, D), draw(2, D)),
    ("missing_sum", "sign"),
    "segments summed for each sequence, and subtracted",
)
def segment_embedding(args, u):
    x, c = args
    return u, -jnp.stack([u[:, 0::2].sum(1), u[:, 1::2].sum(1)], 1)


def mixture(x, G, E):
    return jnp.einsum("k,kmd,d->m", jax.nn.softmax(G @ x), E, x)


@wrong.vjp(mixture, (shape(D), shape(4, D), shape(4, M, D)), "missing_term", "the gate taken for a constant in ∂x")
def mixture_gate(args, u):
    x, G, E = args
    p = jax.nn.softmax(G @ x)
    return jnp.einsum("k,kmd,m->d", p, E, u), None, jnp.einsum("k,m,d->kmd", p, u, x)


@wrong.vjp(mixture, (draw(D), draw(4, D), draw(4, M, D)), "diagonal_only", "p(1 − p) for the softmax of the gate")
def mixture_softmax(args, u):
    x, G, E = args
    p = jax.nn.softmax(G @ x)
    return None, jnp.outer(p * (1 - p) * jnp.einsum("kmd,d,m->k", E, x, u), x), None


def strided(x, k):
    windows = 2 * jnp.arange((x.size - k.size) // 2 + 1)[:, None] + jnp.arange(k.size)
    return x[windows] @ k


@wrong.vjp(strided, (draw(11), draw(3)), "mean_vs_sum", "the kernel's gradient averaged over positions")
def strided_kernel_averaged(args, u):
    x, k = args
    windows = 2 * jnp.arange(u.size)[:, None] + jnp.arange(k.size)
    return None, (u[:, None] * x[windows]).mean(0)


@wrong.vjp(
    lambda E, i: E[i].mean(1), (draw(T, D), draw.below(T, N, 4)), "mean_vs_sum", "1/L of a bag of embeddings is lost"
)
def bag_summed(args, u):
    E, i = args
    return jnp.zeros_like(E).at[i].add(u[:, None]), None


@wrong.vjp(
    lambda x: jnp.repeat(x, 3, -1),
    (draw(N, 4),),
    frozenset({"mean_vs_sum", "constant_factor"}),
    "upsampled by 3: the cotangents averaged, not summed",
)
def upsampling_averaged(args, u):
    (x,) = args
    return (u.reshape(*x.shape, 3).mean(-1),)


@wrong.vjp(jnp.cumprod, (draw.positive(T),), "diagonal_only", "each factor in its own product only, not in later ones")
def products_own(args, u):
    (x,) = args
    return (u * jnp.cumprod(x) / x,)


@wrong.vjp(
    exponential_smoothing,
    (draw(T), draw.unit()),
    frozenset({"transposed_operand", "wrong_term"}),
    "the cotangents run forwards in time, as the signal did",
)
def smoothing_forwards(args, u):
    x, alpha = args
    return exponential_smoothing(u, alpha), None


@wrong.vjp(
    lambda x, f: x + jnp.sin(jnp.arange(x.shape[0], dtype=x.dtype)[:, None] * f),
    (draw(N, D), draw.positive(D)),
    "missing_factor",
    "the position before the cosine",
)
def position_frequency(args, u):
    x, f = args
    t = jnp.arange(x.shape[0], dtype=x.dtype)[:, None]
    return u, (u * jnp.cos(t * f)).sum(0)


@wrong.jvp(
    lambda x, B: jnp.concatenate([jnp.cos(2 * jnp.pi * B @ x), jnp.sin(2 * jnp.pi * B @ x)]),
    (draw(D), draw(M, D)),
    (frozenset({"sign", "wrong_term"}), frozenset({"missing_factor", "constant_factor"})),
    "Fourier features: cos′ = sin, and 2π forgotten in both halves",
)
def fourier_two(args, tangents):
    (x, B), (dx, dB) = args, tangents
    z, dz = 2 * jnp.pi * B @ x, B @ dx + dB @ x
    return jnp.concatenate([jnp.sin(z) * dz, jnp.cos(z) * dz])


@wrong.vjp(
    lambda x, c: jnp.polyval(c, x),
    (draw(N), draw(4)),
    frozenset({"missing_factor", "wrong_term"}),
    "the exponent does not come down",
)
def polynomial_exponents(args, u):
    x, c = args
    return u * jnp.polyval(c[:-1], x), None


@wrong.vjp(
    lambda x, t, c: jax.nn.relu(x[:, None] - t) ** 3 @ c,
    (draw(N, scale=2), draw(M), draw(M)),
    "constant_factor",
    "the 3 of a cubic spline's (x − t)³",
)
def spline_cubic(args, u):
    x, t, c = args
    return u * (jax.nn.relu(x[:, None] - t) ** 2 @ c), None, None


@wrong.vjp(
    lambda x, a: jnp.where(x > 0, x, a * x),
    (draw(N, D), draw.unit()),
    frozenset({"region", "missing_factor"}),
    "the slope's own gradient counts positive entries, too",
)
def prelu_slope(args, u):
    x, a = args
    return jnp.where(x > 0, u, a * u), (u * x).sum()


@wrong.grad(
    lambda V, U, R: jnp.sum((R - U @ V.T) ** 2),
    (draw(M, 2), draw(N, 2), draw(N, M)),
    "transposed_layout",
    "matrix factorisation: ∂V as (k, m)",
)
def factorisation_layout(V, U, R):
    return -2 * U.T @ (R - U @ V.T)


@wrong.grad(
    lambda z, e: jnp.mean((z - e) ** 2),
    (draw(N, D), draw(N, D)),
    "zero",
    "the codebook's gradient is cut off together with the encoder's",
    argnums=1,
)
def codebook_detached(z, e):
    return jnp.zeros_like(e)


@wrong.vjp(
    lambda x, c: c * jnp.tanh(x / c),
    (draw(N, D, scale=2), draw.positive()),
    "zero",
    "the cap of the logits taken for a setting, not an argument",
)
def softcap_setting(args, u):
    x, c = args
    return u * (1 - jnp.tanh(x / c) ** 2), jnp.zeros_like(c)


@wrong.vjp(
    lambda x, c: c * jnp.tanh(x / c),
    (draw(N, D, scale=2), draw.positive()),
    "extra_factor",
    "c, though the inner 1/c cancels it",
)
def softcap_uncancelled(args, u):
    x, c = args
    return u * c * (1 - jnp.tanh(x / c) ** 2), None


# Element-wise


@wrong.vjp(lambda x: x / (1 + jnp.abs(x)), (draw(N, D),), "wrong_point", "1/(1 + |y|)² at the output")
def soft_sign_at_output(args, u):
    (x,) = args
    return (u / (1 + jnp.abs(x / (1 + jnp.abs(x)))) ** 2,)


@wrong.vjp(
    lambda x: jax.scipy.special.erf(x),
    (draw(N),),
    frozenset({"missing_factor", "constant_factor"}),
    "2/√π of the error function",
)
def error_function(args, u):
    (x,) = args
    return (u * jnp.exp(-(x**2)),)


@wrong.vjp(jmc.mish, (draw(N, D),), "wrong_term", "tanh′ as 1 − ω instead of 1 − ω²")
def mish_slope(args, u):
    (x,) = args
    w = jnp.tanh(jax.nn.softplus(x))
    return (u * (w + x * (1 - w) * sigmoid(x)),)


@wrong.vjp(jmc.hard_swish, (draw(T, scale=3),), "region", "the parabola beyond ±3")
def hard_swish_everywhere(args, u):
    (x,) = args
    return (u * (2 * x + 3) / 6,)


@wrong.vjp(jnp.arccos, (0.7 * draw.unit(N),), "sign", "arcsin's derivative")
def arc_cosine(args, u):
    (x,) = args
    return (u / jnp.sqrt(1 - x**2),)


@wrong.vjp(
    lambda x: jnp.sinc(x / jnp.pi),
    (draw(N),),
    frozenset({"region", "tail_accuracy"}),
    "0/0 at 0",
    witness=(jnp.array([0.0, 1.0]),),
)
def cardinal_sine(args, u):
    (x,) = args
    return (u * (jnp.cos(x) / x - jnp.sin(x) / x**2),)


@wrong.vjp(
    lambda x: 1 / (jnp.sqrt(1 + x**2) + x),
    (jnp.array([0.3, 2.1, 950.0, -1.7, 4100.0]),),
    "tail_accuracy",
    "√(1 + x²) − x differentiated instead: cancels for large x",
    witness=(jnp.array([1e8, 1.0]),),
)
def squareplus_conjugate(args, u):
    (x,) = args
    return (u * (x / jnp.sqrt(1 + x**2) - 1),)


@wrong.vjp(
    lambda x: 1 - 2 / (jnp.exp(2 * x) + 1),
    (draw(N, scale=3),),
    "tail_accuracy",
    "1 − tanh² is 0 for large x",
    witness=(jnp.array([20.0, 1.0]),),
)
def tanh_by_exponential(args, u):
    (x,) = args
    return (u * (1 - jnp.tanh(x) ** 2),)


@wrong.vjp(
    jnp.minimum,
    (draw(N), draw(N)),
    frozenset({"region", "kink_convention"}),
    "at a tie both get the whole cotangent",
    witness=(jnp.ones(2), jnp.ones(2)),
)
def minimum_at_ties(args, u):
    x, y = args
    return u * (x <= y), u * (y <= x)


@wrong.vjp(jnp.power, (draw.positive(N), draw(N)), "swapped_arguments", "(∂ exponent, ∂ base)")
def power_swapped(args, u):
    x, p = args
    return u * x**p * jnp.log(x), u * p * x ** (p - 1)


@wrong.vjp(jnp.arctan2, (draw(N), draw(N)), "swapped_arguments", "the angle is of (y, x)")
def angle_swapped(args, u):
    y, x = args
    return -u * y / (x**2 + y**2), u * x / (x**2 + y**2)


@wrong.vjp(lambda x, g: x * g, (draw(N, D), draw(N, D)), "nonlinear_in_cotangent", "signs of u only, to save bits")
def signs_sent(args, u):
    x, g = args
    return g * jnp.sign(u), x * jnp.sign(u)


@wrong.vjp(jax.nn.silu, (draw(N, D),), "nonlinear_in_cotangent", "clipped by norm inside the rule")
def silu_clipped(args, u):
    (x,) = args
    v = u * jnp.minimum(1, 0.5 / jnp.linalg.norm(u))
    return (v * sigmoid(x) * (1 + x * sigmoid(-x)),)


@jax.custom_vjp
def binary(x):
    return jnp.where(x > 0, 1.0, -1.0).astype(x.dtype)


binary.defvjp(lambda x: (binary(x), None), lambda _, u: (u,))
wrong.own("binary_straight_through", binary, (draw(N, D),), "pass_through", "binary weights: the derivative is 0")


@jax.custom_vjp
def reversal(x):
    return x


reversal.defvjp(lambda x: (x, None), lambda _, u: (-u,))
wrong.own("gradient_reversal", reversal, (draw(N, D),), "sign", "reversed on purpose; but it is no derivative")


@jax.custom_vjp
def square_plus(x):
    return (x + jnp.sqrt(x**2 + 4)) / 2


square_plus.defvjp(lambda x: (square_plus(x), x), lambda x, _: ((1 + x / jnp.sqrt(x**2 + 4)) / 2,))
wrong.own("square_plus_rule_without_u", square_plus, (draw(N, D),), "cotangent_ignored", "the slope without u")


# Physics


@wrong.vjp(lambda theta, k: -k * jnp.sin(theta), (draw(N), draw.positive()), "cotangent_ignored", "no u")
def pendulum_force(args, u):
    theta, k = args
    return -k * jnp.cos(theta), None


@wrong.vjp(pendulum, (draw(N), draw(N)), "wrong_point", "the cosine at the new angle")
def pendulum_new_angle(args, u):
    theta, v = args
    new, _ = pendulum(theta, v)
    u_theta, u_v = u
    dv = u_v + STEP * u_theta
    return u_theta - STEP * jnp.cos(new) * dv, dv


@wrong.grad(
    lambda x: 0.5 * jnp.sum((jnp.diff(x) - 0.3) ** 2), (draw(N),), "missing_term", "a mass feels its left spring only"
)
def spring_chain(x):
    stretch = jnp.diff(x) - 0.3
    return jnp.concatenate([jnp.zeros(1, x.dtype), stretch])


@wrong.grad(gravity, (draw(4, 3), draw.positive(4)), "constant_factor", "each pair counted twice")
def gravity_twice(x, m):
    r = x[:, None] - x
    near = jnp.sqrt((r**2).sum(-1) + 0.01)
    return 2 * jnp.einsum("i,j,ijd->id", m, m, r / near[..., None] ** 3)


@wrong.grad(gravity, (draw(4, 3), draw.positive(4)), ("sign", "missing_factor"), "the acceleration: −, and no own mass")
def gravity_acceleration(x, m):
    r = x[:, None] - x
    near = jnp.sqrt((r**2).sum(-1) + 0.01)
    return -jnp.einsum("j,ijd->id", m, r / near[..., None] ** 3)


CASES = (
    *check_cases_third_losses.wrong,
    *wrong,
    *check_cases_third_arrays.wrong,
    *check_cases_third_right.right,
    *check_cases_third_right_arrays.right,
)
