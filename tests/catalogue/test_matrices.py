"""Functions of matrices: the adjoints as Giles writes them, structure, and points where JAX's own derivative fails."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmc.catalogue.algebra import expm, inv
from jmc.catalogue.eigenvalue import gaps
from jmc.catalogue.registry import rules
from jmc.linear import nest


def symmetric(X):
    return (X + X.T) / 2


def halved(X):
    return jnp.tril(X) - jnp.diag(jnp.diag(X)) / 2


def of_exponential(C, A, c):
    n = len(A)
    return expm(jnp.block([[A.T, c], [0 * A, A.T]]))[:n, n:]


def of_qr(QR, A, q, r):
    Q, R = QR
    M = R @ r.T - q.T @ Q
    return (q + Q @ (jnp.tril(M) + jnp.tril(M, -1).T)) @ inv(R).T


ADJOINTS = {
    "G-2": lambda C, A, B, c: c @ B.T,
    "G-3": lambda C, A, c: -C.T @ c @ C.T,
    "G-4": lambda C, A, c: c * C * inv(A).T,
    "G-5": lambda C, A, B, c: -inv(A).T @ c @ C.T,
    "G-5b": lambda C, A, B, c: c @ inv(B).T,
    "G-6": lambda C, A, B, c: B @ c @ B.T,
    "G-7": lambda C, A, B, c: -inv(A).T @ B @ c @ B.T @ inv(A).T,
    "G-9": of_exponential,
    "G-11": lambda DV, A, d, v: symmetric(DV[1] @ (jnp.diag(d) + gaps(DV[0]) * (DV[1].T @ v)) @ DV[1].T),
    "G-13": lambda L, A, c: inv(L).T @ symmetric(halved(L.T @ c)) @ inv(L),
    "G-14": lambda B, A, b: b * A / B,
    "G+3": lambda _, A, __, c: c * inv(A).T,
    "G+5": of_qr,
    "G+8": lambda x, A, b, c: jnp.outer(b - A @ x, inv(A.T @ A) @ c) - jnp.outer(A @ inv(A.T @ A) @ c, x),
    "G+9": lambda C, A, B, c: jnp.einsum("ikjl,kl->ij", c.reshape(A.shape[0], B.shape[0], A.shape[1], -1), B),
    "G+11": lambda X, C, A, B, c: rules["G+11"].f(c, A.T, B.T),
}


@pytest.mark.parametrize("name", ADJOINTS)
def test_the_adjoint_is_the_one_that_giles_writes(name, x64):
    rule = rules[name]
    rng = np.random.default_rng(2)

    @jax.jit
    def both(*args):
        value = rule.f(*args)
        cotangents = jax.tree.map(lambda out: jnp.asarray(rng.normal(size=out.shape)), value)
        written = ADJOINTS[name](value, *args, *jax.tree.leaves(cotangents))
        return nest.vm(rule.map(rule.argnums[0], *args), cotangents), written

    np.testing.assert_allclose(*both(*rule.sample(1)), rtol=1e-9, atol=1e-11)


def test_eigenvectors_of_any_length_have_the_adjoint_that_giles_writes(x64):
    (A,) = rules["G-10"].sample(3, sizes={"n": 5})

    def of_projections(d, U):  # Σ d_k P_k with P_k = U e_k e_kᵀ U⁻¹, which no length of eigenvectors changes
        return jnp.sum(jnp.sin(U @ jnp.diag(d * d) @ inv(U)))

    @jax.jit
    def found(A):
        d, U = rules["G-10"].f(A)
        d_bar, U_bar = jax.grad(of_projections, (0, 1))(d, U)
        written = inv(U).T @ (jnp.diag(d_bar) + gaps(d) * (U.T @ U_bar)) @ U.T
        closed = nest.vm(rules["G-10"].jacobian(A), (d_bar, U_bar))
        return closed, written, jax.grad(lambda A: jnp.sum(jnp.sin(A @ A)))(A)

    closed, written, exact = found(A)
    np.testing.assert_allclose(closed, exact, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(written, exact, rtol=1e-9, atol=1e-10)


STRUCTURES = {
    "K-99": "row of identity(3)",
    "K-105": "row of diagonal(3)",
    "K-65": "row of identity(3)",
    "K-130": "diagonal(3) + rank 1",
    "W-SM-1": "zero(1×15)",
    "G-1": "identity(15)",
    "G-2": "kronecker(I₃ ⊗ dense(2×5))",
    "G-5b": "kronecker(I₃ ⊗ dense(5×5))",
    "G-6": "kronecker(dense(5×3) ⊗ dense(5×3))",
    "G+9": "kronecker(I₃ ⊗ column(14) ⊗ I₅)",
    "G+10": "kronecker(dense(7×5) ⊗ dense(2×3))",
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_is_visible(name):
    rule = rules[name]
    axes = dict.fromkeys(axis for parameter in rule.parameters for axis in parameter.axes)
    args = rule.sample(0, sizes=dict(zip(axes, (3, 5, 2, 7), strict=False)))
    J = jax.eval_shape(lambda *args: rule.map(rule.argnums[0], *args), *args)
    assert J.structure == STRUCTURES[name]


@pytest.mark.parametrize("name", ["K-68", "G-10", "G-11", "G-12", "G-13", "G+4", "G+5", "G+6", "G+7"])
def test_a_factorisation_stores_no_dense_jacobian(name):
    rule = rules[name]
    args = rule.sample(0, sizes={"n": 40, "m": 30})
    maps = jax.tree.leaves(jax.eval_shape(rule.jacobian, *args), is_leaf=lambda leaf: hasattr(leaf, "stored"))
    assert all(J.stored < 3 * 40**3 for J in maps)


def test_vec_of_a_product_in_both_orders(x64):
    X, A, B = rules["G+10"].sample(0)
    by_columns = jnp.kron(B.T, A)  # times vec X, whose entries here are in row-major order
    order = np.arange(X.size).reshape(X.shape).T.ravel()
    np.testing.assert_allclose(rules["G+10"].jacobian(X, A, B).matrix()[:, order], by_columns, rtol=1e-13)
    np.testing.assert_allclose(rules["product AXB"].jacobian(X, A, B).matrix(), jnp.kron(A, B.T), rtol=1e-13)


@pytest.mark.parametrize(("rank", "seed"), [(4, 0), (4, 1), (3, 0), (2, 0)])
def test_the_determinant_has_cofactors_where_there_is_no_inverse(rank, seed, x64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(4, rank)) @ rng.normal(size=(rank, 4))

    def cofactor(i, j):
        minor = np.delete(np.delete(X, i, 0), j, 1)
        return (-1) ** (i + j) * sum(
            math.prod(float(minor[a, b]) for a, b in enumerate(p)) * np.linalg.det(np.eye(3)[list(p)])
            for p in itertools.permutations(range(3))
        )

    exact = [[cofactor(i, j) for j in range(4)] for i in range(4)]
    gradient = jax.jit(lambda X: rules["K-49"].jacobian(X).dense())(X)
    np.testing.assert_allclose(gradient, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["G-10", "G-11", "G-12"])
def test_signs_are_those_that_the_conditions_fix_in_value_and_derivative(name, x64):
    rule = rules[name]
    f = jax.jit(lambda A, dA: (rule.f(A)[-1], jax.jvp(rule.f, (A,), (dA,))[1], nest.mv(rule.jacobian(A), dA)))
    for seed in range(5):
        (A,) = rule.sample(seed, sizes={"n": 4, "m": 3})
        V, tangents, closed = f(A, jnp.cos(A))
        assert np.all(V.sum(axis=0) > 0)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10), tuple(closed), tangents)


def test_the_square_root_has_a_derivative_where_eigenvalues_meet(x64):
    V = jnp.arange(9.0).reshape(3, 3)
    closed = jax.jit(lambda A, V: rules["G+7"].jacobian(A).mv(V))(4 * jnp.eye(3), V)
    np.testing.assert_allclose(closed, symmetric(V) / 4, rtol=1e-13)  # X ∂X + ∂X X = ∂A with X = 2 I
    tangent = jax.jit(lambda A, V: jax.jvp(rules["G+7"].f, (A,), (V,))[1])(4 * jnp.eye(3), V)
    assert np.all(np.isnan(tangent))


def test_the_pseudo_inverse_keeps_a_rank_that_is_not_full(x64):
    rng = np.random.default_rng(0)
    B, C, dB, dC = (rng.normal(size=shape) for shape in ((5, 2), (2, 4), (5, 2), (2, 4)))

    def at(h):  # (BC)⁺ = C⁺B⁺ for full ranks
        return np.linalg.pinv(C + h * dC) @ np.linalg.pinv(B + h * dB)

    along = jax.jit(lambda A, dA: rules["G+4"].jacobian(A).mv(dA))(B @ C, dB @ C + B @ dC)
    np.testing.assert_allclose(along, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_what_the_cookbook_prints_holds_for_a_symmetric_matrix(x64):
    rule = rules["K-127"]
    X, A, B, C = rule.sample(0)
    printed = rule.printed(X, A + A.T, B, C)  # pyright: ignore[reportOptionalCall] - it is stated
    np.testing.assert_allclose(rule.jacobian(X, A + A.T, B, C).dense(), printed, rtol=1e-9)
