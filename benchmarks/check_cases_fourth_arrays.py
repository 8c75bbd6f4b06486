"""The fourth set's mistakes in linear algebra, signals and element-wise functions."""

# ruff: noqa: ARG001, RUF059 - a backward function takes what it is given, used or not: some mistakes are just that

import jax
import jax.numpy as jnp
import numpy as np
from check_cases import Cases, Draw
from check_cases_fourth_right import double
from check_cases_fourth_right_arrays import circular, least_squares_solution, lyapunov
from check_cases_fourth_right_physics import langevin

draw = Draw(17)
wrong = Cases()
N, D, M, T = 7, 3, 5, 11


# Linear algebra


@wrong.vjp(
    lambda X: jnp.linalg.slogdet(X)[1],
    (double(draw.regular(4)),),
    "cotangent_ignored",
    "the table's gradient, returned as the rule",
)
def log_determinant_alone(args, u):
    return (jnp.linalg.inv(args[0]).T,)


@wrong.grad(jnp.linalg.det, (draw.regular(4),), "missing_factor", "the determinant itself")
def determinant_without_itself(X):
    return jnp.linalg.inv(X).T


@wrong.grad(
    lambda X, A, B: jnp.trace(A @ X @ B),
    (draw(4, 4), draw(4, 4), draw(4, 4)),
    "transposed_layout",
    "BA, as the tables of the other layout have it; everything square",
)
def trace_of_three(X, A, B):
    return B @ A


@wrong.grad(lambda W, x, y: x @ W @ y, (draw(M, D), draw(M), draw(D)), "transposed_layout", "y xᵀ for x yᵀ")
def bilinear_form_layout(W, x, y):
    return jnp.outer(y, x)


@wrong.grad(
    lambda A, b: b @ jnp.linalg.solve(A, b), (draw.regular(4), draw(4)), "sign", "the inverse's minus is forgotten"
)
def inverse_form_plus(A, b):
    return jnp.outer(jnp.linalg.solve(A.T, b), jnp.linalg.solve(A, b))


@wrong.grad(
    lambda A, b, c: c @ jnp.linalg.solve(A, b),
    (draw.regular(4), draw(4), draw(4)),
    "transposed_operand",
    "the adjoint vector from A, not from Aᵀ",
)
def adjoint_untransposed(A, b, c):
    return -jnp.outer(jnp.linalg.solve(A, c), jnp.linalg.solve(A, b))


@wrong.grad(
    lambda A, b, c: c @ jnp.linalg.solve(A, b),
    (draw.regular(4), draw(4), draw(4)),
    "swapped_arguments",
    "the right side's gradient is A⁻ᵀc, the observer's A⁻¹b",
    argnums=(1, 2),
)
def adjoint_swapped(A, b, c):
    return jnp.linalg.solve(A, b), jnp.linalg.solve(A.T, c)


@wrong.vjp(
    least_squares_solution,
    (double(draw(N, D)), double(draw(N))),
    "missing_term",
    "the residual's part is left out, as if it were 0",
)
def least_squares_residual(args, u):
    A, b = args
    x = jnp.linalg.solve(A.T @ A, A.T @ b)
    w = jnp.linalg.solve(A.T @ A, u)
    return -jnp.outer(A @ w, x), A @ w


@wrong.jvp(lambda A, b: jnp.linalg.solve(A, b), (draw.regular(4), draw(4)), "missing_term", "only the right side moves")
def solve_right_side_only(args, tangents):
    (A, _), (_, db) = args, tangents
    return jnp.linalg.solve(A, db)


@wrong.jvp(lambda A: A @ A @ A, (draw(4, 4),), "missing_term", "the tangent in the middle of the three is forgotten")
def matrix_cube(args, tangents):
    (A,), (dA,) = args, tangents
    return dA @ A @ A + A @ A @ dA


@wrong.vjp(lambda S: jnp.linalg.eigvalsh(S), (draw.spd(4),), "transposed_operand", "Qᵀ diag(u) Q for Q diag(u) Qᵀ")
def eigenvalues_turned(args, u):
    Q = jnp.linalg.eigh(args[0])[1]
    return (Q.T @ jnp.diag(u) @ Q,)


@wrong.vjp(
    jnp.linalg.cholesky,
    (draw.spd(4),),
    frozenset({"wrong_term", "missing_factor"}),
    "Φ takes the lower triangle, but does not halve its diagonal",
)
def cholesky_diagonal(args, u):
    L = jnp.linalg.cholesky(args[0])
    inverse = jnp.linalg.inv(L)
    S = inverse.T @ jnp.tril(L.T @ u) @ inverse
    return ((S + S.T) / 2,)


@wrong.vjp(lyapunov, (draw.regular(3), draw(3, 3)), "missing_term", "A stands in the equation twice")
def lyapunov_once(args, u):
    A, C = args
    S = lyapunov(A.T, u)
    return -S @ lyapunov(A, C).T, S


@wrong.vjp(
    lyapunov,
    (draw.regular(3), draw(3, 3)),
    ("sign", "transposed_operand"),
    "+, and the adjoint equation with A for Aᵀ",
)
def lyapunov_two(args, u):
    A, C = args
    X, S = lyapunov(A, C), lyapunov(A, u)
    return S @ X.T + S.T @ X, None


@wrong.vjp(
    lambda A, B, C: jnp.einsum("ir,jr,kr->ijk", A, B, C),
    (draw(5, 2), draw(5, 2), draw(4, 2)),
    "swapped_arguments",
    "the first two factors of a CP decomposition exchanged",
)
def factors_exchanged(args, u):
    A, B, C = args
    dA = jnp.einsum("ijk,jr,kr->ir", u, B, C)
    dB = jnp.einsum("ijk,ir,kr->jr", u, A, C)
    return dB, dA, None


@wrong.vjp(
    lambda A, B, C: jnp.einsum("ir,jr,kr->ijk", A, B, C),
    (draw(5, 2), draw(5, 2), draw(4, 2)),
    "wrong_axis",
    "i for j in the second factor's sum, both 5",
)
def factors_axis(args, u):
    A, B, C = args
    return None, jnp.einsum("ijk,jr,kr->ir", u, A, C), None


@wrong.vjp(
    lambda X, Y: jnp.sqrt(((X[:, None] - Y) ** 2).sum(-1)),
    (draw(N, D), draw(M, D)),
    "missing_factor",
    "the unit vectors' 1/d",
)
def distances_direction(args, u):
    X, Y = args
    r = X[:, None] - Y
    return (u[..., None] * r).sum(1), -(u[..., None] * r).sum(0)


@wrong.grad(
    lambda x, A, b: (A @ x - b) @ (A @ x - b) + 0.5 * (x @ x),
    (double(draw(4)), double(draw(4, 4)), double(draw(4))),
    ("constant_factor", "transposed_operand"),
    "A(Ax − b) + x: no 2, and A for Aᵀ",
)
def damped_squares_two(x, A, b):
    return A @ (A @ x - b) + x


@wrong.hessian(lambda x: (x @ x - 1) ** 2, (draw(4),), "missing_term", "the outer product of the double well")
def double_well_round(x):
    return 4 * (x @ x - 1) * jnp.eye(x.size, dtype=x.dtype)


@wrong.jacobian(lambda x, A: A @ (x * x), (double(draw(D)), double(draw(M, D))), "missing_factor", "A diag x without x")
def squares_mapped(x, A):
    return 2 * A


@wrong.jacobian(
    lambda x, a: a * jnp.cumsum(x) ** 2,
    (draw(M), draw.positive()),
    "diagonal_only",
    "each sum moves with its last entry only",
)
def running_sum_diagonal(x, a):
    return jnp.diag(2 * a * jnp.cumsum(x))


@wrong.jacobian(lambda x: jnp.roll(x, 1) * x, (draw(M),), "wrong_term", "the neighbour on the wrong side")
def neighbour_products(x):
    return jnp.diag(jnp.roll(x, 1)) + jnp.roll(jnp.diag(x), 1, axis=1)


# Signals


@wrong.vjp(
    circular,
    (draw(8), draw(8)),
    frozenset({"conjugate", "transposed_operand"}),
    "the spectrum is not conjugate: convolved again, not correlated",
)
def circular_again(args, u):
    x, k = args
    return circular(u, k), circular(u, x)


@wrong.vjp(
    lambda x, w: jnp.abs(jnp.fft.rfft(x * w)) ** 2,
    (draw(8), draw.unit(8)),
    "nonlinear_in_cotangent",
    "only the strongest lines of the spectrum are sent back",
)
def strongest_lines(args, u):
    x, w = args
    v = jnp.where(jnp.abs(u) >= jnp.median(jnp.abs(u)), u, 0)
    t = jnp.arange(x.size) * jnp.arange(v.size)[:, None] * (2 * jnp.pi / x.size)
    c, s = jnp.cos(t), jnp.sin(t)
    g = 2 * ((v * (c @ (x * w))) @ c + (v * (s @ (x * w))) @ s)
    return g * w, g * x


@wrong.vjp(
    lambda x, c: x + c * (jnp.roll(x, 1) - x),
    (double(draw(T)), double(draw.unit())),
    frozenset({"transposed_operand", "wrong_term"}),
    "transport to the right, and the cotangent to the right as well",
)
def transport_again(args, u):
    x, c = args
    return u + c * (jnp.roll(u, 1) - u), jnp.vdot(u, jnp.roll(x, 1) - x)


@wrong.vjp(
    lambda x, i: jnp.zeros(4, x.dtype).at[i].add(x),
    (draw(N), jnp.array([0, 3, 3, 1, 0, 2, 3])),
    "zero",
    "a histogram's weights, whose gradient was written to a copy",
)
def histogram_lost(args, u):
    x, i = args
    out = np.zeros(x.shape, np.asarray(u).dtype)
    out.copy()[:] = np.asarray(u)[np.asarray(i)]
    return out, None


# Element-wise


@wrong.vjp(lambda x: jax.scipy.special.erfc(x), (draw(N, D),), "sign", "the complement falls")
def complement(args, u):
    return (2 / np.pi**0.5 * u * jnp.exp(-(args[0] ** 2)),)


@wrong.vjp(jnp.exp2, (draw(N),), frozenset({"constant_factor", "missing_factor"}), "ln 2")
def power_of_two(args, u):
    return (u * jnp.exp2(args[0]),)


@wrong.vjp(
    lambda x, a: x + jnp.sin(a * x) ** 2 / a,
    (draw(N, D), draw.positive()),
    frozenset({"extra_factor", "wrong_term"}),
    "snake: the 1/a that the inner derivative cancels",
)
def snake(args, u):
    x, a = args
    return u * (1 + jnp.sin(2 * a * x) / a), None


@wrong.vjp(jnp.arcsinh, (draw(N, scale=2),), "wrong_point", "1/√(1 + y²) at the output")
def inverse_sine_at_output(args, u):
    y = jnp.arcsinh(args[0])
    return (u / jnp.sqrt(1 + y**2),)


@wrong.vjp(lambda x: jnp.abs(x) ** 3, (draw(N),), "region", "3x² on both sides")
def cube_of_modulus(args, u):
    return (3 * u * args[0] ** 2,)


@wrong.vjp(
    lambda x: jnp.sign(x) * jnp.log1p(jnp.abs(x)), (draw(N, scale=2),), "region", "1/(1 + x), also for negative x"
)
def symmetric_logarithm_right(args, u):
    return (u / (1 + args[0]),)


@wrong.vjp(
    lambda x: -jax.scipy.special.xlogy(x, x),
    (draw.positive(N),),
    "missing_term",
    "−ln x: the 1 of the product rule",
)
def entropy_of_entries(args, u):
    return (-u * jnp.log(args[0]),)


@wrong.vjp(
    lambda x: jnp.where(x > 0, x, 0) ** 1.5,
    (draw(T),),
    "region",
    "1.5 x/√x is nan where the function is 0",
    witness=(jnp.array([-1.0, 2.0]),),
)
def half_power(args, u):
    (x,) = args
    return (1.5 * u * x / jnp.sqrt(x),)


@wrong.vjp(
    lambda x: x - jnp.log1p(x),
    (jnp.array([3e-6, 2e-7, 0.4, 1.7]),),
    "tail_accuracy",
    "1 − 1/(1 + x) cancels near 0",
    witness=(jnp.array([3e-15, 0.5]),),
)
def log_remainder_cancels(args, u):
    return (u * (1 - 1 / (1 + args[0])),)


@wrong.vjp(
    lambda x: jax.nn.softplus(-x),
    (jnp.array([-3.0, 0.2, 9.0, 21.0, 33.0]),),
    "tail_accuracy",
    "σ(x) − 1 for −σ(−x)",
    witness=(jnp.array([40.0, 1.0]),),
)
def softplus_complement(args, u):
    return (u * (jax.nn.sigmoid(args[0]) - 1),)


@wrong.vjp(
    langevin,
    (jnp.array([1e-3, -4e-3, 0.7, 3.0, -9.0]),),
    frozenset({"tail_accuracy", "region"}),
    "1/x² − 1/sinh² x cancels near 0",
    witness=(jnp.array([1e-7, 1.0]),),
)
def langevin_cancels(args, u):
    (x,) = args
    return (u * (1 / x**2 - 1 / jnp.sinh(x) ** 2),)


@wrong.vjp(
    lambda x, y: jnp.hypot(x, y),
    (draw(N), draw(N)),
    ("missing_factor", "swapped_arguments"),
    "(y, x), not divided by the radius",
)
def hypotenuse_two(args, u):
    x, y = args
    return u * y, u * x


@wrong.jvp(lambda x: x @ x, (draw(M),), "nonlinear_in_cotangent", "the small square of the tangent is kept")
def second_order_kept(args, tangents):
    (x,), (t,) = args, tangents
    return 2 * x @ t + t @ t


@wrong.jvp(
    lambda x, a: jnp.exp(-a * x**2),
    (draw(N), draw.positive()),
    "cotangent_ignored",
    "derivatives added up, not tangents",
)
def bell_without_tangents(args, tangents):
    x, a = args
    return -(2 * a * x + x**2) * jnp.exp(-a * x**2)


@wrong.vjp(
    lambda x, s: s * jnp.round(x / s),
    (draw(N, D, scale=3), jnp.float32(0.25)),
    "pass_through",
    "fake quantisation, straight through",
)
def fake_quantisation(args, u):
    return u, None


@wrong.vjp(
    lambda x: jnp.tanh(x),
    (draw(N, D),),
    "nonlinear_in_cotangent",
    "cotangents rounded to eight bits of their largest",
)
def eight_bits(args, u):
    scale = jnp.abs(u).max() / 7
    return (jnp.round(u / scale) * scale * (1 - jnp.tanh(args[0]) ** 2),)
