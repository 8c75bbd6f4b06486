"""What is diagonal, block-diagonal, a Kronecker product, of low rank or an identity says so, whatever its values.

The tests of single families ask about sizes and options of their own; that no dense closed form hides a structure is
part of every proof.
"""

import jax
import numpy as np
import pytest

from jmc.catalogue.registry import rules

ELEMENTWISE = [rule for rule in rules.records() if rule.derivative is not None]
LAYERS = {
    "P-5.4": "kronecker(dense(5×3) ⊗ I₇)",
    "affine": "kronecker(dense(5×3) ⊗ I₇), kronecker(column of ones(5) ⊗ I₇), kronecker(I₅ ⊗ dense(7×3))",
    "neuron": "dense(11×7), column(11), kronecker(diagonal(11) ⊗ row(7))",
    "dropout": "diagonal(7)",
    "masked_attention": "block_diagonal(14 × dense(4×3)), block_diagonal(2 × dense(28×15)), kronecker(block_diagonal(2 × dense(7×5)) ⊗ I₄)",
    "causal attention": "block_diagonal(7 × dense(2×3)), dense(14×15), kronecker(dense(7×5) ⊗ I₂)",
    "convolution in one dimension": "banded(0…2), dense(5×3)",
    "convolution in two dimensions": "kronecker(I₂ ⊗ banded(0…1 × 0…2 of dense(3×3))), kronecker(dense(18×18) ⊗ I₃)",
    "state of a gru cell": "diagonal(7), diagonal(7), diagonal(7)",
    "memory and output of an lstm cell": ", ".join(["diagonal(7)"] * 9 + ["zero(7×7)"]),
    "residual block, x + tanh(Wx + b)": "dense(7×7), kronecker(diagonal(7) ⊗ row(7)), diagonal(7)",
    "solution of z = tanh(Wz/2 + x)": "dense(3×3), kronecker(dense(3×3) ⊗ row(3))",
    "glu": "diagonal(7), diagonal(7)",
    "rotary_embedding": "kronecker(I₇ ⊗ block_diagonal(9 × dense(2×2)))",
}  # fmt: skip
TABLES = {
    "w ⊗ x": "diagonal(7), diagonal(7)",
    "w ⊘ x": "diagonal(7), diagonal(7)",
    "x ○ z": "diagonal(7), column(7)",
    "x z": "diagonal(7), column(7)",
    "constant vector by scalar": "zero(7×1)",
    "inverse": "kronecker(dense(7×7) ⊗ dense(7×7))",
    "quotient A⁻¹B": "kronecker(dense(7×7) ⊗ dense(3×7)), kronecker(dense(7×7) ⊗ I₃)",
    "product BᵀA⁻¹B": "kronecker(dense(3×7) ⊗ dense(3×7)), kronecker(I₃ ⊗ dense(3×7)) + kronecker(dense(3×7) ⊗ I₃)",
    "polynomial of a matrix": "kronecker(dense(7×7) ⊗ dense(7×7)) + kronecker(dense(7×7) ⊗ dense(7×7))",
    "least squares, argmin ‖Ax − b‖": "kronecker(row(7) ⊗ dense(3×3)) + kronecker(dense(3×7) ⊗ row(3)), dense(3×7)",
    "sum of the eigenvalues": "row of identity(7)",
    "trace of X ⊗ X": "row of diagonal(7)",
    "diagonal matrix by its free entries": "embedding(49×7)",
    "vector chain rule, f(g(u(x)))": "rank 2",
}
HESSIANS = {
    "focal_loss": "diagonal(7)",
    "multiclass_hinge": "zero(21×21)",
    "kl divergence to a softmax": "block_diagonal(7 × (diagonal(3) + rank 1))",
    "entropy of a softmax": "block_diagonal(7 × (diagonal(3) + rank 2))",
    "linear regression": "rank 3",
    "gaussian_nll": "diagonal(7)",
    "elastic_net": "diagonal(7)",
    "lasso penalty with its strength": "zero(7×7)",
    "group lasso penalty with its strength": "diagonal(7) + rank 1",
    "glu": "zero(49×7)",
    "loss of a network, Σ exp(tanh(Xw) − y)": "rank 3",
    "distance": "diagonal(7) + rank 1",
    "squared Frobenius norm": "diagonal(21)",
    "bilinear form of XᵀDX": "kronecker(dense(7×7) ⊗ column(3) ⊗ row(3)) + kronecker(dense(7×7) ⊗ column(3) ⊗ row(3))",
    "dot product of a vector and a vector function": "rank 3",
}


def structures(form, rule):
    maps = jax.eval_shape(form, *rule.sample(0, np.float32))
    return [J.structure for J in jax.tree.leaves(maps, is_leaf=lambda leaf: hasattr(leaf, "structure"))]


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_what_is_element_wise_is_diagonal(rule):
    first, *others = structures(rule.jacobian, rule)
    n = rule.sample(0, np.float32)[0].size
    assert first in (f"identity({n})", f"diagonal({n})")
    assert all(other == f"column({n})" for other in others)  # by a parameter
    if rule.second is not None:
        assert structures(rule.hessian, rule) == [f"diagonal({n})"]


@pytest.mark.parametrize(("key", "expected"), [*LAYERS.items(), *TABLES.items()])
def test_structures(key, expected):
    assert ", ".join(structures(rules[key].jacobian, rules[key])) == expected


@pytest.mark.parametrize("name", HESSIANS)
def test_structures_of_hessians(name):
    assert structures(rules[name].hessian, rules[name]) == [HESSIANS[name]]
