"""The first half's mistakes in softmax, attention, normalisation and linear algebra."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw

import jmc

draw = Draw(6)
wrong = Cases()
EPS = 1e-5
N, D, M = 7, 5, 3


# Softmax, attention, normalisation


def softmax_at(x, T):
    return jax.nn.softmax(x / T)


@wrong.jacobian(jax.nn.softmax, (draw(D),), "diagonal_only", "p(1 − p), the other entries forgotten")
def softmax_slope(x):
    p = jax.nn.softmax(x)
    return jnp.diag(p * (1 - p))


@wrong.vjp(jax.nn.log_softmax, (draw(N, D),), "diagonal_only", "1 − p alone")
def log_softmax_slope(args, u):
    (x,) = args
    return (u * (1 - jax.nn.softmax(x)),)


@wrong.vjp(jmc.softmax, (draw(N, D),), "wrong_axis", "⟨u, p⟩ summed over the batch")
def softmax_over_batch(args, u):
    p = jmc.softmax(args[0])
    return (p * (u - (u * p).sum(0, keepdims=True)),)


@wrong.vjp(softmax_at, (draw(N, D), draw.positive()), "missing_factor", "1/T of the temperature is left out")
def softmax_without_temperature(args, u):
    x, T = args
    p = softmax_at(x, T)
    return p * (u - (u * p).sum(-1, keepdims=True)), None


@wrong.vjp(softmax_at, (draw(N, D), draw.positive()), ("diagonal_only", "missing_factor"), "p(1 − p), and no 1/T")
def softmax_slope_without_temperature(args, u):
    x, T = args
    p = softmax_at(x, T)
    return u * p * (1 - p), None


@wrong.vjp(lambda x: jax.nn.logsumexp(x, axis=-1), (draw(N, D),), "cotangent_ignored", "no u")
def logsumexp_alone(args, u):
    return (jax.nn.softmax(args[0]),)


def attention(Q, K, V):
    return jax.nn.softmax(Q @ K.T / jnp.sqrt(Q.shape[-1])) @ V


def attention_parts(Q, K, V, u):
    P = jax.nn.softmax(Q @ K.T / jnp.sqrt(Q.shape[-1]))
    dP = u @ V.T
    return P, P * (dP - (dP * P).sum(-1, keepdims=True))


QKV = (draw(5, 3), draw(5, 3), draw(5, 2))


@wrong.vjp(attention, QKV, "transposed_operand", "dS for dSᵀ in ∂K, with as many keys as queries")
def attention_keys(args, u):
    Q, K, V = args
    P, dS = attention_parts(Q, K, V, u)
    return dS @ K / jnp.sqrt(Q.shape[-1]), dS @ Q / jnp.sqrt(Q.shape[-1]), P.T @ u


@wrong.vjp(
    attention, (draw(5, 3), draw(7, 3), draw(7, 2)), frozenset({"missing_factor", "constant_factor"}), "no 1/√d in ∂Q"
)
def attention_unscaled(args, u):
    Q, K, V = args
    P, dS = attention_parts(Q, K, V, u)
    return dS @ K, dS.T @ Q / jnp.sqrt(Q.shape[-1]), P.T @ u


@wrong.vjp(attention, QKV, ("missing_factor", "transposed_operand"), "no 1/√d in ∂Q, and P for Pᵀ in ∂V")
def attention_two(args, u):
    Q, K, V = args
    P, dS = attention_parts(Q, K, V, u)
    return dS @ K, dS.T @ Q / jnp.sqrt(Q.shape[-1]), P @ u


def layer_norm(x, gamma, beta):
    mu = x.mean(-1, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + EPS)
    return gamma * (x - mu) / sigma + beta


def whitened(x, axis=-1):
    mu = x.mean(axis, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(axis, keepdims=True) + EPS)
    return (x - mu) / sigma, sigma


NORM = (draw(N, D), draw.positive(D), draw(D))


@wrong.vjp(layer_norm, NORM, "missing_factor", "γ is left out of ∂x")
def layer_norm_without_gamma(args, u):
    x, gamma, beta = args
    xhat, sigma = whitened(x)
    dx = (u - u.mean(-1, keepdims=True) - xhat * (u * xhat).mean(-1, keepdims=True)) / sigma
    return dx, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(layer_norm, NORM, "missing_term", "the path through the mean is left out")
def layer_norm_without_mean(args, u):
    x, gamma, beta = args
    xhat, sigma = whitened(x)
    g = u * gamma
    return (g - xhat * (g * xhat).mean(-1, keepdims=True)) / sigma, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(layer_norm, NORM, ("missing_factor", "missing_term"), "neither γ nor the path through the mean")
def layer_norm_two(args, u):
    x, gamma, beta = args
    xhat, sigma = whitened(x)
    return (u - xhat * (u * xhat).mean(-1, keepdims=True)) / sigma, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(layer_norm, NORM, "wrong_axis", "the means are taken over the batch")
def layer_norm_over_batch(args, u):
    x, gamma, beta = args
    xhat, sigma = whitened(x)
    g = u * gamma
    dx = (g - g.mean(0, keepdims=True) - xhat * (g * xhat).mean(0, keepdims=True)) / sigma
    return dx, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(jmc.rms_norm, (draw(N, D), draw.positive(D)), "extra_factor", "γ once more at the end")
def rms_norm_gamma_twice(args, u):
    x, gamma = args
    sigma = jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    g, xhat = u * gamma, x / sigma
    return gamma * (g - xhat * (g * xhat).mean(-1, keepdims=True)) / sigma, (u * xhat).sum(0)


@wrong.vjp(
    lambda x, gamma: gamma * whitened(x, 0)[0], (draw(N, D), draw.positive(D)), "wrong_term", "mean g for mean g x̂"
)
def batch_norm_variance(args, u):
    x, gamma = args
    xhat, sigma = whitened(x, 0)
    g = u * gamma
    return (g - g.mean(0) - xhat * g.mean(0)) / sigma, (u * xhat).sum(0)


@wrong.vjp(
    lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True), (draw(N, D),), "missing_term", "‖x‖ taken for a constant"
)
def unit_vector(args, u):
    return (u / jnp.linalg.norm(args[0], axis=-1, keepdims=True),)


# Linear algebra


@wrong.vjp(jnp.linalg.inv, (draw.regular(5),), "sign", "d(A⁻¹) without its minus")
def inverse_plus(args, u):
    Y = jnp.linalg.inv(args[0])
    return (Y.T @ u @ Y.T,)


@wrong.vjp(jnp.linalg.solve, (draw.regular(5), draw(5)), "transposed_operand", "A for Aᵀ")
def solve_right_side(args, u):
    A, b = args
    return None, jnp.linalg.solve(A, u)


@wrong.grad(
    lambda x, A: x @ A @ x,
    (draw(5), draw(5, 5)),
    frozenset({"transposed_operand", "wrong_term"}),
    "2Ax, though A is not symmetric",
)
def quadratic_form(x, A):
    return 2 * A @ x


@wrong.grad(lambda X, A, B: jnp.trace(A @ X @ B), (draw(3, 5), draw(7, 3), draw(5, 7)), "transposed_layout", "BA")
def trace_of_product(X, A, B):
    return B @ A


@wrong.grad(
    lambda X, a, b: a @ X @ b,
    (draw(5, 5), draw(5), draw(5)),
    frozenset({"transposed_layout", "swapped_arguments"}),
    "b aᵀ for a bᵀ, X being square",
)
def bilinear_square(X, a, b):
    return jnp.outer(b, a)


@wrong.jacobian(lambda x, A: x * (A @ x), (draw(5), draw(5, 5)), "missing_term", "diag(Ax) is left out")
def self_gated(x, A):
    return x[:, None] * A


def unrolled(h, W, x):
    return jnp.tanh(W @ jnp.tanh(W @ h + x) + x)


@wrong.vjp(unrolled, (draw(5), draw(5, 5), draw(5)), ("wrong_point", "transposed_operand"), "slopes at h; W for Wᵀ")
def recurrent_two(args, u):
    h, W, x = args
    h1 = jnp.tanh(W @ h + x)
    h2 = jnp.tanh(W @ h1 + x)
    d2 = u * (1 - jnp.tanh(h2) ** 2)
    d1 = (W @ d2) * (1 - jnp.tanh(h1) ** 2)
    return W @ d1, None, None
