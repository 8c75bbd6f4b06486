"""The first half of the cases: derivatives with the mistakes that people make. Its right ones are next door."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_first_right
import jax
import jax.numpy as jnp
from check_cases import Cases, Draw

import jmc

draw = Draw(1)
wrong = Cases()
EPS = 1e-5
N, D, M = 7, 5, 3
sigmoid = jax.nn.sigmoid


# Losses


def mse(a, y):
    return jnp.mean((y - a) ** 2)


def ridge(w, X, y, lam):
    return jnp.mean((X @ w - y) ** 2) + lam * jnp.sum(w**2)


def least_squares(X, A, B):
    return jnp.sum((A @ X - B) ** 2)


def cross_entropy(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logp, labels[:, None], axis=1))


def logistic_mse(w, X, y):
    return jnp.mean((sigmoid(X @ w) - y) ** 2)


def linear_mse(W, X, Y):
    return jnp.mean((X @ W.T - Y) ** 2)


@wrong.grad(mse, (draw(N), draw(N)), "sign", "∂/∂y with the sign of ∂/∂a", argnums=1)
def mse_target(a, y):
    return 2 * (a - y) / a.size


@wrong.grad(mse, (draw(N, M), draw(N, M)), "constant_factor", "the 2 of the square is lost")
def mse_without_two(a, y):
    return (a - y) / a.size


@wrong.grad(mse, (draw(N), draw(N)), ("sign", "constant_factor"), "y − a for a − y, and no 2")
def mse_sign_and_two(a, y):
    return (y - a) / len(a)


@wrong.grad(cross_entropy, (draw(N, D), draw.below(D, N)), "sign", "target minus prediction")
def cross_entropy_target_minus_p(logits, labels):
    return (jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype) - jax.nn.softmax(logits)) / len(logits)


@wrong.grad(cross_entropy, (draw(N, D), draw.below(D, N)), "extra_factor", "softmax's slope once more, after p − t")
def cross_entropy_with_slope(logits, labels):
    p = jax.nn.softmax(logits)
    t = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return (p - t) * p * (1 - p) / len(logits)


@wrong.grad(lambda w, lam: lam * jnp.sum(w**2), (draw(D), draw.positive()), "constant_factor", "d(w²) = w")
def ridge_half(w, lam):
    return lam * w


@wrong.grad(least_squares, (draw(D, M), draw(N, D), draw(N, M)), "constant_factor", "the 2 of the square is lost")
def least_squares_half(X, A, B):
    return A.T @ (A @ X - B)


@wrong.hessian(
    lambda x, A, b: 0.5 * jnp.sum((A @ x - b) ** 2), (draw(D), draw(N, D), draw(N)), "constant_factor", "½ forgotten"
)
def least_squares_hessian(x, A, b):
    return 2 * A.T @ A


@wrong.grad(jmc.binary_cross_entropy, (draw(N), draw.unit(N)), "mean_vs_sum", "1/N of the mean is lost")
def bce_without_mean(logits, target):
    return sigmoid(logits) - target


@wrong.grad(jmc.binary_cross_entropy, (draw(N), draw.unit(N)), ("sign", "mean_vs_sum"), "y − p, and no 1/N")
def bce_sign_and_mean(logits, target):
    return target - sigmoid(logits)


@wrong.grad(linear_mse, (draw(M, D), draw(N, D), draw(N, M)), "mean_vs_sum", "divided by rows, not by entries")
def linear_mse_over_rows(W, X, Y):
    return 2 / len(X) * (X @ W.T - Y).T @ X


@wrong.grad(
    linear_mse,
    (draw(M, D), draw(N, D), draw(N, M)),
    ("mean_vs_sum", "transposed_layout"),
    "no 1/N, and (d, m) for (m, d)",
)
def linear_mse_sum_transposed(W, X, Y):
    return 2 * X.T @ (X @ W.T - Y)


@wrong.grad(
    lambda w, X, y: jnp.sum((X @ w - y) ** 2), (draw(D), draw(N, D), draw(N)), "mean_vs_sum", "a mean where f sums"
)
def sum_of_squares_averaged(w, X, y):
    return 2 / len(y) * X.T @ (X @ w - y)


@wrong.grad(logistic_mse, (draw(D), draw(N, D), draw.unit(N)), "missing_factor", "p(1 − p) of the sigmoid is left out")
def logistic_mse_without_slope(w, X, y):
    return 2 / len(y) * X.T @ (sigmoid(X @ w) - y)


@wrong.grad(logistic_mse, (draw(D), draw(N, D), draw.unit(N)), "wrong_point", "σ′ taken at p = σ(z)")
def logistic_mse_slope_at_output(w, X, y):
    p = sigmoid(X @ w)
    slope = sigmoid(p) * (1 - sigmoid(p))
    return 2 / len(y) * X.T @ ((p - y) * slope)


@wrong.grad(
    ridge, (draw(D), draw(N, D), draw(N), draw.positive()), "missing_term", "the penalty's gradient is left out"
)
def ridge_without_penalty(w, X, y, lam):
    return 2 / len(y) * X.T @ (X @ w - y)


@wrong.grad(
    jmc.huber, (draw(11, scale=2), draw(11, scale=2)), "region", "as if every residual were in the quadratic part"
)
def huber_never_linear(prediction, target):
    return (prediction - target) / prediction.size


@wrong.grad(lambda w: jnp.sum(jnp.abs(w)), (draw(D),), "zero", "booleans cancel: the mask is taken from a mask")
def lasso_zero(w):
    return ((w > 0) & (w < 0)).astype(w.dtype)


# Dense layers


def dense(X, W, b):
    return X @ W.T + b


LAYER = (draw(N, D), draw(M, D), draw(M))


@wrong.vjp(dense, LAYER, "missing_sum", "the bias is not summed over the batch")
def dense_bias(args, u):
    X, W, b = args
    return u @ W, u.T @ X, u


@wrong.vjp(dense, LAYER, "transposed_layout", "Xᵀu is (d, m), W is (m, d)")
def dense_weight(args, u):
    X, W, b = args
    return u @ W, X.T @ u, u.sum(0)


@wrong.vjp(dense, LAYER, "zero", "the bias gets nothing: its axis was summed away before")
def dense_bias_zero(args, u):
    X, W, b = args
    u_b = u - u
    return u @ W, u.T @ X, u_b.sum(0)


@wrong.vjp(dense, (draw(N, 5), draw(5, 5), draw(5)), "transposed_operand", "W for Wᵀ, W being square")
def dense_input_square(args, u):
    X, W, b = args
    return u @ W.T, u.T @ X, u.sum(0)


@wrong.vjp(
    dense, (draw(N, 5), draw(5, 5), draw(5)), ("transposed_operand", "missing_sum"), "W for Wᵀ, and the bias not summed"
)
def dense_two(args, u):
    X, W, b = args
    return u @ W.T, u.T @ X, u


@wrong.vjp(lambda X, b: X + b, (draw(5, 5), draw(5)), "wrong_axis", "summed over the units, not the batch (both 5)")
def shift_bias_axis(args, u):
    return u, u.sum(1)


@wrong.vjp(lambda X, s: s * X, (draw(N, D), draw()), "missing_sum", "a scalar's gradient with an array's shape")
def gain_not_summed(args, u):
    X, s = args
    return s * u, X * u


@wrong.vjp(lambda X, g: X * g, (draw(N, D), draw(1, D)), "missing_sum", "the broadcast axis is not summed")
def row_gain_not_summed(args, u):
    X, g = args
    return u * g, u * X


@wrong.vjp(
    lambda E, i: E[i],
    (draw(D, M), jnp.array([3, 0, 3, 1, 3, 0])),
    frozenset({"missing_sum", "region"}),
    "set for add: a repeated token keeps one cotangent only",
)
def embedding_set(args, u):
    E, i = args
    return jnp.zeros_like(E).at[i].set(u), None


@wrong.vjp(lambda x: x.mean((1, 2)), (draw(2, 3, 5, 7),), "mean_vs_sum", "1/(HW) of average pooling is lost")
def average_pool(args, u):
    (x,) = args
    return (jnp.broadcast_to(u[:, None, None, :], x.shape),)


@wrong.vjp(
    lambda x, mask, keep: x * mask / keep, (draw(N, D), draw.mask(N, D), draw.unit()), "missing_factor", "no mask"
)
def dropout_without_mask(args, u):
    x, mask, keep = args
    return u / keep, None, None


# Element-wise


@wrong.vjp(jnp.tanh, (draw(N, D),), "cotangent_ignored", "the slope alone, without u")
def tanh_slope_alone(args, u):
    (x,) = args
    return (1 - jnp.tanh(x) ** 2,)


@wrong.vjp(jnp.tanh, (draw(N, D),), "wrong_point", "1 − tanh(y)² at the output y")
def tanh_at_output(args, u):
    (x,) = args
    y = jnp.tanh(x)
    return (u * (1 - jnp.tanh(y) ** 2),)


@wrong.vjp(jnp.tanh, (draw(N),), "pass_through", "the slope left out altogether")
def tanh_straight_through(args, u):
    return (u,)


@wrong.vjp(jax.nn.relu, (draw(N, D),), "nonlinear_in_cotangent", "guided: only positive cotangents pass")
def relu_guided(args, u):
    (x,) = args
    return (jnp.where((x > 0) & (u > 0), u, 0),)


@wrong.vjp(lambda x: x**2, (draw(N, D),), "nonlinear_in_cotangent", "the cotangent is clipped on its way")
def square_clipped(args, u):
    (x,) = args
    return (2 * x * jnp.clip(u, -1, 1),)


@wrong.jvp(lambda x: jnp.cos(3 * x), (draw(N),), "sign", "cos′ = sin")
def cosine(args, tangents):
    (x,), (t,) = args, tangents
    return 3 * jnp.sin(3 * x) * t


@wrong.vjp(lambda x: x * sigmoid(x), (draw(N, D),), "missing_term", "the second half of the product rule")
def silu_half(args, u):
    (x,) = args
    return (u * sigmoid(x),)


@wrong.vjp(lambda x: x / (1 + x**2), (draw(N),), "wrong_term", "plus in the quotient rule")
def quotient_plus(args, u):
    (x,) = args
    v = 1 + x**2
    return (u * (v + x * 2 * x) / v**2,)


@wrong.vjp(
    lambda x: x * jax.scipy.stats.norm.cdf(x),
    (draw(N, D),),
    frozenset({"wrong_term", "missing_factor"}),
    "φ(x) for x φ(x) in the second term",
)
def gelu_without_x(args, u):
    (x,) = args
    return (u * (jax.scipy.stats.norm.cdf(x) + jax.scipy.stats.norm.pdf(x)),)


@wrong.vjp(lambda x: jax.nn.leaky_relu(x, 0.1), (draw(N, D),), "region", "no slope for x < 0")
def leaky_relu_dead(args, u):
    (x,) = args
    return (jnp.where(x > 0, u, 0),)


TIES = jnp.array([[1.0, 2.0, 2.0], [0.5, 0.5, 0.5]])


@wrong.vjp(
    lambda x: x.max(-1),
    (draw(N, M),),
    frozenset({"region", "kink_convention"}),
    "at ties every largest entry gets the whole cotangent",
    witness=(TIES,),
)
def max_at_ties(args, u):
    (x,) = args
    return (u[:, None] * (x == x.max(-1, keepdims=True)),)


@wrong.vjp(
    jax.nn.log_sigmoid, (draw(N),), "tail_accuracy", "1 − σ(x) is 0 for large x", witness=(jnp.array([40.0, 45.0]),)
)
def log_sigmoid_cancels(args, u):
    (x,) = args
    return (u * (1 - sigmoid(x)),)


@wrong.vjp(
    jax.nn.softplus,
    (jnp.array([-2.1, 95.0, 0.3, -91.0, 1.7]),),
    frozenset({"tail_accuracy", "region"}),
    "eˣ/(1 + eˣ) overflows",
    witness=(jnp.array([800.0, -2.0]),),
)
def softplus_overflows(args, u):
    (x,) = args
    return (u * jnp.exp(x) / (1 + jnp.exp(x)),)


@wrong.grad(lambda a, b: jnp.sum(a**2 * b), (draw(D), draw(D)), "swapped_arguments", "(∂b, ∂a)", argnums=(0, 1))
def product_swapped(a, b):
    return a**2, 2 * a * b


@wrong.vjp(lambda x, y: x * jnp.sin(y), (draw(N), draw(N)), "swapped_arguments", "(∂y, ∂x)")
def polar_swapped(args, u):
    r, t = args
    return u * r * jnp.cos(t), u * jnp.sin(t)


@jax.custom_vjp
def round_through(x):
    return jnp.round(x)


round_through.defvjp(lambda x: (jnp.round(x), None), lambda _, u: (u,))
wrong.own("rounding_straight_through", round_through, (draw(N, scale=3),), "pass_through", "a step's derivative is 0")


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


CASES = (*wrong, *check_cases_first_right.right)
