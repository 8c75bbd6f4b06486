"""The fifth set's mistakes in physics, control, signals and optimisation."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw
from check_cases_fifth_right_physics import (
    AUGMENTED,
    BARRIER,
    CONTROLS,
    COSTS,
    DELAY,
    EPIDEMIC,
    MORSE,
    augmented,
    barrier,
    burgers,
    cable,
    cosine_transform,
    delayed,
    echoes,
    epidemic,
    frames,
    morse,
    regulator,
    soft_minimum,
)

draw = Draw(38)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11


# Optimisation and control


@wrong.grad(augmented, AUGMENTED, "missing_term", "the penalty's part: only the multipliers pull")
def augmented_plain(x, dual, rho, A, b):
    return x + A.T @ dual


@wrong.grad(
    augmented, AUGMENTED, "zero", "the constraint holds at the solution, but not on the way there", argnums=(0, 1)
)
def augmented_feasible(x, dual, rho, A, b):
    return x + A.T @ (dual + rho * (A @ x - b)), jnp.zeros_like(dual)


@wrong.grad(
    lambda x, A, b, mu: -mu * jnp.sum(jnp.log(b - A @ x)),
    BARRIER,
    ("sign", "missing_factor"),
    "the wall's force without its minus and without μ",
)
def wall_two(x, A, b, mu):
    return -A.T @ (1 / (b - A @ x))


@wrong.hessian(
    barrier, BARRIER, frozenset({"missing_factor", "wrong_term"}), "1/s for 1/s²: slacks differentiated once only"
)
def barrier_curvature(x, A, b, mu):
    return jnp.eye(x.size, dtype=x.dtype) + mu * A.T @ (A / (b - A @ x)[:, None])


@wrong.grad(soft_minimum, COSTS, "extra_factor", "1/ε, though ε before the logarithm cancels it")
def soft_minimum_sharp(c, eps):
    return jax.nn.softmax(-c / eps) / eps


@wrong.grad(regulator, CONTROLS, "transposed_operand", "costates run by A, not by Aᵀ")
def regulator_forwards(u, x, A, B):
    states = [x]
    for v in u:
        states.append(A @ states[-1] + B @ v)
    p, du = jnp.zeros_like(x), []
    for k in reversed(range(len(u))):
        p = 2 * states[k + 1] + A @ p
        du.append(u[k] + B.T @ p)
    return jnp.stack(du[::-1])


@wrong.grad(regulator, CONTROLS, ("constant_factor", "missing_term"), "states without their 2, controls without cost")
def regulator_two(u, x, A, B):
    states = [x]
    for v in u:
        states.append(A @ states[-1] + B @ v)
    p, du = jnp.zeros_like(x), []
    for k in reversed(range(len(u))):
        p = states[k + 1] + A.T @ p
        du.append(B.T @ p)
    return jnp.stack(du[::-1])


@wrong.vjp(
    lambda kp, kd, e: kp * e + kd * jnp.diff(e, prepend=0 * e[:1]),
    (draw(), draw(), draw(T)),
    "swapped_arguments",
    "the gains of the error and of its change",
)
def gains_swapped(args, u):
    kp, kd, e = args
    return u @ jnp.diff(e, prepend=0 * e[:1]), u @ e, None


@wrong.jacobian(
    lambda delta: jnp.tan(delta) / 2.5,
    (draw(N, scale=0.5),),
    "wrong_point",
    "a steered wheel: 1 + tan² of what has been divided by the wheelbase",
)
def steering(delta):
    return jnp.diag((1 + (jnp.tan(delta) / 2.5) ** 2) / 2.5)


# Physics


@wrong.grad(morse, MORSE, "missing_factor", "the inner derivative: Morse's a")
def morse_width(r, depth, a):
    e = jnp.exp(-a * (r - 1.2))
    return 2 * depth * (e - e**2)


@wrong.grad(
    lambda L, v, d: jnp.sum(0.02 * L * v**2 / (2 * d)),
    (draw.positive(N), draw.positive(N), draw.positive(N)),
    ("sign", "missing_factor"),
    "a pipe's loss by its width: neither minus nor the second 1/d",
    argnums=2,
)
def pipe_two(L, v, d):
    return 0.02 * L * v**2 / (2 * d)


@wrong.vjp(burgers, (draw(T),), "missing_term", "the speed in front is frozen")
def burgers_frozen(args, u):
    w = u * args[0]
    return ((jnp.roll(w, 1) - jnp.roll(w, -1)) / 2,)


@wrong.vjp(epidemic, EPIDEMIC, "transposed_operand", "tomorrow's sensitivities carried on, not back")
def epidemic_onwards(args, u):
    x, beta = args
    s, i, _ = x
    J = jnp.asarray([[1 - beta * i, -beta * s, 0], [beta * i, 0.8 + beta * s, 0], [0, 0.2, 1]], x.dtype)
    return J @ u, None


@wrong.jvp(cable, (draw(N), draw.positive()), "missing_term", "a stands within the cosh as well")
def cable_scale(args, tangents):
    (x, a), (dx, da) = args, tangents
    return jnp.sinh(x / a) * dx + jnp.cosh(x / a) * da


@wrong.grad(
    lambda v, m: jnp.sum(m * v / jnp.sqrt(1 - v**2)),
    (0.9 * draw.unit(N), draw.positive(N)),
    frozenset({"missing_term", "missing_factor"}),
    "relativistic momentum, γ taken for a constant",
)
def relativistic_momentum(v, m):
    return m / jnp.sqrt(1 - v**2)


# Signals


@wrong.vjp(cosine_transform, (draw(N),), "transposed_operand", "transformed once more, not by the transpose")
def cosine_transform_again(args, u):
    return (cosine_transform(u),)


@wrong.vjp(echoes, (draw(T),), "missing_term", "the earlier of two samples only")
def echoes_earlier(args, u):
    (x,) = args
    return (sum(jnp.pad(u[k] * x[k:], (0, k)) for k in range(u.size)),)


@wrong.vjp(
    delayed,
    DELAY,
    frozenset({"conjugate", "transposed_operand"}),
    "delayed further: the phase keeps its sign",
)
def delayed_further(args, u):
    return delayed(u, args[1]), None


@wrong.vjp(
    frames,
    (draw(12),),
    frozenset({"mean_vs_sum", "extra_factor"}),
    "overlaps are averaged, as when a signal is put together again",
)
def frames_averaged(args, u):
    (x,) = args
    where = 2 * jnp.arange(len(u))[:, None] + jnp.arange(u.shape[1])
    count = jnp.zeros_like(x).at[where].add(1)
    return (jnp.zeros_like(x).at[where].add(u) / count,)


@wrong.vjp(
    lambda x: jnp.sign(x) * jnp.log1p(255 * jnp.abs(x)) / np.log(256),
    (draw(N),),
    frozenset({"region", "extra_factor"}),
    "companding is odd, so its slope is even: no sign",
)
def companding(args, u):
    (x,) = args
    return (u * jnp.sign(x) * 255 / (1 + 255 * jnp.abs(x)) / np.log(256),)


@wrong.vjp(
    lambda p: 10 * jnp.log10(p),
    (draw.positive(N),),
    frozenset({"constant_factor", "missing_factor"}),
    "decibels by the natural logarithm",
)
def decibels(args, u):
    (p,) = args
    return (10 * u / p,)
