"""The fourth set of cases: layers, recurrences, rules of their own. Its other mistakes and its right ones are near."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import check_cases_fourth_arrays
import check_cases_fourth_attention
import check_cases_fourth_losses
import check_cases_fourth_physics
import check_cases_fourth_right
import check_cases_fourth_right_arrays
import check_cases_fourth_right_layers
import check_cases_fourth_right_physics
import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_fourth_right import double
from check_cases_fourth_right_layers import RNN, rnn, state_space

draw = Draw(16)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Layers


@wrong.vjp(
    lambda A, X, W: jax.nn.relu(A @ X @ W),
    (draw(5, 5), draw(5, D), draw(D, M)),
    "transposed_operand",
    "messages go back along the edges' own direction",
)
def graph_messages(args, u):
    A, X, W = args
    d = u * (A @ X @ W > 0)
    return None, A @ d @ W.T, (A @ X).T @ d


@wrong.vjp(lambda x, W: jnp.tanh(x @ W), (draw(N, D), draw(D, M)), "missing_sum", "a weight gradient for every example")
def weights_per_example(args, u):
    x, W = args
    d = u * (1 - jnp.tanh(x @ W) ** 2)
    return d @ W.T, jnp.einsum("nd,nm->ndm", x, d)


@wrong.vjp(
    lambda x, token: jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, token.size)), x], axis=1),
    (draw(4, N, D), draw(D)),
    "missing_sum",
    "the class token stands before every sequence of the batch",
)
def class_token(args, u):
    return u[:, 1:], u[:, 0]


@wrong.vjp(
    lambda x, gamma, f: x + gamma * f,
    (double(draw(2, N, D)), double(draw(D)), double(draw(2, N, D))),
    "missing_sum",
    "layer scale: summed over the batch, not over positions",
)
def layer_scale(args, u):
    x, gamma, f = args
    return u, (u * f).sum(0), u * gamma


@wrong.vjp(
    lambda x, A, B, W: jnp.einsum("ni,kij,nj->nk", x, W, x @ A) + B,
    (draw(N, 4), draw(4, 4), draw(M), draw(M, 4, 4)),
    "mean_vs_sum",
    "the gradients of the parameters averaged over the batch",
)
def bilinear_averaged(args, u):
    x, A, B, W = args
    return None, None, u.mean(0), jnp.einsum("nk,ni,nj->kij", u, x, x @ A) / len(x)


BILINEAR = (draw(N, 4), draw(N, 4), draw(M, 4, 4))


def bilinear(x, y, W):
    return jnp.einsum("ni,kij,nj->nk", x, W, y)


@wrong.vjp(bilinear, BILINEAR, "transposed_operand", "W_k for its transpose in ∂y")
def bilinear_second(args, u):
    x, y, W = args
    return jnp.einsum("nk,kij,nj->ni", u, W, y), jnp.einsum("nk,kij,nj->ni", u, W, x), None


@wrong.vjp(bilinear, BILINEAR, "swapped_arguments", "(∂y, ∂x)")
def bilinear_swapped(args, u):
    x, y, W = args
    return jnp.einsum("nk,kij,ni->nj", u, W, x), jnp.einsum("nk,kij,nj->ni", u, W, y), None


@wrong.vjp(
    lambda X, W, V: jax.nn.gelu(X @ W, approximate=False) * (X @ V),
    (draw(N, D), draw(D, M), draw(D, M)),
    ("missing_factor", "transposed_layout"),
    "∂W without the other branch, ∂V as (m, d)",
)
def gated_gelu_two(args, u):
    X, W, V = args
    a = X @ W
    slope = jax.scipy.stats.norm.cdf(a) + a * jax.scipy.stats.norm.pdf(a)
    return None, X.T @ (u * slope), (u * jax.nn.gelu(a, approximate=False)).T @ X


@wrong.vjp(
    lambda x, W, V: sigmoid(x @ V) * jnp.tanh(x @ W) + (1 - sigmoid(x @ V)) * x,
    (draw(N, 4), draw(4, 4), draw(4, 4)),
    "missing_term",
    "a highway's carried x is forgotten",
)
def highway_carry(args, u):
    x, W, V = args
    h, t = jnp.tanh(x @ W), sigmoid(x @ V)
    dh, dt = u * t * (1 - h**2), u * (h - x) * t * (1 - t)
    return dh @ W.T + dt @ V.T, x.T @ dh, x.T @ dt


@wrong.vjp(
    lambda x, W, V: sigmoid(x @ V) * jnp.tanh(x @ W) + (1 - sigmoid(x @ V)) * x,
    (draw(N, 4), draw(4, 4), draw(4, 4)),
    "wrong_term",
    "h + x for h − x in the gradient of the gate",
)
def highway_gate(args, u):
    x, W, V = args
    h, t = jnp.tanh(x @ W), sigmoid(x @ V)
    return None, x.T @ (u * t * (1 - h**2)), x.T @ (u * (h + x) * t * (1 - t))


def deep(params, x):
    for W, b in params:
        x = jnp.tanh(x @ W + b)
    return x


DEEP = ([(draw(D, 4), draw(4)), (draw(4, M), draw(M)), (draw(M, 2), draw(2))], draw(N, D))


@wrong.vjp(deep, DEEP, "wrong_point", "1 − tanh² of the activation, not of what enters it")
def deep_slopes(args, u):
    params, x = args
    hs = [x]
    for W, b in params:
        hs.append(jnp.tanh(hs[-1] @ W + b))
    grads, d = [], u
    for (W, b), h in zip(params[::-1], hs[-2::-1], strict=True):
        d = d * (1 - jnp.tanh(jnp.tanh(h @ W + b)) ** 2)
        grads.insert(0, (h.T @ d, d.sum(0)))
        d = d @ W.T
    return grads, d


@wrong.vjp(deep, DEEP, ("mean_vs_sum", "missing_factor"), "biases averaged, and no slope at the last layer")
def deep_two(args, u):
    params, x = args
    hs = [x]
    for W, b in params:
        hs.append(jnp.tanh(hs[-1] @ W + b))
    grads, d = [], u
    for i in range(len(params))[::-1]:
        if i < len(params) - 1:
            d = d * (1 - hs[i + 1] ** 2)
        grads.insert(0, (hs[i].T @ d, d.mean(0)))
        d = d @ params[i][0].T
    return grads, d


@wrong.vjp(
    lambda x: x.reshape(-1, 4, 2, 4, 2).max((2, 4)),
    (draw(2, 8, 8),),
    "missing_factor",
    "a pool's cotangent given to all four, not to the largest",
)
def max_pool_to_all(args, u):
    (x,) = args
    return (jnp.repeat(jnp.repeat(u, 2, 1), 2, 2),)


@wrong.vjp(lambda x: x.mean((1, 2)), (draw(2, 4, M, D),), "mean_vs_sum", "an image's average: 1/(hw) forgotten")
def global_pool(args, u):
    (x,) = args
    return (jnp.broadcast_to(u[:, None, None], x.shape),)


@wrong.vjp(
    lambda x, s: jax.ops.segment_sum(x, s, 3) / jnp.bincount(s, length=3)[:, None],
    (draw(N, D), jnp.array([0, 2, 2, 1, 0, 0, 2])),
    frozenset({"mean_vs_sum", "missing_factor"}),
    "a mean over neighbours sent back as if it were a sum",
)
def segment_means_as_sums(args, u):
    x, s = args
    return u[s], None


@wrong.vjp(
    lambda E, i: E[i] * E.shape[1] ** 0.5,
    (draw(T, D), draw.below(T, 2, N)),
    frozenset({"constant_factor", "missing_factor"}),
    "√d of a transformer's embedding",
)
def embedding_scale(args, u):
    E, i = args
    return jnp.zeros_like(E).at[i].add(u), None


@wrong.jvp(
    lambda x, keep, mask: x * mask / keep,
    (draw(N, D), draw.unit(), draw.mask(N, D)),
    "missing_term",
    "the probability to keep is an argument as well",
)
def dropout_tangent(args, tangents):
    (x, keep, mask), (dx, _, dmask) = args, tangents
    return (dx * mask + x * dmask) / keep


# Recurrences


@wrong.vjp(rnn, RNN, "missing_term", "nothing comes back from later times")
def rnn_cut(args, u):
    params, xs = args
    hs = rnn(params, xs)
    before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])
    dz = u * (1 - hs**2)
    return {"W": dz.T @ before, "U": dz.T @ xs, "b": dz.sum(0)}, dz @ params["U"]


@wrong.vjp(rnn, RNN, "wrong_point", "the slope at the state before: 1 − h² of t − 1")
def rnn_slope_before(args, u):
    params, xs = args
    hs = rnn(params, xs)
    before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])

    def step(dh, now):
        v, old = now
        dz = (v + dh) * (1 - old**2)
        return params["W"].T @ dz, dz

    dz = jax.lax.scan(step, jnp.zeros_like(hs[0]), (u, before), reverse=True)[1]
    return {"W": dz.T @ before, "U": dz.T @ xs, "b": dz.sum(0)}, dz @ params["U"]


@wrong.vjp(
    rnn,
    ({"W": draw(4, 4, scale=0.6), "U": draw(4, D), "b": draw(4)}, draw(6, D)),
    ("transposed_operand", "mean_vs_sum"),
    "W for Wᵀ through time, and the bias averaged over it",
)
def rnn_two(args, u):
    params, xs = args
    hs = rnn(params, xs)
    dz, steps = jnp.zeros_like(hs[0]), []
    for t in range(len(xs) - 1, -1, -1):
        dz = (u[t] + params["W"] @ dz) * (1 - hs[t] ** 2)
        steps.append(dz)
    dz = jnp.stack(steps[::-1])
    before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])
    return {"W": dz.T @ before, "U": dz.T @ xs, "b": dz.mean(0)}, dz @ params["U"]


@wrong.vjp(
    state_space,
    (draw.unit(4), draw(4, D), draw(2, 4), draw(T, D)),
    "missing_factor",
    "the state's decay a is left out of the adjoint: a plain sum from behind",
)
def state_decay(args, u):
    a, B, C, xs = args
    adjoint = jnp.flip(jnp.cumsum(jnp.flip(u @ C, 0), 0), 0)
    return None, adjoint.T @ xs, None, adjoint @ B


# Rules of their own


@jax.custom_vjp
def linear(x, W, b):
    return x @ W + b


linear.defvjp(lambda x, W, b: (x @ W + b, (x, W)), lambda r, u: (u @ r[1].T, r[0].T @ u, u.mean(0)))
wrong.own(
    "linear_rule_bias",
    linear,
    (draw(N, D), draw(D, M), draw(M)),
    "mean_vs_sum",
    "the bias' cotangents averaged",
    argnums=(0, 1, 2),
)


@jax.custom_vjp
def saved_swish(x):
    return x * sigmoid(x)


def saved_swish_bwd(y, u):
    s = sigmoid(y)
    return (u * s * (1 + y * (1 - s)),)


saved_swish.defvjp(lambda x: (saved_swish(x), saved_swish(x)), saved_swish_bwd)
wrong.own("swish_rule_of_output", saved_swish, (draw(N, D),), "wrong_point", "the output was saved, not the input")


@jax.custom_jvp
def soft_root(x):
    return jnp.sqrt(x**2 + 1)


soft_root.defjvp(lambda x, t: (soft_root(*x), 2 * x[0] * t[0] / jnp.sqrt(x[0] ** 2 + 1)))
wrong.own("soft_root_rule_two", soft_root, (draw(N),), "constant_factor", "the ½ of the root, forwards")


@jax.custom_vjp
def bounded(x):
    return x


bounded.defvjp(lambda x: (x, None), lambda _, u: (jnp.clip(u, -0.1, 0.1),))
wrong.own("identity_clips_cotangent", bounded, (draw(N, D),), "nonlinear_in_cotangent", "each entry clipped")


@jax.custom_vjp
def damped(x):
    return jnp.sin(x)


damped.defvjp(lambda x: (damped(x), x), lambda x, u: (0.1 * u * jnp.cos(x),))
wrong.own("cotangent_scaled_down", damped, (draw(N, D),), "constant_factor", "a tenth, to train this part slowly")


@jax.custom_vjp
def hard_choice(x):
    return jax.nn.one_hot(jnp.argmax(x, -1), x.shape[-1], dtype=x.dtype)


hard_choice.defvjp(lambda x: (hard_choice(x), None), lambda _, u: (u,))
wrong.own("hard_choice_through", hard_choice, (draw(N, M),), "pass_through", "a choice by argmax: its derivative is 0")


CASES = (
    *wrong,
    *check_cases_fourth_attention.wrong,
    *check_cases_fourth_losses.wrong,
    *check_cases_fourth_arrays.wrong,
    *check_cases_fourth_physics.wrong,
    *check_cases_fourth_right.right,
    *check_cases_fourth_right_layers.right,
    *check_cases_fourth_right_arrays.right,
    *check_cases_fourth_right_physics.right,
)
