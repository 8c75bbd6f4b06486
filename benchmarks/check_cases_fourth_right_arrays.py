"""The right ones of the fourth set, arrays: solves, eigenvalues, roots of matrices, spectra, complex numbers."""

# ruff: noqa: ARG001 - a backward function takes what it is given, used or not

import jax
import jax.numpy as jnp
from check_cases import EQUAL, Cases, Draw
from check_cases_fourth_right import double

import jmc

draw = Draw(14)
right = Cases()
N, D, M, T = 7, 3, 5, 11


# Linear algebra


def least_squares_solution(A, b):
    return jnp.linalg.solve(A.T @ A, A.T @ b)


@right.vjp(
    least_squares_solution, (draw(N, D), draw(N)), EQUAL, "through the residual and the solution", precision=2e-3
)
def normal_equations(args, u):
    A, b = args
    Q, R = jnp.linalg.qr(A)
    x = jax.scipy.linalg.solve_triangular(R, Q.T @ b)
    w = jax.scipy.linalg.solve_triangular(R, jax.scipy.linalg.solve_triangular(R, u, trans=1))
    return jnp.outer(b - A @ x, w) - jnp.outer(A @ w, x), A @ w


@right.jvp(
    lambda A, B: jnp.linalg.solve(A, B), (draw.regular(4), draw(4, 2)), EQUAL, "one solve for both", precision=1e-3
)
def solve_tangent(args, tangents):
    (A, B), (dA, dB) = args, tangents
    return jnp.linalg.solve(A, dB - dA @ jnp.linalg.solve(A, B))


@right.vjp(jnp.linalg.eigvalsh, (double(draw.spd(4)),), EQUAL, "Q diag(u) Qᵀ")
def eigenvalues(args, u):
    Q = jnp.linalg.eigh(args[0])[1]
    return ((Q * u) @ Q.T,)


def lyapunov(A, C):
    """X with A X + X Aᵀ = C."""
    eye = jnp.eye(len(A), dtype=A.dtype)
    return jnp.linalg.solve(jnp.kron(A, eye) + jnp.kron(eye, A), C.ravel()).reshape(C.shape)


@right.vjp(lyapunov, (draw.regular(3), draw(3, 3)), EQUAL, "another such equation, with Aᵀ", precision=2e-3)
def lyapunov_adjoint(args, u):
    A, C = args
    X, S = lyapunov(A, C), lyapunov(A.T, u)
    return -(S @ X.T + S.T @ X), S


def matrix_root(S):
    values, Q = jnp.linalg.eigh(S)
    return (Q * jnp.sqrt(values)) @ Q.T


@right.jvp(matrix_root, (draw.spd(4),), EQUAL, "R dR + dR R = dS in the eigenbasis", precision=2e-3)
def matrix_root_tangent(args, tangents):
    (S,), (dS,) = args, tangents
    dS = (dS + dS.T) / 2  # eigh reads a symmetric matrix
    values, Q = jnp.linalg.eigh(S)
    root = jnp.sqrt(values)
    return Q @ ((Q.T @ dS @ Q) / (root[:, None] + root)) @ Q.T


@right.vjp(jax.scipy.linalg.expm, (draw(D, D),), EQUAL, "the corner of the exponential of a block", precision=1e-3)
def exponential_block(args, u):
    A = args[0].T
    block = jnp.block([[A, u], [jnp.zeros_like(A), A]])
    return (jax.scipy.linalg.expm(block)[: len(A), len(A) :],)


@right.vjp(jnp.kron, (draw(2, D), draw(4, 2)), EQUAL, "blocks of the cotangent")
def kronecker(args, u):
    A, B = args
    blocks = u.reshape(A.shape[0], B.shape[0], A.shape[1], B.shape[1])
    return jnp.einsum("ikjl,kl->ij", blocks, B), jnp.einsum("ikjl,ij->kl", blocks, A)


@right.grad(lambda X: jnp.linalg.svd(X, compute_uv=False).sum(), (draw(M, D),), EQUAL, "the polar factor X (XᵀX)^(−½)")
def nuclear_norm(X):
    values, V = jnp.linalg.eigh(X.T @ X)
    return X @ (V / jnp.sqrt(values)) @ V.T


@right.grad(
    lambda S, b: b @ jnp.linalg.solve(S, b), (draw.spd(4), draw(4)), EQUAL, "−xxᵀ and 2x with x = S⁻¹b", argnums=(0, 1)
)
def inverse_form(S, b):
    x, z = jnp.linalg.solve(S, b), jnp.linalg.solve(S.T, b)
    return -jnp.outer(z, x), x + z


@right.grad(
    lambda S, b: b @ jnp.linalg.solve(S, b),
    (draw.spd(4), draw(4)),
    ("convention", "symmetric_argument"),
    "only the free entries of a symmetric S",
)
def inverse_form_symmetric(S, b):
    x = jnp.linalg.solve(S, b)
    return jnp.diag(x * x) - 2 * jnp.outer(x, x)


@right.grad(
    lambda A, B, C: jnp.einsum("ir,jr,kr->ijk", A, B, C).sum(),
    (draw(M, 2), draw(5, 2), draw(4, 2)),
    EQUAL,
    "a sum of sums",
)
def factors_of_sum(A, B, C):
    return jnp.broadcast_to(B.sum(0) * C.sum(0), A.shape)


@right.jacobian(
    lambda x, A: jnp.tanh(A @ x) * jnp.sum(x),
    (draw(D), draw(M, D)),
    ("convention", "transposed_layout"),
    "Aᵀ diag(1 − h²) Σx + 1 hᵀ: inputs down",
)
def denominator_product(x, A):
    h = jnp.tanh(A @ x)
    return (A.T * (1 - h**2)) * x.sum() + h


@right.grad(
    lambda S: jnp.sum(S * S) / 2, (draw.spd(4),), ("convention", "symmetric_argument"), "2S − diag S: the free entries"
)
def half_norm_symmetric(S):
    return 2 * S - jnp.diag(jnp.diag(S))


@right.jacobian(
    lambda x: jnp.stack([x @ x, x.sum(), jnp.prod(x)]),
    (draw(4),),
    ("convention", "transposed_layout"),
    "three gradients as columns",
)
def gradients_as_columns(x):
    return jnp.stack([2 * x, jnp.ones_like(x), jnp.prod(x) / x], axis=1)


@right.hessian(lambda x: (x @ x - 1) ** 2, (draw(4),), EQUAL, "a double well: 4(s − 1)I + 8xxᵀ")
def double_well(x):
    return 4 * (x @ x - 1) * jnp.eye(x.size, dtype=x.dtype) + 8 * jnp.outer(x, x)


def squashed(x, A):
    return jnp.arctan(A @ x) * jnp.exp(-(x[0] ** 2))


@right.jacobian(squashed, (draw(D), draw(M, D)), EQUAL, "a LinearMap, by AD of JAX within")
def squashed_map(x, A):
    return jmc.jacobian(squashed)(x, A)


# Signals, complex numbers


def circular(x, k):
    return jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(k), x.size)


@right.vjp(circular, (draw(8), draw(8)), EQUAL, "correlations, by conjugate spectra")
def circular_correlations(args, u):
    x, k = (jnp.fft.rfft(a) for a in args)
    U = jnp.fft.rfft(u)
    return jnp.fft.irfft(U * k.conj(), u.size), jnp.fft.irfft(U * x.conj(), u.size)


@right.vjp(lambda z: z**3 - 2 * z, (draw.complex(M),), EQUAL, "holomorphic: u f′(z), nothing conjugate")
def holomorphic(args, u):
    (z,) = args
    return (u * (3 * z**2 - 2),)


@right.grad(lambda z: jnp.sum(jnp.log1p(jnp.abs(z) ** 2)), (draw.complex(M),), EQUAL, "2z̄/(1 + |z|²), as JAX has it")
def log_power(z):
    return 2 * z.conj() / (1 + z.real**2 + z.imag**2)


@right.grad(
    lambda z: jnp.sum(jnp.log1p(jnp.abs(z) ** 2)),
    (draw.complex(M),),
    ("convention", "conjugate"),
    "2z/(1 + |z|²), uphill",
)
def log_power_uphill(z):
    return 2 * z / (1 + z * z.conj())


@right.grad(
    lambda z, a: jnp.abs(a @ z) ** 2,
    (draw.complex(D), draw.complex(D)),
    ("convention", "conjugate"),
    "Wirtinger's derivative by z̄",
)
def by_conjugate(z, a):
    return a.conj() * (a @ z)


@right.jvp(jnp.abs, (draw.complex(N),), EQUAL, "the part of the tangent along z")
def modulus(args, tangents):
    (z,), (t,) = args, tangents
    return (z.conj() * t).real / jnp.abs(z)


@right.vjp(jnp.cumsum, (draw(1),), EQUAL, "of one number")
def sum_of_one(args, u):
    return (u,)
