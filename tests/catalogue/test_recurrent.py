"""Recurrent cells: saturated gates, batches, an LSTM's public function against its rule; structures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules


def sample(name, **sizes):
    return [a.astype("float32") for a in rules[name].sample(0, np.float32, sizes)]


def test_structures():
    found = {
        name: [J.structure for J in jax.eval_shape(rules[name].jacobian, *sample(name, **sizes))]
        for name, sizes in {"rnn_cell": {"*n": (2,)}, "gru_cell": {"*n": (2,)}}.items()
    }
    assert found["rnn_cell"] == [
        "block_diagonal(2 × dense(3×2))",
        "block_diagonal(2 × dense(3×3))",
        "block_diagonal(3 × dense(2×2))",
        "block_diagonal(3 × dense(2×3))",
        "block_diagonal(3 × column(2))",
    ]
    assert found["gru_cell"][:3] == [
        "block_diagonal(2 × dense(2×4))",
        "block_diagonal(2 × dense(2×2))",
        "block_diagonal(2 × dense(2×12))",
    ]


def test_the_public_lstm_is_the_rules():
    args = sample("lstm cell", n=3)
    rule = rules["lstm cell"]
    for one, other in zip(jmc.lstm_cell(*args), rule.f(*args), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    loss = lambda *args: sum(jnp.sum(jnp.square(part)) for part in jmc.lstm_cell(*args))
    closed = jax.jit(jmc.grad(loss, tuple(range(6))))(*args)
    value = rule.f(*args)
    rows = jax.jit(rule.jacobian)(*args)
    for k, gradient in enumerate(closed):
        wanted = sum(row[k].vm(2 * part) for row, part in zip(rows, value, strict=True))
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5)
    x, h, c, W, U, b = args
    single = jmc.lstm_cell(x[0], h[0], c[0], W, U, b)
    np.testing.assert_allclose(single[0], value[0][0], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"`W` of lstm_cell must have shape \(4 m d\) with d = 4 as in `x`"):
        jmc.lstm_cell(x, h, c, W[..., 1:], U, b)
    with pytest.raises(ValueError, match="`b` of lstm_cell must have shape"):
        jmc.lstm_cell(x, h, c, W, U, b[:3])


@pytest.mark.parametrize("size", [30.0, 1e4])
def test_saturated_cells_have_small_right_slopes(size, x64):
    x, W, b = jnp.ones((1, 1)), jnp.full((1, 1), size), jnp.zeros(1)
    slope = jmc.grad(lambda x: jmc.rnn_cell(x, b[None], W, 0 * W, b)[0, 0])(x)
    np.testing.assert_allclose(slope[0, 0], size * 4 * np.exp(-2 * size), rtol=1e-12)
    gates, zero = jnp.array([0.0, size, 0.0]).reshape(3, 1, 1), jnp.zeros((3, 1, 1))
    kept = jmc.gru_cell(x, 5 * x, gates, zero, zero[..., 0], zero[..., 0])
    np.testing.assert_allclose(kept, 5)  # the update gate is 1: the state stays
    slope = jmc.grad(lambda x: jmc.gru_cell(x, 5 * x, gates, zero, zero[..., 0], zero[..., 0])[0, 0])(x)
    np.testing.assert_allclose(slope, 5)


def test_a_cell_says_what_does_not_fit():
    x, h, W, U, b, a = sample("gru_cell")
    with pytest.raises(ValueError, match="`U` of gru_cell must have shape"):
        jmc.gru_cell(x, h, W, W, b, a)
    with pytest.raises(ValueError, match=r"`W` of gru_cell must have shape \(3 m d\), but got shape \(2, 2, 4\)"):
        jmc.gru_cell(x, h, W[:2], U, b, a)
