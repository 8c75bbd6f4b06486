import jax.numpy as jnp
import numpy as np
import pytest

import jmc

inv = jnp.linalg.inv


def logdet(S):
    return jnp.linalg.slogdet(S)[1]


@pytest.mark.parametrize(
    ("f", "shapes", "order", "formula"),
    [
        (logdet, ("n, n spd",), 1, "S⁻¹"),
        (lambda S, A: jnp.trace(A @ S), ("n, n symmetric", "n, n"), 1, "(1/2) (A + Aᵀ)"),
        (lambda S, x, y: x @ S @ y, ("n, n symmetric", "n", "n"), 1, "(1/2) (x yᵀ + y xᵀ)"),
        (lambda D, x, y: x @ D @ y, ("n, n diagonal", "n", "n"), 1, "x ⊙ y"),
        (lambda D, x, y: x @ inv(D) @ y, ("n, n diagonal", "n", "n"), 1, "−(D⁻¹ x) ⊙ (D⁻¹ y)"),
        (lambda D, x: jnp.sum((D @ x) ** 2), ("n, n diagonal", "n"), 2, "2 diag(x ⊙ x)"),
    ],
)
def test_entries_that_are_tied_move_together(f, shapes, order, formula):
    d = jmc.derive(f, order=order)(*shapes)
    assert d.formula == formula
    assert d.certificate.max_error < 1e-10


def test_what_the_gradient_is_is_said():
    d = jmc.derive(logdet)("n, n spd")
    assert d.notes == [
        "S is symmetric: this is the symmetric G with df = tr(G dS), not the derivative by one triangle of S"
    ]
    d = jmc.derive(lambda D, x: x @ D @ x)("n, n diagonal", "n")
    assert d.text.splitlines() == [
        "∂f/∂diag(D) = x ⊙ x",
        "  D is diagonal: the derivative is by the numbers on its diagonal",
    ]


def test_the_symmetric_gradient_gives_every_symmetric_change(x64):
    def f(S, A):
        return jnp.sum(A * jnp.sin(S @ S))

    d = jmc.derive(f)("n, n symmetric", "n, n")
    rng = np.random.default_rng(0)
    A, S, T = rng.normal(size=(3, 3, 3))
    S, T = S + S.T, T + T.T
    G = d.function(S, A)
    np.testing.assert_allclose(G, G.T, rtol=1e-12)
    slope = (f(S + 1e-5 * T, A) - f(S - 1e-5 * T, A)) / 2e-5
    np.testing.assert_allclose(np.sum(G * T), slope, rtol=1e-6)


def test_steps_end_in_the_derivative_by_what_is_free():
    d = jmc.derive(lambda S, A: jnp.trace(A @ S @ S))("n, n symmetric", "n, n")
    assert d.steps.max_error < 1e-12
