"""`jmc.hessian` and derivatives of derivatives, against JAX's."""

import functools

import agreement
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled
from draws import normal

import jmc

x = normal(5)
A = normal(5, 5, seed=1)
P = {"w": normal(3), "c": jnp.float32(2.0)}
Q = normal(2)


same = functools.partial(agreement.same, rtol=1e-4, atol=1e-5)


def pair(p, q):
    return {"a": jnp.outer(p["w"], q), "b": (jnp.sum(p["w"] ** 2) * p["c"], q * q * p["c"])}


def scalar_of_trees(p, q):
    return jnp.sum(jnp.tanh(jnp.outer(p["w"], q)) ** 2) * p["c"] + jnp.sum(q**3)


def test_hessians_nest_as_in_jax():
    def both(p, q):
        found = [jmc.dense(jmc.hessian(f, argnums)(p, q)) for f, argnums in cases]
        return found, [jax.hessian(f, argnums)(p, q) for f, argnums in cases]

    cases = [(scalar_of_trees, 0), (scalar_of_trees, (0, 1)), (scalar_of_trees, (1,)), (pair, 1), (pair, (1, 0))]
    same(*compiled(both)(P, Q))


def test_third_derivatives():
    def f(x):
        return jnp.sum(jnp.sin(x) * (A @ x)) + jnp.prod(x)

    def both(x):
        return jmc.jacobian(lambda x: jmc.hessian(f)(x).dense())(x).dense(), jax.jacfwd(jax.hessian(f))(x)

    same(*compiled(both)(x))


def test_derivatives_of_derivatives_mix_with_those_of_jax():
    def f(x):
        return jnp.sum(jnp.tanh(A @ x) ** 3)

    def all_of_them(x):
        found = (
            jmc.jacobian(jax.grad(f))(x).dense(), jmc.jacobian(jmc.grad(f))(x).dense(), jax.jacfwd(jmc.grad(f))(x),
            jax.jacrev(jmc.grad(f))(x), jmc.hessian(f)(x).dense(), jax.jacfwd(lambda x: jmc.jacobian(f)(x).dense())(x),
        )  # fmt: skip
        return found, (jax.hessian(f)(x),) * len(found)

    same(*compiled(all_of_them)(x))


@jax.custom_vjp
def reversed_gradient(x):
    return x * 1.0


reversed_gradient.defvjp(lambda x: (x * 1.0, None), lambda _, u: (-2 * u,))


@jax.custom_jvp
def steeper(x):
    return x * 1.0


steeper.defjvp(lambda primals, tangents: (primals[0] * 1.0, 3 * tangents[0]))


@pytest.mark.parametrize("bent", [reversed_gradient, steeper])
def test_a_derivative_of_its_own_is_the_first_one_as_in_jax(bent):
    """The second one is that of the program which the rule states, whose value is not the function again."""

    def f(x):
        return jnp.sum(jnp.sin(bent(x)) * A[0])

    same(*compiled(lambda x: (jmc.hessian(f)(x).dense(), jax.hessian(f)(x)))(x))
    same(*compiled(lambda x: (jax.jacfwd(jmc.grad(f))(x), jax.hessian(f)(x)))(x))


def test_a_write_out_of_range_divides_by_no_count():
    """JAX's derivative of `min` divides by how many entries tie, which is none where nothing is written."""

    def f(x, y):
        return jnp.sum(jnp.sin(x.at[jnp.array([0, 7, -9, 2, 2])].min(y, mode="drop")))

    both = compiled(lambda *args: (jmc.dense(jmc.hessian(f, (0, 1))(*args)), jax.hessian(f, (0, 1))(*args)))
    same(*both(x, A[0]))


def test_aux():
    found, aux = jmc.hessian(lambda x: (jnp.sum(x**3), {"x": x, "note": "text"}), has_aux=True)(x)
    same(found.dense(), jnp.diag(6 * x))
    same(aux["x"], x)
    assert aux["note"] == "text"


def test_a_holomorphic_hessian():
    def f(z):
        return jnp.sum(jnp.sin(z) * z)

    z = jax.lax.complex(x, x[::-1])
    found, wanted = compiled(
        lambda z: (jmc.hessian(f, holomorphic=True)(z).dense(), jax.hessian(f, holomorphic=True)(z))
    )(z)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


STRUCTURES = {
    "separable": (lambda x: jnp.sum(jnp.sin(x) ** 3), "diagonal(5)"),
    "linear": (lambda x: jnp.sum(A @ x), "zero(5×5)"),
    "of a sum": (lambda x: jnp.sin(jnp.sum(x)), "rank 1"),
    "squares": (lambda x: jnp.sum((A @ x) ** 2), "dense(5×5)"),
    "chain": (lambda x: jnp.sum((x[1:] - x[:-1] ** 2) ** 2), "banded(−1…1)"),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure(name):
    f, structure = STRUCTURES[name]
    assert jmc.hessian(f)(x).structure == structure


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


ARRAYS = {
    "two bands, one of them on both sides": (jmc.hessian(rosenbrock), [(4,), (4,)]),
    "softmax": (jmc.jacobian(jax.nn.softmax), [(5,)]),
    "softmax of a batch": (jmc.jacobian(lambda A: jax.nn.softmax(A, axis=-1)), [(5, 5)]),
    "exp": (jmc.jacobian(lambda x: jnp.exp(x) / 2), [(5,)]),
    "a quotient": (jmc.jacobian(lambda x: x / (1 + x @ x)), [(), (5,)]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_equal_arrays_come_out_once(name):
    f, shapes = ARRAYS[name]
    J = f(A if "batch" in name else x)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(J)) == shapes


def test_a_sum_of_many_terms_is_no_larger_than_dense():
    def f(x):
        def add(i, total):
            return total + jax.lax.dynamic_slice(x, (i,), (2,)) * jax.lax.dynamic_index_in_dim(x, i, keepdims=False)

        return jnp.sum(jnp.sin(jax.lax.fori_loop(0, 4, add, jnp.zeros(2))))

    def both(x):
        H = jmc.hessian(f)(x)
        counts.extend([len(H.terms), len((H @ H).terms)])
        return (H.dense(), H.gram().dense()), jax.hessian(f)(x)

    counts = []
    (found, gram), wanted = compiled(both)(x)
    same(found, wanted)
    same(gram, wanted.T @ wanted)
    assert max(counts) <= 12
