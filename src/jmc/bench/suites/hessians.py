"""Hessians of the problems that are published: quadratic, logistic, factorisation, networks, GLM, Gaussian process."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl

from jmc.bench.case import Case, Contender, Draw, Series
from jmc.bench.suites.derivative import dense, put, structured, torch_modes

# ruff: noqa: ARG001, ARG005 - a formula takes the arguments of its function, whichever of them it needs
RIDGE = 0.1


def quadratic(n: int, draw: Draw) -> Case:
    """xᵀAx: A + Aᵀ."""
    others = torch_modes(lambda x, A: x @ A @ x, hessian=True)
    args = (draw(n), draw(n, n, seed=1))
    return dense(lambda x, A: x @ A @ x, args, lambda x, A: A + A.T, hessian=True, flops=n * n, others=others)


def logistic(n: int, draw: Draw) -> Case:
    """The mean logistic loss of 2n examples with n features and labels ±1: Xᵀ D X."""

    def loss(w: Any, X: Any, y: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-y * (X @ w)))

    def by_hand(w: Any, X: Any, y: Any) -> Any:
        p = jax.nn.sigmoid(X @ w)
        return X.T @ ((p * (1 - p) / len(X))[:, None] * X)

    args = (draw(n, scale=n**-0.5), draw(2 * n, n), jnp.sign(draw(2 * n, seed=1)))
    return dense(loss, args, by_hand, hessian=True, flops=4 * n**3)


def factorization(n: int, draw: Draw, *, whole: bool) -> Case:
    """‖T − U Vᵀ‖² with respect to U, k = 5: 2 I ⊗ VᵀV."""

    def loss(U: Any, V: Any, T: Any) -> Any:
        return jnp.sum((T - U @ V.T) ** 2)

    def expand(G: Any, U: Any, *_: Any) -> Any:
        return jnp.eye(n, dtype=G.dtype)[:, None, :, None] * G[:, None, :]

    def block(U: Any, V: Any, T: Any) -> Any:
        return 2 * V.T @ V

    args = (draw(n, 5), draw(n, 5, seed=1), draw(n, n, seed=2))
    if whole:
        return dense(loss, args, lambda *args: expand(block(*args), *args), hessian=True, flops=50 * n)
    return structured(loss, args, block, expand, hessian=True, flops=50 * n)


def masked_factorization(n: int, draw: Draw) -> Case:
    """‖M ⊙ (T − U Vᵀ)‖² with respect to U: for each row a block 2 Σ_j M_ij² v_j v_jᵀ."""

    def loss(U: Any, V: Any, T: Any, M: Any) -> Any:
        return jnp.sum((M * (T - U @ V.T)) ** 2)

    def blocks(U: Any, V: Any, T: Any, M: Any) -> Any:
        pairs = (V[:, :, None] * V[:, None, :]).reshape(n, -1)
        return (2 * (M * M) @ pairs).reshape(n, *V.shape[1:], *V.shape[1:])

    def expand(G: Any, U: Any, *_: Any) -> Any:
        return jnp.einsum("ikl,ij->ikjl", G, jnp.eye(n, dtype=G.dtype))

    mask = (draw(n, n, seed=3) > 0).astype(draw.dtype)
    args = (draw(n, 5), draw(n, 5, seed=1), draw(n, n, seed=2), mask)
    return structured(loss, args, blocks, expand, hessian=True, flops=100 * n * n)


def relu_network(n: int, draw: Draw) -> Case:
    """Ten ReLU layers of n units, 64 examples, softmax cross-entropy, with respect to the first weight matrix."""
    examples, classes = 64, 10

    def forward(W: Any, rest: Any, X: Any) -> tuple[Any, Any]:
        h = jax.nn.relu(X @ W.T)
        active = [h > 0]
        for V in rest[:-1]:
            h = jax.nn.relu(h @ V.T)
            active.append(h > 0)
        return h @ rest[-1].T, active

    def loss(W: Any, rest: Any, X: Any, y: Any) -> Any:
        logits, _ = forward(W, rest, X)
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=-1))

    def by_hand(W: Any, rest: Any, X: Any, y: Any) -> Any:
        logits, active = forward(W, rest, X)
        p = jax.nn.softmax(logits)
        back = jnp.broadcast_to(rest[-1], (examples, *rest[-1].shape))
        for V, on in zip(rest[-2::-1], active[:0:-1], strict=True):
            back = (back * on[:, None, :]) @ V
        back = back * active[0][:, None, :]
        mean = jnp.einsum("nc,nci->ni", p, back)
        S = jnp.einsum("nci,nc,ncj->nij", back, p, back) - mean[:, :, None] * mean[:, None, :]
        return jnp.einsum("nij,nk,nl->ikjl", S / examples, X, X)

    rest = [draw(n, n, seed=i, scale=(2 / n) ** 0.5) for i in range(1, 10)] + [draw(classes, n, scale=n**-0.5)]
    y = jax.nn.one_hot(jnp.arange(examples) % classes, classes, dtype=draw.dtype)
    args = (draw(n, n, scale=(2 / n) ** 0.5), rest, draw(examples, n), y)
    return dense(loss, args, by_hand, hessian=True, flops=2 * examples * n**4)


def softplus_glm(n: int, draw: Draw) -> Case:
    """mean softplus(X w) + ½ λ ‖w‖², 8n examples of n features: Xᵀ D X + λ I."""

    def loss(w: Any, X: Any) -> Any:
        return jnp.mean(jax.nn.softplus(X @ w)) + RIDGE / 2 * jnp.sum(w**2)

    return dense(loss, (draw(n, scale=n**-0.5), draw(8 * n, n)), _glm_hessian, hessian=True, flops=16 * n**3)


def _glm_hessian(w: Any, X: Any) -> Any:
    p = jax.nn.sigmoid(X @ w)
    return X.T @ ((p * (1 - p) / len(X))[:, None] * X) + RIDGE * jnp.eye(len(w), dtype=w.dtype)


def newton_step(n: int, draw: Draw) -> Case:
    """w − H⁻¹ g of the same."""
    import jmc

    def loss(w: Any, X: Any) -> Any:
        return jnp.mean(jax.nn.softplus(X @ w)) + RIDGE / 2 * jnp.sum(w**2)

    def step(w: Any, gradient: Any, hessian: Any) -> Any:
        return w - jsl.cho_solve(jsl.cho_factor(hessian), gradient)

    def by_hand(w: Any, X: Any) -> Any:
        return step(w, jax.nn.sigmoid(X @ w) @ X / len(X) + RIDGE * w, _glm_hessian(w, X))

    contenders = {
        "jmc": Contender(lambda w, X: step(w, jmc.grad(loss)(w, X), jmc.hessian(loss)(w, X).dense()), "jmc"),
        "by hand": Contender(by_hand, "hand"),
        "jax.hessian": Contender(lambda w, X: step(w, jax.grad(loss)(w, X), jax.hessian(loss)(w, X))),
    }
    return Case((draw(n, scale=n**-0.5), draw(8 * n, n)), contenders, by_hand, 16 * n**3 + n**3 / 3)


def logsumexp(n: int, draw: Draw) -> Case:
    """diag(p) − p pᵀ."""

    def by_hand(x: Any) -> Any:
        p = jax.nn.softmax(x)
        return put(-jnp.outer(p, p), p)

    return dense(lambda x: jax.nn.logsumexp(x), (draw(n),), by_hand, hessian=True, flops=n * n)


def gaussian_process(n: int, draw: Draw) -> Case:
    """The marginal likelihood of n observations in the logarithms of scale, length and noise: a 3 × 3 Hessian."""

    def kernel(theta: Any, x: Any) -> Any:
        squares = (x[:, None] - x) ** 2
        smooth = jnp.exp(theta[0] - squares / (2 * jnp.exp(2 * theta[1])))
        return smooth + jnp.exp(theta[2]) * jnp.eye(n, dtype=x.dtype)

    def loss(theta: Any, x: Any, y: Any) -> Any:
        L = jnp.linalg.cholesky(kernel(theta, x))
        alpha = jsl.cho_solve((L, True), y)
        return 0.5 * y @ alpha + jnp.sum(jnp.log(jnp.diagonal(L)))

    def by_hand(theta: Any, x: Any, y: Any) -> Any:
        noise, squares = jnp.exp(theta[2]) * jnp.eye(n, dtype=x.dtype), (x[:, None] - x) ** 2
        smooth, r = kernel(theta, x) - noise, squares / jnp.exp(2 * theta[1])
        zero = jnp.zeros_like(smooth)
        first = jnp.stack([smooth, r * smooth, noise])
        second = jnp.stack(
            [
                jnp.stack([smooth, r * smooth, zero]),
                jnp.stack([r * smooth, (r * r - 2 * r) * smooth, zero]),
                jnp.stack([zero, zero, noise]),
            ]
        )
        K = jnp.linalg.inv(smooth + noise)
        alpha = K @ y
        moved = first @ alpha
        products = K @ first
        return (
            moved @ K @ moved.T
            - 0.5 * jnp.einsum("i,klij,j->kl", alpha, second, alpha)
            + 0.5 * jnp.einsum("ij,klji->kl", K, second)
            - 0.5 * jnp.einsum("kij,lji->kl", products, products)
        )

    theta = jnp.asarray([0.1, -0.5, -1.0], draw.dtype)
    case = dense(loss, (theta, jnp.linspace(0, 4, n, dtype=draw.dtype), draw(n)), by_hand, hessian=True, flops=8 * n**3)
    return Case(case.args, case.contenders, case.reference, case.flops, tolerance=1e-3)


def rosenbrock(n: int, draw: Draw, *, whole: bool) -> Case:
    """Three bands."""

    def f(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def bands(x: Any) -> Any:
        first = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        return jnp.pad(first, (0, 1)) + jnp.pad(jnp.full_like(first, 200), (1, 0)), -400 * x[:-1]

    def expand(bands: Any, x: Any) -> Any:
        diagonal, beside = bands
        return put(put(put(jnp.zeros((n, n), x.dtype), diagonal), beside, 1), beside, -1)

    if whole:
        return dense(f, (draw(n),), lambda x: expand(bands(x), x), hessian=True, flops=8 * n)
    return structured(f, (draw(n),), bands, expand, hessian=True, flops=8 * n)


MIDDLE = (125, 250, 500, 1000)
SERIES = {
    "xᵀAx": Series(quadratic, MIDDLE, 1000, (8000,)),
    "logistic regression": Series(logistic, (64, 128, 256, 512), 512, (4096,)),
    "factorisation, dense": Series(partial(factorization, whole=True), (25, 50, 100, 200), 200, (1600,)),
    "factorisation, structure": Series(partial(factorization, whole=False), (25, 50, 100, 200), 200, (1600,)),
    "masked factorisation": Series(masked_factorization, (25, 50, 100, 200), 200, (1600,)),
    "ten ReLU layers": Series(relu_network, (8, 16, 32), 32, (64,), lambda n: 16 * n**4),
    "softplus GLM": Series(softplus_glm, (32, 64, 128, 256), 256, (4096,)),
    "Newton step": Series(newton_step, (32, 64, 128, 256), 256, (4096,)),
    "logsumexp": Series(logsumexp, MIDDLE, 1000, (16000,)),
    "Gaussian process": Series(gaussian_process, (32, 64, 128, 256), 128, (2048,), lambda n: 64 * n * n),
    "Rosenbrock, dense": Series(partial(rosenbrock, whole=True), MIDDLE, 1000, (16000,)),
    "Rosenbrock, structure": Series(partial(rosenbrock, whole=False), MIDDLE, 1000, (16000,)),
}
