"""The right ones of the first half: other conventions, other precisions, points where differences fail."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(2)
right = Cases()
N, D, M = 7, 5, 3
EPS = 1e-5
sigmoid = jax.nn.sigmoid


# Losses


@right.grad(lambda a, y: jnp.mean((a - y) ** 2), (draw(N, M), draw(N, M)), EQUAL, "both arguments", argnums=(0, 1))
def mse_both(a, y):
    g = 2 * (a - y) / a.size
    return g, -g


@right.grad(
    lambda logits, labels: jnp.mean(
        jax.nn.logsumexp(logits, 1) - jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    ),
    (draw(N, D), draw.below(D, N)),
    EQUAL,
    "integer labels, subtracted in place",
)
def cross_entropy_labels(logits, labels):
    p = jax.nn.softmax(logits)
    return p.at[jnp.arange(len(labels)), labels].add(-1) / len(labels)


def logistic_loss(w, X, y):
    return jnp.mean(jnp.logaddexp(0, -y * (X @ w)))


SIGNS = 2 * draw.mask(N) - 1


@right.grad(logistic_loss, (draw(D), draw(N, D), SIGNS), EQUAL, "labels of ±1")
def logistic_regression(w, X, y):
    return X.T @ (-y * sigmoid(-y * (X @ w))) / len(y)


@right.hessian(logistic_loss, (draw(D), draw(N, D), SIGNS), EQUAL, "Xᵀ diag(p(1 − p)) X / N")
def logistic_hessian(w, X, y):
    z = X @ w
    return X.T @ ((sigmoid(z) * sigmoid(-z))[:, None] * X) / len(y)


@right.grad(
    lambda x, y: jnp.mean(jnp.logaddexp(0, x) - x * y),
    (jnp.array([30.0, -35.0, 28.0, -40.0, 33.0]), jnp.array([1.0, 0.0, 0.0, 1.0, 1.0])),
    EQUAL,
    "saturated logits",
)
def bce_saturated(x, y):
    return ((1 - y) * sigmoid(x) - y * sigmoid(-x)) / x.size


@right.grad(
    jmc.softmax_cross_entropy,
    (30 * draw(N, D), draw.simplex(N, D)),
    EQUAL,
    "logits far apart: most of softmax is 0",
)
def cross_entropy_saturated(logits, target):
    return (target.sum(-1, keepdims=True) * jax.nn.softmax(logits) - target) / len(logits)


@right.grad(jmc.huber, (draw(11, scale=2), draw(11, scale=2)), EQUAL, "a clipped residual")
def huber_clipped(prediction, target):
    return jnp.clip(prediction - target, -1, 1) / prediction.size


@right.grad(
    lambda s, y: jnp.mean(jnp.maximum(0, 1 - y * s)),
    (draw(N), SIGNS),
    frozenset({EQUAL, ("convention", "kink_convention")}),
    "at margin 1 the slope is 0, not ½",
    witness=(SIGNS, SIGNS),
)
def hinge_at_margin(s, y):
    return jnp.where(y * s < 1, -y, 0) / s.size


@right.grad(
    lambda mu, log_sigma, x: jnp.mean(0.5 * ((x - mu) * jnp.exp(-log_sigma)) ** 2 + log_sigma),
    (draw(), draw(), draw(N)),
    EQUAL,
    "both parameters of a normal likelihood",
    argnums=(0, 1),
)
def normal_likelihood(mu, log_sigma, x):
    r = (x - mu) * jnp.exp(-log_sigma)
    return -jnp.mean(r) * jnp.exp(-log_sigma), 1 - jnp.mean(r**2)


@right.grad(
    lambda sigma, x: jnp.sum(0.5 * (x / sigma) ** 2 + jnp.log(sigma)),
    (draw.positive(), draw(N)),
    ("convention", "log_parameter"),
    "with respect to ln σ, since σ = e^s is what is trained",
)
def scale_by_its_logarithm(sigma, x):
    return x.size - jnp.sum((x / sigma) ** 2)


# Layers


def mlp_loss(params, X, y):
    H = jnp.tanh(X @ params["W1"].T + params["b1"])
    return jnp.mean((H @ params["w2"] - y) ** 2)


PARAMS = {"W1": draw(M, D), "b1": draw(M), "w2": draw(M)}


@right.grad(mlp_loss, (PARAMS, draw(N, D), draw(N)), EQUAL, "a dictionary of parameters; slopes as 1 − h²")
def mlp(params, X, y):
    H = jnp.tanh(X @ params["W1"].T + params["b1"])
    e = 2 * (H @ params["w2"] - y) / len(y)
    d = e[:, None] * params["w2"] * (1 - H**2)
    return {"W1": d.T @ X, "b1": d.sum(0), "w2": H.T @ e}


@right.vjp(
    lambda X, W, b: X @ W + b,
    (
        jax.ShapeDtypeStruct((N, D), "float32"),
        jax.ShapeDtypeStruct((D, M), "float32"),
        jax.ShapeDtypeStruct((M,), "float32"),
    ),
    EQUAL,
    "shapes only",
)
def dense_by_shapes(args, u):
    X, W, b = args
    return u @ W.T, X.T @ u, u.sum(0)


@right.vjp(jmc.affine, (draw(M, D), draw(M), draw(2, N, D)), EQUAL, "two batch axes")
def affine_batched(args, u):
    w, b, x = args
    return jnp.einsum("abm,abd->md", u, x), u.sum((0, 1)), u @ w


@right.vjp(
    lambda X, W: jnp.maximum(X @ W, 0),
    (draw(N, D), draw(D, M)),
    frozenset({EQUAL, ("convention", "kink_convention")}),
    "0 at 0, where jnp.maximum's is ½",
    witness=(jnp.zeros((N, D)), draw(D, M)),
)
def relu_layer(args, u):
    X, W = args
    d = jnp.where(X @ W > 0, u, 0)
    return d @ W.T, X.T @ d


@right.vjp(lambda X, W: jnp.tanh(X @ W), (draw(1, D), draw(D, 1)), EQUAL, "axes of size 1")
def ones_everywhere(args, u):
    X, W = args
    d = u * (1 - jnp.tanh(X @ W) ** 2)
    return d @ W.T, X.T @ d


@right.vjp(lambda X, W: jnp.tanh(X @ W), (draw(0, D), draw(D, M)), EQUAL, "a batch of nobody")
def nobody(args, u):
    X, W = args
    d = u * (1 - jnp.tanh(X @ W) ** 2)
    return d @ W.T, X.T @ d


def gru(h, x, Wz, Wr, Wh):
    hx = jnp.concatenate([h, x])
    z, r = sigmoid(Wz @ hx), sigmoid(Wr @ hx)
    return (1 - z) * h + z * jnp.tanh(Wh @ jnp.concatenate([r * h, x]))


@right.vjp(gru, (draw(3), draw(2), draw(3, 5), draw(3, 5), draw(3, 5)), EQUAL, "a gated recurrent unit in full")
def gru_cell(args, u):
    h, x, Wz, Wr, Wh = args
    n = h.size
    hx = jnp.concatenate([h, x])
    z, r = sigmoid(Wz @ hx), sigmoid(Wr @ hx)
    rx = jnp.concatenate([r * h, x])
    c = jnp.tanh(Wh @ rx)
    dc = u * z * (1 - c**2)
    dz = u * (c - h) * z * (1 - z)
    drx = Wh.T @ dc
    dr = drx[:n] * h * r * (1 - r)
    dhx = Wz.T @ dz + Wr.T @ dr
    dh = u * (1 - z) + drx[:n] * r + dhx[:n]
    return dh, drx[n:] + dhx[n:], jnp.outer(dz, hx), jnp.outer(dr, hx), jnp.outer(dc, rx)


@right.vjp(
    lambda x, k: jnp.convolve(x, k, mode="valid"),
    (draw(11), draw(3)),
    EQUAL,
    "a convolution's gradients are a correlation and a full convolution",
)
def convolution(args, u):
    x, k = args
    return jnp.convolve(u, k[::-1], mode="full"), jnp.convolve(x[::-1], u, mode="valid")


@right.vjp(lambda E, i: E[i], (draw(D, M), jnp.array([3, 0, 3, 1, 3, 0])), EQUAL, "repeated tokens add up; NumPy code")
def embedding_add(args, u):
    E, i = args
    out = np.zeros(E.shape, np.asarray(u).dtype)
    np.add.at(out, np.asarray(i), np.asarray(u))
    return out, None


@right.vjp(lambda x: jnp.cumsum(x, -1), (draw(N, D),), EQUAL, "a sum from behind")
def cumulative(args, u):
    return (jnp.flip(jnp.cumsum(jnp.flip(u, -1), -1), -1),)


# Softmax, attention, normalisation


@right.vjp(jmc.softmax, (draw(N, D),), EQUAL, "p(u − ⟨u, p⟩)")
def softmax_vjp(args, u):
    p = jmc.softmax(args[0])
    return (p * (u - (u * p).sum(-1, keepdims=True)),)


@right.jvp(jax.nn.log_softmax, (draw(N, D),), EQUAL, "forward mode")
def log_softmax_jvp(args, tangents):
    (x,), (t,) = args, tangents
    return t - (jax.nn.softmax(x) * t).sum(-1, keepdims=True)


@right.jacobian(jax.nn.softmax, (draw(D),), EQUAL, "diag(p) − p pᵀ")
def softmax_jacobian(x):
    p = jax.nn.softmax(x)
    return jnp.diag(p) - jnp.outer(p, p)


def causal(Q, K, V):
    S = Q @ K.T / jnp.sqrt(Q.shape[-1])
    return jax.nn.softmax(jnp.where(jnp.tri(len(Q), dtype=bool), S, -jnp.inf)) @ V


@right.vjp(causal, (draw(5, 3), draw(5, 3), draw(5, 2)), EQUAL, "a causal mask: structural zeros")
def causal_attention(args, u):
    Q, K, V = args
    scale = 1 / jnp.sqrt(Q.shape[-1])
    P = jax.nn.softmax(jnp.where(jnp.tri(len(Q), dtype=bool), Q @ K.T * scale, -jnp.inf))
    dP = u @ V.T
    dS = P * (dP - (dP * P).sum(-1, keepdims=True)) * scale
    return dS @ K, dS.T @ Q, P.T @ u


@right.vjp(jmc.layer_norm, (draw(N, D), draw.positive(D), draw(D)), EQUAL, "in full")
def layer_norm_vjp(args, u):
    x, gamma, beta = args
    mu = x.mean(-1, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + EPS)
    xhat, g = (x - mu) / sigma, u * gamma
    dx = (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)) / sigma
    return dx, (u * xhat).sum(0), u.sum(0)


HALF = tuple(a.astype("bfloat16") for a in (draw(N, 8), draw.positive(8)))


@right.vjp(
    lambda x, gamma: gamma * x / jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + EPS),
    HALF,
    EQUAL,
    "bfloat16 throughout",
    precision=0.1,
)
def rms_norm_bfloat16(args, u):
    x, gamma = args
    sigma = jnp.sqrt(jnp.mean(x**2, -1, keepdims=True) + EPS)
    g, xhat = u * gamma, x / sigma
    return (g - xhat * (g * xhat).mean(-1, keepdims=True)) / sigma, (u * xhat).sum(0)


@right.vjp(
    lambda x: 0.5 * x * (1 + jnp.tanh(x)),
    (draw(N, D, dtype="bfloat16"),),
    EQUAL,
    "bfloat16, element-wise",
    precision=0.05,
)
def gate_bfloat16(args, u):
    (x,) = args
    t = jnp.tanh(x)
    return (u * (0.5 * (1 + t) + 0.5 * x * (1 - t * t)),)


# Linear algebra


@right.vjp(jnp.linalg.inv, (draw.regular(5),), EQUAL, "−Y ᵀ u Yᵀ")
def inverse(args, u):
    Y = jnp.linalg.inv(args[0])
    return (-Y.T @ u @ Y.T,)


def close_to_singular(n):
    U, _, Vt = np.linalg.svd(np.random.default_rng(8).normal(size=(n, n)))
    return jnp.asarray(U @ np.diag(np.geomspace(1, 1e-3, n)) @ Vt, "float32")


@right.vjp(jnp.linalg.solve, (close_to_singular(5), draw(5)), EQUAL, "a condition number of 1000", precision=0.05)
def solve_ill_conditioned(args, u):
    A, b = args
    db = jnp.linalg.solve(A.T, u)
    return -jnp.outer(db, jnp.linalg.solve(A, b)), db


@right.grad(lambda X: jnp.linalg.slogdet(X)[1], (draw.regular(5),), EQUAL, "X⁻ᵀ")
def log_determinant(X):
    return jnp.linalg.inv(X).T


@right.grad(
    lambda S: jnp.linalg.slogdet(S)[1],
    (draw.spd(5),),
    ("convention", "symmetric_argument"),
    "2S⁻¹ − diag(S⁻¹): off the diagonal two entries move",
)
def log_determinant_symmetric(S):
    Y = jnp.linalg.inv(S)
    return 2 * Y - jnp.diag(jnp.diag(Y))


@right.vjp(jnp.linalg.cholesky, (draw.spd(4),), EQUAL, "L⁻ᵀ Φ(Lᵀ u) L⁻¹, made symmetric")
def cholesky(args, u):
    L = jnp.linalg.cholesky(args[0])
    phi = jnp.tril(L.T @ u)
    phi = phi - jnp.diag(jnp.diag(phi)) / 2
    Y = jnp.linalg.inv(L)
    G = Y.T @ phi @ Y
    return ((G + G.T) / 2,)


@right.jacobian(
    lambda x, A: jnp.sin(A @ x),
    (draw(5), draw(3, 5)),
    ("convention", "transposed_layout"),
    "inputs down, outputs across",
)
def denominator_layout(x, A):
    return A.T * jnp.cos(A @ x)


def gated(x, A):
    return jnp.tanh(A @ x) * x


@right.jacobian(gated, (draw(5), draw(5, 5)), EQUAL, "a LinearMap, as jmc gives it")
def linear_map(x, A):
    return jmc.jacobian(gated)(x, A)


@right.grad(lambda x, A: x @ A @ x, (draw(5), draw(5, 5)), EQUAL, "(A + Aᵀ)x and x xᵀ", argnums=(0, 1))
def quadratic_form_both(x, A):
    return A @ x + x @ A, jnp.outer(x, x)


@right.grad(lambda z: jnp.sum(jnp.abs(z) ** 2), (draw.complex(5),), ("convention", "conjugate"), "2z where JAX says 2z̄")
def squared_modulus(z):
    return 2 * z


# Element-wise, and rules of their own


@right.vjp(
    jnp.abs,
    (draw(N),),
    frozenset({EQUAL, ("convention", "kink_convention")}),
    "0 at 0, where JAX says 1",
    witness=(jnp.zeros(1),),
)
def absolute_value(args, u):
    return (u * jnp.sign(args[0]),)


@right.vjp(
    lambda x: x.max(-1),
    (draw(N, M),),
    frozenset({EQUAL, ("convention", "kink_convention")}),
    "at ties the first gets everything",
    witness=(jnp.array([[1.0, 2.0, 2.0]]),),
)
def max_first(args, u):
    (x,) = args
    return (u[:, None] * jax.nn.one_hot(x.argmax(-1), x.shape[-1], dtype=x.dtype),)


@right.vjp(sigmoid, (jnp.array([-41.0, 38.5, 2.1, -0.3, 17.0]),), EQUAL, "σ(x)σ(−x), exact where JAX's own is 0")
def sigmoid_exact(args, u):
    (x,) = args
    return (u * sigmoid(x) * sigmoid(-x),)


@jax.custom_vjp
def log1p_exp(x):
    return jnp.where(x > 20, x, jnp.log1p(jnp.exp(jnp.minimum(x, 20))))


log1p_exp.defvjp(lambda x: (log1p_exp(x), x), lambda x, u: (u * sigmoid(x),))
right.own("softplus_custom_vjp", log1p_exp, (draw(N),), EQUAL, "softplus with its own rule", precision=1e-3)


@jax.custom_jvp
def cube(x):
    return x * x * x


cube.defjvp(lambda primals, tangents: (primals[0] ** 3, 3 * primals[0] ** 2 * tangents[0]))
right.own("cube_custom_jvp", cube, (draw(N),), EQUAL, "with a rule in forward mode")
