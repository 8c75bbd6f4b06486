"""Loops and choices keep the structure that their programs have: what goes together in every step, in every branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled, same
from jax import lax

import jmc

pytestmark = pytest.mark.usefixtures("x64")

LONG = 300  # steps, so that nothing is unrolled


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


W, U, S = draw(3, 3) / 3, draw(2, 3, seed=1), draw(4, 4, seed=2) / 4
X, H, Q, V = draw(5, 4, 2), draw(5, 3, seed=3), draw(4, 4, seed=4) / 2, draw(4, seed=5)


def repeated(step, x, length=LONG):
    return lax.scan(lambda c, _: (step(c), None), x, None, length)[0]


def rnn(x, h):
    """A recurrent network over sequences, (batch, steps, features)."""
    x = jnp.tile(jnp.swapaxes(x, 0, 1), (80, 1, 1))
    return lax.scan(lambda c, a: (jnp.tanh(c @ W + a @ U), None), h, x)[0]


def lstm(c, h, x):
    """A recurrent network of one example."""

    def step(state, a):
        c, h = state
        z = h @ W + a @ U
        c = jax.nn.sigmoid(z) * c + jnp.tanh(z)
        return (c, jnp.tanh(c)), h

    return lax.scan(step, (c, h), jnp.tile(x, (80, 1)))[1][-1]


def until(step, x):
    return lax.while_loop(
        lambda s: (s[0] < 3) | (jnp.max(jnp.abs(s[1])) < 0), lambda s: (s[0] + 1, step(s[1])), (0, x)
    )[1]


def choice(*branches):
    return lambda x: lax.switch(jnp.argmax(x.ravel()), branches, x)


def turned(c, factor):
    """Linear over the real numbers alone."""
    return jnp.conj(c) * factor + lax.complex(c.imag * 0, 0.1 * c.real)


def swapping(pair, _):
    a, b = pair
    return (jnp.sin(b), a * 0.9), None


STRUCTURES = {
    "a recurrent network": (rnn, (X, H), ("block_diagonal(5 × dense(3×8))", "block_diagonal(5 × dense(3×3))")),
    "a recurrent network that is mapped": (
        jax.vmap(lambda x, h: lstm(h, h, x)),
        (X, H),
        ("block_diagonal(5 × dense(3×8))", "block_diagonal(5 × dense(3×3))"),
    ),
    "the loss of a recurrent network": (lambda x: jnp.sum(rnn(x, H), 1), (X,), ("block_diagonal(5 × row(8))",)),
    "element by element": (lambda x: repeated(lambda c: c - 0.1 * jnp.sin(c), x), (Q,), ("diagonal(16)",)),
    "along one axis": (lambda x: repeated(lambda c: jnp.sin(c @ S), x), (Q,), ("block_diagonal(4 × dense(4×4))",)),
    "along the other axis": (lambda x: repeated(lambda c: jnp.sin(S @ c), x), (Q,), ("block_diagonal(4 × dense(4×4))",)),
    "first one axis, then the other": (lambda x: repeated(lambda c: jnp.sin(c @ S).T, x, 301), (Q,), ("dense(16×16)",)),
    "one axis, then the other, and back": (lambda x: repeated(lambda c: c.T * 0.9, x), (Q,), ("dense(16×16)",)),
    "reversed": (lambda x: repeated(lambda c: jnp.sin(c[::-1]), x), (V,), ("dense(4×4)",)),
    "a mean over the batch": (lambda x: repeated(lambda c: jnp.sin(c) + c.mean(0, keepdims=True), x), (Q,), ("block_diagonal(4 × dense(4×4))",)),
    "a complex carry": (
        lambda x: repeated(lambda c: turned(c, 0.9), lax.complex(x, 2 * x)).imag,
        (Q,),
        ("diagonal(16)",),
    ),
    "a complex carry, forward alone": (
        lambda x: until(lambda c: turned(c, 0.9), lax.complex(x, 2 * x)).imag,
        (Q,),
        ("diagonal(16)",),
    ),
    "a mean in the condition alone": (lambda x: until(jnp.sin, x), (Q,), ("diagonal(16)",)),
    "a while loop of a batch": (
        jax.vmap(lambda x: until(lambda c: jnp.sin(S @ c), x)),
        (Q,),
        ("block_diagonal(4 × dense(4×4))",),
    ),
    "steps that do not touch one another": (
        lambda x: lax.map(lambda a: jnp.tanh(a @ S), x),
        (np.tile(Q, (80, 1)),),
        ("block_diagonal(320 × dense(4×4))",),
    ),
    "steps that touch one another": (
        lambda x: lax.scan(lambda c, a: (a, c * a), x[0], x)[1],
        (np.tile(V, 80),),
        ("dense(320×320)",),
    ),
    "carries that change places": (lambda x: lax.scan(swapping, (x, Q), None, LONG)[0][0], (Q,), ("diagonal(16)",)),
    "carries that change places and axes": (
        lambda x: lax.scan(lambda p, _: ((p[1].T, p[0] * 0.9), None), (x, Q), None, LONG)[0][0],
        (Q,),
        ("dense(16×16)",),
    ),
    "a carry that does not move": (
        lambda x: lax.scan(lambda c, _: (c * 0.5, c + x), Q, None, LONG)[1][-1],
        (Q,),
        ("diagonal(16)",),
    ),
    "a carry of which nothing comes out": (
        lambda x: lax.scan(lambda c, _: ((jnp.sin(c[0]), c[1] * 0.5), None), (x, Q), None, LONG)[0][1],
        (Q,),
        ("zero(16×16)",),
    ),
    "a loop in a loop": (
        lambda x: repeated(lambda c: repeated(lambda d: jnp.sin(d @ S), c), x),
        (Q,),
        ("block_diagonal(4 × dense(4×4))",),
    ),
    "a choice in a loop": (
        lambda x: repeated(lambda c: lax.cond(c[0, 0] > 0, jnp.sin, lambda c: c @ S, c), x),
        (Q,),
        ("block_diagonal(4 × dense(4×4))",),
    ),
    "a function with a JVP of its own, around a loop": (
        lambda x: own_jvp(x),
        (Q,),
        ("block_diagonal(4 × dense(4×4))",),
    ),
    "products of leading entries": (lambda x: lax.cumprod(x, 1), (Q,), ("block_diagonal(4 × dense(4×4))",)),
    "eigenvalues of a batch": (
        lambda x: jnp.linalg.eigvalsh(x + jnp.swapaxes(x, 1, 2)),
        (draw(3, 2, 2),),
        ("block_diagonal(3 × dense(2×4))",),
    ),
    "alike branches": (choice(jnp.sin, jnp.cos, lambda x: x * x), (Q,), ("diagonal(16)",)),
    "the argument or its opposite": (choice(lambda x: x, lambda x: -x), (Q,), ("diagonal(16)",)),
    "alike products": (choice(lambda x: x @ S, lambda x: jnp.sin(x @ S)), (Q,), ("block_diagonal(4 × dense(4×4))",)),
    "a constant branch": (choice(jnp.sin, lambda x: Q), (Q,), ("diagonal(16)",)),
    "no branch that moves": (choice(lambda x: Q, lambda x: 2 * Q), (Q,), ("zero(16×16)",)),
    "a permutation or none": (choice(lambda x: x, lambda x: x[::-1]), (V,), ("sparse(4×4)",)),
    "a diagonal branch and one of rank 1": (
        choice(jnp.sin, lambda x: jnp.sum(x * x) * jnp.ones(64)),
        (draw(64),),
        ("diagonal(64) + rank 1",),
    ),
    "a loop in a branch": (
        choice(lambda x: repeated(lambda c: jnp.sin(c @ S), x), lambda x: x @ S),
        (Q,),
        ("block_diagonal(4 × dense(4×4))",),
    ),
}  # fmt: skip


@jax.custom_jvp
def own_jvp(x):
    return repeated(lambda c: jnp.sin(c @ S), x)


@own_jvp.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return own_jvp(x), repeated(lambda c: 0.5 * jnp.sin(x) * (c @ S), dx, LONG + 1)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure(name):
    f, args, structures = STRUCTURES[name]
    argnums = tuple(range(len(args)))

    @compiled
    def both(*args):
        J = jmc.jacobian(f, argnums)(*args)
        return J, jmc.dense(J), jax.jacfwd(f, argnums)(*args)

    J, dense, wanted = both(*args)
    assert tuple(leaf.structure for leaf in J) == structures
    same(dense, wanted, rtol=1e-9, atol=1e-12)


def largest(f, *args):
    """The number of entries of the largest array in the program of ``f``."""

    def sizes(jaxpr):
        for eqn in jaxpr.eqns:
            yield from (np.prod(var.aval.shape, dtype=int) for var in eqn.outvars)
            for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr")):
                if hasattr(inner := getattr(value, "jaxpr", value), "eqns"):
                    yield from sizes(inner)

    return max(sizes(jax.make_jaxpr(f)(*args).jaxpr))


def test_a_batch_is_swept_once_for_all():
    """Examples cost N times what one does, not N² times."""
    x, h = draw(40, 4, 2), draw(40, 3)
    one = largest(jmc.jacobian(rnn, (0, 1)), x[:1], h[:1])
    assert largest(jmc.jacobian(rnn, (0, 1)), x, h) <= 40 * one


def test_only_the_branch_that_is_taken_is_computed():
    """What the other one would compute is inf or nan, and does not reach the result."""
    f = choice(lambda x: 3 * x, lambda x: jnp.sqrt(-x * jnp.inf))
    for x in (np.array([2.0, 1.0]), np.array([3.0, 1.0])):
        same(jmc.jacobian(f)(x).dense(), 3 * np.eye(2))


@pytest.mark.parametrize("size", [0, 1])
def test_sizes_zero_and_one(size):
    x = draw(size, 3)
    for f in (
        lambda x: repeated(lambda c: jnp.sin(c @ W), x),
        lambda x: repeated(jnp.sin, x, 0),
        lambda x: lax.map(jnp.tanh, x),
        lambda x: lax.cond(jnp.sum(x) > 0, jnp.sin, lambda x: x @ W, x),
    ):
        same(jmc.jacobian(f)(x).dense(), jax.jacfwd(f)(x), rtol=1e-9, atol=1e-12)


def test_each_result_and_operand_is_swept_the_shorter_way():
    """Few weights by columns, a long sequence by rows, a loss of the whole batch by its one row."""

    def f(x, w):
        def step(c, a):
            c = jnp.tanh(c * w + a)
            return c, None

        last = lax.scan(step, jnp.zeros(6), jnp.repeat(x, 80, 0))[0]
        return last, lax.scan(step, jnp.zeros(6), jnp.repeat(x, 80, 0))[0].sum()

    args = draw(4, 6), draw(6, seed=1)
    J = jax.jit(jmc.jacobian(f, (0, 1)))(*args)
    assert [leaf.structure for leaf in J[0]] == ["block_diagonal(6 × row(4))", "diagonal(6)"]
    assert [leaf.structure for leaf in J[1]] == ["row(24)", "row(6)"]
    same(jmc.dense(J), compiled(jax.jacfwd(f, (0, 1)))(*args), rtol=1e-9, atol=1e-12)


def test_hessians_of_loops():
    """The gradient of a loop is a loop: what goes together stays together."""

    def energy(x):
        return jnp.sum(repeated(lambda c: c - 0.1 * jnp.sin(c) ** 2, x))

    H = jax.jit(jmc.hessian(energy))(V)
    assert H.structure == "diagonal(4)"
    same(H.dense(), compiled(jax.hessian(energy))(V), rtol=1e-9, atol=1e-12)


def test_gradients_of_complex_loops():
    """While loops are swept forward, along the real and the imaginary axis."""

    def f(x):
        z = until(lambda c: turned(c, c), lax.complex(x, x[::-1]))
        return jnp.sum(z.imag * z.real)

    same(*compiled(lambda x: (jmc.grad(f)(x), jax.jacfwd(f)(x)))(V), rtol=1e-9)
