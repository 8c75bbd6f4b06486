"""Every primitive of the table against JAX's reverse mode, and what the table assumes of JAX's programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import primitives as p

import jmc
from jmc.differentiate import primitives
from jmc.differentiate.primitives import PRIMITIVES, SEVERAL_RESULTS

A, B, V = normal(2, 3, 5), normal(2, 3, 5, seed=1), normal(5)


def dot(contract, batch=((), ())):
    return lambda x, y: lax.dot_general(x, y, (contract, batch))


CASES = {
    "add": (lambda x, y: lax.add(x, y), A, B),
    "add a scalar": (lambda x, y: x + y, A, V[0]),
    "add along an axis of size 1": (lambda x, y: x + jnp.mean(y, axis=1, keepdims=True), A, B),
    "add_any": (lambda x, y: p.add_jaxvals_p.bind(x, y), A, B),
    "sub": (lambda x, y: x - y, V[0], A),
    "neg": (lambda x, y: -x + y, A, B),
    "mul": (lambda x, y: x * y, A, B),
    "mul by itself": (lambda x, y: x * x * y[0, 0, 0], A, B),
    "div": (lambda x, y: x / (3 + y * y), A, V[0]),
    "square": (lambda x, y: lax.square(x) - y, A, B),
    "integer_pow": (lambda x, y: lax.integer_pow(x, 3) + lax.integer_pow(y, 0) + lax.integer_pow(y, 1), A, B),
    "integer_pow negative": (lambda x, y: lax.integer_pow(x, -2) * y, 2 + A**2, B),
    "convert_element_type": (lambda x, y: (x.astype("bfloat16") * 2).astype("float32") + y, A, B),
    "copy": (lambda x, y: p.copy_p.bind(x) * y, A, B),
    "device_put": (lambda x, y: jax.device_put(x) * y, A, B),
    "stop_gradient": (lambda x, y: lax.stop_gradient(x) * y, A, B),
    "select_n": (lambda x, y: jnp.where(x > y, x * x, y), A, B),
    "select_n of three": (lambda x, y: lax.select_n(jnp.arange(30).reshape(A.shape) % 3, x, y, x * y), A, B),
    "reduce_sum": (lambda x, y: x.sum((0, 2)) * y.sum(1)[0, 0], A, B),
    "broadcast_in_dim": (lambda x, y: lax.broadcast_in_dim(x, (2, 5, 3), (1,)) * y, V, jnp.swapaxes(A, 1, 2)),
    "broadcast_in_dim of an axis of size 1": (lambda x, y: jnp.broadcast_to(x[:, :1], A.shape) * y, A, B),
    "reshape": (lambda x, y: x.reshape(5, 6) @ y.reshape(6, 5), A, B),
    "squeeze": (lambda x, y: jnp.squeeze(x[:1, :, 1:2]) * y[0, 0, 0], A, B),
    "rev": (lambda x, y: x[:, ::-1, ::-1] * y, A, B),
    "transpose": (lambda x, y: x.transpose(2, 0, 1) * y.transpose(2, 0, 1), A, B),
    "slice": (lambda x, y: x[1:, ::2, 1:4] * y[:1, 1:, 2:], A, B),
    "slice with a stride that ends early": (lambda x, y: x[::3] * y[1], jnp.arange(8.0), V),
    "slice of nothing": (lambda x, y: jnp.sum(x[:, 3:3]) + y, A, B),
    "concatenate": (lambda x, y: jnp.concatenate([x, y, 2 * x], 1) ** 2, A, B),
    "stack": (lambda x, y: jnp.stack([x, y, x * y], 2) ** 2, A, B),
    "pad": (lambda x, y: lax.pad(x, y[0], [(1, 0, 0), (0, 2, 1), (-1, -1, 0)]) ** 2, A, V),
    "pad with holes and a negative edge": (lambda x, y: lax.pad(x, y[0], [(-2, 3, 2)]) ** 2, jnp.arange(7.0), V),
    "split": (lambda x, y: jnp.split(x, [2, 3], axis=2)[0] * jnp.split(y, [2, 3], axis=2)[2], A, B),
    "unstack": (lambda x, y: sum(row * i for i, row in enumerate(x)) + list(y)[1], A[0], B[0]),
    "device_put of several": (lambda x, y: jnp.add(*jax.device_put((2 * x, x * y))), A, B),
    "name": (lambda x, y: checkpoint_name(x * y, "product") ** 2, A, B),
    "dot of vectors": (lambda x, y: x @ y, V, 2 * V),
    "dot of matrix and vector": (lambda x, y: x @ y, A, V),
    "dot_general": (dot(((2,), (2,)), ((0,), (0,))), A, B),
    "dot_general, two contracted out of order": (dot(((2, 0), (0, 1))), A, jnp.ones((5, 2, 7))),
    "dot_general, batch axes inside": (dot(((0,), (2,)), ((2, 1), (0, 1))), A, jnp.arange(30.0).reshape(5, 3, 2)),
    "dot_general, no contraction": (dot(((), ())), A, V),
    "einsum": (lambda x, y: jnp.einsum("abc,dbc->ad", x, y), A, B),
}


@pytest.mark.parametrize("name", CASES)
def test_cotangents_are_those_of_jax(name):
    f, x, y = CASES[name]

    def weighted(x, y):
        out = f(x, y)
        return jnp.sum(out * jnp.arange(1.0, out.size + 1).reshape(out.shape))

    both = jax.jit(lambda x, y: (jmc.grad(weighted, (0, 1))(x, y), jax.grad(weighted, (0, 1))(x, y)))
    for a, b in zip(*both(x, y), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn.primitive
        for inner in jax.extend.core.jaxprs_in_params(eqn.params):
            yield from equations(inner)


def test_every_primitive_of_the_table_has_a_case():
    used = {q for f, x, y in CASES.values() for q in equations(jax.make_jaxpr(f)(x, y).jaxpr)}
    assert not {*PRIMITIVES, *SEVERAL_RESULTS} - used


def test_stack_is_a_primitive_of_its_own():
    found = [primitive for primitive, rule in PRIMITIVES.items() if rule is primitives._stack]
    assert [primitive.name for primitive in found] == ["stack"]
    assert PRIMITIVES[p.concatenate_p] is primitives._concatenate


@pytest.mark.parametrize(
    ("f", "name", "key"),
    [
        (jax.jit(lambda x: x * 2), "jit", "jaxpr"),
        (jax.remat(lambda x: x * 2), "remat2", "jaxpr"),
    ],
)
def test_nested_programs_are_where_they_are_looked_for(f, name, key):
    (eqn,) = jax.make_jaxpr(f)(1.0).eqns
    assert eqn.primitive.name == name
    assert eqn.params[key].eqns
    assert isinstance(eqn.primitive.get_bind_params(eqn.params), dict)


def test_constants_of_a_nested_program_are_found():
    weights = np.arange(5.0, dtype="float32")
    gradient = jmc.grad(lambda x: jax.jit(lambda x: jnp.sum(x * jnp.asarray(weights)) + jnp.sum(x * V))(x))(V)
    np.testing.assert_allclose(gradient, weights + V, rtol=1e-6)
