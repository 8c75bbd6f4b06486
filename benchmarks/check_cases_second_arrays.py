"""The second half's mistakes in softmax, attention, normalisation and linear algebra."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw

import jmc

draw = Draw(5)
wrong = Cases()
N, D, M, T = 11, 3, 5, 7


# Softmax, attention, normalisation


@wrong.jacobian(lambda x: x / x.sum(), (draw.positive(D),), "diagonal_only", "each share as if it stood alone")
def shares(x):
    s = x.sum()
    return jnp.diag(1 / s - x / s**2)


@wrong.hessian(jax.nn.logsumexp, (draw(M),), "diagonal_only", "diag(p(1 − p)) without −p pᵀ beside it")
def logsumexp_hessian(x):
    p = jax.nn.softmax(x)
    return jnp.diag(p * (1 - p))


def heads(Q, K, V):
    return jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", Q, K)) @ V


HEADS = (draw(2, M, D), draw(2, T, D), draw(2, T, 2))


@wrong.vjp(heads, HEADS, "diagonal_only", "P(1 − P) for the softmax of the scores")
def attention_diagonal(args, u):
    Q, K, V = args
    P = jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", Q, K))
    dS = P * (1 - P) * jnp.einsum("hqv,hkv->hqk", u, V)
    return dS @ K, jnp.einsum("hqk,hqd->hkd", dS, Q), jnp.einsum("hqk,hqv->hkv", P, u)


@wrong.vjp(heads, HEADS, "wrong_axis", "the softmax's sum runs over the queries")
def attention_over_queries(args, u):
    Q, K, V = args
    P = jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", Q, K))
    dP = jnp.einsum("hqv,hkv->hqk", u, V)
    dS = P * (dP - (dP * P).sum(1, keepdims=True))
    return dS @ K, jnp.einsum("hqk,hqd->hkd", dS, Q), jnp.einsum("hqk,hqv->hkv", P, u)


@wrong.vjp(
    heads,
    (draw(2, 5, D), draw(2, 5, D), draw(2, 5, 2)),
    ("diagonal_only", "transposed_operand"),
    "P(1 − P), and P for Pᵀ in ∂V",
)
def heads_two(args, u):
    Q, K, V = args
    P = jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", Q, K))
    dS = P * (1 - P) * jnp.einsum("hqv,hkv->hqk", u, V)
    return dS @ K, jnp.einsum("hqk,hqd->hkd", dS, Q), P @ u


@wrong.vjp(jax.nn.log_softmax, (draw(N, M),), "wrong_axis", "the cotangents are summed over the batch")
def log_softmax_over_batch(args, u):
    (x,) = args
    return (u - jax.nn.softmax(x) * u.sum(0, keepdims=True),)


@wrong.vjp(lambda a, b: a[:, None] + b, (draw(5), draw(5)), "wrong_axis", "rows for columns, both 5")
def outer_sum(args, u):
    return u.sum(0), u.sum(0)


def centred(x, axis):
    mu = x.mean(axis, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(axis, keepdims=True) + 1e-5)
    return (x - mu) / sigma, sigma


BATCH = (draw(N, D), draw.positive(D), draw(D))


@wrong.vjp(jmc.batch_norm, BATCH, "missing_term", "the path through the variance is left out")
def batch_norm_without_variance(args, u):
    x, gamma, beta = args
    xhat, sigma = centred(x, 0)
    g = u * gamma
    return (g - g.mean(0)) / sigma, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(jmc.batch_norm, BATCH, "extra_factor", "γ in its own gradient")
def batch_norm_gamma(args, u):
    x, gamma, beta = args
    xhat, _ = centred(x, 0)
    return None, (u * gamma * xhat).sum(0), u.sum(0)


@wrong.vjp(jmc.batch_norm, BATCH, ("missing_factor", "wrong_axis"), "no γ, and the means taken over the features")
def batch_norm_two(args, u):
    x, gamma, beta = args
    xhat, sigma = centred(x, 0)
    dx = (u - u.mean(1, keepdims=True) - xhat * (u * xhat).mean(1, keepdims=True)) / sigma
    return dx, (u * xhat).sum(0), u.sum(0)


@wrong.vjp(lambda x: centred(x, -1)[0], (draw(N, M),), "wrong_term", "n − 1 for n in the term of the variance")
def layer_norm_unbiased(args, u):
    (x,) = args
    xhat, sigma = centred(x, -1)
    spread = (u * xhat).sum(-1, keepdims=True) / (x.shape[-1] - 1)
    return ((u - u.mean(-1, keepdims=True) - xhat * spread) / sigma,)


@wrong.vjp(lambda x: x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True)), (draw(N, M),), "missing_factor", "no 1/σ")
def rms_norm_without_sigma(args, u):
    (x,) = args
    xhat = x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True))
    return (u - xhat * (u * xhat).mean(-1, keepdims=True),)


@wrong.vjp(jmc.weight_norm, (draw(M, D), draw.positive(M)), "missing_factor", "∂v without the gain g")
def weight_norm_without_gain(args, u):
    v, g = args
    size = jnp.linalg.norm(v, axis=-1, keepdims=True)
    w = v / size
    return (u - w * (u * w).sum(-1, keepdims=True)) / size, (u * w).sum(-1)


@wrong.vjp(lambda x: jnp.linalg.norm(x, axis=-1), (draw(N, D),), "cotangent_ignored", "the unit vector without u")
def row_norm_alone(args, u):
    (x,) = args
    return (x / jnp.linalg.norm(x, axis=-1, keepdims=True),)


@wrong.vjp(lambda x: x * jnp.linalg.norm(x), (draw(M),), "missing_term", "‖x‖ taken for a constant")
def scaled_by_norm(args, u):
    (x,) = args
    return (u * jnp.linalg.norm(x),)


# Linear algebra


@wrong.grad(lambda X: jnp.trace(jnp.linalg.inv(X)), (draw.regular(5),), "sign", "tr X⁻¹ without its minus")
def trace_of_inverse_plus(X):
    Y = jnp.linalg.inv(X)
    return (Y @ Y).T


@wrong.vjp(jnp.linalg.inv, (draw.regular(5),), "transposed_operand", "−Y u Y for −Yᵀ u Yᵀ")
def inverse_untransposed(args, u):
    Y = jnp.linalg.inv(args[0])
    return (-Y @ u @ Y,)


@wrong.vjp(jnp.linalg.inv, (draw.regular(5),), ("sign", "transposed_operand"), "Y u Y")
def inverse_two(args, u):
    Y = jnp.linalg.inv(args[0])
    return (Y @ u @ Y,)


@wrong.jvp(lambda A, b: jnp.linalg.solve(A, b), (draw.regular(5), draw(5)), "wrong_term", "+A⁻¹ dA x for −A⁻¹ dA x")
def solve_plus(args, tangents):
    (A, b), (dA, db) = args, tangents
    return jnp.linalg.solve(A, db + dA @ jnp.linalg.solve(A, b))


@wrong.grad(
    lambda X: jnp.linalg.slogdet(X)[1],
    (draw.regular(5),),
    frozenset({"transposed_layout", "transposed_operand"}),
    "X⁻¹ for X⁻ᵀ",
)
def log_determinant_untransposed(X):
    return jnp.linalg.inv(X)


@wrong.grad(
    lambda X: jnp.linalg.slogdet(X)[1], (draw.regular(4),), "extra_factor", "the derivative of det, not of ln det"
)
def log_determinant_as_determinant(X):
    return jnp.linalg.det(X) * jnp.linalg.inv(X).T


@wrong.grad(lambda A, X: jnp.trace(A @ X), (draw(D, M), draw(M, D)), "transposed_layout", "A for Aᵀ", argnums=1)
def trace_layout(A, X):
    return A


@wrong.vjp(lambda X: X @ X, (draw(4, 4),), "wrong_term", "2 u Xᵀ, as if X commuted with dX")
def matrix_square_commuting(args, u):
    (X,) = args
    return (2 * u @ X.T,)


@wrong.vjp(
    lambda X, A: X @ A @ X.T,
    (draw(D, 5), draw(5, 5)),
    frozenset({"transposed_operand", "wrong_term"}),
    "A and Aᵀ exchanged",
)
def congruence_exchanged(args, u):
    X, A = args
    return u @ X @ A + u.T @ X @ A.T, X.T @ u @ X


@wrong.vjp(lambda x, W: W @ (W @ x), (draw(5), draw(5, 5)), "transposed_operand", "W W u for Wᵀ Wᵀ u")
def applied_twice(args, u):
    x, W = args
    return W @ (W @ u), None
