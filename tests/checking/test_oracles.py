import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jmc.checking.oracles import all_oracles, complex_step, forward_ad, reverse_ad, ridders

ORACLES = [forward_ad, reverse_ad, complex_step, ridders]
SIDED = ["central", "left", "right"]


def normals(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def diagonal(estimate):
    """The element-wise derivative and its error; everything off the diagonal has to be exactly zero."""
    assert np.array_equal(estimate.jacobian, np.diag(np.diagonal(estimate.jacobian)))
    return np.diagonal(estimate.jacobian), None if estimate.error is None else np.diagonal(estimate.error)


def truth(f, points):
    with mpmath.workdps(60):
        return np.array([float(mpmath.diff(f, mpmath.mpf(float(x)), h=mpmath.mpf(10) ** -25)) for x in points])


@pytest.mark.parametrize("oracle", ORACLES)
def test_polynomial(oracle):
    x = normals(7)
    derivative, _ = diagonal(oracle(lambda x: 2 * x**3 - x + 5, (x,)))
    np.testing.assert_allclose(derivative, 6 * x**2 - 1, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("oracle", ORACLES)
def test_matrix_valued_in_every_argument(oracle):
    A, X, B = normals(2, 5), normals(5, 7, seed=1), normals(7, 3, seed=2)
    expected = [
        np.einsum("oi,jp->opij", np.eye(2), X @ B),
        np.einsum("oi,jp->opij", A, B),
        np.einsum("oi,pj->opij", A @ X, np.eye(3)),
    ]
    for argnum, jacobian in enumerate(expected):
        found = oracle(lambda A, X, B: A @ X @ B, (A, X, B), argnum)
        assert found.jacobian.shape == (2, 3, *(A, X, B)[argnum].shape)
        np.testing.assert_allclose(found.jacobian, jacobian, rtol=1e-11, atol=1e-12)
        assert found.error is None or found.error.shape == found.jacobian.shape


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize(
    ("f", "x", "shape"),
    [
        (lambda x: x * x, np.float64(3), ()),
        (lambda x: jnp.sum(x * x), np.ones((2, 3)), (2, 3)),
        (lambda x: x * jnp.ones((3, 2)), np.float64(3), (3, 2)),
        (lambda x: jnp.sum(x * x), np.ones((0, 3)), (0, 3)),
        (lambda x: x * jnp.ones((0, 2)), np.float64(3), (0, 2)),
        (lambda x: x * x, np.ones(0), (0, 0)),
    ],
)
def test_scalars_and_size_zero(oracle, f, x, shape):
    found = oracle(f, (x,))
    assert found.jacobian.shape == shape
    assert found.error is None or found.error.shape == shape


@pytest.mark.parametrize("oracle", ORACLES)
def test_integer_arguments_pass_through_and_argnum_counts_from_the_end(oracle):
    picked = oracle(lambda rows, x: jnp.sin(x)[rows], (np.array([4, 1]), normals(5)), -1)
    assert picked.jacobian.shape == (2, 5)
    np.testing.assert_allclose(picked.jacobian[[0, 1], [4, 1]], np.cos(normals(5)[[4, 1]]), rtol=1e-12)
    assert np.count_nonzero(picked.jacobian) == 2


@pytest.mark.parametrize(
    ("oracle", "dtype"), [(forward_ad, jnp.bfloat16), *((oracle, np.float32) for oracle in ORACLES)]
)
def test_float64_isolation(oracle, dtype):
    weights = jnp.asarray(normals(5, 3), dtype)  # closed over: stays as it is, and does not lower the rest
    x = jnp.asarray(normals(3, seed=1), dtype)
    found = oracle(lambda x: jnp.tanh(weights @ x), (x,))
    W, v = np.asarray(weights, np.float64), np.asarray(x, np.float64)
    assert found.jacobian.dtype == np.float64
    np.testing.assert_allclose(found.jacobian, W / np.cosh(W @ v)[:, None] ** 2, rtol=1e-11)
    assert not jax.config.jax_enable_x64
    assert jnp.ones(1).dtype == jnp.float32
    with pytest.raises(ValueError, match="promotion"):
        _ = jnp.ones(1, jnp.float32) + jnp.ones(1, jnp.bfloat16)


def test_a_float32_result_is_still_reported_in_float64():
    found = ridders(lambda x: jnp.sin(x).astype(jnp.float32), (normals(4),))
    derivative, error = diagonal(found)
    assert found.jacobian.dtype == np.float64
    assert np.all(np.abs(derivative - np.cos(normals(4))) <= error)  # the noise of float32 is seen


# The tails begin at about ±18 (1 − tanh is one unit in the last place); beyond ±40 nothing moves any more.
TAILS = np.array([-40.0, -30.5, -18.2, -7.3, -1.1, 1e-5, 0.4, 3.3, 9.1, 18.2, 30.5, 40.0])
SMOOTH = {
    "exp": (jnp.exp, mpmath.exp),
    "sin": (jnp.sin, mpmath.sin),
    "tanh": (jnp.tanh, mpmath.tanh),
    "sigmoid": (jax.nn.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": (jax.nn.softplus, lambda x: mpmath.log(1 + mpmath.exp(x))),
    "erf": (jax.scipy.special.erf, mpmath.erf),
    "sin 50x": (lambda x: jnp.sin(50 * x), lambda x: mpmath.sin(50 * x)),
    "1/(1 + 25x²)": (lambda x: 1 / (1 + 25 * x * x), lambda x: 1 / (1 + 25 * x * x)),
    "log": (lambda x: jnp.log(jnp.abs(x)), lambda x: mpmath.log(abs(x))),
    "exp x − 1 − x": (lambda x: jnp.exp(x) - 1 - x, lambda x: mpmath.exp(x) - 1 - x),
}


@pytest.mark.parametrize("name", sorted(SMOOTH.keys() - {"sin", "sigmoid"}))
def test_ridders_error_bounds_the_true_error(name):
    f, exact = SMOOTH[name]
    x = np.concatenate([normals(20), TAILS])
    expected = truth(exact, x)
    errors = {}
    for side in ("central", "right"):
        derivative, errors[side] = diagonal(ridders(f, (x,), side=side))
        assert np.all(np.abs(derivative - expected) <= errors[side]), side
    # An error that bounds everything would be no use: at moderate arguments it is small too.
    assert np.median(errors["central"][:20] / np.maximum(np.abs(expected[:20]), 1e-2)) < 1e-10


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "sigmoid", "1/(1 + 25x²)"])
def test_complex_step_is_accurate_to_rounding(name):
    f, exact = SMOOTH[name]
    x = normals(60)
    derivative, _ = diagonal(complex_step(f, (x,)))
    expected = truth(exact, x)
    assert np.max(np.abs(derivative - expected)) <= 1e-15 * np.max(np.abs(expected))


def test_complex_step_in_tails():
    derivative, _ = diagonal(complex_step(lambda x: 1 / (1 + jnp.exp(-x)), (TAILS,)))
    np.testing.assert_allclose(derivative, truth(SMOOTH["sigmoid"][1], TAILS), rtol=1e-13)


@pytest.mark.parametrize("f", [jax.nn.relu, jnp.abs])
def test_kinks_are_seen_from_each_side(f):
    slopes = {side: ridders(f, (0.0,), side=side) for side in SIDED}
    left, right = -float(f is jnp.abs), 1.0
    for side, slope in zip(SIDED, [(left + right) / 2, left, right], strict=True):
        assert slopes[side].jacobian == pytest.approx(slope, abs=1e-14)
        assert slopes[side].error < 1e-13


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6])
def test_a_kink_within_the_first_steps_is_escaped(distance):
    found = ridders(jnp.abs, (distance,))
    assert abs(found.jacobian - 1) <= found.error < 1e-6


def test_the_left_is_the_right_mirrored():
    x = normals(6)
    left = ridders(jnp.exp, (x,), side="left")
    right = ridders(lambda x: jnp.exp(-x), (-x,), side="right")
    assert np.array_equal(left.jacobian, -right.jacobian)
    assert np.array_equal(left.error, right.error)


def test_domain_edges():
    inside = ridders(jnp.sqrt, (np.array([1e-4, 0.2, 3.0]),))
    expected = 0.5 / np.sqrt([1e-4, 0.2, 3.0])
    assert np.all(np.abs(np.diagonal(inside.jacobian) - expected) <= np.diagonal(inside.error))
    np.testing.assert_allclose(np.diagonal(inside.jacobian), expected, rtol=1e-8)
    at_edge = ridders(lambda x: x * jnp.sqrt(x) + x, (0.0,), side="right")
    assert abs(at_edge.jacobian - 1) <= at_edge.error < 0.01
    outside = ridders(jnp.sqrt, (-1.0,), side="left")
    assert np.isnan(outside.jacobian)
    assert np.isposinf(outside.error)


def test_step_is_the_callers_to_choose():
    x = np.array([1.0, 2.0])
    coarse = ridders(lambda x: jnp.sin(1e3 * x), (x,), step=[1e-3, 1e-4])
    np.testing.assert_allclose(np.diagonal(coarse.jacobian), 1e3 * np.cos(1e3 * x), rtol=1e-10)
    with pytest.raises(ValueError, match=r"`step` must be positive and finite, but got 0"):
        ridders(jnp.sin, (x,), step=0)
    with pytest.raises(ValueError, match=r"`side` must be one of 'central', 'right', 'left', but got 'up'"):
        ridders(jnp.sin, (x,), side="up")


def test_all_oracles():
    x = normals(4)
    names = [estimate.name for estimate in all_oracles(jnp.tanh, (x,), analytic=True)]
    assert names == ["forward AD", "reverse AD", "Ridders differences", "complex step"]
    for estimate in all_oracles(jnp.abs, (x,), analytic=False):
        np.testing.assert_allclose(estimate.jacobian, np.diag(np.sign(x)), atol=1e-12)


def test_refuses_what_it_cannot_differentiate():
    with pytest.raises(TypeError, match=r"`args\[0\]` must be real floating .* but got int"):
        forward_ad(jnp.sin, (3,))
    with pytest.raises(TypeError, match=r"`args\[0\]` must be real floating .* but got complex128"):
        ridders(jnp.sin, (3j,))
    with pytest.raises(ValueError, match="`argnum` must name one of the 1 arguments, but got 1"):
        reverse_ad(jnp.sin, (3.0,), 1)
    for returned in (lambda x: (x, x), lambda x: jnp.round(x).astype(int), lambda x: x + 1j):
        with pytest.raises(TypeError, match="`f` must return one real floating array, but got"):
            ridders(returned, (3.0,))


@pytest.mark.parametrize("f", [jnp.floor, jax.scipy.special.erf])
def test_complex_step_says_that_f_refuses_complex_input(f):
    with pytest.raises(ValueError, match="`f` must accept complex input for a complex step, but got: "):
        complex_step(f, (0.3,))


@pytest.mark.parametrize("f", [jnp.abs, lambda x: jnp.real(x) ** 2])
def test_complex_step_says_that_f_returned_a_real_array(f):
    with pytest.raises(ValueError, match=r"`f` must return a complex array .*, but got float64"):
        complex_step(f, (0.3,))
