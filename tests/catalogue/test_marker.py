"""The marked primal is the primal, under every transformation of JAX."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal

import jmc
from jmc.catalogue import marker
from jmc.catalogue.registry import rules

W, b, x, X = normal(3, 5), normal(3), normal(5), normal(7, 5)


def marked(W, b, x):
    return jmc.softmax(jmc.tanh(jmc.affine(W, b, x)))


def plain(W, b, x):
    return jax.nn.softmax(jnp.tanh(W @ x + b))


def close(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), a, b)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: f,
        jax.jit,
        lambda f: jax.jacfwd(f, (0, 1, 2)),
        lambda f: jax.jacrev(f, (0, 1, 2)),
        lambda f: jax.hessian(lambda W, b, x: f(W, b, x)[0], (0, 2)),
        lambda f: jax.jit(jax.remat(f)),
        lambda f: lambda W, b, x: jax.linearize(f, W, b, x)[1](W, b, x),
        lambda f: lambda W, b, x: jax.lax.scan(lambda c, x: (c + f(W, b, x)[0], f(W, b, x)), 0.0, X),
        lambda f: lambda W, b, x: jax.grad(lambda W: jax.lax.fori_loop(0, 3, lambda _, c: c + f(W, b, x).sum() * c, 1.0))(W),
        lambda f: lambda W, b, x: jax.lax.cond(x[0] > 0, f, lambda W, b, x: f(-W, b, x), W, b, x),
        lambda f: lambda W, b, x: jax.vmap(f, (None, None, 0))(W, b, X),
        lambda f: lambda W, b, x: jax.vmap(f, (None, None, 1), 1)(W, b, X.T),
        lambda f: lambda W, b, x: jax.vmap(jax.vmap(f, (None, 0, None)), (None, None, 0))(W, jnp.stack([b, 2 * b]), X),
        lambda f: lambda W, b, x: jax.vmap(jax.grad(lambda W, b, x: f(W, b, x)[0]), (None, None, 0))(W, b, X),
    ],
)  # fmt: skip
def test_transformations_see_the_primal(transform):
    close(*jax.jit(lambda *args: (transform(marked)(*args), transform(plain)(*args)))(W, b, x))


def test_a_traced_rule_is_found_by_identity():
    found = [eqn.params["rule"] for eqn in jax.make_jaxpr(marked)(W, b, x).eqns]
    assert found == [rules["affine"], rules["tanh"], rules["softmax"]]


def test_a_rule_of_examples_stays_itself_under_vmap():
    norm = jax.vmap(jmc.layer_norm, (1, None, None))
    eqns = jax.make_jaxpr(norm)(X.T, x, x).eqns
    assert eqns[-1].params["rule"] is rules["layer_norm"]
    close(norm(X.T, x, x), jmc.layer_norm(X, x, x))
    three = jnp.stack([X, 2 * X, X[::-1]])
    attended = jax.vmap(jmc.attention)(three, three, three)
    close(attended, jmc.attention(three, three, three))
    (eqn,) = jax.make_jaxpr(jax.vmap(jmc.attention))(three, three, three).eqns
    assert eqn.params["rule"] is rules["attention"]


def test_a_rule_that_mixes_its_leading_axes_does_not():
    three = jnp.stack([X, 2 * X, X[::-1]])
    close(jax.vmap(jmc.batch_norm, (0, None, None))(three, x, x), jnp.stack([jmc.batch_norm(X, x, x) for X in three]))
    close(jax.vmap(jmc.group_lasso)(three), jnp.stack([jmc.group_lasso(X) for X in three]))
    shared = jax.vmap(jmc.attention, (0, None, None))(three, X, X)
    close(shared, jnp.stack([jmc.attention(Q, X, X) for Q in three]))


def test_an_elementwise_rule_stays_itself_under_vmap():
    (eqn,) = jax.make_jaxpr(jax.vmap(jmc.gelu))(X).eqns
    assert eqn.primitive is marker.primitive
    assert eqn.params["rule"] is rules["gelu"]


@pytest.mark.parametrize("axes", [(None, None, 0), (0, None, None), (None, 1, 0), (2, 0, 1)])
def test_a_rule_under_vmap_keeps_closed_forms(axes):
    def stacked(array, axis):
        return array if axis is None else jnp.stack([array, 2 * array, -array], axis)

    args = [stacked(array, axis) for array, axis in zip((W, b, x), axes, strict=True)]

    def f(*args):
        return jmc.l2(jax.vmap(jmc.affine, axes)(*args))

    close(*jax.jit(lambda *args: (jmc.grad(f, (0, 1, 2))(*args), jax.grad(f, (0, 1, 2))(*args)))(*args))


def test_compiled_code_is_that_of_the_primal():
    def cost(f):
        return jax.jit(jax.grad(lambda W: f(W, b, x)[0])).lower(W).compile().cost_analysis()

    primal = [rules[name].f for name in ("affine", "tanh", "softmax")]

    def unmarked(W, b, x):
        return primal[2](primal[1](primal[0](W, b, x)))

    assert cost(marked) == cost(unmarked)


def test_repeated_calls_do_not_recompile():
    f = jax.jit(chex.assert_max_traces(lambda W: jax.vmap(lambda x: marked(W, b, x))(X), n=1))
    for scale in (1.0, 2.0, 3.0):
        f(scale * W)
    chex.clear_trace_counter()
