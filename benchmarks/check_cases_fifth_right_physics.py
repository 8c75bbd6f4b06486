"""The right ones of the fifth set, physics, control, signals and optimisation; complex numbers among them."""

# ruff: noqa: ARG001 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

draw = Draw(37)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})


# Optimisation and control


def augmented(x, dual, rho, A, b):
    """A quadratic under A x = b, by multipliers and a penalty."""
    c = A @ x - b
    return x @ x / 2 + dual @ c + rho / 2 * (c @ c)


AUGMENTED = (draw(M), draw(D), draw.positive(), draw(D, M), draw(D))


@right.grad(augmented, AUGMENTED, EQUAL, "multipliers are shifted by the penalty", argnums=(0, 1, 2))
def augmented_shifted(x, dual, rho, A, b):
    c = A @ x - b
    return x + A.T @ (dual + rho * c), c, c @ c / 2


def barrier(x, A, b, mu):
    return x @ x / 2 - mu * jnp.sum(jnp.log(b - A @ x))


BARRIER = (draw(D, scale=0.2), draw(M, D), 2 + draw.positive(M), draw.positive())


@right.hessian(barrier, BARRIER, EQUAL, "I + μ Aᵀ diag(1/s²) A")
def barrier_hessian(x, A, b, mu):
    R = A / (b - A @ x)[:, None]
    return jnp.eye(x.size, dtype=x.dtype) + mu * R.T @ R


def regulator(u, x, A, B):
    """A linear system with the quadratic cost of its states and controls, u: (steps, controls)."""
    cost = 0.0
    for v in u:
        x = A @ x + B @ v
        cost = cost + x @ x + 0.5 * v @ v
    return cost


CONTROLS = (draw(4, 2), draw(D), 0.5 * draw(D, D), draw(D, 2))


@right.grad(regulator, CONTROLS, EQUAL, "costates from behind, in NumPy", argnums=(0, 1))
def regulator_costates(u, x, A, B):
    u, A, B = np.asarray(u), np.asarray(A), np.asarray(B)
    states = [np.asarray(x)]
    for v in u:
        states.append(A @ states[-1] + B @ v)
    p, du = np.zeros_like(states[0]), np.zeros_like(u)
    for k in reversed(range(len(u))):
        p = 2 * states[k + 1] + A.T @ p
        du[k] = u[k] + B.T @ p
    return du, A.T @ p


def soft_minimum(c, eps):
    return -eps * jax.nn.logsumexp(-c / eps)


COSTS = (draw(N), draw.positive())


@right.grad(soft_minimum, COSTS, EQUAL, "shares, and minus their entropy", argnums=(0, 1), precision=1e-3)
def soft_minimum_both(c, eps):
    p = jax.nn.softmax(-c / eps)
    return p, jnp.sum(p * jax.nn.log_softmax(-c / eps))


@right.grad(soft_minimum, COSTS, ("convention", "log_parameter"), "by the logarithm of the temperature", argnums=1)
def soft_minimum_by_logarithm(c, eps):
    p = jax.nn.softmax(-c / eps)
    return soft_minimum(c, eps) - p @ c


# Physics


def morse(r, depth, a):
    return jnp.sum(depth * (1 - jnp.exp(-a * (r - 1.2))) ** 2)


MORSE = (draw.positive(N), draw.positive(), draw.positive())


@right.grad(morse, MORSE, EQUAL, "2Da(e − e²), and both constants", argnums=(0, 1, 2))
def morse_constants(r, depth, a):
    e = jnp.exp(-a * (r - 1.2))
    return 2 * depth * a * (e - e**2), jnp.sum((1 - e) ** 2), 2 * depth * jnp.sum((r - 1.2) * (e - e**2))


def burgers(v):
    """v ∂v/∂x on a ring, by central differences."""
    return v * (jnp.roll(v, -1) - jnp.roll(v, 1)) / 2


@right.vjp(burgers, (draw(T),), EQUAL, "the speed and what it carries")
def burgers_both(args, u):
    (v,) = args
    w = u * v
    return (u * (jnp.roll(v, -1) - jnp.roll(v, 1)) / 2 + (jnp.roll(w, 1) - jnp.roll(w, -1)) / 2,)


def epidemic(x, beta):
    """One day of susceptible, infected and recovered."""
    healthy, ill, _ = x
    new, well = beta * healthy * ill, 0.2 * ill
    return x + jnp.stack([-new, new - well, well])


EPIDEMIC = (draw.unit(3), draw.positive())


@right.jacobian(epidemic, EPIDEMIC, EQUAL, "rows: what each group becomes", argnums=(0, 1))
def epidemic_both(x, beta):
    s, i = x[0], x[1]
    infected = jnp.stack([beta * i, beta * s, 0 * s])
    J = jnp.eye(3, dtype=x.dtype) + jnp.stack([-infected, infected, 0 * infected])
    return J.at[1, 1].add(-0.2).at[2, 1].add(0.2), jnp.stack([-s * i, s * i, 0 * s])


def cable(x, a):
    return a * jnp.cosh(x / a)


@right.jvp(cable, (draw(N), draw.positive()), EQUAL, "a catenary: the height above its own tangent's foot")
def cable_tangent(args, tangents):
    (x, a), (dx, da) = args, tangents
    slope = jnp.sinh(x / a)
    return slope * dx + (cable(x, a) - x * slope) / a * da


# Signals


def cosine_transform(x):
    n = jnp.arange(x.size, dtype=x.dtype)
    return jnp.cos(jnp.pi / x.size * (n + 0.5) * n[:, None]) @ x


@right.vjp(cosine_transform, (draw(N),), EQUAL, "the other of the two cosine transforms")
def cosine_transform_back(args, u):
    k = np.arange(u.size)
    return (jnp.asarray([np.cos(np.pi / u.size * (n + 0.5) * k) for n in k], u.dtype) @ u,)


def echoes(x, lags=4):
    """Autocorrelation at the first few lags."""
    return jnp.stack([x[: x.size - k] @ x[k:] for k in range(lags)])


@right.vjp(echoes, (draw(T),), EQUAL, "each sample meets an earlier and a later one")
def echoes_both(args, u):
    (x,) = args
    both = jnp.concatenate([u[:0:-1], 2 * u[:1], u[1:]])
    return (jnp.convolve(x, both)[u.size - 1 :][: x.size],)


def delayed(x, tau):
    omega = 2 * jnp.pi * jnp.fft.rfftfreq(x.size)
    return jnp.fft.irfft(jnp.fft.rfft(x) * jnp.exp(-1j * omega * tau), x.size)


DELAY = (draw(T), draw())


@right.vjp(delayed, DELAY, EQUAL, "forward in time again; the delay by the slope of what is delayed", precision=1e-3)
def delayed_advance(args, u):
    x, tau = args
    omega = 2 * jnp.pi * jnp.fft.rfftfreq(x.size)
    slope = jnp.fft.irfft(jnp.fft.rfft(x) * 1j * omega * jnp.exp(-1j * omega * tau), x.size)
    return delayed(u, -tau), -u @ slope


def frames(x, size=4, hop=2):
    return x[hop * jnp.arange((x.size - size) // hop + 1)[:, None] + jnp.arange(size)]


@right.vjp(frames, (draw(12),), EQUAL, "overlaps add up, in a loop")
def frames_overlap(args, u):
    out = np.zeros_like(np.asarray(args[0]))
    for k, frame in enumerate(np.asarray(u)):
        out[2 * k : 2 * k + 4] += frame
    return (out,)


def resonator(x, a, b):
    """y_t = x_t + a y_{t−1} + b y_{t−2}."""

    def step(past, x_t):
        y = x_t + a * past[0] + b * past[1]
        return (y, past[0]), y

    return jax.lax.scan(step, (0 * x[0], 0 * x[0]), x)[1]


RESONATOR = (draw(T), jnp.asarray(0.7), jnp.asarray(-0.4))


@right.vjp(resonator, RESONATOR, EQUAL, "the same filter, on the cotangent from behind")
def resonator_reversed(args, u):
    x, a, b = args
    y, dx = resonator(x, a, b), resonator(u[::-1], a, b)[::-1]
    return dx, dx[1:] @ y[:-1], dx[2:] @ y[:-2]


# Complex


@right.grad(
    lambda w, a: jnp.abs(jnp.vdot(w, a)) ** 2 + jnp.real(jnp.vdot(w, w)),
    (draw.complex(D), draw.complex(D)),
    ("convention", "conjugate"),
    "a beam's power: 2(a aᴴ + I)w, uphill",
)
def beam_uphill(w, a):
    return 2 * (a * jnp.vdot(a, w) + w)


@right.grad(
    lambda z: jnp.sum(jnp.real(z) ** 2 * jnp.imag(z)),
    (draw.complex(M),),
    ("convention", "conjugate"),
    "Wirtinger's ∂f/∂z̄ = (∂x + i∂y)/2",
)
def wirtinger_of_parts(z):
    x, y = z.real, z.imag
    return (2 * x * y + 1j * x**2) / 2


@right.vjp(
    lambda z, w: z * jnp.exp(1j * jnp.abs(w) ** 2),
    (draw.complex(N), draw.complex(N)),
    EQUAL,
    "self phase modulation, as JAX pairs complex numbers",
)
def phase_modulation(args, u):
    z, w = args
    e = jnp.exp(1j * jnp.abs(w) ** 2)
    return u * e, 2 * jnp.conj(w) * jnp.real(1j * u * z * e)


@right.jvp(lambda z: jnp.angle(z), (draw.complex(N),), EQUAL, "the phase: Im(dz/z)")
def phase_tangent(args, tangents):
    return (tangents[0] / args[0]).imag


# Kinks


@right.vjp(
    lambda x: jnp.maximum(jnp.abs(x) - 0.25, 0) * jnp.sign(x),
    (draw(N),),
    KINK,
    "backlash: it moves at the very ends of the play",
    witness=(jnp.full(2, 0.25),),
)
def backlash(args, u):
    return (jnp.where(jnp.abs(args[0]) >= 0.25, u, 0),)


@right.grad(
    lambda x: jnp.max(x) - jnp.min(x),
    (draw(N),),
    KINK,
    "a range: the first of equals, above and below",
    witness=(jnp.asarray([1.0, 1.0, -1.0, -1.0]),),
)
def spread_of_first(x):
    e = jnp.eye(x.size, dtype=x.dtype)
    return e[jnp.argmax(x)] - e[jnp.argmin(x)]
