"""Differentials: a rule d(XY) = dX Y + X dY is the linear map whose product with dX, ``J.mv(dX)``, is that formula."""

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.algebra import expm, eye, inv, kron, left, right, transposition
from jmc.catalogue.inner import SIN, TANH, curve, scalar, vector
from jmc.catalogue.rule import entry
from jmc.linear.build import einsum, identity, zeros
from jmc.linear.linear_map import LinearMap

# dX by itself, and in sums and products.

entry(
    "differential of a constant matrix",
    "K-33 W-D-4",
    "X: m n, A: k l",
    lambda X, A: A,
    lambda X, A: zeros(A.shape, X.shape),
    analytic=False,
)
entry(
    "differential of a number times a matrix",
    "K-34 W-D-5",
    "X: m n, a:",
    lambda X, a: a * X,
    lambda X, a: a * identity(X.shape),
)
entry(
    "differential of a sum of matrices",
    "K-35 W-D-6 G-1",
    "X: m n, Y: m n",
    lambda X, Y: X + Y,
    {"X": lambda X, Y: identity(X.shape), "Y": lambda X, Y: identity(Y.shape)},
)
entry(
    "differential of a product of matrices",
    {"X Y": "K-37 W-D-7 G-2", "X": "K-74"},
    "X: m k, Y: k n",
    lambda X, Y: X @ Y,
    {"X": lambda X, Y: right(Y, len(X)), "Y": lambda X, Y: left(X, Y.shape[1])},
)
entry(
    "differential of a Hadamard product",
    "K-38 W-D-9",
    "X: m n, Y: m n",
    lambda X, Y: X * Y,
    {"X": lambda X, Y: einsum("ij->ij,ij", Y), "Y": lambda X, Y: einsum("ij->ij,ij", X)},
)
entry(
    "differential of a Kronecker product",
    "K-39 W-D-8 G+9",
    "X: m n, Y: k l",
    lambda X, Y: kron(X, Y),
    {
        "X": lambda X, Y: einsum("kl->(ik)(jl),ij", Y, sizes=dict(zip("ij", X.shape, strict=True))),
        "Y": lambda X, Y: einsum("ij->(ik)(jl),kl", X, sizes=dict(zip("kl", Y.shape, strict=True))),
    },
)


entry(
    "differential of the transpose",
    "K-44 W-D-10 L-transpose",
    "X: m n",
    lambda X: X.T,
    lambda X: transposition(*X.shape),
)
entry(
    "differential of the conjugate transpose, X = R + iS",
    "K-45 W-D-12",
    "R: m n, S: m n",
    lambda R, S: (R.T, -S.T),
    {
        "R": lambda R, S: (transposition(*R.shape), zeros(R.T.shape, R.shape)),
        "S": lambda R, S: (zeros(S.T.shape, S.shape), -transposition(*S.shape)),
    },
    conditions="Xᴴ = Rᵀ − iSᵀ as the pair of its parts: linear over the reals, not over the complex numbers",
)

# Functions of a square matrix.


NODES, WEIGHTS = ((1 + np.polynomial.legendre.leggauss(24)[0]) / 2, np.polynomial.legendre.leggauss(24)[1] / 2)
"""Gauss–Legendre: ∫₀¹ f(a) da = Σ weight f(node), exact for polynomials up to degree 47, and below to rounding for e^X
where the eigenvalues of X lie within about 20 of each other, for log X where they lie between 1/8 and 8."""


def _by_integral(factors: jax.Array, others: jax.Array) -> LinearMap:
    """dX ↦ ∫₀¹ F(a) dX G(a) da, from F and G at the nodes."""
    return einsum("q,qki,qjl->kl,ij", np.array(WEIGHTS, factors.dtype), factors, others)


def _of_exponential(X: jax.Array) -> LinearMap:
    """d(e^X) = ∫₀¹ e^(aX) dX e^((1−a)X) da."""
    powers = jax.vmap(lambda a: expm(a * X))(np.array(NODES, X.dtype))
    return _by_integral(powers, powers[::-1])  # the nodes lie symmetrically in 0…1


entry("differential of the matrix exponential", "W-D-14", "X: n n", lambda X: expm(X), _of_exponential)


def _resolvents(X: jax.Array) -> jax.Array:
    """(aX + (1 − a) I)⁻¹ at the nodes."""
    return jax.vmap(lambda a: inv(a * X + (1 - a) * eye(X)))(np.array(NODES, X.dtype))


def logarithm(X: jax.Array) -> jax.Array:
    """log X = ∫₀¹ (aX + (1 − a) I)⁻¹ (X − I) da."""
    return jnp.einsum("q,qik,kj->ij", np.array(WEIGHTS, X.dtype), _resolvents(X), X - eye(X))


entry(
    "differential of the matrix logarithm",
    "W-D-15",
    "X: 3 3 real_eigenvalues",
    lambda X: logarithm(X),
    lambda X: _by_integral(_resolvents(X), _resolvents(X)),
    conditions="no eigenvalue on (−∞, 0]; ∫₀^∞ (X + zI)⁻¹ dX (X + zI)⁻¹ dz with z = (1 − a)/a",
)


def _by_projections(X: jax.Array) -> LinearMap:
    """df(X) = Σ_ij f[λ_i, λ_j] P_i dX P_j of f(λ) = λ³ + 1/λ, with P_i = v_i w_iᵀ, the rows w_iᵀ of V⁻¹."""
    found, vectors = jnp.linalg.eig(X)
    values, V = found.real, vectors.real
    a, b = values[:, None], values[None, :]
    # f[a, b] is (f(a) − f(b))/(a − b), and f′(a) where a = b
    divided = a * a + a * b + b * b - 1 / (a * b)
    return einsum("ki,ia,ij,bj,jl->kl,ab", V, inv(V), divided, V, inv(V))


entry(
    "differential of a function of a diagonalizable matrix (Daleckii–Krein)",
    "W-D-16",
    "X: n n real_eigenvalues",
    lambda X: X @ X @ X + inv(X),
    _by_projections,
    conditions="real eigenvalues; f(X) = X³ + X⁻¹",
)

# From a differential to a derivative, dy = a dx for any function y: its coefficient is the derivative.

y, w, z = curve(*SIN), scalar(*TANH), vector(*TANH)

entry("from dy = a dx, scalar by scalar", "W-C-1", "x:, p:", lambda x, p: y(x, p), lambda x, p: y.D(x, p))
entry("from dy = aᵀdx, scalar by vector", "W-C-2", "x: n, p: n", lambda x, p: w(x, p), lambda x, p: w.D(x, p))
entry(
    "from dy = tr(A dX), scalar by matrix",
    "W-C-3",
    "X: m n, P: m n",
    lambda X, P: w(X, P),
    lambda X, P: w.D(X, P),
    conditions="the table's numerator layout is A, n × m; of the shape of X it is Aᵀ",
)
entry("from dy = a dx, vector by scalar", "W-C-4", "x:, p: m", lambda x, p: y(x, p), lambda x, p: y.D(x, p))
entry("from dy = A dx, vector by vector", "W-C-5", "x: n, P: m n", lambda x, P: z(x, P), lambda x, P: z.D(x, P))
entry("from dY = A dx, matrix by scalar", "W-C-6", "x:, P: m n", lambda x, P: y(x, P), lambda x, P: y.D(x, P))
