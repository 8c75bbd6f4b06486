"""Equalities that need several terms, or a whole chain of matrices."""

import jax
import jax.numpy as jnp
import pytest

import jmc

softplus = jax.nn.softplus


def huber(z, d):
    return jnp.sum(jnp.where(jnp.abs(z) <= d, z * z / 2, d * (jnp.abs(z) - d / 2)))


def left_of_0(a, x):
    return jnp.where(x > 0, x, a * jnp.expm1(jnp.where(x > 0, 0, x)))


def ramp(x):
    return x * jnp.where(x <= -3, 0, jnp.where(x >= 3, 6, x + 3)) / 6


def hinge_twice(x):
    return jnp.sum(jnp.where(x > 0, x, 2 * x)) * jnp.where(x > 0, jnp.where(x > 0, x, 1) ** 2, 0)


def scaled_root(x, s):
    return s * jnp.sqrt(jnp.sum(jnp.square(x / s)) + jnp.square(2.5 / s))


@pytest.mark.parametrize(
    ("f", "shapes", "formula"),
    [
        (lambda X, A, B: jnp.linalg.det(A @ X @ B), ("n n", "n n", "n n"), "det(A X B) X⁻ᵀ"),
        (lambda X, a, b: a @ X.T @ X.T @ X @ X @ b, ("n n", "n", "n"), "Xᵀ X X B + X X B Xᵀ"),
        (lambda x: x / (1 + jnp.abs(x)), ("",), "1/(1 + |x|)²"),
        (lambda x: jnp.log(jnp.abs(x)), ("",), "1/x"),
        (lambda x, s: jnp.where(x > 0, x, s * x), ("", ""), "(1 if 1[x > 0], else s)"),
        (lambda y, z: y * softplus(-z) + (1 - y) * softplus(z), ("", ""), "−z"),
        (left_of_0, ("", ""), "(0 if 1[x > 0], else exp(x) − 1)"),
        (ramp, ("",), "(0 if 1[x ≤ −3], else (1 if 1[x ≥ 3], else x/3 + 1/2))"),
        (huber, ("n", " positive"), "min(max(z, −d), d)"),
        (huber, ("n", ""), "(z if 1[|z| ≤ d], else d sign(z))"),
        (scaled_root, ("n", " positive"), "x/√(‖x‖² + 25/4)"),
        (lambda z, y: jmc.binary_cross_entropy(z, y), ("n", "n"), "(1/n) (σ(z) − y)"),
    ],
)
def test_formulas(f, shapes, formula):
    assert jmc.derive(f)(*shapes).formula == formula


def test_a_cholesky_factor_has_a_derivative():
    d = jmc.derive(lambda A: jnp.linalg.cholesky(A))("n n spd")
    assert d.certificate.ok
    assert d.notation == "index"


@pytest.mark.parametrize(
    ("f", "shapes"), [(hinge_twice, ("n",)), (scaled_root, ("n", "")), (lambda x: jnp.sum(jnp.sort(x)) * x, ("n",))]
)
def test_what_is_known_of_one_entry_is_not_of_another(f, shapes):
    assert jmc.derive(f)(*shapes).certificate.ok


def test_what_terms_share_is_taken_out_in_index_notation_too():
    d = jmc.derive(lambda K, Q, V: jax.nn.softmax(Q @ K.T) @ V)("n d", "m d", "n p")
    assert d.formula == "Q_il P_ik (V_kj − Σ_a V_aj P_ia)"
