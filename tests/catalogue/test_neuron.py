"""The article's gradients of the neuron (§5) and of its training loss (§6), term by term."""

import jax
import jax.numpy as jnp
import numpy as np
from draws import normal

import jmc

w, b, X, y = normal(5), jnp.float32(0.3), normal(11, 5), normal(11)


def test_gradient_of_the_activation():
    for x in X:
        active = float(w @ x + b > 0)
        dw, db = jmc.neuron_grad(w, b, x)
        np.testing.assert_allclose(dw, active * x)
        assert db == active


def test_gradient_of_the_loss_is_the_sum_over_active_examples():
    dw, db = jmc.neuron_loss_grad(w, b, X, y)
    by_hand_w, by_hand_b = np.zeros(5), 0.0
    for x, target in zip(np.asarray(X), np.asarray(y), strict=True):
        z = x @ np.asarray(w) + float(b)
        if z > 0:
            by_hand_w += 2 / 11 * (z - target) * x
            by_hand_b += 2 / 11 * (z - target)
    np.testing.assert_allclose(dw, by_hand_w, rtol=1e-5)
    np.testing.assert_allclose(db, by_hand_b, rtol=1e-5)


def test_the_loss_is_the_composition_of_its_parts():
    def composed(w, b, X, y):
        return jmc.mean_squared_error(jmc.relu(jmc.affine(w, b, X)), y)

    parts = jmc.value_and_grad(composed, (0, 1, 2, 3))(w, b, X, y)
    whole = jmc.value_and_grad(jmc.neuron_loss, (0, 1, 2, 3))(w, b, X, y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), parts, whole)


def test_a_unit_at_its_kink_is_inactive():
    at_kink = jnp.array([1.0, -1.0, 0, 0, 0])
    dw, db = jmc.neuron_grad(jnp.ones(5), jnp.float32(0), at_kink)
    assert not np.any(dw)
    assert db == 0
    assert not np.any(jax.grad(jmc.neuron)(jnp.ones(5), jnp.float32(0), at_kink))


def test_entry_points_vmap_and_keep_the_dtype():
    ws = jnp.stack([w, -w, 2 * w])
    dws, dbs = jax.vmap(jmc.neuron_loss_grad, (0, None, None, None))(ws, b, X, y)
    for i in range(3):
        dw, db = jmc.neuron_loss_grad(ws[i], b, X, y)
        np.testing.assert_allclose(dws[i], dw, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dbs[i], db, rtol=1e-5, atol=1e-6)
    per_example = jax.vmap(jmc.neuron_grad, (None, None, 0))(w, b, X)
    assert per_example[0].shape == X.shape
    for dtype in ("bfloat16", "float32"):
        low = [array.astype(dtype) for array in (w, b, X, y)]
        assert all(g.dtype == dtype for g in jmc.neuron_loss_grad(*low))
    with jax.enable_x64(True):
        high = [np.asarray(array, np.float64) for array in (w, b, X, y)]
        assert all(g.dtype == "float64" for g in jmc.neuron_loss_grad(*high))


def test_numpy_arguments_and_scalars():
    dw, db = jmc.neuron_loss_grad(np.asarray(w), 0.3, np.asarray(X), np.asarray(y))
    np.testing.assert_allclose(dw, jmc.neuron_loss_grad(w, b, X, y)[0], rtol=1e-6)
    assert db.shape == ()
