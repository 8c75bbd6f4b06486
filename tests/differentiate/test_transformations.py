"""Jacobians and JAX's transformations: vmap, jit, grad, scan, cond; what is too large; jmc's own rules."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import compiled, same
from draws import normal
from jax import lax

import jmc
from jmc.catalogue.registry import rules

for name in jmc.__all__:  # every room of the catalogue registers its rules when it is imported
    getattr(jmc, name)

x = normal(5)
A = normal(5, 5, seed=1)
X = normal(3, 5, seed=2)


def f(x):
    return jnp.tanh(A @ x) * x + jnp.sum(x)


# vmap


def test_the_jacobian_of_a_mapped_function_is_block_diagonal():
    def both(X):
        J = jmc.jacobian(jax.vmap(f))(X)
        return J.dense(), jax.jacfwd(jax.vmap(f))(X), J.row_norms(), J.mv(X)

    dense, wanted, norms, mv = compiled(both)(X)
    same(dense, wanted)
    same(norms, jnp.linalg.norm(wanted, axis=(2, 3)), rtol=1e-4)
    np.testing.assert_allclose(mv, np.einsum("abcd,cd->ab", wanted, X), rtol=1e-4, atol=1e-5)
    assert "block_diagonal" in jmc.jacobian(jax.vmap(f))(X).structure


def test_inside_vmap_a_map_is_used_as_outside():
    def use(x):
        J = jmc.jacobian(f)(x)
        return J.dense(), J.mv(x), J.vm(x), J.row_norms(), J.diagonal(), J.gram().dense(), J.T.dense(), J.trace()

    def both(X):
        J = jax.vmap(jax.jacfwd(f))(X)
        wanted = (
            J, jnp.einsum("nij,nj->ni", J, X), jnp.einsum("nij,ni->nj", J, X), jnp.linalg.norm(J, axis=2),
            jnp.einsum("nii->ni", J), jnp.einsum("nij,nik->njk", J, J), J.mT, jnp.einsum("nii->n", J),
        )  # fmt: skip
        return jax.vmap(use)(X), wanted, jax.vmap(jax.vmap(use))(X[None]), jax.tree.map(lambda a: a[None], wanted)

    once, wanted, twice, wanted_twice = compiled(both)(X)
    same(once, wanted, rtol=1e-4, atol=1e-5)
    same(twice, wanted_twice, rtol=1e-4, atol=1e-5)


def test_vmap_over_the_jacobian_with_an_unmapped_weight():
    def g(W, x):
        return jnp.tanh(W @ x)

    def both(W, X):
        found = jax.vmap(lambda x: jmc.dense(jmc.jacobian(g, (0, 1))(W, x)))(X)
        return found, jax.vmap(jax.jacfwd(g, (0, 1)), (None, 0))(W, X)

    same(*compiled(both)(A, X))


def test_a_map_that_went_through_vmap_says_so():
    J = jax.vmap(jmc.jacobian(jnp.sin))(X)
    uses = (
        lambda: J.dense(), lambda: J.mv(x), lambda: J.vm(x), lambda: J.diagonal(), lambda: J.trace(), lambda: J.row_norms(),
        lambda: J.T.dense(), lambda: J.gram().dense(), lambda: J.row_gram().dense(), lambda: (J + J).dense(),
        lambda: (J @ J).dense(), lambda: (2 * J).dense(), lambda: (J * x[0]).dense(), lambda: J.as_dense_map(), lambda: J.matrix(),
        lambda: J.to_bcoo(), lambda: (J - J).dense(), lambda: jmc.dense(J), lambda: jmc.row_gram(J).dense(),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(ValueError, match="went through `vmap`"):
            use()
    same(jax.vmap(lambda J: J.dense())(J), jax.vmap(jax.jacfwd(jnp.sin))(X))


def test_a_map_that_went_through_vmap_is_known_where_all_axes_are_of_one_size():
    """Three axes where the labels say two, none of which a shape could tell apart."""
    J = jax.vmap(jmc.jacobian(lambda x: A @ jnp.sin(x)))(A)
    with pytest.raises(ValueError, match="went through `vmap`"):
        J.mv(x)


# jit, grad, scan, cond


def test_a_map_crosses_jit_and_is_traced_once():
    chex.clear_trace_counter()
    make = jax.jit(chex.assert_max_traces(jmc.jacobian(f), n=1))
    use = jax.jit(chex.assert_max_traces(lambda J, v: (J.mv(v), J.dense(), J), n=1))
    for v in (x, 2 * x, x - 1):
        J = make(v)
        assert J.structure == jmc.jacobian(f)(v).structure
        moved, dense, again = use(J, v)
        same(dense, jax.jacfwd(f)(v))
        same(moved, dense @ v, rtol=1e-4, atol=1e-5)
        assert jax.tree.structure(again) == jax.tree.structure(J)


def test_index_arrays_are_no_static_data():
    where = np.array([0, 3, 3, 7])
    chex.clear_trace_counter()

    def gather(x):
        return jnp.sin(x).at[where].get(mode="fill", fill_value=0)

    use = jax.jit(chex.assert_max_traces(lambda J: J.dense(), n=1))
    for v in (x, 2 * x):
        J = jax.jit(jmc.jacobian(gather))(v)
        same(use(J), jax.jacfwd(gather)(v))
        same(jax.jit(lambda J: J)(J).dense(), jax.jacfwd(gather)(v))


def test_the_tree_definition_does_not_depend_on_how_the_map_was_made():
    eager, jitted = jmc.jacobian(f)(x), jax.jit(jmc.jacobian(f))(x)
    assert jax.tree.structure(eager) == jax.tree.structure(jitted) == jax.tree.structure(jmc.jacobian(f)(2 * x))
    assert hash(jax.tree.structure(eager)) == hash(jax.tree.structure(jitted))


@pytest.mark.parametrize("mode", [jax.grad, jmc.grad], ids=["jax.grad", "jmc.grad"])
def test_gradients_through_the_methods(mode):
    methods = {
        "dense": lambda J, x: J.dense(), "mv": lambda J, x: J.mv(x), "vm": lambda J, x: J.vm(jnp.sin(x)),
        "row_norms": lambda J, x: J.row_norms(), "diagonal": lambda J, x: J.diagonal(), "trace": lambda J, x: J.trace(),
        "gram": lambda J, x: J.gram().dense(), "sum": lambda J, x: (J * x[0] + J.T).dense(),
    }  # fmt: skip
    plain = {
        "dense": lambda J, x: J, "mv": lambda J, x: J @ x, "vm": lambda J, x: jnp.sin(x) @ J,
        "row_norms": lambda J, x: jnp.sqrt(jnp.sum(J * J, 1)), "diagonal": lambda J, x: jnp.diagonal(J),
        "trace": lambda J, x: jnp.trace(J), "gram": lambda J, x: J.T @ J, "sum": lambda J, x: J * x[0] + J.T,
    }  # fmt: skip

    def both(x):
        found = {k: mode(lambda x, k=k: jnp.sum(jnp.cos(methods[k](jmc.jacobian(f)(x), x))))(x) for k in methods}
        wanted = {k: jax.grad(lambda x, k=k: jnp.sum(jnp.cos(plain[k](jax.jacfwd(f)(x), x))))(x) for k in plain}
        return found, wanted

    same(*compiled(both)(x), rtol=1e-3, atol=1e-4)


def test_gradients_with_respect_to_a_map():
    J = jmc.jacobian(f)(x)
    G = jax.jit(jax.grad(lambda J: jnp.sum(J.mv(x) ** 2)))(J)
    assert jax.tree.structure(G) == jax.tree.structure(J)


def test_scan_carries_a_map():
    def step(J, x):
        return (jmc.jacobian(f)(x) @ J).as_dense_map(), J.trace()

    def both(X):
        start = jmc.jacobian(lambda x: x)(X[0]).as_dense_map()
        J, _ = lax.scan(step, start, X)
        wanted = jnp.eye(5)
        for row in X:
            wanted = jax.jacfwd(f)(row) @ wanted
        return J.dense(), wanted

    same(*compiled(both)(X), rtol=1e-4, atol=1e-4)


def test_scan_carries_a_map_of_the_same_structure():
    def both(x):
        J, maps = lax.scan(lambda J, _: (jmc.jacobian(jnp.sin)(x) @ J, J), jmc.jacobian(jnp.cos)(x), None, length=3)
        return J.diagonal(), -jnp.sin(x) * jnp.cos(x) ** 3, maps

    found, wanted, maps = compiled(both)(x)
    same(found, wanted)
    with pytest.raises(ValueError, match="went through `vmap`"):
        maps.dense()


def test_branches_of_different_structure():
    def choose(x):
        branches = [lambda x, g=g: jmc.jacobian(g)(x).as_dense_map() for g in (jnp.sin, f, lambda x: jnp.zeros(5))]
        return [lax.switch(i, branches, x).dense() for i in range(3)]

    found = compiled(choose)(x)
    same(found, [jax.jacfwd(g)(x) for g in (jnp.sin, f, lambda x: jnp.zeros(5))])


def test_a_map_through_tree_map_and_device_put():
    J = jmc.jacobian(f)(x)
    for K in (jax.device_put(J), jax.tree.map(lambda a: a, J), jax.block_until_ready(J), jax.tree.map(np.asarray, J)):
        same(jnp.asarray(K.mv(x)), J.mv(x))
    assert jax.eval_shape(lambda J: J.T, J).in_shape == J.out_shape


# too large


HUGE = jax.ShapeDtypeStruct((200_000,), "float32")


@pytest.mark.parametrize(
    "how", [lambda f: jax.eval_shape(f, HUGE), lambda f: jax.jit(f).lower(HUGE)], ids=["eval_shape", "jit"]
)
@pytest.mark.parametrize(
    "use",
    [
        lambda x: jmc.jacobian(jnp.sin)(x).dense(),
        lambda x: jmc.jacobian(jnp.sin)(x).T.matrix(),
        lambda x: jmc.jacobian(jnp.sum)(x).gram().dense(),
        lambda x: jmc.jacobian(jnp.sin)(x).as_dense_map(),
        lambda x: jmc.jacobian(jnp.sin)(x).row_gram().dense(),
        lambda x: jmc.jacobian(lambda x: jnp.fft.fft(x).real)(x),
        lambda x: jmc.jacobian(lambda x: jnp.sort(x))(x).dense(),
        lambda x: jmc.hessian(lambda x: jnp.sum(jnp.sin(x)))(x).dense(),
        lambda x: jmc.hessian(lambda x: jnp.sum(x) ** 2)(x).to_bcoo(),
    ],
    ids=["dense", "matrix", "gram", "as_dense_map", "row_gram", "opaque", "sort", "hessian", "to_bcoo"],
)
def test_too_large_is_said_while_tracing(use, how):
    with pytest.raises(jmc.TooLarge, match=r"\d GiB"):
        how(use)


def test_what_fits_is_not_refused():
    def fits(x):
        J = jmc.jacobian(lambda x: jax.nn.softmax(jnp.sin(x)))(x)
        return J.mv(x), J.vm(x), J.diagonal(), J.trace(), J.row_norms(), J.gram().mv(x), (J @ J).mv(x), (J + J.T).vm(x)

    shapes = [part.shape for part in jax.eval_shape(fits, HUGE)]
    assert shapes == [(200_000,)] * 3 + [()] + [(200_000,)] * 4


def test_the_limit_is_an_argument():
    J = jmc.jacobian(jnp.sin)(x)
    assert issubclass(jmc.TooLarge, ValueError)
    same(J.dense(max_bytes=100), jnp.diag(jnp.cos(x)))
    for refused in (
        lambda: J.dense(max_bytes=99),
        lambda: J.matrix(max_bytes=99),
        lambda: jmc.dense({"a": J}, max_bytes=99),
    ):
        with pytest.raises(jmc.TooLarge, match="would need 100 bytes, but `max_bytes` allows 99 bytes"):
            refused()


# the catalogue


SIZES = {"*n": (2, 3), "*b": (2, 3), "*m": (5,), "*s": (3, 5), "N": 7, "d": 11, "k": 5, "m": 3}


@pytest.mark.parametrize("rule", [rule for rule in rules.records() if rule.vjps], ids=lambda rule: rule.name)
def test_every_rule_with_respect_to_every_argument(rule, x64):
    args = rule.sample(0, jnp.float64, SIZES)
    argnums = rule.argnums
    public = functools.partial(getattr(jmc, rule.name), **rule.options)
    rows = [jnp.stack([arg, arg[::-1] if arg.ndim else arg]) for arg in args]

    def both(args, rows):
        maps, mapped = jmc.jacobian(public, argnums)(*args), jmc.jacobian(jax.vmap(public), argnums)(*rows)
        inside = jax.vmap(lambda *args: jmc.dense(jmc.jacobian(public, argnums)(*args)))(*rows)
        found = jmc.dense(maps), jmc.dense(mapped), inside
        primal = rule.f
        wanted = (
            jax.jacfwd(primal, argnums),
            jax.jacfwd(jax.vmap(primal), argnums),
            jax.vmap(jax.jacfwd(primal, argnums)),
        )
        return found, tuple(w(*a) for w, a in zip(wanted, (args, rows, rows), strict=True))

    same(*compiled(both)(args, rows), rtol=1e-9, atol=1e-11)
