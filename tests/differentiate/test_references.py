"""References that a function writes in place, against the same functions without them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled, same
from jax import lax

import jmc

pytestmark = pytest.mark.usefixtures("x64")

X = np.array([0.4, 1.2, 2.0])


def overwritten(x):
    y = jnp.sin(x)
    ref = jax.new_ref(y)
    ref[0] = ref[0] * 2 + x[1]
    ref[1:] = ref[1:] * jmc.tanh(x[:2])
    return jnp.cos(ref[...] * x), jax.freeze(ref)


def overwritten_plainly(x):
    y = jnp.sin(x)
    y = jnp.concatenate([y[:1] * 2 + x[1], y[1:] * jnp.tanh(x[:2])])
    return jnp.cos(y * x), y


def by_a_loop(x):
    ref = jax.new_ref(jnp.ones(3))

    def body(i, _):
        ref[i] = ref[i - 1] * x[i]
        return _

    lax.fori_loop(0, 3, body, 0)
    return ref[...]


def within_a_loop(x):
    def body(c, a):
        ref = jax.new_ref(c)
        ref[0] = jnp.sin(ref[1] * a)
        return ref[...] * 0.9, ref[0]

    return lax.scan(body, x, jnp.tile(x, 100))


def within_a_loop_plainly(x):
    def body(c, a):
        c = c.at[0].set(jnp.sin(c[1] * a))
        return c * 0.9, c[0]

    return lax.scan(body, x, jnp.tile(x, 100))


PAIRS = {
    "written": (overwritten, overwritten_plainly),
    "written by a loop": (by_a_loop, jnp.cumprod),
    "made by a loop": (within_a_loop, within_a_loop_plainly),
    "jitted": (jax.jit(overwritten), overwritten_plainly),
}


def total(f):
    return lambda x: sum(jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(f(x)))


@pytest.mark.parametrize("name", PAIRS)
def test_derivatives_are_those_without_references(name):
    f, plain = PAIRS[name]

    @compiled
    def both(x):
        ours = jmc.dense(jmc.jacobian(f)(x)), jmc.grad(total(f))(x), jmc.hessian(total(f))(x).dense()
        return ours, (jax.jacfwd(plain)(x), jax.grad(total(plain))(x), jax.hessian(total(plain))(x))

    same(*both(X), rtol=1e-9, atol=1e-12)


def test_what_does_not_move_is_no_reason():
    """A reference to which nothing of the argument comes costs no structure."""

    def f(x):
        ref = jax.new_ref(jnp.ones(3))
        y = jnp.sin(x)
        ref[0] = 2.0
        return y * ref[...]

    assert jmc.jacobian(f)(X).structure == "diagonal(3)"


def test_before_and_behind_structure_stays():
    def f(x):
        y = jnp.sin(x)
        ref = jax.new_ref(x[0])
        ref[...] = ref[...] * 2
        return y * 2, ref[...] + 0 * x

    one, other = jmc.jacobian(f)(X)
    assert one.structure == "diagonal(3)"
    same(other.dense(), np.array([[2.0, 0, 0]] * 3))
