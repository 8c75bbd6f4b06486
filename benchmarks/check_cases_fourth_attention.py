"""The fourth set's mistakes in softmax, attention and normalisation."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_fourth_right import double
from check_cases_fourth_right_layers import grouped_query, sparsemax

draw = Draw(19)
wrong = Cases()
N, D, M = 7, 3, 5
sigmoid = jax.nn.sigmoid


# Attention


@wrong.vjp(
    grouped_query,
    (draw(2, 4, 4, D), draw(2, 5, D), draw(2, 5, 2)),
    "mean_vs_sum",
    "the heads of a group averaged for the keys and values that they share",
)
def grouped_averaged(args, u):
    q, k, v = args
    p = jax.nn.softmax(jnp.einsum("ghqd,gkd->ghqk", q, k))
    dp = jnp.einsum("ghqv,gkv->ghqk", u, v)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    dk = jnp.einsum("ghqk,ghqd->ghkd", ds, q).mean(1)
    return jnp.einsum("ghqk,gkd->ghqd", ds, k), dk, jnp.einsum("ghqk,ghqv->ghkv", p, u).mean(1)


@wrong.vjp(
    lambda q, k, v: sigmoid(q @ k.T / 2) @ v,
    (draw(4, D), draw(6, D), draw(6, 2)),
    "wrong_term",
    "a softmax's backward rule for attention by sigmoids",
)
def sigmoid_attention(args, u):
    q, k, v = args
    p = sigmoid(q @ k.T / 2)
    dp = u @ v.T
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / 2
    return ds @ k, ds.T @ q, p.T @ u


def retention(q, k, v):
    """Attention without softmax, to the past."""
    return jnp.tril(q @ k.T) @ v


@wrong.vjp(
    retention,
    (draw(6, D), draw(6, D), draw(6, 2)),
    frozenset({"region", "missing_factor"}),
    "the mask to the past is left out on the way back",
)
def retention_mask(args, u):
    q, k, v = args
    ds = u @ v.T
    return ds @ k, ds.T @ q, jnp.tril(q @ k.T).T @ u


@wrong.vjp(
    retention,
    (draw(6, D), draw(6, D), draw(6, 2)),
    "transposed_operand",
    "queries gather from the past again, where keys should from the future",
)
def retention_direction(args, u):
    q, k, v = args
    ds = jnp.tril(u @ v.T)
    return ds @ k, ds @ q, jnp.tril(q @ k.T).T @ u


@wrong.vjp(
    lambda Q, K, V: jax.nn.softmax(Q @ K.T / Q.shape[-1] ** 0.5) @ V,
    (draw(6, 4), draw(6, 4), draw(6, 4)),
    ("missing_factor", "transposed_operand"),
    "no 1/√d, and P for Pᵀ in ∂V",
)
def attention_scale_two(args, u):
    Q, K, V = args
    P = jax.nn.softmax(Q @ K.T / Q.shape[-1] ** 0.5)
    dP = u @ V.T
    dS = P * (dP - jnp.sum(P * dP, -1, keepdims=True))
    return dS @ K, dS.T @ Q, P @ u


@wrong.jvp(
    lambda x, tau: jax.nn.softmax(x / tau),
    (draw(N, M), draw.positive()),
    "diagonal_only",
    "p(1 − p) along the tangent of x/τ",
)
def tempered_softmax(args, tangents):
    (x, tau), (dx, dtau) = args, tangents
    p = jax.nn.softmax(x / tau)
    return p * (1 - p) * (dx / tau - x * dtau / tau**2)


@wrong.vjp(sparsemax, (draw(M),), "wrong_term", "the mean over all entries, not over the support")
def sparsemax_mean(args, u):
    support = sparsemax(args[0]) > 0
    return (support * (u - (u * support).mean()),)


# Normalisation


def normalised(x, axis):
    mu = x.mean(axis, keepdims=True)
    sigma = jnp.sqrt(x.var(axis, keepdims=True) + 1e-5)
    return (x - mu) / sigma, sigma


@wrong.vjp(
    lambda x, g, b: g * normalised(x, 0)[0] + b,
    (double(draw(N, D)), double(draw.positive(D)), double(draw(D))),
    "missing_term",
    "statistics of the batch taken for running ones",
)
def batch_norm_frozen(args, u):
    x, g, b = args
    xhat, sigma = normalised(x, 0)
    return u * g / sigma, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(
    lambda x, g: g * x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6),
    (draw(2, N, D), draw.positive(D)),
    "missing_term",
    "the root mean square taken for a constant",
)
def rms_norm_constant(args, u):
    x, g = args
    r = jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-6)
    return u * g / r, (u * x / r).sum((0, 1))


@wrong.vjp(
    lambda x, W: x @ normalised(W, 0)[0],
    (draw(N, 5), draw(5, 5)),
    "wrong_axis",
    "weights standardised by columns, their gradient by rows; both 5",
)
def weight_standardisation(args, u):
    x, W = args
    what, sigma = normalised(W, 0)
    g = x.T @ u
    return u @ what.T, (g - g.mean(1, keepdims=True) - what * (g * what).mean(1, keepdims=True)) / sigma


@wrong.vjp(
    lambda x, g, b: g * normalised(x, -1)[0] + b,
    (draw(N, M), draw.positive(M), draw(M)),
    (frozenset({"sign", "wrong_term"}), "missing_factor"),
    "plus before the term of the variance, and no γ",
)
def layer_norm_plus_two(args, u):
    x, g, b = args
    xhat, sigma = normalised(x, -1)
    dx = (u - u.mean(-1, keepdims=True) + xhat * (u * xhat).mean(-1, keepdims=True)) / sigma
    return dx, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(
    lambda x, g: g * normalised(x, -1)[0],
    (draw(N, M), draw.positive(M)),
    "extra_factor",
    "γ once more, after the cotangent was multiplied by it",
)
def layer_norm_gain_twice(args, u):
    x, g = args
    xhat, sigma = normalised(x, -1)
    v = u * g
    return g * (v - v.mean(-1, keepdims=True) - xhat * (v * xhat).mean(-1, keepdims=True)) / sigma, None


@wrong.jacobian(
    lambda x: x / jnp.linalg.norm(x), (double(draw(M)),), "diagonal_only", "each entry of a unit vector alone"
)
def unit_vector_diagonal(x):
    n = jnp.linalg.norm(x)
    return jnp.diag(1 / n - x**2 / n**3)


@wrong.vjp(
    lambda x: x - x.mean(0),
    (draw(N, D),),
    frozenset({"pass_through", "missing_term"}),
    "the mean moves with its sample",
)
def centring_through(args, u):
    return (u,)


@wrong.vjp(
    lambda q, k: (q / jnp.linalg.norm(q, axis=-1, keepdims=True)) @ (k / jnp.linalg.norm(k, axis=-1, keepdims=True)).T,
    (draw(4, D), draw(6, D)),
    "missing_term",
    "cosine scores: the queries' length taken for a constant",
)
def cosine_scores(args, u):
    q, k = args
    return u @ (k / jnp.linalg.norm(k, axis=-1, keepdims=True)) / jnp.linalg.norm(q, axis=-1, keepdims=True), None
