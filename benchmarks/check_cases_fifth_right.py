"""The right ones of the fifth set, losses and likelihoods: rankings, pairs, directions, counts with many zeros."""

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(30)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})
sigmoid, softplus = jax.nn.sigmoid, jax.nn.softplus
digamma, gammaln, i0, i1 = (getattr(jax.scipy.special, name) for name in ("digamma", "gammaln", "i0", "i1"))


# Pairs and rankings


def views(Z, tau):
    """Two views of each example, the first half of the rows and the second: each is to find the other."""
    n = len(Z)
    S = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, Z @ Z.T / tau)
    return jnp.mean(jax.nn.logsumexp(S, 1) - S[jnp.arange(n), (jnp.arange(n) + n // 2) % n])


VIEWS = (draw(8, D), draw.positive())


@right.grad(views, VIEWS, EQUAL, "each example asks and answers")
def views_both(Z, tau):
    n = len(Z)
    P = jax.nn.softmax(jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, Z @ Z.T / tau))
    G = (P - jnp.roll(jnp.eye(n, dtype=Z.dtype), n // 2, axis=1)) / (n * tau)
    return (G + G.T) @ Z


def won_games(s, beats):
    """Pairs (i, j) with beats = 1: i should be above j."""
    return jnp.sum(beats * softplus(s[None, :] - s[:, None]))


@right.grad(won_games, (draw(M), draw.mask(M, M)), EQUAL, "what a win gives one, it takes from the other")
def won_games_both(s, beats):
    W = beats * sigmoid(s[None, :] - s[:, None])
    return W.sum(0) - W.sum(1)


def order_of_finish(s):
    """Plackett and Luce: the first is chosen among all, the second among the rest, …"""
    return sum(jax.nn.logsumexp(s[k:]) - s[k] for k in range(s.size))


@right.grad(order_of_finish, (draw(M),), EQUAL, "a running sum of all earlier choices")
def order_of_finish_stages(s):
    e = np.exp(np.asarray(s - s.max()))
    return e * np.cumsum(1 / np.cumsum(e[::-1])[::-1]) - 1


@right.hessian(order_of_finish, (draw(M),), EQUAL, "the stages' covariances, added up")
def order_of_finish_hessian(s):
    H = 0
    for k in range(s.size):
        p = jnp.concatenate([jnp.zeros(k, s.dtype), jax.nn.softmax(s[k:])])
        H = H + jnp.diag(p) - jnp.outer(p, p)
    return H


def word_vectors(word, context, noise):
    return softplus(-(word @ context)) + jnp.sum(softplus(noise @ word))


WORDS = (draw(D), draw(D), draw(M, D))


@right.grad(word_vectors, WORDS, EQUAL, "a word, its neighbour and words that are not", argnums=(0, 1, 2))
def word_vectors_all(word, context, noise):
    near, far = -sigmoid(-word @ context), sigmoid(noise @ word)
    return near * context + far @ noise, near * word, far[:, None] * word


def two_samples(X, Y):
    """The squared distance of means in the space of a Gaussian kernel."""

    def k(A, B):
        return jnp.mean(jnp.exp(-0.5 * jnp.sum((A[:, None] - B[None]) ** 2, -1)))

    return k(X, X) - 2 * k(X, Y) + k(Y, Y)


@right.grad(two_samples, (draw(N, D), draw(M, D)), EQUAL, "loops of NumPy over the pairs")
def two_samples_loops(X, Y):
    X, Y = np.asarray(X), np.asarray(Y)
    G = np.zeros_like(X)
    for i, x in enumerate(X):
        for other in X:
            G[i] += 2 / len(X) ** 2 * np.exp(-0.5 * np.sum((x - other) ** 2)) * (other - x)
        for y in Y:
            G[i] -= 2 / (len(X) * len(Y)) * np.exp(-0.5 * np.sum((x - y) ** 2)) * (y - x)
    return G


def sorted_distance(x, y):
    return jnp.mean((jnp.sort(x) - jnp.sort(y)) ** 2)


@right.grad(sorted_distance, (draw(T), draw(T)), EQUAL, "ranks: the k-th smallest belongs to the k-th smallest")
def sorted_distance_ranks(x, y):
    return 2 * (x - jnp.sort(y)[jnp.argsort(jnp.argsort(x))]) / x.size


def decorrelated(A, B, weight):
    C = A.T @ B / len(A)
    return jnp.sum((1 - jnp.diag(C)) ** 2) + weight * jnp.sum((C - jnp.diag(jnp.diag(C))) ** 2)


@right.grad(decorrelated, (draw(N, D), draw(N, D), draw.unit()), EQUAL, "both views", argnums=(0, 1))
def decorrelated_both(A, B, weight):
    C = A.T @ B / len(A)
    eye = jnp.eye(len(C), dtype=C.dtype)
    dC = 2 * jnp.where(eye > 0, C - 1, weight * C) / len(A)
    return B @ dC.T, A @ dC


# Likelihoods


def many_zeros(z, a, y):
    """Zero-inflated Poisson: with the probability σ(a) nothing is counted at all."""
    silent = jnp.logaddexp(a, -jnp.exp(z))
    return jnp.mean(softplus(a) - jnp.where(y > 0, y * z - jnp.exp(z) - gammaln(y + 1), silent))


COUNTS = (draw(T), draw(T), jnp.asarray([0.0, 1, 0, 3, 2, 0, 0, 1, 0, 5, 0]))


@right.grad(many_zeros, COUNTS, EQUAL, "a zero is shared between its two causes", argnums=(0, 1))
def many_zeros_both(z, a, y):
    nothing = sigmoid(a + jnp.exp(z))  # the probability that a zero is due to silence
    dz = jnp.where(y > 0, jnp.exp(z) - y, (1 - nothing) * jnp.exp(z))
    return dz / y.size, (sigmoid(a) - jnp.where(y > 0, 0, nothing)) / y.size


def directions(mu, kappa, x):
    """Von Mises' law on the circle."""
    return jnp.mean(-kappa * jnp.cos(x - mu) + jnp.log(i0(kappa)))


ANGLES = (draw(), draw.positive(), draw(T))


@right.grad(directions, ANGLES, EQUAL, "the mean direction's sine and cosine", argnums=(0, 1))
def directions_moments(mu, kappa, x):
    C, S = jnp.cos(x).mean(), jnp.sin(x).mean()
    across = S * jnp.cos(mu) - C * jnp.sin(mu)
    return -kappa * across, i1(kappa) / i0(kappa) - (C * jnp.cos(mu) + S * jnp.sin(mu))


def proportions(a, b, x):
    return jnp.mean(gammaln(a) + gammaln(b) - gammaln(a + b) - (a - 1) * jnp.log(x) - (b - 1) * jnp.log1p(-x))


SHARES = (draw.positive(), draw.positive(), draw.unit(T))


@right.grad(proportions, SHARES, ("convention", "log_parameter"), "a beta law by the logarithms of its two shapes")
def proportions_by_logarithm(a, b, x):
    return a * (digamma(a) - digamma(a + b) - jnp.log(x).mean())


def first_passage(mu, lam, x):
    """The inverse Gaussian law."""
    return jnp.sum(lam * (x - mu) ** 2 / (2 * mu**2 * x) - jnp.log(lam) / 2)


PASSAGES = (draw.positive(), draw.positive(), draw.positive(T))


@right.grad(first_passage, PASSAGES, EQUAL, "both terms of the mean, gathered to λ(μ − x)/μ³", argnums=(0, 1))
def first_passage_both(mu, lam, x):
    return lam * (mu - x).sum() / mu**3, jnp.sum((x - mu) ** 2 / x) / (2 * mu**2) - x.size / (2 * lam)


@right.grad(
    first_passage, PASSAGES, ("convention", "log_parameter"), "by the logarithm of λ, as it is trained", argnums=1
)
def first_passage_by_logarithm(mu, lam, x):
    return (lam * jnp.sum((x - mu) ** 2 / x) / mu**2 - x.size) / 2


def tweedie(mu, y):
    """Of power 3/2: claims of insurance."""
    return jnp.mean(2 * y / jnp.sqrt(mu) + 2 * jnp.sqrt(mu))


@right.grad(tweedie, (draw.positive(T), draw.positive(T)), EQUAL, "(μ − y)/μ^(3/2)")
def tweedie_scaled(mu, y):
    return (mu - y) / (mu * jnp.sqrt(mu)) / mu.size


def censored(mu, sigma, y):
    """Tobit: what is below 0 is seen as 0."""
    z = (y - mu) / sigma
    return jnp.sum(
        jnp.where(y > 0, 0.5 * z**2 + jnp.log(sigma), -jax.scipy.stats.norm.logcdf(jnp.where(y > 0, 0, -mu / sigma)))
    )


CENSORED = (draw(N), draw.positive(), jnp.asarray([0.0, 0.7, 1.3, 0.0, 2.1, 0.0, 0.4]))


@right.grad(censored, CENSORED, EQUAL, "the hazard of what was cut off", argnums=(0, 1), precision=1e-3)
def censored_both(mu, sigma, y):
    z, c = (y - mu) / sigma, mu / sigma
    hazard = jnp.exp(jax.scipy.stats.norm.logpdf(c) - jax.scipy.stats.norm.logcdf(-c))
    dmu = jnp.where(y > 0, -z, hazard) / sigma
    return dmu, jnp.sum(jnp.where(y > 0, 1 - z**2, -c * hazard)) / sigma


def coupling(s, t, x):
    """The negative log-likelihood of an affine coupling x eˢ + t under a normal law."""
    return jnp.mean(jnp.sum(0.5 * (x * jnp.exp(s) + t) ** 2 - s, -1))


@right.grad(coupling, (draw(N, D), draw(N, D), draw(N, D)), EQUAL, "scale and shift", argnums=(0, 1))
def coupling_both(s, t, x):
    z = x * jnp.exp(s) + t
    return ((z - t) * z - 1) / len(x), z / len(x)


def spins(J, s):
    """The pseudo-likelihood of an Ising model: each spin, given the others."""
    return jnp.sum(softplus(-2 * s * (J @ s)))


SPINS = (draw(M, M), jnp.asarray([1.0, -1, -1, 1, -1]))


@right.grad(spins, SPINS, EQUAL, "the logistic function written out")
def spins_written_out(J, s):
    return -2 * jnp.outer(s / (1 + jnp.exp(2 * s * (J @ s))), s)


def free_energy(params, v):
    return jnp.mean(-v @ params["a"] - softplus(v @ params["W"].T + params["b"]).sum(-1))


MACHINE = ({"W": draw(M, D), "a": draw(D), "b": draw(M)}, draw(N, D))


@right.grad(free_energy, MACHINE, EQUAL, "a Boltzmann machine's parameters")
def free_energy_parameters(params, v):
    h = sigmoid(v @ params["W"].T + params["b"])
    return {"W": -h.T @ v / len(v), "a": -v.mean(0), "b": -h.mean(0)}


def tube(p, y):
    """Errors below ½ do not count."""
    return jnp.mean(jnp.maximum(jnp.abs(p - y) - 0.5, 0))


@right.grad(tube, (draw(T), draw(T)), KINK, "at the tube's wall nothing pulls", witness=(jnp.full(2, 1.5), jnp.ones(2)))
def tube_inside(p, y):
    return jnp.where(jnp.abs(p - y) > 0.5, jnp.sign(p - y), 0) / p.size


@right.grad(
    jmc.squared_hinge, (draw(N), jnp.asarray([1.0, -1, 1, 1, -1, -1, 1])), EQUAL, "a square has no kink at the margin"
)
def squared_hinge_loss(score, target):
    return jnp.where(target * score < 1, 2 * (score - target), 0) / score.size
