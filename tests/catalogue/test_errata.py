"""Where the article is printed wrong: the right rule holds against automatic differentiation, the printed one fails.

Each test takes one erratum of arXiv 1802.01528 and computes both forms in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal

import jmc

pytestmark = pytest.mark.usefixtures("x64")


def data(positive=False):
    """(w, b, X, y) in which some units are active and some are not (all are, if `positive`)."""
    rng = np.random.default_rng(0)
    w, b, X, y = rng.normal(size=5), 0.2, rng.normal(size=(7, 5)), rng.normal(size=7)
    if positive:
        w, X = np.abs(w), np.abs(X)
    active = X @ w + b > 0
    assert active.all() if positive else active.any() and not active.all()
    return jnp.asarray(w), jnp.asarray(b), jnp.asarray(X), jnp.asarray(y)


def agrees(printed, right):
    return np.shape(printed) == np.shape(right) and np.allclose(printed, right, rtol=1e-10, atol=1e-12)


def true_gradient(w, b, X, y):
    return jax.grad(lambda w: jnp.mean((y - jnp.where(X @ w + b > 0, X @ w + b, 0)) ** 2))(w)


def test_1_the_sum_stands_outside_the_cases():
    w, b, X, y = data()
    error = X @ w + b - y
    # printed: one case distinction around the whole sum, so that a single unit decides for all examples
    all_or_nothing = [jnp.zeros(5), 2 / 7 * error @ X]
    right = true_gradient(w, b, X, y)
    assert not any(agrees(printed, right) for printed in all_or_nothing)
    assert agrees(jmc.neuron_loss_grad(w, b, X, y)[0], right)


def test_2_the_error_term_form_needs_all_units_active():
    w, b, X, y = data()
    assert not agrees(2 / 7 * (X @ w + b - y) @ X, true_gradient(w, b, X, y))
    w, b, X, y = data(positive=True)
    assert agrees(2 / 7 * (X @ w + b - y) @ X, true_gradient(w, b, X, y))
    assert agrees(jmc.neuron_loss_grad(w, b, X, y)[0], true_gradient(w, b, X, y))


def test_3_the_gradient_is_twice_the_average_and_the_error_is_prediction_minus_target():
    w, b, X, y = data(positive=True)
    error = X @ w + b - y
    right = true_gradient(w, b, X, y)
    assert not agrees(jnp.mean(error[:, None] * X, axis=0), right)  # "the average of the error", without the 2
    assert not agrees(2 * jnp.mean(-error[:, None] * X, axis=0), right)  # "target minus actual"
    assert agrees(2 * jnp.mean(error[:, None] * X, axis=0), right)


def test_4_the_jacobian_of_an_elementwise_max_is_diagonal():
    x = jnp.asarray([1.5, -2.0, 0.5])
    right = jax.jacfwd(jmc.relu)(x)
    printed = (x > 0).astype(float)[:, None]  # a column
    assert not agrees(printed, right)
    rows = jnp.stack([jmc.grad(lambda x, i=i: jmc.relu(x)[i])(x) for i in range(3)])
    assert agrees(rows, right)
    assert agrees(jnp.diag((x > 0).astype(float)), right)


def test_5_the_augmented_input_is_a_column_and_its_gradient_is_that_of_w_and_b():
    w, b, X, y = data()
    with pytest.raises(TypeError, match="same shape"):
        # printed: x̂ = [xᵀ, 1], a row; ŵᵀ = [wᵀ, b] times a row is no number
        jnp.matmul(jnp.append(w, b)[None, :], jnp.append(X[0], 1.0)[None, :])

    augmented = jnp.concatenate([X, jnp.ones((7, 1))], axis=1)
    assert agrees(augmented[0] @ jnp.append(w, b), w @ X[0] + b)
    with_bias = jmc.neuron_loss_grad(w, b, X, y)
    whole, _ = jmc.neuron_loss_grad(jnp.append(w, b), 0.0, augmented, y)
    assert agrees(whole, jnp.append(*with_bias))


def test_6_a_row_gradient_is_transposed_before_it_is_taken_from_a_column():
    w, b, X, y = data()
    column = np.asarray(w)[:, None]
    row = np.asarray(jmc.neuron_loss_grad(w, b, X, y)[0])[None, :]
    assert (column - row).shape == (5, 5)  # printed: w − η ∂C/∂w, in numerator layout, is not even a vector
    assert (column - row.T).shape == column.shape


def test_7_not_every_operator_takes_zeros_to_zero():
    # printed: the Jacobian is diagonal because 0 ○ 0 = 0 "no matter what"; for ⊘ that would be
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.float64(0) / np.float64(0))
    # The reason is that for i ≠ j neither operand of w_i ⊘ x_i moves with w_j.
    w, x = jnp.asarray([2.0, 3.0, 5.0]), jnp.asarray([7.0, 11.0, 13.0])
    rows = jnp.stack([jmc.grad(lambda w, i=i: (w / x)[i])(w) for i in range(3)])
    assert agrees(rows, jnp.diag(1 / x))
    assert agrees(rows, jax.jacfwd(lambda w: w / x)(w))


def test_8_the_dot_product_row_holds_for_identities_only():
    w, x = jnp.asarray([0.3, -0.7, 1.1]), jnp.asarray([0.5, 0.2, -0.4])

    def y(w):
        return jnp.sum(jmc.tanh(w) * jmc.sigmoid(x))  # f(w)ᵀ g(x), f = tanh, g = σ

    right = jax.grad(y)(w)
    assert not agrees(x, right)  # printed: ∂(f(w)·g(x))/∂w = xᵀ, which is f = g = identity
    assert agrees(jmc.sigmoid(x) / jnp.cosh(w) ** 2, right)  # g(x)ᵀ diag(f′(w))
    assert agrees(jmc.grad(y)(w), right)
    assert agrees(jmc.grad(lambda w: jnp.sum(jmc.identity(w) * jmc.identity(x)))(w), x)


def test_9_the_chain_rule_multiplies_from_the_outer_function_inwards():
    W, V = normal(2, 3, dtype="float64"), normal(3, 5, dtype="float64")
    x = jnp.linspace(-1, 1, 5)
    inner = jax.jacfwd(lambda x: jmc.tanh(jmc.affine(V, jnp.zeros(3), x)))(x)  # du/dx
    outer = jax.jacfwd(lambda u: jmc.affine(W, jnp.zeros(2), u))(jnp.zeros(3))  # dy/du
    right = jax.jacfwd(lambda x: W @ jnp.tanh(V @ x))(x)
    with pytest.raises(ValueError, match=r"shape|dimension"):
        np.asarray(inner) @ np.asarray(outer)  # printed: du/dx · dy/du, which only numbers allow
    assert agrees(outer @ inner, right)
    rows = [
        jmc.grad(lambda x, i=i: jmc.affine(W, jnp.zeros(2), jmc.tanh(jmc.affine(V, jnp.zeros(3), x)))[i])(x)
        for i in range(2)
    ]
    assert agrees(jnp.stack(rows), right)


def test_10_a_partial_derivative_is_not_the_total_one():
    def f(x, u):
        return x + u  # y = x + x², through u₁ = x²

    x = jnp.asarray(3.0)
    partial = jmc.grad(f)(x, x**2)
    total = jmc.grad(lambda x: f(x, x**2))(x)
    assert partial == 1.0  # "∂y/∂x", printed for both
    assert agrees(total, 1 + 2 * x)
    assert not agrees(partial, total)


# and where other sources, or an earlier version, are


def test_the_sum_of_a_scaled_vector_moves_with_the_scale_by_its_sum():
    x, z = jnp.asarray([0.5, -2.0, 3.0]), jnp.asarray(1.5)
    rule = jmc.rules["P-4.4.4"]
    assert agrees(rule.jacobian(x, z).dense(), jax.grad(lambda z: jnp.sum(x * z))(z))
    assert not agrees(3.0, jax.grad(lambda z: jnp.sum(x * z))(z))  # n, in the version of January 2018


def test_a_squared_modulus_is_meant_where_the_cookbook_prints_a_square():
    u, v, p, q, c, d = map(np.asarray, jmc.rules["K-89"].sample(0))
    a, b, x = p + 1j * q, c + 1j * d, u + 1j * v
    off = a - x.conj() @ b
    printed = -2 * b * off.conj()
    # ∂/∂u + i ∂/∂v, where ∂off/∂u = −b and ∂off/∂v = ib
    assert agrees(2 * (off.conj() * -b).real + 2j * (off.conj() * 1j * b).real, printed)  # of |off|²
    assert not agrees(2 * off * -b + 1j * (2 * off * 1j * b), printed)  # of off²
    by_u, by_v = map(np.asarray, jax.grad(jmc.rules["K-89"].f, (0, 1))(u, v, p, q, c, d))
    assert agrees(by_u + 1j * by_v, printed)
