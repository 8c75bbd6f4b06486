"""The right ones of the second half: other conventions, other precisions, points where differences fail."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import EQUAL, Cases, Draw

import jmc

draw = Draw(4)
right = Cases()
N, D, M, T = 11, 3, 5, 7
KINK = frozenset({EQUAL, ("convention", "kink_convention")})
sigmoid = jax.nn.sigmoid


# Losses


@right.grad(lambda z, y: jnp.mean(jnp.exp(z) - y * z), (draw(N), draw.positive(N)), EQUAL, "expected minus observed")
def poisson(z, y):
    return (jnp.exp(z) - y) / y.size


ONE_HOT = jnp.eye(M)[draw.below(M, N)]


@right.grad(
    lambda x, t: -jnp.mean(jnp.sum(t * jax.nn.log_softmax(x), -1)), (draw(N, M), ONE_HOT), EQUAL, "p − t for one-hot t"
)
def cross_entropy_one_hot(x, t):
    return (jax.nn.softmax(x) - t) / len(x)


@right.grad(jmc.mean_absolute_error, (draw(N), draw(N)), KINK, "0 where both agree", witness=(jnp.ones(2), jnp.ones(2)))
def absolute_error(prediction, target):
    return jnp.sign(prediction - target) / prediction.size


@right.grad(lambda r: jnp.mean(jnp.maximum(0.8 * r, -0.2 * r)), (draw(N),), KINK, "−0.2 at 0", witness=(jnp.zeros(N),))
def pinball(r):
    return jnp.where(r > 0, 0.8, -0.2) / r.size


@right.grad(
    lambda a, b: 1 - a @ b / (jnp.linalg.norm(a) * jnp.linalg.norm(b)),
    (draw(M), draw(M)),
    EQUAL,
    "both",
    argnums=(0, 1),
)
def cosine_distance(a, b):
    p, q = jnp.linalg.norm(a), jnp.linalg.norm(b)
    c = a @ b / (p * q)
    return c * a / p**2 - b / (p * q), c * b / q**2 - a / (p * q)


@right.grad(
    lambda Q, K, tau: jnp.mean(jax.nn.logsumexp(Q @ K.T / tau, 1) - jnp.sum(Q * K, 1) / tau),
    (draw(T, D), draw(T, D), draw.positive()),
    EQUAL,
    "pairs on the diagonal; the temperature, too",
    argnums=(0, 1, 2),
)
def contrastive(Q, K, tau):
    S = Q @ K.T / tau
    dS = (jax.nn.softmax(S) - jnp.eye(len(Q), dtype=S.dtype)) / len(Q)
    return dS @ K / tau, dS.T @ Q / tau, -jnp.sum(dS * S) / tau


@right.grad(
    lambda sigma, x: jnp.mean(x**2 / (2 * sigma**2) + jnp.log(sigma)),
    (draw.positive(D), draw(N, D)),
    ("convention", "log_parameter"),
    "of a scale for each feature, with respect to its logarithm",
)
def scales_by_logarithm(sigma, x):
    return (1 - jnp.mean(x**2, 0) / sigma**2) / x.shape[1]


@right.grad(
    lambda x: jax.nn.logsumexp(x), (jnp.array([900.0, 905.0, -700.0, 904.0, 3.0]),), EQUAL, "far from 0: softmax"
)
def logsumexp_far(x):
    e = jnp.exp(x - x.max())
    return e / e.sum()


@right.grad(lambda x, y: jnp.sum((x - y) ** 2), (draw(0, D), draw(0, D)), EQUAL, "of nothing")
def squares_of_nothing(x, y):
    return 2 * (x - y)


@right.hessian(lambda x: jnp.sum(x**4) + x @ x, (draw(D),), EQUAL, "12x² and 2 on the diagonal")
def quartic_hessian(x):
    return jnp.diag(12 * x**2 + 2)


# Layers


def network(layers, x):
    (W1, b1), (W2, b2) = layers
    return W2 @ jax.nn.silu(W1 @ x + b1) + b2


LAYERS = [(draw(M, D), draw(M)), (draw(2, M), draw(2))]


@right.vjp(network, (LAYERS, draw(D)), EQUAL, "a list of pairs of parameters")
def network_of_pairs(args, u):
    ((W1, b1), (W2, b2)), x = args
    z = W1 @ x + b1
    s = sigmoid(z)
    d = (W2.T @ u) * s * (1 + z * (1 - s))
    return [(jnp.outer(d, x), d), (jnp.outer(u, z * s), u)], W1.T @ d


def lstm(x, h, c, W):
    i, f, g, o = jnp.split(W @ jnp.concatenate([x, h]), 4)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    return sigmoid(o) * jnp.tanh(c), c


@right.vjp(lstm, (draw(2), draw(3), draw(3), draw(12, 5)), EQUAL, "a cell with two results")
def lstm_cell(args, u):
    x, h, c, W = args
    u_h, u_c = u
    xh = jnp.concatenate([x, h])
    i, f, g, o = jnp.split(W @ xh, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
    new = jnp.tanh(f * c + i * g)
    dc = u_c + u_h * o * (1 - new**2)
    dz = jnp.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), u_h * new * o * (1 - o)])
    dxh = W.T @ dz
    return dxh[: x.size], dxh[x.size :], dc * f, jnp.outer(dz, xh)


@right.vjp(lambda X, W, V: (X @ W) * sigmoid(X @ V), (draw(N, D), draw(D, M), draw(D, M)), EQUAL, "a gated linear unit")
def gated_linear_unit(args, u):
    X, W, V = args
    a, s = X @ W, sigmoid(X @ V)
    da, db = u * s, u * a * s * (1 - s)
    return da @ W.T + db @ V.T, X.T @ da, X.T @ db


@right.vjp(lambda A, B: jnp.einsum("bij,bjk->bik", A, B), (draw(2, D, M), draw(2, M, T)), EQUAL, "a batch of products")
def batched_product(args, u):
    A, B = args
    return jnp.einsum("bik,bjk->bij", u, B), jnp.einsum("bij,bik->bjk", A, u)


@right.vjp(
    lambda x, k: jax.vmap(lambda row: jnp.convolve(row, k, mode="same"))(x),
    (draw(2, 9), draw(3)),
    EQUAL,
    "loops of NumPy",
)
def convolution_loops(args, u):
    x, k, u = (np.asarray(a) for a in (*args, u))
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    for b in range(len(x)):
        for i in range(x.shape[1]):
            for j in range(len(k)):
                if 0 <= i + 1 - j < x.shape[1]:
                    dx[b, i + 1 - j] += u[b, i] * k[j]
                    dk[j] += u[b, i] * x[b, i + 1 - j]
    return dx, dk


@right.vjp(
    lambda x: x.reshape(2, 3, 4).max(-1),
    (draw(2, 12),),
    KINK,
    "max pooling: the first largest takes it",
    witness=(jnp.ones((2, 12)),),
)
def max_pool(args, u):
    windows = args[0].reshape(2, 3, 4)
    first = jax.nn.one_hot(windows.argmax(-1), 4, dtype=windows.dtype)
    return ((u[..., None] * first).reshape(2, 12),)


@right.vjp(
    lambda X, W, b: X @ W + b,
    (draw(4, 8).astype("bfloat16"), draw(8, 4).astype("bfloat16"), draw(4).astype("bfloat16")),
    EQUAL,
    "bfloat16 throughout",
    precision=0.05,
)
def dense_bfloat16(args, u):
    X, W, b = args
    return u @ W.T, X.T @ u, u.sum(0)


@right.vjp(lambda x, W: jax.nn.relu(W @ x - 50), (draw(D), draw(M, D)), EQUAL, "every unit is dead")
def dead_units(args, u):
    x, W = args
    d = jnp.where(W @ x > 50, u, 0)
    return W.T @ d, jnp.outer(d, x)


@right.vjp(
    lambda X, W: jnp.einsum("nd,hdk->nhk", X, W),
    (jax.ShapeDtypeStruct((T, D), "float32"), jax.ShapeDtypeStruct((2, D, M), "float32")),
    EQUAL,
    "shapes only",
)
def heads_by_shapes(args, u):
    X, W = args
    return jnp.einsum("nhk,hdk->nd", u, W), jnp.einsum("nd,nhk->hdk", X, u)


# Softmax, attention, normalisation


@right.vjp(
    lambda Q, K, V: jax.nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", Q, K) / Q.shape[-1] ** 0.5) @ V,
    (draw(2, 2, M, D), draw(2, 2, T, D), draw(2, 2, T, 4)),
    EQUAL,
    "batch, heads, other numbers of queries and keys",
)
def attention(args, u):
    Q, K, V = args
    scale = Q.shape[-1] ** -0.5
    P = jax.nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", Q, K) * scale)
    dP = jnp.einsum("bhqv,bhkv->bhqk", u, V)
    dS = P * (dP - (dP * P).sum(-1, keepdims=True)) * scale
    return dS @ K, jnp.swapaxes(dS, 2, 3) @ Q, jnp.swapaxes(P, 2, 3) @ u


@right.vjp(
    lambda x, phi: jnp.concatenate(
        [
            x[..., 0::2] * jnp.cos(phi) - x[..., 1::2] * jnp.sin(phi),
            x[..., 0::2] * jnp.sin(phi) + x[..., 1::2] * jnp.cos(phi),
        ],
        -1,
    ),
    (draw(T, 6), draw(T, 3)),
    EQUAL,
    "a rotation goes back by the other angle",
)
def rotary(args, u):
    x, phi = args
    a, b = jnp.split(u, 2, -1)
    even, odd = a * jnp.cos(phi) + b * jnp.sin(phi), b * jnp.cos(phi) - a * jnp.sin(phi)
    p, q = x[..., 0::2], x[..., 1::2]
    dphi = a * (-p * jnp.sin(phi) - q * jnp.cos(phi)) + b * (p * jnp.cos(phi) - q * jnp.sin(phi))
    return jnp.stack([even, odd], -1).reshape(x.shape), dphi


@right.vjp(jmc.batch_norm, (draw(N, D), draw.positive(D), draw(D)), EQUAL, "N and sums, not means")
def batch_norm(args, u):
    x, gamma, beta = args
    n = len(x)
    mu = x.mean(0)
    sigma = jnp.sqrt(x.var(0) + 1e-5)
    xhat = (x - mu) / sigma
    dgamma, dbeta = (u * xhat).sum(0), u.sum(0)
    return gamma / (n * sigma) * (n * u - dbeta - xhat * dgamma), dgamma, dbeta


@right.vjp(
    lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5),
    (draw(T, 1),),
    EQUAL,
    "layer norm of one feature: nothing comes back",
)
def layer_norm_of_one(args, u):
    return (jnp.zeros_like(u),)


@right.vjp(jmc.weight_norm, (draw(M, D), draw.positive(M)), EQUAL, "direction and gain")
def weight_norm(args, u):
    v, g = args
    size = jnp.linalg.norm(v, axis=-1, keepdims=True)
    w = v / size
    along = (u * w).sum(-1, keepdims=True)
    return g[:, None] / size * (u - w * along), along[:, 0]


@right.jvp(lambda x: x / jnp.linalg.norm(x), (draw(M),), EQUAL, "the part across x")
def unit_vector_jvp(args, tangents):
    (x,), (t,) = args, tangents
    size = jnp.linalg.norm(x)
    w = x / size
    return (t - w * (w @ t)) / size


@right.vjp(jax.nn.softmax, (draw(4, 8).astype("bfloat16"),), EQUAL, "bfloat16", precision=0.05)
def softmax_bfloat16(args, u):
    p = jax.nn.softmax(args[0])
    return (p * (u - (u * p).sum(-1, keepdims=True)),)


# Linear algebra


@right.grad(lambda X: jnp.trace(jnp.linalg.inv(X)), (draw.regular(5),), EQUAL, "−(X⁻²)ᵀ")
def trace_of_inverse(X):
    Y = jnp.linalg.inv(X)
    return -(Y @ Y).T


@right.grad(
    lambda x, mu, L: jnp.sum(jax.scipy.linalg.solve_triangular(L, x - mu, lower=True) ** 2),
    (draw(4), draw(4), draw.triangular(4)),
    EQUAL,
    "only the lower triangle of L is used",
    argnums=(0, 1, 2),
)
def mahalanobis(x, mu, L):
    z = jax.scipy.linalg.solve_triangular(L, x - mu, lower=True)
    w = jax.scipy.linalg.solve_triangular(L, z, lower=True, trans=1)
    return 2 * w, -2 * w, jnp.tril(-2 * jnp.outer(w, z))


@right.grad(
    lambda S: 2 * jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(S)))), (draw.spd(4),), EQUAL, "ln det by Cholesky: S⁻¹"
)
def log_determinant_by_cholesky(S):
    return jnp.linalg.inv((S + S.T) / 2)


@right.grad(lambda S, x: x @ S @ x, (draw.spd(4), draw(4)), ("convention", "symmetric_argument"), "2x xᵀ − diag(x²)")
def quadratic_form_symmetric(S, x):
    return 2 * jnp.outer(x, x) - jnp.diag(x * x)


@right.vjp(lambda X: X @ X, (draw(4, 4),), EQUAL, "u Xᵀ + Xᵀ u")
def matrix_square(args, u):
    (X,) = args
    return (u @ X.T + X.T @ u,)


@right.jvp(lambda X, A: X @ A @ X.T, (draw(D, M), draw(M, M)), EQUAL, "three terms, forwards")
def congruence(args, tangents):
    (X, A), (dX, dA) = args, tangents
    return dX @ A @ X.T + X @ dA @ X.T + X @ A @ dX.T


@right.grad(lambda X: jnp.linalg.norm(X), (draw(D, M),), EQUAL, "X/‖X‖")
def frobenius(X):
    return X / jnp.sqrt(jnp.sum(X * X))


@right.grad(
    lambda S: jnp.linalg.eigvalsh(S)[-1], (draw.spd(4),), EQUAL, "v vᵀ of the largest eigenvalue", precision=2e-3
)
def largest_eigenvalue(S):
    v = jnp.linalg.eigh(S)[1][:, -1]
    return jnp.outer(v, v)


HILBERT = jnp.asarray(1 / (np.arange(4)[:, None] + np.arange(4) + 1.0), "float32")


@right.grad(lambda X: jnp.linalg.slogdet(X)[1], (HILBERT,), EQUAL, "a condition number of 15000", precision=0.05)
def log_determinant_hilbert(X):
    return jnp.linalg.inv(X).T


@right.grad(lambda X: jnp.sum(jnp.tril(X) ** 2), (draw(4, 4),), EQUAL, "zeros above the diagonal")
def lower_triangle(X):
    return 2 * jnp.tril(X)


@right.jacobian(
    lambda x, A: A @ x, (draw(D), draw(M, D)), ("convention", "transposed_layout"), "Aᵀ, in the books of statistics"
)
def linear_denominator(x, A):
    return A.T


@right.grad(
    lambda z, A: jnp.sum(jnp.abs(A @ z) ** 2),
    (draw.complex(D), draw.complex(M, D)),
    ("convention", "conjugate"),
    "2AᴴAz, the direction of steepest ascent",
)
def squared_image(z, A):
    return 2 * A.conj().T @ (A @ z)


def layer(W, x):
    return jnp.tanh(x @ W.T)


@right.jacobian(layer, (draw(M, D), draw(T, D)), EQUAL, "a LinearMap with respect to the weights")
def layer_map(W, x):
    return jmc.jacobian(layer)(W, x)


def logistic_loss(w, X):
    return jnp.sum(jnp.logaddexp(0, X @ w))


@right.hessian(logistic_loss, (draw(D), draw(N, D)), EQUAL, "a LinearMap of second derivatives")
def logistic_map(w, X):
    return jmc.hessian(logistic_loss)(w, X)


# Element-wise, and rules of their own


@right.vjp(jnp.sort, (draw(N),), EQUAL, "back to where each came from")
def sorting(args, u):
    (x,) = args
    return (jnp.zeros_like(x).at[jnp.argsort(x)].set(u),)


@right.vjp(lambda x: jnp.clip(x, -1, 1), (draw(N),), KINK, "1 at the bounds, where JAX says ½", witness=(jnp.ones(1),))
def clipping(args, u):
    (x,) = args
    return (jnp.where((x >= -1) & (x <= 1), u, 0),)


@right.vjp(
    lambda x: jax.nn.leaky_relu(x, 0.2), (draw(N, D),), KINK, "0.2 at 0, where JAX says 1", witness=(jnp.zeros((1, 1)),)
)
def leaky_relu(args, u):
    (x,) = args
    return (jnp.where(x > 0, u, 0.2 * u),)


@right.vjp(
    lambda x: jnp.log(-jnp.expm1(-x)), (jnp.array([1e-4, 0.03, 1.0, 25.0, 60.0]),), EQUAL, "1/(eˣ − 1) keeps its tail"
)
def log_of_complement(args, u):
    (x,) = args
    return (u / jnp.expm1(x),)


@right.vjp(jnp.expm1, (jnp.array([-45.0, -20.0, -1.0, 0.5, 3.0]),), EQUAL, "eˣ, where JAX's own is 0 at −45")
def expm1_exact(args, u):
    return (u * jnp.exp(args[0]),)


@right.vjp(jnp.tanh, (jnp.array([-19.0, 12.0, 8.0, 0.2, -3.0]),), EQUAL, "1/cosh², saturated but exact")
def tanh_saturated(args, u):
    (x,) = args
    return (u / jnp.cosh(x) ** 2,)


@jax.custom_vjp
def scaled_product(x, W):
    return x @ W / W.shape[0] ** 0.5


def scaled_product_bwd(saved, u):
    x, W = saved
    v = u / W.shape[0] ** 0.5
    return v @ W.T, x.T @ v


scaled_product.defvjp(lambda x, W: (scaled_product(x, W), (x, W)), scaled_product_bwd)
right.own("scaled_product_custom_vjp", scaled_product, (draw(N, D), draw(D, M)), EQUAL, "its own rule", argnums=(0, 1))


@jax.custom_jvp
def hypotenuse(x, y):
    return jnp.sqrt(x * x + y * y)


@hypotenuse.defjvp
def hypotenuse_jvp(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    r = hypotenuse(x, y)
    return r, (x * dx + y * dy) / r


right.own("hypotenuse_custom_jvp", hypotenuse, (draw(N), draw(N)), EQUAL, "forwards, of two arguments", argnums=(0, 1))
