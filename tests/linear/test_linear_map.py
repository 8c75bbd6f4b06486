"""A map's methods for every kind of term, and what it is to Python and NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from linear.definition import entries, reference

import jmc
from jmc.linear.collapse import limited
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, dense, fresh, identity, plain, plains, row


def compiled(f):
    """`f` as one program, quick to compile rather than to run."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def test_constructors():
    v = normal(2, 3)
    np.testing.assert_array_equal(LinearMap([identity((2, 3))], (2, 3), (2, 3), "float32").mv(v), v)
    np.testing.assert_array_equal(LinearMap([row(v)], (), (2, 3), "float32").dense(), v)
    np.testing.assert_array_equal(LinearMap([row(v).T], (2, 3), (), "float32").dense(), v)
    np.testing.assert_array_equal(LinearMap([dense(v, 1)], (2,), (3,), "float32").dense(), v)
    np.testing.assert_array_equal(LinearMap([], (2,), (3,), "float32").dense(), np.zeros((2, 3)))


a, b, c = Label(3), Label(3), Label(4)
KINDS = {
    "a slice": Term(1, (), (plain(a),), (Axis(8, ((a, 2),), 1),)),
    "a flip": Term(1, (), (plain(a),), (Axis(3, ((a, -1),), 2),)),
    "a flip with strides that leave the axis": Term(1, (), (plain(c),), (Axis(6, ((c, -2),), 5),)),
    "a band": Term(1, (Factor(normal(4), (c,)),), (Axis(4, ((c, 1),), 1),), (plain(c),)),
    "a trace": Term(1, (), (), (plain(a), plain(a))),
    "a diagonal matrix of a vector": Term(2, (), (plain(a), plain(a)), (plain(a),)),
    "ones": Term(1, (), (plain(a),), (plain(c),)),
    "a summed label in no factor but one": Term(1, (Factor(normal(3, 4), (b, c)),), (plain(a),), (plain(c),)),
    "a reshape": Term(1, (), (Axis(12, ((a, 4), (c, 1))),), (plain(a), plain(c))),
    "a reshape, transposed": Term(1, (), (Axis(12, ((a, 4), (c, 1))),), (plain(c), plain(a))),
    "a convolution": Term(1, (Factor(normal(3), (a,)),), (plain(c),), (Axis(5, ((c, 1), (a, 1)), -1),)),
    "a gather": Term(1, (), (plain(c),), (Axis(3, ((c, 0),), 0, jnp.array([2, 0, NOWHERE, 2], "int32")),)),
    "a scatter": Term(1, (), (Axis(3, ((c, 0),), 0, jnp.array([2, 0, NOWHERE, 2], "int32")),), (plain(c),)),
    "an index of two labels": Term(
        1, (), plains((a, b)), (Axis(9, ((a, 0), (b, 0)), 0, jnp.arange(9, dtype="int32").reshape(3, 3)),)
    ),
    "Kronecker": Term(1, (Factor(normal(3, 3), (a, b)),), (plain(a), plain(c)), (plain(b), plain(c))),
    "low rank": Term(1, (Factor(normal(3, 4), (a, c)), Factor(normal(3, 4), (b, c))), (plain(a),), (plain(b),)),
    "the same array twice": Term(1, (Factor(normal(3, 3), (a, b)),) * 2, (plain(a),), (plain(b),)),
    "two rows of one label": Term(1, (), (Axis(5, ((a, 1),)), Axis(5, ((a, -1),), 4)), (Axis(4, ((a, 1),), 1),)),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_terms(name):
    term = KINDS[name]
    out_shape, in_shape = (tuple(axis.size for axis in side) for side in (term.out, term.in_))
    J = LinearMap([term], out_shape, in_shape, "float32")
    v = normal(*in_shape)

    def methods(J):
        return J.dense(), J.mv(v), J.to_bcoo().todense(), J.gram().dense(), J.row_norms()

    found, mv, sparse, gram, norms = compiled(methods)(J)
    wanted = reference(J)
    D = wanted.reshape(math.prod(out_shape), -1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sparse, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mv, (D @ v.ravel()).reshape(out_shape), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gram, (D.T @ D).reshape(in_shape * 2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norms, np.linalg.norm(D, axis=1).reshape(out_shape), rtol=1e-4, atol=1e-5)


def test_complex_maps_transpose_without_conjugate_and_norms_are_real(x64):
    Z = np.asarray(normal(3, 4, dtype="float64")) + 1j * np.asarray(normal(3, 4, seed=1, dtype="float64"))
    J = LinearMap(
        [dense(jnp.asarray(Z), 1), Term(2j, (), (plain(a),), (Axis(4, ((a, 1),), 1),))], (3,), (4,), "complex128"
    )
    D = Z + 2j * np.eye(3, 4, 1)
    gram, norms, T, scaled = compiled(lambda J: (J.gram().dense(), J.row_norms(), J.T.dense(), (1j * J).dense()))(J)
    for found, wanted in ((gram, D.T @ D), (T, D.T), (scaled, 1j * D), (norms, np.linalg.norm(D, axis=1))):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert norms.dtype == "float64"


# what a map is to Python and NumPy

J = LinearMap([dense(normal(3, 4), 1), Term(1, (), (plain(a),), (Axis(4, ((a, 1),), 1),))], (3,), (4,), "float32")
D = np.asarray(normal(3, 4)) + np.eye(3, 4, 1, dtype="float32")


def test_numpy_does_not_swallow_a_map():
    for use in (
        np.asarray,
        np.array,
        np.sin,
        lambda J: np.add(J, 1),
        lambda J: np.ones(3) * J,
        lambda J: np.stack([J, J]),
    ):
        with pytest.raises((TypeError, ValueError)):
            use(J)
    with pytest.raises(TypeError, match=r"a LinearMap is no array: call `.dense\(\)`"):
        np.asarray(J)
    for use in (jnp.asarray, jnp.sin):
        with pytest.raises(TypeError):
            use(J)


def test_products_with_arrays():
    u, v = np.asarray(normal(3)), np.asarray(normal(4))
    for left in (u, jnp.asarray(u)):
        np.testing.assert_allclose(left @ J, u @ D, rtol=1e-5, atol=1e-6)
    for right in (v, jnp.asarray(v)):
        np.testing.assert_allclose(J @ right, D @ v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose((np.float32(2) * J).dense(), 2 * D, rtol=1e-6)
    np.testing.assert_allclose((jnp.float32(2) * J).dense(), 2 * D, rtol=1e-6)


def test_norms_of_rows_in_which_terms_cancel(x64):
    def softmax(n):
        p = jnp.zeros(n).at[0].set(1 - 1e-9).at[1].set(1e-9)
        i, j = fresh((n, n))
        diagonal = Term(1, (Factor(p, (i,)),), (plain(i),), (plain(i),))
        rank = Term(-1, (Factor(p, (i,)), Factor(p, (j,))), (plain(i),), (plain(j),))
        return LinearMap([diagonal, rank], (n,), (n,), "float64")

    np.testing.assert_allclose(softmax(3).row_norms(), 1e-9 * np.sqrt([2, 2, 0]), rtol=1e-6)
    large = softmax(1025).row_norms()  # whose terms are squared before they are added
    np.testing.assert_allclose(large[:2], 1e-9 * np.sqrt(2), atol=1e-7)
    assert not np.any(large[2:])


def test_wrong_shapes_are_refused():
    refused = {
        "`v` must have shape": lambda: J.mv(normal(3)), "`u` must have shape": lambda: J.vm(normal(4)),
        "must have out_shape": lambda: J @ J, "`other` must map": lambda: J + J.T, "`other` must map ": lambda: J - J.T,
        "`scalar` must be a number": lambda: J * normal(3), "needs a map with equal shapes": lambda: J.diagonal(),
        "`trace` needs a map": lambda: J.trace(),
    }  # fmt: skip
    for message, use in refused.items():
        with pytest.raises(ValueError, match=message):
            use()
    for use in (lambda: J + 1, lambda: J - normal(3, 4), lambda: 1 + J, lambda: J.mv(J)):
        with pytest.raises(TypeError):
            use()


def test_sums_that_cancel_are_zero_maps():
    assert (J - J).terms == ()
    assert (0 * J).terms == ()
    assert (J - J).stored == 0
    assert "zero" in (J - J).structure
    half = J * 0.5
    assert not np.any((half + half - J).dense())
    one = LinearMap([identity((4,))], (4,), (4,), "float32")
    assert (one + one - 2 * one).terms == ()


def test_stored_counts_what_was_computed_once():
    array = normal(3, 3)
    labels = fresh((3, 3))

    def of(*factors):
        return LinearMap([Term(1, factors, (plain(labels[0]),), (plain(labels[1]),))], (3,), (3,), "float32").stored

    assert of(Factor(array, tuple(labels))) == 9
    assert of(Factor(array, tuple(labels)), Factor(array, tuple(labels[::-1]))) == 9
    assert of(Factor(array, tuple(labels), computed=False)) == 0
    assert of() == 0


def test_repr_says_what_it_is():
    assert (
        repr(LinearMap([identity((4,))], (4,), (4,), "float32"))
        == "LinearMap((4,) → (4,), float32: identity(4), stored 0)"
    )


def test_a_tree_definition_can_be_compared_and_hashed():
    leaves, tree = jax.tree.flatten(J)
    K = jax.tree.unflatten(tree, leaves)
    assert jax.tree.structure(K) == tree
    assert hash(jax.tree.structure(K)) == hash(tree)
    np.testing.assert_array_equal(K.dense(), J.dense())
    assert jax.tree.structure(jmc.LinearMap([identity((3,))], (3,), (3,), "float32")) != tree
    assert jax.tree.structure(jax.tree.unflatten(tree, [None] * len(leaves))) != tree or not leaves


def test_entries_at_known_and_at_looked_up_positions(x64):
    at = [Axis(4, (), k) for k in range(4)]
    looked_up = Axis(4, (), 0, jnp.asarray(2, "int32"))
    terms = [Term(k + 1, (Factor(normal(), ()),), (at[k % 4],), (looked_up,)) for k in range(20)]
    found = limited(tuple(terms), "float64", 2**20)
    assert len(found) == 1
    np.testing.assert_allclose(
        LinearMap(found, (4,), (4,), "float64").dense(), sum(entries(term) for term in terms).real, rtol=1e-6
    )
