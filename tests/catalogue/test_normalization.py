"""Normalisation where it is hard: constant rows, squares that overflow, groups; and the structure of its Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules
from jmc.checking.proof import check

STRUCTURES = {
    "layer_norm": ["block_diagonal(2 × (diagonal(6) + rank 2))", "block_diagonal(6 × column(2))", "kronecker(column of ones(2) ⊗ I₆)"],
    "rms_norm": ["block_diagonal(2 × (diagonal(6) + rank 1))", "block_diagonal(6 × column(2))"],
    "batch_norm": ["block_diagonal(6 × (diagonal(2) + rank 2))", "block_diagonal(6 × column(2))", "kronecker(column of ones(2) ⊗ I₆)"],
    "batch_norm_inference": ["diagonal(12)"],
    "group_norm": ["block_diagonal(4 × (diagonal(15) + rank 2))", "block_diagonal(6 × column(10))"],
    "weight_norm": ["block_diagonal(2 × (diagonal(6) + rank 1))", "block_diagonal(2 × column(6))"],
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name):
    rule = rules[name]
    args = rule.sample(0, sizes={"*b": (2,), "*n": (2,), "*m": (2,), "N": 2, "d": 6, "*s": (5,)})
    maps = jax.eval_shape(rule.jacobian, *args)
    assert [J.structure for J in maps][: len(STRUCTURES[name])] == STRUCTURES[name]


def gradients(f, x, gamma, beta):
    """The closed gradients with respect to all arguments, after checking that JAX's agree."""
    weights = jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    loss = lambda *args: jnp.sum(weights * f(*args))
    closed, auto = jax.jit(lambda *args: (jmc.grad(loss, (0, 1, 2))(*args), jax.grad(loss, (0, 1, 2))(*args)))(
        x, gamma, beta
    )
    for one, other in zip(closed, auto, strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * float(jnp.max(jnp.abs(other))))
    return closed


@pytest.mark.parametrize("norm", [jmc.layer_norm, jmc.batch_norm])
def test_what_is_constant_gives_beta(norm):
    x, gamma, beta = jnp.full((3, 3), 7.0), jnp.ones(3), jnp.arange(3.0)
    np.testing.assert_array_equal(norm(x, gamma, beta), jnp.broadcast_to(beta, (3, 3)))
    dx, dgamma, _ = gradients(norm, x, gamma, beta)
    np.testing.assert_array_equal(dgamma, 0)
    assert np.max(np.abs(dx)) > 100  # 1/√ε


def test_zero_gives_zero():
    zero, one = jnp.zeros((2, 3)), jnp.ones(3)
    np.testing.assert_array_equal(jmc.rms_norm(zero, one), 0)
    dx = jmc.grad(lambda x: jnp.sum(jmc.rms_norm(x, one)))(zero)
    np.testing.assert_allclose(dx, 1e3, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "size"), [("float16", 3e3), ("float32", 1e30), ("float32", 1e-30)])
def test_no_square_over_or_underflows(dtype, size):
    x = size * jnp.array([[1.0, -2.0, 4.0], [3.0, 3.0, -1.0]], dtype)
    one = jnp.ones(3, dtype)
    y = jmc.layer_norm(x, one, one, eps=0.0)
    np.testing.assert_allclose(y, jmc.layer_norm(x / size, one, one, eps=0.0), rtol=1e-2)
    np.testing.assert_allclose(jnp.linalg.norm(jmc.weight_norm(x, one[:2]), axis=-1), 1, rtol=1e-3)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_group_norm_of_other_groups(groups):
    proof = check(rules["group_norm"].at(groups=groups, eps=0.1), points=1)
    assert proof.ok, str(proof)


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match="`groups` of group_norm must divide the 6 channels of `x`, but got 4"):
        jmc.group_norm(jnp.ones((2, 6, 3)), jnp.ones(6), jnp.ones(6), groups=4)
