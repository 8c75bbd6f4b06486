"""`jmc.jacobian`: arrays that occur twice, sizes and types, JAX's conventions and nesting, and what is refused."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled, same
from draws import normal
from jax import lax

import jmc

x = normal(5)
A = normal(5, 5, seed=1)


def agree(f, *args, argnums=0, rtol=1e-5, atol=1e-6, **options):
    """jmc's Jacobian, dense, is that of jacfwd; both are compiled as one program."""

    def both(*args):
        return jmc.dense(jmc.jacobian(f, argnums, **options)(*args)), jax.jacfwd(f, argnums, **options)(*args)

    same(*compiled(both)(*args), rtol, atol)


# arrays that occur twice


def power_iteration(W, x):
    for _ in range(3):
        x = W @ x
        x = x / jnp.sqrt(x @ x)
    return x @ (W @ x)


TIED = {
    "W(Wx)": lambda W, x: W @ (W @ x),
    "x − W(Wx)": lambda W, x: x - W @ (W @ x),
    "−W(Wx)": lambda W, x: -(W @ (W @ x)),
    "Wᵀ(Wx)": lambda W, x: W.T @ (W @ x),
    "W(Wᵀx) + Wx": lambda W, x: W @ (W.T @ x) + W @ x,
    "power iteration": power_iteration,
    "Householder": lambda W, x: W - 2 * jnp.outer(x, x @ W) / (x @ x),
    "x⊙A + x⊙A⊙A": lambda W, x: x[:, None] * W + x[:, None] * W * W,
    "three layers of the same weights": lambda W, x: jnp.tanh(W @ jnp.tanh(W @ jnp.tanh(W @ x))),
    "xᵀWx Wx": lambda W, x: (x @ W @ x) * (W @ x),
    "WWW": lambda W, x: W @ W @ W,
    "WWᵀ − WᵀW": lambda W, x: W @ W.T - W.T @ W,
    "x⊙x⊙x − x⊙x": lambda W, x: x * x * x - x * x,
    "(x + Wx)(x − Wx)": lambda W, x: (x + W @ x) * (x - W @ x),
    "tr WWᵀ Wᵀ": lambda W, x: jnp.trace(W @ W.T) * W.T,
    "nothing is left": lambda W, x: W @ x - W @ x,
}


@pytest.mark.parametrize("name", TIED)
def test_an_array_that_occurs_twice(name, x64):
    agree(TIED[name], A.astype(float), x.astype(float), argnums=(0, 1), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["W(Wx)", "Householder", "x⊙A + x⊙A⊙A", "power iteration"])
def test_with_the_other_one_constant(name, x64):
    W = A.astype(float)

    def both(x):
        return jmc.jacobian(lambda x: TIED[name](W, x))(x).dense(), jax.jacfwd(lambda x: TIED[name](W, x))(x)

    same(*compiled(both)(x.astype(float)), 1e-11, 1e-12)


# sizes, types and special values


SIZES = {
    "softmax": jax.nn.softmax,
    "outer": lambda x: jnp.outer(x, x),
    "sum": lambda x: jnp.sum(x * x),
    "affine": lambda x: jnp.ones((3, x.size)) @ x,
    "norms of rows": lambda x: jnp.sum(jnp.outer(jnp.tanh(x), x), 1),
    "reversed and joined": lambda x: jnp.concatenate([x[::-1], jnp.cumsum(x), x[:0]]),
    "reshaped": lambda x: (x * 2).reshape(1, -1, 1),
}


@pytest.mark.parametrize("size", [0, 1])
def test_sizes_zero_and_one(size):
    def both(x):
        maps = {name: jmc.jacobian(f)(x) for name, f in SIZES.items()}
        found = {
            name: (J.dense(), J.mv(x), J.row_gram().dense(), J.gram().dense(), J.row_norms())
            for name, J in maps.items()
        }
        return found, {name: jax.jacfwd(f)(x) for name, f in SIZES.items()}

    found, wanted = compiled(both)(normal(size))
    for name, (dense, mv, row_gram, gram, norms) in found.items():
        J = np.asarray(wanted[name]).reshape(math.prod(dense.shape[:-1]), size)
        same(dense, wanted[name])
        np.testing.assert_allclose(mv.ravel(), J @ normal(size), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(row_gram.reshape(len(J), len(J)), J @ J.T, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gram, J.T @ J, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(norms.ravel(), np.linalg.norm(J, axis=1), rtol=1e-4, atol=1e-6)


def test_a_scalar_by_a_scalar():
    J = jmc.jacobian(jnp.sin)(jnp.float32(0.3))
    assert (J.in_shape, J.out_shape) == ((), ())
    assert J.dense().shape == ()
    assert J.matrix().shape == (1, 1)
    same(J.dense(), jnp.cos(jnp.float32(0.3)))


def mixed(x, W):
    h = jax.nn.silu(W @ x) + jnp.exp(x) / (2 + x * x)
    return jax.nn.softmax(h) @ W


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12), ("bfloat16", 0.1)])
def test_the_type_is_that_of_jacfwd(dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        agree(mixed, x.astype(dtype), A.astype(dtype), argnums=(0, 1), rtol=tolerance, atol=tolerance)


def test_a_change_of_type_inside():
    agree(lambda x: jnp.sin(x).astype("bfloat16") * 2, x, rtol=1e-2)
    agree(lambda x: jnp.sin(x.astype("float32")), x.astype("bfloat16"), rtol=1e-2)


COMPLEX = {
    "real to complex to real": (lambda x: jnp.abs(jnp.fft.fft(x)) ** 2, False),
    "imaginary part": (lambda x: jnp.imag(jnp.exp(1j * x) * x), False),
    "conjugate": (lambda x: jnp.real(jnp.conj(jnp.exp(1j * x)) * (x + 2j)), False),
    "real to complex": (lambda x: jnp.exp(1j * x), False),
    "holomorphic": (lambda z: jnp.sin(z) * jnp.sum(z) + z * (1 + 2j), True),
    "a matrix": (lambda z: jnp.outer(z, z) @ z, True),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers(name):
    f, holomorphic = COMPLEX[name]
    argument = lax.complex(x, x[::-1]) if holomorphic else x
    with jax.numpy_dtype_promotion("standard"):
        agree(f, argument, holomorphic=holomorphic)


def test_holomorphic_is_refused_as_in_jax():
    z = lax.complex(x, x)
    with pytest.raises(TypeError, match="real floating-point arguments, but got complex64"):
        jmc.jacobian(jnp.sin)(z)
    with pytest.raises(TypeError, match="complex arguments, but got float32"):
        jmc.jacobian(jnp.sin, holomorphic=True)(x)
    with pytest.raises(TypeError, match="must return complex arrays"):
        jmc.jacobian(jnp.abs, holomorphic=True)(z)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="real floating-point arguments, but got int32"):
        jmc.jacobian(lambda i: i * 2.0)(jnp.arange(3))
    with pytest.raises(TypeError, match="must return real floating-point arrays, but got int32"):
        jmc.jacobian(lambda x: jnp.argsort(x))(x)
    with pytest.raises(TypeError, match="real floating-point arguments, but got str"):
        jmc.jacobian(jnp.sin)("x")


KINKS = {
    "relu": jax.nn.relu, "jmc relu": jmc.relu, "maximum": lambda x: jnp.maximum(x, 0), "where": lambda x: jnp.where(x >= 0, x, 0.0),
    "abs": jnp.abs, "clip": lambda x: jnp.clip(x, 0, 1), "max": jnp.max, "min": jnp.min, "sort": jnp.sort, "sign": jnp.sign,
    "norm": lambda x: jnp.linalg.norm(x - jnp.array([0.0, 1.0, 1.0, -1.0, 0.0])), "power": lambda x: x**0.0,
    "median": jnp.median, "max of two": lambda x: jnp.maximum(x, x[::-1]), "cummax": lambda x: lax.cummax(x),
    "guarded": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0), "prod": jnp.prod, "floor": jnp.floor,
}  # fmt: skip


def test_ties_and_kinks_are_those_of_jax():
    ties = jnp.array([0.0, 1.0, 1.0, -1.0, 0.0])

    def both(x):
        return {k: jmc.jacobian(f)(x).dense() for k, f in KINKS.items()}, {
            k: jax.jacfwd(f)(x) for k, f in KINKS.items()
        }

    same(*compiled(both)(ties))


LARGE = {
    "a chain of numbers": lambda x, big, small: big * (small * x) * 1e25,
    "a chain of diagonals": lambda x, big, small: (x * small * x) * (big * x) * jnp.tanh(x),
    "large weights": lambda x, big, small: jnp.full((3, 5), small) @ (x * big),
    "a sum in between": lambda x, big, small: jnp.sum((x * big) * (jnp.ones(5) * small)) * x * big * small,
    "through tanh": lambda x, big, small: jnp.tanh(x * small) * big,
    "rows and columns": lambda x, big, small: (
        (jnp.full((3, 1), big) @ (jnp.full((1, 5), small) @ x[:, None]))[:, 0] * 1e8
    ),
    "small, small, large": lambda x, big, small: (x * 1e5) * small * 1e-5 * big,
    "large divided": lambda x, big, small: (x * 1e5) / big * (big / jnp.full(5, 1e5)),
    "exponentials": lambda x, big, small: jnp.exp(x + jnp.log(big)) * jnp.exp(-x - jnp.log(big)) * x,
    "a chain of matrices": lambda x, big, small: (A * big) @ ((A * small) @ ((A * small) @ ((A * big) @ x))),
}


def test_large_and_small_factors():
    """As arguments, so that nothing is folded; finite and right wherever jacfwd is."""

    def both(*args):
        maps = {name: jmc.jacobian(f)(*args) for name, f in LARGE.items()}
        found = {name: (J.dense(), J.mv(args[0])) for name, J in maps.items()}
        return found, {name: jax.jacfwd(f)(*args) for name, f in LARGE.items()}

    found, wanted = jax.tree.map(np.asarray, compiled(both)(x, jnp.float32(1e30), jnp.float32(1e-30)))
    for name, (dense, mv) in found.items():
        J = wanted[name].astype(float)
        assert np.all(np.isfinite(J)), name
        scale = np.max(np.abs(J))
        np.testing.assert_allclose(dense, J, rtol=1e-5, atol=1e-5 * scale, err_msg=name)
        np.testing.assert_allclose(mv, J @ np.asarray(x, float), rtol=1e-4, atol=1e-5 * scale, err_msg=name)


def test_inf_and_nan_stay_on_the_entries_that_the_structure_has():
    """A dense sweep multiplies an infinite slope by the zeros of its basis; a diagonal map has no such product."""
    at = jnp.array([0.0, 4.0])

    def diagonals(x):
        maps = [jmc.jacobian(f)(x) for f in (jnp.sqrt, jnp.log, lambda x: jnp.sqrt(x * x), lambda x: x / 0)]
        return [J.dense() for J in maps], [J.diagonal() for J in maps]

    (root, log, modulus, infinite), diagonals = compiled(diagonals)(at)
    np.testing.assert_array_equal(root, [[np.inf, 0], [0, 0.25]])
    np.testing.assert_array_equal(log, [[np.inf, 0], [0, 0.25]])
    np.testing.assert_array_equal(modulus, [[np.nan, 0], [0, 1]])
    np.testing.assert_array_equal(infinite, [[np.inf, 0], [0, np.inf]])
    np.testing.assert_array_equal(diagonals[2], [np.nan, 1])


# nesting, arguments


def pair(p, q, scale=1.0):
    return {"a": scale * jnp.outer(p["w"], q), "b": (jnp.sum(p["w"]) * p["c"], q * q)}


P = {"w": normal(3), "c": jnp.float32(2.0)}
Q = normal(2)


@pytest.mark.parametrize("argnums", [0, 1, -1, -2, (0,), (1, 0), (0, -1), [1]])
def test_pytrees_and_argnums_nest_as_in_jax(argnums):
    agree(pair, P, Q, argnums=argnums)


def test_aux_and_keywords():
    def f(p, q, *, scale):
        return pair(p, q, scale=scale), {"note": "text", "q": 2 * q}

    (value, aux), J = jmc.value_and_jacobian(f, has_aux=True)(P, Q, scale=3.0)
    same(value, pair(P, Q, scale=3.0))
    same(aux["q"], 2 * Q)
    assert aux["note"] == "text"
    found, _ = jmc.jacobian(f, has_aux=True)(P, Q, scale=3.0)
    wanted = jax.jacfwd(functools.partial(pair, scale=3.0))(P, Q)
    same(jmc.dense(found), wanted)
    same(jmc.dense(J), wanted)


def test_outputs_that_do_not_depend_on_the_argument():
    J = jmc.jacobian(lambda x: (x, jnp.ones(3), jnp.sum(A), lax.stop_gradient(x)))(x)
    for leaf, shape in zip(J, [(5, 5), (3, 5), (5,), (5, 5)], strict=True):
        assert leaf.dense().shape == shape
    for leaf in J[1:]:
        assert leaf.stored == 0
        assert not np.any(leaf.dense())
        assert not np.any(leaf.mv(x))
        assert not np.any(leaf.row_norms())


def test_of_what_nothing_comes_out_no_derivative_is_needed():
    def f(x):
        jnp.sum(jax.pure_callback(np.sin, x, x) * x)
        return jnp.sin(x)

    assert jmc.jacobian(f)(x).structure == "diagonal(5)"
    same(jmc.grad(lambda x: jnp.sum(f(x)))(x), jnp.cos(x))


def test_an_output_twice_and_an_argument_as_output():
    agree(lambda x, y: (x, x * y, x, y), x, x, argnums=(0, 1))


def test_wrong_argnums_are_refused():
    for argnums in (1, -2, (0, 0), ()):
        with pytest.raises(ValueError, match="argnums"):
            jmc.jacobian(jnp.sin, argnums)(x)
    with pytest.raises(TypeError, match="`argnums` must be an integer"):
        jmc.jacobian(jnp.sin, "x")
