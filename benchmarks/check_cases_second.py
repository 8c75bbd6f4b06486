"""The second half of the cases: the same kinds of mistakes, in other functions. Its right ones are next door."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_second_arrays
import check_cases_second_right
import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw

import jmc

draw = Draw(3)
wrong = Cases()
N, D, M, T = 11, 3, 5, 7
sigmoid = jax.nn.sigmoid


# Losses


def poisson(z, y):
    return jnp.mean(jnp.exp(z) - y * z)


def normal_loss(mu, sigma, x):
    return jnp.mean(0.5 * ((x - mu) / sigma) ** 2 + jnp.log(sigma))


def contrast(q, K, tau):
    """The first key is the right one."""
    s = K @ q / tau
    return jax.nn.logsumexp(s) - s[0]


def divergence(logits, target):
    return jnp.mean(jnp.sum(target * (jnp.log(target) - jax.nn.log_softmax(logits)), -1))


@wrong.grad(poisson, (draw(N), draw.positive(N)), "sign", "observed minus expected")
def poisson_sign(z, y):
    return (y - jnp.exp(z)) / y.size


@wrong.grad(
    lambda a, y: jnp.mean((a - y) ** 2), (draw(N), draw(N)), ("constant_factor", "mean_vs_sum"), "neither 2 nor 1/N"
)
def mse_bare(a, y):
    return a - y


@wrong.grad(normal_loss, (draw(N), draw.positive(N), draw(N)), ("sign", "missing_factor"), "x − μ, over σ for σ²")
def normal_mean_two(mu, sigma, x):
    return (x - mu) / sigma / x.size


@wrong.grad(
    normal_loss,
    (draw(N), draw.positive(N), draw(N)),
    frozenset({"wrong_term", "missing_factor"}),
    "r²/σ² for r²/σ³ in the second term",
    argnums=1,
)
def normal_scale_power(mu, sigma, x):
    return (1 / sigma - (x - mu) ** 2 / sigma**2) / x.size


@wrong.grad(normal_loss, (draw(N), draw.positive(N), draw(N)), "missing_term", "the derivative of ln σ", argnums=1)
def normal_scale_without_log(mu, sigma, x):
    return -((x - mu) ** 2) / sigma**3 / x.size


@wrong.grad(contrast, (draw(D), draw(T, D), draw.positive()), "missing_factor", "1/τ of the temperature is left out")
def contrast_without_temperature(q, K, tau):
    p = jax.nn.softmax(K @ q / tau)
    return p @ K - K[0]


@wrong.grad(divergence, (draw(N, M), draw.simplex(N, M)), "mean_vs_sum", "divided by all entries, not by rows")
def divergence_over_entries(logits, target):
    return (target.sum(-1, keepdims=True) * jax.nn.softmax(logits) - target) / logits.size


@wrong.grad(jmc.mean_absolute_error, (draw(N), draw(N)), "mean_vs_sum", "1/N of the mean is lost")
def absolute_error_sum(prediction, target):
    return jnp.sign(prediction - target)


@wrong.grad(jmc.mean_absolute_error, (draw(N), draw(N)), "zero", "1 // N is 0")
def absolute_error_zero(prediction, target):
    return 1 // prediction.size * jnp.sign(prediction - target)


@wrong.grad(lambda r: jnp.mean(jnp.maximum(0.8 * r, -0.2 * r)), (draw(N),), "region", "0.8 on both sides of 0")
def pinball_one_side(r):
    return 0.8 * jnp.ones_like(r) / r.size


@wrong.grad(lambda x: jnp.mean((x - x.mean()) ** 2), (draw(N),), "constant_factor", "the 2 of the variance is lost")
def variance_half(x):
    return (x - x.mean()) / x.size


@wrong.grad(lambda x: 0.5 * jnp.sum(x**2), (draw(N),), "constant_factor", "the ½ is forgotten")
def half_square_doubled(x):
    return 2 * x


@wrong.grad(lambda x, B: jnp.sum((B @ x) ** 2), (draw(D), draw(M, D)), "constant_factor", "BᵀBx for 2BᵀBx")
def squared_image_half(x, B):
    return B.T @ (B @ x)


@jax.custom_vjp
def smooth_l1(a, y):
    return jnp.sum(jnp.sqrt(1 + (a - y) ** 2))


def smooth_l1_bwd(saved, u):
    a, y = saved
    g = (a - y) / jnp.sqrt(1 + (a - y) ** 2)
    return g, -g


smooth_l1.defvjp(lambda a, y: (smooth_l1(a, y), (a, y)), smooth_l1_bwd)
wrong.own(
    "loss_rule_without_u", smooth_l1, (draw(N), draw(N)), "cotangent_ignored", "a loss takes u = 1", argnums=(0, 1)
)


# Layers


def tanh_mlp(params, X, y):
    H = jnp.tanh(X @ params["W"].T + params["b"])
    return jnp.mean((H @ params["v"] - y) ** 2)


MLP = ({"W": draw(M, D), "b": draw(M), "v": draw(M)}, draw(N, D), draw(N))


@wrong.grad(tanh_mlp, MLP, "missing_factor", "1 − h² of the hidden layer is left out")
def mlp_without_slope(params, X, y):
    H = jnp.tanh(X @ params["W"].T + params["b"])
    e = 2 * (H @ params["v"] - y) / len(y)
    d = jnp.outer(e, params["v"])
    return {"W": d.T @ X, "b": d.sum(0), "v": H.T @ e}


@wrong.grad(tanh_mlp, MLP, ("wrong_point", "missing_sum"), "1 − tanh(h)², and the bias not summed")
def mlp_two(params, X, y):
    H = jnp.tanh(X @ params["W"].T + params["b"])
    e = 2 * (H @ params["v"] - y) / len(y)
    d = jnp.outer(e, params["v"]) * (1 - jnp.tanh(H) ** 2)
    return {"W": d.T @ X, "b": d, "v": H.T @ e}


@wrong.vjp(lambda x, W: jnp.sin(x @ W), (draw(N, D), draw(D, M)), "wrong_point", "cos of the output")
def sine_layer(args, u):
    x, W = args
    d = u * jnp.cos(jnp.sin(x @ W))
    return d @ W.T, x.T @ d


@wrong.vjp(
    lambda x, b: x + b[:, None], (draw(2, D, T), draw(D)), "missing_sum", "summed over the batch, not along the line"
)
def channel_bias(args, u):
    return u, u.sum(0)


@wrong.vjp(lambda x, P: x + P, (draw(2, T, D), draw(T, D)), "missing_sum", "one position for all in the batch")
def position_embedding(args, u):
    return u, u


@wrong.vjp(lambda x, tau: x / tau, (draw(N, D), draw.positive()), "missing_sum", "a scalar's gradient, one per entry")
def temperature_not_summed(args, u):
    x, tau = args
    return u / tau, -u * x / tau**2


@wrong.vjp(
    lambda Q, K: jnp.einsum("hqd,kd->hqk", Q, K), (draw(2, M, D), draw(T, D)), "missing_sum", "the heads share one key"
)
def shared_key(args, u):
    Q, K = args
    return jnp.einsum("hqk,kd->hqd", u, K), jnp.einsum("hqk,hqd->hkd", u, Q)


@wrong.vjp(lambda x: x.sum(1), (draw(2, T, D),), "mean_vs_sum", "1/T, as if the sequence were averaged")
def sum_pool_averaged(args, u):
    (x,) = args
    return (jnp.broadcast_to(u[:, None] / x.shape[1], x.shape),)


@wrong.vjp(lambda x, A, B: x @ A @ B, (draw(N, M), draw(M, 2), draw(2, D)), "transposed_layout", "∂B as (m, r)")
def low_rank_layout(args, u):
    x, A, B = args
    return u @ B.T @ A.T, x.T @ u @ B.T, u.T @ (x @ A)


@wrong.vjp(
    lambda x, A, B, s: s * (x @ A @ B),
    (draw(N, M), draw(M, 2), draw(2, D), draw.positive()),
    ("missing_factor", "transposed_layout"),
    "no scale in ∂A, and ∂B as (m, r)",
)
def low_rank_two(args, u):
    x, A, B, s = args
    return s * u @ B.T @ A.T, x.T @ u @ B.T, s * u.T @ (x @ A), None


@wrong.vjp(jnp.matmul, (draw(2, 5, 5), draw(2, 5, 5)), "transposed_operand", "B for Bᵀ in a batch of square products")
def batched_product_square(args, u):
    A, B = args
    return u @ B, jnp.swapaxes(A, 1, 2) @ u


@wrong.vjp(jnp.matmul, (draw(5, 5), draw(5, 5)), "swapped_arguments", "(∂B, ∂A), both being square")
def factors_swapped(args, u):
    A, B = args
    return A.T @ u, u @ B.T


def residual(x, W1, W2):
    return x + W2 @ jnp.maximum(W1 @ x, 0)


@wrong.vjp(residual, (draw(D), draw(M, D), draw(D, M)), "missing_term", "the skip connection is left out")
def residual_without_skip(args, u):
    x, W1, W2 = args
    h = W1 @ x
    d = jnp.where(h > 0, W2.T @ u, 0)
    return W1.T @ d, jnp.outer(d, x), jnp.outer(u, jnp.maximum(h, 0))


@wrong.vjp(
    residual, (draw(5), draw(5, 5), draw(5, 5)), ("missing_term", "transposed_operand"), "no skip, and W₁ for W₁ᵀ"
)
def residual_two(args, u):
    x, W1, W2 = args
    d = jnp.where(W1 @ x > 0, W2.T @ u, 0)
    return W1 @ d, None, None


@wrong.vjp(lambda W, x: W.T @ jnp.tanh(W @ x), (draw(M, D), draw(D)), "missing_term", "the first use of tied weights")
def tied_weights(args, u):
    W, x = args
    return jnp.outer(jnp.tanh(W @ x), u), None


@wrong.vjp(
    lambda c, i, f, g, o: (
        sigmoid(f) * c + sigmoid(i) * jnp.tanh(g),
        sigmoid(o) * jnp.tanh(sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)),
    ),
    tuple(draw(M) for _ in range(5)),
    "missing_term",
    "the cell's state is reached through the output as well",
)
def lstm_state(args, u):
    c, i, f, g, o = args
    u_c, u_h = u
    return (
        u_c * sigmoid(f),
        None,
        None,
        None,
        u_h * sigmoid(o) * sigmoid(-o) * jnp.tanh(sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)),
    )


@wrong.vjp(lambda a, b: a * sigmoid(b), (draw(N, D), draw(N, D)), "missing_factor", "the gate's gradient without a")
def gated_unit(args, u):
    a, b = args
    return u * sigmoid(b), u * sigmoid(b) * sigmoid(-b)


@wrong.vjp(lambda a, b, t: (1 - t) * a + t * b, (draw(N), draw(N), draw.unit(N)), "swapped_arguments", "t and 1 − t")
def blend_swapped(args, u):
    a, b, t = args
    return u * t, u * (1 - t), None


@wrong.vjp(
    lambda x, mask, keep: x * mask / keep, (draw(N, D), draw.mask(N, D), draw.unit()), "extra_factor", "1/keep twice"
)
def dropout_twice(args, u):
    x, mask, keep = args
    return u * mask / keep / keep, None, None


@wrong.vjp(lambda E, i: E[i], (draw(T, D), draw.below(T, N)), "zero", "JAX's .at[].add returns, it does not change")
def embedding_lost(args, u):
    E, i = args
    dE = jnp.zeros_like(E)
    dE.at[i].add(u)
    return dE, None


@wrong.vjp(lambda X, W: X @ W.T, (draw(N, D), draw(M, D)), "nonlinear_in_cotangent", "weight decay put into the rule")
def decayed(args, u):
    X, W = args
    return u @ W, u.T @ X + 0.1 * W


def filtered(x, k):
    return jax.vmap(lambda row: jnp.convolve(row, k, mode="valid"))(x)


@wrong.vjp(filtered, (draw(2, 11), draw(3)), "mean_vs_sum", "the kernel's gradient is averaged over the batch")
def filter_averaged(args, u):
    x, k = (np.asarray(a) for a in args)
    dk = np.stack([np.convolve(row[::-1], v, mode="valid") for row, v in zip(x, np.asarray(u), strict=True)])
    return None, dk.mean(0)


@wrong.vjp(lambda x, R: x @ R, (draw(N, 5), draw(5, 5)), "pass_through", "R taken for orthogonal and forgotten")
def rotated(args, u):
    return u, None


# Element-wise


@wrong.vjp(jax.lax.rsqrt, (draw.positive(N),), "sign", "x^(−½) falls")
def inverse_root(args, u):
    (x,) = args
    return (u * 0.5 * x**-1.5,)


@wrong.vjp(jnp.sqrt, (draw.positive(N),), frozenset({"wrong_point", "extra_factor"}), "1/(2x) for 1/(2y)")
def root_at_input(args, u):
    (x,) = args
    return (u / (2 * x),)


@wrong.jacobian(lambda x: x**3, (draw(D),), "constant_factor", "x² for 3x²")
def cube_jacobian(x):
    return jnp.diag(x**2)


@wrong.vjp(lambda x: jnp.sin(x**2), (draw(N, D),), "missing_factor", "the inner derivative 2x is left out")
def sine_of_square(args, u):
    (x,) = args
    return (u * jnp.cos(x**2),)


@wrong.vjp(
    lambda x, beta: x * sigmoid(beta * x),
    (draw(N), draw.positive()),
    frozenset({"missing_factor", "wrong_term"}),
    "β of the inner derivative is left out",
)
def swish_beta(args, u):
    x, beta = args
    s = sigmoid(beta * x)
    return u * (s + x * s * (1 - s)), None


ROOT = (2 / np.pi) ** 0.5


@wrong.vjp(
    lambda x: 0.5 * x * (1 + jnp.tanh(ROOT * (x + 0.044715 * x**3))),
    (draw(N, D),),
    frozenset({"wrong_term", "constant_factor"}),
    "x³ differentiated to x²",
)
def gelu_cubic(args, u):
    (x,) = args
    t = jnp.tanh(ROOT * (x + 0.044715 * x**3))
    return (u * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * ROOT * (1 + 0.044715 * x**2)),)


@wrong.vjp(jmc.softplus, (draw(N, D),), "wrong_point", "σ of the output")
def softplus_at_output(args, u):
    return (u * sigmoid(jmc.softplus(args[0])),)


@wrong.jvp(jnp.arctan, (draw(N),), "cotangent_ignored", "the slope without the tangent")
def arctan_alone(args, tangents):
    (x,) = args
    return 1 / (1 + x**2)


@wrong.vjp(jmc.relu, (draw(N, D),), "nonlinear_in_cotangent", "the mask is taken from the cotangent")
def relu_mask_of_u(args, u):
    return (jnp.where(u > 0, u, 0),)


@wrong.vjp(jnp.sin, (draw(N),), "nonlinear_in_cotangent", "the cotangent is brought to length 1")
def sine_normalised(args, u):
    (x,) = args
    return (jnp.cos(x) * u / jnp.linalg.norm(u),)


@wrong.vjp(
    jax.nn.elu,
    (jax.ShapeDtypeStruct((N, D), "float32"),),
    frozenset({"region", "pass_through"}),
    "1 for eˣ where x < 0",
)
def elu_slope_one(args, u):
    return (u,)


@wrong.vjp(lambda x: jnp.clip(x, -0.5, 0.5), (draw(N, D),), "region", "the upper bound is forgotten")
def clip_below_only(args, u):
    (x,) = args
    return (jnp.where(x > -0.5, u, 0),)


@wrong.vjp(
    jnp.abs,
    (draw(N),),
    frozenset({"region", "kink_convention"}),
    "x/|x| is nan at 0",
    witness=(jnp.array([0.0, 1.0]),),
)
def absolute_nan(args, u):
    (x,) = args
    return (u * x / jnp.abs(x),)


@wrong.vjp(lambda x, y: x / y, (draw(N), draw.positive(N)), "swapped_arguments", "(∂y, ∂x)")
def quotient_swapped(args, u):
    x, y = args
    return -u * x / y**2, u / y


@wrong.vjp(
    lambda x: jnp.logaddexp(x, -x),
    (jnp.array([-1.3, 120.0, 0.4, -95.0, 2.2]),),
    frozenset({"tail_accuracy", "region"}),
    "∞/∞ in (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)",
    witness=(jnp.array([800.0, 1.0]),),
)
def log_cosh_overflows(args, u):
    (x,) = args
    return (u * (jnp.exp(x) - jnp.exp(-x)) / (jnp.exp(x) + jnp.exp(-x)),)


@wrong.vjp(
    jax.scipy.stats.norm.logcdf, (draw(N),), "tail_accuracy", "1 + erf cancels far left", witness=(jnp.array([-12.0]),)
)
def log_normal_cdf(args, u):
    (x,) = args
    cdf = 0.5 * (1 + jax.scipy.special.erf(x / jnp.sqrt(2)))
    return (u * jnp.exp(-(x**2) / 2) / jnp.sqrt(2 * jnp.pi) / cdf,)


@jax.custom_vjp
def hard_tanh(x):
    return jnp.clip(x, -1, 1)


hard_tanh.defvjp(lambda x: (hard_tanh(x), None), lambda _, u: (u,))
wrong.own(
    "clip_straight_through",
    hard_tanh,
    (draw(N, scale=2),),
    frozenset({"pass_through", "region"}),
    "passes where it is clipped, too",
)


CASES = (*wrong, *check_cases_second_arrays.wrong, *check_cases_second_right.right)
