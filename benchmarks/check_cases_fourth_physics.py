"""The fourth set's mistakes in formulas of physics and engineering, and in steps of differential equations."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw
from check_cases_fourth_right import double
from check_cases_fourth_right_physics import CLUSTER, implicit_euler, kepler, lennard_jones, runge_kutta, verlet

draw = Draw(18)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11


# Forces, gases, circuits


@wrong.grad(lennard_jones, (CLUSTER, jnp.float32(1.1)), "sign", "the forces, which are minus the gradient")
def cluster_forces(x, sigma):
    x, sigma = np.asarray(x), np.asarray(sigma)
    force = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                r = x[i] - x[j]
                s6 = (sigma**2 / (r @ r)) ** 3
                force[i] += 24 * (2 * s6**2 - s6) / (r @ r) * r
    return force


@wrong.grad(
    lennard_jones,
    (CLUSTER, jnp.float32(1.1)),
    frozenset({"wrong_term", "constant_factor"}),
    "6 for both powers: the repulsion has 12",
)
def cluster_repulsion(x, sigma):
    r = x[:, None] - x
    d2 = (r**2).sum(-1) + jnp.eye(len(x), dtype=x.dtype)
    s6 = (sigma**2 / d2) ** 3
    return -24 * jnp.einsum("ij,ijd->id", (s6**2 - s6) / d2, r)


@wrong.vjp(
    lambda V, T, a, b: 8.314 * T / (V - b) - a / V**2,
    (2 + draw.positive(N), draw.positive(N), draw.positive(), draw.unit()),
    "wrong_term",
    "van der Waals: −2a/V³ for +2a/V³",
)
def real_gas(args, u):
    V, T, a, b = args
    return u * (-8.314 * T / (V - b) ** 2 - 2 * a / V**3), u * 8.314 / (V - b), None, None


@wrong.grad(
    lambda T, E: jnp.sum(jnp.exp(-E / (8.314 * T))),
    (jnp.array([310.0, 450.0, 900.0]), jnp.float32(2.5e4)),
    ("sign", "missing_factor"),
    "1/T differentiated: neither its minus nor one of its 1/T",
)
def arrhenius_two(T, E):
    return -E / (8.314 * T) * jnp.exp(-E / (8.314 * T))


@wrong.vjp(
    lambda x: x**3 / jnp.expm1(x),
    (double(draw.positive(N)),),
    frozenset({"wrong_term", "missing_factor"}),
    "Planck's curve: the denominator is not squared in the quotient rule's second term",
)
def planck_quotient(args, u):
    (x,) = args
    return (u * (3 * x**2 / jnp.expm1(x) - x**3 * jnp.exp(x) / jnp.expm1(x)),)


@wrong.vjp(
    lambda S, vmax, K: vmax * S / (K + S),
    (draw.positive(N), draw.positive(), draw.positive()),
    "missing_term",
    "Michaelis and Menten: S saturates, too",
)
def saturation(args, u):
    S, vmax, K = args
    return u * vmax / (K + S), (u * S / (K + S)).sum(), None


@wrong.vjp(
    lambda S, vmax, K: vmax * S / (K + S),
    (draw.positive(N), draw.positive(), draw.positive()),
    "missing_sum",
    "the constants of a reaction get a gradient for every concentration",
)
def saturation_constants(args, u):
    S, vmax, K = args
    return None, u * S / (K + S), -u * vmax * S / (K + S) ** 2


@wrong.grad(
    lambda r: 1 / jnp.sum(1 / r), (draw.positive(M),), "missing_factor", "R/r² for R²/r² of resistors in parallel"
)
def parallel_resistors(r):
    R = 1 / jnp.sum(1 / r)
    return R / r**2


@wrong.vjp(
    lambda v, theta: v**2 * jnp.sin(2 * theta) / 9.81,
    (draw.positive(N), draw.unit(N)),
    frozenset({"constant_factor", "missing_factor"}),
    "the range of a throw: the inner 2 of sin 2θ",
)
def range_of_throw(args, u):
    v, theta = args
    return None, u * v**2 * jnp.cos(2 * theta) / 9.81


@wrong.grad(
    lambda v, m: jnp.sum(0.5 * m * jnp.sum(v**2, 1)),
    (double(draw(N, 3)), double(draw.positive(N))),
    "missing_factor",
    "momentum without its mass",
)
def momentum(v, m):
    return v


@wrong.grad(
    lambda w, E, span: 5 * w * span**4 / (384 * E),
    (draw.positive(), draw.positive(), draw.positive()),
    "extra_factor",
    "a beam's deflection: the fourth power of the span does not lose one",
    argnums=2,
)
def deflection(w, E, span):
    return 20 * w * span**4 / (384 * E)


@wrong.grad(
    lambda x: 0.5 * jnp.sum(jnp.diff(x) ** 2) + jnp.sum(1 - jnp.cos(x)),
    (draw(T),),
    "missing_term",
    "a chain of pendulums without their weight",
)
def pendulum_chain(x):
    d = jnp.diff(x)
    return jnp.concatenate([-d[:1], d[:-1] - d[1:], d[-1:]])


@wrong.hessian(
    lambda x: 0.5 * jnp.sum(jnp.diff(x) ** 2),
    (draw(M),),
    "diagonal_only",
    "the stiffness of a chain without its coupling",
)
def stiffness(x):
    ends = jnp.full_like(x, 2).at[jnp.array([0, -1])].set(1)
    return jnp.diag(ends)


@wrong.vjp(
    lambda T, k: -k * jnp.diff(T),
    (draw(T), draw.positive(T - 1)),
    "sign",
    "Fourier's law: heat flows back up the gradient",
)
def heat_flux(args, u):
    T, k = args
    f = -k * u
    return jnp.concatenate([f, jnp.zeros(1, f.dtype)]) - jnp.concatenate([jnp.zeros(1, f.dtype), f]), None


# Geometry


@wrong.jacobian(
    lambda p: p[0] * jnp.array([jnp.sin(p[1]) * jnp.cos(p[2]), jnp.sin(p[1]) * jnp.sin(p[2]), jnp.cos(p[1])]),
    (draw.positive(3),),
    "missing_factor",
    "the unit vector along φ times r, without sin θ",
)
def spherical_azimuth(p):
    r, (st, sp), (ct, cp) = p[0], jnp.sin(p[1:]), jnp.cos(p[1:])
    zero = jnp.zeros_like(r)
    return jnp.stack([
        jnp.stack([st * cp, st * sp, ct]),
        r * jnp.stack([ct * cp, ct * sp, -st]),
        r * jnp.stack([-sp, cp, zero]),
    ], axis=1)  # fmt: skip


def two_links(q, lengths):
    upper, fore = q[0], q[0] + q[1]
    return jnp.stack(
        [
            lengths[0] * jnp.cos(upper) + lengths[1] * jnp.cos(fore),
            lengths[0] * jnp.sin(upper) + lengths[1] * jnp.sin(fore),
        ]
    )


@wrong.jacobian(two_links, (draw(2), draw.positive(2)), "missing_term", "the shoulder moves the forearm as well")
def shoulder(q, lengths):
    upper = lengths[0] * jnp.stack([-jnp.sin(q[0]), jnp.cos(q[0])])
    fore = lengths[1] * jnp.stack([-jnp.sin(q[0] + q[1]), jnp.cos(q[0] + q[1])])
    return jnp.stack([upper, fore], axis=1)


@wrong.jvp(
    two_links,
    (draw(2), draw.positive(2)),
    frozenset({"wrong_point", "wrong_term"}),
    "the forearm's angle is q₀ + q₁, not q₁ alone",
)
def forearm(args, tangents):
    (q, lengths), (dq, dl) = args, tangents
    s, c = jnp.sin(q), jnp.cos(q)
    turn = jnp.cumsum(dq)
    ends = jnp.cumsum(q)
    x = dl @ jnp.cos(ends) - (lengths * s) @ turn
    return jnp.stack([x, dl @ jnp.sin(ends) + (lengths * c) @ turn])


@wrong.jvp(
    lambda P, f: f * P[:, :2] / P[:, 2:],
    (jnp.abs(draw(N, 3)) + 1, draw.positive()),
    frozenset({"missing_factor", "wrong_term"}),
    "the depth's tangent needs 1/Z²",
)
def camera_depth(args, tangents):
    (P, f), (dP, df) = args, tangents
    Z = P[:, 2:]
    return f * dP[:, :2] / Z - f * P[:, :2] * dP[:, 2:] / Z + df * P[:, :2] / Z


@wrong.vjp(
    lambda R, X, t: X @ R.T + t,
    (draw(3, 3), draw(N, 3), draw(3)),
    "transposed_layout",
    "a rotation's gradient as Xᵀu",
)
def rigid_motion(args, u):
    R, X, t = args
    return X.T @ u, u @ R, u.sum(0)


@wrong.vjp(
    lambda R, X, t: X @ R.T + t,
    (draw(3, 3), draw(3, 3), draw(3)),
    ("transposed_operand", "missing_sum"),
    "Rᵀ for R in ∂X, and a translation for every point",
)
def rigid_motion_two(args, u):
    R, X, t = args
    return u.T @ X, u @ R.T, u


@wrong.vjp(
    lambda a, b: jnp.sum(jnp.cross(a, b) ** 2, -1),
    (draw(N, 3), draw(N, 3)),
    "sign",
    "2 (a × b) × b for the area of a parallelogram",
)
def parallelogram(args, u):
    a, b = args
    return 2 * u[:, None] * jnp.cross(jnp.cross(a, b), b), None


@wrong.vjp(
    lambda x: jnp.stack([x[..., 0] * x[..., 1], x[..., 0] ** 2 - x[..., 1] ** 2], -1),
    (draw(4, 2),),
    "transposed_operand",
    "the Jacobian of a map of the plane, not its transpose",
)
def plane_map(args, u):
    x, y = args[0][..., 0], args[0][..., 1]
    return (jnp.stack([y * u[..., 0] + x * u[..., 1], 2 * x * u[..., 0] - 2 * y * u[..., 1]], -1),)


# Implicit functions, steps in time


@wrong.vjp(kepler, (draw(N), 0.6 * draw.unit(N)), "wrong_point", "1 − e cos M: at the mean anomaly")
def kepler_mean(args, u):
    mean, e = args
    return u / (1 - e * jnp.cos(mean)), None


@wrong.vjp(
    kepler,
    (draw(N), 0.6 * draw.unit(N)),
    ("sign", "missing_factor"),
    "∂/∂e with a minus, and without sin E",
)
def kepler_two(args, u):
    mean, e = args
    v = u / (1 - e * jnp.cos(kepler(mean, e)))
    return v, -v


@wrong.vjp(
    implicit_euler,
    (double(draw(N)), double(draw.unit())),
    "wrong_point",
    "slopes at the old state, as for the explicit method",
)
def implicit_step_old(args, u):
    x, h = args
    return u / (1 + 3 * h * x**2), None


@wrong.vjp(
    lambda x, A, h: x + h * jnp.tanh(A @ (x + h / 2 * jnp.tanh(A @ x))),
    (draw(D), draw(D, D), jnp.float32(0.3)),
    "missing_term",
    "the midpoint taken for a constant",
)
def midpoint_constant(args, u):
    x, A, h = args
    m = x + h / 2 * jnp.tanh(A @ x)
    return u + h * A.T @ (u * (1 - jnp.tanh(A @ m) ** 2)), None, None


@wrong.jvp(
    lambda x, v, h: verlet(x, v, h)[1],
    (draw(N), draw(N), jnp.float32(0.2)),
    "missing_term",
    "the second kick's dependence on the new place",
)
def second_kick(args, tangents):
    (x, v, h), (dx, dv, dh) = args, tangents
    new = verlet(x, v, h)[0]
    return dv - 1.5 * h * x**2 * dx - dh / 2 * (x**3 + new**3)


@wrong.vjp(
    runge_kutta,
    (draw(D), draw(D, D), jnp.float32(0.3)),
    "transposed_operand",
    "the stages walked in the same order with the Jacobian itself",
)
def stages_forwards(args, u):
    x, A, h = args
    return jax.jvp(lambda y: runge_kutta(y, A, h), (x,), (u,))[1], None, None


def logistic_growth(x, r):
    for _ in range(4):
        x = x + r * x * (1 - x)
    return x


@wrong.vjp(logistic_growth, (0.6 * draw.unit(N), draw.unit()), "missing_sum", "the rate is common to all colonies")
def growth_rate(args, u):
    x, r = args
    xs = [x]
    for _ in range(3):
        xs.append(xs[-1] + r * xs[-1] * (1 - xs[-1]))
    dr = jnp.zeros_like(x)
    for y in reversed(xs):
        dr = dr + u * y * (1 - y)
        u = u * (1 + r * (1 - 2 * y))
    return u, dr


@wrong.vjp(
    logistic_growth, (0.6 * draw.unit(N), draw.unit()), "missing_term", "1 − x taken for a constant at every step"
)
def growth_limit(args, u):
    x, r = args
    xs = [x]
    for _ in range(3):
        xs.append(xs[-1] + r * xs[-1] * (1 - xs[-1]))
    for y in reversed(xs):
        u = u * (1 + r * (1 - y))
    return u, None


@jax.custom_vjp
def leaky(v, i, tau):
    """A membrane's potential after one step."""
    return v + (i - v) / tau


leaky.defvjp(
    lambda v, i, tau: (leaky(v, i, tau), (v, i, tau)),
    lambda r, u: (u / r[2], u * (1 - 1 / r[2]), -jnp.sum(u * (r[1] - r[0])) / r[2] ** 2),
)
wrong.own(
    "membrane_rule_swapped",
    leaky,
    (draw(N), draw(N), 2 + draw.positive()),
    "swapped_arguments",
    "the potential's and the current's gradient exchanged",
    argnums=(0, 1),
)
