"""The right ones of the third set, losses and layers: textbook forms, other conventions, loops of NumPy."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

draw = Draw(9)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})
sigmoid = jax.nn.sigmoid


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, "float32")


# Likelihoods and losses


@right.grad(
    lambda z, y, r: jnp.mean((y + r) * jnp.log(r + jnp.exp(z)) - y * z),
    (draw(N), draw.below(6, N), draw.positive()),
    EQUAL,
    "negative binomial: r(μ − y)/(r + μ)",
)
def negative_binomial(z, y, r):
    mu = jnp.exp(z)
    return r * (mu - y) / (r + mu) / y.size


@right.grad(
    lambda k, rate, x: jnp.sum(jax.scipy.special.gammaln(k) - k * jnp.log(rate) - (k - 1) * jnp.log(x) + rate * x),
    (draw.positive(), draw.positive(), draw.positive(N)),
    EQUAL,
    "both parameters of a gamma distribution",
    argnums=(0, 1),
)
def gamma_parameters(k, rate, x):
    digamma = jax.scipy.special.digamma(k)
    return x.size * (digamma - jnp.log(rate)) - jnp.log(x).sum(), x.sum() - x.size * k / rate


@right.grad(
    lambda w, X, y: jnp.sum(jnp.exp(X @ w) - y * (X @ w)),
    (draw(D, scale=0.5), draw(N, D), draw.below(6, N)),
    EQUAL,
    "a loop of NumPy over the sample",
)
def poisson_loop(w, X, y):
    total = np.zeros(w.shape, np.asarray(w).dtype)
    for row, count in zip(np.asarray(X), np.asarray(y), strict=True):
        total += (np.exp(row @ np.asarray(w)) - count) * row
    return total


def ordinal(z, cuts, y):
    """−ln p of the class y, whose p is what the sigmoid gains between two cuts."""
    below = sigmoid(cuts - z[:, None])
    edges = jnp.concatenate([jnp.zeros_like(below[:, :1]), below, jnp.ones_like(below[:, :1])], 1)
    return -jnp.mean(jnp.log(jnp.take_along_axis(jnp.diff(edges, axis=1), y[:, None], 1)))


@right.grad(
    ordinal,
    (draw(N), jnp.array([-1.1, 0.2, 1.4]), draw.below(4, N)),
    EQUAL,
    "1 − P(y) − P(y − 1); the cuts share what is left of it",
    argnums=(0, 1),
)
def ordinal_both(z, cuts, y):
    s = sigmoid(cuts - z[:, None])
    edges = jnp.pad(s, ((0, 0), (1, 0))), jnp.pad(s, ((0, 0), (0, 1)), constant_values=1)
    low, high = (jnp.take_along_axis(e, y[:, None], 1) for e in edges)
    upper, lower = (jax.nn.one_hot(k, len(cuts), dtype=z.dtype) for k in (y, y - 1))
    return (1 - high - low)[:, 0] / z.size, ((lower - upper) * s * (1 - s) / (high - low)).sum(0) / z.size


def cox(z, event):
    """Cox's partial likelihood; the sample is sorted by time."""
    at_risk = jnp.flip(jnp.cumsum(jnp.flip(jnp.exp(z))))
    return -jnp.sum(event * (z - jnp.log(at_risk)))


@right.grad(cox, (draw(N), draw.mask(N)), EQUAL, "the hazard that has piled up, minus the event")
def cox_residuals(z, event):
    e = jnp.exp(z)
    return e * jnp.cumsum(event / jnp.flip(jnp.cumsum(jnp.flip(e)))) - event


@right.grad(
    lambda a, p, n, margin: jnp.mean(jnp.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin, 0)),
    (draw(T, D), draw(T, D), draw(T, D), jnp.float32(0.5)),
    KINK,
    "a triplet just at the margin pulls nothing",
    argnums=(0, 1, 2),
    witness=(jnp.ones((2, D)), jnp.zeros((2, D)), jnp.zeros((2, D)), jnp.float32(0)),
)
def triplet(a, p, n, margin):
    active = ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin > 0
    g = 2 * active[:, None] / len(a)
    return g * (n - p), g * (p - a), g * (a - n)


@right.grad(
    lambda z: -jnp.mean((1 - sigmoid(z)) ** 2 * jax.nn.log_sigmoid(z)), (draw(N),), EQUAL, "both factors of focal loss"
)
def focal(z):
    p = sigmoid(z)
    return (1 - p) ** 2 * (2 * p * jnp.log(p) - (1 - p)) / z.size


@right.grad(
    lambda p, t: 1 - 2 * jnp.sum(p * t) / (jnp.sum(p) + jnp.sum(t)), (draw.unit(T), draw.mask(T)), EQUAL, "dice"
)
def dice(p, t):
    s = p.sum() + t.sum()
    return (2 * (p * t).sum() - 2 * t * s) / s**2


@right.grad(
    lambda x, labels: (
        -jnp.mean(
            0.9 * jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1)[:, 0]
            + 0.1 * jax.nn.log_softmax(x).mean(1)
        )
    ),
    (draw(N, M), draw.below(M, N)),
    EQUAL,
    "label smoothing, with NumPy's fancy indices",
)
def smoothing(x, labels):
    e = np.exp(np.asarray(x) - np.max(x, 1, keepdims=True))
    g = e / e.sum(1, keepdims=True) - np.asarray(0.1 / x.shape[1], e.dtype)
    g[np.arange(len(g)), np.asarray(labels)] -= 0.9
    return g / len(g)


@right.grad(
    lambda m, s, n, t: jnp.sum(jnp.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5),
    (draw(M), draw.positive(M), draw(M), draw.positive(M)),
    EQUAL,
    "KL of two normal distributions, all four parameters",
    argnums=(0, 1, 2, 3),
)
def gaussian_divergence(m, s, n, t):
    d = (m - n) / t**2
    return d, s / t**2 - 1 / s, -d, 1 / t - (s**2 + (m - n) ** 2) / t**3


def autoencoder(params, x, eps):
    mu, s = x @ params["mu"], x @ params["s"]
    z = mu + jnp.exp(s / 2) * eps
    return jnp.sum((z @ params["out"] - x) ** 2) + 0.5 * jnp.sum(jnp.exp(s) + mu**2 - 1 - s)


VAE = ({"mu": draw(M, 2), "s": draw(M, 2, scale=0.3), "out": draw(2, M)}, draw(N, M), draw(N, 2))


@right.grad(
    autoencoder,
    VAE,
    EQUAL,
    "a variational autoencoder with one layer",
)
def autoencoder_params(params, x, eps):
    mu, s = x @ params["mu"], x @ params["s"]
    noise = jnp.exp(s / 2) * eps
    e = 2 * ((mu + noise) @ params["out"] - x)
    dz = e @ params["out"].T
    return {"mu": x.T @ (dz + mu), "s": x.T @ (dz * noise + jnp.exp(s) - 1) / 2, "out": (mu + noise).T @ e}


@right.grad(
    lambda w, X, y: jnp.mean((X @ w - y) ** 2) / 2 + 0.1 * jnp.sum(jnp.abs(w)) + 0.05 * jnp.sum(w**2),
    (draw(D), draw(N, D), draw(N)),
    KINK,
    "elastic net; a weight of 0 is pulled nowhere",
    witness=(jnp.zeros(D), draw(N, D), draw(N)),
)
def elastic_net(w, X, y):
    return X.T @ (X @ w - y) / len(y) + 0.1 * jnp.sign(w) + 0.1 * w


def black_scholes(S, K, sigma, T):
    """A European call without interest."""
    cdf = lambda x: 0.5 * (1 + jax.scipy.special.erf(x / 2**0.5))
    d1 = (jnp.log(S / K) + 0.5 * sigma**2 * T) / (sigma * jnp.sqrt(T))
    return S * cdf(d1) - K * cdf(d1 - sigma * jnp.sqrt(T))


MARKET = tuple(jnp.asarray(a, "float32") for a in (1.1, 1.0, 0.3, 0.7))


def bell(S, K, sigma, T):
    d1 = (jnp.log(S / K) + 0.5 * sigma**2 * T) / (sigma * jnp.sqrt(T))
    return jnp.exp(-(d1**2) / 2) / jnp.sqrt(2 * jnp.pi)


@right.grad(black_scholes, MARKET, EQUAL, "vega and theta: two terms cancel", argnums=(2, 3), precision=1e-3)
def vega_theta(S, K, sigma, T):
    phi = bell(S, K, sigma, T)
    return S * phi * jnp.sqrt(T), S * phi * sigma / (2 * jnp.sqrt(T))


@right.grad(black_scholes, MARKET, ("convention", "log_parameter"), "vega per relative change of σ", argnums=2)
def vega_relative(S, K, sigma, T):
    return S * bell(S, K, sigma, T) * jnp.sqrt(T) * sigma


# Layers, gates, signals


@right.vjp(
    lambda X, W, V, Z: (jax.nn.silu(X @ W) * (X @ V)) @ Z,
    (draw(N, D), draw(D, M), draw(D, M), draw(M, D)),
    EQUAL,
    "a gated MLP in full",
)
def swiglu(args, u):
    X, W, V, Z = args
    a, b = X @ W, X @ V
    s = sigmoid(a)
    dh = u @ Z.T
    da, db = dh * b * (s + a * s * (1 - s)), dh * a * s
    return da @ W.T + db @ V.T, X.T @ da, X.T @ db, (a * s * b).T @ u


@right.vjp(
    lambda x, W, V: x * sigmoid(V @ jax.nn.relu(W @ x.mean(1)))[:, None],
    (draw(4, N), draw(2, 4), draw(4, 2)),
    EQUAL,
    "squeeze and excite with its bottleneck",
)
def excited(args, u):
    x, W, V = args
    m = x.mean(1)
    h = jnp.maximum(W @ m, 0)
    s = sigmoid(V @ h)
    dz = (u * x).sum(1) * s * (1 - s)
    dh = (V.T @ dz) * (h > 0)
    return u * s[:, None] + (W.T @ dh / x.shape[1])[:, None], jnp.outer(dh, m), jnp.outer(dz, h)


@right.vjp(
    lambda x, g, b: g[:, None] * x + b[:, None], (shape(2, T, D), shape(2, D), shape(2, D)), EQUAL, "FiLM, shapes only"
)
def film(args, u):
    x, g, b = args
    return g[:, None] * u, (u * x).sum(1), u.sum(1)


@right.vjp(
    lambda x, G, E: jnp.einsum("k,kmd,d->m", jax.nn.softmax(G @ x), E, x),
    (shape(D), shape(4, D), shape(4, M, D)),
    EQUAL,
    "a mixture of linear experts",
)
def mixture(args, u):
    x, G, E = args
    p = jax.nn.softmax(G @ x)
    said = E @ x @ u
    dz = p * (said - p @ said)
    return jnp.einsum("k,kmd,m->d", p, E, u) + G.T @ dz, jnp.outer(dz, x), p[:, None, None] * jnp.outer(u, x)


@right.vjp(
    lambda x, k: x[2 * jnp.arange((x.size - k.size) // 2 + 1)[:, None] + jnp.arange(k.size)] @ k,
    (draw(11), draw(3)),
    EQUAL,
    "a convolution with stride 2, in loops",
)
def strided(args, u):
    x, k, u = (np.asarray(a) for a in (*args, u))
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    for i, v in enumerate(u):
        dx[2 * i : 2 * i + len(k)] += v * k
        dk += v * x[2 * i : 2 * i + len(k)]
    return dx, dk


@right.vjp(lambda E, i: E[i].mean(1), (draw(T, D), draw.below(T, N, 4)), EQUAL, "a bag of embeddings, by one-hot rows")
def bag(args, u):
    E, i = args
    return jax.nn.one_hot(i, len(E), dtype=u.dtype).mean(1).T @ u, None


def exponential_smoothing(x, alpha):
    def step(s, new):
        s = (1 - alpha) * s + alpha * new
        return s, s

    return jax.lax.scan(step, jnp.zeros((), x.dtype), x)[1]


@right.vjp(exponential_smoothing, (draw(T), draw.unit()), EQUAL, "the adjoint runs backwards; α's gradient along it")
def smoothed(args, u):
    x, alpha = args
    back = jnp.flip(exponential_smoothing(jnp.flip(u), alpha))
    before = jnp.pad(exponential_smoothing(x, alpha)[:-1], (1, 0))
    return back, back @ (x - before) / alpha


@right.vjp(jnp.cumprod, (draw.positive(T),), EQUAL, "what comes from behind, divided by the factor")
def products(args, u):
    (x,) = args
    return (jnp.flip(jnp.cumsum(jnp.flip(u * jnp.cumprod(x)))) / x,)


@right.vjp(
    lambda x: jnp.repeat(jnp.repeat(x, 2, 0), 2, 1),
    (draw(3, 4, dtype="bfloat16"),),
    EQUAL,
    "upsampled in both directions, bfloat16",
    precision=0.05,
)
def upsampling(args, u):
    return (u.reshape(3, 2, 4, 2).sum((1, 3)),)


@right.vjp(
    lambda x, knots, c: jnp.maximum(x[:, None] - knots, 0) @ c,
    (draw(N), draw(M), draw(M)),
    KINK,
    "a linear spline; at a knot the piece on its left",
    witness=(jnp.ones(2), jnp.ones(1), jnp.ones(1)),
)
def spline(args, u):
    x, knots, c = args
    beyond = (x[:, None] > knots).astype(u.dtype)
    slopes = beyond * c * u[:, None]
    return slopes.sum(1), -slopes.sum(0), u @ (beyond * (x[:, None] - knots))


@right.jvp(
    lambda x, B: jnp.concatenate([jnp.cos(2 * jnp.pi * B @ x), jnp.sin(2 * jnp.pi * B @ x)]),
    (draw(D, scale=0.5), draw(M, D)),
    EQUAL,
    "Fourier features, forwards",
    precision=1e-3,
)
def fourier(args, tangents):
    (x, B), (dx, dB) = args, tangents
    z, dz = 2 * jnp.pi * B @ x, 2 * jnp.pi * (B @ dx + dB @ x)
    return jnp.concatenate([-jnp.sin(z) * dz, jnp.cos(z) * dz])
