"""The first half of the cases: derivatives with the mistakes that people make. Its right ones are next door."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_first_arrays
import check_cases_first_right
import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_first_right import PARAMS, mlp_loss

import jmc

draw = Draw(1)
wrong = Cases()
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


@wrong.grad(mlp_loss, (PARAMS, draw(N, D), draw(N)), "mean_vs_sum", "the bias is averaged over the batch")
def mlp_bias_averaged(params, X, y):
    H = jnp.tanh(X @ params["W1"].T + params["b1"])
    e = 2 * (H @ params["w2"] - y) / len(y)
    d = e[:, None] * params["w2"] * (1 - H**2)
    return {"W1": d.T @ X, "b1": d.mean(0), "w2": H.T @ e}


@wrong.vjp(
    lambda x, k: jnp.convolve(x, k, mode="valid"),
    (draw(11), draw(3)),
    frozenset({"transposed_operand", "wrong_term"}),
    "the kernel is not turned round",
)
def convolution_unturned(args, u):
    x, k = args
    return jnp.convolve(u, k, mode="full"), jnp.convolve(x[::-1], u, mode="valid")


@wrong.vjp(
    lambda h, c, z: (1 - sigmoid(z)) * h + sigmoid(z) * c,
    (draw(D), draw(D), draw(D)),
    "missing_term",
    "the gate opens one side and closes the other",
)
def gate_of_one_side(args, u):
    h, c, z = args
    s = sigmoid(z)
    return u * (1 - s), u * s, u * c * s * (1 - s)


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


@wrong.vjp(
    lambda x: x * sigmoid(x),
    (jax.ShapeDtypeStruct((N, D), "float32"),),
    "missing_term",
    "the second half of the product rule",
)
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


CASES = (*wrong, *check_cases_first_arrays.wrong, *check_cases_first_right.right)
