"""Random programs against JAX: values, Jacobians, Hessians, and every method of a map with its dense form.

There are 40 programs and 20 Hessians, always the same; ``JMC_PROGRAMS=5000`` draws that many new ones of each. An
example that fails is a program that can be pasted and run.
"""

import math
import os

import jax
import numpy as np
import pytest
from differentiate.grammar import arguments, constant, elementwise_programs, function, programs
from hypothesis import HealthCheck, given, settings

import jmc

MANY = int(os.environ.get("JMC_PROGRAMS", "0"))
# The program that checks one example is large and runs once.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def run(f, *args):
    return jax.tree.map(np.asarray, jax.jit(f, compiler_options=QUICK)(*args))


def close(found, wanted, scale=1.0):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11 * max(1.0, scale))


def check_jacobian(source):
    f, args = function(source), arguments(source)
    aval = jax.eval_shape(f, *args)
    u = constant(*aval.shape, seed=5)
    vs = [constant(*arg.shape, seed=6 + k) for k, arg in enumerate(args)]

    def everything(args, u, vs):
        value, Js = jmc.value_and_jacobian(f, (0, 1))(*args)
        maps = [
            {
                "dense": J.dense(), "mv": J.mv(v), "vm": J.vm(u), "T": J.T.dense(), "gram": J.gram().dense(),
                "row_gram": J.row_gram().dense(), "row_norms": J.row_norms(), "sum": (J + J).dense(),
            } | ({"diagonal": J.diagonal(), "trace": J.trace()} if J.in_shape == J.out_shape else {})
            for J, v in zip(Js, vs, strict=True)
        ]  # fmt: skip
        return value, f(*args), maps, jax.jacfwd(f, (0, 1))(*args)

    value, wanted, maps, references = run(everything, args, u, vs)
    close(value, wanted)
    for found, reference, v in zip(maps, references, vs, strict=True):
        check_map(found, reference, u, v)


def check_map(found, reference, u, v):
    scale = np.max(np.abs(reference), initial=0)
    close(found["dense"], reference, scale)
    J = reference.reshape(u.size, v.size)
    close(found["mv"], (J @ v.ravel()).reshape(u.shape), scale)
    close(found["vm"], (u.ravel() @ J).reshape(v.shape), scale)
    close(found["T"], J.T.reshape(v.shape + u.shape), scale)
    close(found["gram"], (J.T @ J).reshape(v.shape * 2), scale**2)
    close(found["row_gram"], (J @ J.T).reshape(u.shape * 2), scale**2)
    close(found["row_norms"] ** 2, np.sum(J**2, 1).reshape(u.shape), scale**2)
    close(found["sum"], 2 * reference, scale)
    if "diagonal" in found:
        close(found["diagonal"], np.diagonal(J).reshape(u.shape), scale)
        close(found["trace"], np.trace(J), scale * u.size)


def check_hessian(source):
    f, args = function(source), arguments(source)

    def everything(args):
        return (
            jmc.dense(jmc.hessian(f, (0, 1))(*args)),
            jmc.grad(f, (0, 1))(*args),
            jax.grad(f, (0, 1))(*args),
            jax.hessian(f, (0, 1))(*args),
        )

    hessians, gradients, wanted, references = run(everything, args)
    for found, reference in zip(gradients, wanted, strict=True):
        close(found, reference, np.max(np.abs(reference), initial=0))
    for found, reference in zip(jax.tree.leaves(hessians), jax.tree.leaves(references), strict=True):
        close(found, reference, np.max(np.abs(reference), initial=0))


def examples(count):
    return settings(
        max_examples=MANY or count,
        derandomize=not MANY,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


@examples(40)
@given(programs())
@pytest.mark.usefixtures("x64")
def test_jacobians_of_programs(source):
    check_jacobian(source)


@examples(20)
@given(programs(longest=4, scalar=True))
@pytest.mark.usefixtures("x64")
def test_hessians_and_gradients_of_programs(source):
    check_hessian(source)


@examples(60)
@given(elementwise_programs())
@pytest.mark.usefixtures("x64")
def test_elementwise_programs_are_diagonal(source):
    """One diagonal term, whatever is reused; traced alone, for a structure takes no arithmetic."""
    maps = []
    jax.eval_shape(lambda *args: maps.append(jmc.jacobian(function(source))(*args)), *arguments(source))
    (J,) = maps
    assert len(J.terms) <= 1
    assert J.structure.partition("(")[0] in ("diagonal", "identity", "zero", "scalar")
    assert J.stored <= math.prod(J.in_shape)
