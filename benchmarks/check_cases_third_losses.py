"""The third set's mistakes in likelihoods, losses and prices."""

# ruff: noqa: ARG001 - a gradient takes what its function takes

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_third_right import MARKET, VAE, autoencoder, black_scholes, cox, ordinal

draw = Draw(10)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid
pdf, cdf = jax.scipy.stats.norm.pdf, jax.scipy.stats.norm.cdf


# Likelihoods and losses


def gamma_loss(z, y, k):
    """−ln p of a gamma distribution with mean eᶻ and shape k, but for constants."""
    return jnp.mean(k * z + k * y * jnp.exp(-z))


@wrong.grad(gamma_loss, (draw(N), draw.positive(N), draw.positive()), "wrong_term", "e⁻ᶻ differentiated to +e⁻ᶻ")
def gamma_plus(z, y, k):
    return k * (1 + y * jnp.exp(-z)) / y.size


def negative_binomial(z, y, r):
    return jnp.mean((y + r) * jnp.log(r + jnp.exp(z)) - y * z)


COUNTS = draw.below(6, N)


@wrong.grad(
    negative_binomial,
    (draw(N), COUNTS, draw.positive()),
    frozenset({"missing_factor", "wrong_term"}),
    "the inner derivative eᶻ of the logarithm",
)
def negative_binomial_inner(z, y, r):
    return ((y + r) / (r + jnp.exp(z)) - y) / y.size


@wrong.grad(negative_binomial, (draw(N), COUNTS, draw.positive()), "missing_term", "the −yz was taken for a constant")
def negative_binomial_counts(z, y, r):
    mu = jnp.exp(z)
    return (y + r) * mu / (r + mu) / y.size


def poisson_regression(w, X, y):
    return jnp.mean(jnp.exp(X @ w) - y * (X @ w))


POISSON = (draw(D, scale=0.5), draw(N, D), COUNTS)


@wrong.grad(poisson_regression, POISSON, "extra_factor", "μ − y with the slope μ of the link once more")
def poisson_regression_slope(w, X, y):
    mu = jnp.exp(X @ w)
    return X.T @ ((mu - y) * mu) / len(y)


@wrong.grad(poisson_regression, POISSON, "mean_vs_sum", "the score of the whole sample, not of the mean")
def poisson_regression_sum(w, X, y):
    return X.T @ (jnp.exp(X @ w) - y)


@wrong.grad(
    ordinal, (draw(N), jnp.array([-1.1, 0.2, 1.4]), draw.below(4, N)), "sign", "the gradient of ln p for that of −ln p"
)
def ordinal_ascent(z, cuts, y):
    edges = jnp.concatenate([jnp.array([-40.0], z.dtype), cuts, jnp.array([40.0], z.dtype)])
    return (sigmoid(edges[y] - z) + sigmoid(edges[y + 1] - z) - 1) / z.size


@wrong.grad(
    cox,
    (draw(N), draw.mask(N)),
    frozenset({"diagonal_only", "missing_term"}),
    "each risk through its own event only, not through all earlier ones",
)
def cox_own_event(z, event):
    e = jnp.exp(z)
    return event * (e / jnp.flip(jnp.cumsum(jnp.flip(e))) - 1)


def triplet(a, p, n):
    return jnp.mean(jax.nn.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.5))


TRIPLET = (draw(T, D), draw(T, D), draw(T, D))


@wrong.grad(triplet, TRIPLET, frozenset({"region", "missing_factor"}), "easy triplets push as well: no hinge")
def triplet_without_hinge(a, p, n):
    return 2 * (n - p) / len(a)


@wrong.grad(triplet, TRIPLET, ("sign", "constant_factor"), "p − n for n − p, and no 2")
def triplet_two(a, p, n):
    active = ((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.5 > 0
    return active[:, None] * (p - n) / len(a)


def pair_loss(x, y, same):
    d = jnp.sqrt(((x - y) ** 2).sum(1))
    return jnp.mean(same * d**2 + (1 - same) * jax.nn.relu(3 - d) ** 2)


@wrong.grad(pair_loss, (draw(N, D), draw(N, D), draw.mask(N)), "wrong_term", "other pairs attract, too: no minus")
def pair_loss_attracts(x, y, same):
    d = jnp.sqrt(((x - y) ** 2).sum(1))
    pull = same * 2 * d + (1 - same) * 2 * jax.nn.relu(3 - d)
    return (pull / d)[:, None] * (x - y) / len(x)


@wrong.grad(
    lambda z: -jnp.mean((1 - sigmoid(z)) ** 2 * jax.nn.log_sigmoid(z)),
    (draw(N),),
    "missing_term",
    "the weight (1 − p)² of the focal loss taken for a constant",
)
def focal_weight_constant(z):
    return -((1 - sigmoid(z)) ** 3) / z.size


@wrong.grad(
    lambda p, t: 1 - 2 * jnp.sum(p * t) / (jnp.sum(p) + jnp.sum(t)),
    (draw.unit(T), draw.mask(T)),
    "missing_term",
    "the denominator of dice taken for a constant",
)
def dice_denominator(p, t):
    return -2 * t / (p.sum() + t.sum())


@wrong.grad(
    lambda p, t: 1 - jnp.sum(p * t) / (jnp.sum(p + t - p * t)),
    (draw.unit(T), draw.mask(T)),
    "wrong_term",
    "plus in the quotient rule of the soft Jaccard index",
)
def jaccard_plus(p, t):
    both, either = jnp.sum(p * t), jnp.sum(p + t - p * t)
    return -(t * either + both * (1 - t)) / either**2


def smoothed(logits, labels):
    K = logits.shape[1]
    t = 0.9 * jax.nn.one_hot(labels, K, dtype=logits.dtype) + 0.1 / K
    return -jnp.mean(jnp.sum(t * jax.nn.log_softmax(logits), 1))


@wrong.grad(smoothed, (draw(N, M), draw.below(M, N)), "missing_term", "ε/K of the smoothed label is left out")
def smoothing_uniform(logits, labels):
    t = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return (jax.nn.softmax(logits) - 0.9 * t) / len(logits)


@wrong.grad(
    lambda z, target, tau: -tau * tau * jnp.mean(jnp.sum(target * jax.nn.log_softmax(z / tau), 1)),
    (draw(N, M), draw.simplex(N, M), draw.positive()),
    "extra_factor",
    "distillation: τ² · 1/τ is τ, here one τ too many",
)
def distillation_temperature(z, target, tau):
    return tau**2 * (jax.nn.softmax(z / tau) - target) / len(z)


@wrong.grad(
    lambda mu, s: 0.5 * jnp.sum(jnp.exp(s) + mu**2 - 1 - s),
    (draw(M), draw(M)),
    "constant_factor",
    "the ½ before the divergence is lost in ∂/∂ ln σ²",
    argnums=1,
)
def gaussian_divergence_half(mu, s):
    return jnp.exp(s) - 1


@wrong.grad(
    lambda a, y: jnp.mean((jnp.log1p(a) - jnp.log1p(y)) ** 2),
    (draw.positive(N), draw.positive(N)),
    ("missing_factor", "constant_factor"),
    "neither 1/(1 + a) nor 2",
)
def squared_logarithms(a, y):
    return (jnp.log1p(a) - jnp.log1p(y)) / a.size


@wrong.grad(
    lambda a, y: jnp.mean(jnp.abs((y - a) / y)),
    (draw(N), draw(N, scale=2)),
    "missing_factor",
    "a relative error's gradient without 1/|y|",
)
def percentage(a, y):
    return jnp.sign(a - y) / a.size


@wrong.grad(
    lambda w, X, y, c: jnp.mean(c * (X @ w - y) ** 2),
    (draw(D), draw(N, D), draw(N), draw.positive(N)),
    ("missing_factor", "mean_vs_sum"),
    "neither the weights nor 1/N",
)
def weighted_squares(w, X, y, c):
    return 2 * X.T @ (X @ w - y)


def soft_hinge(m):
    return jnp.mean(jnp.where(m >= 1, 0, jnp.where(m > 0, 0.5 * (1 - m) ** 2, 0.5 - m)))


@wrong.grad(soft_hinge, (draw(T, scale=2),), "region", "the parabola goes on where the line should")
def soft_hinge_without_line(m):
    return -jnp.maximum(1 - m, 0) / m.size


@wrong.grad(autoencoder, VAE, "missing_factor", "the noise reaches ln σ² through e^{s/2}, not by itself")
def autoencoder_noise(params, x, eps):
    mu, s = x @ params["mu"], x @ params["s"]
    z = mu + jnp.exp(s / 2) * eps
    e = 2 * (z @ params["out"] - x)
    dz = e @ params["out"].T
    return {"mu": x.T @ (dz + mu), "s": x.T @ (dz * eps + jnp.exp(s) - 1) / 2, "out": z.T @ e}


# Prices


@wrong.grad(
    black_scholes,
    MARKET,
    "missing_factor",
    "vega without √T",
    argnums=2,
)
def vega(S, K, sigma, T):
    d1 = (jnp.log(S / K) + 0.5 * sigma**2 * T) / (sigma * jnp.sqrt(T))
    return S * pdf(d1)


@wrong.grad(
    black_scholes,
    MARKET,
    frozenset({"wrong_point", "wrong_term"}),
    "delta as Φ(d₂)",
)
def delta(S, K, sigma, T):
    d2 = (jnp.log(S / K) - 0.5 * sigma**2 * T) / (sigma * jnp.sqrt(T))
    return cdf(d2)
