"""The fifth set of cases: graphs, attention, recurrences, rules of their own. Its other ones are near."""

# ruff: noqa: RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_fifth_arrays
import check_cases_fifth_losses
import check_cases_fifth_physics
import check_cases_fifth_right
import check_cases_fifth_right_arrays
import check_cases_fifth_right_layers
import check_cases_fifth_right_physics
import check_cases_fifth_rules
import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_fifth_right_layers import (
    ADDITIVE,
    ADJACENCY,
    GRAPH,
    RESPONSE,
    RETURNS,
    UNIT,
    absolute_shares,
    additive_attention,
    advantages,
    forgetful_unit,
    graph_attention,
    momentum_states,
    normalised_graph,
    response_norm,
    shy_softmax,
    unit_range,
)

draw = Draw(33)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Graphs


@wrong.vjp(graph_attention, GRAPH, "wrong_axis", "the softmax's sum runs over the nodes that ask")
def graph_attention_axis(args, u):
    H, a, b = args
    E = (H @ a)[:, None] + (H @ b)[None, :]
    P = jax.nn.softmax(jnp.where(E >= 0, E, 0.2 * E))
    dP = u @ H.T
    dE = P * (dP - (dP * P).sum(0, keepdims=True)) * jnp.where(E >= 0, 1, 0.2)
    return None, dE.sum(1) @ H, dE.sum(0) @ H


@wrong.vjp(graph_attention, GRAPH, ("diagonal_only", "missing_factor"), "P(1 − P), and no slope of the leaky ReLU")
def graph_attention_two(args, u):
    H, a, b = args
    E = (H @ a)[:, None] + (H @ b)[None, :]
    P = jax.nn.softmax(jnp.where(E >= 0, E, 0.2 * E))
    dE = P * (1 - P) * (u @ H.T)
    return None, dE.sum(1) @ H, dE.sum(0) @ H


@wrong.vjp(normalised_graph, ADJACENCY, "missing_term", "degrees taken for constants")
def normalised_graph_constant(args, u):
    A, X = args
    d = A.sum(1) ** -0.5
    return d[:, None] * (u @ X.T) * d[None, :], (d[:, None] * A * d[None, :]).T @ u


@wrong.vjp(
    lambda h, w, source, target: jnp.zeros_like(h).at[target].add(w[:, None] * h[source]),
    (draw(M, D), draw(6), jnp.asarray([0, 1, 2, 3, 4, 0]), jnp.asarray([1, 2, 0, 4, 3, 4])),
    "missing_sum",
    "an edge's weight is one for all features",
)
def edge_weights(args, u):
    h, w, source, target = args
    return jnp.zeros_like(h).at[source].add(w[:, None] * u[target]), u[target] * h[source], None, None


# Attention and normalisation


@wrong.vjp(
    lambda P, R: jnp.einsum("gh,hqk->gqk", R, P),
    (draw.simplex(4, M, T), draw(4, 4)),
    "transposed_operand",
    "heads are mixed by R going back as well",
)
def talking_heads(args, u):
    P, R = args
    return jnp.einsum("gh,hqk->gqk", R, u), jnp.einsum("gqk,hqk->gh", u, P)


@wrong.vjp(additive_attention, ADDITIVE, "missing_factor", "1 − h² within the scores")
def additive_attention_slope(args, u):
    q, K, V, w = args
    h = jnp.tanh(K + q)
    p = jax.nn.softmax(h @ w)
    dp = V @ u
    ds = p * (dp - p @ dp)
    return None, ds[:, None] * w, jnp.outer(p, u), ds @ h


@wrong.jacobian(shy_softmax, (draw(M),), "diagonal_only", "p(1 − p), as if scores did not compete")
def shy_softmax_slope(x):
    e = jnp.exp(x)
    p = e / (1 + e.sum())
    return jnp.diag(p * (1 - p))


@wrong.vjp(
    lambda S, B: S + B[jnp.arange(S.shape[1])[:, None] - jnp.arange(S.shape[1]) + S.shape[1] - 1],
    (draw(2, M, M), draw(2 * M - 1)),
    "missing_sum",
    "a table of relative positions, for each head one",
)
def relative_positions(args, u):
    S, B = args
    n = S.shape[1]
    where = jnp.arange(n)[:, None] - jnp.arange(n) + n - 1
    return u, jax.vmap(lambda v: jnp.zeros_like(B).at[where].add(v))(u)


@wrong.vjp(
    response_norm, RESPONSE, ("missing_term", "missing_sum"), "norms constant, and γ's gradient for each position"
)
def response_norm_two(args, u):
    x, gamma = args
    g = jnp.sqrt(jnp.sum(x**2, 0) + 1e-6)
    return u * (1 + gamma * g / g.mean()), u * x * g / g.mean()


@wrong.vjp(unit_range, (draw(T),), "missing_term", "the range taken for a constant")
def unit_range_constant(args, u):
    (x,) = args
    return ((u / (x.max() - x.min())).at[x.argmin()].add(-u.sum() / (x.max() - x.min())),)


@wrong.vjp(
    absolute_shares,
    (draw(N, D),),
    frozenset({"missing_factor", "region"}),
    "the sign of x, as if all were positive",
)
def absolute_shares_sign(args, u):
    (x,) = args
    size = jnp.abs(x).sum(-1, keepdims=True)
    return ((u - (u * x).sum(-1, keepdims=True) / size) / size,)


@wrong.vjp(
    lambda K: K / K.sum(0), (draw.positive(M, M),), "wrong_axis", "columns that add up to 1, their sums taken by rows"
)
def normalised_columns(args, u):
    (K,) = args
    s = K.sum(0)
    return (u / s - (u * K / s**2).sum(1, keepdims=True),)


def local_response(x):
    """Divided by the energy of the channel and its two neighbours, on a ring."""
    return x / (1 + x**2 + jnp.roll(x, 1) ** 2 + jnp.roll(x, -1) ** 2)


@wrong.vjp(local_response, (draw(N),), "diagonal_only", "a channel silences its neighbours, too")
def local_response_own(args, u):
    (x,) = args
    s = 1 + x**2 + jnp.roll(x, 1) ** 2 + jnp.roll(x, -1) ** 2
    return (u * (1 / s - 2 * x**2 / s**2),)


# Recurrences and layers


@wrong.vjp(
    momentum_states,
    (draw.unit(), draw(T)),
    frozenset({"wrong_point", "wrong_term"}),
    "β multiplies the state before, not the new one",
)
def momentum_new_state(args, u):
    beta, x = args
    v = momentum_states(beta, x)
    _, dx = jax.lax.scan(lambda p, g: (g + beta * p, g + beta * p), jnp.zeros_like(u[0]), u, reverse=True)
    return dx @ v, dx


@wrong.vjp(forgetful_unit, UNIT, "missing_term", "the gate within the candidate is forgotten")
def forgetful_unit_outer(args, u):
    h, x, W, U = args
    f = sigmoid(x)
    n = jnp.tanh(W @ x + U @ (f * h))
    dz = u * f * (1 - n**2)
    df = u * (n - h)
    return u * (1 - f) + U.T @ dz * f, W.T @ dz + df * f * (1 - f), jnp.outer(dz, x), jnp.outer(dz, f * h)


@wrong.vjp(advantages, RETURNS, "missing_term", "the value of the next state taken for a target")
def advantages_semi(args, u):
    V, r = args
    dr = jax.lax.scan(lambda p, g: (g + 0.72 * p, g + 0.72 * p), jnp.zeros_like(u[0]), u)[1]
    return jnp.concatenate([-dr, jnp.zeros_like(V[:1])]), dr


@wrong.vjp(
    lambda x, alpha, W: x + alpha * jnp.tanh(x @ W),
    (draw(N, D), draw(), draw(D, D)),
    "mean_vs_sum",
    "a residual's weight gets the mean over the batch",
)
def residual_weight(args, u):
    x, alpha, W = args
    h = jnp.tanh(x @ W)
    d = alpha * u * (1 - h**2)
    return u + d @ W.T, jnp.mean(u * h), x.T @ d


def sine_waves(W, b, omega, x):
    return jnp.sin(omega * (x @ W.T + b))


WAVES = (draw(M, D), draw(M), draw.positive(), draw(N, D))


@wrong.vjp(sine_waves, WAVES, ("missing_factor", "missing_sum"), "no ω, and a bias for each example")
def sine_waves_two(args, u):
    W, b, omega, x = args
    z = x @ W.T + b
    d = u * jnp.cos(omega * z)
    return d.T @ x, omega * d, jnp.sum(d * z), omega * d @ W


def machine(w, V, x):
    """A factorisation machine: all pairs, by the square of a sum."""
    return x @ w + 0.5 * jnp.sum((x @ V) ** 2 - x**2 @ V**2, -1)


@wrong.vjp(
    machine, (draw(M), draw(M, 2), draw(N, M)), "missing_term", "pairs of a feature with itself are not taken off"
)
def machine_pairs(args, u):
    w, V, x = args
    return u @ x, (u[:, None] * x).T @ (x @ V), None


@wrong.grad(
    lambda c, s, x, a: a @ jnp.exp(-((x - c) ** 2) / (2 * s**2)),
    (draw(T), draw.positive(T), draw(), draw(T)),
    "sign",
    "a bump grows as its centre comes nearer",
)
def bump_centres(c, s, x, a):
    return a * jnp.exp(-((x - c) ** 2) / (2 * s**2)) * (c - x) / s**2


@wrong.vjp(
    lambda x, v, a: jnp.tanh(x + a * v),
    (draw(N), draw(N), draw.positive()),
    "wrong_point",
    "the slope here, not where the step leads",
)
def look_ahead(args, u):
    x, v, a = args
    d = u * (1 - jnp.tanh(x) ** 2)
    return d, a * d, d @ v


CASES = (
    *wrong,
    *check_cases_fifth_rules.wrong,
    *check_cases_fifth_losses.wrong,
    *check_cases_fifth_arrays.wrong,
    *check_cases_fifth_physics.wrong,
    *check_cases_fifth_right.right,
    *check_cases_fifth_right_layers.right,
    *check_cases_fifth_right_arrays.right,
    *check_cases_fifth_right_physics.right,
)
