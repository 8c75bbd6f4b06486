"""The fifth set's mistakes in losses and likelihoods: most of their functions are the right ones' next door."""

# ruff: noqa: ARG001 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_fifth_right import (
    ANGLES,
    CENSORED,
    COUNTS,
    MACHINE,
    SHARES,
    SPINS,
    VIEWS,
    WORDS,
    censored,
    coupling,
    decorrelated,
    directions,
    free_energy,
    many_zeros,
    order_of_finish,
    proportions,
    sorted_distance,
    spins,
    tube,
    two_samples,
    views,
    word_vectors,
)

draw = Draw(31)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid, softplus = jax.nn.sigmoid, jax.nn.softplus
digamma = jax.scipy.special.digamma


# Pairs and rankings


@wrong.grad(views, VIEWS, "missing_term", "an example is also what others are compared with")
def views_asking(Z, tau):
    n = len(Z)
    P = jax.nn.softmax(jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, Z @ Z.T / tau))
    return (P - jnp.roll(jnp.eye(n, dtype=Z.dtype), n // 2, axis=1)) @ Z / (n * tau)


@wrong.grad(
    lambda s, i, j: jnp.sum(softplus(s[j] - s[i])),
    (draw(M), jnp.asarray([0, 2, 2, 4, 1, 0]), jnp.asarray([1, 0, 3, 2, 4, 3])),
    frozenset({"missing_sum", "region"}),
    "who plays several games keeps the last one only",
)
def games_by_index(s, i, j):
    p = sigmoid(s[j] - s[i])
    return jnp.zeros_like(s).at[i].set(-p) + jnp.zeros_like(s).at[j].add(p)


@wrong.grad(
    order_of_finish,
    (draw(M),),
    frozenset({"missing_term", "diagonal_only"}),
    "each in its own choice only, not in the earlier ones that it lost",
)
def order_of_finish_own(s):
    e = jnp.exp(s)
    return e / jnp.cumsum(e[::-1])[::-1] - 1


@wrong.grad(word_vectors, WORDS, frozenset({"sign", "wrong_term"}), "noise is pulled in like the neighbour")
def word_vectors_noise(word, context, noise):
    return -sigmoid(-word @ context) * context - sigmoid(noise @ word) @ noise


@wrong.grad(
    two_samples,
    (draw(N, D), draw(M, D)),
    frozenset({"wrong_term", "constant_factor", "missing_term"}),
    "a pair within the sample moves at both ends: the 2 of the first term",
)
def two_samples_one_end(X, Y):
    XX, XY = X[None] - X[:, None], Y[None] - X[:, None]
    k = lambda d: jnp.exp(-0.5 * jnp.sum(d**2, -1))[..., None]
    return jnp.sum(k(XX) * XX, 1) / len(X) ** 2 - 2 * jnp.sum(k(XY) * XY, 1) / (len(X) * len(Y))


@wrong.grad(
    sorted_distance,
    (draw(T), draw(T)),
    frozenset({"transposed_operand", "wrong_term"}),
    "taken in the order of the ranks again, where it should be put back",
)
def sorted_distance_again(x, y):
    order = jnp.argsort(x)
    return (2 * (x[order] - jnp.sort(y)) / x.size)[order]


@wrong.grad(
    decorrelated, (draw(N, D), draw(N, D), draw.unit()), "missing_factor", "the weight of what is off the diagonal"
)
def decorrelated_unweighted(A, B, weight):
    C = A.T @ B / len(A)
    return 2 * B @ (C - jnp.eye(len(C), dtype=C.dtype)).T / len(A)


def spread(X):
    """Each feature should vary by 1 at least."""
    return jnp.sum(jnp.maximum(1 - jnp.sqrt(X.var(0) + 1e-4), 0))


@wrong.grad(
    spread,
    (draw(N, 4) * jnp.asarray([0.3, 2.0, 0.6, 3.0]),),
    frozenset({"region", "missing_factor"}),
    "features that vary enough are spread out further",
)
def spread_always(X):
    return -(X - X.mean(0)) / jnp.sqrt(X.var(0) + 1e-4) / len(X)


@wrong.grad(
    lambda C, x, c: 0.5 * jnp.sum((x - C[c]) ** 2),
    (draw(3, D), draw(T, D), jnp.asarray([0, 1, 1, 2, 0, 1, 2, 1, 1, 0, 2])),
    frozenset({"mean_vs_sum", "missing_factor"}),
    "the mean over a class, for the sum",
)
def class_centres(C, x, c):
    member = jax.nn.one_hot(c, len(C), dtype=x.dtype)
    return C - member.T @ x / member.sum(0)[:, None]


def stress(s, d):
    return jnp.mean((s[:, None] - s[None, :] - d) ** 2)


@wrong.grad(stress, (draw(N), draw(N, N)), "mean_vs_sum", "pairs are N², not N")
def stress_by_points(s, d):
    r = s[:, None] - s[None, :] - d
    return 2 * (r.sum(1) - r.sum(0)) / s.size


@wrong.grad(
    stress, (draw(N), draw(N, N)), ("sign", "mean_vs_sum"), "the second of a pair first, and pairs not averaged"
)
def stress_two(s, d):
    r = s[:, None] - s[None, :] - d
    return 2 * (r.sum(0) - r.sum(1))


# Classification


def robust_entropy(x, t):
    """(1 − p^q)/q of the true class, with q = 0.7."""
    return jnp.mean((1 - jnp.sum(t * jax.nn.softmax(x), -1) ** 0.7) / 0.7)


LABELS = jnp.eye(M)[draw.below(M, N)]


@wrong.grad(robust_entropy, (draw(N, M), LABELS), "missing_factor", "p^q of the robust loss: as for cross-entropy")
def robust_entropy_plain(x, t):
    return (jax.nn.softmax(x) - t) / len(x)


def poly_loss(x, t):
    p = jnp.sum(t * jax.nn.softmax(x), -1)
    return jnp.mean(-jnp.log(p) + 2 * (1 - p))


@wrong.grad(
    poly_loss,
    (draw(N, M), LABELS),
    (frozenset({"missing_term", "missing_factor"}), "mean_vs_sum"),
    "cross-entropy's own, and no 1/N",
)
def poly_loss_two(x, t):
    return jax.nn.softmax(x) - t


@wrong.grad(tube, (draw(T), draw(T)), "region", "small errors pull, too")
def tube_everywhere(p, y):
    return jnp.sign(p - y) / p.size


@wrong.grad(
    lambda r, delta: jnp.sum(delta**2 * (jnp.sqrt(1 + (r / delta) ** 2) - 1)),
    (draw(T), draw.positive()),
    "extra_factor",
    "δ², of which the inner derivative takes both, loses one only",
)
def charbonnier_scale(r, delta):
    return delta * r / jnp.sqrt(1 + (r / delta) ** 2)


@wrong.grad(
    lambda x: jnp.max(jnp.abs(x)),
    (draw(M),),
    frozenset({"kink_convention", "region"}),
    "at a tie both of the largest get 1",
    witness=(jnp.array([2.0, -2.0, 0.5]),),
)
def largest_error(x):
    return jnp.where(jnp.abs(x) == jnp.abs(x).max(), jnp.sign(x), 0)


# Likelihoods


@wrong.grad(many_zeros, COUNTS, "region", "zeros as if they were counts like the others")
def many_zeros_as_counts(z, a, y):
    return (jnp.exp(z) - y) / y.size


@wrong.grad(censored, CENSORED, "region", "what was cut off is taken at its face value")
def censored_as_seen(mu, sigma, y):
    return (mu - y) / sigma**2


@wrong.grad(directions, ANGLES, ("sign", "missing_factor"), "sin(x − μ) points the other way, and has no concentration")
def directions_two(mu, kappa, x):
    return jnp.mean(jnp.sin(x - mu))


@wrong.grad(proportions, SHARES, "swapped_arguments", "(∂b, ∂a)", argnums=(0, 1))
def proportions_swapped(a, b, x):
    both = digamma(a + b)
    return digamma(b) - both - jnp.log1p(-x).mean(), digamma(a) - both - jnp.log(x).mean()


@wrong.grad(coupling, (draw(N, D), draw(N, D), draw(N, D)), "missing_term", "the log determinant's −1")
def coupling_volume(s, t, x):
    z = x * jnp.exp(s) + t
    return z * x * jnp.exp(s) / len(x)


@wrong.grad(spins, SPINS, "constant_factor", "a spin turns by 2")
def spins_half(J, s):
    return -jnp.outer(sigmoid(-2 * s * (J @ s)) * s, s)


@wrong.grad(free_energy, MACHINE, "transposed_layout", "v hᵀ, for weights that are (hidden, visible)")
def free_energy_layout(params, v):
    h = sigmoid(v @ params["W"].T + params["b"])
    return {"W": -v.T @ h / len(v), "a": -v.mean(0), "b": -h.mean(0)}


@wrong.grad(
    lambda e, x, w: jnp.mean(w * jnp.sum((e - x) ** 2, -1)),
    (draw(N, D), draw(N, D), draw.positive(N)),
    ("constant_factor", "missing_factor"),
    "denoising: neither the 2 nor the weight of the noise level",
)
def denoising_two(e, x, w):
    return (e - x) / len(x)


@wrong.grad(
    lambda sigma, x: jnp.mean(0.5 * x**2 / sigma**4 - 1 / sigma**2),
    (draw.positive(), draw(T)),
    "missing_term",
    "score matching: the divergence of the score depends on σ as well",
)
def score_matching(sigma, x):
    return -2 * jnp.mean(x**2) / sigma**5


@wrong.grad(
    lambda T, logits: jnp.mean(jax.nn.logsumexp(logits / T, axis=-1) - logits[:, 0] / T),
    (draw.positive(), draw(N, M)),
    "zero",
    "calibration: the temperature taken for a setting",
)
def temperature_setting(T, logits):
    return jnp.zeros_like(T)
