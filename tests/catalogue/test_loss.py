"""Losses where it is hard: kinks, ties, saturated logits, labels out of range."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules


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
    y = jnp.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(both(jmc.hinge, a, y), [0, 0, -1 / 3])
    np.testing.assert_allclose(both(jmc.squared_hinge, a, y), [0, 0, -1 / 3])
    np.testing.assert_allclose(
        both(jmc.quantile_loss, a, jnp.array([1.0, 0, 0]), jnp.float32(0.25)), [0, -1 / 12, 1 / 4]
    )
    np.testing.assert_array_equal(
        both(jmc.multiclass_hinge, jnp.array([[2.0, 1.0, 1.5]]), jnp.array([0])), [[-1, 0, 1]]
    )
    np.testing.assert_allclose(both(jmc.group_lasso, jnp.array([[0.0, 0.0], [3.0, -4.0]])), [[0, 0], [0.6, -0.8]])
    np.testing.assert_array_equal(
        both(jmc.elastic_net, jnp.array([0.0, -2.0]), jnp.float32(3), jnp.float32(5)), [0, -13]
    )


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
@pytest.mark.parametrize("loss", [jmc.softmax_cross_entropy_with_labels, jmc.multiclass_hinge])
def test_a_label_outside_the_classes_gives_nan(loss, label):
    value, gradient = jmc.value_and_grad(loss)(jnp.zeros((2, 3)), jnp.array([0, label]))
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(gradient), [[False] * 3, [True] * 3])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_narrow_labels_count_all_classes(dtype):
    logits = jnp.zeros((2, 300))
    value, gradient = jmc.value_and_grad(jmc.softmax_cross_entropy_with_labels)(logits, jnp.array([1, 40], dtype))
    np.testing.assert_allclose(value, np.log(300), rtol=1e-6)
    np.testing.assert_allclose(gradient[1, 40], -299 / 600, rtol=1e-6)


def test_log_cosh_is_exact_near_0_and_far_out(x64):
    r = np.array([0.0, 1e-8, -1e-3, 0.999, -1.001, 5.0, -20.0, 40.0, 1e3])
    with mpmath.workdps(1000):
        values = [float(mpmath.log(mpmath.cosh(mpmath.mpf(x)))) for x in r]
        bends = [float(mpmath.sech(mpmath.mpf(x)) ** 2) for x in r]
    zero = jnp.zeros(1)
    value = jax.jit(jax.vmap(lambda r: jmc.log_cosh(r[None], zero)))(jnp.asarray(r))
    np.testing.assert_allclose(value, values, rtol=4e-15, atol=0)
    hessian = rules["log_cosh"].hessian(jnp.asarray(r), jnp.zeros(9))
    np.testing.assert_allclose(9 * hessian.diagonal(), bends, rtol=1e-14, atol=1e-300)


def exact_focal(z):
    return -((1 / (1 + mpmath.exp(z))) ** 2) * mpmath.log(1 / (1 + mpmath.exp(-z)))


def test_focal_loss_is_exact_for_any_logit(x64):
    z = np.array([0.0, 1.0, -1.0, 20.0, -20.0, 36.0, -40.0, 40.0, 300.0, -300.0])
    with mpmath.workdps(400):
        step = mpmath.mpf(10) ** -100
        exact = np.array([[float(mpmath.diff(exact_focal, mpmath.mpf(x), k, h=step)) for x in z] for k in range(3)])
    ones, gamma = jnp.ones(10), jnp.asarray(2.0)
    rule = rules["focal_loss"]
    for y, sign in ((ones, 1), (0 * ones, -1)):
        x = jnp.asarray(sign * z)
        value = jax.jit(jax.vmap(lambda x, y: jmc.focal_loss(x[None], y[None])))(x, y)
        np.testing.assert_allclose(value, exact[0], rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(
            10 * rule.map("logits", x, y, gamma).dense(), sign * exact[1], rtol=1e-14, atol=1e-300
        )
        np.testing.assert_allclose(10 * rule.hessian(x, y, gamma).diagonal(), exact[2], rtol=1e-13, atol=1e-300)


def test_no_focus_is_the_binary_cross_entropy():
    x, y = jnp.array([3.0, -2.0, 0.5]), jnp.array([1.0, 0.0, 0.3])
    np.testing.assert_allclose(jmc.focal_loss(x, y, 0.0), jmc.binary_cross_entropy(x, y), rtol=1e-6)
    np.testing.assert_allclose(
        jmc.grad(jmc.focal_loss)(x, y, jnp.float32(0)), jmc.grad(jmc.binary_cross_entropy)(x, y), rtol=1e-6
    )


def test_divergence_where_nothing_is_expected():
    p, q = jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[0.25, 0.75, 0.0]])
    value, gradient = jmc.value_and_grad(jmc.kl_divergence, (0, 1))(p, q)
    np.testing.assert_allclose(value, np.log(4 / 3), rtol=1e-6)
    np.testing.assert_allclose(gradient[0][0, :2], [-np.inf, np.log(4 / 3) + 1], rtol=1e-6)
    np.testing.assert_allclose(gradient[1], [[0, -4 / 3, 0]], rtol=1e-6)


def test_one_pair_has_no_contrast():
    Z = jnp.array([[1.0, 2.0]])
    assert jmc.info_nce(Z, Z, 0.1) == 0
    assert not np.any(jmc.grad(jmc.info_nce)(Z, Z, jnp.float32(0.1)))


def test_penalties_of_huge_weights_are_finite():
    w = jnp.array([[1e30, -1e30], [1e-30, 0.0]])
    value, gradient = jmc.value_and_grad(jmc.group_lasso)(w)
    np.testing.assert_allclose(value, np.sqrt(2) * 1e30, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[np.sqrt(0.5), -np.sqrt(0.5)], [1, 0]], rtol=1e-6)


HESSIANS = {
    "mean_squared_error": "diagonal(6)",
    "mean_absolute_error": "zero(6×6)",
    "huber": "diagonal(6)",
    "poisson_nll": "diagonal(6)",
    "binary_cross_entropy": "diagonal(6)",
    "hinge": "zero(6×6)",
    "softmax_cross_entropy": "block_diagonal(6 × (diagonal(5) + rank 1))",
    "softmax_cross_entropy_with_labels": "block_diagonal(6 × (diagonal(5) + rank 1))",
    "kl divergence of a softmax": "block_diagonal(6 × (diagonal(5) + rank 2))",
    "kl_divergence": "diagonal(30)",
    "info_nce": "block_diagonal(7 × rank 8)",
    "group_lasso": "block_diagonal(6 × (diagonal(5) + rank 1))",
    "cross entropy of a linear layer": "kronecker(diagonal(5) ⊗ column(11) ⊗ row(11)) + rank 1",
    "logistic regression": "rank 7",
}


@pytest.mark.parametrize("name", HESSIANS)
def test_structure_of_hessians(name):
    sizes = {"*n": (2, 3), "k": 5, "*s": (6,), "N": 7, "d": 11}
    hessian = jax.eval_shape(rules[name].hessian, *rules[name].sample(0, np.float32, sizes))
    assert hessian.structure == HESSIANS[name]
    assert hessian.dtype == "float32"


@pytest.mark.parametrize(
    "rule", [r for r in rules.records() if r.second and r.family in ("loss", "classification")], ids=lambda r: r.name
)
def test_hessians_of_nothing_are_empty(rule):
    sizes = {"*n": (0,), "k": 5, "N": 0, "d": 0}
    if rule.name != "cross entropy of a linear layer":
        args = rule.sample(0, np.float32, sizes)
        hessian = jax.eval_shape(rule.hessian, *args)
        assert 0 in hessian.in_shape
        assert hessian.out_shape == hessian.in_shape == args[0].shape


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
