"""The right ones of the fourth set, physics: implicit functions, adjoints of steps, units, geometry, kinks."""

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw
from check_cases_fourth_right import KINK, double

draw = Draw(21)
right = Cases()
N, D, M, T = 7, 3, 5, 11


# Implicit functions, steps of equations


def kepler(mean, e):
    """The eccentric anomaly E of M = E − e sin E."""
    E = mean
    for _ in range(12):
        E = E - (E - e * jnp.sin(E) - mean) / (1 - e * jnp.cos(E))
    return E


@right.vjp(kepler, (draw(N), 0.6 * draw.unit(N)), EQUAL, "by the implicit function theorem")
def kepler_implicit(args, u):
    mean, e = args
    E = kepler(mean, e)
    v = u / (1 - e * jnp.cos(E))
    return v, v * jnp.sin(E)


@jax.custom_vjp
def settled(W, x):
    return jax.lax.scan(lambda z, _: (jnp.tanh(W @ z + x), None), jnp.zeros_like(x), None, length=120)[0]


def settled_bwd(saved, u):
    W, z = saved
    slope = 1 - z**2
    w = jnp.linalg.solve(jnp.eye(len(z), dtype=z.dtype) - (slope[:, None] * W).T, u) * slope
    return jnp.outer(w, z), w


settled.defvjp(lambda W, x: (settled(W, x), (W, settled(W, x))), settled_bwd)
right.own(
    "equilibrium_custom_vjp",
    settled,
    (0.3 * draw(4, 4), draw(4)),
    EQUAL,
    "a deep equilibrium, adjoint solved at once",
    argnums=(0, 1),
)


def implicit_euler(x, h):
    """One step of x′ = −x³, by Newton's method."""
    y = x
    for _ in range(12):
        y = y - (y + h * y**3 - x) / (1 + 3 * h * y**2)
    return y


@right.vjp(implicit_euler, (double(draw(N)), double(draw.unit())), EQUAL, "slopes at the new state")
def implicit_step(args, u):
    x, h = args
    y = implicit_euler(x, h)
    v = u / (1 + 3 * h * y**2)
    return v, -jnp.sum(v * y**3)


def field(x, A):
    return jnp.sin(A @ x)


def runge_kutta(x, A, h):
    k1 = field(x, A)
    k2 = field(x + h / 2 * k1, A)
    k3 = field(x + h / 2 * k2, A)
    k4 = field(x + h * k3, A)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@right.vjp(runge_kutta, (draw(D), draw(D, D), jnp.float32(0.3)), EQUAL, "the four stages in reverse")
def runge_kutta_adjoint(args, u):
    x, A, h = args
    k1 = field(x, A)
    k2 = field(x + h / 2 * k1, A)
    k3 = field(x + h / 2 * k2, A)
    dx, dA, dk = u, jnp.zeros_like(A), jnp.zeros_like(u)
    for weight, into, at in ((1, 0, x + h * k3), (2, 1, x + h / 2 * k2), (2, 0.5, x + h / 2 * k1), (1, 0.5, x)):
        dk = h / 6 * weight * u + (h * into * dk if into else 0)
        d = dk * jnp.cos(A @ at)
        dA += jnp.outer(d, at)
        dk = A.T @ d
        dx += dk
    return dx, dA, None


def upwind(x, c):
    """One step of transport to the right, on a ring."""
    return x - c * (x - jnp.roll(x, 1))


@right.vjp(upwind, (double(draw(T)), double(draw.unit())), EQUAL, "transport back to the left")
def upwind_adjoint(args, u):
    x, c = args
    return u - c * (u - jnp.roll(u, -1)), -jnp.vdot(u, x - jnp.roll(x, 1))


def verlet(x, v, h):
    """Kick, drift, kick in the potential of x⁴/4."""
    v = v - h / 2 * x**3
    x = x + h * v
    return x, v - h / 2 * x**3


@right.vjp(verlet, (draw(N), draw(N), jnp.float32(0.2)), EQUAL, "kick, drift, kick, backwards")
def verlet_adjoint(args, u):
    x, v, h = args
    ux, uv = u
    new = verlet(x, v, h)[0]
    ux = ux - 1.5 * h * new**2 * uv
    uv = uv + h * ux
    return ux - 1.5 * h * x**2 * uv, uv, None


# Physics, geometry


def lennard_jones(x, sigma):
    i, j = jnp.triu_indices(len(x), 1)
    s6 = (sigma**2 / ((x[i] - x[j]) ** 2).sum(-1)) ** 3
    return 4 * jnp.sum(s6**2 - s6)


CLUSTER = jnp.array([[0.0, 0.1, 0.0], [1.2, 0.0, 0.1], [0.2, 1.3, -0.2], [-0.1, 0.3, 1.4]])


@right.grad(lennard_jones, (CLUSTER, jnp.float32(1.1)), EQUAL, "pair by pair, with NumPy", argnums=(0, 1))
def cluster_gradient(x, sigma):
    x, sigma = np.asarray(x), np.asarray(sigma)
    out, total = np.zeros_like(x), np.zeros_like(sigma)
    for i in range(len(x)):
        for j in range(i):
            r = x[i] - x[j]
            s6 = (sigma**2 / (r @ r)) ** 3
            slope = 24 * (2 * s6**2 - s6)
            out[i] -= slope * r / (r @ r)
            out[j] += slope * r / (r @ r)
            total += slope / sigma
    return out, total


@right.grad(
    lambda T, E: jnp.sum(jnp.exp(-E / (8.314 * T))),
    (jnp.array([310.0, 450.0, 900.0]), jnp.float32(2.5e4)),
    EQUAL,
    "Arrhenius in SI units: degrees and joules per mole",
    argnums=(0, 1),
    precision=1e-3,
)
def arrhenius(T, E):
    k = jnp.exp(-E / (8.314 * T))
    return k * E / (8.314 * T**2), -jnp.sum(k / (8.314 * T))


@right.vjp(lambda x: x**3 / jnp.expm1(x), (draw.positive(N),), EQUAL, "Planck's curve, one fraction")
def planck(args, u):
    (x,) = args
    return (u * x**2 * (3 - x / -jnp.expm1(-x)) / jnp.expm1(x),)


def langevin(x):
    """coth x − 1/x, which is x/3 near 0."""
    near = jnp.abs(x) < 0.2
    safe = jnp.where(near, 1, x)
    return jnp.where(near, x / 3 - x**3 / 45 + 2 * x**5 / 945 - x**7 / 4725, 1 / jnp.tanh(safe) - 1 / safe)


@right.vjp(langevin, (jnp.array([1e-3, -0.04, 0.7, 3.0, -9.0, 60.0]),), EQUAL, "1/x² − 1/sinh² x, by a series near 0")
def langevin_series(args, u):
    (x,) = args
    near = jnp.abs(x) < 0.2
    safe = jnp.where(near, 1, x)
    series = 1 / 3 - x**2 / 15 + 2 * x**4 / 189 - x**6 / 675
    e = jnp.exp(-2 * jnp.abs(safe))
    return (u * jnp.where(near, series, 1 / safe**2 - 4 * e / (1 - e) ** 2),)


@right.jacobian(
    lambda p: p[0] * jnp.array([jnp.sin(p[1]) * jnp.cos(p[2]), jnp.sin(p[1]) * jnp.sin(p[2]), jnp.cos(p[1])]),
    (draw.positive(3),),
    EQUAL,
    "spherical coordinates: r, θ, φ",
)
def spherical(p):
    r, (st, sp), (ct, cp) = p[0], jnp.sin(p[1:]), jnp.cos(p[1:])
    return jnp.array([
        [st * cp, r * ct * cp, -r * st * sp],
        [st * sp, r * ct * sp, r * st * cp],
        [ct, -r * st, jnp.zeros_like(r)],
    ])  # fmt: skip


@right.jacobian(
    lambda q, lengths: jnp.stack(
        [lengths @ jnp.cos(jnp.cumsum(q)), lengths @ jnp.sin(jnp.cumsum(q))],
    ),
    (draw(4), draw.positive(4)),
    EQUAL,
    "an arm of four links: a joint turns all that follows",
)
def arm(q, lengths):
    a = jnp.cumsum(q)

    def behind(v):
        return jnp.flip(jnp.cumsum(jnp.flip(v)))

    return jnp.stack([-behind(lengths * jnp.sin(a)), behind(lengths * jnp.cos(a))])


@right.jvp(lambda P: P[:, :2] / P[:, 2:], (jnp.abs(draw(N, 3)) + 1,), EQUAL, "a pinhole camera")
def camera(args, tangents):
    (P,), (t,) = args, tangents
    depth = P[:, 2:]
    return (t[:, :2] - P[:, :2] / depth * t[:, 2:]) / depth


# Element-wise, kinks


@right.vjp(
    lambda x: x - jnp.log1p(x), (jnp.array([3e-6, 2e-7, 0.4, 1.7]),), EQUAL, "x/(1 + x), of full accuracy near 0"
)
def log_remainder(args, u):
    (x,) = args
    return (u * x / (1 + x),)


@right.vjp(jnp.linalg.norm, (draw(M),), KINK, "0 at 0, where JAX says nan", witness=(jnp.zeros(3),))
def norm_at_zero(args, u):
    (x,) = args
    size = jnp.sqrt(jnp.sum(x * x))
    return (jnp.where(size > 0, u * x / jnp.where(size > 0, size, 1), 0),)


@right.vjp(jax.nn.relu, (draw(N, D),), KINK, "½ at 0, by the sign", witness=(jnp.zeros((1, 1)),))
def relu_by_sign(args, u):
    return (u * (jnp.sign(args[0]) + 1) / 2,)


@right.vjp(
    lambda x, t: jnp.sign(x) * jnp.maximum(jnp.abs(x) - t, 0),
    (draw(N, scale=2), draw.unit()),
    KINK,
    "shrinkage that moves at its threshold already",
    witness=(jnp.array([0.5, -0.5]), jnp.float32(0.5)),
)
def shrinkage(args, u):
    x, t = args
    moves = jnp.abs(x) >= t
    return u * moves, -jnp.sum(u * moves * jnp.sign(x))


@right.vjp(
    lambda x: jnp.sign(x) * jnp.log1p(jnp.abs(x)),
    (jnp.array([-1e4, -0.3, 2e-3, 55.0, 3e6]),),
    EQUAL,
    "a logarithm on both sides, over ten decades",
)
def symmetric_logarithm(args, u):
    return (u / (1 + jnp.abs(args[0])),)


@right.vjp(lambda x: x[::-1, 1:].T, (draw(4, M),), EQUAL, "views: reversed, cut and turned")
def views(args, u):
    (x,) = args
    out = np.zeros(x.shape, np.asarray(u).dtype)
    out[::-1, 1:] = np.asarray(u).T
    return (out,)


@jax.custom_jvp
def safe_root(x):
    return jnp.sqrt(x)


safe_root.defjvp(lambda x, t: (safe_root(*x), 0.5 * t[0] * jax.lax.rsqrt(x[0])))
right.own("root_custom_jvp", safe_root, (draw.positive(N),), EQUAL, "by the reciprocal root")


@jax.custom_vjp
def gated(params, x):
    return jax.nn.sigmoid(x @ params["gate"]) * (x @ params["value"])


def gated_bwd(saved, u):
    params, x = saved
    s, v = jax.nn.sigmoid(x @ params["gate"]), x @ params["value"]
    dg, dv = u * v * s * (1 - s), u * s
    return {"gate": x.T @ dg, "value": x.T @ dv}, dg @ params["gate"].T + dv @ params["value"].T


gated.defvjp(lambda params, x: (gated(params, x), (params, x)), gated_bwd)
right.own(
    "gated_dictionary_custom_vjp",
    gated,
    ({"gate": draw(D, M), "value": draw(D, M)}, draw(N, D)),
    EQUAL,
    "a rule of its own for a dictionary, activations computed again",
    argnums=(0, 1),
)
