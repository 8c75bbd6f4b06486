"""Names of structures are the textbook's, at every size; they are read while tracing, so that nothing is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.linear.linear_map import LinearMap
from jmc.linear.structure import name
from jmc.linear.term import Axis, Factor, Label, Term, dense, fresh, identity, plain, plains, row

BINARY = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide}
SIZES = [1, 2, 3, 4, 5, 8]


def structures(transform, f, *shapes, argnums=0):
    """The names of all leaves; an argument is float32, or integers where its shape is a list."""
    found = []

    def traced(*args):
        leaves = jax.tree.leaves(transform(f, argnums)(*args), is_leaf=lambda leaf: isinstance(leaf, LinearMap))
        found.extend(leaf.structure for leaf in leaves)
        return 0

    dtypes = ["int32" if isinstance(shape, list) else "float32" for shape in shapes]
    jax.make_jaxpr(traced)(*(jax.ShapeDtypeStruct(tuple(s), d) for s, d in zip(shapes, dtypes, strict=True)))
    return found


def jacobian(f, *shapes, argnums=0):
    (found,) = structures(jmc.jacobian, f, *shapes, argnums=argnums)
    return found


def hessian(f, *shapes):
    (found,) = structures(jmc.hessian, f, *shapes)
    return found


# the article's §4, and what follows from it, at every size


@pytest.mark.parametrize("n", SIZES)
def test_elementwise_binary_operators(n):
    expected = {
        "add": ("identity", "identity"),
        "sub": ("identity", "diagonal"),
        "mul": ("diagonal", "diagonal"),
        "div": ("diagonal", "diagonal"),
    }
    for operator, f in BINARY.items():
        found = [jacobian(f, (n,), (n,), argnums=k) for k in (0, 1)]
        assert found == [f"{kind}({n})" for kind in expected[operator]], operator
    assert jacobian(jnp.maximum, (n,), (n,)) == f"diagonal({n})"
    assert jacobian(lambda x: jnp.maximum(x, 0.0), (n,)) == f"diagonal({n})"
    assert jacobian(jnp.tanh, (n,)) == f"diagonal({n})"
    assert jacobian(lambda x: x, (n,)) == f"identity({n})"
    assert jacobian(lambda x: -x, (n,)) == f"diagonal({n})"
    assert jacobian(lambda x: jnp.zeros_like(x), (n,)) == f"zero({n}×{n})"


@pytest.mark.parametrize("n", SIZES)
def test_scalar_expansion(n):
    expected = {
        "add": ("identity", "column of ones"),
        "sub": ("identity", "column"),
        "mul": ("diagonal", "column"),
        "div": ("diagonal", "column"),
    }
    for operator, f in BINARY.items():
        found = [jacobian(f, (n,), (), argnums=k) for k in (0, 1)]
        assert found == [f"{kind}({n})" for kind in expected[operator]], operator


@pytest.mark.parametrize("n", SIZES)
def test_sums(n):
    assert jacobian(jnp.sum, (n,)) == f"row of ones({n})"
    assert jacobian(lambda x: jnp.sum(jnp.sin(x)), (n,)) == f"row({n})"
    assert jacobian(lambda x: jnp.sum(2.0 * x), (n,)) == f"row({n})"
    assert structures(jmc.jacobian, lambda x, z: jnp.sum(x * z), (n,), (), argnums=(0, 1)) == [f"row({n})", "scalar"]
    assert structures(jmc.jacobian, jnp.dot, (n,), (n,), argnums=(0, 1)) == [f"row({n})"] * 2
    assert jacobian(lambda x: x + jnp.sum(x), (n,)) == f"identity({n}) + rank 1"


@pytest.mark.parametrize("n", SIZES)
def test_products(n):
    assert structures(jmc.jacobian, lambda W, x: W @ x, (n, n), (n,), argnums=(0, 1)) == [
        f"kronecker(I{sub(n)} ⊗ row({n}))",
        f"dense({n}×{n})",
    ]
    assert structures(jmc.jacobian, lambda X, W: X @ W.T, (n, n), (n, n), argnums=(0, 1)) == [
        f"kronecker(I{sub(n)} ⊗ dense({n}×{n}))",
        f"kronecker(dense({n}×{n}) ⊗ I{sub(n)})",
    ]
    assert jacobian(jnp.outer, (n,), (n,)) == f"kronecker(I{sub(n)} ⊗ column({n}))"
    assert jacobian(lambda X: jnp.trace(X), (n, n)) == f"row of identity({n})"
    assert jacobian(jnp.diag, (n,)) == f"embedding({n * n}×{n})"


def sub(n):
    return str(n).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def layer_norm(X, gain, bias):
    mean = jnp.mean(X, -1, keepdims=True)
    variance = jnp.mean((X - mean) ** 2, -1, keepdims=True)
    return (X - mean) / jnp.sqrt(variance + 1e-5) * gain[None] + bias[None]


def attention(Q, K, V):
    return jax.nn.softmax(Q @ K.T) @ V


@pytest.mark.parametrize("n", SIZES)
def test_softmax_layer_norm_and_attention(n):
    for softmax in (jax.nn.softmax, jmc.softmax, lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x))):
        assert jacobian(softmax, (n,)) == f"diagonal({n}) + rank 1"
    assert jacobian(jax.nn.softmax, (3, n)) == f"block_diagonal(3 × (diagonal({n}) + rank 1))"
    assert jacobian(layer_norm, (4, n), (n,), (n,)) == f"block_diagonal(4 × (diagonal({n}) + rank 2))"
    assert jacobian(layer_norm, (4, n), (n,), (n,), argnums=2) == f"kronecker(column of ones(4) ⊗ I{sub(n)})"
    assert jacobian(attention, (n, n), (n, n), (n, n)) == f"block_diagonal({n} × dense({n}×{n}))"


def logistic(w, X, y):
    return jnp.sum(jax.nn.softplus(X @ w) - y * (X @ w))


def factorisation(U, V, T):
    return jnp.sum((T - U @ V.T) ** 2)


def masked(U, V, T, M):
    return jnp.sum(M * (T - U @ V.T) ** 2)


@pytest.mark.parametrize("n", SIZES)
def test_hessians(n):
    assert hessian(logistic, (n,), (2 * n, n), (2 * n,)) == f"dense({n}×{n})"
    assert hessian(factorisation, (n, 2), (3, 2), (n, 3)) == f"kronecker(I{sub(n)} ⊗ dense(2×2))"
    assert hessian(masked, (n, 2), (3, 2), (n, 3), (n, 3)) == f"block_diagonal({n} × dense(2×2))"
    assert hessian(lambda x, A: x @ A @ x, (n,), (n, n)) == f"dense({n}×{n})"
    assert hessian(lambda x: jnp.sum(jnp.exp(x)), (n,)) == f"diagonal({n})"
    assert hessian(lambda x: jnp.sum(x), (n,)) == f"zero({n}×{n})"
    assert hessian(jax.nn.logsumexp, (n,)) == f"diagonal({n}) + rank 1"


def test_hessian_of_few_examples_and_of_bands():
    assert hessian(logistic, (20,), (5, 20), (5,)) == "rank 5"
    assert hessian(lambda x: jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2), (12,)) == "banded(−1…1)"


# one name of each kind

relu = jax.nn.relu
KINDS = {
    "layer wrt X": (lambda X, W: relu(X @ W.T), [(5, 7), (6, 7)], "block_diagonal(5 × dense(6×7))"),
    "layer wrt b": (lambda b, X: relu(X + b[None]), [(6,), (5, 6)], "block_diagonal(6 × column(5))"),
    "bias wrt b": (lambda b, X: X + b[None], [(6,), (5, 6)], "kronecker(column of ones(5) ⊗ I₆)"),
    "jmc layer": (lambda W, b, x: jmc.layer(W, b, x), [(6, 7), (6,), (5, 7)], "block_diagonal(6 × dense(5×7))"),
    "mask of rows": (
        lambda X, W, m: (X * m[:, None]) @ W.T,
        [(5, 7), (6, 7), (5,)],
        "kronecker(diagonal(5) ⊗ dense(6×7))",
    ),
    "scaled rows": (lambda X, m: X * m[:, None], [(5, 7), (5,)], "diagonal(35)"),
    "one layer wrt W": (lambda W, x: jnp.tanh(W @ x), [(6, 7), (7,)], "kronecker(diagonal(6) ⊗ row(7))"),
    "per-example loss": (lambda X, W: jnp.sum(jnp.tanh(X @ W.T), 1), [(5, 7), (6, 7)], "block_diagonal(5 × row(7))"),
    "A X B": (lambda X, A, B: A @ X @ B, [(5, 4), (3, 5), (4, 6)], "kronecker(dense(3×5) ⊗ dense(6×4))"),
    "Sylvester": (
        lambda X, A, B: A @ X + X @ B,
        [(5, 4), (5, 5), (4, 4)],
        "kronecker(dense(5×5) ⊗ I₄) + kronecker(I₅ ⊗ dense(4×4))",
    ),
    "batched matmul": (lambda X, W: X @ W, [(3, 4, 5), (3, 5, 2)], "kronecker(block_diagonal(3 × dense(2×5)) ⊗ I₄)"),
    "sum of rows": (lambda X: jnp.sum(X, 1), [(5, 4)], "kronecker(I₅ ⊗ row of ones(4))"),
    "sum of columns": (lambda X: jnp.sum(X, 0), [(5, 4)], "kronecker(row of ones(5) ⊗ I₄)"),
    "mean of rows": (lambda X: jnp.mean(X, 1), [(5, 4)], "kronecker(I₅ ⊗ row(4))"),
    "broadcast": (lambda x: jnp.broadcast_to(x[None], (5, 4)), [(4,)], "kronecker(column of ones(5) ⊗ I₄)"),
    "sum, repeated": (lambda x: jnp.broadcast_to(jnp.sum(x), (5,)), [(4,)], "ones(5×4)"),
    "mean, repeated": (lambda x: jnp.broadcast_to(jnp.mean(x), (5,)), [(4,)], "rank 1"),
    "transpose": (lambda X: X.T, [(5, 4)], "permutation(20)"),
    "transpose of exp": (lambda X: jnp.exp(X).T, [(5, 4)], "scaled permutation(20)"),
    "flattened": (lambda X: X.reshape(-1), [(5, 4)], "identity(20)"),
    "flattened batch": (
        lambda X, W: jnp.tanh(X.reshape(5, -1) @ W),
        [(5, 2, 3), (6, 4)],
        "block_diagonal(5 × dense(4×6))",
    ),
    "heads": (
        lambda W, X: (X @ W).reshape(5, 2, 3).transpose(1, 0, 2),
        [(4, 6), (5, 4)],
        "kronecker(I₂ ⊗ dense(5×4) ⊗ I₃)",
    ),
    "pooled by reshape": (lambda x: x.reshape(3, 2).sum(1), [(6,)], "kronecker(I₃ ⊗ row of ones(2))"),
    "slice": (lambda x: x[2:5], [(7,)], "selection(3×7)"),
    "slice of exp": (lambda x: jnp.exp(x)[2:5], [(7,)], "scaled selection(3×7)"),
    "strided": (lambda x: x[::2], [(7,)], "selection(4×7)"),
    "one entry": (lambda x: x[2], [(7,)], "selection(1×7)"),
    "flip": (lambda x: x[::-1], [(7,)], "permutation(7)"),
    "roll": (lambda x: jnp.roll(x, 2), [(7,)], "permutation(7)"),
    "roll of exp": (lambda x: jnp.roll(jnp.exp(x), 2), [(7,)], "scaled permutation(7)"),
    "gather": (lambda x, i: x[i], [(7,), [3]], "selection(3×7)"),
    "embedding": (lambda W, i: W[i], [(50, 4), [3]], "kronecker(selection(3×50) ⊗ I₄)"),
    "gather + x": (lambda x, i: x[i] + x, [(9,), [9]], "sparse(9×9)"),
    "segment sum": (lambda x, i: jax.ops.segment_sum(x, i, 4), [(9,), [9]], "embedding(4×9)"),
    "pad": (lambda x: jnp.pad(x, 2), [(7,)], "embedding(11×7)"),
    "z I": (lambda z: z * jnp.eye(5), [()], "column of identity(5)"),
    "diagonal of X": (jnp.diagonal, [(5, 5)], "selection(5×25)"),
    "differences": (lambda x: x[1:] ** 2 - x[:-1], [(7,)], "banded(0…1)"),
    "Laplacian": (lambda x: jnp.pad(x, (1, 0))[:-1] - 2.0 * x + jnp.pad(x, (0, 1))[1:], [(7,)], "banded(−1…1)"),
    "far bands": (lambda x: x[3:] - x[:-3], [(7,)], "banded(0, 3)"),
    "convolution": (lambda x, k: jnp.convolve(x, k, mode="same"), [(9,), (3,)], "banded(−1…1)"),
    "differences of rows": (lambda X: X[1:] - X[:-1], [(5, 4)], "kronecker(banded(0…1) ⊗ I₄)"),
    "differences of both": (lambda X: X[1:, :-1] - X[:-1, :-1] + X[:-1, 1:], [(5, 4)], "banded(0…1 × 0…1)"),
    "image": (
        lambda x, k: jax.lax.conv(x, k, (1, 1), "SAME"),
        [(2, 3, 6, 6), (4, 3, 3, 3)],
        "kronecker(I₂ ⊗ banded(−1…1 × −1…1 of dense(4×3)))",
    ),
    "sin and cos": (lambda x: jnp.concatenate([jnp.sin(x), jnp.cos(x)]), [(4,)], "stack(diagonal(4), diagonal(4))"),
    "x and W x": (lambda x, W: jnp.concatenate([x, W @ x]), [(5,), (4, 5)], "stack(identity(5), dense(4×5))"),
    "two functions": (lambda x: jnp.stack([x[0] * x[1], x[0] + x[1]]), [(2,)], "dense(2×2)"),
    "apart": (lambda x: jnp.stack([x[0] ** 2, 3.0 * x[1]]), [(2,)], "diagonal(2)"),
    "functions of z": (lambda z: jnp.stack([jnp.sin(z), 3.0 * z]), [()], "column(2)"),
    "two sums": (lambda x: jnp.stack([jnp.sum(x), jnp.sum(x**2)]), [(5,)], "dense(2×5)"),
    "solve wrt A": (jnp.linalg.solve, [(4, 4), (4,)], "kronecker(dense(4×4) ⊗ row(4))"),
    "inverse": (jnp.linalg.inv, [(4, 4)], "kronecker(dense(4×4) ⊗ dense(4×4))"),
    "Householder": (lambda x, v: x - 2.0 * v * jnp.dot(v, x), [(7,), (7,)], "identity(7) + rank 1"),
    "W (W x)": (lambda x, W: W @ (W @ x), [(7,), (7, 7)], "dense(7×7)"),
    "residual": (lambda x, W: x + jnp.tanh(W @ x), [(7,), (7, 7)], "dense(7×7)"),
    "bottleneck": (lambda x, A, B: A @ jnp.tanh(B @ x), [(20,), (20, 3), (3, 20)], "rank 3"),
    "diagonal + bottleneck": (
        lambda x, A, B: jnp.exp(x) + A @ (B @ x),
        [(20,), (20, 3), (3, 20)],
        "diagonal(20) + rank 3",
    ),
    "no bottleneck": (lambda x, A, B: A @ jnp.tanh(B @ x), [(3,), (3, 5), (5, 3)], "dense(3×3)"),
    "keepdims": (lambda X: X + jnp.sum(X, 1, keepdims=True), [(5, 1)], "kronecker(I₅ ⊗ (identity(1) + rank 1))"),
    "an entry of a matrix": (lambda x: jnp.zeros((4, 3)).at[2, 1].set(x[1] ** 2), [(4,)], "sparse(12×4)"),
    "a row of a matrix": (
        lambda X: jnp.zeros((4, 3)).at[2].set(X[1, 1] ** 2),
        [(2, 2)],
        "kronecker(sparse(4×4) ⊗ column(3))",
    ),
    "empty": (jnp.exp, [(0,)], "diagonal(0)"),
    "number": (lambda z: jnp.sin(z**2), [()], "scalar"),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds(case):
    f, shapes, expected = KINDS[case]
    assert jacobian(f, *shapes) == expected


# read off terms alone


def test_terms_by_hand():
    a, b, c = fresh((2, 3, 4))
    assert name([], (2,), (3, 4)) == "zero(2×12)"
    assert name([identity((2, 3))], (2, 3), (2, 3)) == "identity(6)"
    assert name([Term(2.0, (), (plain(a),), (plain(a),))], (2,), (2,)) == "diagonal(2)"
    assert name([Term(1, (), (), (plain(a), plain(a)))], (), (2, 2)) == "row of identity(2)"
    assert name([Term(1, (), (plain(a), plain(a)), ())], (2, 2), ()) == "column of identity(2)"
    assert name([Term(3, (), (), (plain(a), plain(a)))], (), (2, 2)) == "row of diagonal(2)"
    assert name([Term(1, (), (plain(a), plain(b)), (plain(b), plain(c)))], (2, 3), (3, 4)) == (
        "kronecker(column of ones(2) ⊗ I₃ ⊗ row of ones(4))"
    )
    shift = Term(1, (), (Axis(3, ((a, 1),), 1),), (Axis(3, ((a, 1),)),))
    assert name([shift], (3,), (3,)) == "banded(−1)"


def test_equal_numbers_are_no_structure():
    eye = jnp.eye(3)
    assert name([dense(eye, 1)], (3,), (3,)) == "dense(3×3)"
    assert name([row(jnp.ones(3))], (), (3,)) == "row(3)"


def test_rank_is_the_narrowest_cut():
    a, b, c, d = fresh((20, 20, 3, 5))
    factors = [Factor(jnp.ones([label.size for label in own]), own) for own in ((a, c), (c, d), (d, b))]
    assert name([Term(1, tuple(factors), plains([a]), plains([b]))], (20,), (20,)) == "rank 3"
    across = Factor(jnp.ones((20, 20)), (a, b))
    assert name([Term(1, (*factors, across), plains([a]), plains([b]))], (20,), (20,)) == "dense(20×20)"


def test_axes_that_are_products_of_labels_are_seen_through():
    a, b = fresh((2, 3))
    flat = Axis(6, ((a, 3), (b, 1)))
    factor = Factor(jnp.ones(2), (a,))
    assert name([Term(1, (), (flat,), plains([a, b]))], (6,), (2, 3)) == "identity(6)"
    assert name([Term(1, (), (flat,), plains([b, a]))], (6,), (3, 2)) == "permutation(6)"
    assert name([Term(1, (factor,), (flat,), plains([a]))], (6,), (2,)) == "kronecker(diagonal(2) ⊗ column of ones(3))"
    other = Term(1, (), plains([Label(6)]), plains(fresh((2, 3))))
    assert name([Term(1, (), (flat,), plains([a, b])), other], (6,), (2, 3)) == "identity(6) + rank 1"


def test_names_do_not_look_at_arrays():
    indices = np.arange(3, dtype="int32")
    (a,) = fresh((3,))
    gathered = Term(1, (), plains([a]), (Axis(3, ((a, 0),), 0, jnp.asarray(indices)),))
    assert name([gathered], (3,), (3,)) == "selection(3×3)"
    assert name([gathered.T], (3,), (3,)) == "embedding(3×3)"
