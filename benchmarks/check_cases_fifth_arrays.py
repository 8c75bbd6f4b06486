"""The fifth set's mistakes in linear algebra, geometry and rules of the catalogue."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw
from check_cases_fifth_right_arrays import (
    AXIS,
    BALL,
    FORM,
    LOW_RANK,
    PLACES,
    RIDGE,
    SPECTRUM,
    both_sides,
    correlation,
    curve,
    great_circle,
    in_ball,
    low_rank_volume,
    projector,
    reduced_resolvent,
    ridge,
    top_projector,
    turned,
)

import jmc

draw = Draw(36)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11


# Rules of the catalogue


@wrong.jvp(
    jmc.rules["pseudo-inverse"].f, (draw(M, D),), "missing_term", "like an inverse's: A is taller than it is wide"
)
def pseudo_inverse_as_inverse(args, tangents):
    (A,), (dA,) = args, tangents
    B = jnp.linalg.pinv(A)
    return -B @ dA @ B


@wrong.grad(
    jmc.rules["K-61"].f, (draw.regular(M), draw(M), draw(M)), "transposed_operand", "X⁻¹ a bᵀ X⁻¹, nothing transposed"
)
def inverse_form_untransposed(X, a, b):
    Y = jnp.linalg.inv(X)
    return -Y @ jnp.outer(a, b) @ Y


@wrong.grad(
    jmc.rules["K-118"].f,
    FORM,
    ("missing_term", "transposed_operand"),
    "X for its transpose's part only, and C for Cᵀ",
)
def trace_of_form_two(X, A, B, C):
    return A.T @ C @ X @ B.T


@wrong.grad(
    jmc.rules["K-119"].f,
    (draw(D, M), draw(N, D), draw(M, 2), draw(N, 2)),
    "missing_term",
    "the residual without its constant",
)
def squared_residual_constant(X, A, B, C):
    return 2 * A.T @ (A @ X @ B) @ B.T


@wrong.grad(jmc.group_lasso, (draw(M, D),), "wrong_axis", "the groups are rows, and are measured by columns")
def group_columns(w):
    return w / jnp.sqrt(jnp.sum(w**2, 0, keepdims=True))


# Linear algebra


@wrong.jvp(projector, (draw(M, 2),), "missing_term", "a projector stays symmetric: the transpose is forgotten")
def projector_one_side(args, tangents):
    (A,), (dA,) = args, tangents
    B = jnp.linalg.pinv(A)
    return (dA - A @ (B @ dA)) @ B


@wrong.jvp(top_projector, SPECTRUM, "sign", "the resolvent of S − λ for that of λ − S")
def top_projector_sign(args, tangents):
    P, R = reduced_resolvent(np.asarray(args[0]))
    dS = np.asarray(tangents[0])
    half = P @ (dS + dS.T) / 2 @ -R
    return half + half.T


@wrong.grad(low_rank_volume, LOW_RANK, "constant_factor", "U stands in U Uᵀ twice")
def low_rank_volume_once(U, d):
    return jnp.linalg.solve(jnp.diag(d) + U @ U.T, U)


@wrong.vjp(both_sides, (draw(M, M), draw(M, M), draw(M, M)), "swapped_arguments", "(∂B, ∂A), all square")
def both_sides_swapped(args, u):
    A, B, X = args
    return X.T @ u, u @ X.T, None


@wrong.vjp(ridge, RIDGE, "sign", "more strength, larger weights")
def ridge_strength(args, u):
    X, y, strength = args
    p = jnp.linalg.solve(X.T @ X + strength * jnp.eye(X.shape[1], dtype=X.dtype), u)
    return None, X @ p, p @ ridge(X, y, strength)


@wrong.vjp(
    lambda X: (X - X.mean(0)).T @ (X - X.mean(0)) / (len(X) - 1),
    (draw(N, D),),
    frozenset({"missing_term", "wrong_point", "wrong_term"}),
    "a covariance's rule with what is not centred",
)
def covariance_uncentred(args, u):
    (X,) = args
    return (X @ (u + u.T) / (len(X) - 1),)


@wrong.vjp(
    lambda X, Y: X.T @ Y / len(X), (draw(N, D), draw(N, M)), "transposed_layout", "features down, examples across"
)
def cross_covariance(args, u):
    X, Y = args
    return u @ Y.T / len(X), X @ u / len(X)


@wrong.grad(correlation, (draw(N), draw(N)), "missing_term", "the standard deviations taken for constants")
def correlation_constant(x, y):
    return (y - y.mean()) / (x.size * x.std() * y.std())


# Geometry


@wrong.grad(
    lambda a, b, c: a @ jnp.cross(b, c), (draw(3), draw(3), draw(3)), "sign", "a × c for c × a", argnums=(0, 1, 2)
)
def spat(a, b, c):
    return jnp.cross(b, c), jnp.cross(a, c), jnp.cross(a, b)


@wrong.jvp(
    turned,
    (draw(), draw(3)),
    frozenset({"wrong_term", "sign"}),
    "1 − cos falls, it says",
)
def turned_along(args, tangents):
    (angle, v), (rate, dv) = args, tangents
    k = jnp.asarray(AXIS, v.dtype) / 7
    s, c = jnp.sin(angle), jnp.cos(angle)
    return turned(angle, dv) + rate * (-s * v + c * jnp.cross(k, v) - s * k * (k @ v))


@wrong.jacobian(
    curve,
    (draw.unit(), draw(4, 2)),
    frozenset({"constant_factor", "missing_factor"}),
    "a curve of degree 3: its hodograph without the 3",
)
def curve_hodograph(t, P):
    d = P[1:] - P[:-1]
    return (1 - t) ** 2 * d[0] + 2 * t * (1 - t) * d[1] + t**2 * d[2]


@wrong.grad(great_circle, PLACES, "missing_term", "the meridians' distance depends on the latitude")
def great_circle_parallel(p, q):
    s, far = jnp.sin((q[0] - p[0]) / 2), jnp.sin((q[1] - p[1]) / 2)
    h = s**2 + jnp.cos(p[0]) * jnp.cos(q[0]) * far**2
    dp = jnp.stack([-s * jnp.cos((q[0] - p[0]) / 2), -jnp.cos(p[0]) * jnp.cos(q[0]) * far * jnp.cos((q[1] - p[1]) / 2)])
    return dp / jnp.sqrt(h * (1 - h))


@wrong.vjp(in_ball, BALL, "region", "points inside are treated like those outside")
def in_ball_outside(args, u):
    (x,) = args
    size = jnp.linalg.norm(x, axis=-1, keepdims=True)
    w = x / size
    return ((u - w * (u * w).sum(-1, keepdims=True)) / size,)


@wrong.vjp(
    lambda x: jnp.transpose(x, (1, 2, 0)),
    (draw(3, 3, 3),),
    frozenset({"wrong_axis", "transposed_layout", "transposed_operand"}),
    "axes moved on once more, not back",
)
def moved_axes(args, u):
    return (jnp.transpose(u, (1, 2, 0)),)


# Rules of one's own


@jax.custom_vjp
def soft_layer(W, b, x):
    return jax.nn.softplus(x @ W.T + b)


def soft_layer_bwd(saved, u):
    W, x, y = saved
    d = u * jax.nn.sigmoid(y)
    return d.T @ x, d.mean(0), d @ W


def soft_layer_fwd(W, b, x):
    y = soft_layer(W, b, x)
    return y, (W, x, y)


soft_layer.defvjp(soft_layer_fwd, soft_layer_bwd)
wrong.own(
    "soft_layer_rule_two",
    soft_layer,
    (draw(M, D), draw(M), draw(N, D)),
    ("wrong_point", "mean_vs_sum"),
    "the slope at what was saved, the output; the bias averaged",
    argnums=(0, 1, 2),
)


@jax.custom_jvp
def cubed_length(x):
    return jnp.sum(x**2) ** 1.5


@cubed_length.defjvp
def cubed_length_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return cubed_length(x), 3 * jnp.sum(x**2) * (x @ t)


wrong.own("cubed_length_rule", cubed_length, (draw(M),), frozenset({"missing_factor", "extra_factor"}), "x for x/‖x‖")
