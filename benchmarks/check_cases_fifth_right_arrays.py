"""The right ones of the fifth set, arrays: projections, rotations, curves, the catalogue's rules, other layouts."""

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(35)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})


# Linear algebra


def projector(A):
    """Onto the columns of A."""
    return A @ jnp.linalg.solve(A.T @ A, A.T)


@right.jvp(projector, (draw(M, 2),), EQUAL, "what leaves the columns, and its transpose", precision=2e-3)
def projector_both(args, tangents):
    (A,), (dA,) = args, tangents
    B = jnp.linalg.pinv(A)
    leaves = (dA - A @ (B @ dA)) @ B
    return leaves + leaves.T


@right.jvp(jmc.rules["pseudo-inverse"].f, (draw(M, D),), EQUAL, "all three terms", precision=5e-3)
def pseudo_inverse_terms(args, tangents):
    (A,), (dA,) = args, tangents
    B = jnp.linalg.pinv(A)
    return -B @ dA @ B + (B @ B.T) @ (dA.T - dA.T @ A @ B) + (dA.T - B @ A @ dA.T) @ (B.T @ B)


def top_projector(S):
    """Onto the eigenvector of the largest eigenvalue, of the symmetric part."""
    v = jnp.linalg.eigh(S)[1][:, -1]
    return jnp.outer(v, v)


SPECTRUM = (jnp.asarray(np.diag([1.0, 2.0, 3.5, 6.0]) + 0.2 * np.cos(np.arange(16)).reshape(4, 4), "float32"),)


def reduced_resolvent(S):
    w, Q = np.linalg.eigh((S + S.T) / 2)
    return np.outer(Q[:, -1], Q[:, -1]), (Q[:, :-1] / (w[-1] - w[:-1])) @ Q[:, :-1].T


@right.jvp(top_projector, SPECTRUM, EQUAL, "the reduced resolvent, on both sides", precision=2e-3)
def top_projector_resolvent(args, tangents):
    P, R = reduced_resolvent(np.asarray(args[0]))
    dS = np.asarray(tangents[0])
    half = R @ (dS + dS.T) / 2 @ P
    return half + half.T


def low_rank_volume(U, d):
    return jnp.linalg.slogdet(jnp.diag(d) + U @ U.T)[1]


LOW_RANK = (draw(M, 2), draw.positive(M))


@right.grad(low_rank_volume, LOW_RANK, EQUAL, "a small inverse, by Woodbury", argnums=(0, 1))
def low_rank_volume_woodbury(U, d):
    V = U / d[:, None]
    K = jnp.linalg.inv(jnp.eye(U.shape[1], dtype=U.dtype) + U.T @ V)
    return 2 * V @ K, 1 / d - jnp.sum((V @ K) * V, 1)


def both_sides(A, B, X):
    return A @ X + X @ B


@right.vjp(both_sides, (draw(M, M), draw(D, D), draw(M, D)), EQUAL, "Sylvester's operator")
def both_sides_all(args, u):
    A, B, X = args
    return u @ X.T, X.T @ u, A.T @ u + u @ B.T


def ridge(X, y, strength):
    return jnp.linalg.solve(X.T @ X + strength * jnp.eye(X.shape[1], dtype=X.dtype), X.T @ y)


RIDGE = (draw(N, D), draw(N), draw.positive())


@right.vjp(ridge, RIDGE, EQUAL, "one more solve for all three", precision=1e-3)
def ridge_adjoint(args, u):
    X, y, strength = args
    w = ridge(X, y, strength)
    p = jnp.linalg.solve(X.T @ X + strength * jnp.eye(X.shape[1], dtype=X.dtype), u)
    r = y - X @ w
    return jnp.outer(r, p) - jnp.outer(X @ p, w), X @ p, -p @ w


@right.grad(jmc.rules["K-58"].f, (draw.regular(3) / 3,), EQUAL, "a rule of the catalogue, by cofactors")
def power_determinant(X):
    X = np.asarray(X)
    rest = lambda i, j: np.delete(np.delete(X, i, 0), j, 1)
    C = [[(-1) ** (i + j) * np.linalg.det(rest(i, j)) for j in range(len(X))] for i in range(len(X))]
    return 3 * np.linalg.det(X) ** 2 * np.asarray(C, X.dtype)


FORM = (draw(M, M), draw(M, M), draw(M, M), draw(M, M))


@right.grad(jmc.rules["K-118"].f, FORM, EQUAL, "AᵀCᵀXBᵀ + CAXB, everything square")
def trace_of_form_both(X, A, B, C):
    return A.T @ C.T @ X @ B.T + C @ A @ X @ B


@right.grad(
    lambda S, A: jnp.trace(A @ jnp.linalg.inv(S)), (draw.spd(4), draw.spd(4)), ("convention", "symmetric_argument"), "S"
)
def trace_of_solve_symmetric(S, A):
    G = -jnp.linalg.solve(S, jnp.linalg.solve(S, A).T)
    return G + G.T - jnp.diag(jnp.diag(G))


@right.grad(
    lambda S, x: jnp.log(x @ S @ x) + jnp.linalg.slogdet(S)[1],
    (draw.spd(3), draw(3)),
    ("convention", "symmetric_argument"),
    "free entries of Tyler's scatter",
)
def scatter_symmetric(S, x):
    G = jnp.outer(x, x) / (x @ S @ x) + jnp.linalg.inv(S)
    return G * (2 - jnp.eye(len(x), dtype=x.dtype))


# Geometry


AXIS = np.asarray([2, -3, 6])


def turned(angle, v):
    """Rodrigues: v turned about a fixed axis."""
    k, c, s = jnp.asarray(AXIS, v.dtype) / 7, jnp.cos(angle), jnp.sin(angle)
    return v * c + jnp.cross(k, v) * s + k * (k @ v) * (1 - c)


@right.jvp(turned, (draw(), draw(3)), EQUAL, "the axis times what has been turned")
def turned_tangent(args, tangents):
    (angle, v), (rate, dv) = args, tangents
    return turned(angle, dv) + rate * jnp.cross(jnp.asarray(AXIS, v.dtype) / 7, turned(angle, v))


def great_circle(p, q):
    """On the unit sphere, by haversines; rows of latitude and longitude."""
    (lat, east), (lat_q, east_q) = p, q
    h = jnp.sin((lat_q - lat) / 2) ** 2 + jnp.cos(lat) * jnp.cos(lat_q) * jnp.sin((east_q - east) / 2) ** 2
    return jnp.sum(2 * jnp.arcsin(jnp.sqrt(h)))


PLACES = (draw(2, N, scale=0.5), draw(2, N, scale=0.5))


@right.grad(great_circle, PLACES, EQUAL, "the bearing at the start", precision=2e-3)
def great_circle_bearing(p, q):
    far = q[1] - p[1]
    east = jnp.sin(far) * jnp.cos(q[0])
    north = jnp.cos(p[0]) * jnp.sin(q[0]) - jnp.sin(p[0]) * jnp.cos(q[0]) * jnp.cos(far)
    r = jnp.hypot(east, north)
    return -jnp.stack([north, jnp.cos(p[0]) * east]) / r


def outline(x, y):
    """The area within a polygon."""
    return jnp.sum(x * jnp.roll(y, -1) - jnp.roll(x, -1) * y) / 2


@right.grad(outline, (draw(N), draw(N)), EQUAL, "each corner by its two neighbours", argnums=(0, 1))
def outline_neighbours(x, y):
    cut = lambda a: np.roll(np.asarray(a), -1) - np.roll(np.asarray(a), 1)
    return cut(y) / 2, -cut(x) / 2


def curve(t, P):
    """Bézier's, of degree 3."""
    b = jnp.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return b @ P


@right.jacobian(curve, (draw.unit(), draw(4, 2)), EQUAL, "de Casteljau: the last two of its points")
def curve_casteljau(t, P):
    while len(P) > 2:
        P = (1 - t) * P[:-1] + t * P[1:]
    return 3 * (P[1] - P[0])


def in_ball(x):
    return x / jnp.maximum(1, jnp.linalg.norm(x, axis=-1, keepdims=True))


BALL = (draw(M, D) * jnp.asarray([[0.1], [2.0], [1.0], [0.2], [3.0]]),)


@right.vjp(in_ball, BALL, KINK, "inside as it is, outside along the sphere", witness=(jnp.asarray([[1.0, 0.0, 0.0]]),))
def in_ball_tangential(args, u):
    (x,) = args
    size = jnp.linalg.norm(x, axis=-1, keepdims=True)
    w = x / size
    return (jnp.where(size > 1, (u - w * (u * w).sum(-1, keepdims=True)) / size, u),)


def correlation(x, y):
    x, y = x - x.mean(), y - y.mean()
    return x @ y / jnp.sqrt((x @ x) * (y @ y))


@right.grad(correlation, (draw(N), draw(N)), EQUAL, "standardised: (ŷ − r x̂)/(n σ)", argnums=(0, 1))
def correlation_standardised(x, y):
    p, q = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    r = (p * q).mean()
    return (q - r * p) / (x.size * x.std()), (p - r * q) / (x.size * y.std())


# Other layouts


def gate_of_layer(x, W, V):
    return jnp.tanh(W @ x) * (V @ x)


@right.jacobian(
    gate_of_layer, (draw(D), draw(M, D), draw(M, D)), ("convention", "transposed_layout"), "∂yᵀ/∂x: inputs down"
)
def gate_denominator(x, W, V):
    h = jnp.tanh(W @ x)
    return W.T * ((1 - h**2) * (V @ x)) + V.T * h


@right.jacobian(
    lambda p, q: jnp.stack([p @ q, p @ p, jnp.sum(q**3), p[0] - q[1]]),
    (draw(D), draw(D)),
    ("convention", "transposed_layout"),
    "columns of gradients, for each argument",
    argnums=(0, 1),
)
def columns_of_gradients(p, q):
    e = jnp.eye(p.size, dtype=p.dtype)
    return jnp.stack([q, 2 * p, 0 * p, e[0]], 1), jnp.stack([p, 0 * q, 3 * q**2, -e[1]], 1)


# Rules of their own


@jax.custom_vjp
def running_logsum(x):
    return jnp.log(jnp.cumsum(jnp.exp(x)))


def running_logsum_bwd(saved, u):
    x, y = saved
    return (jnp.exp(x) * jnp.cumsum((u * jnp.exp(-y))[::-1])[::-1],)


running_logsum.defvjp(lambda x: (running_logsum(x), (x, running_logsum(x))), running_logsum_bwd)
right.own("running_logsum_custom_vjp", running_logsum, (draw(T),), EQUAL, "running sums, one of them from behind")


@jax.custom_vjp
def intensity(z):
    return z.real**2 + z.imag**2


intensity.defvjp(lambda z: (intensity(z), z), lambda z, u: (2 * u * z.conj(),))
right.own("intensity_custom_vjp", intensity, (draw.complex(N),), EQUAL, "2u z̄: complex cotangents as JAX has them")
