"""Equalities that need several terms, or a whole chain of matrices."""

import jax
import jax.numpy as jnp
import pytest

import jmc

softplus = jax.nn.softplus


@pytest.mark.parametrize(
    ("f", "shapes", "formula"),
    [
        (lambda X, A, B: jnp.linalg.det(A @ X @ B), ("n n", "n n", "n n"), "det(A X B) X⁻ᵀ"),
        (lambda x: x / (1 + jnp.abs(x)), ("",), "1/(1 + |x|)²"),
        (lambda x: jnp.log(jnp.abs(x)), ("",), "1/x"),
        (lambda x, s: jnp.where(x > 0, x, s * x), ("", ""), "(1 if 1[x > 0], else s)"),
        (lambda y, z: y * softplus(-z) + (1 - y) * softplus(z), ("", ""), "−z"),
        (lambda z, y: jmc.binary_cross_entropy(z, y), ("n", "n"), "(1/n) (σ(z) − y)"),
    ],
)
def test_formulas(f, shapes, formula):
    assert jmc.derive(f)(*shapes).formula == formula


def test_a_cholesky_factor_has_a_derivative():
    d = jmc.derive(lambda A: jnp.linalg.cholesky(A))("n n spd")
    assert d.certificate.ok
    assert d.notation == "index"
