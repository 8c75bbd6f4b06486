"""The third set's mistakes in softmax, attention, normalisation, linear algebra and geometry."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_third_right_arrays import (
    cross_attention,
    group_norm,
    kalman,
    normalised,
    squared_distances,
)

draw = Draw(8)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11


# Softmax, attention, normalisation


def entropy(x):
    logp = jax.nn.log_softmax(x)
    return -jnp.sum(jnp.exp(logp) * logp)


@wrong.grad(entropy, (draw(M),), "diagonal_only", "p(1 − p) for the softmax within the entropy")
def entropy_diagonal(x):
    p = jax.nn.softmax(x)
    return -p * (1 - p) * (jnp.log(p) + 1)


@wrong.jacobian(lambda x: x**2 / jnp.sum(x**2), (draw(M),), "diagonal_only", "each share of the squares by itself")
def squared_shares(x):
    s = jnp.sum(x**2)
    return jnp.diag(2 * x / s - 2 * x**3 / s**2)


@wrong.hessian(
    lambda x: jnp.sum((x[:, None] - x) ** 2) / 4, (draw(M),), "diagonal_only", "n − 1 on the diagonal, no −1 beside it"
)
def spread_hessian(x):
    return (len(x) - 1) * jnp.eye(len(x), dtype=x.dtype)


CROSS = (draw(4, D), draw(T, D), draw(D, 4), draw(D, 4), draw(D, 2))


@wrong.vjp(cross_attention, CROSS, "missing_term", "the context feeds the values, too")
def context_by_keys_only(args, u):
    X, C, A, B, V = args
    P = jax.nn.softmax(X @ A @ (C @ B).T)
    dP = u @ (C @ V).T
    dS = P * (dP - (dP * P).sum(-1, keepdims=True))
    return dS @ C @ B @ A.T, dS.T @ X @ A @ B.T, None, None, None


@wrong.vjp(
    cross_attention,
    (draw(5, D), draw(5, D), draw(D, 4), draw(D, 4), draw(D, 2)),
    ("diagonal_only", "missing_factor"),
    "P(1 − P) for the softmax, and no P in ∂V",
)
def cross_two(args, u):
    X, C, A, B, V = args
    P = jax.nn.softmax(X @ A @ (C @ B).T)
    dS = P * (1 - P) * (u @ (C @ V).T)
    return dS @ C @ B @ A.T, None, X.T @ dS @ C @ B, None, C.T @ u


@wrong.vjp(
    lambda q, k, v: (q @ (k.T @ v)) / (q @ k.sum(0))[:, None],
    (draw.positive(N, D), draw.positive(T, D), draw(T, 2)),
    "missing_term",
    "linear attention, its denominator taken for a constant",
)
def linear_attention_denominator(args, u):
    q, k, v = args
    w = u / (q @ k.sum(0))[:, None]
    return w @ (k.T @ v).T, None, k @ (q.T @ w)


GROUPS = (draw(2, 6, 4), draw.positive(6), draw(6))


@wrong.vjp(group_norm, GROUPS, "wrong_axis", "the means taken along each channel, as in instance norm")
def group_norm_as_instance(args, u):
    x, gamma, beta = args
    xhat, sigma = normalised(x.reshape(2, 2, 3, 4), (2, 3))
    xhat, sigma = xhat.reshape(x.shape), jnp.broadcast_to(sigma, (2, 2, 3, 4)).reshape(x.shape)
    g = u * gamma[:, None]
    dx = (g - g.mean(2, keepdims=True) - xhat * (g * xhat).mean(2, keepdims=True)) / sigma
    return dx, (u * xhat).sum((0, 2)), u.sum((0, 2))


@wrong.vjp(group_norm, GROUPS, "missing_sum", "γ's and β's gradients summed over positions, not examples")
def group_norm_parameters(args, u):
    x, gamma, beta = args
    xhat = normalised(x.reshape(2, 2, 3, 4), (2, 3))[0].reshape(x.shape)
    return None, (u * xhat).sum(2), u.sum(2)


@wrong.vjp(
    lambda x, g: g[:, None] * normalised(x, (2,))[0],
    (draw(N, D, 5), draw.positive(D)),
    ("missing_term", "missing_factor"),
    "instance norm: neither the path through σ nor γ",
)
def instance_norm_two(args, u):
    x, g = args
    xhat, sigma = normalised(x, (2,))
    return (u - u.mean(2, keepdims=True)) / sigma, (u * xhat).sum((0, 2))


@wrong.vjp(
    lambda x: normalised(x, (1,))[0],
    (draw(N, M),),
    frozenset({"extra_factor", "wrong_term"}),
    "1/σ once more in the term of the variance",
)
def standardised_sigma(args, u):
    (x,) = args
    z, sigma = normalised(x, (1,))
    spread = z * (u * z).mean(1, keepdims=True) / sigma
    return ((u - u.mean(1, keepdims=True) - spread) / sigma,)


@wrong.vjp(
    lambda x, W: x @ (W / jnp.linalg.norm(W)),
    (draw(N, D), draw(D, M)),
    "missing_term",
    "the norm of the weights taken for a constant",
)
def normalised_weights(args, u):
    x, W = args
    size = jnp.linalg.norm(W)
    return u @ W.T / size, x.T @ u / size


@wrong.vjp(
    jax.nn.softmax,
    (jnp.array([[0.3, 95.0, -2.1], [-91.0, 0.2, 1.9]]),),
    frozenset({"tail_accuracy", "region"}),
    "eˣ/Σeˣ with no maximum subtracted",
    witness=(jnp.array([[800.0, 799.0, 1.0]]),),
)
def softmax_overflows(args, u):
    e = jnp.exp(args[0])
    p = e / e.sum(-1, keepdims=True)
    return (p * (u - (u * p).sum(-1, keepdims=True)),)


# Linear algebra, statistics


@wrong.vjp(lambda X: X @ X.T, (draw(N, D),), "missing_term", "X stands in its Gram matrix twice")
def gram_half(args, u):
    (X,) = args
    return (u @ X,)


@wrong.vjp(
    lambda X: (X - X.mean(0)).T @ (X - X.mean(0)) / len(X), (draw(N, D),), "mean_vs_sum", "1/N of a covariance is lost"
)
def covariance_sum(args, u):
    (X,) = args
    return ((X - X.mean(0)) @ (u + u.T),)


@wrong.vjp(squared_distances, (draw(5, D), draw(5, D)), "wrong_axis", "row sums for column sums in ∂Y, both 5")
def distances_axis(args, u):
    X, Y = args
    return 2 * (u.sum(1)[:, None] * X - u @ Y), 2 * (u.sum(1)[:, None] * Y - u.T @ X)


@wrong.vjp(squared_distances, (draw(N, D), draw(M, D)), "swapped_arguments", "(∂Y, ∂X)")
def distances_swapped(args, u):
    X, Y = args
    return 2 * (u.sum(0)[:, None] * Y - u.T @ X), 2 * (u.sum(1)[:, None] * X - u @ Y)


def log_density(mu, S, x):
    r = x - mu
    return -0.5 * (r @ jnp.linalg.solve(S, r) + jnp.linalg.slogdet(S)[1])


DENSITY = (draw(4), draw.spd(4), draw(4))


@wrong.grad(log_density, DENSITY, "sign", "S⁻¹(μ − x): the mean runs away from the data")
def density_mean(mu, S, x):
    return jnp.linalg.solve(S, mu - x)


@wrong.grad(log_density, DENSITY, "missing_term", "the derivative of ln det S is left out", argnums=1)
def density_covariance(mu, S, x):
    w = jnp.linalg.solve(S, x - mu)
    return 0.5 * jnp.outer(w, w)


@wrong.grad(
    lambda x, mu, P: jnp.sqrt((x - mu) @ P @ (x - mu)),
    (draw(4), draw(4), draw.spd(4)),
    ("constant_factor", "missing_factor"),
    "2P(x − μ): the derivative of the square",
)
def mahalanobis_squared(x, mu, P):
    return 2 * P @ (x - mu)


@wrong.vjp(
    lambda L, b: jax.scipy.linalg.solve_triangular(L, b, lower=True),
    (draw.triangular(4), draw(4)),
    "transposed_operand",
    "L for Lᵀ in the backward solve",
)
def triangular_backwards(args, u):
    L, b = args
    return None, jax.scipy.linalg.solve_triangular(L, u, lower=True)


@wrong.vjp(
    lambda L, b: jax.scipy.linalg.cho_solve((L, True), b),
    (draw.triangular(4), draw(4)),
    "missing_factor",
    "one of the two triangular solves",
)
def cholesky_half_solve(args, u):
    L, b = args
    return None, jax.scipy.linalg.solve_triangular(L, u, lower=True)


@wrong.vjp(
    kalman, (draw(5), draw(D), draw.spd(5), draw(D, 5), draw.spd(D)), "missing_term", "I of (I − KH)ᵀ is left out"
)
def kalman_identity(args, u):
    x, z, P, H, R = args
    K = P @ H.T @ jnp.linalg.inv(H @ P @ H.T + R)
    return -H.T @ (K.T @ u), K.T @ u, None, None, None


@wrong.vjp(
    kalman,
    (draw(4), draw(4), draw.spd(4), draw.regular(4), draw.spd(4)),
    "transposed_operand",
    "the gain for its transpose, every state being measured",
)
def kalman_gain(args, u):
    x, z, P, H, R = args
    K = P @ H.T @ jnp.linalg.inv(H @ P @ H.T + R)
    return None, K @ u, None, None, None


@wrong.vjp(
    lambda t, A: jax.scipy.linalg.expm(t * A),
    (draw.unit(), draw(D, D)),
    "missing_factor",
    "d e^{tA}/dt without its A",
)
def exponential_generator(args, u):
    t, A = args
    return (u * jax.scipy.linalg.expm(t * A)).sum(), None


@wrong.grad(lambda x: jnp.sum(jnp.abs(x) ** 3) ** (1 / 3), (draw(M),), "missing_factor", "n^(1 − p) of a p-norm")
def p_norm_scale(x):
    return jnp.sign(x) * x**2


@wrong.grad(lambda W: jnp.linalg.svd(W, compute_uv=False)[0], (draw(M, D),), "transposed_layout", "v uᵀ for u vᵀ")
def spectral_norm_layout(W):
    U, _, Vt = jnp.linalg.svd(W, full_matrices=False)
    return jnp.outer(Vt[0], U[:, 0])


@wrong.grad(lambda X: jnp.linalg.slogdet(X.T @ X)[1], (draw(N, D),), "constant_factor", "X stands in XᵀX twice")
def gram_determinant(X):
    return X @ jnp.linalg.inv(X.T @ X)


@wrong.grad(
    lambda X, A, B: jnp.trace(A @ X @ B @ X.T),
    (draw(M, D), draw(M, M), draw(D, D)),
    "missing_term",
    "one of the two X is taken for a constant",
)
def trace_of_two(X, A, B):
    return A @ X @ B


@wrong.grad(
    lambda x, A: x @ A @ x / (x @ x), (draw(4), draw.spd(4)), "wrong_term", "plus in the Rayleigh quotient's rule"
)
def rayleigh_plus(x, A):
    rho = x @ A @ x / (x @ x)
    return 2 * (A @ x + rho * x) / (x @ x)


@wrong.grad(
    lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    (draw(M),),
    "missing_term",
    "x_{i+1} as the end of one valley and the start of the next",
)
def rosenbrock_valley(x):
    a, b = x[:-1], x[1:]
    return jnp.concatenate([-400 * a * (b - a**2) - 2 * (1 - a), 200 * (b - a**2)[-1:]])


@wrong.hessian(
    lambda x, A: jnp.sum(jnp.exp(A @ x)), (draw(D), draw(M, D)), "missing_factor", "AᵀA without eᶻ between them"
)
def exponentials_hessian(x, A):
    return A.T @ A


# Geometry


def rotation(theta):
    c, s = jnp.cos(theta), jnp.sin(theta)
    return jnp.array([[c, -s], [s, c]])


@wrong.vjp(lambda X, theta: X @ rotation(theta).T, (draw(N, 2), draw()), "transposed_operand", "turned on, not back")
def rotation_forwards(args, u):
    X, theta = args
    return u @ rotation(theta).T, None


@wrong.vjp(jnp.cross, (draw(N, 3), draw(N, 3)), "swapped_arguments", "b × u and u × a are exchanged")
def cross_swapped(args, u):
    a, b = args
    return jnp.cross(u, a), jnp.cross(b, u)


@wrong.vjp(jnp.cross, (draw(N, 3), draw(N, 3)), "sign", "u × b for b × u")
def cross_order(args, u):
    a, b = args
    return jnp.cross(u, b), None


@wrong.jvp(
    lambda p: jnp.stack([p[0] * jnp.cos(p[1]), p[0] * jnp.sin(p[1])]),
    (draw.positive(2),),
    "missing_factor",
    "polar coordinates: r dφ without its r",
)
def polar_radius(args, tangents):
    ((_, phi),), ((dr, dphi),) = args, tangents
    c, s = jnp.cos(phi), jnp.sin(phi)
    return jnp.stack([c * dr - s * dphi, s * dr + c * dphi])


@wrong.vjp(
    lambda x, n: x - 2 * (x @ n)[:, None] * n,
    (draw(N, D), draw(D)),
    ("constant_factor", "missing_term"),
    "a reflection in its normal n: no 2, and the outer n for a constant",
)
def reflection_two(args, u):
    x, n = args
    return None, -x.T @ (u @ n)


@wrong.vjp(lambda x, n: x - (x @ n)[:, None] * n, (draw(N, D), draw(D)), "pass_through", "the projection is forgotten")
def projection_through(args, u):
    return u, None
