import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jmc.checking.comparison import compare, conditioning
from jmc.checking.oracles import Estimate, all_oracles, forward_ad, ridders


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def residual_loss(X, w, y):
    return jnp.sum((X @ w - y) ** 2)


def residual_gradient(X, w, y):
    return 2 * X.T @ (X @ w - y)


def test_a_closed_form_agrees_with_every_oracle():
    W, x = normals(5, 3), normals(3, seed=1)

    def closed(W, x):
        return W / jnp.cosh(W @ x)[:, None] ** 2

    with jax.enable_x64(True):
        value = np.asarray(closed(jnp.asarray(W), jnp.asarray(x)))
    one_entry_off = np.ones((5, 3))
    one_entry_off[4, 2] += 1e-7
    spread = conditioning(closed, (W, x))
    for estimate in all_oracles(lambda W, x: jnp.tanh(W @ x), (W, x), 1, analytic=True):
        outcome = compare(value, estimate, spread)
        assert outcome.ok, f"{estimate.name}: {outcome}"
        for wrong in (-value, 2 * value, value * one_entry_off):
            assert not compare(wrong, estimate, spread).ok, estimate.name


def test_a_factor_of_1e_10_is_caught_normwise():
    value = normals(3, 5)
    outcome = compare(value * (1 + 1e-10), value, np.abs(value) * 2.0**-52)
    assert not outcome.ok
    assert outcome.error <= outcome.bound
    assert outcome.normwise == pytest.approx(1e-10, rel=1e-4)
    assert outcome.normwise > outcome.normwise_bound


def test_one_small_wrong_entry_is_caught_entry_by_entry():
    value = normals(3, 5)
    value[2, 1] = 1e-20
    wrong = value.copy()
    wrong[2, 1] = -1e-20
    outcome = compare(wrong, value, np.abs(value) * 2.0**-52)
    assert not outcome.ok
    assert outcome.worst == (2, 1)
    assert outcome.normwise <= outcome.normwise_bound
    assert (outcome.value, outcome.reference, outcome.error) == (-1e-20, 1e-20, 2e-20)


def naive_sigmoid(x):
    s = 1 / (1 + np.exp(-x))
    return s * (1 - s)


def stable_sigmoid(x):
    e = jnp.exp(-jnp.abs(x))
    return e / (1 + e) ** 2


@pytest.mark.parametrize(
    ("closed", "naive", "exact", "x"),
    [
        (stable_sigmoid, naive_sigmoid, lambda x: 1 / (2 + mpmath.exp(x) + mpmath.exp(-x)), 38.0),
        (jnp.exp, lambda x: np.expm1(x) + 1, mpmath.exp, -40.0),
    ],
)
def test_a_wrong_tail_is_caught_and_a_right_one_agrees(closed, naive, exact, x):
    x = np.array([x, 0.3, -1.2])  # the other entries hide the tail in any norm
    with jax.enable_x64(True):
        value = closed(jnp.asarray(x))
    spread = conditioning(closed, (x,))
    true = [float(exact(mpmath.mpf(float(entry)))) for entry in x]
    assert compare(value, true, spread, entrywise=1e-13).ok
    outcome = compare(value, naive(x), spread)
    assert not outcome.ok
    assert outcome.worst == (0,)
    assert outcome.normwise <= outcome.normwise_bound
    assert not compare(naive(x), true, spread).ok


def cancelling_problem():
    """A residual whose gradient's first entry has lost nine digits to cancellation, in float64."""
    X, w, noise = normals(31, 5), normals(5, seed=1), normals(31, seed=2)
    residual = noise - X[:, 0] * (X[:, 0] @ noise) / (X[:, 0] @ X[:, 0]) * (1 - 1e-9)
    return X, w, X @ w - residual


def test_a_cancelling_entry_is_forgiven_as_far_as_its_arguments_explain():
    args = X, w, y = cancelling_problem()
    with jax.enable_x64(True):
        value = np.asarray(residual_gradient(*map(jnp.asarray, args)))
    with mpmath.workdps(50):
        r = [mpmath.fdot(row, w) - mpmath.mpf(target) for row, target in zip(X.tolist(), y.tolist(), strict=True)]
        true = np.array([float(2 * mpmath.fdot(column, r)) for column in X.T.tolist()])
    relative = np.abs(value - true)[0] / np.abs(true)[0]
    assert relative > 1e-9
    assert not compare(value, true).ok
    spread = conditioning(residual_gradient, args)
    assert compare(value, true, spread, entrywise=1e-13).ok
    assert compare(value, forward_ad(residual_loss, args, 1), spread).ok
    assert not compare(value * [1 + 1e-3, 1, 1, 1, 1], true, spread).ok


def test_the_stated_error_of_a_reference_widens_the_bounds():
    args = (np.array([0.3, 2.0]),)
    estimate = ridders(jnp.sin, args)
    value = np.diag(np.cos(args[0]))
    assert compare(value, estimate).ok
    off = Estimate("off", value + 1e-6, np.full((2, 2), 2e-6))
    assert compare(value, off).ok
    assert not compare(value, off.jacobian).ok
    assert not compare(value - 2e-6, off).ok


def test_lower_precision_states_its_tolerance():
    x = normals(50).astype(np.float32)
    with jax.enable_x64(True):
        reference = jnp.cos(jnp.asarray(x, jnp.float64))
    value = jnp.cos(jnp.asarray(x))
    spread = conditioning(jnp.cos, (x,))
    assert compare(value, reference, spread, normwise=1e-6, entrywise=1e-6).ok
    assert not compare(value, reference, spread).ok
    low = value.astype(jnp.bfloat16)
    assert compare(low, reference, spread, normwise=1e-2, entrywise=1e-2).ok
    assert not compare(low, reference, spread, normwise=1e-6, entrywise=1e-6).ok


@pytest.mark.parametrize(
    ("value", "reference", "equal_nan", "ok"),
    [
        (np.inf, np.inf, False, True),
        (-np.inf, np.inf, False, False),
        (np.inf, 1.0, False, False),
        (1.0, np.inf, False, False),
        (np.nan, np.nan, False, False),
        (np.nan, np.nan, True, True),
        (np.nan, 1.0, True, False),
        (1.0, np.nan, True, False),
        (np.nan, np.inf, True, False),
        (1e-310, 0.0, False, True),
        (1e-300, 0.0, False, False),
        (1e308, -1e308, False, False),
        (0.0, -0.0, False, True),
    ],
)
@pytest.mark.parametrize("beside", [[], [1.0]])
def test_special_values(value, reference, equal_nan, ok, beside):
    outcome = compare([value, *beside], [reference, *beside], [0.0, *(0 * b for b in beside)], equal_nan=equal_nan)
    assert outcome.ok is ok
    assert str(outcome).startswith("agrees" if ok else "disagrees")


def test_an_entry_that_an_oracle_could_not_estimate_is_not_passed():
    undecided = Estimate("undecided", np.array([1.0, np.nan]), np.array([1e-12, np.inf]))
    outcome = compare([1.0, 2.0], undecided)
    assert not outcome.ok
    assert outcome.worst == (1,)
    assert not compare([1.5, np.nan], undecided, equal_nan=True).ok  # and does not excuse the others


def test_scalars_and_size_zero():
    assert compare(1.5, 1.5).worst == ()
    empty = compare(np.zeros((0, 3)), np.ones((0, 3)), np.ones((0, 3)))
    assert empty.ok
    assert str(empty) == "agrees: no entries"


def test_shapes_and_dtypes_must_match():
    value = np.ones((2, 3))
    for wrong in (np.ones((3, 2)), np.ones(3), 1.0):
        with pytest.raises(ValueError, match=r"`reference` must have the shape of `value`, \(2, 3\), but got \("):
            compare(value, wrong)
    with pytest.raises(ValueError, match=r"`spread` must have the shape of `value`, \(2, 3\), but got \(3,\)"):
        compare(value, value, np.ones(3))
    with pytest.raises(ValueError, match=r"`reference.error` must have the shape of `value`"):
        compare(value, Estimate("short", value, np.ones(3)))
    with pytest.raises(TypeError, match="`value` must be real, but got complex128"):
        compare(value + 0j, value)


def test_str_is_one_line_with_both_values_and_the_bound():
    outcome = compare([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[1.0, 2.0, 3.0], [4.0, 5.5, 6.0]])
    assert str(outcome) == (
        "disagrees: normwise 0.083 > 1e-13; largest error at [1, 1]: 5 against 5.5, off by 0.5 > 5.5e-09"
    )


def test_conditioning_measures_relative_sensitivity():
    x = np.array([0.0, 1.0, 10.0, -700.0])
    spread = conditioning(jnp.exp, (x,))
    change_per_relative_change = spread * 2.0**52
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(change_per_relative_change, np.abs(x) * np.exp(x), rtol=0.5)
    assert spread.dtype == np.float64
    assert not jax.config.jax_enable_x64


def test_conditioning_moves_the_arguments_it_is_told_to():
    rows, x, y = np.array([2, 0]), normals(3), np.zeros(2)

    def derivative(rows, x, y):
        return x[rows] + y

    assert np.all(conditioning(derivative, (rows, x, y)) > 0)
    assert np.all(conditioning(derivative, (rows, x, y), -2) > 0)
    assert np.all(conditioning(derivative, (rows, x, y), 2) == 0)  # zeros stay where they are
    with pytest.raises(TypeError, match=r"`args\[0\]` must be real floating"):
        conditioning(derivative, (rows, x, y), 0)
    with pytest.raises(ValueError, match="`argnum` must name one of the 3 arguments, but got 3"):
        conditioning(derivative, (rows, x, y), 3)


def test_conditioning_depends_on_the_seed_alone():
    args = cancelling_problem()
    spread = conditioning(residual_gradient, args, seed=3)
    assert np.array_equal(spread, conditioning(residual_gradient, args, seed=3))
    assert not np.array_equal(spread, conditioning(residual_gradient, args, seed=4))


def test_conditioning_counts_a_change_that_is_not_finite_as_none():
    assert np.array_equal(conditioning(jnp.log, (np.array([-1.0, 0.0]),)), [0.0, 0.0])


def test_condition_reports_what_the_spread_excused():
    assert compare([1.0], [1.0]).condition == 1
    assert compare([1.0], [1.0], [2.0**-42]).condition == 1 + 2.0**10
