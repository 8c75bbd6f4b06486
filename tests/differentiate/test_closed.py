"""Rules within loops and branches are differentiated by their closed forms: here by forms that no primal has."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled, same
from jax import lax

import jmc
from jmc.catalogue import marker
from jmc.catalogue.record import Rule
from jmc.catalogue.signature import specified

pytestmark = pytest.mark.usefixtures("x64")

X, W = np.random.default_rng(0).normal(size=(2, 3))

# sin, of which the derivative is said to be 2 cos; and w·x², of which the Jacobian is said to be twice and the vjp three
# times what it is: so every answer tells which form it comes from
BENT = Rule(
    name="bent",
    f=jnp.sin,
    parameters=specified("x: *s"),
    jacobians=(None,),
    vjps=(lambda u, _, x: u * 2 * jnp.cos(x),),
    argnum=0,
    derivative=lambda x: 2 * jnp.cos(x),
)
PRODUCT = Rule(
    name="product",
    f=lambda w, x: w @ x**2,
    parameters=specified("w: n, x: n"),
    jacobians=(lambda w, x: 2 * x**2, None),
    vjps=(lambda u, _, w, x: 3 * u * x**2, lambda u, _, w, x: 3 * u * 2 * w * x),
    argnum=(0, 1),
)


def bent(x):
    return marker.bind(BENT, (x,))


def product(w, x):
    return marker.bind(PRODUCT, (w, x))


@jax.custom_vjp
def by_vjps(w, x):
    return PRODUCT.f(w, x)


by_vjps.defvjp(
    lambda w, x: (by_vjps(w, x), (w, x)), lambda both, u: (3 * u * both[1] ** 2, 3 * u * 2 * both[0] * both[1])
)


@jax.custom_jvp
def bent_by_jax(x):
    return jnp.sin(x)


bent_by_jax.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), 2 * jnp.cos(primals[0]) * tangents[0]))

LOOPS = {
    "scan": lambda f, g, w, x: lax.scan(lambda c, a: (f(c * a) + g(w, x * a), f(c)), 0.3, x),
    "long scan": lambda f, g, w, x: lax.scan(lambda c, _: (f(c) * w + 0.1 * g(w, c), None), x, None, 300)[0],
    "nested scans": lambda f, g, w, x: lax.scan(
        lambda c, a: (lax.scan(lambda d, b: (f(d) * a + b, None), c, x)[0], g(c * w, x)), x[0], w
    ),
    "fori_loop": lambda f, g, w, x: lax.fori_loop(0, 3, lambda i, c: f(c) + g(w, c) * w, x),
    "cond": lambda f, g, w, x: lax.cond(x[0] > 0, lambda x: f(w) * g(w, x), lambda x: g(x, w) * f(x), x),
    "cond in a scan": lambda f, g, w, x: lax.scan(
        lambda c, a: (lax.cond(a > 0, f, lambda c: g(w, c * x), c), None), x[1], jnp.concatenate([w, x])
    )[0],
    "remat and jit in a scan": lambda f, g, w, x: lax.scan(
        lambda c, a: (jax.checkpoint(f)(c) + jax.jit(g)(w, x * c), None), w[0], x
    )[0],
    "vmap of a scan": lambda f, g, w, x: jax.vmap(
        lambda a: lax.scan(lambda c, b: (f(c * b), g(w, x * c)), a, w)
    )(x),
    "vmap in a scan": lambda f, g, w, x: lax.scan(
        lambda c, a: (jax.vmap(f)(c), jax.vmap(g, (None, 0))(w, jnp.stack([c, a * c]))), x, w
    ),
    "scan of a gradient": lambda f, g, w, x: lax.scan(
        lambda c, a: (c - 0.1 * jax.grad(lambda c: jnp.sum(jnp.tanh(c) * a))(c) + f(c), g(w, c)), x, w
    ),
}  # fmt: skip


def total(tree):
    return sum(
        jnp.sum(leaf * (1 + jnp.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape)))
        for leaf in jax.tree.leaves(tree)
    )


@pytest.mark.parametrize("name", LOOPS)
def test_gradients_take_the_vjps(name):
    found = jmc.grad(lambda w, x: total(LOOPS[name](bent, product, w, x)), (0, 1))
    wanted = jax.grad(lambda w, x: total(LOOPS[name](bent_by_jax, by_vjps, w, x)), (0, 1))
    same(*compiled(lambda *args: (found(*args), wanted(*args)))(W, X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOOPS)
def test_jacobians_take_the_closed_form(name):
    """With one form for both modes it does not matter which is taken."""

    def other(f, w, x):
        return f(w @ x**2)

    def f(bend):
        return lambda w, x: LOOPS[name](bend, functools.partial(other, bend), w, x)

    found, wanted = jmc.jacobian(f(bent), (0, 1)), jax.jacfwd(f(bent_by_jax), (0, 1))
    same(*compiled(lambda *args: (jmc.dense(found(*args)), wanted(*args)))(W, X), rtol=1e-10, atol=1e-12)


def until(f, x):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, f(s[1]) * x), (0, x))[1]


def test_a_while_loop_is_swept_forward():
    found = jmc.grad(lambda x: jnp.sum(until(bent, x)))
    wanted = jax.jacfwd(lambda x: jnp.sum(until(bent_by_jax, x)))
    same(*compiled(lambda x: (found(x), wanted(x)))(X), rtol=1e-10)
    J = jmc.jacobian(functools.partial(until, bent))(X)
    assert J.structure == "diagonal(3)"
    same(J.dense(), jax.jacfwd(functools.partial(until, bent_by_jax))(X), rtol=1e-10)


def test_columns_take_the_jacobian_that_is_stated():
    """Forward mode by the Jacobian, and where there is none by the transposed vjp."""

    def f(w, x):
        return lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] + product(w, x)), (0, 0.0))[1]

    by_w, by_x = jmc.dense(jmc.jacobian(f, (0, 1))(W, X))
    same((by_w, by_x), (2 * 2 * X**2, 3 * 2 * 2 * W * X), rtol=1e-12)


def test_gradients_of_a_batch():
    batch = np.stack([W, 2 * W]), np.stack([X, -X])
    ours = jmc.grad(lambda w, x: total(LOOPS["scan"](bent, product, w, x)), (0, 1))
    theirs = jax.grad(lambda w, x: total(LOOPS["scan"](bent_by_jax, by_vjps, w, x)), (0, 1))
    same(*compiled(lambda *batch: (jax.vmap(ours)(*batch), jax.vmap(theirs)(*batch)))(*batch), rtol=1e-10)


def test_gradients_of_gradients():
    """What comes out is a plain program: JAX and jmc differentiate it again in any mode."""

    def f(w, x):
        return lax.scan(lambda c, a: (jmc.tanh(c * a) + jmc.l2(w * c), None), jnp.asarray(0.3), x)[0]

    def squares(w, x):
        return total(jax.tree.map(jnp.square, jmc.grad(f, (0, 1))(w, x)))

    @compiled
    def all_ways(w, x):
        ways = [jax.grad(squares, (0, 1)), jmc.grad(squares, (0, 1)), jax.jacfwd(squares, (0, 1))]
        second = [jmc.dense(jmc.hessian(f, (0, 1))(w, x)), jax.hessian(f, (0, 1))(w, x)]
        return [way(w, x) for way in ways], second

    (first, *others), (ours, theirs) = all_ways(W, X)
    for other in others:
        same(other, first, rtol=1e-10)
    same(ours, theirs, rtol=1e-10, atol=1e-12)


def test_what_holds_no_rule_is_left_as_it_is():
    def f(x):
        return lax.scan(lambda c, a: (jnp.sin(c) * a, None), x[0], x)[0]

    assert "jmc_" not in str(jax.make_jaxpr(jmc.grad(f))(X))
