"""Functions with a vjp of their own: what it says is the Jacobian, with the structure of its program."""

import jax
import jax.numpy as jnp
import pytest
from agreement import compiled, same
from draws import normal

import jmc
from jmc.differentiate.reverse import is_linear

W, X = normal(3, 5), normal(3, 5, seed=1)


def with_vjp(f, vjp):
    """f, of which the derivative is said to be another one."""
    own = jax.custom_vjp(f)
    own.defvjp(lambda *args: (f(*args), args), vjp)
    return own


rounded = with_vjp(lambda x: jnp.round(x), lambda args, u: (u,))
tripled = with_vjp(jnp.sin, lambda args, u: (3 * u * jnp.cos(args[0]),))
layer = with_vjp(lambda W, x: W @ x, lambda args, u: (2 * jnp.outer(u, args[1]), 5 * args[0].T @ u))
summed = with_vjp(
    lambda x: jax.nn.logsumexp(x, axis=-1), lambda args, u: (2 * jax.nn.softmax(args[0], -1) * u[..., None],)
)
pair = with_vjp(
    lambda x, y: (jnp.sin(x) * y, x @ y, jnp.argmax(x)),
    lambda args, u: (u[0] * jnp.cos(args[0]) + u[1] * args[1], 7 * u[0]),
)
read = with_vjp(lambda x, i: x[i], lambda args, u: (jnp.zeros_like(args[0]).at[args[1]].add(2 * u), None))
squared = with_vjp(lambda z: z * z, lambda args, u: (3 * args[0] * u,))

STRUCTURED = {
    "a straight-through estimate": (lambda x: rounded(2 * x), X[0], "diagonal(5)"),
    "element by element": (tripled, X, "diagonal(15)"),
    "a product": (lambda W: layer(W, X[0]), W, "kronecker(I₃ ⊗ row(5))"),
    "a batch": (summed, X, "block_diagonal(3 × row(5))"),
    "mapped": (jax.vmap(summed), X, "block_diagonal(3 × row(5))"),
    "mapped over one operand": (lambda W: jax.vmap(layer, (None, 0))(W, X), W, "kronecker(dense(3×5) ⊗ I₃)"),
    "in a loop": (lambda x: jax.lax.fori_loop(0, 3, lambda _, x: tripled(x), x), X[0], "diagonal(5)"),
    "several results": (lambda x: pair(x, X[1])[0], X[0], "diagonal(5)"),
    "a read": (lambda x: read(x, jnp.array([3, 0])), X[0], "scaled selection(2×5)"),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_the_structure_of_the_vjp(name):
    f, x, structure = STRUCTURED[name]
    names = []

    def both(x):
        J = jmc.jacobian(f)(x)
        names.append(J.structure)
        return J.dense(), jax.jacrev(f)(x)

    same(*compiled(both)(x))
    assert names == [structure]


# what is not linear in the cotangent has no Jacobian: it is asked for each row, as jacrev does
BENT = {
    "clipped": lambda args, u: (jnp.clip(u, -0.5, 0.5),),
    "only if positive": lambda args, u: (jnp.where(u > 0, u, 0.0),),
    "squared": lambda args, u: (u * u,),
    "with decay": lambda args, u: (u + 0.1 * args[0],),
    "filled up": lambda args, u: (jnp.where(args[0] > 0, u, 1.0),),
    "stopped": lambda args, u: (2 * jax.lax.stop_gradient(u),),
    "by its norm": lambda args, u: (u / (1 + jnp.sum(u * u)),),
}


@pytest.mark.parametrize("name", BENT)
def test_what_is_not_linear_is_asked_row_by_row(name):
    f = with_vjp(jnp.sin, BENT[name])

    def both(x):
        return jmc.jacobian(f)(x).dense(), jax.jacrev(f)(x)

    same(*compiled(both)(X[0]))


def test_the_value_is_that_of_the_forward_part():
    f = jax.custom_vjp(lambda x: 2 * x)
    f.defvjp(lambda x: (5 * x, None), lambda _, u: (7 * u,))
    same(jmc.jacobian(lambda x: jnp.sin(f(x)))(X[0]).dense(), jax.jacrev(lambda x: jnp.sin(f(x)))(X[0]))


def test_every_result_and_operand():
    f = lambda x, y: pair(x, y)[:2]
    x, y = X[0], X[1]
    same(jmc.dense(jmc.jacobian(f, (0, 1))(x, y)), jax.jacrev(f, (0, 1))(x, y))


def test_holomorphic_functions_and_those_of_real_numbers_alone():
    z = jax.lax.complex(X[0], X[1])
    J = jmc.jacobian(squared, holomorphic=True)(z)
    assert J.structure == "diagonal(5)"
    same(J.dense(), jax.jacrev(squared, holomorphic=True)(z))
    squares = with_vjp(
        lambda z: jnp.real(z * z.conj()), lambda args, u: (2 * args[0].conj() * u.astype(args[0].dtype),)
    )
    with pytest.raises(jmc.NotDifferentiable, match="custom vjp"):
        jmc.jacobian(lambda x: squares(jax.lax.complex(x, x)))(X[0])
    total = lambda x: squares(jax.lax.complex(x, 2 * x)).sum()
    same(jmc.grad(total)(X[0]), jax.grad(total)(X[0]))


@pytest.mark.parametrize(
    ("f", "linear"),
    [
        (lambda u: jnp.concatenate([u, jnp.zeros(2)])[::-1], True),
        (lambda u: jnp.pad(u, 1)[:5] @ W.T, True),
        (lambda u: jax.jit(lambda u: u - 2 * u)(u), True),
        (lambda u: jnp.where(X[0] > 0, u, 0), True),
        (lambda u: jnp.concatenate([u, jnp.ones(2)]), False),
        (lambda u: u @ u, False),
        (lambda u: X[0][jnp.argsort(u)], False),
        (lambda u: X[0] / u, False),
        (lambda u: jnp.abs(u), False),
    ],
)
def test_linear_programs(f, linear):
    assert is_linear(jax.make_jaxpr(f)(X[0]).jaxpr, [True]) is linear
