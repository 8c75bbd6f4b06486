"""Nests of maps: the functions that sum over leaves, against one dense matrix for all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal

import jmc
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import dense, identity


def of(*shapes, seed=0):
    out, in_ = shapes
    return LinearMap([dense(normal(*out, *in_, seed=seed), len(out))], out, in_, "float32")


A, B, C, D = of((2, 3), (4,)), of((2, 3), ()), of((5,), (4,), seed=1), of((5,), (), seed=1)
v = {"x": normal(4), "y": (jnp.float32(0.5),)}
u = [normal(2, 3), normal(5)]
J = [{"x": A, "y": (B,)}, {"x": C, "y": (D,)}]
BY_ARGUMENT = [A, C]
BY_OUTPUT = {"x": A, "y": (B,)}


def flat(nest):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(nest)])


def table(nest):
    return np.block([[leaf.matrix() for leaf in jax.tree.leaves(row, is_leaf=is_map)] for row in nest])


def is_map(node):
    return isinstance(node, LinearMap)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_dense():
    found = jmc.dense(J)
    assert jax.tree.structure(found) == jax.tree.structure(J, is_leaf=is_map)
    close(found[1]["x"], normal(5, 4, seed=1))
    assert jmc.dense(A).shape == (2, 3, 4)
    with pytest.raises(jmc.TooLarge):
        jmc.dense(J, max_bytes=95)


def test_products():
    moved = jmc.mv(J, v)
    assert [part.shape for part in moved] == [(2, 3), (5,)]
    close(flat(moved), table(J) @ flat(v))
    pulled = jmc.vm(J, u)
    assert jax.tree.structure(pulled) == jax.tree.structure(v)
    close(flat(pulled), flat(u) @ table(J))


def test_products_of_partial_nests():
    close(jmc.mv(BY_OUTPUT, v), A.mv(v["x"]) + B.mv(v["y"][0]))
    close(flat(jmc.vm(BY_OUTPUT, u[0])), np.concatenate([A.vm(u[0]), B.vm(u[0])[None]]))
    close(flat(jmc.mv(BY_ARGUMENT, v["x"])), np.concatenate([np.ravel(A.mv(v["x"])), C.mv(v["x"])]))
    close(jmc.vm(BY_ARGUMENT, u), A.vm(u[0]) + C.vm(u[1]))
    close(jmc.mv(A, v["x"]), A.mv(v["x"]))
    close(jmc.vm(A, u[0]), A.vm(u[0]))


def test_outputs_nested_as_the_arguments_are():
    """The nest over the outputs must not be taken for that over the arguments."""
    square = [[of((3,), (3,), seed=2), of((3,), (3,), seed=3)], [of((3,), (3,), seed=4), of((3,), (3,), seed=5)]]
    w = [normal(3), normal(3, seed=1)]
    close(flat(jmc.mv(square, w)), table(square) @ flat(w))
    close(flat(jmc.vm(square, w)), flat(w) @ table(square))


def test_grams():
    row = np.hstack([A.matrix(), B.matrix()])
    found = jmc.row_gram(BY_OUTPUT)
    assert isinstance(found, LinearMap)
    assert (found.out_shape, found.in_shape) == ((2, 3), (2, 3))
    close(found.matrix(), row @ row.T)
    close(np.ravel(jmc.row_norms(BY_OUTPUT)), np.linalg.norm(row, axis=1))
    column = np.vstack([A.matrix(), C.matrix()])
    close(jmc.gram(BY_ARGUMENT).matrix(), column.T @ column)
    close(jmc.row_norms(A), A.row_norms())
    close(jmc.gram(A).matrix(), A.gram().matrix())


def test_norms_of_a_row_over_all_arguments_add_before_the_root():
    one = LinearMap([identity((3,))], (3,), (3,), "float32")
    close(jmc.row_norms((3 * one, 4 * one)), [5, 5, 5])


def test_what_is_no_nest_of_maps_is_refused():
    for f in (jmc.dense, jmc.row_norms, jmc.gram, jmc.row_gram):
        for wrong in (normal(3), [normal(3)], {}, None, [A, normal(3)]):
            with pytest.raises(TypeError, match="`J` must be a LinearMap or a nest of them"):
                f(wrong)
    for f in (jmc.row_norms, jmc.row_gram):
        with pytest.raises(ValueError, match="one output"):
            f(J)
    with pytest.raises(ValueError, match="one argument"):
        jmc.gram(BY_OUTPUT)


def test_vectors_nested_otherwise_are_refused():
    with pytest.raises((TypeError, ValueError)):
        jmc.mv(J, [v["x"], v["y"][0]])
    with pytest.raises((TypeError, ValueError)):
        jmc.vm(J, u[0])
    with pytest.raises((TypeError, ValueError)):
        jmc.mv(normal(3), normal(3))


def test_functions_over_nests_under_jit():
    found = jax.jit(lambda J, v, u: (jmc.mv(J, v), jmc.vm(J, u), jmc.row_norms(J[0])))(J, v, u)
    close(flat(found[0]), table(J) @ flat(v))
    close(flat(found[1]), flat(u) @ table(J))


def test_the_zero_map_in_a_nest():
    zero = LinearMap((), (2, 3), (), "float32")
    close(jmc.mv({"x": A, "y": (zero,)}, v), A.mv(v["x"]))
    close(jmc.row_norms({"x": A, "y": (zero,)}), A.row_norms())
    assert not np.any(jmc.dense({"y": zero})["y"])
