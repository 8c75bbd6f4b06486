"""The right ones of the fifth set, layers: graphs, attention of other kinds, recurrences, activations, own rules."""

# ruff: noqa: RUF059 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(32)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})
sigmoid = jax.nn.sigmoid


# Graphs


def graph_attention(H, a, b):
    """Scores of edges are sums of two scores of nodes, through a leaky ReLU."""
    P = jax.nn.softmax(jax.nn.leaky_relu((H @ a)[:, None] + (H @ b)[None, :], 0.2))
    return P @ H


GRAPH = (draw(M, D), draw(D), draw(D))


@right.vjp(graph_attention, GRAPH, EQUAL, "a node asks, answers and is what is handed on")
def graph_attention_all(args, u):
    H, a, b = args
    E = (H @ a)[:, None] + (H @ b)[None, :]
    P = jax.nn.softmax(jnp.where(E >= 0, E, 0.2 * E))
    dP = u @ H.T
    dE = P * (dP - (dP * P).sum(1, keepdims=True)) * jnp.where(E >= 0, 1, 0.2)
    rows, columns = dE.sum(1), dE.sum(0)
    return P.T @ u + jnp.outer(rows, a) + jnp.outer(columns, b), rows @ H, columns @ H


def normalised_graph(A, X):
    d = A.sum(1) ** -0.5
    return d[:, None] * A * d[None, :] @ X


ADJACENCY = (draw.positive(M, M), draw(M, D))


@right.vjp(normalised_graph, ADJACENCY, EQUAL, "a new edge changes both ends' degrees")
def normalised_graph_degrees(args, u):
    A, X = args
    degree = A.sum(1)
    d = degree**-0.5
    G = u @ X.T
    S = d[:, None] * A * d[None, :]
    dd = -0.5 * ((G * S).sum(1) + (G * S).sum(0)) / degree
    return d[:, None] * G * d[None, :] + dd[:, None], S.T @ u


# Attention and normalisation


def additive_attention(q, K, V, w):
    return jax.nn.softmax(jnp.tanh(K + q) @ w) @ V


ADDITIVE = (draw(D), draw(T, D), draw(T, 2), draw(D))


@right.vjp(additive_attention, ADDITIVE, EQUAL, "scores by a small network; values of another width")
def additive_attention_all(args, u):
    q, K, V, w = args
    h = jnp.tanh(K + q)
    p = jax.nn.softmax(h @ w)
    dp = V @ u
    ds = p * (dp - p @ dp)
    dK = ds[:, None] * w * (1 - h**2)
    return dK.sum(0), dK, jnp.outer(p, u), ds @ h


def shy_softmax(x):
    """A softmax that may choose nobody: there is a score of 0 besides."""
    m = jnp.maximum(x.max(-1, keepdims=True), 0)
    e = jnp.exp(x - m)
    return e / (jnp.exp(-m) + e.sum(-1, keepdims=True))


@right.jvp(shy_softmax, (draw(N, M),), EQUAL, "the same form as the plain one's")
def shy_softmax_tangent(args, tangents):
    (x,), (t,) = args, tangents
    p = shy_softmax(x)
    return p * t - p * (p * t).sum(-1, keepdims=True)


def response_norm(x, gamma):
    """Each channel against the mean of all channels' norms over the positions."""
    g = jnp.sqrt(jnp.sum(x**2, 0) + 1e-6)
    return x + gamma * x * g / g.mean()


RESPONSE = (draw(T, D), draw(D))


@right.vjp(response_norm, RESPONSE, EQUAL, "through the norm, and through the mean of norms")
def response_norm_full(args, u):
    x, gamma = args
    g = jnp.sqrt(jnp.sum(x**2, 0) + 1e-6)
    r = g / g.mean()
    along = (u * x).sum(0)
    dr = along * gamma
    dg = dr / g.mean() - (dr * g).mean() / g.mean() ** 2
    return u * (1 + gamma * r) + dg * x / g, along * r


def unit_range(x):
    return (x - x.min()) / (x.max() - x.min())


@right.vjp(
    unit_range,
    (draw(T),),
    KINK,
    "the two extremes carry all the others; of equals, the first",
    witness=(jnp.asarray([0.3, 1.0, 1.0, -0.5]),),
)
def unit_range_extremes(args, u):
    (x,) = args
    low, high = x.argmin(), x.argmax()
    span = x[high] - x[low]
    y = (x - x[low]) / span
    return ((u / span).at[low].add(((y - 1) @ u) / span).at[high].add(-(y @ u) / span),)


def absolute_shares(x):
    return x / jnp.abs(x).sum(-1, keepdims=True)


@right.vjp(
    absolute_shares,
    (draw(N, D).astype("bfloat16"),),
    KINK,
    "in bfloat16, computed more precisely",
    precision=0.05,
    witness=(jnp.asarray([[0.0, 1.0, -2.0]]),),
)
def absolute_shares_bfloat16(args, u):
    wide = jnp.promote_types(u.dtype, "float32")
    x, v = args[0].astype(wide), u.astype(wide)
    size = jnp.abs(x).sum(-1, keepdims=True)
    return (((v - jnp.sign(x) * (v * x).sum(-1, keepdims=True) / size) / size).astype(u.dtype),)


# Recurrences


def momentum_states(beta, x):
    """v_t = β v_{t−1} + x_t, from 0."""

    def step(v, x_t):
        v = beta * v + x_t
        return v, v

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


@right.vjp(momentum_states, (draw.unit(), draw(T)), EQUAL, "a scan from behind")
def momentum_adjoint(args, u):
    beta, x = args
    v = momentum_states(beta, x)

    def back(p, now):
        u_t, v_before = now
        p = u_t + beta * p
        return p, (p, p * v_before)

    before = jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]])
    _, (dx, dbeta) = jax.lax.scan(back, jnp.zeros_like(u[0]), (u, before), reverse=True)
    return dbeta.sum(), dx


def forgetful_unit(h, x, W, U):
    f = sigmoid(x)
    return (1 - f) * h + f * jnp.tanh(W @ x + U @ (f * h))


UNIT = (draw(M), draw(M), draw(M, M), draw(M, M))


@right.vjp(forgetful_unit, UNIT, EQUAL, "the gate acts at two places")
def forgetful_unit_all(args, u):
    h, x, W, U = args
    f = sigmoid(x)
    n = jnp.tanh(W @ x + U @ (f * h))
    dz = u * f * (1 - n**2)
    back = U.T @ dz
    df = u * (n - h) + back * h
    return u * (1 - f) + back * f, W.T @ dz + df * f * (1 - f), jnp.outer(dz, x), jnp.outer(dz, f * h)


def advantages(V, r):
    """Generalised advantages with γ = 0.9 and λ = 0.8, by a loop from behind."""
    A, out = 0.0, []
    for surprise in (r + 0.9 * V[1:] - V[:-1])[::-1]:
        A = surprise + 0.72 * A
        out.append(A)
    return jnp.stack(out[::-1])


RETURNS = (draw(T + 1), draw(T))


@right.vjp(advantages, RETURNS, EQUAL, "walked in the order of time; values at both ends of a step")
def advantages_both(args, u):
    V, r = args
    dr = np.asarray(u).copy()
    for t in range(1, len(dr)):
        dr[t] += 0.72 * dr[t - 1]
    dV = np.zeros(len(dr) + 1, dr.dtype)
    dV[:-1] -= dr
    dV[1:] += 0.9 * dr
    return dV, dr


# Element-wise, and rules of their own


def smooth_step(x):
    t = jnp.clip(x, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


@right.vjp(smooth_step, (draw(N, D),), EQUAL, "flat at both ends: no kink there")
def smooth_step_slope(args, u):
    (x,) = args
    return (u * jnp.where((x > 0) & (x < 1), 30 * (x * (1 - x)) ** 2, 0),)


@right.vjp(
    lambda x: 2 * (jnp.log(2.0) - x - jax.nn.softplus(-2 * x)),
    (jnp.array([-30.0, 14.0, 2.0, -0.3, 0.01]),),
    EQUAL,
    "−2 tanh x: the volume of a squashed action",
)
def squashed_volume(args, u):
    return (-2 * u * jnp.tanh(args[0]),)


@right.vjp(jmc.celu, (draw(N, D), draw.positive()), EQUAL, "the slope and the scale's own gradient")
def celu_scale(args, u):
    x, alpha = args
    z = jnp.minimum(x, 0) / alpha
    return u * jnp.exp(z), jnp.sum(u * (jnp.exp(z) - 1 - z * jnp.exp(z)))


@right.vjp(
    lambda x: jnp.maximum(x.reshape(x.shape[0], -1, 2)[..., 0], x.reshape(x.shape[0], -1, 2)[..., 1]),
    (draw(N, 6),),
    KINK,
    "maxout: of two equals the first",
    witness=(jnp.ones((1, 6)),),
)
def maxout(args, u):
    a, b = args[0][:, 0::2], args[0][:, 1::2]
    return (jnp.stack([jnp.where(a >= b, u, 0), jnp.where(a >= b, 0, u)], -1).reshape(args[0].shape),)


@right.vjp(lambda x: jnp.abs(x) + x / 2, (draw(N),), KINK, "½ at 0, the middle of both sides", witness=(jnp.zeros(2),))
def crooked_modulus(args, u):
    return (u * (0.5 + jnp.sign(args[0])),)


@jax.custom_vjp
def gated_pair(p):
    return jax.nn.silu(p["gate"]) * p["value"]


def gated_pair_bwd(p, u):
    s = sigmoid(p["gate"])
    return ({"gate": u * p["value"] * (s + p["gate"] * s * (1 - s)), "value": u * p["gate"] * s},)


gated_pair.defvjp(lambda p: (gated_pair(p), p), gated_pair_bwd)
right.own("gated_pair_custom_vjp", gated_pair, ({"gate": draw(N, D), "value": draw(N, D)},), EQUAL, "a dictionary")


@jax.custom_jvp
def relative_entropy(x, y):
    return x * jnp.log(x / y)


@relative_entropy.defjvp
def relative_entropy_jvp(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return relative_entropy(x, y), dx * (1 + jnp.log(x) - jnp.log(y)) - dy * (x / y)


POSITIVE = (draw.positive(N), draw.positive(N))
right.own("relative_entropy_custom_jvp", relative_entropy, POSITIVE, EQUAL, "x ln(x/y), forwards", argnums=(0, 1))
