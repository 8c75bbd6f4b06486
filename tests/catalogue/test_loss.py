"""Losses where it is hard: kinks, ties, saturated logits, labels out of range."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc


def both(f, *args):
    """The closed gradient, after checking that JAX's agrees."""
    closed, auto = jax.jit(lambda *args: (jmc.grad(f)(*args), jax.grad(f)(*args)))(*args)
    np.testing.assert_allclose(closed, auto, rtol=1e-5, atol=1e-7)
    return closed


def test_mean_squared_error_is_the_articles():
    a, y = jnp.array([1.0, 2.0, 4.0]), jnp.array([3.0, 2.0, 1.0])
    assert np.isclose(jmc.mean_squared_error(a, y), (4 + 0 + 9) / 3)
    np.testing.assert_allclose(both(jmc.mean_squared_error, a, y), [-4 / 3, 0, 2])


def test_kinks_have_derivative_zero():
    a = jnp.array([1.0, -1.0, 0.5])
    np.testing.assert_array_equal(both(jmc.mean_absolute_error, a, a), np.zeros(3))
    np.testing.assert_array_equal(both(jmc.l1, jnp.array([0.0, -2.0, 3.0])), [0, -1, 1])
    np.testing.assert_allclose(both(jmc.hinge, a, jnp.array([1.0, -1.0, 1.0])), [0, 0, -1 / 3])


def test_huber_is_smooth_where_its_pieces_meet():
    residuals = jnp.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    zero = jnp.zeros_like(residuals)
    np.testing.assert_allclose(7 * both(jmc.huber, residuals, zero), [-1, -1, -0.5, 0, 0.5, 1, 1], rtol=1e-6)
    assert np.isclose(jmc.grad(jmc.huber, 2)(residuals, zero, jnp.float32(1)), 4 / 7)


LOGITS = [0.0, 1.0, -1.0, 20.0, -20.0, 36.0, -40.0, 40.0, 1e3, -1e3, 1e4, -1e4]


@pytest.mark.parametrize("y", [0.0, 1.0, 0.25])
def test_binary_cross_entropy_is_exact_for_any_logit(y, x64):
    def exact(x):
        sigma, rest = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
        return -(y * mpmath.log(sigma) + (1 - y) * mpmath.log(rest)), (1 - y) * sigma - y * rest

    with mpmath.workdps(60):
        losses, slopes = np.array([[float(v) for v in exact(mpmath.mpf(x))] for x in LOGITS]).T
    x = jnp.asarray(LOGITS)[:, None]
    per_logit = jax.jit(jax.vmap(lambda x: jmc.value_and_grad(jmc.binary_cross_entropy)(x, jnp.asarray([y]))))
    value, gradient = per_logit(x)
    np.testing.assert_allclose(value, losses, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(gradient[:, 0], slopes, rtol=1e-14, atol=1e-300)
    assert np.all(np.isfinite(jax.jit(jax.vmap(lambda x: jax.grad(jmc.binary_cross_entropy)(x, jnp.asarray([y]))))(x)))


HUGE = [[0, 0, 0], [1e4, -1e4, 0], [1e4, 1e4, -1e4], [38, 0, 1], [-40, 3, -1e3], [1e3, 999, 998]]


def exact_cross_entropy(logits, label):
    e = [mpmath.exp(mpmath.mpf(x) - mpmath.mpf(max(logits))) for x in logits]
    gradient = [x / sum(e) if k != label else 0 for k, x in enumerate(e)]
    gradient[label] = -sum(gradient)
    return float(mpmath.log(sum(e)) - mpmath.log(e[label])), [float(g) for g in gradient]


def test_softmax_cross_entropy_is_exact_for_any_logits(x64):
    cases = [(logits, label) for logits in HUGE for label in range(3)]
    with mpmath.workdps(60):
        losses, gradients = (
            np.array(column) for column in zip(*itertools.starmap(exact_cross_entropy, cases), strict=True)
        )
    x, y = jnp.asarray([[logits] for logits, _ in cases], float), jnp.asarray([[label] for _, label in cases])
    hot = jnp.asarray(np.eye(3)[np.asarray(y)])
    with_labels, with_targets = jmc.softmax_cross_entropy_with_labels, jmc.softmax_cross_entropy
    value, gradient = jax.jit(jax.vmap(jmc.value_and_grad(with_labels)))(x, y)
    np.testing.assert_allclose(value, losses, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(gradient[:, 0], gradients, rtol=1e-13, atol=1e-300)
    value, gradient = jax.jit(jax.vmap(jmc.value_and_grad(with_targets)))(x, hot)
    np.testing.assert_allclose(value, losses, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(gradient[:, 0], gradients, rtol=1e-13, atol=1e-300)
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.grad(with_targets)))(x, hot)))


def test_gradient_with_respect_to_soft_targets():
    x = jnp.array([[2.0, 0.0, -1.0]])
    gradient = jmc.grad(jmc.softmax_cross_entropy, 1)(x, jnp.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(gradient, -jax.nn.log_softmax(x), rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_gives_nan(label):
    value, gradient = jmc.value_and_grad(jmc.softmax_cross_entropy_with_labels)(
        jnp.zeros((2, 3)), jnp.array([0, label])
    )
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(gradient), [[False] * 3, [True] * 3])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_narrow_labels_count_all_classes(dtype):
    logits = jnp.zeros((2, 300))
    value, gradient = jmc.value_and_grad(jmc.softmax_cross_entropy_with_labels)(logits, jnp.array([1, 40], dtype))
    np.testing.assert_allclose(value, np.log(300), rtol=1e-6)
    np.testing.assert_allclose(gradient[1, 40], -299 / 600, rtol=1e-6)


def test_nan_is_handed_on():
    X = np.ones((3, 2), "float32")
    X[1, 0] = np.nan
    dw, db = jmc.neuron_loss_grad(jnp.ones(2), 3.0, X, jnp.zeros(3))
    assert np.all(np.isnan(dw))
    assert np.isnan(db)


def test_one_class_is_certain():
    loss = jmc.value_and_grad(jmc.softmax_cross_entropy_with_labels)
    assert not any(map(np.any, loss(jnp.full((1, 1), 7.0), jnp.array([0]))))


def test_the_mean_over_nothing_is_nan_with_an_empty_gradient():
    value, gradient = jmc.value_and_grad(jmc.mean_squared_error)(jnp.zeros(0), jnp.zeros(0))
    assert np.isnan(value)
    assert gradient.shape == (0,)
    w, b, X, y = jnp.ones(3), jnp.float32(0), jnp.zeros((0, 3)), jnp.zeros(0)
    np.testing.assert_array_equal(jmc.neuron_loss_grad(w, b, X, y)[0], np.zeros(3))


def test_float32_keeps_small_losses():
    confident = jmc.softmax_cross_entropy_with_labels(jnp.array([[20.0, 0.0]]), jnp.array([0]))
    np.testing.assert_allclose(confident, np.exp(-20), rtol=1e-5)
    np.testing.assert_allclose(jmc.binary_cross_entropy(jnp.array([20.0]), jnp.array([1.0])), np.exp(-20), rtol=1e-5)
