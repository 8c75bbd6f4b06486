"""Attention with scores that saturate, with masks, with heads; and what rotations keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


Q, K, V = normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6)


def gradients(f, *args):
    """Of Σ cos(1, 2, …) f, closed, after checking that JAX's are finite and agree."""

    def loss(*args):
        value = f(*args)
        return jnp.sum(jnp.cos(jnp.arange(1.0, value.size + 1)).reshape(value.shape) * value)

    every = tuple(range(len(args)))
    closed, auto = jax.jit(lambda *args: (jmc.grad(loss, every)(*args), jax.grad(loss, every)(*args)))(*args)
    for one, other in zip(closed, auto, strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    return closed


def test_structures():
    args = rules["attention"].sample(0, sizes={"*n": (2,), "m": 5, "l": 7, "d": 4, "e": 3})
    maps = jax.eval_shape(rules["attention"].jacobian, *args)
    assert [J.structure for J in maps] == [
        "block_diagonal(10 × dense(3×4))",
        "block_diagonal(2 × dense(15×28))",
        "kronecker(block_diagonal(2 × dense(5×7)) ⊗ I₃)",
    ]
    x, positions = jax.ShapeDtypeStruct((2, 5, 6), "float32"), jax.ShapeDtypeStruct((5,), "int32")
    rotation = jax.eval_shape(rules["rotary_embedding"].jacobian, x, positions)
    assert rotation.structure == "kronecker(I₂ ⊗ block_diagonal(15 × dense(2×2)))"


@pytest.mark.parametrize("size", [1e3, 1e15])
def test_saturated_scores_read_one_key(size):
    o = jmc.attention(size * Q, size * K, V)
    best = jnp.argmax(jnp.einsum("nid,njd->nij", Q, K), -1)
    np.testing.assert_array_equal(o, jnp.take_along_axis(V, best[..., None], 1))
    dq, dk, _ = gradients(jmc.attention, size * Q, size * K, V)
    assert not np.any(dq)
    assert not np.any(dk)


def test_a_small_gradient_keeps_its_digits(x64):
    q, k, v = (jnp.asarray(a) for a in ([[1.0]], [[0.0], [60.0]], [[2.0], [5.0]]))
    p = np.exp(-60.0)  # of the first key, beside 1
    np.testing.assert_allclose(jmc.grad(lambda q: jmc.attention(q, k, v)[0, 0])(q), 60 * 3 * p, rtol=1e-12)


def test_a_mask_of_earlier_keys_is_causal():
    mask = jnp.broadcast_to(jnp.tri(3, 5, dtype=bool), (2, 3, 5))
    np.testing.assert_allclose(jmc.attention(Q, K, V, causal=True), jmc.masked_attention(Q, K, V, mask), rtol=1e-6)
    np.testing.assert_allclose(jmc.attention(Q, K, V, causal=True)[:, 0], V[:, 0], rtol=1e-6)


def test_masked_scores_count_for_nothing_however_large():
    mask = jnp.ones((2, 3, 5), bool).at[:, :, 2].set(False).at[0, 1].set(False)
    large = K.at[:, 2].set(1e30)
    o = jmc.masked_attention(Q, large, V, mask)
    np.testing.assert_allclose(o, jmc.masked_attention(Q, K, V, mask), rtol=1e-6)
    np.testing.assert_array_equal(o[0, 1], 0)
    dq, dk, dv = gradients(lambda q, k, v: jmc.masked_attention(q, k, v, mask), Q, large, V)
    np.testing.assert_array_equal(dq[0, 1], 0)
    np.testing.assert_array_equal(dk[:, 2], 0)
    np.testing.assert_array_equal(dv[:, 2], 0)
    with pytest.raises(TypeError, match="`mask` of masked_attention must be a boolean array, but got float32"):
        jmc.masked_attention(Q, K, V, mask.astype("float32"))


def test_one_head_that_projects_nothing_is_attention():
    x, one, wo = normal(2, 3, 4), jnp.eye(4)[None], jnp.eye(4)[:, None]
    for causal in (False, True):
        y = jmc.multi_head_attention(x, x, x, one, one, one, wo, causal=causal)
        np.testing.assert_allclose(y, jmc.attention(x, x, x, causal=causal), rtol=1e-5)
    weights = [normal(2, 3, 4), normal(2, 3, 4), normal(2, 2, 4), normal(5, 2, 2)]
    gradients(lambda x, *w: jmc.multi_head_attention(x, x, x, *w, causal=True), x, *weights)


def test_rotations_keep_lengths_and_see_distances_only():
    x = jnp.stack([Q[0, 0], K[0, 0]])
    near, far = (jmc.rotary_embedding(x, jnp.array(at)) for at in ([3, 5], [1003, 1005]))
    np.testing.assert_allclose(jnp.linalg.norm(near, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(near[0] @ near[1], far[0] @ far[1], rtol=1e-4)
    low = jmc.rotary_embedding(x.astype("bfloat16"), jnp.array([1003, 1005]))
    np.testing.assert_allclose(low.astype("float32"), far, atol=0.03)
    with pytest.raises(ValueError, match="`x` of rotary_embedding must have a last axis of even size"):
        jmc.rotary_embedding(normal(2, 3), jnp.array([0, 1]))
