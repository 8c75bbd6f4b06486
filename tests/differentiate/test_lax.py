"""`jmc.jacobian`, `jmc.grad` and `jmc.hessian` of every primitive of `jax.lax`, against JAX's modes in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from differentiate import lax_programs, lax_table, lax_windows
from differentiate.lax_edges import (
    KINKS,
    NO_FORWARD,
    NO_REVERSE,
    ONE_TANGENT_AT_A_TIME,
    REFUSED,
    SINGULAR,
    WITHOUT_DERIVATIVE,
)
from jax import lax
from jax.extend.core import primitives

import jmc

TABLES = (
    *(lax_table.ELEMENTWISE, lax_table.SHAPES, lax_table.REDUCTIONS, lax_windows.INDICES, lax_windows.WINDOWS),
    *(lax_programs.MATRICES, lax_programs.COMPLEX, lax_programs.CONTROL),
)
CASES = {name: case for table in TABLES for name, case in table.items()}
CURVED = [
    *("mul", "div", "pow", "exp", "logistic", "atan2", "integer_pow", "clamp", "select_n", "stop_gradient"),
    *("reshape", "pad", "concatenate", "dot_general", "einsum", "dot of one matrix with itself"),
    *("reduce_max", "reduce_prod with a zero", "cumsum", "cumprod", "cumlogsumexp", "sort", "softmax", "variance"),
    *("take", "an index that depends on the argument", "dynamic_slice", "dynamic_update_slice"),
    *("at: add", "at: multiply", "roll", "stack"),
    *("convolution in 1 d, strides", "max pooling", "sum pooling", "gradient of max pooling"),
    *("cholesky", "solve", "inv", "det", "slogdet", "eigvalsh", "norms"),
    *("abs of a complex number", "fft", "irfft"),
    *("remat", "custom_jvp", "custom_vjp", "cond", "scan", "scan, long", "map", "while", "gradient inside", "name"),
]

pytestmark = pytest.mark.usefixtures("x64")


# Without fusion emitters, which newer versions cannot do without, compilation takes half the time.
OLDER = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}


def compiled(f):
    """`f` as one program, quick to compile rather than to run."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0} | OLDER)


def numbers(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]


def in_numbers(case):
    """The case as a function from the arguments that are not integers to the list of results that are not."""
    f, *args = case
    moving = [i for i, arg in enumerate(args) if np.issubdtype(arg.dtype, np.inexact)]

    def g(*moved):
        places = dict(zip(moving, moved, strict=True))
        return numbers(f(*(places.get(i, arg) for i, arg in enumerate(args))))

    return g, [args[i] for i in moving]


def one_at_a_time(g, argnums):
    """`jax.jacfwd` of `g` without batching."""

    def jacobian(*args):
        columns = []
        for k in argnums:
            basis = np.eye(args[k].size).reshape(-1, *args[k].shape)

            def column(tangent, k=k):
                return jax.jvp(lambda x: g(*args[:k], x, *args[k + 1 :]), (args[k],), (tangent,))[1]

            found = lax.map(column, basis)
            columns.append([jnp.moveaxis(c, 0, -1).reshape(*c.shape[1:], *args[k].shape) for c in found])
        return [tuple(row) for row in zip(*columns, strict=True)]

    return jacobian


def reference(name):
    """JAX's own Jacobian: where it has both modes, they agree at these points."""
    if name in ONE_TANGENT_AT_A_TIME:
        return one_at_a_time
    return jax.jacrev if name in NO_FORWARD else jax.jacfwd


def same(ours, theirs, rtol=1e-9):
    """Equal up to rounding, relative to the largest entry, with the same shapes and dtypes."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(*(map(np.asarray, jax.tree.leaves(tree)) for tree in (ours, theirs)), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(b[np.isfinite(b)]), initial=1.0))


def random_like(tree, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: np.asarray(rng.normal(size=leaf.shape)), tree)


@pytest.mark.parametrize("name", sorted(CASES))
def test_derivatives_are_those_of_jax(name):
    g, args = in_numbers(CASES[name])
    argnums = tuple(range(len(args)))
    v, u = random_like(args, 1), random_like(jax.eval_shape(g, *args), 2)

    def weighted(*args):
        return sum(jnp.sum(a * b) for a, b in zip(u, g(*args), strict=True))

    @compiled
    def both(*args):
        value, J = jmc.value_and_jacobian(g, argnums)(*args)
        transposed = [[leaf.T.mv(u[j]) for leaf in row] for j, row in enumerate(J)]
        products = jmc.mv(J, tuple(v)), jmc.vm(J, u), jmc.grad(weighted, argnums)(*args)
        return value, jmc.dense(J), transposed, products, g(*args), reference(name)(g, argnums)(*args)

    value, dense, transposed, (mv, vm, gradient), expected, theirs = both(*args)
    same(value, expected)
    same(dense, theirs, rtol=1e-7)
    J = [[np.asarray(block) for block in row] for row in theirs]
    down = [[np.tensordot(u[j], block, u[j].ndim) for block in row] for j, row in enumerate(J)]
    same(transposed, down, rtol=1e-7)
    same(mv, [sum(np.tensordot(block, v[k], v[k].ndim) for k, block in enumerate(row)) for row in J], rtol=1e-7)
    total = tuple(sum(column) for column in zip(*down, strict=True))
    same(vm, total, rtol=1e-7)
    same(gradient, total, rtol=1e-7)


@pytest.mark.parametrize("name", CURVED)
def test_second_derivatives_are_those_of_jax(name):
    g, args = in_numbers(CASES[name])
    argnums = tuple(range(len(args)))
    u = random_like(jax.eval_shape(g, *args), 2)

    def scalar(*args):
        return sum(jnp.sum(a * jnp.sin(b)) for a, b in zip(u, g(*args), strict=True))

    theirs = jax.jacfwd(jax.jacfwd(scalar, argnums), argnums) if name in NO_REVERSE else jax.hessian(scalar, argnums)
    if name in NO_FORWARD:
        theirs = jax.jacrev(jax.grad(scalar, argnums), argnums)
    both = compiled(lambda *args: (jmc.dense(jmc.hessian(scalar, argnums)(*args)), theirs(*args)))
    same(*both(*args), rtol=1e-7)


@pytest.mark.parametrize("name", KINKS)
def test_conventions_at_kinks_are_those_of_jax(name):
    f, *points = KINKS[name]
    both = compiled(lambda points: [(jmc.dense(jmc.jacobian(f)(x)), jax.jacfwd(f)(x)) for x in points])
    for ours, theirs in both(points):
        same(ours, theirs)


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_points_are_never_taken_for_regular_ones(name):
    f, *points = SINGULAR[name]
    both = compiled(lambda points: [(jmc.dense(jmc.jacobian(f)(x)), jax.jacfwd(f)(x)) for x in points])
    for pair in both(points):
        for ours, theirs in zip(*map(jax.tree.leaves, pair), strict=True):
            finite = np.isfinite(ours) & np.isfinite(theirs)
            same(np.where(finite, ours, 0.0), np.where(finite, theirs, 0.0))
            assert np.all(np.isfinite(theirs)) or not np.all(np.isfinite(ours))


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("derivative", [jmc.jacobian, jmc.grad])
def test_what_jax_refuses_is_refused_by_name_and_line(name, derivative):
    f, *args = REFUSED[name]
    argnums = tuple(range(len(args)))
    with pytest.raises((NotImplementedError, TypeError, ValueError)):
        jax.eval_shape(lambda *args: jax.jvp(f, args, args), *args)
    with pytest.raises((NotImplementedError, TypeError)) as refusal:
        jax.eval_shape(derivative(lambda *args: jnp.sum(f(*args)), argnums), *args)
    assert name in str(refusal.value)
    assert re.search(r"(lax_edges|test_lax)\.py:\d+", str(refusal.value))


def test_holomorphic_functions_and_complex_results():
    z, x = np.array([0.3 + 1j, -2.0 + 0.5j, 1.1 - 0.2j]), np.array([0.3, -2.0, 1.1])

    def f(z):
        return jnp.exp(z) * z[::-1] @ (z * (1 + 2j))

    def c(x):
        return lax.complex(x, x[::-1] * x), jnp.fft.rfft(x)

    with pytest.raises(TypeError, match="complex"):
        jmc.jacobian(f)(z)
    both = compiled(lambda z: (jmc.jacobian(f, holomorphic=True)(z).dense(), jax.jacfwd(f, holomorphic=True)(z)))
    same(*both(z))
    same(*compiled(lambda x: (jmc.dense(jmc.jacobian(c)(x)), jax.jacfwd(c)(x)))(x))


def inside(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn.primitive
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr")):
            nested = getattr(value, "jaxpr", value)
            if hasattr(nested, "eqns"):
                yield from inside(nested)


def test_no_primitive_is_forgotten():
    assert len(CASES) == sum(map(len, TABLES)), "two cases have the same name"
    assert NO_FORWARD | NO_REVERSE | set(CURVED) <= set(CASES)
    cases = [*CASES.values(), *REFUSED.values()]
    used = {found for f, *args in cases for found in inside(jax.make_jaxpr(f)(*args).jaxpr)}
    public = {getattr(m, n) for m in (primitives, lax, lax.linalg) for n in dir(m) if n.endswith("_p")}
    assert {primitive.name for primitive in public - used} <= set(WITHOUT_DERIVATIVE)
    assert not {primitive.name for primitive in used} & set(WITHOUT_DERIVATIVE)
