import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc

WEIGHTS = np.array([[1.0, 2.0, -1.0], [0.5, 0.25, 3.0]])


def test_a_loop_is_a_function_with_a_name(x64):
    def f(x, W):
        y = jax.lax.while_loop(lambda y: jnp.sum(y**2) > 1, lambda y: jnp.sin(y) / 2, W @ x)
        return y @ jnp.tanh(x)

    d = jmc.derive(f, "x")("n", "n, n")
    assert d.formula == "Wᵀ h′(W x)ᵀ tanh(x) + h(W x) ⊙ (1 − tanh²(x))"
    assert len(d.notes) == 1
    assert d.notes[0].startswith("h is `while` at ")
    assert "test_opaque.py:" in d.notes[0]
    assert "def df(x, W, *, dh, h):" in d.python
    x, W = np.linspace(-1, 2, 4), np.eye(4) / 2 + 0.1
    np.testing.assert_allclose(d.function(x, W), jax.jacfwd(f)(x, W), rtol=1e-12)
    assert set(d.parts(x, W)) == {"h", "dh"}
    assert d.certificate.oracles == ("forward AD", "Ridders differences")  # such a loop has no reverse


@pytest.mark.parametrize(
    ("f", "shapes", "wrt", "order", "formula", "note"),
    [
        (lambda x: jnp.sum(jnp.sort(x) ** 2), ("n",), "x", 1, "2 sort′(x)ᵀ sort(x)", "sort is `sort` at "),
        (lambda x: jnp.median(x) ** 2, ("n",), "x", 1, "2 median(x) median′(x)", "median is `median` at "),
        (lambda A, x: jnp.sum(jnp.cumprod(A @ x)), ("m, n", "n"), "x", 1, "Aᵀ cumprod′(A x)ᵀ 𝟏", "cumprod is "),
        (lambda x, W: jnp.sum(jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(W @ y), x)), ("n", "n, n"), "x", 1,
         "∂₂h(W, x)ᵀ 𝟏", "h is `scan` at "),
        (lambda X: jnp.sum(X.reshape(-1) ** 2), ("m, n",), "X", 1, "2 Σ_k h(X)_k h′(X)_kij", "h is `reshape` at "),
        (lambda x: WEIGHTS @ x, ((3,),), "x", 1, "WEIGHTS", "WEIGHTS is an array that the function closes over"),
        (lambda x: jnp.sum((WEIGHTS @ x) ** 2), ((3,),), "x", 2, "2 WEIGHTSᵀ WEIGHTS", "WEIGHTS is an array"),
        (lambda x: x @ jnp.cumprod(jnp.arange(1.0, 4)), ((3,),), "x", 1, "cumprod", "cumprod is `cumprod` at "),
    ],
)  # fmt: skip
def test_what_cannot_be_written_has_a_name(f, shapes, wrt, order, formula, note):
    d = jmc.derive(f, wrt, order)(*shapes)
    assert d.formula == formula
    assert d.notes[0].startswith(note)
    assert d.certificate.max_error < 1e-10
    assert d.as_dict()["notes"] == d.notes


def test_one_program_has_one_name():
    d = jmc.derive(lambda x, y: jnp.sum(jnp.sort(x)) + jnp.sum(jnp.sort(jnp.sin(y))), "y")("n", "n")
    assert d.formula == "(sort′(sin(y))ᵀ 𝟏) ⊙ cos(y)"


def test_a_function_with_a_reverse_rule_alone():
    @jax.custom_vjp
    def solver(x):
        return jnp.sort(x)

    solver.defvjp(lambda x: (jnp.sort(x), x), lambda x, u: (u[jnp.argsort(jnp.argsort(x))],))
    d = jmc.derive(lambda x: jnp.sum(solver(x) ** 2))("n")
    assert d.formula == "2 solver′(x)ᵀ solver(x)" or d.formula == "2 sort′(x)ᵀ sort(x)"
    assert "reverse AD" in d.certificate.oracles


def test_steps_go_around_a_part():
    d = jmc.derive(lambda x: jnp.sum(jnp.sort(jnp.sin(x)) ** 2))("n")
    assert "∂u₂/∂u₁ = sort′(u₁)" in d.steps.text
    assert d.steps.max_error < 1e-10


def test_nothing_to_derive_around_is_refused():
    with pytest.raises(jmc.NoFormula, match=r"`sort` at .*test_opaque.py:\d+.* has no formula, and nothing is around"):
        jmc.derive(lambda x: jnp.sort(x))("n")
    with pytest.raises(jmc.NoFormula, match="`eig` has no formula"):  # it is no function without a slope
        jmc.derive(lambda X: jnp.sum(jnp.linalg.eigvals(X).real))("n, n")
    with pytest.raises(jmc.NotCertified, match="the formula's code does not run at sizes"):
        jmc.derive(lambda A: jnp.linalg.norm(A, -2))("m, n")
    with pytest.raises(jmc.NoFormula, match="something else at other sizes"):
        jmc.derive(lambda x: sum((x[k] ** 2 for k in range(len(x))), start=jnp.zeros(())))("n")


def test_a_choice_between_two_programs_is_a_formula():
    d = jmc.derive(lambda x, W: jax.lax.cond(jnp.sum(x) > 0, lambda y: W @ y, lambda y: 3 * W @ y, x))("n", "m, n")
    assert d.formula == "(1 if 1[𝟏ᵀ x > 0], else 3) W"
