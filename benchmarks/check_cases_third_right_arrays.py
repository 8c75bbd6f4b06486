"""The right ones of the third set, arrays and physics: other conventions, other precisions, rules of their own."""

# ruff: noqa: RUF059 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(12)
right = Cases()
N, D, M, T = 7, 3, 5, 11
STEP = 0.3
sigmoid = jax.nn.sigmoid


# Attention, normalisation


def cross_attention(X, C, A, B, V):
    return jax.nn.softmax(X @ A @ (C @ B).T) @ (C @ V)


@right.vjp(
    cross_attention,
    (draw(4, D), draw(T, D), draw(D, 4), draw(D, 4), draw(D, 2)),
    EQUAL,
    "five gradients",
    precision=1e-3,
)
def cross(args, u):
    X, C, A, B, V = args
    q, k, v = X @ A, C @ B, C @ V
    P = jax.nn.softmax(q @ k.T)
    dP = u @ v.T
    dS = P * (dP - (dP * P).sum(-1, keepdims=True))
    dq, dk, dv = dS @ k, dS.T @ q, P.T @ u
    return dq @ A.T, dk @ B.T + dv @ V.T, X.T @ dq, C.T @ dk, C.T @ dv


def normalised(x, axes):
    mu = x.mean(axes, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(axes, keepdims=True) + 1e-5)
    return (x - mu) / sigma, sigma


def group_norm(x, gamma, beta):
    """Two groups of channels; x: (N, c, T)."""
    grouped = x.reshape(len(x), 2, x.shape[1] // 2, x.shape[2])
    return gamma[:, None] * normalised(grouped, (2, 3))[0].reshape(x.shape) + beta[:, None]


@right.vjp(group_norm, (draw(2, 6, 4), draw.positive(6), draw(6)), EQUAL, "means over a group and all positions")
def grouped(args, u):
    x, gamma, beta = args
    split = (len(x), 2, x.shape[1] // 2, x.shape[2])
    xhat, sigma = normalised(x.reshape(split), (2, 3))
    g = (u * gamma[:, None]).reshape(split)
    dx = (g - g.mean((2, 3), keepdims=True) - xhat * (g * xhat).mean((2, 3), keepdims=True)) / sigma
    return dx.reshape(x.shape), (u * xhat.reshape(x.shape)).sum((0, 2)), u.sum((0, 2))


@right.vjp(
    lambda x: normalised(x, (2,))[0],
    (draw(2, D, 8, dtype="bfloat16"),),
    EQUAL,
    "instance norm in bfloat16, computed in float32 within",
    precision=0.05,
)
def instance(args, u):
    xhat, sigma = normalised(args[0].astype(jnp.promote_types(u.dtype, "float32")), (2,))
    dx = (u - u.mean(2, keepdims=True) - xhat * (u * xhat).mean(2, keepdims=True)) / sigma
    return (dx.astype(u.dtype),)


# Linear algebra, statistics


def squared_distances(X, Y):
    return ((X[:, None] - Y) ** 2).sum(-1)


@right.vjp(squared_distances, (draw(N, D), draw(M, D)), EQUAL, "of every point to every other")
def distances(args, u):
    X, Y = args
    return 2 * (u.sum(1)[:, None] * X - u @ Y), 2 * (u.sum(0)[:, None] * Y - u.T @ X)


def kalman(x, z, P, H, R):
    return x + P @ H.T @ jnp.linalg.solve(H @ P @ H.T + R, z - H @ x)


@right.vjp(
    kalman, (draw(5), draw(D), draw.spd(5), draw(D, 5), draw.spd(D)), EQUAL, "(I − KH)ᵀu and Kᵀu", precision=1e-3
)
def kalman_update(args, u):
    x, z, P, H, R = args
    K = P @ H.T @ jnp.linalg.inv(H @ P @ H.T + R)
    return u - H.T @ (K.T @ u), K.T @ u, None, None, None


def log_density(S, r):
    return -0.5 * (r @ jnp.linalg.solve(S, r) + jnp.linalg.slogdet(S)[1])


@right.grad(log_density, (draw.spd(4), draw(4)), EQUAL, "½(wwᵀ − S⁻¹) with w = S⁻¹r", argnums=(0, 1))
def density(S, r):
    w = jnp.linalg.solve(S, r)
    return (jnp.outer(w, w) - jnp.linalg.inv(S)) / 2, -w


@right.grad(
    log_density, (draw.spd(4), draw(4)), ("convention", "symmetric_argument"), "G + Gᵀ − diag G for a symmetric S"
)
def density_symmetric(S, r):
    w = jnp.linalg.solve(S, r)
    G = (jnp.outer(w, w) - jnp.linalg.inv(S)) / 2
    return 2 * G - jnp.diag(jnp.diag(G))


@right.vjp(lambda t, A: jax.scipy.linalg.expm(t * A), (draw.unit(), draw(D, D)), EQUAL, "⟨u, A e^{tA}⟩", precision=1e-3)
def exponential(args, u):
    t, A = args
    return (u * (A @ jax.scipy.linalg.expm(t * A))).sum(), None


@right.grad(lambda x: jnp.sum(jnp.abs(x) ** 3) ** (1 / 3), (draw(M),), EQUAL, "the norm for p = 3, of unit scale")
def p_norm(x):
    w = x / jnp.sum(jnp.abs(x) ** 3) ** (1 / 3)
    return w * jnp.abs(w)


@right.grad(lambda W: jnp.linalg.norm(W, 2), (draw(M, D),), EQUAL, "u vᵀ, by the eigenvectors of WᵀW", precision=1e-3)
def spectral_norm(W):
    values, V = jnp.linalg.eigh(W.T @ W)
    return jnp.outer(W @ V[:, -1] / jnp.sqrt(values[-1]), V[:, -1])


@right.jacobian(
    lambda x, A: x @ A @ x / (x @ x) * x,
    (draw(4), draw.spd(4)),
    ("convention", "transposed_layout"),
    "ρI + ∇ρ xᵀ, inputs down",
)
def rayleigh_vector(x, A):
    s = x @ x
    rho = x @ A @ x / s
    return rho * jnp.eye(len(x), dtype=x.dtype) + jnp.outer(2 * (A @ x - rho * x) / s, x)


@right.hessian(
    lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), (draw(M),), EQUAL, "a band of Rosenbrock's"
)
def rosenbrock(x):
    a, b = x[:-1], x[1:]
    diagonal = jnp.pad(1200 * a**2 - 400 * b + 2, (0, 1)) + jnp.pad(jnp.full_like(b, 200), (1, 0))
    return jnp.diag(diagonal) + jnp.diag(-400 * a, 1) + jnp.diag(-400 * a, -1)


@right.grad(
    lambda z, w: jnp.sum(jnp.abs(z * w - 1) ** 2),
    (draw.complex(M), draw.complex(M)),
    ("convention", "conjugate"),
    "an equaliser's gradient 2(zw − 1)w̄",
)
def equaliser(z, w):
    return 2 * (z * w - 1) * w.conj()


def filters(x, B):
    return jnp.sin(B @ x) * (B @ x)


@right.jacobian(filters, (draw(D), draw(M, D)), EQUAL, "a LinearMap of a product of features")
def filters_map(x, B):
    return jmc.jacobian(filters)(x, B)


# Physics, geometry, element-wise, rules of their own


def pendulum(theta, v):
    """One step of Euler's symplectic method: the new speed moves the angle."""
    v = v - STEP * jnp.sin(theta)
    return theta + STEP * v, v


@right.vjp(pendulum, (draw(N), draw(N)), EQUAL, "one step of a pendulum, backwards")
def pendulum_step(args, u):
    u_theta, u_v = u
    dv = u_v + STEP * u_theta
    return u_theta - STEP * jnp.cos(args[0]) * dv, dv


def gravity(x, m):
    """The potential of softened masses."""
    distance = jnp.sqrt(((x[:, None] - x) ** 2).sum(-1) + 0.01)
    i, j = jnp.triu_indices(len(m), 1)
    return -jnp.sum(m[i] * m[j] / distance[i, j])


@right.grad(gravity, (draw(4, 3), draw.positive(4)), EQUAL, "minus the forces, pair by pair")
def forces(x, m):
    out = np.zeros_like(np.asarray(x))
    for i in range(len(out)):
        for j in range(i):
            r = np.asarray(x[i] - x[j])
            pull = np.asarray(m[i] * m[j]) * r / (r @ r + np.asarray(0.01, r.dtype)) ** 1.5
            out[i] += pull
            out[j] -= pull
    return out


def rotated(q, x):
    """x turned by the quaternion (w, v), of any length."""
    w, v = q[0], q[1:]
    return (w * w - v @ v) * x + 2 * (v @ x) * v + 2 * w * jnp.cross(v, x)


@right.vjp(rotated, (draw(4), draw(3)), EQUAL, "a quaternion's and a vector's gradient")
def quaternion(args, u):
    q, x = args
    w, v = q[0], q[1:]
    dw = 2 * (w * (u @ x) + u @ jnp.cross(v, x))
    dv = 2 * ((v @ x) * u + (u @ v) * x - (u @ x) * v + w * jnp.cross(x, u))
    return jnp.concatenate([dw[None], dv]), rotated(jnp.concatenate([q[:1], -v]), u)


@right.vjp(
    lambda x: x * jnp.tanh(jax.nn.softplus(x)), (draw(N, D, dtype="bfloat16"),), EQUAL, "mish, bfloat16", precision=0.05
)
def mish(args, u):
    (x,) = args
    w = jnp.tanh(jax.nn.softplus(x))
    return (u * (w + x * sigmoid(x) * (1 - w * w)),)


@right.vjp(lambda x: jax.nn.gelu(x, approximate=True), (draw(N, D),), EQUAL, "by the logistic function of 2z")
def gelu(args, u):
    (x,) = args
    k = (8 / np.pi) ** 0.5
    s = sigmoid(k * (x + 0.044715 * x**3))
    return (u * (s + x * s * (1 - s) * k * (1 + 3 * 0.044715 * x**2)),)


@jax.custom_vjp
def soft_threshold(x, t):
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - t, 0)


def soft_threshold_bwd(saved, u):
    x, t = saved
    v = jnp.where(jnp.abs(x) > t, u, 0)
    return v, -(v * jnp.sign(x)).sum()


soft_threshold.defvjp(lambda x, t: (soft_threshold(x, t), (x, t)), soft_threshold_bwd)
right.own(
    "soft_threshold_custom_vjp", soft_threshold, (draw(N, scale=2), draw.unit()), EQUAL, "shrinkage", argnums=(0, 1)
)


@jax.custom_jvp
def log_add(x, y):
    return jnp.maximum(x, y) + jnp.log1p(jnp.exp(-jnp.abs(x - y)))


log_add.defjvp(lambda xy, dxy: (log_add(*xy), sigmoid(xy[0] - xy[1]) * dxy[0] + sigmoid(xy[1] - xy[0]) * dxy[1]))
right.own("log_add_custom_jvp", log_add, (draw(N), draw(N)), EQUAL, "shares of the two", argnums=(0, 1))
