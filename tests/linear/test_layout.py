import jax.numpy as jnp
import numpy as np
import pytest

from jmc.linear import build

RNG = np.random.default_rng(0)
LAYOUTS = ("numerator", "denominator", "mixed")


def drawn(*out, wrt=()):
    entries = RNG.normal(size=(*out, *wrt)).astype(np.float32)
    return entries, build.dense(entries, len(out))


def test_shapes_of_scalars_and_vectors():
    maps = [drawn()[1], drawn(wrt=(4,))[1], drawn(4)[1], drawn(3, wrt=(4,))[1]]
    shapes = {layout: [J.matrix(layout).shape for J in maps] for layout in LAYOUTS}
    assert shapes == {
        "numerator": [(1, 1), (1, 4), (4, 1), (3, 4)],
        "denominator": [(1, 1), (4, 1), (1, 4), (4, 3)],
        "mixed": [(1, 1), (4, 1), (4, 1), (3, 4)],
    }
    assert {layout: [J.table(layout).shape for J in maps] for layout in LAYOUTS} == shapes


def test_vec_stacks_columns_or_rows():
    A, B = RNG.normal(size=(3, 5)).astype(np.float32), RNG.normal(size=(7, 2)).astype(np.float32)
    J = build.einsum("ij,kl->il,jk", A, B)  # of A X B with respect to X
    np.testing.assert_allclose(J.matrix(order="column-major"), np.kron(B.T, A), rtol=1e-6)
    np.testing.assert_allclose(J.matrix(order="row-major"), np.kron(A, B.T), rtol=1e-6)
    np.testing.assert_array_equal(J.matrix("denominator", "column-major"), J.matrix(order="F").T)
    np.testing.assert_array_equal(J.matrix(order="C"), J.matrix())
    X = RNG.normal(size=(5, 7)).astype(np.float32)
    stacked = J.matrix(order="column-major") @ X.ravel(order="F")
    np.testing.assert_allclose(stacked, np.asarray(J.mv(jnp.asarray(X))).ravel(order="F"), rtol=1e-4, atol=1e-5)


def test_the_derivative_of_a_scalar_by_a_matrix_is_a_matrix():
    entries, J = drawn(wrt=(3, 5))
    np.testing.assert_array_equal(J.table(), entries.T)
    np.testing.assert_array_equal(J.table("denominator"), entries)
    np.testing.assert_array_equal(J.table("mixed"), entries)


def test_the_derivative_of_a_matrix_by_a_scalar_is_a_matrix():
    entries, J = drawn(3, 5)
    np.testing.assert_array_equal(J.table(), entries)
    np.testing.assert_array_equal(J.table("denominator"), entries.T)
    np.testing.assert_array_equal(J.table("mixed"), entries)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 0)])
def test_sizes_zero_and_one(shape):
    J = drawn(2, wrt=shape)[1]
    for order in ("row-major", "column-major"):
        assert J.matrix(order=order).shape == (2, shape[0] * shape[1])


def test_what_is_refused_is_named():
    J = drawn(2, wrt=(3, 5))[1]
    with pytest.raises(ValueError, match="`layout` must be 'numerator', 'denominator' or 'mixed', but got 'rows'"):
        J.matrix("rows")
    with pytest.raises(ValueError, match=r"`order` must be 'row-major' .* but got 'vec'"):
        J.matrix(order="vec")
    with pytest.raises(ValueError, match=r"`table` must be of at most .* but got 1 axes by 2"):
        J.table()
