"""Ids outside a table, ids that repeat, bounds that are met; and structures of what only moves entries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules

STRUCTURES = {
    "embedding": ["kronecker(selection(7×3) ⊗ I₂)"],
    "gather": ["selection(5×3)"],
    "choice by a condition": ["diagonal(3)", "diagonal(3)"],
    "concatenation": ["embedding(8×3)", "embedding(8×5)"],
    "bias of every row": ["identity(6)", "kronecker(column of ones(3) ⊗ I₂)"],
    "einsum of two arrays": ["kronecker(I₃ ⊗ dense(5×7))", "kronecker(dense(3×7) ⊗ I₅)"],
    "linear layer, Wx + b": ["dense(2×3)", "kronecker(I₂ ⊗ row(3))", "identity(2)"],
    "perceptron of two layers, V tanh(Wx + b)": ["rank 2", "kronecker(dense(5×2) ⊗ row(3))", "dense(5×2)", "kronecker(I₅ ⊗ row(2))"],
    "low-rank adaptation, (W + BA)x": ["dense(5×3)", "kronecker(I₅ ⊗ row(3))", "kronecker(I₅ ⊗ row(2))", "kronecker(dense(5×2) ⊗ row(3))"],
}  # fmt: skip
SIZES = {"V": 3, "d": 2, "*n": (7,), "n": 3, "m": 5, "i": 3, "j": 7, "k": 5, "r": 2}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name):
    sizes = SIZES | ({"k": 2} if "tanh" in name or "Wx" in name else {})
    found = jax.eval_shape(rules[name].jacobian, *rules[name].sample(0, sizes=sizes))
    assert [J.structure for J in (found if isinstance(found, tuple) else [found])] == STRUCTURES[name]


TABLE = jnp.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_ids_that_repeat_add_up(dtype):
    ids = jnp.array([[2, 0], [2, 2]], dtype)
    np.testing.assert_array_equal(jmc.embedding(TABLE, ids), np.asarray(TABLE)[np.asarray(ids)])
    gradient = jmc.grad(lambda table: jnp.sum(jmc.embedding(table, ids)))(TABLE)
    np.testing.assert_array_equal(gradient, [[1, 1], [0, 0], [3, 3]])


def test_an_id_outside_the_table_reads_nan_and_moves_nothing():
    ids = jnp.array([-1, 1, 3])
    y = jmc.embedding(TABLE, ids)
    np.testing.assert_array_equal(np.isnan(y), [[True] * 2, [False] * 2, [True] * 2])
    loss = lambda table: jnp.sum(jnp.nan_to_num(jmc.embedding(table, ids)))
    for gradient in (jmc.grad(loss)(TABLE), jax.grad(loss)(TABLE)):
        np.testing.assert_array_equal(gradient, [[0, 0], [1, 1], [0, 0]])
    J = jmc.jacobian(jmc.embedding)(TABLE, ids)
    np.testing.assert_array_equal(J.dense().sum((2, 3)), [[0, 0], [1, 1], [0, 0]])


def test_many_rows_are_counted_with_narrow_ids():
    table = jnp.zeros((300, 1)).at[200].set(7)
    np.testing.assert_array_equal(jmc.embedding(table, jnp.array([200], "uint8")), [[7]])


def test_at_a_bound_it_is_clipped():
    x = jnp.array([-3.0, -1.0, 0.5, 2.0, 2.5])
    np.testing.assert_array_equal(jmc.clip(x, -1.0, 2.0), [-1, -1, 0.5, 2, 2])
    wanted = [0, 0, 1, 0, 0], 2, 2
    for grad in (jmc.grad, jax.grad):
        found = grad(lambda *args: jnp.sum(jmc.clip(*args)), (0, 1, 2))(x, jnp.float32(-1), jnp.float32(2))
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(jmc.clip(x, 1.0, 0.0), jnp.clip(x, 1.0, 0.0))
    assert np.isnan(jmc.clip(jnp.nan, -1.0, 1.0))


def test_dropout_scales_what_it_keeps():
    x, keep = jnp.array([1.0, 2.0, jnp.inf]), jnp.array([True, True, False])
    np.testing.assert_allclose(jmc.dropout(x, keep, rate=0.5), [2, 4, 0])
    np.testing.assert_allclose(jmc.grad(lambda x: jnp.sum(jmc.dropout(x, keep, rate=0.5)))(x), [2, 2, 0])
    with pytest.raises(ValueError, match=r"`rate` of dropout must be in \[0, 1\), but got 1"):
        jmc.dropout(x, keep, rate=1)
    with pytest.raises(TypeError, match="`keep` of dropout must be a boolean array"):
        jmc.dropout(x, x, rate=0.5)
