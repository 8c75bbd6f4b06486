"""The right ones of the fourth set, likelihoods and losses: processes, sorted samples, labels that are integers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

draw = Draw(13)
right = Cases()
N, D, M, T = 7, 3, 5, 11
KINK = frozenset({EQUAL, ("convention", "kink_convention")})
sigmoid = jax.nn.sigmoid
digamma, gammaln = jax.scipy.special.digamma, jax.scipy.special.gammaln
pdf, cdf = jax.scipy.stats.norm.pdf, jax.scipy.stats.norm.cdf


def double(a):
    """NumPy's own float64."""
    return np.asarray(a, "float64")


# Likelihoods and losses


def policy_loss(logits, old, actions, advantages):
    """PPO's clipped objective."""
    logp = jnp.take_along_axis(jax.nn.log_softmax(logits), actions[:, None], 1)[:, 0]
    ratio = jnp.exp(logp - old)
    return -jnp.mean(jnp.minimum(ratio * advantages, jnp.clip(ratio, 0.8, 1.2) * advantages))


POLICY = (draw(T, M), draw(T, scale=0.5) - 1.6, draw.below(M, T), draw(T))


@right.grad(policy_loss, POLICY, EQUAL, "a clipped ratio pulls only when it pulls back")
def policy_clipped(logits, old, actions, advantages):
    p = jax.nn.softmax(logits)
    taken = jax.nn.one_hot(actions, logits.shape[1], dtype=logits.dtype)
    ratio = (p * taken).sum(1) / jnp.exp(old)
    live = jnp.where(advantages > 0, ratio < 1.2, ratio > 0.8)
    return -(live * ratio * advantages)[:, None] * (taken - p) / len(logits)


@right.grad(
    lambda logits, labels, mask: (
        -jnp.sum(mask * jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)[..., 0]) / jnp.sum(mask)
    ),
    (draw(2, N, M), draw.below(M, 2, N), draw.mask(2, N)),
    EQUAL,
    "padding counts neither above nor below",
)
def padded_tokens(logits, labels, mask):
    g = jax.nn.softmax(logits)
    b, t = jnp.indices(labels.shape)
    return g.at[b, t, labels].add(-1) * (mask / mask.sum())[..., None]


def kernel(X, ell):
    d2 = ((X[:, None] - X) ** 2).sum(-1)
    return jnp.exp(-d2 / (2 * ell**2)), d2


def gp_loss(ell, noise, X, y):
    """−ln of a Gaussian process' marginal likelihood, but for a constant."""
    K = kernel(X, ell)[0] + noise * jnp.eye(len(y), dtype=y.dtype)
    L = jnp.linalg.cholesky(K)
    return 0.5 * y @ jax.scipy.linalg.cho_solve((L, True), y) + jnp.log(jnp.diag(L)).sum()


PROCESS = (draw.positive(), draw.positive(), draw(N, 2), draw(N))


@right.grad(gp_loss, PROCESS, EQUAL, "½ tr(K⁻¹ − aaᵀ) ∂K", argnums=(0, 1, 3), precision=2e-3)
def marginal_likelihood(ell, noise, X, y):
    K, d2 = kernel(X, ell)
    inverse = jnp.linalg.inv(K + noise * jnp.eye(len(y), dtype=y.dtype))
    a = inverse @ y
    pull = 0.5 * (inverse - jnp.outer(a, a))
    return jnp.sum(pull * K * d2) / ell**3, jnp.trace(pull), a


def student(mu, sigma, nu, x):
    return jnp.mean((nu + 1) / 2 * jnp.log1p((x - mu) ** 2 / (nu * sigma**2)) + jnp.log(sigma))


STUDENT = (draw(), draw.positive(), 2 + draw.positive(), draw(T, scale=2))


@right.grad(student, tuple(map(double, STUDENT)), EQUAL, "location and scale, by weights", argnums=(0, 1))
def student_weights(mu, sigma, nu, x):
    r = x - mu
    w = (nu + 1) / (nu * sigma**2 + r**2)
    return -jnp.mean(w * r), (1 - jnp.mean(w * r**2)) / sigma


def dirichlet(alpha, P):
    n = len(P)
    return n * (gammaln(alpha).sum() - gammaln(alpha.sum())) - jnp.sum((alpha - 1) * jnp.log(P).sum(0))


@right.hessian(dirichlet, (draw.positive(4), draw.simplex(N, 4)), EQUAL, "diagonal minus a constant")
def dirichlet_hessian(alpha, P):
    trigamma = functools.partial(jax.scipy.special.polygamma, 1)
    return len(P) * (jnp.diag(trigamma(alpha)) - trigamma(alpha.sum()))


def weibull(k, lam, x):
    z = jnp.log(x / lam)
    return -jnp.sum(jnp.log(k) - jnp.log(lam) + (k - 1) * z - jnp.exp(k * z))


@right.grad(weibull, (draw.positive(), draw.positive(), draw.positive(N)), EQUAL, "shape and scale", argnums=(0, 1))
def weibull_both(k, lam, x):
    power = (x / lam) ** k
    return jnp.sum((power - 1) * jnp.log(x / lam)) - x.size / k, k / lam * (x.size - power.sum())


@right.grad(
    weibull,
    (draw.positive(), draw.positive(), draw.positive(N)),
    ("convention", "log_parameter"),
    "per relative change of the scale",
    argnums=1,
)
def weibull_log_scale(k, lam, x):
    return k * jnp.sum(1 - (x / lam) ** k)


@right.grad(
    lambda b, x: jnp.sum(jnp.abs(x) / b + jnp.log(b)),
    (draw.positive(), draw(N)),
    ("convention", "log_parameter"),
    "Laplace's scale, by its logarithm",
)
def laplace_log_scale(b, x):
    return x.size - jnp.abs(x).sum() / b


def mixture_loss(params, x):
    """−ln p of a mixture of normal distributions of unit variance."""
    logits = jax.nn.log_softmax(params["logits"])
    return -jnp.sum(jax.nn.logsumexp(logits - 0.5 * (x[:, None] - params["mu"]) ** 2, axis=1))


MIXTURE = ({"mu": draw(4), "logits": draw(4)}, draw(T, scale=2))


@right.grad(mixture_loss, MIXTURE, EQUAL, "responsibilities, as in the EM algorithm")
def mixture_responsibilities(params, x):
    p = jax.nn.softmax(params["logits"])
    joint = p * jnp.exp(-0.5 * (x[:, None] - params["mu"]) ** 2)
    r = joint / joint.sum(1, keepdims=True)
    return {"logits": len(x) * p - r.sum(0), "mu": r.sum(0) * params["mu"] - x @ r}


def crps(mu, sigma, y):
    z = (y - mu) / sigma
    return jnp.mean(sigma * (z * (2 * cdf(z) - 1) + 2 * pdf(z) - jnp.pi**-0.5))


CRPS = (draw(N), draw.positive(N), draw(N, scale=2))


@right.grad(crps, CRPS, EQUAL, "of a normal forecast: the inner derivatives cancel", argnums=(0, 1), precision=1e-3)
def crps_both(mu, sigma, y):
    z = (y - mu) / sigma
    return -jax.scipy.special.erf(z / 2**0.5) / y.size, (2 * pdf(z) - jnp.pi**-0.5) / y.size


def multiclass_hinge(W, X, y):
    s = X @ W
    true = jnp.take_along_axis(s, y[:, None], 1)
    others = 1 - jax.nn.one_hot(y, s.shape[1], dtype=s.dtype)
    return jnp.mean(jnp.sum(others * jnp.maximum(0, 1 + s - true), 1))


HINGE = (draw(D, 4), draw(N, D), draw.below(4, N))


@right.grad(
    multiclass_hinge,
    HINGE,
    KINK,
    "the loop of a first course, in NumPy",
    witness=(jnp.ones((2, 2)), jnp.array([[1.0, 0.0], [1.0, -2.0]]), jnp.array([0, 1])),
)
def hinge_loop(W, X, y):
    W, X, y = (np.asarray(a) for a in (W, X, y))
    dW = np.zeros_like(W)
    for x, label in zip(X, y, strict=True):
        s = x @ W
        for j in range(W.shape[1]):
            if j != label and 1 + s[j] - s[label] > 0:
                dW[:, j] += x
                dW[:, label] -= x
    return dW / np.asarray(len(X), W.dtype)


def hidden_markov(logA, logB, observed):
    """−ln p of a chain that starts anywhere; logA: from, to; logB: state, symbol."""

    def step(alpha, o):
        alpha = jax.nn.logsumexp(alpha[:, None] + logA, 0) + logB[:, o]
        return alpha, None

    return -jax.nn.logsumexp(jax.lax.scan(step, logB[:, observed[0]], observed[1:])[0])


@right.grad(
    hidden_markov, (draw(3, 3), draw(3, 4), draw.below(4, 8)), EQUAL, "expected transitions, forwards and backwards"
)
def expected_transitions(logA, logB, observed):
    A, B = jnp.exp(logA), jnp.exp(logB)
    forwards, backwards = [B[:, observed[0]]], [jnp.ones_like(A[0])]
    for o in observed[1:]:
        forwards.append((forwards[-1] @ A) * B[:, o])
    for o in observed[:0:-1]:
        backwards.insert(0, A @ (B[:, o] * backwards[0]))
    counts = sum(jnp.outer(a, B[:, o] * b) for a, b, o in zip(forwards[:-1], backwards[1:], observed[1:], strict=True))
    return -A * counts / forwards[-1].sum()


@right.grad(lambda x: jnp.mean(jax.lax.top_k(x, 3)[0]), (draw(T),), EQUAL, "1/k for the k largest")
def top_three(x):
    return jnp.where(x >= jnp.sort(x)[-3], 1 / 3, 0).astype(x.dtype)


@right.grad(lambda x: jnp.median(x) ** 2, (draw(T),), EQUAL, "an odd sample: the one in the middle")
def median_squared(x):
    middle = jnp.argsort(x)[x.size // 2]
    return jnp.zeros_like(x).at[middle].set(2 * x[middle])


@right.grad(lambda x: jnp.mean(jnp.sort(x)[2:-2]), (double(draw(T)),), KINK, "a trimmed mean, by ranks of each entry")
def trimmed(x):
    rank = (x[:, None] > x).sum(1)
    return ((rank >= 2) & (rank < x.size - 2)) / (x.size - 4.0)


@right.grad(
    lambda X: jnp.max(jnp.abs(X).sum(0)), (draw(M, 4),), KINK, "the 1-norm of a matrix: signs in its heaviest column"
)
def heaviest_column(X):
    heavy = jnp.argmax(jnp.abs(X).sum(0))
    return jnp.sign(X) * (jnp.arange(X.shape[1]) == heavy)


@right.grad(
    lambda q, q_next, r: jnp.mean((q - r - 0.9 * q_next.max(1)) ** 2),
    (draw(N), draw(N, 4), draw(N)),
    EQUAL,
    "both ends of a temporal difference, not half of it",
    argnums=(0, 1),
)
def residual_both(q, q_next, r):
    g = 2 * (q - r - 0.9 * q_next.max(1)) / len(q)
    return g, -0.9 * g[:, None] * (q_next == q_next.max(1, keepdims=True))


@right.grad(
    lambda z, y: jnp.mean(jax.nn.softplus(-y * z)),
    (jnp.array([83.0, -85.0, 0.3, -2.0]), jnp.array([1, 1, -1, -1])),
    EQUAL,
    "labels that are integers, scores far out",
)
def integer_signs(z, y):
    return -y * sigmoid(-y * z) / z.size


@right.grad(
    lambda z, y: jnp.mean(jax.nn.relu(z) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))),
    (draw(N, 4, dtype="bfloat16"), draw.mask(N, 4).astype("bfloat16")),
    EQUAL,
    "logistic loss in bfloat16",
    precision=0.05,
)
def logistic_bfloat16(z, y):
    return (sigmoid(z) - y) / z.size


@right.grad(lambda x: jnp.mean(x**2) / 2, (draw(1, 1),), EQUAL, "a batch of one")
def single(x):
    return x
