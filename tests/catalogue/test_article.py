"""The article's rules: what the proofs of the registry cannot see."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmc.catalogue.registry import rules


@pytest.mark.parametrize(
    ("key", "structures"),
    [
        ("P-2.1", "zero(1×1)"),
        ("P-4.1.6", "identity(7)"),
        ("P-4.2.5", "diagonal(7)"),
        ("P-4.2.7", "identity(7)"),
        ("P-4.2.10", "diagonal(7)"),
        ("P-4.2.15", "diagonal(7) diagonal(7)"),
        ("P-4.2.16", "zero(7×7)"),
        ("P-4.3.2", "identity(7)"),
        ("P-4.3.3", "column of ones(7)"),
        ("P-4.3.4", "diagonal(7)"),
        ("P-4.4.2", "row of ones(7)"),
        ("P-4.5.0", "row of ones(7) row of ones(7)"),
        ("P-4.5.3.6", "diagonal(7)"),
        ("P-4.5.3.7a", "scalar"),
        ("P-4.5.3.7b", "scalar"),
        ("P-4.5.3.7c", "row(7)"),
        ("P-4.5.3.7d", "column(3)"),
        ("P-4.5.3.7e", "column(3)"),
        ("P-4.5.3.7f", "dense(3×7)"),
        ("P-4.5.3.7g", "rank 1"),
        ("P-4.5.3.7h", "row(7)"),
        ("P-5.9", "diagonal(7)"),
        ("L-max", "selection(1×7)"),
        ("L-sort", "selection(7×7)"),
        ("L-cumsum", "banded(−6…0)"),
        ("L-normalize", "diagonal(7) + rank 1"),
        ("variance, second derivative", "diagonal(7) + rank 1"),
    ],
)
def test_structures(key, structures):
    rule = rules[key]
    args = rule.sample(0, sizes={"n": 7, "*s": (7,)})
    assert " ".join(rule.map(k, *args).structure for k in rule.argnums) == structures


def test_layouts_of_section_4():
    x = jnp.array([2.0, 1.0])
    J = rules["P-4.0.5"].jacobian(x)
    np.testing.assert_array_equal(J.matrix(), [[12, 12], [2, 8]])
    np.testing.assert_array_equal(J.matrix("denominator"), [[12, 2], [12, 8]])
    shapes = {"a": (1, 1), "b": (1, 5), "c": (3, 1), "d": (3, 5)}
    for letter, shape in shapes.items():
        rule = rules[f"P-4.1.5{letter}"]
        J = rule.jacobian(*rule.sample(0, sizes={"n": 5}))
        assert J.matrix().shape == J.matrix("denominator").T.shape == shape


def test_increment_of_section_4_5_2():
    rule = rules["P-4.5.2.1"]
    assert (rule.f(1.0), rule.f(2.0)) == (2.0, 6.0)
    assert rules["P-4.5.2.2"].f(1.0, 1.0) == 4.0
    assert rules["P-4.5.2.2"].jacobian(jnp.float32(0), jnp.float32(1)).dense() == rule.jacobian(jnp.float32(1)).dense()


@pytest.mark.parametrize("name", ["neuron", "neuron_loss", "P-6.1.2", "augmented neuron, max(0, ŵ·x̂)", "P-6.2.7"])
def test_proofs_of_neurons_meet_active_and_inactive_units(name):
    rule = rules[name]
    first = np.random.default_rng([0, 0])
    drawn = rule.sample(np.random.default_rng([0, 0]), sizes=rule.sizes(first))
    args = dict(zip((p.name for p in rule.parameters), drawn, strict=True))
    z = args.get("X", args.get("x")) @ args["w"] + args.get("b", jnp.float32(0))
    assert (z > 0.01).any()
    assert (z < -0.01).any()


def test_a_step_of_the_augmented_neuron_is_a_step_of_weights_and_bias(x64):
    w, b, X, y = rules["neuron_loss"].sample(0)
    eta = jnp.asarray(0.1)
    whole = rules["gradient step of an augmented neuron, ŵ − η ∂C/∂ŵ"].f(
        jnp.append(w, b), eta, jnp.concatenate([X, jnp.ones_like(X[:, :1])], axis=1), y
    )
    loss = rules["neuron_loss"]
    np.testing.assert_allclose(whole[:-1], w - eta * loss.map("w", w, b, X, y).dense(), rtol=1e-13)
    np.testing.assert_allclose(whole[-1], b - eta * loss.map("b", w, b, X, y).dense(), rtol=1e-13)


def test_reductions_of_zeros_and_of_little():
    others = rules["L-prod"].jacobian
    np.testing.assert_array_equal(others(jnp.array([2.0, 0.0, 3.0])).dense(), [0, 6, 0])
    np.testing.assert_array_equal(others(jnp.array([2.0, 0.0, 0.0])).dense(), [0, 0, 0])
    np.testing.assert_array_equal(others(jnp.array([5.0])).dense(), [1])
    for key in ("L-prod", "L-sort", "L-cumsum", "L-var", "P-4.4.2", "P-5.2", "P-4.5.3.7f"):
        for n in (0, 1):
            rule = rules[key]
            args = rule.sample(0, sizes={"n": n, "N": n})
            for k in rule.argnums:
                J = rule.map(k, *args)
                assert J.dense().shape == J.out_shape + J.in_shape


def test_cotangents_of_cumulative_sums_and_of_distances():
    u = np.arange(1, 6, dtype=np.float32)
    np.testing.assert_array_equal(rules["L-cumsum"].jacobian(jnp.ones(5)).vm(jnp.asarray(u)), u[::-1].cumsum()[::-1])
    X, D = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in ((5, 3), (5, 5)))
    both = D + D.T
    expected = 2 * (np.diag(both.sum(1)) - both) @ X
    np.testing.assert_allclose(
        rules["L-pairdist"].jacobian(jnp.asarray(X)).vm(jnp.asarray(D)), expected, rtol=1e-4, atol=1e-5
    )
