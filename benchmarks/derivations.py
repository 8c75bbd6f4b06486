"""Derivations of what people derive by hand: losses, layers, normalisations, attention, Gaussians, matrix calculus.

``python benchmarks/derivations.py [WORD]`` derives each (whose name has the word) and prints the formula, the notation
and the seconds; a formula that is not certified is not printed, but counted.
"""

import sys
import time

import jax
import jax.numpy as jnp

import jmc

inv, solve, det, norm = jnp.linalg.inv, jnp.linalg.solve, jnp.linalg.det, jnp.linalg.norm
gammaln = jax.scipy.special.gammaln
sigmoid, softmax, log_softmax = jax.nn.sigmoid, jax.nn.softmax, jax.nn.log_softmax


def logdet(X):
    return jnp.linalg.slogdet(X)[1]


def binary_cross_entropy(w, X, y):
    p = sigmoid(X @ w)
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def cross_entropy(x, W, b, y):
    return -jnp.sum(y * log_softmax(W @ x + b))


def batch_cross_entropy(W, X, Y):
    return -jnp.mean(jnp.sum(Y * log_softmax(X @ W.T, axis=-1), axis=-1))


def gaussian(mu, S, x):
    return (logdet(S) + (x - mu) @ inv(S) @ (x - mu)) / 2


def gaussian_sample(S, X):
    return X.shape[0] * logdet(S) / 2 + jnp.trace(X @ inv(S) @ X.T) / 2


def marginal_likelihood(s, K, y):
    C = K + s * jnp.eye(len(K))
    return (y @ solve(C, y) + logdet(C)) / 2


def layer_norm(x):
    return (x - jnp.mean(x)) / jnp.sqrt(jnp.var(x) + 1e-5)


def attention(Q, K, V):
    return softmax(Q @ K.T / jnp.sqrt(Q.shape[1])) @ V


def two_layers(W1, W2, x, y):
    return jnp.sum((W2 @ jnp.tanh(W1 @ x) - y) ** 2)


def huber(r, delta):
    return jnp.sum(jnp.where(jnp.abs(r) <= delta, r**2 / 2, delta * (jnp.abs(r) - delta / 2)))


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def labelled(W, X, y):
    return -jnp.mean(log_softmax(X @ W.T)[jnp.arange(len(X)), y])


def fixed_point(x, W, b):
    return jnp.sum(jax.lax.fori_loop(0, 20, lambda _, h: jnp.tanh(W @ h + b), x) ** 2)


# name, function, shapes in the order of its arguments, the argument, the order
DERIVATIONS = [
    ("linear map", lambda A, x: A @ x, "A: m n, x: n", "x", 1),
    ("quadratic form", lambda x, A: x @ A @ x, "x: n, A: n n", "x", 1),
    ("quadratic form, Hessian", lambda x, A: x @ A @ x, "x: n, A: n n", "x", 2),
    ("symmetric quadratic form", lambda x, A: x @ A @ x, "x: n, A: n n symmetric", "x", 1),
    ("quadratic form wrt its matrix", lambda A, x: x @ A @ x, "A: n n, x: n", "A", 1),
    ("bilinear form", lambda X, a, b: a @ X @ b, "X: m n, a: m, b: n", "X", 1),
    ("squared norm", lambda x: x @ x, "x: n", "x", 1),
    ("norm", lambda x: norm(x), "x: n", "x", 1),
    ("norm, Hessian", lambda x: norm(x), "x: n", "x", 2),
    ("distance", lambda x, a: norm(x - a), "x: n, a: n", "x", 1),
    ("direction", lambda x: x / norm(x), "x: n", "x", 1),
    ("cosine similarity", lambda x, y: x @ y / (norm(x) * norm(y)), "x: n, y: n", "x", 1),
    ("least squares", lambda x, A, b: jnp.sum((A @ x - b) ** 2), "x: n, A: m n, b: m", "x", 1),
    ("least squares, Hessian", lambda x, A, b: jnp.sum((A @ x - b) ** 2), "x: n, A: m n, b: m", "x", 2),
    ("least squares wrt A", lambda A, x, b: jnp.sum((A @ x - b) ** 2), "A: m n, x: n, b: m", "A", 1),
    ("weighted least squares",
     lambda x, A, b, W: (A @ x - b) @ W @ (A @ x - b), "x: n, A: m n, b: m, W: m m symmetric", "x", 1),
    ("ridge", lambda w, X, y, lam: jnp.sum((X @ w - y) ** 2) + lam * w @ w, "w: d, X: N d, y: N, lam:", "w", 1),
    ("ridge, Hessian",
     lambda w, X, y, lam: jnp.sum((X @ w - y) ** 2) + lam * w @ w, "w: d, X: N d, y: N, lam:", "w", 2),
    ("mean squared error", lambda w, X, y: jnp.mean((X @ w - y) ** 2), "w: d, X: N d, y: N", "w", 1),
    ("mean squared error, Hessian", lambda w, X, y: jnp.mean((X @ w - y) ** 2), "w: d, X: N d, y: N", "w", 2),
    ("mean squared error wrt the bias",
     lambda b, X, w, y: jnp.mean((X @ w + b - y) ** 2), "b:, X: N d, w: d, y: N", "b", 1),
    ("multivariate regression", lambda W, X, Y: jnp.sum((X @ W - Y) ** 2), "W: d k, X: N d, Y: N k", "W", 1),
    ("absolute error", lambda w, X, y: jnp.sum(jnp.abs(X @ w - y)), "w: d, X: N d, y: N", "w", 1),
    ("log cosh", lambda w, X, y: jnp.sum(jnp.log(jnp.cosh(X @ w - y))), "w: d, X: N d, y: N", "w", 1),
    ("huber", huber, "r: n, delta: positive", "r", 1),
    ("logistic loss", binary_cross_entropy, "w: d, X: N d, y: N", "w", 1),
    ("logistic loss, Hessian", binary_cross_entropy, "w: d, X: N d, y: N", "w", 2),
    ("logistic loss with signs",
     lambda w, X, y: jnp.sum(jnp.log(1 + jnp.exp(-y * (X @ w)))), "w: d, X: N d, y: N", "w", 1),
    ("softplus", lambda x: jax.nn.softplus(x), "x: n", "x", 1),
    ("exponential loss", lambda w, X, y: jnp.sum(jnp.exp(-y * (X @ w))), "w: d, X: N d, y: N", "w", 1),
    ("hinge", lambda w, X, y: jnp.sum(jax.nn.relu(1 - y * (X @ w))), "w: d, X: N d, y: N", "w", 1),
    ("poisson", lambda w, X, y: jnp.sum(jnp.exp(X @ w) - y * (X @ w)), "w: d, X: N d, y: N", "w", 1),
    ("poisson, Hessian", lambda w, X, y: jnp.sum(jnp.exp(X @ w) - y * (X @ w)), "w: d, X: N d, y: N", "w", 2),
    ("softmax", lambda x: softmax(x), "x: n", "x", 1),
    ("softmax with temperature", lambda x, tau: softmax(x / tau), "x: n, tau: positive", "x", 1),
    ("softmax wrt the temperature", lambda tau, x: softmax(x / tau), "tau: positive, x: n", "tau", 1),
    ("softmax by hand", lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x)), "x: n", "x", 1),
    ("log softmax", lambda x: log_softmax(x), "x: n", "x", 1),
    ("log-sum-exp", lambda x: jax.nn.logsumexp(x), "x: n", "x", 1),
    ("log-sum-exp, Hessian", lambda x: jax.nn.logsumexp(x), "x: n", "x", 2),
    ("log-sum-exp of a linear map", lambda x, A: jax.nn.logsumexp(A @ x), "x: n, A: m n", "x", 2),
    ("cross-entropy wrt x", cross_entropy, "x: n, W: k n, b: k, y: k one-hot", "x", 1),
    ("cross-entropy wrt W", cross_entropy, "x: n, W: k n, b: k, y: k one-hot", "W", 1),
    ("cross-entropy wrt b", cross_entropy, "x: n, W: k n, b: k, y: k one-hot", "b", 1),
    ("cross-entropy, Hessian", cross_entropy, "x: n, W: k n, b: k, y: k one-hot", "x", 2),
    ("cross-entropy of a batch", batch_cross_entropy, "W: k d, X: N d, Y: N k one-hot", "W", 1),
    ("entropy", lambda p: -jnp.sum(p * jnp.log(p)), "p: n positive", "p", 1),
    ("relative entropy", lambda p, q: jnp.sum(p * jnp.log(p / q)), "p: n positive, q: n positive", "p", 1),
    ("neuron", lambda w, x, b: jax.nn.relu(w @ x + b), "w: n, x: n, b:", "w", 1),
    ("neuron loss", lambda w, X, b, y: jnp.mean((jax.nn.relu(X @ w + b) - y) ** 2), "w: d, X: N d, b:, y: N", "w", 1),
    ("neuron loss wrt the bias",
     lambda b, w, X, y: jnp.mean((jax.nn.relu(X @ w + b) - y) ** 2), "b:, w: d, X: N d, y: N", "b", 1),
    ("relu layer", lambda x, M, b: jax.nn.relu(M @ x + b), "x: n, M: m n, b: m", "x", 1),
    ("sigmoid layer", lambda x, M, b: sigmoid(M @ x + b), "x: n, M: m n, b: m", "x", 1),
    ("tanh layer", lambda x, M, b: jnp.tanh(M @ x + b), "x: n, M: m n, b: m", "x", 1),
    ("layer wrt its weights", lambda W, x, b: jnp.tanh(W @ x + b), "W: m n, x: n, b: m", "W", 1),
    ("layer of a batch wrt its weights", lambda W, X: jnp.tanh(X @ W.T), "W: m d, X: N d", "W", 1),
    ("swish", lambda x: x * sigmoid(x), "x: n", "x", 1),
    ("gelu by tanh", lambda x: jax.nn.gelu(x), "x: n", "x", 1),
    ("leaky relu", lambda x: jax.nn.leaky_relu(x), "x: n", "x", 1),
    ("two layers wrt the second", two_layers, "W1: h n, W2: m h, x: n, y: m", "W2", 1),
    ("two layers wrt the first", two_layers, "W1: h n, W2: m h, x: n, y: m", "W1", 1),
    ("residual layer", lambda x, W, V: x + V @ jax.nn.relu(W @ x), "x: n, W: h n, V: n h", "x", 1),
    ("centring", lambda x: x - jnp.mean(x), "x: n", "x", 1),
    ("variance", lambda x: jnp.var(x), "x: n", "x", 1),
    ("standard deviation", lambda x: jnp.std(x), "x: n", "x", 1),
    ("standardisation", lambda x: (x - jnp.mean(x)) / jnp.std(x), "x: n", "x", 1),
    ("layer norm", layer_norm, "x: n", "x", 1),
    ("rms norm", lambda x: x / jnp.sqrt(jnp.mean(x**2)), "x: n", "x", 1),
    ("attention wrt the values", attention, "Q: n d, K: m d, V: m p", "V", 1),
    ("attention wrt the queries", attention, "Q: n d, K: m d, V: m p", "Q", 1),
    ("attention of one query", lambda q, K, V: softmax(K @ q) @ V, "q: d, K: m d, V: m p", "q", 1),
    ("trace", lambda X, A: jnp.trace(A @ X), "X: n m, A: m n", "X", 1),
    ("trace of a square", lambda X: jnp.trace(X @ X), "X: n n", "X", 1),
    ("trace of XᵀAX", lambda X, A: jnp.trace(X.T @ A @ X), "X: n m, A: n n", "X", 1),
    ("trace of AXB", lambda X, A, B: jnp.trace(A @ X @ B), "X: m n, A: p m, B: n p", "X", 1),
    ("Frobenius norm", lambda X: norm(X), "X: m n", "X", 1),
    ("inverse", lambda X: inv(X), "X: n n", "X", 1),
    ("form of the inverse", lambda X, a, b: a @ inv(X) @ b, "X: n n, a: n, b: n", "X", 1),
    ("trace of the inverse", lambda X: jnp.trace(inv(X)), "X: n n", "X", 1),
    ("log-determinant", logdet, "X: n n", "X", 1),
    ("log-determinant of a Gram matrix", lambda X: logdet(X.T @ X), "X: m n", "X", 1),
    ("determinant", lambda X: det(X), "X: n n", "X", 1),
    ("determinant of AXB", lambda X, A, B: det(A @ X @ B), "X: n n, A: n n, B: n n", "X", 1),
    ("log-barrier", lambda X, A: jnp.trace(A @ X) - logdet(X), "X: n n spd, A: n n symmetric", "X", 1),
    ("solution of a system", lambda b, A: solve(A, b), "b: n, A: n n", "b", 1),
    ("matrix product wrt the left", lambda X, Y: X @ Y, "X: m n, Y: n p", "X", 1),
    ("matrix product AXB", lambda X, A, B: A @ X @ B, "X: m n, A: p m, B: n q", "X", 1),
    ("transpose", lambda X: X.T, "X: m n", "X", 1),
    ("Gram matrix", lambda X: X.T @ X, "X: m n", "X", 1),
    ("outer product", lambda x, y: jnp.outer(x, y), "x: m, y: n", "x", 1),
    ("matrix factorisation wrt U", lambda U, V, T: jnp.sum((T - U @ V.T) ** 2), "U: m r, V: n r, T: m n", "U", 1),
    ("matrix factorisation wrt V", lambda V, U, T: jnp.sum((T - U @ V.T) ** 2), "V: n r, U: m r, T: m n", "V", 1),
    ("masked factorisation",
     lambda U, V, T, M: jnp.sum((M * (T - U @ V.T)) ** 2), "U: m r, V: n r, T: m n, M: m n", "U", 1),
    ("Gaussian wrt the mean", gaussian, "mu: n, S: n n spd, x: n", "mu", 1),
    ("Gaussian wrt the covariance", gaussian, "mu: n, S: n n spd, x: n", "S", 1),
    ("Gaussian, Hessian in the mean", gaussian, "mu: n, S: n n spd, x: n", "mu", 2),
    ("Gaussian sample wrt the covariance", gaussian_sample, "S: n n spd, X: N n", "S", 1),
    ("GP marginal likelihood wrt the kernel", marginal_likelihood, "s: positive, K: n n spd, y: n", "K", 1),
    ("GP marginal likelihood wrt the noise", marginal_likelihood, "s: positive, K: n n spd, y: n", "s", 1),
    ("Rayleigh quotient", lambda x, A: x @ A @ x / (x @ x), "x: n, A: n n symmetric", "x", 1),
    ("Rosenbrock in two", lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, "x:, y:", "x", 1),
    ("sigmoid", lambda x: sigmoid(x), "x:", "x", 1),
    ("sigmoid, second", lambda x: sigmoid(x), "x:", "x", 2),
    ("element-wise product", lambda w, x: w * x, "w: n, x: n", "w", 1),
    ("element-wise quotient", lambda x, w: w / x, "x: n, w: n", "x", 1),
    ("sum of a product", lambda x, z: jnp.sum(x * z), "x: n, z:", "x", 1),
    ("Newton step of softmax regression", lambda b, y: jax.nn.logsumexp(b) - y @ b, "b: k, y: k one-hot", "b", 2),
    ("cross-entropy with labels", labelled, "W: k d, X: N d, y: N integer", "W", 1),
    ("embedding", lambda E, i: jnp.sum(E[i] ** 2), "E: k d, i: N integer", "E", 1),
    ("Rosenbrock", rosenbrock, "x: n", "x", 1),
    ("Rosenbrock, Hessian", rosenbrock, "x: n", "x", 2),
    ("total variation",
     lambda X: jnp.sum(jnp.abs(jnp.diff(X, axis=0))) + jnp.sum(jnp.abs(jnp.diff(X, axis=1))), "X: m n", "X", 1),
    ("cumulative sum", lambda x, y: jnp.cumsum(x) @ y, "x: n, y: n", "x", 1),
    ("largest entry", lambda x: jnp.max(x), "x: n", "x", 1),
    ("product of entries", lambda x: jnp.prod(x), "x: n", "x", 1),
    ("eigenvalues", lambda S, a: a @ jnp.log(jnp.linalg.eigvalsh(S)), "S: n n spd, a: n", "S", 1),
    ("Cholesky factor", lambda A, U: jnp.sum(U * jnp.linalg.cholesky(A)), "A: n n spd, U: n n", "A", 1),
    ("diagonal matrix", lambda D, A, x: x @ inv(A + D) @ x, "D: n n diagonal, A: n n spd, x: n", "D", 1),
    ("triangular factor", lambda L, A: jnp.trace(A @ jnp.tril(L) @ jnp.tril(L).T), "L: n n, A: n n", "L", 1),
    ("loss of attention wrt the queries",
     lambda Q, K, V, U: jnp.sum(U * attention(Q, K, V)), "Q: n d, K: m d, V: m p, U: n p", "Q", 1),
    ("loss of attention wrt the keys",
     lambda K, Q, V, U: jnp.sum(U * attention(Q, K, V)), "K: m d, Q: n d, V: m p, U: n p", "K", 1),
    ("batch norm",
     lambda X, U: jnp.sum(U * (X - X.mean(0)) / jnp.sqrt(X.var(0) + 1e-5)), "X: N d, U: N d", "X", 1),
    ("Dirichlet",
     lambda a, p: gammaln(jnp.sum(a)) - jnp.sum(gammaln(a)) + jnp.sum((a - 1) * jnp.log(p)),
     "a: n positive, p: n positive", "a", 1),
    ("mixture of Gaussians",
     lambda M, x, c: jax.nn.logsumexp(c - jnp.sum((x - M) ** 2, axis=1) / 2), "M: k d, x: d, c: k", "M", 1),
    ("contrastive", lambda X, Y: -jnp.mean(jnp.diag(log_softmax(X @ Y.T))), "X: N d, Y: N d", "X", 1),
    ("fixed point of a layer, a loop", fixed_point, "x: n, W: n n, b: n", "x", 1),
    ("sorted", lambda x, w: w @ jnp.sort(x) ** 2, "x: n, w: n", "x", 1),
    ("barrier, Hessian", lambda x, A, b: -jnp.sum(jnp.log(b - A @ x)), "x: n, A: m n, b: m", "x", 2),
]  # fmt: skip


def shapes(described):
    """``"A: m n, x: n"`` as a dictionary."""
    parts = (part.split(":") for part in described.split(","))
    return {name.strip(): shape for name, shape in parts}


def main(word=""):
    counts = {"matrix": 0, "index": 0, "none": 0}
    for name, f, described, wrt, order in DERIVATIONS:
        if word not in name:
            continue
        start = time.perf_counter()
        try:
            found = jmc.derive(f, wrt, order)(**shapes(described))
            counts[found.notation] += 1
            print(f"{name}: {found.text}")
            print(f"  {found.notation}, size {found.size}, {time.perf_counter() - start:.1f} s")
        except jmc.NoFormula as refusal:
            counts["none"] += 1
            print(f"{name}: {type(refusal).__name__}: {refusal}")
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
