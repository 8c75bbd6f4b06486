"""What the tables of matrix calculus show of structure, and the functions that they are stated about."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jmc.catalogue.algebra import expm
from jmc.catalogue.differential import logarithm
from jmc.catalogue.inner import regular, series
from jmc.catalogue.registry import rules
from jmc.catalogue.structured import symmetric, toeplitz

SIZES = {"m": 3, "n": 5, "k": 2, "l": 7}


def abstract(form, rule):
    """The maps that `form` gives, without a number computed."""
    args = rule.sample(0, np.float32, SIZES)
    return jax.tree.leaves(jax.eval_shape(form, *args), is_leaf=lambda leaf: hasattr(leaf, "out_shape"))


@pytest.mark.parametrize(
    ("identity", "structures"),
    {
        "W-VV-1": "zero(3×5)",
        "W-VV-2": "identity(5)",
        "W-VV-6": "rank 1",
        "K-33": "zero(14×15)",
        "K-34": "diagonal(15)",
        "K-35": "identity(15), identity(15)",
        "K-73": "identity(15)",
        "K-74": "kronecker(I₃ ⊗ dense(5×2))",
        "K-75": "kronecker(I₅ ⊗ dense(2×3))",
        "W-D-7": "kronecker(I₃ ⊗ dense(5×2)), kronecker(dense(3×2) ⊗ I₅)",
        "K-38": "diagonal(15), diagonal(15)",
        "K-39": "kronecker(I₃ ⊗ column(14) ⊗ I₅), kronecker(column(15) ⊗ I₁₄)",
        "K-44": "permutation(15)",
        "K-45": "permutation(15), zero(15×15), zero(15×15), scaled permutation(15)",
        "K-79": "kronecker(dense(3×5) ⊗ I₃) + kronecker(I₃ ⊗ dense(3×5))",
        "W-SV-9": "rank 3",
    }.items(),
)
def test_structure(identity, structures):
    rule = rules[identity]
    assert ", ".join(J.structure for J in abstract(rule.jacobian, rule)) == structures


@pytest.mark.parametrize(
    ("identity", "structure"),
    {
        "K-76": "rank 1",
        "K-77": "kronecker(I₅ ⊗ rank 2)",
        "K-83": "kronecker(dense(5×5) ⊗ column(3) ⊗ row(3))",
        "W-SV-18": "rank 2",
    }.items(),
)
def test_structure_of_hessians(identity, structure):
    rule = rules[identity]
    (H,) = abstract(rule.hessian, rule)
    assert H.structure == structure


def test_functions_that_rules_are_stated_about(x64):
    X, Y = (rules["W-D-16"].sample(seed, sizes={"n": 5})[0] for seed in (0, 1))
    powers = jnp.stack([0 * X, 1e-3 * X, 20 * X])

    @jax.jit
    def found(X, Y, powers):
        c = jnp.array([1.0, 2.0, 3.0])
        exponentials = jax.vmap(expm)(jnp.concatenate([powers, logarithm(X)[None]]))
        return exponentials, series(Y, c), series.D(Y, c), regular(jnp.array(30.0), Y), symmetric(Y)

    exponentials, value, slope, dominant, S = map(np.asarray, found(X, Y, powers))
    np.testing.assert_allclose(exponentials, [*map(scipy.linalg.expm, powers), X], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(value, np.eye(5) + 2 * Y + 3 * Y @ Y, rtol=1e-13)
    np.testing.assert_allclose(slope, 2 * np.eye(5) + 6 * Y, rtol=1e-13)
    assert np.linalg.det(dominant) > 0
    np.testing.assert_array_equal(S, S.T)
    T = toeplitz(jnp.array([1, 2, 3]), jnp.array([9, 4, 5]))
    np.testing.assert_array_equal(T, [[1, 4, 5], [2, 1, 4], [3, 2, 1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_exponential_of_no_size(dtype, x64):
    assert jax.eval_shape(expm, jnp.zeros((0, 0), dtype)) == jax.ShapeDtypeStruct((0, 0), dtype)
