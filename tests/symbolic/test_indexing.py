import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def cross_entropy(X, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(X), y[:, None], axis=1))


# the function, the shapes of its arguments, the argument, the order, the formula (and its "where")
TABLE = [
    (lambda x: x[1:] - x[:-1], {"x": "n"}, 1, "I[2:n] − I[1:n − 1]"),
    (rosenbrock, {"x": "n"}, 1,
     "200 (I[2:n] − 2 diag(u) I[1:n − 1])ᵀ (x[2:n] − u ⊙ u) + 2 I[1:n − 1]ᵀ (u − 𝟏) where u = x[1:n − 1]"),
    (lambda x, y: jnp.sum(jnp.concatenate([x, y]) ** 2), {"x": "n", "y": "m"}, 1, "2 (x + I[1:n] I[n + 1:n + m]ᵀ y)"),
    (lambda x: x[0] * x[-1], {"x": "n"}, 1, "x_n e₁ + x₁ e_n"),
    (lambda x: jnp.mean(x[2:]), {"x": "n"}, 1, "(1/(n − 2)) I[3:n]ᵀ 𝟏"),
    (lambda x: jnp.cumsum(x) @ x, {"x": "n"}, 1, "(tril(𝟏 𝟏ᵀ) + triu(𝟏 𝟏ᵀ)) x"),
    (lambda x: x[::-1] @ x, {"x": "n"}, 1, "2 x[n:−1:1]"),
    (lambda x: jnp.pad(x, (1, 2)), {"x": "n"}, 1, "I[2:n + 1]ᵀ"),
    (lambda x, y: -jax.nn.log_softmax(x)[y], {"x": "n", "y": "integer"}, 1, "softmax(x) − onehot(y)"),
    (cross_entropy, {"X": "N, k", "y": "N integer"}, 1, "(1/N) (softmax(X) − onehot(y))"),
    (lambda X, y: -jnp.mean(jax.nn.log_softmax(X)[jnp.arange(len(X)), y]), {"X": "N, k", "y": "N integer"}, 1,
     "(1/N) (softmax(X) − onehot(y))"),
    (lambda X, y: jnp.sum(jax.nn.one_hot(y, X.shape[1]) * X), {"X": "N, k", "y": "N integer"}, 1, "onehot(y)"),
    (lambda E, i: jnp.sum(E[i] ** 2), {"E": "k, d", "i": "N integer"}, 1, "2 Bᵀ B E where B = onehot(i)"),
    (lambda W, x, y: jnp.sum(W @ jnp.concatenate([x, y])), {"W": "k, n+m", "x": "n", "y": "m"}, 1,
     "𝟏 xᵀ I[1:n] + 𝟏 yᵀ I[n + 1:n + m]"),
]  # fmt: skip


@pytest.mark.parametrize(("f", "shapes", "order", "formula"), TABLE, ids=[str(k) for k in range(len(TABLE))])
def test_places_are_rows_of_the_identity(f, shapes, order, formula):
    found = jmc.derive(f, order=order)(**shapes)
    where = ", ".join(f"{name} = {meaning}" for name, meaning in found.where.items())
    assert found.formula + (f" where {where}" if where else "") == formula
    assert found.certificate.max_error < 1e-10


def test_a_slice_is_computed_at_any_size(x64):
    d = jmc.derive(rosenbrock)("n")
    for n in (1, 4):
        x = np.linspace(0.5, 2, n)
        np.testing.assert_allclose(d.function(x), jax.grad(rosenbrock)(x), rtol=1e-12)


def test_sizes_that_are_computed_have_their_entries():
    d = jmc.derive(lambda x: jnp.tanh(x[1:] * x[:-1]), notation="index")("n")
    assert d.text.startswith("∂f_i/∂x_j = (")
    assert "δ_(i + 1)j" in d.formula


@pytest.mark.parametrize(
    ("f", "shapes", "formula"),
    [
        (lambda X, Y: jnp.sum(jnp.triu(X) * Y), ("n, n", "n, n"), "Y ⊙ triu(𝟏 𝟏ᵀ)"),
        (lambda X, Y: jnp.sum(jnp.tril(X, -1) * Y), ("n, n", "n, n"), "Y ⊙ tril(𝟏 𝟏ᵀ, −1)"),
        (lambda A, U: jnp.sum(U * jnp.linalg.cholesky(A)), ("n, n spd", "n, n"),
         "(1/2) B⁻ᵀ (Cᵀ + C) B⁻¹ where B = chol(A), C = Φ ⊙ (Bᵀ U)"),
    ],
)  # fmt: skip
def test_triangles(f, shapes, formula):
    d = jmc.derive(f)(*shapes)
    where = ", ".join(f"{name} = {meaning}" for name, meaning in d.where.items())
    assert d.formula + (f" where {where}" if where else "") == formula
    assert d.certificate.max_error < 1e-10


def test_triangles_have_entries():
    d = jmc.derive(lambda A: jnp.linalg.cholesky(A), notation="index")("n, n spd")
    assert "Φ_" in d.formula
    d = jmc.derive(lambda X: jnp.tanh(jnp.tril(X, 1)), notation="index")("n, n")
    assert "1[i + 1 ≥ j]" in d.formula
