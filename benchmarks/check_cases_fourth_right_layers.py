"""The right ones of the fourth set, layers: loops over time, attention computed again, masks, groups, integers."""

import jax
import jax.numpy as jnp
from check_cases import EQUAL, Cases, Draw

draw = Draw(20)
right = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Layers, recurrences


def rnn(params, xs):
    def step(h, x):
        h = jnp.tanh(params["W"] @ h + params["U"] @ x + params["b"])
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(params["b"]), xs)[1]


RNN = ({"W": draw(4, 4, scale=0.6), "U": draw(4, D), "b": draw(4)}, draw(6, D))


@right.vjp(rnn, RNN, EQUAL, "back through time in a Python loop")
def through_time(args, u):
    params, xs = args
    hs = rnn(params, xs)
    grads = jax.tree.map(jnp.zeros_like, params)
    dxs, dh = [], jnp.zeros_like(params["b"])
    for t in reversed(range(len(xs))):
        before = hs[t - 1] if t else jnp.zeros_like(dh)
        dz = (dh + u[t]) * (1 - hs[t] ** 2)
        here = {"W": jnp.outer(dz, before), "U": jnp.outer(dz, xs[t]), "b": dz}
        grads = jax.tree.map(jnp.add, grads, here)
        dxs.insert(0, params["U"].T @ dz)
        dh = params["W"].T @ dz
    return grads, jnp.stack(dxs)


def state_space(a, B, C, xs):
    """A diagonal linear state; xs: (T, d)."""

    def step(s, x):
        s = a * s + B @ x
        return s, C @ s

    return jax.lax.scan(step, jnp.zeros_like(a), xs)[1]


@right.vjp(
    state_space, (draw.unit(4), draw(4, D), draw(2, 4), draw(T, D)), EQUAL, "the adjoint state in a reversed scan"
)
def adjoint_state(args, u):
    a, B, C, xs = args
    zero = jnp.zeros_like(a)
    states = jax.lax.scan(lambda s, x: (a * s + B @ x,) * 2, zero, xs)[1]
    adjoint = jax.lax.scan(lambda p, v: (a * p + C.T @ v,) * 2, zero, u, reverse=True)[1]
    return (adjoint[1:] * states[:-1]).sum(0), adjoint.T @ xs, u.T @ states, adjoint @ B


@jax.custom_vjp
def flash(q, k, v):
    return jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5) @ v


def flash_fwd(q, k, v):
    s = q @ k.T / q.shape[-1] ** 0.5
    out = jax.nn.softmax(s) @ v
    return out, (q, k, v, out, jax.nn.logsumexp(s, axis=-1))


def flash_bwd(saved, u):
    q, k, v, out, lse = saved
    scale = q.shape[-1] ** -0.5
    p = jnp.exp(scale * q @ k.T - lse[:, None])
    ds = p * (u @ v.T - (u * out).sum(-1, keepdims=True)) * scale
    return ds @ k, ds.T @ q, p.T @ u


flash.defvjp(flash_fwd, flash_bwd)
right.own(
    "flash_attention_recomputed",
    flash,
    (draw(4, D), draw(6, D), draw(6, 2)),
    EQUAL,
    "P from the saved logarithms, Σ P dP as ⟨u, o⟩",
    argnums=(0, 1, 2),
)


def grouped_query(q, k, v):
    """q: (groups, heads, n, d), keys and values shared by the heads of a group."""
    return jnp.einsum("ghqk,gkv->ghqv", jax.nn.softmax(jnp.einsum("ghqd,gkd->ghqk", q, k)), v)


@right.vjp(grouped_query, (draw(2, 3, 4, D), draw(2, 5, D), draw(2, 5, 2)), EQUAL, "heads of a group add up")
def grouped_queries(args, u):
    q, k, v = args
    p = jax.nn.softmax(jnp.einsum("ghqd,gkd->ghqk", q, k))
    dp = jnp.einsum("ghqv,gkv->ghqk", u, v)
    ds = p * (dp - jnp.einsum("ghqk,ghqk->ghq", dp, p)[..., None])
    return (
        jnp.einsum("ghqk,gkd->ghqd", ds, k),
        jnp.einsum("ghqk,ghqd->gkd", ds, q),
        jnp.einsum("ghqk,ghqv->gkv", p, u),
    )


@right.vjp(
    lambda s, allowed: jax.nn.softmax(jnp.where(allowed, s, -1e9)),
    (draw(4, M), jnp.tril(jnp.ones((4, M), bool))),
    EQUAL,
    "a mask of booleans; nothing is claimed of it",
)
def masked_scores(args, u):
    s, allowed = args
    e = jnp.where(allowed, jnp.exp(s - s.max()), 0)
    p = e / e.sum(-1, keepdims=True)
    return p * (u - jnp.einsum("nk,nk->n", u, p)[:, None]), None


def sparsemax(z):
    """The point of the simplex that is nearest to z."""
    ordered = jnp.flip(jnp.sort(z))
    above = 1 + jnp.arange(1, z.size + 1) * ordered > jnp.cumsum(ordered)
    k = above.sum()
    tau = (jnp.where(above, ordered, 0).sum() - 1) / k
    return jnp.maximum(z - tau, 0)


@right.vjp(sparsemax, (draw(M),), EQUAL, "less the mean over the support, 0 outside")
def sparse_support(args, u):
    support = sparsemax(args[0]) > 0
    return (jnp.where(support, u - (u * support).sum() / support.sum(), 0),)


def conv2d(x, k):
    """x: (N, h, w, c), k: (3, 3, c, m), no padding."""
    return jax.lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@right.vjp(conv2d, (draw(2, 5, 6, 2), draw(3, 3, 2, 3)), EQUAL, "nine products of shifted images")
def convolution_taps(args, u):
    x, k = args
    h, w = u.shape[1:3]
    dx, dk = jnp.zeros_like(x), jnp.zeros_like(k)
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            dx = dx.at[:, i : i + h, j : j + w].add(u @ k[i, j].T)
            dk = dk.at[i, j].set(jnp.einsum("nhwc,nhwm->cm", x[:, i : i + h, j : j + w], u))
    return dx, dk


@right.vjp(
    lambda E, i: E[i] * E.shape[1] ** 0.5 * (i > 0)[..., None],
    (draw(6, 4), jnp.array([[1, 0, 3], [3, 3, 0]])),
    EQUAL,
    "padding tokens leave their row alone",
)
def padded_embedding(args, u):
    E, i = args
    return jnp.zeros_like(E).at[i].add(2 * u * (i > 0)[..., None]), None


@right.vjp(
    lambda x, s: jax.ops.segment_sum(x, s, 4) / jnp.maximum(jnp.bincount(s, length=4), 1)[:, None],
    (draw(N, D), jnp.array([0, 2, 2, 1, 0, 0, 2])),
    EQUAL,
    "means over groups, one of which is empty",
)
def segment_means(args, u):
    x, s = args
    member = jax.nn.one_hot(s, len(u), dtype=x.dtype)
    return member @ (u / jnp.maximum(member.sum(0), 1)[:, None]), None


@right.vjp(
    lambda x, g: g * x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6),
    (draw(4, 8, dtype="bfloat16"), draw.positive(8).astype("bfloat16")),
    EQUAL,
    "RMS norm in bfloat16, computed in float32 within",
    precision=0.05,
)
def root_mean_square_bfloat16(args, u):
    wide = jnp.promote_types(u.dtype, "float32")
    x, g, u32 = (a.astype(wide) for a in (*args, u))
    r = jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)
    n, gu = x * r, g * u32
    dx = r * (gu - n * jnp.mean(gu * n, -1, keepdims=True))
    return dx.astype(u.dtype), (u32 * n).sum(0).astype(u.dtype)


@right.vjp(
    lambda A, X, W: jnp.tanh(A @ X @ W), (draw(M, M), draw(M, D), draw(D, 4)), EQUAL, "a graph's layer; its graph given"
)
def graph_layer(args, u):
    A, X, W = args
    d = u * (1 - jnp.tanh(A @ X @ W) ** 2)
    return None, A.T @ d @ W.T, X.T @ A.T @ d


@right.vjp(
    lambda x: jnp.stack([x[0] * jnp.cos(x[1]), x[0] * jnp.sin(x[1])]),
    (jnp.stack([draw.positive(N), draw(N)]),),
    EQUAL,
    "rotary embedding's polar form, by multiplying complex numbers",
)
def polar_by_complex(args, u):
    r, phi = args[0]
    turned = (u[0] + 1j * u[1]) * jnp.exp(-1j * phi)
    return (jnp.stack([turned.real, r * turned.imag]),)


@right.vjp(
    lambda t, x, w: x * jnp.cos(t[:, None] * w),
    (jnp.arange(4), draw(4, D), draw(D)),
    EQUAL,
    "the time is an integer and gets no cotangent",
)
def integer_time(args, u):
    t, x, w = args
    phase = t[:, None] * w
    return None, u * jnp.cos(phase), -(t @ (u * x * jnp.sin(phase)))


@right.grad(
    lambda params, X: jnp.sum(jax.nn.silu(X @ params[0]["W"]) @ params[1]["W"] + params[1]["b"]),
    ([{"W": draw(D, 4)}, {"W": draw(4, 2), "b": draw(2)}], draw(N, D)),
    EQUAL,
    "a list of dictionaries",
)
def silu_network(params, X):
    W, V = params[0]["W"], params[1]["W"]
    z = X @ W
    s = sigmoid(z)
    d = V.sum(1) * (s + z * s * (1 - s))
    both = jnp.ones(V.shape[1], X.dtype)
    return [{"W": X.T @ d}, {"W": jnp.outer((z * s).sum(0), both), "b": len(X) * both}]
