"""The fourth set's mistakes in likelihoods and losses."""

# ruff: noqa: ARG001, ARG005 - a gradient takes what its function takes

import functools

import jax
import jax.numpy as jnp
from check_cases import Cases, Draw
from check_cases_fourth_right import (
    CRPS,
    HINGE,
    MIXTURE,
    POLICY,
    PROCESS,
    STUDENT,
    cdf,
    crps,
    digamma,
    dirichlet,
    double,
    gp_loss,
    kernel,
    mixture_loss,
    multiclass_hinge,
    pdf,
    policy_loss,
    student,
    weibull,
)

draw = Draw(15)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11
sigmoid = jax.nn.sigmoid


# Classification, policies, pairs


def token_loss(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logp, labels[..., None], -1))


TOKENS = (draw(2, N, M), draw.below(M, 2, N))


@wrong.grad(token_loss, TOKENS, "mean_vs_sum", "averaged over sequences, but not over their tokens")
def tokens_not_averaged(logits, labels):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return (jax.nn.softmax(logits) - onehot) / logits.shape[0]


@wrong.grad(token_loss, TOKENS, "wrong_axis", "softmax over the tokens, axis 1 as for a plain batch")
def tokens_axis(logits, labels):
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return (jax.nn.softmax(logits, axis=1) - onehot) / labels.size


def reinforce(logits, actions, advantages):
    logp = jax.nn.log_softmax(logits)[jnp.arange(len(actions)), actions]
    return -jnp.mean(logp * advantages)


@wrong.grad(reinforce, (draw(N, 4), draw.below(4, N), draw(N)), "sign", "ascent on the return, not on the loss")
def policy_ascent(logits, actions, advantages):
    chosen = jax.nn.one_hot(actions, logits.shape[1], dtype=logits.dtype)
    return advantages[:, None] * (chosen - jax.nn.softmax(logits)) / len(actions)


@wrong.grad(policy_loss, POLICY, "region", "the ratio is never clipped")
def policy_unclipped(logits, old, actions, advantages):
    p = jax.nn.softmax(logits)
    taken = jax.nn.one_hot(actions, logits.shape[1], dtype=logits.dtype)
    ratio = (p * taken).sum(1) / jnp.exp(old)
    return -(ratio * advantages)[:, None] * (taken - p) / len(logits)


@wrong.grad(
    lambda q, q_next, r: jnp.mean((q - r - 0.9 * q_next.max(1)) ** 2),
    (draw(N), draw(N, 4), draw(N)),
    "zero",
    "the target of a temporal difference is not followed",
    argnums=1,
)
def semi_gradient(q, q_next, r):
    return jnp.zeros_like(q_next)


@wrong.grad(multiclass_hinge, HINGE, "missing_term", "the true class gets nothing of what the others get")
def hinge_true_class(W, X, y):
    s = X @ W
    margin = 1 + s - jnp.take_along_axis(s, y[:, None], 1)
    active = (margin > 0).astype(X.dtype) * (1 - jax.nn.one_hot(y, s.shape[1], dtype=X.dtype))
    return X.T @ active / len(X)


@wrong.grad(
    multiclass_hinge, HINGE, ("sign", "mean_vs_sum"), "the weight of the true class counts up, and nobody divides by N"
)
def hinge_two(W, X, y):
    s = X @ W
    margin = 1 + s - jnp.take_along_axis(s, y[:, None], 1)
    onehot = jax.nn.one_hot(y, s.shape[1], dtype=X.dtype)
    active = (margin > 0) * (1 - onehot)
    return X.T @ (active.sum(1, keepdims=True) * onehot - active)


def clip_loss(Q, K, tau):
    """Texts to images and back, with the pairs on the diagonal."""
    S = Q @ K.T / tau
    return -0.5 * jnp.mean(jnp.diag(jax.nn.log_softmax(S, 1)) + jnp.diag(jax.nn.log_softmax(S, 0)))


CLIP = (draw(5, D), draw(5, D), draw.positive())


@wrong.grad(clip_loss, CLIP, "missing_term", "one direction of the two only")
def clip_one_way(Q, K, tau):
    S = Q @ K.T / tau
    dS = (jax.nn.softmax(S, 1) - jnp.eye(len(Q), dtype=Q.dtype)) / (2 * len(Q))
    return dS @ K / tau


@wrong.grad(clip_loss, CLIP, "wrong_axis", "both directions by rows", argnums=1)
def clip_rows_twice(Q, K, tau):
    S = Q @ K.T / tau
    eye = jnp.eye(len(Q), dtype=Q.dtype)
    dS = (jax.nn.softmax(S, 1) - eye + jax.nn.softmax(S, 1) - eye) / (2 * len(Q))
    return dS.T @ Q / tau


@wrong.grad(
    clip_loss, CLIP, ("constant_factor", "missing_factor"), "the ½ of two directions, and the temperature", argnums=1
)
def clip_two(Q, K, tau):
    S = Q @ K.T / tau
    dS = jax.nn.softmax(S, 1) + jax.nn.softmax(S, 0) - 2 * jnp.eye(len(Q), dtype=Q.dtype)
    return dS.T @ Q / len(Q)


@wrong.grad(
    lambda user, liked, other: -jnp.sum(jax.nn.log_sigmoid(jnp.sum(user * (liked - other), 1))),
    (draw(N, D), draw(N, D), draw(N, D)),
    "sign",
    "the item not chosen is pulled like the chosen one",
    argnums=2,
)
def ranking_other_item(user, liked, other):
    p = sigmoid(-jnp.sum(user * (liked - other), 1))
    return -p[:, None] * user


@wrong.vjp(
    lambda c, m, s: s * jnp.cos(jnp.arccos(c) + m),
    (0.8 * draw.unit(N), jnp.float32(0.3), jnp.float32(16)),
    "missing_factor",
    "an angular margin: arccos's own derivative",
)
def angular_margin(args, u):
    c, m, s = args
    return u * s * jnp.sin(jnp.arccos(c) + m), None, None


@wrong.grad(
    lambda p, q: jnp.sum(p * jnp.log(p / q)),
    (draw.simplex(M), draw.simplex(M)),
    "swapped_arguments",
    "(∂q, ∂p) of a divergence",
    argnums=(0, 1),
)
def divergence_swapped(p, q):
    return -p / q, jnp.log(p / q) + 1


@wrong.grad(
    lambda p, q: jnp.sum(p * jnp.log(p / q)), (draw.simplex(M), draw.simplex(M)), "missing_term", "p ln p gives 1, too"
)
def divergence_one(p, q):
    return jnp.log(p / q)


@wrong.grad(lambda w: (jnp.linalg.norm(w) - 1) ** 2, (draw(N, D),), "missing_factor", "a norm's gradient without 1/‖w‖")
def gradient_penalty(w):
    return 2 * (jnp.linalg.norm(w) - 1) * w


# Regression


def biweight(r, c):
    """Tukey's loss: flat beyond c."""
    return jnp.mean(jnp.where(jnp.abs(r) < c, c**2 / 6 * (1 - (1 - (r / c) ** 2) ** 3), c**2 / 6))


@wrong.grad(biweight, (draw(T, scale=3), jnp.float32(3)), "region", "outliers push with the polynomial")
def biweight_everywhere(r, c):
    return r * (1 - (r / c) ** 2) ** 2 / r.size


@wrong.grad(
    lambda p, x, y: jnp.mean((p["slope"] * x + p["intercept"] - y) ** 2),
    ({"slope": draw(), "intercept": draw()}, draw(N), draw(N)),
    "extra_factor",
    "the slope's gradient copied for the intercept, with its x",
)
def straight_line(p, x, y):
    e = p["slope"] * x + p["intercept"] - y
    return {"slope": 2 * jnp.mean(e * x), "intercept": 2 * jnp.mean(e * x)}


@wrong.grad(
    lambda w, X, y, c: jnp.sum(c * (X @ w - y) ** 2) / jnp.sum(c),
    (draw(D), draw(N, D), draw(N), draw.positive(N)),
    "missing_factor",
    "weighted squares, divided by Σc, but not weighed",
)
def weights_forgotten(w, X, y, c):
    return 2 * X.T @ (X @ w - y) / c.sum()


@wrong.hessian(
    lambda x: jnp.log1p(x @ x),
    (double(draw(4)),),
    frozenset({"wrong_term", "constant_factor"}),
    "2xxᵀ for 4xxᵀ in the second term",
)
def cauchy_hessian(x):
    s = 1 + x @ x
    return 2 * jnp.eye(x.size, dtype=x.dtype) / s - 2 * jnp.outer(x, x) / s**2


# Likelihoods


@wrong.grad(gp_loss, PROCESS, "constant_factor", "the ½ of the likelihood, for the length scale")
def gp_length_scale(ell, noise, X, y):
    K, d2 = kernel(X, ell)
    Kn = K + noise * jnp.eye(len(y), dtype=y.dtype)
    a = jnp.linalg.solve(Kn, y)
    dK = K * d2 / ell**3
    return jnp.trace(jnp.linalg.solve(Kn, dK)) - a @ dK @ a


@wrong.grad(gp_loss, PROCESS, "missing_term", "the fit to the data, without the determinant", argnums=1)
def gp_noise(ell, noise, X, y):
    a = jnp.linalg.solve(kernel(X, ell)[0] + noise * jnp.eye(len(y), dtype=y.dtype), y)
    return -0.5 * a @ a


@wrong.grad(student, tuple(map(double, STUDENT)), "missing_factor", "ν + 1 of the weights of Student's t")
def student_location(mu, sigma, nu, x):
    r = x - mu
    return -jnp.mean(r / (nu * sigma**2 + r**2))


@wrong.grad(
    student,
    STUDENT,
    "missing_term",
    "the 1/σ of the normaliser is lost",
    argnums=1,
)
def student_scale(mu, sigma, nu, x):
    r = x - mu
    w = (nu + 1) / (nu * sigma**2 + r**2)
    return -jnp.mean(w * r**2) / sigma


DIRICHLET = (draw.positive(4), draw.simplex(N, 4))


@wrong.grad(dirichlet, DIRICHLET, "missing_term", "ψ of the sum: the normaliser's other half")
def dirichlet_sum(alpha, P):
    return len(P) * digamma(alpha) - jnp.log(P).sum(0)


@wrong.hessian(dirichlet, DIRICHLET, "diagonal_only", "ψ′ of the sum subtracted on the diagonal only")
def dirichlet_diagonal(alpha, P):
    trigamma = functools.partial(jax.scipy.special.polygamma, 1)
    return len(P) * jnp.diag(trigamma(alpha) - trigamma(alpha.sum()))


@wrong.grad(
    weibull,
    (draw.positive(), draw.positive(), draw.positive(N)),
    frozenset({"missing_factor", "wrong_term"}),
    "aᵏ differentiated without its ln a",
)
def weibull_shape(k, lam, x):
    z = jnp.log(x / lam)
    return jnp.sum((x / lam) ** k - z) - x.size / k


@wrong.grad(
    lambda mu, sigma, x: jnp.mean(jnp.log(x * sigma) + 0.5 * ((jnp.log(x) - mu) / sigma) ** 2),
    (draw(), draw.positive(), draw.positive(N)),
    "extra_factor",
    "1/x of the logarithm, though x is not moved",
)
def log_normal_location(mu, sigma, x):
    return jnp.mean((mu - jnp.log(x)) / (sigma**2 * x))


@wrong.grad(mixture_loss, MIXTURE, "wrong_axis", "responsibilities that add up to 1 over the sample")
def mixture_axis(params, x):
    joint = jax.nn.log_softmax(params["logits"]) - 0.5 * (x[:, None] - params["mu"]) ** 2
    r = jax.nn.softmax(joint, axis=0)
    return {
        "logits": len(x) * jax.nn.softmax(params["logits"]) - r.sum(0),
        "mu": jnp.sum(r * (params["mu"] - x[:, None]), axis=0),
    }


@wrong.grad(mixture_loss, MIXTURE, "missing_term", "the softmax of the weights needs its normaliser, too")
def mixture_weights(params, x):
    joint = jax.nn.log_softmax(params["logits"]) - 0.5 * (x[:, None] - params["mu"]) ** 2
    r = jax.nn.softmax(joint, axis=1)
    return {"logits": -r.sum(0), "mu": jnp.sum(r * (params["mu"] - x[:, None]), axis=0)}


@wrong.grad(crps, CRPS, "missing_term", "z depends on σ, too", argnums=1)
def crps_scale(mu, sigma, y):
    z = (y - mu) / sigma
    return (z * (2 * cdf(z) - 1) + 2 * pdf(z) - jnp.pi**-0.5) / y.size


@wrong.grad(crps, CRPS, "constant_factor", "1 − 2Φ without the 2: ½ − Φ")
def crps_location(mu, sigma, y):
    return (0.5 - cdf((y - mu) / sigma)) / y.size


@jax.custom_vjp
def hinge_sum(s, y):
    return jnp.sum(jnp.maximum(1 - y * s, 0))


hinge_sum.defvjp(lambda s, y: (hinge_sum(s, y), (s, y)), lambda r, u: (jnp.where(r[0] * r[1] < 1, -r[1], 0), None))
wrong.own(
    "hinge_rule_without_u",
    hinge_sum,
    (draw(N), 2 * draw.mask(N) - 1),
    "cotangent_ignored",
    "the loss believed to be the end of the program",
)
