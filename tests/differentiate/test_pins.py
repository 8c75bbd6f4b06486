"""Pinned structure: what satisfies what, and errors that name the leaf and the equation."""

import re

import jax
import jax.numpy as jnp
import pytest

import jmc
from jmc.differentiate.pins import KINDS, satisfies


@pytest.mark.parametrize(
    ("name", "pin"),
    [
        ("diagonal(3)", "diagonal"),
        ("diagonal(3)", "diagonal(3)"),
        ("identity(3)", "diagonal"),
        ("identity(3)", "diagonal(3)"),
        ("identity(3)", "banded"),
        ("identity(3)", "permutation"),
        ("diagonal(3)", "block_diagonal"),
        ("banded(−1…1)", "sparse"),
        ("kronecker(I₅ ⊗ row(3))", "block_diagonal"),
        ("kronecker(dense(2×2) ⊗ diagonal(3))", "block_diagonal"),
        ("kronecker(dense(2×2) ⊗ block_diagonal(3 × dense(2×2)))", "kronecker"),
        ("diagonal(3) + rank 1", "diagonal + rank"),
        ("identity(3) + rank 1", "diagonal(3) + rank 1"),
        ("diagonal(3)", "diagonal + rank"),
        ("block_diagonal(5 × (diagonal(3) + rank 1))", "block_diagonal"),
        ("block_diagonal(5 × (diagonal(3) + rank 1))", "block_diagonal(5 × (diagonal(3) + rank 1))"),
        ("row of ones(3)", "row"),
        ("selection(2×3)", "scaled selection"),
        ("zero(3×3)", "diagonal"),
        ("scalar", "diagonal"),
        ("stack(diagonal(3), dense(3×3))", "dense"),
    ],
)
def test_a_better_structure_satisfies_a_weaker_pin(name, pin):
    assert satisfies(name, pin)


@pytest.mark.parametrize(
    ("name", "pin"),
    [
        ("diagonal(3)", "identity"),
        ("diagonal(3)", "diagonal(4)"),
        ("banded(−1…1)", "diagonal"),
        ("dense(3×3)", "sparse"),
        ("kronecker(dense(2×2) ⊗ dense(3×3))", "block_diagonal"),
        ("kronecker((diagonal(2) + rank 1) ⊗ dense(3×3))", "block_diagonal"),
        ("block_diagonal(5 × dense(3×3))", "kronecker"),
        ("diagonal(3) + rank 1", "diagonal"),
        ("diagonal(3) + rank 1", "rank"),
        ("dense(3×3)", "diagonal + rank"),
        ("row(3)", "row of ones"),
    ],
)
def test_a_weaker_structure_does_not_satisfy_a_better_pin(name, pin):
    assert not satisfies(name, pin)


def test_every_kind_leads_to_kinds():
    assert {weaker for found in KINDS.values() for weaker in found} <= set(KINDS)


def traced(transformed, *shapes):
    """Only traced: names need no arrays."""
    jax.make_jaxpr(lambda *args: (transformed(*args), 0)[1])(*(jax.ShapeDtypeStruct(s, "float32") for s in shapes))


def chain(x):
    y = jnp.exp(x)
    z = jnp.cumsum(y)  # lost here
    return jnp.sin(z)


def here(text):
    """The line of this file that holds ``text``."""
    with open(__file__) as lines:
        return next(number for number, line in enumerate(lines, 1) if line.rstrip().endswith(text))


def test_the_equation_is_named():
    line = rf"lost at `cumsum`, \S*test_pins\.py:{here('# lost here')}\b"
    with pytest.raises(jmc.StructureError, match=rf"dense\(4×4\), but `require` wants diagonal; {line}"):
        traced(jmc.jacobian(chain, require="diagonal"), (4,))
    with pytest.raises(jmc.StructureError, match=rf"dense\(4×4\), but `on_dense` refuses it; {line}"):
        traced(jmc.jacobian(chain, on_dense="raise"), (4,))


def test_what_fits_passes():
    traced(jmc.jacobian(jnp.exp, require="diagonal"), (4,))
    traced(jmc.jacobian(jax.nn.softmax, require="diagonal + rank 1", on_dense="raise"), (4,))
    traced(jmc.jacobian(jax.vmap(chain), require="block_diagonal", on_dense="raise"), (5, 4))
    traced(jmc.hessian(lambda x: jnp.sum(jnp.exp(x)), require="diagonal"), (4,))
    traced(jmc.value_and_jacobian(jnp.exp, require="diagonal"), (4,))


def test_the_leaf_is_named_if_there_are_several():
    def f(params):
        return {"y": params["W"] @ params["x"], "z": jnp.sin(params["x"])}

    def g(W, x):
        return f({"W": W, "x": x})

    nested = jmc.jacobian(f, require="sparse")
    with pytest.raises(jmc.StructureError, match=re.escape("of output['y'] with respect to argument['x'] is dense(")):
        traced(lambda W, x: nested({"W": W, "x": x}), (3, 4), (4,))
    with pytest.raises(jmc.StructureError, match=re.escape("of output['y'] with respect to argument[1] is dense(3×4)")):
        traced(jmc.jacobian(g, (0, 1), on_dense="raise"), (3, 4), (4,))


def test_a_pin_that_the_identity_does_not_satisfy_names_the_last_equation():
    with pytest.raises(jmc.StructureError, match=r"is row\(4\), but `require` wants row of ones; made by `reduce_sum`"):
        traced(jmc.jacobian(lambda x: jnp.sum(jnp.sin(x)), require="row of ones"), (4,))


def test_hessians_say_which_equation_of_the_gradient():
    def f(U, V, M):
        return jnp.sum(M * (U @ V.T) ** 2)

    with pytest.raises(
        jmc.StructureError, match=r"block_diagonal\(3 × dense\(2×2\)\), but `require` wants kronecker; lost at `mul`"
    ):
        traced(jmc.hessian(f, require="kronecker"), (3, 2), (4, 2), (3, 4))


@pytest.mark.parametrize("require", ["diag", "", "diagonal + diag", "Diagonal(3)", 3])
def test_unknown_names(require):
    with pytest.raises(ValueError, match=r"`require` must name a structure \(zero, .*dense\), but got") as caught:
        traced(jmc.jacobian(jnp.exp, require=require), (4,))
    assert not isinstance(caught.value, jmc.StructureError)
